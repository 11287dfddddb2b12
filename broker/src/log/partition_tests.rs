//! One log on disk: what is appended is read back byte for byte, offsets and errors are Kafka's.

use proptest::prelude::*;

use super::super::testing::{NOW, batch, batch_of, files_of, open, small};
use super::super::{AtLeast, FoundOffset, Offsets};
use super::*;

fn append(log: &mut PartitionLog, timestamps: &[i64], value: usize) -> Appended {
    log.append(&batch(timestamps, value, None), NOW).unwrap()
}

/// Everything in the log from its start.
fn all(log: &PartitionLog) -> Vec<u8> {
    let reader = log.reader();
    let Offsets { log_start, end } = reader.offsets();
    let (mut bytes, mut from) = (Vec::new(), log_start);
    while from < end {
        let chunk = reader.read(from, 1, AtLeast::OneBatch).unwrap().records;
        let header = super::super::batch::parse_header(&chunk).unwrap();
        assert_eq!(header.size, chunk.len() as u64);
        from = header.last_offset + 1;
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

#[test]
fn batches_get_consecutive_offsets_and_keep_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    assert_eq!(
        log.reader().offsets(),
        Offsets {
            log_start: 0,
            end: 0
        }
    );
    assert_eq!(
        append(&mut log, &[NOW, NOW + 1, NOW + 2], 10).base_offset,
        0
    );
    assert_eq!(append(&mut log, &[NOW], 10).base_offset, 3);
    let chunk = log.reader().read(1, 10_000, AtLeast::Nothing).unwrap();
    assert_eq!(
        chunk.offsets,
        Offsets {
            log_start: 0,
            end: 4
        }
    );
    // Base offset and leader epoch are the broker's, everything else the producer's.
    let mut first = batch_of(&[NOW, NOW + 1, NOW + 2], 10, None).to_vec();
    first[12..16].fill(0);
    let mut second = batch_of(&[NOW], 10, None).to_vec();
    second[12..16].fill(0);
    second[7] = 3;
    assert_eq!(chunk.records, [first, second].concat());
}

#[test]
fn reads_outside_of_the_log_are_refused_and_at_its_end_are_empty() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    append(&mut log, &[NOW, NOW], 10);
    let reader = log.reader();
    assert!(
        reader
            .read(2, 100, AtLeast::OneBatch)
            .unwrap()
            .records
            .is_empty()
    );
    for outside in [-1, 3, i64::MAX, i64::MIN] {
        let error = reader.read(outside, 100, AtLeast::OneBatch).unwrap_err();
        assert_eq!(error.code().0, 1, "{outside}");
    }
}

#[test]
fn the_first_batch_comes_whatever_its_size_where_asked_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    append(&mut log, &[NOW], 300);
    append(&mut log, &[NOW], 10);
    let reader = log.reader();
    assert!(
        reader
            .read(0, 100, AtLeast::Nothing)
            .unwrap()
            .records
            .is_empty()
    );
    assert_eq!(
        reader
            .read(0, 100, AtLeast::OneBatch)
            .unwrap()
            .records
            .len(),
        batch_of(&[NOW], 300, None).len()
    );
    assert_eq!(
        reader.read(1, 100, AtLeast::Nothing).unwrap().records.len(),
        batch_of(&[NOW], 10, None).len()
    );
}

#[test]
fn what_kafka_refuses_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        max_message_bytes: 500,
        segment_bytes: 400,
        ..LogConfig::default()
    };
    let mut log = PartitionLog::open(dir.path(), config, NOW).unwrap();
    let mut code = |timestamps: &[i64], value| {
        log.append(&batch(timestamps, value, None), NOW)
            .unwrap_err()
            .code()
            .0
    };
    assert_eq!(code(&[NOW], 500), 10);
    assert_eq!(code(&[NOW], 400), 18);
    assert_eq!(code(&[NOW, NOW + 3_600_001], 1), 32);
    assert_eq!(log.reader().offsets().end, 0);
    assert!(files_of(dir.path()).is_empty());
    let mut transactional = batch_of(&[NOW], 1, Some((7, 0, 0))).to_vec();
    transactional[22] = 1 << 4;
    let crc = crc32c::crc32c(&transactional[21..]);
    transactional[17..21].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(
        log.append(&ValidBatch::check(transactional.into()).unwrap(), NOW)
            .unwrap_err()
            .code()
            .0,
        48
    );
}

