//! What the writer writes the reader reads, for every codec; and an independent implementation reads ours and writes
//! what we read. The peer sees only good bytes: it allocates what is announced.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use bytes::{Bytes, BytesMut};
use callboard_protocol::records::{
    BatchBuilder, BatchIter, Compression, DecompressLimit, HEADER_BYTES, Record, RecordsError, Step,
};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as peer;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const LIMIT: DecompressLimit = DecompressLimit::new(16 * 1024 * 1024);

/// A record to be written.
#[derive(Clone, Debug)]
struct Draft {
    timestamp: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<(String, Option<Bytes>)>,
}

#[derive(Clone, Copy, Debug)]
struct Identity {
    id: i64,
    epoch: i16,
    sequence: i32,
}

fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    // Repetition, so that codecs have something to find.
    let noise = vec(any::<u8>(), 0..=most.min(40));
    (noise, 1..=most.div_ceil(40)).prop_map(|(noise, times)| Bytes::from(noise.repeat(times)))
}

fn draft(timestamp: impl Strategy<Value = i64>) -> impl Strategy<Value = Draft> {
    let headers = vec((".{0,8}", option::of(bytes(20))), 0..4);
    (
        timestamp,
        option::of(bytes(30)),
        option::of(bytes(3_000)),
        headers,
    )
        .prop_map(|(timestamp, key, value, headers)| Draft {
            timestamp,
            key,
            value,
            headers,
        })
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(vec![
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ])
}

fn identity() -> impl Strategy<Value = Option<Identity>> {
    let some = (0..i64::MAX, 0..i16::MAX, 0..i32::MAX - 1_000);
    option::of(some.prop_map(|(id, epoch, sequence)| Identity {
        id,
        epoch,
        sequence,
    }))
}

fn build(
    base_offset: i64,
    codec: Compression,
    identity: Option<Identity>,
    drafts: &[Draft],
) -> Bytes {
    let mut builder = BatchBuilder::new(base_offset, codec);
    if let Some(identity) = identity {
        builder = builder.producer(identity.id, identity.epoch, identity.sequence);
    }
    for draft in drafts {
        builder.push(
            draft.timestamp,
            draft.key.as_deref(),
            draft.value.as_deref(),
            &draft.headers,
        );
    }
    assert_eq!(builder.count(), drafts.len());
    let size = builder.size();
    let bytes = builder.build().unwrap();
    assert!(codec != Compression::None || bytes.len() == size);
    bytes
}

