//! Bytes that nobody should send: every golden batch cut at every length, mutated, and bodies of noise. Nothing panics,
//! and memory stays near the limit that the reader sets. One test, for the peak that is measured is the process's.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::path::PathBuf;

use bytes::Bytes;
use callboard_protocol::records::{
    Batch, BatchBuilder, BatchIter, Compression, DecompressLimit, HEADER_BYTES, RecordsError,
    Stage, Step,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const LIMIT_BYTES: usize = 512 * 1024;
const LIMIT: DecompressLimit = DecompressLimit::new(LIMIT_BYTES);
const MUTANTS_OF_EACH: usize = 200;
const BODIES_OF_EACH: usize = 500;
/// Address space that all of it together may take: far above what it does, far below what any single lie asks for.
#[cfg(target_os = "linux")]
const PEAK_GROWTH_KIB_MAX: u64 = 48 * 1024;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

#[test]
fn hostile_bytes_give_errors_and_bounded_memory() {
    let seed = std::env::var("CALLBOARD_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("CALLBOARD_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let files = files();
    // Once with good bytes: code, tables and the thread's own heap are there before anything is measured.
    for (name, bytes) in &files {
        drain(name, Bytes::from(bytes.clone()));
    }
    let before = peak_kib();
    for (name, bytes) in &files {
        cut_everywhere(name, bytes);
        mutate(name, bytes, &mut random);
    }
    noise(&mut random);
    announcements();
    let after = peak_kib();
    #[cfg(target_os = "linux")]
    assert!(
        after - before < PEAK_GROWTH_KIB_MAX,
        "grew by {} KiB",
        after - before
    );
    let _ = (before, after);
}

fn files() -> Vec<(String, Vec<u8>)> {
    let directory =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/kafka-4.2.0/record_batches");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|one| one == "bin"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    // The order of a directory is nobody's promise, and the seed must mean the same everywhere.
    files.sort();
    files
}

/// The most address space this process ever had.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0)
}

/// Reads everything that can be read, checksums or not.
fn drain(what: &str, bytes: Bytes) {
    let total = bytes.len();
    let mut read = 0_usize;
    let mut batches = BatchIter::new(bytes);
    for batch in &mut batches {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                assert_eq!(error.stage(), Stage::Batch, "{what}: {error}");
                break;
            }
        };
        let header = *batch.header();
        read += header.size();
        let _ = (batch.verify_crc(), header.next_offset());
        let scanned = scan(&batch, 1 + read % 5_000);
        let body = match batch.body(LIMIT) {
            Ok(body) => body,
            Err(error) => {
                let over = matches!(error, RecordsError::OverLimit { .. });
                assert!(over || scanned.is_err(), "{what}: {error}");
                assert_eq!(error.stage(), Stage::Records, "{what}: {error}");
                continue;
            }
        };
        let bound = LIMIT_BYTES.max(total);
        assert!(body.bytes().len() <= bound, "{what}: over the limit");
        let (mut views, mut shared) = (body.iter(), batch.records(LIMIT).unwrap());
        let (mut count, mut told) = (0, Vec::new());
        loop {
            let (view, owned) = (views.next(), shared.next());
            match (view, owned) {
                (Some(Ok(view)), Some(Ok(owned))) => {
                    count += 1;
                    told.push((view.offset, view.timestamp, view.key.is_some()));
                    assert_eq!(view.headers.iter().count(), view.headers.len(), "{what}");
                    assert_eq!(owned.headers.iter().count(), view.headers.len(), "{what}");
                    assert_eq!(owned.key.as_deref(), view.key, "{what}");
                    assert_eq!(owned.value.as_deref(), view.value, "{what}");
                }
                (Some(Err(view)), Some(Err(owned))) => {
                    assert_eq!(view, owned, "{what}");
                    assert!(scanned.is_err(), "{what}: {view}");
                    break;
                }
                (None, None) => {
                    assert_eq!(scanned, Ok(told), "{what}");
                    break;
                }
                (view, owned) => panic!("{what}: {view:?} and {owned:?}"),
            }
        }
        assert!(count <= header.count, "{what}");
    }
    assert!(read + batches.rest().len() == total, "{what}");
}

/// Offset, timestamp and whether there is a key, of every record, in slices of `slice` bytes. Records beyond the limit
/// that the other readers have are not kept.
fn scan(batch: &Batch, slice: usize) -> Result<Vec<(i64, i64, bool)>, RecordsError> {
    let mut scan = batch.scan()?;
    let (mut told, mut left) = (Vec::new(), slice);
    loop {
        match scan.next(&mut left)? {
            Step::Record(one) if told.len() < LIMIT_BYTES => {
                told.push((one.offset, one.timestamp, one.has_key));
            }
            Step::Record(_) => {}
            Step::Paused => left = slice,
            Step::End => return Ok(told),
        }
    }
}