#[test]
fn the_brokers_timestamp_replaces_the_producers() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        stamped_by: StampedBy::Broker,
        ..small()
    };
    let mut log = PartitionLog::open(dir.path(), config, NOW).unwrap();
    let appended = log.append(&batch(&[5, i64::MAX], 10, None), NOW).unwrap();
    assert_eq!(appended.log_append_time, NOW);
    let stored = all(&log);
    assert!(super::super::batch::intact(&stored));
    let header = super::super::batch::parse_header(&stored).unwrap();
    assert_eq!((header.max_timestamp, header.attributes), (NOW, 1 << 3));
    assert_eq!(
        log.reader().offset_for(NOW).unwrap(),
        Some(FoundOffset {
            offset: 0,
            timestamp: NOW
        })
    );
}

#[test]
fn a_duplicate_gets_the_offset_it_had_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    append(&mut log, &[NOW], 10);
    let sent = batch(&[NOW - 5, NOW - 4], 300, Some((4_000, 0, 0)));
    let first = log.append(&sent, NOW).unwrap();
    assert_eq!((first.base_offset, first.records), (1, 2));
    for _ in 0..3 {
        let again = log.append(&sent, NOW).unwrap();
        assert_eq!(
            (again.base_offset, again.records, again.log_append_time),
            (1, 0, NOW - 4)
        );
        // Not closed: the states come from the headers.
        drop(log);
        log = open(dir.path());
    }
    let next = batch(&[NOW], 300, Some((4_000, 0, 2)));
    assert_eq!(log.append(&next, NOW).unwrap().base_offset, 3);
    log.close().unwrap();
    drop(log);
    // Closed: from the snapshot.
    let mut log = open(dir.path());
    assert_eq!(log.append(&next, NOW).unwrap().base_offset, 3);
    assert_eq!(
        log.append(&batch(&[NOW], 1, Some((4_000, 0, 9))), NOW)
            .unwrap_err()
            .code()
            .0,
        45
    );
    assert_eq!(
        log.append(&batch(&[NOW], 1, Some((4_000, 1, 0))), NOW)
            .unwrap()
            .base_offset,
        4
    );
    assert_eq!(
        log.append(&batch(&[NOW], 1, Some((4_000, 0, 3))), NOW)
            .unwrap_err()
            .code()
            .0,
        47
    );
}

#[test]
fn full_files_are_closed_and_the_log_is_read_across_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for at in 0..10 {
        append(&mut log, &[NOW + at, NOW + at], 200);
    }
    let before = all(&log);
    let names: Vec<String> = files_of(dir.path())
        .into_keys()
        .filter(|name| name.ends_with(".log"))
        .collect();
    assert!(names.len() > 3, "{names:?}");
    assert_eq!(names[0], "00000000000000000000.log");
    assert_eq!(log.reader().size(), before.len() as u64);
    drop(log);
    let log = open(dir.path());
    assert_eq!(all(&log), before);
    assert_eq!(
        log.reader().offsets(),
        Offsets {
            log_start: 0,
            end: 20
        }
    );
}

