//! What every engine promises, over each engine there is: the trait's own words as tests. The journal lies in a
//! temporary directory, so this is also the public interface as an embedder uses it.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::sync::Arc;
use std::sync::mpsc::channel;

use bytes::Bytes;
use callboard_offsets::journal::{Journal, JournalConfig};
use callboard_offsets::log::{
    Batch, BatchId, Chunk, Condition, End, LogError, OffsetsLog, Resolution, StoredBatch,
};
use callboard_offsets::memory::MemoryLog;
use callboard_supervision::testing::Limit;
use common::{append, batch, land, open, resolve, scan};

const PARTITIONS: u32 = 3;

/// Runs a story over every engine.
fn each(story: impl Fn(&dyn OffsetsLog)) {
    let _limit = Limit::start();
    story(&MemoryLog::new(PARTITIONS));
    let dir = tempfile::tempdir().unwrap();
    let mut config = JournalConfig::new(dir.path());
    config.partitions = PARTITIONS;
    config.segment_bytes = 2 * 1024 * 1024;
    story(&Journal::open(&config).unwrap());
}

#[test]
fn a_new_partition_is_empty() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        assert_eq!(opened.lease.partition, 0);
        assert_eq!(opened.end, End::default());
        assert_eq!(log.offsets(0), Some(0..0));
        assert_eq!(scan(log, 0, 0..u64::MAX), Ok(vec![]));
        assert_eq!(log.read(0, 0, 1000).unwrap().batches, Vec::<Bytes>::new());
    });
}

#[test]
fn positions_count_batches_and_offsets_count_records() {
    each(|log| {
        let opened = open(log, 1).unwrap();
        let mut end = opened.end;
        for (position, records) in [3, 0, 1].into_iter().enumerate() {
            let batch = Batch {
                records,
                ..batch(position as u128, end, format!("batch {position}"))
            };
            end = batch.end_after();
            assert_eq!(append(log, opened.lease, batch), Ok(position as u64));
        }
        let expected = End {
            position: 3,
            offset: 4,
        };
        assert_eq!(end, expected);
        assert_eq!(open(log, 1).unwrap().end, expected);
        assert_eq!(log.offsets(1), Some(0..4));
        assert_eq!(log.offsets(0), Some(0..0));
    });
}

#[test]
fn a_scan_gives_back_what_was_appended() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        let mut end = opened.end;
        let mut expected = Vec::new();
        for position in 0..5_u8 {
            let batch = Batch {
                marks: Bytes::from(vec![position; position.into()]),
                ..batch(position.into(), end, vec![position; 100])
            };
            expected.push(StoredBatch {
                position: end.position,
                base_offset: end.offset,
                marks: batch.marks.clone(),
                kafka: batch.kafka.clone(),
            });
            end = batch.end_after();
            append(log, opened.lease, batch).unwrap();
        }
        assert_eq!(scan(log, 0, 0..u64::MAX), Ok(expected.clone()));
        assert_eq!(scan(log, 0, 1..3), Ok(expected[1..3].to_vec()));
        assert_eq!(scan(log, 0, 5..9), Ok(vec![]));
        assert_eq!(scan(log, 0, 3..3), Ok(vec![]));
        let mut seen = 0;
        log.scan(0, 0..5, &mut |_| {
            seen += 1;
            std::ops::ControlFlow::Break(())
        })
        .unwrap();
        assert_eq!(seen, 1, "the visitor may stop");
    });
}

#[test]
fn a_read_gives_the_batch_that_holds_an_offset_and_what_fits_behind_it() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        let mut end = opened.end;
        for (records, kafka) in [(2, "aaaa"), (0, ""), (1, "bbbb"), (3, "cccc")] {
            let batch = Batch {
                records,
                marks: Bytes::from_static(b"marks"),
                ..batch(1, end, kafka)
            };
            end = batch.end_after();
            append(log, opened.lease, batch).unwrap();
        }
        let read = |offset, bytes| {
            let fetched = log.read(0, offset, bytes).unwrap();
            assert_eq!(fetched.offsets, 0..6);
            fetched.batches
        };
        assert_eq!(read(0, 1000), ["aaaa", "bbbb", "cccc"]);
        assert_eq!(read(1, 1000), ["aaaa", "bbbb", "cccc"]);
        assert_eq!(read(2, 1000), ["bbbb", "cccc"]);
        assert_eq!(read(5, 1000), ["cccc"]);
        assert_eq!(read(0, 8), ["aaaa", "bbbb"]);
        assert_eq!(read(0, 7), ["aaaa"]);
        assert_eq!(read(0, 0), ["aaaa"], "one batch always comes");
        assert_eq!(read(6, 1000), Vec::<Bytes>::new());
        assert_eq!(read(-1, 1000), Vec::<Bytes>::new());
        assert_eq!(read(99, 1000), Vec::<Bytes>::new());
    });
}