fn assert_same(record: &Record, draft: &Draft) {
    assert_eq!(record.timestamp, draft.timestamp);
    assert_eq!(record.key, draft.key);
    assert_eq!(record.value, draft.value);
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|one| (String::from_utf8(one.key.to_vec()).unwrap(), one.value))
        .collect();
    assert_eq!(headers, draft.headers);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        base_offset in 0..i64::MAX - 1_000,
        codec in codec(),
        identity in identity(),
        drafts in vec(draft(any::<i64>()), 1..40),
    ) {
        let mut bytes = BytesMut::from(&build(base_offset, codec, identity, &drafts)[..]);
        let first = bytes.len();
        bytes.extend_from_slice(&build(base_offset, codec, None, &drafts[..1]));
        let batches: Vec<_> = BatchIter::new(bytes.freeze()).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(batches.len(), 2);
        let batch = &batches[0];
        let header = batch.header();
        prop_assert_eq!(header.size(), first);
        prop_assert_eq!(batch.verify_crc(), Ok(()));
        prop_assert_eq!(header.compression(), Ok(codec));
        prop_assert_eq!(header.base_offset, base_offset);
        prop_assert_eq!(header.next_offset(), base_offset + drafts.len() as i64);
        let newest = drafts.iter().map(|draft| draft.timestamp).max();
        prop_assert_eq!(Some(header.max_timestamp), newest);
        let written = identity.map_or((-1, -1, -1), |one| (one.id, one.epoch, one.sequence));
        let read = (header.producer_id, header.producer_epoch, header.base_sequence);
        prop_assert_eq!(read, written);
        let kinds = (header.is_control(), header.is_transactional(), header.is_log_append_time());
        prop_assert_eq!(kinds, (false, false, false));
        let records: Vec<_> = batch.records(LIMIT).unwrap().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(records.len(), drafts.len());
        for ((record, draft), offset) in records.iter().zip(&drafts).zip(base_offset..) {
            prop_assert_eq!(record.offset, offset);
            assert_same(record, draft);
        }
    }

    #[test]
    fn the_peer_reads_ours(
        base_offset in 0..i64::MAX - 1_000,
        identity in identity(),
        drafts in vec(draft(0..1_i64 << 50), 1..20),
    ) {
        let mut bytes = build(base_offset, Compression::None, identity, &drafts);
        let read = peer::RecordBatchDecoder::decode(&mut bytes).unwrap();
        prop_assert_eq!(read.version, 2);
        prop_assert_eq!(read.records.len(), drafts.len());
        for ((record, draft), offset) in read.records.iter().zip(&drafts).zip(base_offset..) {
            prop_assert_eq!(record.offset, offset);
            prop_assert_eq!(record.timestamp, draft.timestamp);
            prop_assert_eq!(&record.key, &draft.key);
            prop_assert_eq!(&record.value, &draft.value);
            // Of a repeated key the peer keeps the last value, in the first one's place.
            let mut headers: IndexMap<String, Option<Bytes>> = IndexMap::new();
            headers.extend(draft.headers.iter().cloned());
            let theirs: Vec<_> = record.headers.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
            prop_assert_eq!(theirs, headers.into_iter().collect::<Vec<_>>());
            if let Some(identity) = identity {
                prop_assert_eq!((record.producer_id, record.producer_epoch), (identity.id, identity.epoch));
                let sequence = i64::from(identity.sequence) + offset - base_offset;
                prop_assert_eq!(i64::from(record.sequence), sequence);
            }
        }
    }

    #[test]
    fn we_read_the_peers(
        base_offset in 0..i64::MAX - 1_000,
        identity in identity(),
        drafts in vec(draft(0..1_i64 << 50), 1..20),
    ) {
        let records: Vec<peer::Record> = drafts
            .iter()
            .enumerate()
            .map(|(at, draft)| theirs(draft, identity, base_offset, at))
            .collect();
        let options = peer::RecordEncodeOptions { version: 2, compression: peer::Compression::None };
        let mut bytes = BytesMut::new();
        peer::RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
        let batches: Vec<_> = BatchIter::new(bytes.freeze()).collect::<Result<_, _>>().unwrap();
        let mut read = Vec::new();
        for batch in &batches {
            prop_assert_eq!(batch.verify_crc(), Ok(()));
            for record in batch.records(LIMIT).unwrap() {
                read.push(record.unwrap());
            }
        }
        prop_assert_eq!(read.len(), drafts.len());
        for ((record, draft), offset) in read.iter().zip(&records).zip(base_offset..) {
            prop_assert_eq!(record.offset, offset);
            prop_assert_eq!(record.timestamp, draft.timestamp);
            prop_assert_eq!(&record.key, &draft.key);
            prop_assert_eq!(&record.value, &draft.value);
            let ours: Vec<_> = record.headers.iter().map(|one| (one.key, one.value)).collect();
            let theirs: Vec<_> = draft.headers.iter().map(|(key, value)| (key.clone().into_bytes(), value.clone())).collect();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn gaps_between_offsets_are_kept(
        base_offset in 0..i64::MAX / 2,
        codec in codec(),
        gaps in vec(0..10_000_i64, 1..30),
    ) {
        let mut builder = BatchBuilder::new(base_offset, codec).leader_epoch(7);
        let mut next = base_offset;
        let mut offsets = Vec::new();
        for gap in gaps {
            builder.push_at(next + gap, gap, Some(b"key"), None);
            offsets.push(next + gap);
            next += gap + 1;
        }
        let batch = BatchIter::new(builder.build().unwrap()).next().unwrap().unwrap();
        prop_assert_eq!(batch.header().next_offset(), next);
        prop_assert_eq!(batch.header().partition_leader_epoch, 7);
        let body = batch.body(LIMIT).unwrap();
        let read: Vec<_> = body.iter().map(|record| record.unwrap().offset).collect();
        prop_assert_eq!(read, offsets);
    }
}

fn theirs(draft: &Draft, identity: Option<Identity>, base_offset: i64, at: usize) -> peer::Record {
    let headers = draft.headers.iter();
    let at = i32::try_from(at).unwrap();
    peer::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: identity.map_or(-1, |one| one.id),
        producer_epoch: identity.map_or(-1, |one| one.epoch),
        timestamp_type: peer::TimestampType::Creation,
        offset: base_offset + i64::from(at),
        // Without an identity the peer wants the offset's low bits, to see one batch in it.
        sequence: identity.map_or(at, |one| one.sequence + at),
        timestamp: draft.timestamp,
        key: draft.key.clone(),
        value: draft.value.clone(),
        headers: headers
            .map(|(key, value)| (StrBytes::from_string(key.clone()), value.clone()))
            .collect(),
    }
}

#[test]
fn no_record_is_no_batch() {
    for codec in [Compression::None, Compression::Zstd] {
        let bytes = BatchBuilder::new(5, codec).build().unwrap();
        assert!(bytes.is_empty());
    }
}

