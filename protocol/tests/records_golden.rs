//! Every file of `testdata/kafka-4.2.0/record_batches`: what Apache Kafka 4.2.0's own reader makes of these bytes is in
//! its `index.json`. Good batches must read the same in every field; errors must show at the same stage, after the same
//! records. Never more lenient than Java; where we are stricter, [`STRICTER`] says so.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::path::PathBuf;

use bytes::Bytes;
use callboard_protocol::records::{
    Batch, BatchIter, Compression, DecompressLimit, RecordView, RecordsError, Stage,
};
use serde::Deserialize;

const OLD: &str = "old message sets are recognised, not read";

/// Where we refuse what Java reads, and why.
const STRICTER: [(&str, &str); 5] = [
    ("magic-0.bin", OLD),
    ("magic-1.bin", OLD),
    ("message-set-v0-gzip.bin", OLD),
    ("message-set-v1.bin", OLD),
    (
        "bad-length-48.bin",
        "a batch shorter than its header is refused before anything is asked of it",
    ),
];

const LIMIT: DecompressLimit = DecompressLimit::new(1024 * 1024);

#[derive(Deserialize)]
struct Index {
    files: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    file: String,
    good: bool,
    batches: Vec<Expected>,
    bytes_used: usize,
    #[serde(default)]
    errors: Vec<Fault>,
}

/// A batch's fields; those that Java could not read are not there.
#[derive(Deserialize)]
struct Expected {
    base_offset: Option<i64>,
    last_offset: Option<i64>,
    size: Option<usize>,
    codec: Option<String>,
    timestamp_type: Option<String>,
    max_timestamp: Option<i64>,
    producer_id: Option<i64>,
    producer_epoch: Option<i16>,
    base_sequence: Option<i32>,
    transactional: Option<bool>,
    control: Option<bool>,
    leader_epoch: Option<i32>,
    crc: Option<String>,
    declared_records: Option<i32>,
    #[serde(default)]
    records: Vec<ExpectedRecord>,
}

#[derive(Deserialize)]
struct ExpectedRecord {
    offset: i64,
    timestamp: i64,
    key: Option<String>,
    value: Option<String>,
    value_length: Option<usize>,
    #[serde(default)]
    headers: Vec<(String, Option<String>)>,
}

#[derive(Deserialize)]
struct Fault {
    stage: String,
    message: Option<String>,
    batch: Option<usize>,
    after: Option<usize>,
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/kafka-4.2.0/record_batches")
}

fn files() -> Vec<(File, Bytes)> {
    let index = std::fs::read_to_string(directory().join("index.json")).unwrap();
    let index: Index = serde_json::from_str(&index).unwrap();
    let with_bytes = index.files.into_iter().map(|file| {
        let bytes = std::fs::read(directory().join(&file.file)).unwrap();
        (file, Bytes::from(bytes))
    });
    with_bytes.collect()
}

fn is_stricter(file: &File) -> bool {
    STRICTER.iter().any(|(name, _)| *name == file.file)
}

#[test]
fn every_file_reads_as_in_java() {
    let files = files();
    assert!(files.len() >= 74, "files are missing");
    for (file, bytes) in files.iter().filter(|(file, _)| !is_stricter(file)) {
        let name = &file.file;
        let mut batches = BatchIter::new(bytes.clone());
        for (at, expected) in file.batches.iter().enumerate() {
            let batch = batches
                .next()
                .unwrap_or_else(|| panic!("{name}: batch {at}"));
            let batch = batch.unwrap_or_else(|error| panic!("{name}: batch {at}: {error}"));
            let faults = file.errors.iter().filter(|one| one.batch == Some(at));
            let faults: Vec<&Fault> = faults.collect();
            check(&format!("{name}, batch {at}"), &batch, expected, &faults);
        }
        let broken = file.errors.iter().find(|one| one.stage == "batches");
        match (batches.next(), broken) {
            (None, None) => {}
            (Some(Err(error)), Some(_)) => {
                assert_eq!(error.stage(), Stage::Batch, "{name}: {error}")
            }
            (next, broken) => panic!(
                "{name}: {next:?} where Java has {:?}",
                broken.map(|one| &one.message)
            ),
        }
        assert_eq!(
            bytes.len() - batches.rest().len(),
            file.bytes_used,
            "{name}"
        );
        assert!(
            batches.next().is_none(),
            "{name}: it goes on behind its end"
        );
        assert!(!file.good || file.errors.is_empty(), "{name}");
    }
}