#[test]
fn an_append_that_expects_another_end_fails_and_takes_those_behind_it_along() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        let first = batch(1, opened.end, "first");
        let end = first.end_after();
        append(log, opened.lease, first).unwrap();
        let wrong = End {
            position: end.position + 1,
            ..end
        };
        let behind = batch(2, wrong, "behind");
        let further = batch(3, behind.end_after(), "further");
        let actual = end.position;
        assert_eq!(
            append(log, opened.lease, behind),
            Err(LogError::WrongEnd { actual })
        );
        assert_eq!(
            append(log, opened.lease, further),
            Err(LogError::WrongEnd { actual })
        );
        let wrong = End {
            offset: end.offset + 1,
            ..end
        };
        let other = batch(4, wrong, "another offset");
        assert_eq!(
            append(log, opened.lease, other),
            Err(LogError::WrongEnd { actual })
        );
        assert_eq!(append(log, opened.lease, batch(5, end, "right")), Ok(1));
    });
}

#[test]
fn every_open_fences_the_ones_before_it() {
    each(|log| {
        let first = open(log, 0).unwrap();
        let second = open(log, 0).unwrap();
        assert!(second.lease.epoch > first.lease.epoch);
        let fenced = LogError::Fenced {
            current: second.lease.epoch,
        };
        assert_eq!(
            append(log, first.lease, batch(1, first.end, "late")),
            Err(fenced.clone())
        );
        assert_eq!(resolve(log, first.lease, 0, 1), Err(fenced));
        assert_eq!(
            append(log, second.lease, batch(2, second.end, "good")),
            Ok(0)
        );
        // Other partitions do not notice.
        let other = open(log, 1).unwrap();
        open(log, 0).unwrap();
        assert_eq!(
            append(log, other.lease, batch(3, other.end, "other")),
            Ok(0)
        );
    });
}

fn snapshot(log: &dyn OffsetsLog, upto: End, chunks: &[&Chunk]) -> Result<(), LogError> {
    let mut chunks = chunks.iter().map(|chunk| Ok(Chunk::clone(chunk)));
    log.snapshot(0, upto, &mut chunks)
}

#[test]
fn a_snapshot_takes_the_place_of_what_lies_before_it() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        let mut end = opened.end;
        for id in 0..5 {
            let batch = batch(id, end, format!("{id}"));
            end = batch.end_after();
            append(log, opened.lease, batch).unwrap();
        }
        let upto = End {
            position: 3,
            offset: 3,
        };
        let chunk = Chunk {
            base_offset: 1,
            end_offset: 2,
            marks: Bytes::from_static(b"marks"),
            kafka: Bytes::from_static(b"live"),
        };
        let before = log.backlog(0).unwrap();
        snapshot(log, upto, &[&chunk]).unwrap();
        let after = log.backlog(0).unwrap();
        assert!(after.log_bytes < before.log_bytes && after.snapshot_bytes > 0);
        let held = || {
            let batches = scan(log, 0, 0..u64::MAX).unwrap().into_iter();
            let fields = batches.map(|batch| (batch.position, batch.base_offset, batch.kafka));
            fields.collect::<Vec<_>>()
        };
        let live = |position, offset, kafka| (position, offset, Bytes::from_static(kafka));
        let expected = [live(2, 1, b"live"), live(3, 3, b"3"), live(4, 4, b"4")];
        assert_eq!(held(), expected);
        assert_eq!(scan(log, 0, 0..u64::MAX).unwrap()[0].marks, chunk.marks);
        assert_eq!(scan(log, 0, 3..u64::MAX).unwrap().len(), 2);
        let read = |offset| log.read(0, offset, 1000).unwrap().batches;
        assert_eq!(read(0), ["live", "3", "4"]);
        assert_eq!(read(2), ["3", "4"]);
        assert_eq!(read(4), ["4"]);
        assert_eq!(log.offsets(0), Some(0..5));
        // An older one is passed over, one of what has not landed is refused.
        let older = End {
            position: 2,
            offset: 2,
        };
        snapshot(log, older, &[]).unwrap();
        assert_eq!(held(), expected);
        let ahead = End {
            position: 6,
            offset: 6,
        };
        let refused = Err(LogError::WrongEnd { actual: 5 });
        assert_eq!(snapshot(log, ahead, &[]), refused);
        // Everything may be dead.
        snapshot(log, end, &[]).unwrap();
        assert_eq!(held(), []);
        assert_eq!(append(log, opened.lease, batch(9, end, "next")), Ok(5));
        assert_eq!(read(0), ["next"]);
    });
}