#[test]
fn what_does_not_fit_the_format_is_said_at_the_end() {
    let mut descending = BatchBuilder::new(10, Compression::None);
    descending.push_at(12, 0, None, None);
    descending.push_at(12, 0, None, None);
    let mut below = BatchBuilder::new(10, Compression::None);
    below.push_at(9, 0, None, None);
    let mut far = BatchBuilder::new(10, Compression::None);
    far.push_at(10 + (1 << 31), 0, None, None);
    for builder in [descending, below, far] {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, RecordsError::Unwritable { .. }), "{error}");
    }
}

#[test]
fn a_bare_snappy_block_is_read_too() {
    let batch = build(0, Compression::None, None, &[plain("value")]);
    let block = snap::raw::Encoder::new()
        .compress_vec(&batch[HEADER_BYTES..])
        .unwrap();
    assert_eq!(
        values(&with_body(&batch, Compression::Snappy, &block)),
        ["value"]
    );
}

#[test]
fn lz4_frames_with_every_checksum_and_block_size_are_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write;

    let value = "line of a long value ".repeat(20_000);
    let batch = build(0, Compression::None, None, &[plain(&value)]);
    for size in [
        BlockSize::Max64KB,
        BlockSize::Max256KB,
        BlockSize::Max1MB,
        BlockSize::Max4MB,
    ] {
        let info = FrameInfo::new()
            .block_size(size)
            .block_mode(BlockMode::Independent)
            .block_checksums(true)
            .content_checksum(true)
            .content_size(Some((batch.len() - HEADER_BYTES) as u64));
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&batch[HEADER_BYTES..]).unwrap();
        let mut frame = encoder.finish().unwrap();
        assert_eq!(
            values(&with_body(&batch, Compression::Lz4, &frame)),
            [value.as_str()]
        );
        // A block's checksum and the descriptor's count.
        for at in [frame.len() - 9, 14] {
            frame[at] ^= 1;
            assert_unreadable(&with_body(&batch, Compression::Lz4, &frame));
            frame[at] ^= 1;
        }
        // The content's, at the end, has to be there. Java's classes read past it, so brokers take any.
        let end = frame.len() - 1;
        let cut = with_body(&batch, Compression::Lz4, &frame[..end]);
        assert_unreadable(&cut);
        frame[end] ^= 1;
        let other = with_body(&batch, Compression::Lz4, &frame);
        assert_eq!(values(&other), [value.as_str()]);
        assert_eq!(scanned(&other), Ok(1));
    }
    // Java refuses blocks that refer to each other.
    let info = FrameInfo::new().block_mode(BlockMode::Linked);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&batch[HEADER_BYTES..]).unwrap();
    let frame = encoder.finish().unwrap();
    assert_unreadable(&with_body(&batch, Compression::Lz4, &frame));
}

#[test]
fn zstd_streams_without_a_content_size_are_read() {
    // As Java writes them: the size is not known when the stream begins.
    let value = "line of a long value ".repeat(20_000);
    let batch = build(0, Compression::None, None, &[plain(&value)]);
    let stream = zstd::stream::encode_all(&batch[HEADER_BYTES..], 3).unwrap();
    assert_eq!(
        values(&with_body(&batch, Compression::Zstd, &stream)),
        [value.as_str()]
    );
}

/// Java stops reading where its stream ends: Kafka takes such a batch.
#[test]
fn what_follows_a_gzip_or_lz4_stream_is_left_alone() {
    use std::io::Write;

    let drafts = [plain("first"), plain("second")];
    let batch = build(0, Compression::None, None, &drafts);
    let one = build(0, Compression::None, None, &drafts[..1]);
    let garbage = [
        &[0x1f][..],
        &[0; 8],
        &[0; 18],
        &[0; 19],
        &[0x1f, 0x8b, 8],
        &[0xff; 5_000],
    ];
    for codec in [Compression::Gzip, Compression::Lz4] {
        let stream = build(0, codec, None, &drafts)[HEADER_BYTES..].to_vec();
        let again = stream.clone();
        let mut behind = garbage.to_vec();
        if codec == Compression::Lz4 {
            // A second frame is as little looked at.
            behind.push(&again);
        }
        for behind in behind {
            let body = [&stream[..], behind].concat();
            let read = with_body(&batch, codec, &body);
            assert_eq!(values(&read), ["first", "second"], "{codec}: {behind:?}");
            assert_eq!(scanned(&read), Ok(2), "{codec}: {behind:?}");
        }
        // What is cut off is not behind it.
        for cut in [1, 4, 8, 9] {
            assert_unreadable(&with_body(&batch, codec, &stream[..stream.len() - cut]));
        }
    }
    // gzip is one member after the other, and each is checked.
    let (first, second) = batch[HEADER_BYTES..].split_at(one.len() - HEADER_BYTES);
    let member = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut body = [member(first), member(&[]), member(second), vec![7; 30]].concat();
    let read = with_body(&batch, Compression::Gzip, &body);
    assert_eq!(values(&read), ["first", "second"]);
    assert_eq!(scanned(&read), Ok(2));
    let length_at = body.len() - 30 - 4;
    body[length_at] ^= 1;
    assert_unreadable(&with_body(&batch, Compression::Gzip, &body));
}

