//! What the tests of topic logs share: batches to append, and a log in a directory of its own.

use bytes::Bytes;

use super::{LogConfig, PartitionLog, ValidBatch};

/// The wall clock of these tests, milliseconds since 1970.
pub(crate) const NOW: i64 = 1_700_000_000_000;

/// A producer's id, epoch and first sequence.
pub(crate) type Producer = (i64, i16, i32);

/// A batch as a producer sends it: one record for each timestamp, `value` bytes each.
pub(crate) fn batch_of(timestamps: &[i64], value: usize, producer: Option<Producer>) -> Bytes {
    let base = timestamps[0];
    let mut body = Vec::new();
    for (delta, timestamp) in timestamps.iter().enumerate() {
        let mut record = vec![0];
        varint(&mut record, timestamp - base);
        varint(&mut record, i64::try_from(delta).unwrap());
        varint(&mut record, -1);
        varint(&mut record, i64::try_from(value).unwrap());
        record.extend((0..value).map(|at| u8::try_from((at + delta) % 251).unwrap()));
        varint(&mut record, 0);
        varint(&mut body, i64::try_from(record.len()).unwrap());
        body.extend(record);
    }
    sealed(timestamps, producer, 0, &body)
}

/// One record, of so many megabytes of zeros, in a few kilobytes of zstd.
pub(crate) fn bomb(mebibytes: usize, producer: Option<Producer>) -> Bytes {
    const BLOCK: usize = 128 * 1024;
    let blocks = mebibytes * 8;
    let value = i64::try_from(blocks * BLOCK).unwrap();
    let mut fields = vec![0, 0, 0, 1];
    varint(&mut fields, value);
    let mut record = Vec::new();
    varint(
        &mut record,
        value + i64::try_from(fields.len()).unwrap() + 1,
    );
    record.extend(fields);
    // A frame with a window of 2 MiB: a raw block, one byte for each block of zeros, the number of headers.
    let mut body = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    let mut block = |size: usize, kind: u32, last: u32, content: &[u8]| {
        let header = u32::try_from(size).unwrap() << 3 | kind << 1 | last;
        body.extend(&header.to_le_bytes()[..3]);
        body.extend(content);
    };
    block(record.len(), 0, 0, &record);
    (0..blocks).for_each(|_| block(BLOCK, 1, 0, &[0]));
    block(1, 0, 1, &[0]);
    sealed(&[NOW], producer, 4, &body)
}

/// A batch of records with these timestamps.
fn sealed(timestamps: &[i64], producer: Option<Producer>, attributes: i16, body: &[u8]) -> Bytes {
    let (id, epoch, sequence) = producer.unwrap_or((-1, -1, -1));
    let base = timestamps[0];
    let count = i32::try_from(timestamps.len()).unwrap();
    let mut covered = Vec::new();
    covered.extend(attributes.to_be_bytes());
    covered.extend((count - 1).to_be_bytes());
    covered.extend(base.to_be_bytes());
    covered.extend(timestamps.iter().max().unwrap().to_be_bytes());
    covered.extend(id.to_be_bytes());
    covered.extend(epoch.to_be_bytes());
    covered.extend(sequence.to_be_bytes());
    covered.extend(count.to_be_bytes());
    covered.extend(body);
    let mut out = Vec::new();
    out.extend(0_i64.to_be_bytes());
    out.extend(i32::try_from(covered.len() + 9).unwrap().to_be_bytes());
    out.extend((-1_i32).to_be_bytes());
    out.push(2);
    out.extend(crc32c::crc32c(&covered).to_be_bytes());
    out.extend(covered);
    out.into()
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
}

/// The same, checked.
pub(crate) fn batch(timestamps: &[i64], value: usize, producer: Option<Producer>) -> ValidBatch {
    ValidBatch::check(batch_of(timestamps, value, producer)).unwrap()
}

/// A log in `dir` with small segments: a handful of batches each.
pub(crate) fn open(dir: &std::path::Path) -> PartitionLog {
    PartitionLog::open(dir, small(), NOW).unwrap()
}

/// Segments of 1,000 bytes, an index entry every 200.
pub(crate) fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 1_000,
        index_interval_bytes: 200,
        ..LogConfig::default()
    }
}

/// Every file of a directory with its bytes, by name.
pub(crate) fn files_of(dir: &std::path::Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(path).unwrap(),
            )
        })
        .collect()
}

/// Makes a directory hold exactly these files.
pub(crate) fn restore(dir: &std::path::Path, files: &std::collections::BTreeMap<String, Vec<u8>>) {
    if dir.exists() {
        std::fs::remove_dir_all(dir).unwrap();
    }
    std::fs::create_dir_all(dir).unwrap();
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
}