#[test]
fn timestamps_are_found_where_kafka_finds_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let reader = log.reader();
    assert_eq!(
        reader.offset_for(-1).unwrap(),
        Some(FoundOffset {
            offset: 0,
            timestamp: -1
        })
    );
    assert_eq!(reader.offset_for(-3).unwrap(), None);
    assert_eq!(reader.offset_for(0).unwrap(), None);
    // Timestamps per offset: 0..=2, 3..=5 … with one batch out of order.
    let stamps = [
        [10, 12, 11],
        [20, 20, 25],
        [22, 21, 24],
        [40, 50, 60],
        [31, 32, 33],
    ];
    for timestamps in &stamps {
        append(&mut log, &timestamps.map(|at| NOW + at), 150);
    }
    let flat: Vec<i64> = stamps.as_flattened().iter().map(|at| NOW + at).collect();
    for timestamp in NOW..NOW + 70 {
        let expected = flat.iter().position(|at| *at >= timestamp);
        let expected = expected.map(|at| FoundOffset {
            offset: i64::try_from(at).unwrap(),
            timestamp: flat[at],
        });
        assert_eq!(
            reader.offset_for(timestamp).unwrap(),
            expected,
            "{}",
            timestamp - NOW
        );
    }
    assert_eq!(
        reader.offset_for(-3).unwrap(),
        Some(FoundOffset {
            offset: 11,
            timestamp: NOW + 60
        })
    );
    assert_eq!(
        reader.offset_for(-2).unwrap(),
        Some(FoundOffset {
            offset: 0,
            timestamp: -1
        })
    );
    assert_eq!(
        reader.offset_for(-1).unwrap(),
        Some(FoundOffset {
            offset: 15,
            timestamp: -1
        })
    );
    assert_eq!(reader.offset_for(-5).unwrap(), None);
    log.delete_records(4).unwrap();
    assert_eq!(
        reader.offset_for(NOW).unwrap(),
        Some(FoundOffset {
            offset: 4,
            timestamp: NOW + 20
        })
    );
    assert_eq!(
        reader.offset_for(-2).unwrap(),
        Some(FoundOffset {
            offset: 4,
            timestamp: -1
        })
    );
}

#[test]
fn retention_by_size_and_time_moves_the_log_start() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        retention_bytes: Some(1_500),
        retention_ms: Some(1_000),
        ..small()
    };
    let mut log = PartitionLog::open(dir.path(), config.clone(), NOW).unwrap();
    for at in 0..10 {
        append(&mut log, &[NOW + at], 400);
    }
    assert_eq!(log.enforce_retention(NOW).unwrap(), 3);
    assert_eq!(
        log.reader().offsets(),
        Offsets {
            log_start: 6,
            end: 10
        }
    );
    assert_eq!(
        log.reader()
            .read(5, 100, AtLeast::OneBatch)
            .unwrap_err()
            .code()
            .0,
        1
    );
    // Everything is old: the end offset survives, on disk too.
    assert_eq!(log.enforce_retention(NOW + 5_000).unwrap(), 2);
    assert_eq!(
        log.reader().offsets(),
        Offsets {
            log_start: 10,
            end: 10
        }
    );
    assert_eq!(log.enforce_retention(NOW + 9_000).unwrap(), 0);
    drop(log);
    let mut log = PartitionLog::open(dir.path(), config, NOW).unwrap();
    assert_eq!(
        log.reader().offsets(),
        Offsets {
            log_start: 10,
            end: 10
        }
    );
    assert_eq!(append(&mut log, &[NOW], 1).base_offset, 10);
}

#[test]
fn deleted_records_stay_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for at in 0..10 {
        append(&mut log, &[NOW + at], 400);
    }
    let reader = log.reader();
    assert_eq!(log.delete_records(5).unwrap(), 5);
    assert_eq!(log.delete_records(3).unwrap(), 5);
    assert_eq!(log.delete_records(11).unwrap_err().code().0, 1);
    assert_eq!(
        reader.offsets(),
        Offsets {
            log_start: 5,
            end: 10
        }
    );
    drop(log);
    let mut log = open(dir.path());
    assert_eq!(
        log.reader().offsets(),
        Offsets {
            log_start: 5,
            end: 10
        }
    );
    assert_eq!(log.delete_records(-1).unwrap(), 10);
    drop(log);
    assert_eq!(
        open(dir.path()).reader().offsets(),
        Offsets {
            log_start: 10,
            end: 10
        }
    );
}

