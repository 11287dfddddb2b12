//! What stays of a partition rebuilds the index of all of it.

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use callboard_protocol::records::{BatchBuilder, Compression};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::batch;
use crate::compaction::core::rewrite::CHUNK_BYTES;
use crate::compaction::core::survivors::{Live, Survivors};
use crate::compaction::work::compact;
use crate::index::Index;
use crate::log::{Batch, BatchId, End, LogError, OffsetsLog, Opened, StoredBatch};
use crate::memory::MemoryLog;
use crate::record::{OffsetCommitValue, Record};

const TIMESTAMP: i64 = 1_700_000_000_000;

fn commit(group: &str, partition: i32, offset: Option<i64>) -> Record {
    Record::OffsetCommit {
        group: group.into(),
        topic: "t".into(),
        partition,
        value: offset.map(|offset| OffsetCommitValue {
            offset,
            leader_epoch: -1,
            metadata: "note".into(),
            commit_timestamp_ms: 5,
            expire_timestamp_ms: None,
            topic_id: [0; 16],
        }),
    }
}

fn group(group: &str, generation: Option<i32>) -> Record {
    record_of(group, 2, "", generation)
}

fn record_of(group: &str, kind: i16, rest: &'static str, number: Option<i32>) -> Record {
    Record::Group {
        group: group.into(),
        kind,
        rest: rest.into(),
        value: number.map(|number| number.to_be_bytes().to_vec().into()),
    }
}

fn mark(group: &str, generation: i32) -> Record {
    Record::GenerationMark {
        group: group.into(),
        generation,
    }
}

/// A log of one partition, and its writer.
struct Desk {
    log: MemoryLog,
    opened: Opened,
    appended: i64,
}

impl Desk {
    fn new() -> Self {
        let log = MemoryLog::new(1);
        let (sender, opened) = std::sync::mpsc::channel();
        log.open(0, Box::new(move |result| sender.send(result).unwrap()));
        let opened = opened.recv().unwrap().unwrap();
        Self {
            log,
            opened,
            appended: 0,
        }
    }

    fn append(&mut self, records: &[Record]) {
        let end = self.opened.end;
        let encoded = batch::encode(records, end.offset, TIMESTAMP + self.appended).unwrap();
        self.append_bytes(encoded.records, encoded.marks, encoded.kafka);
    }

    fn append_bytes(&mut self, records: u32, marks: Bytes, kafka: Bytes) {
        self.appended += 1;
        let batch = Batch {
            id: BatchId(self.appended as u128),
            expected: self.opened.end,
            records,
            marks,
            kafka,
        };
        self.opened.end = batch.end_after();
        let landed = |result: Result<u64, LogError>| assert!(result.is_ok(), "{result:?}");
        self.log.append(self.opened.lease, batch, Box::new(landed));
    }

    fn compact(&self) -> Result<(), LogError> {
        compact(&self.log, 0, self.opened.end, &AtomicBool::new(false))
    }

    fn batches(&self) -> Vec<StoredBatch> {
        let mut batches = Vec::new();
        let mut keep = |batch| {
            batches.push(batch);
            ControlFlow::Continue(())
        };
        self.log.scan(0, 0..u64::MAX, &mut keep).unwrap();
        batches
    }

    /// Every record with its offset and timestamp.
    fn stored(&self) -> Vec<(i64, i64, Bytes)> {
        let mut all = Vec::new();
        for stored in self
            .batches()
            .iter()
            .filter(|stored| !stored.kafka.is_empty())
        {
            let limit = callboard_protocol::records::DecompressLimit::new(0);
            for record in batch::open(&stored.kafka).unwrap().records(limit).unwrap() {
                let record = record.unwrap();
                all.push((record.offset, record.timestamp, record.key.unwrap()));
            }
        }
        all
    }

    fn index(&self) -> Index {
        let mut index = Index::default();
        for stored in self.batches() {
            batch::decode(
                &stored.kafka,
                &stored.marks,
                stored.base_offset,
                |record, offset| index.apply(&record.unwrap(), offset),
            )
            .unwrap();
        }
        index
    }
}

fn random_records(random: &mut StdRng) -> Vec<Record> {
    let names = ["a", "b", "c", "d"];
    let name = names[random.random_range(0..names.len())];
    let mut records = Vec::new();
    for _ in 0..random.random_range(1..4) {
        records.push(match random.random_range(0..12) {
            0..6 => commit(
                name,
                random.random_range(0..4),
                Some(random.random_range(0..99)),
            ),
            6 => commit(name, random.random_range(0..4), None),
            7 => group(name, Some(random.random_range(0..9))),
            8 => group(name, None),
            9 => record_of(name, 5, ["m", "n"][random.random_range(0..2)], Some(1)),
            10 => record_of(name, 5, ["m", "n"][random.random_range(0..2)], None),
            _ => mark(name, random.random_range(0..9)),
        });
    }
    records
}

