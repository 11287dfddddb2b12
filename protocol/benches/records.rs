//! The record reader beside kafka-protocol's: records read in place and shared, checksums checked by both, whole
//! batches of 1 MiB. The codecs are the same crates on both sides; what differs is everything around them.
//!
//! Time: `cargo bench -p callboard-protocol --bench records`.
//!
//! Instructions a record, which no load of the machine changes (criterion counts none):
//!
//! ```sh
//! cargo bench -p callboard-protocol --bench records --no-run   # prints the path of the binary
//! for reader in in_place shared peer; do
//!   valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="*::count_$reader" BINARY --count $reader 100B
//! done
//! ```
//!
//! prints `Collected : N` for 10 batches and, before it, how many records those are.

use std::hint::black_box;
use std::io::Read;
use std::time::Duration;

use bytes::{Buf, Bytes};
use callboard_protocol::records::{BatchBuilder, BatchIter, Compression, DecompressLimit};
use criterion::{BenchmarkId, Criterion, Throughput};
use kafka_protocol::records as peer;

const BATCH_BYTES: usize = 1024 * 1024;
const LIMIT: DecompressLimit = DecompressLimit::new(4 * BATCH_BYTES);
/// Batches that one counted run reads.
const COUNTED: usize = 10;
const KEY_BYTES: usize = 10;

/// What is read.
struct Case {
    name: &'static str,
    value_bytes: usize,
    headers: usize,
    codec: Compression,
}

const CASES: [Case; 7] = [
    case("100B", 90, 0, Compression::None),
    case("1KiB", 1014, 0, Compression::None),
    case("100B+2headers", 90, 2, Compression::None),
    case("100B-gzip", 90, 0, Compression::Gzip),
    case("100B-snappy", 90, 0, Compression::Snappy),
    case("100B-lz4", 90, 0, Compression::Lz4),
    case("100B-zstd", 90, 0, Compression::Zstd),
];

const fn case(name: &'static str, value_bytes: usize, headers: usize, codec: Compression) -> Case {
    Case {
        name,
        value_bytes,
        headers,
        codec,
    }
}

impl Case {
    fn batch(&self) -> (Bytes, usize) {
        let mut builder = BatchBuilder::new(0, self.codec);
        let headers: Vec<_> = (0..self.headers)
            .map(|at| {
                (
                    format!("header-{at}"),
                    Some(Bytes::from_static(b"some value")),
                )
            })
            .collect();
        let mut at = 0_i64;
        while builder.size() < BATCH_BYTES {
            let key = format!("{at:0width$}", width = KEY_BYTES);
            builder.push(
                at,
                Some(key.as_bytes()),
                Some(&text(at, self.value_bytes)),
                &headers,
            );
            at += 1;
        }
        let records = builder.count();
        (builder.build().expect("a small batch"), records)
    }
}

/// Text that compresses like text: words, in an order that a small generator decides.
fn text(seed: i64, length: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "order", "paid", "shipped", "north", "south", "blue", "green", "returned", "customer",
        "invoice", "open", "closed", "late", "early", "price", "total",
    ];
    let mut state = seed.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(length + 10);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(WORDS[(state % 16) as usize].as_bytes());
        out.push(b' ');
    }
    out.truncate(length);
    out
}

#[inline(never)]
fn count_in_place(bytes: &Bytes) -> usize {
    let mut sum = 0;
    for batch in BatchIter::new(bytes.clone()) {
        let batch = batch.expect("a good batch");
        batch.verify_crc().expect("a good batch");
        let body = batch.body(LIMIT).expect("a good batch");
        for record in &body {
            let record = black_box(record.expect("a good record"));
            sum += record.value.map_or(0, <[u8]>::len);
        }
    }
    sum
}

#[inline(never)]
fn count_shared(bytes: &Bytes) -> usize {
    let mut sum = 0;
    for batch in BatchIter::new(bytes.clone()) {
        let batch = batch.expect("a good batch");
        batch.verify_crc().expect("a good batch");
        for record in batch.records(LIMIT).expect("a good batch") {
            let record = black_box(record.expect("a good record"));
            sum += record.value.map_or(0, |value| value.len());
        }
    }
    sum
}

#[inline(never)]
fn count_peer(bytes: &Bytes) -> usize {
    let mut bytes = bytes.clone();
    let set = if bytes[22] & 7 == 0 {
        peer::RecordBatchDecoder::decode(&mut bytes)
    } else {
        peer::RecordBatchDecoder::decode_with_custom_compression(
            &mut bytes,
            Some(|body: &mut Bytes, codec| Ok(decompress(body, codec))),
        )
    };
    let mut sum = 0;
    for record in set.expect("a good batch").records {
        let record = black_box(record);
        sum += record.value.map_or(0, |value| value.len());
    }
    sum
}

/// What kafka-protocol does itself when its codecs are compiled in, with the crates that are here anyway.
fn decompress(body: &mut Bytes, codec: peer::Compression) -> Bytes {
    let mut out = Vec::new();
    match codec {
        peer::Compression::None => out.extend_from_slice(body),
        peer::Compression::Gzip => {
            flate2::read::GzDecoder::new(body.reader())
                .read_to_end(&mut out)
                .expect("good bytes");
        }
        peer::Compression::Lz4 => {
            lz4_flex::frame::FrameDecoder::new(body.reader())
                .read_to_end(&mut out)
                .expect("good bytes");
        }
        peer::Compression::Zstd => {
            out = zstd::stream::decode_all(body.reader()).expect("good bytes")
        }
        peer::Compression::Snappy => {
            body.advance(16);
            while body.has_remaining() {
                let size = body.get_u32() as usize;
                let block = snap::raw::Decoder::new().decompress_vec(&body.split_to(size));
                out.extend(block.expect("good bytes"));
            }
        }
    }
    out.into()
}

type Reader = fn(&Bytes) -> usize;

const READERS: [(&str, Reader); 3] = [
    ("in_place", count_in_place),
    ("shared", count_shared),
    ("peer", count_peer),
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|one| one == "--count") {
        let case = CASES.iter().find(|one| one.name == arguments[at + 2]);
        let reader = READERS.iter().find(|one| one.0 == arguments[at + 1]);
        let (Some(case), Some((_, read))) = (case, reader) else {
            panic!("no such case or reader");
        };
        let (bytes, records) = case.batch();
        println!("{} records", records * COUNTED);
        for _ in 0..COUNTED {
            black_box(read(black_box(&bytes)));
        }
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for case in &CASES {
        let (bytes, records) = case.batch();
        let mut group = criterion.benchmark_group(format!("records/{}", case.name));
        group.throughput(Throughput::Elements(records as u64));
        for (name, read) in READERS {
            group.bench_with_input(
                BenchmarkId::from_parameter(name),
                &bytes,
                |bencher, bytes| {
                    bencher.iter(|| read(black_box(bytes)));
                },
            );
        }
        group.finish();
    }
    criterion.final_summary();
}
