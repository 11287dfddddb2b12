//! Compaction of the journal on a real disk while it is written to and read.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::channel;

use callboard_supervision::testing::Limit;

use super::work::compact;
use crate::batch;
use crate::index::Index;
use crate::journal::{Journal, JournalConfig};
use crate::log::{Batch, BatchId, LogError, OffsetsLog, Opened};
use crate::record::{OffsetCommitValue, Record};

const KEYS: i32 = 20;
const ROUNDS: i64 = 600;

fn commit(partition: i32, offset: i64) -> Record {
    Record::OffsetCommit {
        group: "g".into(),
        topic: "t".into(),
        partition,
        value: Some(OffsetCommitValue {
            offset,
            leader_epoch: -1,
            metadata: "".into(),
            commit_timestamp_ms: 5,
            expire_timestamp_ms: None,
            topic_id: [0; 16],
        }),
    }
}

fn open(log: &Journal, partition: u32) -> Opened {
    let (sender, opened) = channel();
    log.open(
        partition,
        Box::new(move |result| sender.send(result).unwrap()),
    );
    opened.recv().unwrap().unwrap()
}

/// Commits to one partition, each waited for. Tells how far it has come.
fn work(log: &Journal, partition: u32, durable: &AtomicI64) {
    let Opened { lease, mut end } = open(log, partition);
    for round in 0..ROUNDS {
        let key = i32::try_from(round).unwrap() % KEYS;
        let encoded = batch::encode(&[commit(key, round)], end.offset, round).unwrap();
        let batch = Batch {
            id: BatchId(u128::from(end.position)),
            expected: end,
            records: encoded.records,
            marks: encoded.marks,
            kafka: encoded.kafka,
        };
        end = batch.end_after();
        let (sender, landed) = channel();
        let done = move |result: Result<u64, LogError>| sender.send(result).unwrap();
        log.append(lease, batch, Box::new(done));
        landed.recv().unwrap().unwrap();
        durable.store(round, Ordering::Release);
    }
}

/// Every key has at least what was committed when the reading began.
fn check(seen: &BTreeMap<i32, i64>, durable: i64) {
    for key in 0..KEYS {
        let behind = (durable - i64::from(key)).rem_euclid(i64::from(KEYS));
        let newest = durable - behind;
        if newest >= 0 {
            assert!(seen[&key] >= newest, "key {key}: {} < {newest}", seen[&key]);
        }
    }
}

fn replay(log: &Journal, partition: u32) -> BTreeMap<i32, i64> {
    let mut index = Index::default();
    log.scan(partition, 0..u64::MAX, &mut |stored| {
        let apply = |record: Result<Record, i16>, offset| index.apply(&record.unwrap(), offset);
        batch::decode(&stored.kafka, &stored.marks, stored.base_offset, apply).unwrap();
        ControlFlow::Continue(())
    })
    .unwrap();
    let offsets = index.topic("g", "t").into_iter();
    offsets
        .flat_map(|offsets| offsets.iter())
        .map(|(key, committed)| (key, committed.value.offset))
        .collect()
}

/// As a client fetches: from the start to the end, a piece at a time.
fn fetch(log: &Journal, partition: u32) -> BTreeMap<i32, i64> {
    let mut seen = BTreeMap::new();
    let (mut next, end) = (0, log.offsets(partition).unwrap().end);
    while next < end {
        let fetched = log.read(partition, next, 4096).unwrap();
        assert!(!fetched.batches.is_empty(), "stuck at {next} before {end}");
        for kafka in fetched.batches {
            let base_offset = batch::open(&kafka).unwrap().header().base_offset;
            batch::decode(&kafka, &[], base_offset, |record, offset| {
                if let Ok(Record::OffsetCommit {
                    partition,
                    value: Some(value),
                    ..
                }) = record
                {
                    seen.insert(partition, value.offset);
                }
                next = offset + 1;
            })
            .unwrap();
        }
    }
    seen
}

#[test]
fn whoever_reads_meanwhile_misses_nothing() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = JournalConfig::new(dir.path());
    config.partitions = 2;
    config.segment_bytes = 32 * 1024;
    let log = Journal::open(&config).unwrap();
    let over = AtomicBool::new(false);
    let durable = [const { AtomicI64::new(-1) }; 2];
    let compactions = AtomicI64::new(0);
    // What the threads share.
    let shared = (&log, &over, &compactions);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..)
            .zip(&durable)
            .map(|(partition, durable)| scope.spawn(move || work(shared.0, partition, durable)))
            .collect();
        for (partition, durable) in (0..).zip(&durable) {
            // Two for one partition: one of them is late, now and then.
            for _ in 0..2 {
                scope.spawn(move || {
                    let (log, over, compactions) = shared;
                    while !over.load(Ordering::Acquire) {
                        let upto = log.backlog(partition).unwrap().end;
                        match compact(log, partition, upto, over) {
                            Ok(()) => compactions.fetch_add(1, Ordering::Relaxed),
                            Err(error) => {
                                assert_eq!(error, LogError::Closed);
                                break;
                            }
                        };
                    }
                });
            }
            for read in [replay, fetch] {
                scope.spawn(move || {
                    while !shared.1.load(Ordering::Acquire) {
                        let before = durable.load(Ordering::Acquire);
                        check(&read(shared.0, partition), before);
                    }
                });
            }
        }
        let ended: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        over.store(true, Ordering::Release);
        assert!(ended.iter().all(Result::is_ok));
    });
    assert!(compactions.load(Ordering::Relaxed) > 10);
    log.close().unwrap();
    drop(log);
    let log = Journal::open(&config).unwrap();
    assert_eq!(log.health().corrupt_partitions, []);
    for partition in 0..2 {
        check(&replay(&log, partition), ROUNDS - 1);
        check(&fetch(&log, partition), ROUNDS - 1);
    }
}