/// Cut as a broker cuts, and cut with a length that says so: the first never reaches a record, the second always does.
fn cut_everywhere(name: &str, bytes: &[u8]) {
    // Three large values in few bytes: the same for every cut but slow.
    let step = if bytes.len() > 600 { 37 } else { 1 };
    for cut in (0..bytes.len()).step_by(step) {
        let what = format!("{name} cut at {cut}");
        let mut part = bytes[..cut].to_vec();
        drain(&what, Bytes::from(part.clone()));
        if cut >= HEADER_BYTES {
            let length = i32::try_from(cut - 12).unwrap();
            part[8..12].copy_from_slice(&length.to_be_bytes());
            drain(&what, Bytes::from(part));
        }
    }
}

fn mutate(name: &str, bytes: &[u8], random: &mut StdRng) {
    if bytes.is_empty() {
        return;
    }
    for number in 0..MUTANTS_OF_EACH {
        let mut mutant = bytes.to_vec();
        for _ in 0..random.random_range(1..=4) {
            // Anywhere, or in the fields that steer the reader.
            let at = match random.random_range(0..3) {
                0 => random.random_range(0..mutant.len()),
                1 => random.random_range(0..mutant.len().min(HEADER_BYTES)),
                _ => random.random_range(mutant.len().min(HEADER_BYTES) - 1..mutant.len().min(100)),
            };
            mutant[at] = match random.random_range(0..4) {
                0 => random.random(),
                1 => 0xff,
                2 => mutant[at] ^ (1 << random.random_range(0..8)),
                _ => mutant[at].wrapping_add(1),
            };
        }
        drain(&format!("{name}, mutant {number}"), Bytes::from(mutant));
    }
}

/// Bodies that are noise, behind what each codec looks for first.
fn noise(random: &mut StdRng) {
    let starts: [&[u8]; 6] = [
        b"",
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff],
        b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x20",
        &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0x40, 0, 0, 0],
        &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88],
        &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x40],
    ];
    for codec in CODECS {
        for start in starts {
            for number in 0..BODIES_OF_EACH {
                let mut body = start.to_vec();
                let length = random.random_range(0..120);
                body.extend((0..length).map(|_| random.random::<u8>()));
                let what = format!("noise {number} as {codec}");
                drain(&what, batch(codec, 3, &body));
            }
        }
    }
}

/// Lies about sizes, each of which has cost some reader its memory.
fn announcements() {
    // A block that claims 4 GiB less one.
    let snappy = [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 20]].concat();
    assert_malformed(Compression::Snappy, &snappy);
    // Framed: a block length of 2 GiB, and one that is negative.
    for length in [i32::MAX, -1, i32::MIN] {
        let framed = [
            b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01",
            &length.to_be_bytes()[..],
            &[0; 20],
        ];
        assert_malformed(Compression::Snappy, &framed.concat());
    }
    // A zstd window of 128 MiB and a content of 2^60 bytes, then nothing.
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x88];
    zstd.extend((1_u64 << 60).to_le_bytes());
    assert_malformed(Compression::Zstd, &zstd);
    // A window that Java refuses, around an empty block.
    let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x89, 0x01, 0x00, 0x00];
    assert_malformed(Compression::Zstd, &window);
    // A zstd bomb: blocks of 4 bytes that repeat one byte 128 Ki times.
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for _ in 0..2_000 {
        bomb.extend([0x02, 0x00, 0x10, 0x61]);
    }
    bomb.extend([0x01, 0x00, 0x00]);
    assert_over(Compression::Zstd, &bomb);
    for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        let mut builder = BatchBuilder::new(0, codec);
        builder.push(0, None, Some(&vec![0; 16 * LIMIT_BYTES]), &[]);
        let bytes = builder.build().unwrap();
        assert_over(codec, &bytes[HEADER_BYTES..]);
    }
    // The most records there can be, in one byte each and in none.
    for body in [&[0_u8; 300][..], &[]] {
        let batch = BatchIter::new(batch(Compression::None, i32::MAX, body)).next();
        let batch = batch.unwrap().unwrap();
        let records: Result<Vec<_>, _> = batch.records(LIMIT).unwrap().collect();
        assert!(records.is_err());
    }
}

fn assert_malformed(codec: Compression, body: &[u8]) {
    match read(codec, body) {
        Err(RecordsError::Decompress { codec: named, .. }) => assert_eq!(named, codec),
        other => panic!("{codec}: {other:?}"),
    }
}

fn assert_over(codec: Compression, body: &[u8]) {
    let limit = LIMIT_BYTES;
    assert_eq!(read(codec, body), Err(RecordsError::OverLimit { limit }));
}

fn read(codec: Compression, body: &[u8]) -> Result<usize, RecordsError> {
    let batch = BatchIter::new(batch(codec, 1, body)).next().unwrap()?;
    batch.body(LIMIT).map(|body| body.bytes().len())
}

/// A batch with this body, whatever it is.
fn batch(codec: Compression, count: i32, body: &[u8]) -> Bytes {
    let mut builder = BatchBuilder::new(0, codec);
    builder.push(0, None, None, &[]);
    let mut bytes = builder.build().unwrap().to_vec();
    bytes.truncate(HEADER_BYTES);
    bytes.extend(body);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    bytes.into()
}