#[test]
fn the_index_of_what_stays_is_the_index_of_all() {
    let first: u64 = rand::random::<u64>() >> 1;
    for seed in first..first + 300 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut desk = Desk::new();
        for _ in 0..4 {
            for _ in 0..random.random_range(0..30) {
                desk.append(&random_records(&mut random));
            }
            let (before, stored) = (desk.index(), desk.stored());
            desk.compact().unwrap();
            assert_eq!(desk.index(), before, "seed {seed}");
            let after = desk.stored();
            // As they were, in their order, one a live key, and the last whatever it is.
            assert!(
                after.iter().all(|record| stored.contains(record)),
                "seed {seed}"
            );
            assert!(
                after.is_sorted_by(|one, next| one.0 < next.0),
                "seed {seed}"
            );
            assert!(after.len() <= before.len() + 1, "seed {seed}");
            assert_eq!(after.last(), stored.last(), "seed {seed}");
            assert_eq!(desk.log.offsets(0), Some(0..desk.opened.end.offset));
        }
    }
}

/// Difference: `tombstones-at-once`.
#[test]
fn a_key_that_was_removed_is_gone_and_the_end_stays() {
    let mut desk = Desk::new();
    desk.append(&[commit("g", 0, Some(1)), mark("g", 4)]);
    desk.append(&[group("g", Some(3))]);
    desk.append(&[commit("g", 0, None), group("g", None)]);
    desk.compact().unwrap();
    assert!(desk.index().is_empty());
    let offsets: Vec<_> = desk.stored().iter().map(|record| record.0).collect();
    assert_eq!(offsets, [3], "so that a reader comes to the end");
    desk.append(&[commit("g", 0, Some(2))]);
    desk.compact().unwrap();
    let offsets: Vec<_> = desk.stored().iter().map(|record| record.0).collect();
    assert_eq!(offsets, [4]);
}

#[test]
fn records_of_a_type_not_known_here_stay() {
    let mut desk = Desk::new();
    let mut batch = BatchBuilder::new(0, Compression::None);
    for value in ["old", "new"] {
        batch.push(
            TIMESTAMP,
            Some(b"\0\x63future"),
            Some(value.as_bytes()),
            &[],
        );
    }
    desk.append_bytes(2, Bytes::new(), batch.build().unwrap());
    desk.append(&[commit("g", 0, Some(1))]);
    desk.compact().unwrap();
    let offsets: Vec<_> = desk.stored().iter().map(|record| record.0).collect();
    assert_eq!(offsets, [1, 2]);
}

#[test]
fn what_is_no_batch_of_ours_stops_it_and_nothing_is_dropped() {
    for foreign in ["junk", "no key"] {
        let mut desk = Desk::new();
        desk.append(&[commit("g", 0, Some(1))]);
        desk.append(&[commit("g", 0, Some(2))]);
        let kafka = match foreign {
            "junk" => Bytes::from_static(b"not a batch"),
            _ => {
                let mut batch = BatchBuilder::new(2, Compression::None);
                batch.push(TIMESTAMP, None, Some(b"v"), &[]);
                batch.build().unwrap()
            }
        };
        desk.append_bytes(1, Bytes::new(), kafka);
        let before = desk.batches();
        let refused = desk.compact();
        assert!(
            matches!(refused, Err(LogError::Corrupt { position: 2, .. })),
            "{refused:?}"
        );
        assert_eq!(desk.batches(), before);
    }
}

#[test]
fn chunks_are_small_and_many_entries_make_many() {
    let mut desk = Desk::new();
    for partition in 0..3000 {
        desk.append(&[
            commit("g", partition, Some(1)),
            mark(&partition.to_string(), 1),
        ]);
    }
    let before = desk.index();
    desk.compact().unwrap();
    assert_eq!(desk.index(), before);
    let batches = desk.batches();
    let largest = batches.iter().map(|batch| batch.kafka.len()).max();
    assert!(largest <= Some(CHUNK_BYTES + 100), "{largest:?}");
    assert!(batches.len() > 5 && batches.len() < 20, "{}", batches.len());
    let end = End {
        position: 3000,
        offset: 3000,
    };
    assert_eq!(desk.log.backlog(0).unwrap().end, end);
    assert_eq!(desk.log.backlog(0).unwrap().log_bytes, 0);
}

#[test]
fn cancelled_it_leaves_everything() {
    let mut desk = Desk::new();
    for offset in 0..10 {
        desk.append(&[commit("g", 0, Some(offset))]);
    }
    let before = desk.batches();
    let refused = compact(&desk.log, 0, desk.opened.end, &AtomicBool::new(true));
    assert_eq!(refused, Err(LogError::Closed));
    assert_eq!(desk.batches(), before);
}

#[test]
fn nothing_seen_is_nothing_kept() {
    assert_eq!(Survivors::default().finish(), Live::default());
}