#[test]
fn an_order_to_flush_is_kept_per_so_many_records() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        flush_messages: 3,
        ..LogConfig::default()
    };
    let mut log = PartitionLog::open(dir.path(), config, NOW).unwrap();
    append(&mut log, &[NOW], 1);
    assert_eq!((log.unflushed, log.dirty, log.dir_dirty), (1, true, true));
    assert!(log.append_waits(&batch(&[NOW, NOW], 1, None), NOW));
    append(&mut log, &[NOW, NOW], 1);
    assert_eq!((log.unflushed, log.dirty, log.dir_dirty), (0, false, false));
}

#[derive(Clone, Debug)]
struct Plan {
    batches: Vec<(usize, usize)>,
    reads: Vec<(usize, usize)>,
    restart_at: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let batches = prop::collection::vec((1..6_usize, 0..170_usize), 1..25);
    let reads = prop::collection::vec((0..200_usize, 0..4_000_usize), 1..40);
    (batches, reads, 0..25_usize).prop_map(|(batches, reads, restart_at)| Plan {
        batches,
        reads,
        restart_at,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the offset and the limit: whole stored batches, starting with the one that holds the offset.
    #[test]
    fn reads_return_exactly_what_was_appended(plan in plan()) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path());
        // Per batch: base offset, last offset, stored bytes.
        let mut stored: Vec<(i64, i64, Vec<u8>)> = Vec::new();
        for (at, (records, value)) in plan.batches.iter().enumerate() {
            if at == plan.restart_at {
                drop(log);
                log = open(dir.path());
            }
            let timestamps = vec![NOW; *records];
            let appended = append(&mut log, &timestamps, *value);
            let mut bytes = batch_of(&timestamps, *value, None).to_vec();
            bytes[..8].copy_from_slice(&appended.base_offset.to_be_bytes());
            bytes[12..16].copy_from_slice(&log.reader().leader_epoch().to_be_bytes());
            stored.push((appended.base_offset, appended.base_offset + i64::try_from(*records).unwrap() - 1, bytes));
        }
        let reader = log.reader();
        let end = stored.last().unwrap().1 + 1;
        prop_assert_eq!(reader.offsets(), Offsets { log_start: 0, end });
        for (from, max_bytes) in plan.reads {
            let from = i64::try_from(from).unwrap() % (end + 1);
            let chunk = reader.read(from, max_bytes, AtLeast::OneBatch).unwrap();
            let rest: Vec<u8> = stored.iter().filter(|(_, last, _)| *last >= from).flat_map(|batch| batch.2.clone()).collect();
            prop_assert!(rest.starts_with(&chunk.records));
            let first = stored.iter().find(|(_, last, _)| *last >= from).map_or(0, |batch| batch.2.len());
            prop_assert!(chunk.records.len() <= max_bytes.max(first));
            prop_assert!(chunk.records.len() >= first);
            prop_assert_eq!(super::super::batch::whole_batches(&chunk.records), chunk.records.len());
            let frugal = reader.read(from, max_bytes, AtLeast::Nothing).unwrap();
            prop_assert_eq!(frugal.records.is_empty(), first == 0 || first > max_bytes);
        }
    }
}

/// A log that is started again while its topic is deleted would leave files that belong to nothing.
#[test]
fn a_topic_that_has_gone_gets_no_directory() {
    let topics = tempfile::tempdir().unwrap();
    let topic = topics.path().join("01010101010101010101010101010101");
    let error = PartitionLog::open(&topic.join("0"), small(), NOW).unwrap_err();
    assert!(matches!(error, LogError::Storage { .. }), "{error}");
    assert!(!topic.exists());
    std::fs::create_dir(&topic).unwrap();
    assert!(PartitionLog::open(&topic.join("0"), small(), NOW).is_ok());
}
