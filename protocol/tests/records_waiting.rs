//! Batches that wait to be read. One test, for allocations are counted for the whole process.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::alloc::System;

use callboard_protocol::records::{Batch, BatchIter, Compression, Scan, Step};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WAITING: usize = 1_000;
/// Bytes that one may take beside its batch, where a codec takes tens of thousands.
const OF_EACH_MAX: usize = 512;

fn batch(codec: Compression) -> Batch {
    let file = format!(
        "{}/../testdata/kafka-4.2.0/record_batches/plain-{}.bin",
        env!("CARGO_MANIFEST_DIR"),
        format!("{codec:?}").to_lowercase()
    );
    BatchIter::new(std::fs::read(file).unwrap().into())
        .next()
        .unwrap()
        .unwrap()
}

/// Who puts off many is not charged for their codecs, so there must be none. What they will take is known all the same.
#[test]
fn a_scan_that_has_not_begun_has_no_codec() {
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batch = batch(codec);
        let region = Region::new(ALLOCATOR);
        let mut waiting: Vec<Scan> = (0..WAITING).map(|_| batch.scan().unwrap()).collect();
        let allocated = region.change().bytes_allocated;
        assert!(
            allocated <= WAITING * OF_EACH_MAX,
            "{codec:?}: {allocated} bytes"
        );
        let scan = waiting.first_mut().unwrap();
        let announced = scan.memory();
        assert!(announced > 0, "{codec:?}");
        let first = scan.next(&mut { usize::MAX }).unwrap();
        assert!(matches!(first, Step::Record(_)), "{codec:?}: {first:?}");
        assert_eq!(scan.memory(), announced, "{codec:?}");
    }
}