#[test]
fn an_append_is_found_by_its_id() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        append(log, opened.lease, batch(5, opened.end, "x")).unwrap();
        assert_eq!(resolve(log, opened.lease, 0, 5), Ok(Resolution::Applied));
        assert_eq!(resolve(log, opened.lease, 0, 6), Ok(Resolution::NotApplied));
        assert_eq!(resolve(log, opened.lease, 1, 5), Ok(Resolution::NotApplied));
        assert_eq!(
            resolve(log, opened.lease, u64::MAX, 5),
            Ok(Resolution::NotApplied)
        );
    });
}

#[test]
fn the_largest_batch_fits_and_one_byte_more_does_not() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        let max = log.capabilities().batch_bytes_max;
        let large = Batch {
            marks: Bytes::from(vec![1; 10]),
            ..batch(1, opened.end, vec![2; max - 9])
        };
        assert_eq!(
            append(log, opened.lease, large),
            Err(LogError::TooLarge { max })
        );
        let large = batch(1, opened.end, vec![2; max]);
        let end = large.end_after();
        assert_eq!(append(log, opened.lease, large.clone()), Ok(0));
        assert_eq!(
            append(log, opened.lease, batch(2, end, "")),
            Ok(1),
            "nor is an empty one a problem"
        );
        let read = scan(log, 0, 0..9).unwrap();
        assert_eq!(read[0].kafka, large.kafka);
        assert_eq!(log.read(0, 0, 1).unwrap().batches, [large.kafka]);
    });
}

#[test]
fn a_partition_that_does_not_exist_is_said_so() {
    each(|log| {
        let missing = LogError::NoSuchPartition {
            partition: PARTITIONS,
        };
        assert_eq!(open(log, PARTITIONS), Err(missing.clone()));
        let mut lease = open(log, 0).unwrap().lease;
        lease.partition = PARTITIONS;
        assert_eq!(
            append(log, lease, batch(1, End::default(), "x")),
            Err(missing.clone())
        );
        assert_eq!(resolve(log, lease, 0, 1), Err(missing.clone()));
        assert_eq!(scan(log, PARTITIONS, 0..1), Err(missing.clone()));
        assert_eq!(log.read(PARTITIONS, 0, 1), Err(missing));
        assert_eq!(log.offsets(PARTITIONS), None);
    });
}

#[test]
fn pipelined_appends_are_answered_in_order() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        let (sender, receiver) = channel();
        let mut end = opened.end;
        for id in 0..500_u128 {
            let batch = batch(id, end, format!("{id}"));
            end = batch.end_after();
            let sender = sender.clone();
            let done = Box::new(move |result| sender.send((id, result)).unwrap());
            log.append(opened.lease, batch, done);
        }
        drop(sender);
        let answers: Vec<_> = receiver.iter().collect();
        let expected: Vec<_> = (0..500).map(|id| (u128::from(id), Ok(id))).collect();
        assert_eq!(answers, expected);
    });
}

#[test]
fn health_is_good_and_counts_bytes() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        land(log, opened, &["x", "y"]);
        let health = log.health();
        assert_eq!(health.condition, Condition::Good);
        assert_eq!(health.queued_bytes, 0);
        assert!(health.log_bytes > 0);
        assert_eq!(health.corrupt_partitions, []);
    });
}

#[test]
fn writers_of_many_threads_do_not_mix() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let engines: [Arc<dyn OffsetsLog>; 2] = [
        Arc::new(MemoryLog::new(50)),
        Arc::new(Journal::open(&JournalConfig::new(dir.path())).unwrap()),
    ];
    for log in engines {
        std::thread::scope(|scope| {
            for partition in 0..50 {
                let log = &log;
                scope.spawn(move || {
                    let opened = open(&**log, partition).unwrap();
                    let mut end = opened.end;
                    for number in 0..20 {
                        let batch = batch(number, end, format!("{number} of {partition}"));
                        end = batch.end_after();
                        assert_eq!(append(&**log, opened.lease, batch), Ok(number as u64));
                        assert_eq!(
                            log.offsets(partition),
                            Some(0..end.offset),
                            "visible when answered"
                        );
                    }
                });
            }
        });
        for partition in 0..50 {
            let held = scan(&*log, partition, 0..u64::MAX).unwrap();
            let payloads: Vec<_> = held.iter().map(|batch| batch.kafka.clone()).collect();
            let expected: Vec<_> = (0..20)
                .map(|number| format!("{number} of {partition}"))
                .collect();
            assert_eq!(payloads, expected);
        }
    }
}

#[test]
fn a_batch_id_is_kept_whole() {
    each(|log| {
        let opened = open(log, 0).unwrap();
        let id = u128::MAX - 5;
        append(
            log,
            opened.lease,
            Batch {
                id: BatchId(id),
                ..batch(0, opened.end, "x")
            },
        )
        .unwrap();
        assert_eq!(resolve(log, opened.lease, 0, id), Ok(Resolution::Applied));
        assert_eq!(
            resolve(log, opened.lease, 0, id & u128::from(u64::MAX)),
            Ok(Resolution::NotApplied)
        );
    });
}