#[test]
fn zstd_frames_follow_each_other_and_nothing_else_does() {
    let drafts = [plain("first"), plain("second")];
    let batch = build(0, Compression::None, None, &drafts);
    let (first, second) = batch[HEADER_BYTES..].split_at(20);
    let frames = [first, second].map(|part| zstd::stream::encode_all(part, 3).unwrap());
    // Behind the second, a frame that is to be skipped.
    let skipped = [
        &0x184d_2a50_u32.to_le_bytes()[..],
        &3_u32.to_le_bytes(),
        b"abc",
    ]
    .concat();
    let body = [&frames.concat()[..], &skipped].concat();
    let read = with_body(&batch, Compression::Zstd, &body);
    assert_eq!(values(&read), ["first", "second"]);
    assert_eq!(scanned(&read), Ok(2));
    for garbage in [&[0; 3][..], &[0xff; 40]] {
        let read = with_body(&batch, Compression::Zstd, &[&body, garbage].concat());
        assert_unreadable(&read);
        assert!(scanned(&read).is_err());
    }
}

/// What a codec holds and the window over its output stay small, whatever comes of a few bytes.
#[test]
fn records_larger_than_any_piece_are_scanned_in_slices() {
    let large = "0123456789".repeat(300_000);
    let mut draft = plain(&large);
    draft.key = Some(Bytes::from(large.clone()));
    draft.headers = vec![
        ("h".repeat(70_000), Some(Bytes::from(large))),
        ("i".into(), None),
    ];
    let drafts = [plain("before"), draft, plain("behind")];
    for codec in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batch = build(0, codec, None, &drafts);
        let batch = BatchIter::new(batch).next().unwrap().unwrap();
        let mut scan = batch.scan().unwrap();
        let (mut seen, mut slices, mut left) = (Vec::new(), 1, 10_000);
        loop {
            match scan.next(&mut left).unwrap() {
                Step::Record(one) => seen.push((one.offset, one.timestamp, one.has_key)),
                Step::Paused => (slices, left) = (slices + 1, 10_000),
                Step::End => break,
            }
        }
        assert_eq!(
            seen,
            [(0, 1, false), (1, 1, true), (2, 1, false)],
            "{codec}"
        );
        // Uncompressed there is nothing to do but to pass over the record.
        assert!(
            slices > 100 || codec == Compression::None,
            "{codec}: {slices}"
        );
    }
}

/// How many records a scan finds.
fn scanned(batch: &Bytes) -> Result<usize, RecordsError> {
    let batch = BatchIter::new(batch.clone()).next().unwrap()?;
    let mut scan = batch.scan()?;
    let mut count = 0;
    while scan.next(&mut { usize::MAX })? != Step::End {
        count += 1;
    }
    Ok(count)
}

fn plain(value: &str) -> Draft {
    Draft {
        timestamp: 1,
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
    }
}

/// A batch with another body and the codec that made it.
fn with_body(batch: &Bytes, codec: Compression, body: &[u8]) -> Bytes {
    let mut header = *BatchIter::new(batch.clone())
        .next()
        .unwrap()
        .unwrap()
        .header();
    header.length = i32::try_from(HEADER_BYTES - 12 + body.len()).unwrap();
    header.attributes = match codec {
        Compression::None => 0,
        Compression::Gzip => 1,
        Compression::Snappy => 2,
        Compression::Lz4 => 3,
        Compression::Zstd => 4,
    };
    [&header.to_bytes()[..], body].concat().into()
}

fn values(batch: &Bytes) -> Vec<String> {
    let batch = BatchIter::new(batch.clone()).next().unwrap().unwrap();
    let records = batch.records(LIMIT).unwrap();
    records
        .map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap())
        .collect()
}

fn assert_unreadable(batch: &Bytes) {
    let batch = BatchIter::new(batch.clone()).next().unwrap().unwrap();
    let error = batch.records(LIMIT).unwrap_err();
    assert!(matches!(error, RecordsError::Decompress { .. }), "{error}");
}