fn check(name: &str, batch: &Batch, expected: &Expected, faults: &[&Fault]) {
    check_header(name, batch, expected);
    let of_stage = |stage| faults.iter().find(|one| one.stage == stage).copied();
    match (batch.header().compression(), of_stage("header")) {
        (Ok(codec), None) => assert_eq!(Some(codec.name()), expected.codec.as_deref(), "{name}"),
        (Err(RecordsError::UnknownCodec { .. }), Some(_)) => {}
        (codec, _) => panic!("{name}: {codec:?}"),
    }
    match (batch.verify_crc(), of_stage("crc")) {
        (Ok(()), None) => {}
        (Err(RecordsError::Crc { stored, computed }), Some(fault)) => {
            let java = fault.message.as_deref().unwrap();
            let ours = format!("(stored crc = {stored}, computed crc = {computed})");
            assert!(java.ends_with(&ours), "{name}: {java}; ours {ours}");
        }
        (other, _) => panic!("{name}: {other:?}"),
    }
    check_records(name, batch, expected, of_stage("records"));
}

fn check_header(name: &str, batch: &Batch, expected: &Expected) {
    let header = batch.header();
    assert_eq!(Some(header.base_offset), expected.base_offset, "{name}");
    assert_eq!(Some(header.last_offset()), expected.last_offset, "{name}");
    assert_eq!(Some(header.size()), expected.size, "{name}");
    assert_eq!(batch.bytes().len(), header.size(), "{name}");
    let again = header.to_bytes();
    assert_eq!(again[..], batch.bytes()[..again.len()], "{name}");
    // The rest is absent where Java could not name the codec.
    let Some(max_timestamp) = expected.max_timestamp else {
        return;
    };
    assert_eq!(header.max_timestamp, max_timestamp, "{name}");
    let timestamp_type = if header.is_log_append_time() {
        "LogAppendTime"
    } else {
        "CreateTime"
    };
    assert_eq!(
        Some(timestamp_type),
        expected.timestamp_type.as_deref(),
        "{name}"
    );
    assert_eq!(Some(header.producer_id), expected.producer_id, "{name}");
    assert_eq!(
        Some(header.producer_epoch),
        expected.producer_epoch,
        "{name}"
    );
    assert_eq!(Some(header.base_sequence), expected.base_sequence, "{name}");
    let transactional = Some(header.is_transactional());
    assert_eq!(transactional, expected.transactional, "{name}");
    assert_eq!(Some(header.is_control()), expected.control, "{name}");
    let leader_epoch = Some(header.partition_leader_epoch);
    assert_eq!(leader_epoch, expected.leader_epoch, "{name}");
    assert_eq!(Some(format!("{:x}", header.crc)), expected.crc, "{name}");
    assert_eq!(Some(header.count), expected.declared_records, "{name}");
}

fn check_records(name: &str, batch: &Batch, expected: &Expected, fault: Option<&Fault>) {
    let body = match (batch.body(LIMIT), fault) {
        (Ok(body), _) => body,
        (Err(error), Some(fault)) => {
            assert_eq!(error.stage(), Stage::Records, "{name}: {error}");
            assert_eq!(fault.after, Some(0), "{name}: {error}");
            return;
        }
        (Err(error), None) => panic!("{name}: {error}"),
    };
    let mut views = body.iter();
    let mut shared = batch.records(LIMIT).unwrap();
    for (at, record) in expected.records.iter().enumerate() {
        let view = views
            .next()
            .unwrap_or_else(|| panic!("{name}: record {at}"));
        let view = view.unwrap_or_else(|error| panic!("{name}: {error}"));
        check_record(&format!("{name}, record {at}"), &view, record);
        let shared = shared.next().unwrap().unwrap();
        assert_eq!(shared.key.as_deref(), view.key, "{name}");
        assert_eq!(shared.value.as_deref(), view.value, "{name}");
        assert_eq!(
            (shared.offset, shared.timestamp),
            (view.offset, view.timestamp)
        );
        assert_eq!(shared.headers.views(), view.headers, "{name}");
    }
    match (views.next(), fault) {
        (None, None) => assert!(shared.next().is_none(), "{name}"),
        (Some(Err(error)), Some(fault)) => {
            assert_eq!(error.stage(), Stage::Records, "{name}: {error}");
            assert_eq!(fault.after, Some(expected.records.len()), "{name}: {error}");
            assert_eq!(shared.next(), Some(Err(error)), "{name}");
            assert!(
                shared.next().is_none(),
                "{name}: it goes on behind an error"
            );
        }
        (next, fault) => panic!(
            "{name}: {next:?} where Java has {:?}",
            fault.map(|one| &one.message)
        ),
    }
    assert!(views.next().is_none(), "{name}: it goes on behind its end");
}

fn check_record(name: &str, record: &RecordView<'_>, expected: &ExpectedRecord) {
    assert_eq!(record.offset, expected.offset, "{name}");
    assert_eq!(record.timestamp, expected.timestamp, "{name}");
    assert_eq!(record.key.map(hex), expected.key, "{name}");
    match expected.value_length {
        None => assert_eq!(record.value.map(hex), expected.value, "{name}"),
        // The index has a digest of it; this is what has that digest.
        Some(length) => {
            let number = record.offset - 1000;
            let value = format!("line {number} abcdefghij").repeat(6000);
            assert_eq!(value.len(), length, "{name}");
            assert!(record.value == Some(value.as_bytes()), "{name}: value");
        }
    }
    let headers = record.headers.iter().map(|one| {
        let key = String::from_utf8(one.key.to_vec()).unwrap();
        (key, one.value.map(hex))
    });
    let headers: Vec<_> = headers.collect();
    assert_eq!(headers, expected.headers, "{name}");
    assert_eq!(record.headers.len(), headers.len(), "{name}");
    assert_eq!(record.headers.is_empty(), headers.is_empty(), "{name}");
}

#[test]
fn what_we_are_stricter_about_is_refused_by_name() {
    let files = files();
    for (name, _why) in STRICTER {
        let found = files.iter().find(|(file, _)| file.file == name);
        let (_, bytes) = found.unwrap_or_else(|| panic!("{name} is not there"));
        let mut batches = BatchIter::new(bytes.clone());
        let error = batches.next().unwrap().unwrap_err();
        let magic = bytes[16].cast_signed();
        let expected = if name == "bad-length-48.bin" {
            RecordsError::HeaderCut { size: 60 }
        } else {
            RecordsError::OldMessageSet { magic }
        };
        assert_eq!(error, expected, "{name}");
        assert!(batches.next().is_none(), "{name}");
    }
}

#[test]
fn a_limit_one_byte_too_small_is_said_of_every_codec() {
    let mut seen = Vec::new();
    for (file, bytes) in files().into_iter().filter(|(file, _)| file.good) {
        let name = &file.file;
        for batch in BatchIter::new(bytes) {
            let batch = batch.unwrap();
            let codec = batch.header().compression().unwrap();
            if codec == Compression::None {
                continue;
            }
            let size = batch.body(LIMIT).unwrap().bytes().len();
            assert!(batch.body(DecompressLimit::new(size)).is_ok(), "{name}");
            for limit in [size - 1, 0] {
                let error = batch.body(DecompressLimit::new(limit)).unwrap_err();
                assert_eq!(error, RecordsError::OverLimit { limit }, "{name}");
            }
            seen.push(codec);
        }
    }
    for codec in [
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        assert!(seen.contains(&codec), "no batch of {codec}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
