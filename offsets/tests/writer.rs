//! The writer over the in-memory engine, under virtual time: durable, then visible, then answered.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_offsets::WallClock;
use callboard_offsets::index::Index;
use callboard_offsets::log::{LogError, OffsetsLog};
use callboard_offsets::memory::{Fault, MemoryLog};
use callboard_offsets::record::{OffsetCommitValue, Record};
use callboard_offsets::writer::{AppendError, KIND, Writer};
use callboard_supervision::testing::Stage;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;

const PARTITION: u32 = 3;

/// A writer on a stage, loaded.
struct House {
    stage: Stage,
    log: Arc<MemoryLog>,
}

impl House {
    async fn new() -> Self {
        Self {
            stage: Stage::new().await,
            // What does not fit must be made: the default would need a large one.
            log: Arc::new(MemoryLog::new(5).batch_bytes_max(1_048_588)),
        }
    }

    async fn start(&self, partition: u32) -> (Writer, Result<Index, LogError>) {
        let clock = WallClock::new(|| 1_700_000_000_000);
        common::writer(&self.stage, Arc::clone(&self.log) as _, partition, clock).await
    }

    async fn writer(&self) -> Writer {
        let (writer, loaded) = self.start(PARTITION).await;
        loaded.unwrap();
        writer
    }
}

fn commit(group: &str, partition: i32, offset: i64) -> Record {
    Record::OffsetCommit {
        group: group.into(),
        topic: "t".into(),
        partition,
        value: Some(common::committed(offset)),
    }
}

fn append(writer: &Writer, records: Vec<Record>) -> oneshot::Receiver<Result<(), AppendError>> {
    let (done, answer) = oneshot::channel();
    writer.append(Arc::clone(records[0].group()), records, |outcome| {
        let _ = done.send(outcome);
    });
    answer
}

/// What `group` has committed for partition 0, read in its place.
fn read(writer: &Writer, group: &'static str) -> oneshot::Receiver<Option<i64>> {
    let (done, answer) = oneshot::channel();
    writer.read(group.into(), move |index| {
        let _ = done.send(index.committed(group, "t", 0).map(|value| value.offset));
    });
    answer
}

async fn index_of(writer: &Writer) -> Index {
    let (done, answer) = oneshot::channel();
    writer.read_all(|index| {
        let _ = done.send(index.clone());
    });
    answer.await.unwrap()
}

/// Lets every actor come to rest: on a paused clock time moves only when nobody has anything to do.
async fn rest() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_append_is_answered_when_it_is_synced_and_not_before() {
    let house = House::new().await;
    let writer = house.writer().await;
    house.log.hold();
    let mut first = append(&writer, vec![commit("g", 0, 1)]);
    let mut second = append(&writer, vec![commit("g", 0, 2)]);
    rest().await;
    assert_eq!(house.log.unsynced(), 2, "both are on their way");
    assert!(first.try_recv().is_err());
    house.log.release_some(1);
    rest().await;
    assert_eq!(first.try_recv(), Ok(Ok(())));
    assert!(second.try_recv().is_err());
    house.log.release();
    assert_eq!(second.await, Ok(Ok(())));
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_read_sees_the_commits_sent_before_it_and_nothing_that_is_not_durable() {
    let house = House::new().await;
    let writer = house.writer().await;
    house.log.hold();
    let _first = append(&writer, vec![commit("g", 0, 1)]);
    let mut between = read(&writer, "g");
    let _second = append(&writer, vec![commit("g", 0, 2)]);
    let mut neighbour = read(&writer, "h");
    rest().await;
    assert_eq!(neighbour.try_recv(), Ok(None), "a group waits for its own");
    assert!(between.try_recv().is_err());
    house.log.release();
    assert_eq!(between.await, Ok(Some(1)));
    assert_eq!(read(&writer, "g").await, Ok(Some(2)));
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_is_planned_on_what_has_settled_and_holds_back_what_comes_behind() {
    let house = House::new().await;
    let writer = house.writer().await;
    house.log.hold();
    let _first = append(&writer, vec![commit("g", 0, 1), commit("g", 1, 1)]);
    let (done, changed) = oneshot::channel();
    let forget = |index: &Index| {
        let topics = index.topics("g");
        let all = topics.flat_map(|(topic, offsets)| {
            offsets.partitions().map(|partition| Record::OffsetCommit {
                group: "g".into(),
                topic: Arc::clone(topic),
                partition,
                value: None,
            })
        });
        all.collect()
    };
    writer.change("g".into(), forget, |outcome| done.send(outcome).unwrap());
    let behind = append(&writer, vec![commit("g", 7, 9)]);
    rest().await;
    assert_eq!(house.log.unsynced(), 1, "only the first was sent");
    house.log.release();
    assert_eq!(changed.await, Ok(Ok(())));
    assert_eq!(behind.await, Ok(Ok(())));
    let index = index_of(&writer).await;
    assert_eq!(index.len(), 1);
    assert_eq!(index.committed("g", "t", 7).unwrap().offset, 9);
    house.stage.finish().await;
}

/// Not only behind what is in flight: a commit that a change holds back was sent before as well.
#[tokio::test(start_paused = true)]
async fn a_read_of_everything_is_behind_what_a_change_holds_back() {
    let house = House::new().await;
    let writer = house.writer().await;
    house.log.hold();
    let _in_flight = append(&writer, vec![commit("g", 0, 1)]);
    writer.change("g".into(), |_| vec![commit("g", 1, 2)], drop);
    let _behind = append(&writer, vec![commit("g", 2, 3)]);
    let (done, mut all) = oneshot::channel();
    writer.read_all(|index| done.send(index.len()).unwrap());
    house.log.release_some(1);
    rest().await;
    assert!(all.try_recv().is_err(), "two of three have not settled");
    house.log.release();
    assert_eq!(all.await, Ok(3));
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_append_of_nothing_waits_for_its_turn() {
    let house = House::new().await;
    let writer = house.writer().await;
    house.log.hold();
    let _first = append(&writer, vec![commit("g", 0, 1)]);
    let (done, mut nothing) = oneshot::channel();
    writer.append("g".into(), Vec::new(), |outcome| {
        done.send(outcome).unwrap()
    });
    rest().await;
    assert!(nothing.try_recv().is_err());
    house.log.release();
    assert_eq!(nothing.await, Ok(Ok(())));
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn replay_builds_what_live_appends_built() {
    let house = House::new().await;
    let writer = house.writer().await;
    let of_group = |group: &str, kind, rest: &'static str, value| Record::Group {
        group: group.into(),
        kind,
        rest: rest.into(),
        value,
    };
    let expiring = OffsetCommitValue {
        offset: 6,
        leader_epoch: 3,
        metadata: "note".into(),
        commit_timestamp_ms: 5,
        expire_timestamp_ms: Some(77),
        topic_id: [9; 16],
    };
    let group: Arc<str> = "g".into();
    for records in [
        // A mark takes effect behind the other records of its append, wherever it stands.
        vec![
            Record::GenerationMark {
                group: Arc::clone(&group),
                generation: 9,
            },
            commit("g", 0, 1),
            of_group("g", 2, "", Some("opaque".into())),
            of_group("g", 8, "member", Some("".into())),
        ],
        vec![Record::GenerationMark {
            group: Arc::clone(&group),
            generation: 10,
        }],
        vec![commit("g", 1, 5), commit("g", 1, 6)],
        vec![Record::OffsetCommit {
            group: Arc::clone(&group),
            topic: "u".into(),
            partition: 0,
            value: Some(expiring),
        }],
        vec![Record::OffsetCommit {
            group,
            topic: "t".into(),
            partition: 0,
            value: None,
        }],
        vec![commit("h", 0, 8)],
        vec![of_group("g", 7, "left", Some("opaque too".into()))],
        vec![of_group("g", 7, "left", None)],
        vec![of_group("gone", 2, "", None)],
    ] {
        assert_eq!(append(&writer, records).await, Ok(Ok(())));
    }
    let live = index_of(&writer).await;
    let (_successor, replayed) = house.start(PARTITION).await;
    assert_eq!(replayed, Ok(live.clone()));
    assert_eq!(live.generation_mark("g"), Some(10));
    // What a compacted copy holds builds it as well.
    let mut compacted = Index::default();
    for (offset, record) in live.live_records() {
        compacted.apply(&record, offset.unwrap_or(-1));
    }
    assert_eq!(compacted, live);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_refuses_is_tried_again_or_said() {
    let house = House::new().await;
    let writer = house.writer().await;
    for fault in [
        Fault::Unavailable,
        Fault::Unknown { applied: true },
        Fault::Unknown { applied: false },
    ] {
        house.log.inject(fault);
        let answers = [1, 2, 3].map(|offset| append(&writer, vec![commit("g", 0, offset)]));
        for answer in answers {
            assert_eq!(answer.await, Ok(Ok(())), "{fault:?}");
        }
        assert_eq!(read(&writer, "g").await, Ok(Some(3)));
    }
    house.log.inject(Fault::Full);
    assert_eq!(
        append(&writer, vec![commit("g", 0, 4)]).await,
        Ok(Err(AppendError::Full))
    );
    assert_eq!(
        append(&writer, vec![commit("g", 0, 5)]).await,
        Ok(Err(AppendError::Full))
    );
    assert_eq!(read(&writer, "g").await, Ok(Some(3)), "reads go on");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(append(&writer, vec![commit("g", 0, 6)]).await, Ok(Ok(())));
    // Nine landed, each once, and the one of the end.
    assert_eq!(house.log.offsets(PARTITION), Some(0..10));
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_fails_alone() {
    let house = House::new().await;
    let writer = house.writer().await;
    house.log.hold();
    let before = append(&writer, vec![commit("g", 0, 1)]);
    let many: Vec<Record> = (0..40_000).map(|at| commit("g", at, 1)).collect();
    let large = append(&writer, many);
    let long = "x".repeat(40_000);
    let unwritable = append(&writer, vec![commit(&long, 0, 1)]);
    let behind = append(&writer, vec![commit("g", 0, 2)]);
    assert!(matches!(large.await, Ok(Err(AppendError::TooLarge { .. }))));
    assert!(matches!(
        unwritable.await,
        Ok(Err(AppendError::Unwritable(_)))
    ));
    house.log.release();
    assert_eq!(before.await, Ok(Ok(())));
    assert_eq!(behind.await, Ok(Ok(())));
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_partition_is_refused_and_its_neighbour_serves() {
    let house = House::new().await;
    house.log.set_corrupt(PARTITION, Some(2));
    let (corrupt, loaded) = house.start(PARTITION).await;
    assert!(matches!(loaded, Err(LogError::Corrupt { position: 2, .. })));
    assert_eq!(
        append(&corrupt, vec![commit("g", 0, 1)]).await,
        Ok(Err(AppendError::NotOurs))
    );
    assert!(read(&corrupt, "g").await.is_err(), "dropped unread");
    let (neighbour, loaded) = house.start(PARTITION + 1).await;
    loaded.unwrap();
    assert_eq!(
        append(&neighbour, vec![commit("g", 0, 1)]).await,
        Ok(Ok(()))
    );
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_was_replaced_ends() {
    let house = House::new().await;
    let old = house.writer().await;
    let new = house.writer().await;
    assert_eq!(
        append(&old, vec![commit("g", 0, 1)]).await,
        Ok(Err(AppendError::NotOurs))
    );
    assert_eq!(append(&new, vec![commit("g", 0, 2)]).await, Ok(Ok(())));
    house.stage.expect_failure(KIND);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_flush_is_never_asked_for_again() {
    let house = House::new().await;
    let writer = house.writer().await;
    house.log.inject(Fault::FsyncError);
    let answers = [1, 2].map(|offset| append(&writer, vec![commit("g", 0, offset)]));
    for answer in answers {
        assert!(matches!(
            answer.await,
            Ok(Err(AppendError::Poisoned { .. }))
        ));
    }
    let (_successor, loaded) = house.start(PARTITION).await;
    assert!(matches!(loaded, Err(LogError::Poisoned { .. })));
    house.stage.expect_failure(KIND);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_hears_that_the_writer_is_gone() {
    let house = House::new().await;
    let writer = house.writer().await;
    house.log.hold();
    let in_flight = append(&writer, vec![commit("g", 0, 1)]);
    rest().await;
    writer.cell().kill();
    assert_eq!(in_flight.await, Ok(Err(AppendError::Lost)));
    rest().await;
    assert_eq!(
        append(&writer, vec![commit("g", 0, 2)]).await,
        Ok(Err(AppendError::Lost))
    );
    house.stage.finish().await;
}

/// Many commits in flight, synced a few at a time, and then the power goes: whatever was answered is there afterwards,
/// and nothing a reader saw is gone. Fails when an answer goes out before its sync.
#[tokio::test(start_paused = true)]
async fn the_power_goes_and_nothing_that_was_answered_is_lost() {
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let house = House::new().await;
    let mut writer = house.writer().await;
    // By partition: the newest answered offset.
    let answered = Arc::new(Mutex::new([0i64; 8]));
    let mut next_offset = 0;
    for _crash in 0..50 {
        house.log.hold();
        for _step in 0..random.random_range(1..40) {
            let partition = random.random_range(0..8);
            next_offset += 1;
            let (offset, noted) = (next_offset, Arc::clone(&answered));
            writer.append(
                "g".into(),
                vec![commit("g", partition, offset)],
                move |outcome| {
                    if outcome.is_ok() {
                        noted.lock().unwrap()[partition as usize] = offset;
                    }
                },
            );
            if random.random_bool(0.3) {
                rest().await;
                house.log.release_some(random.random_range(0..5));
            }
            if random.random_bool(0.1) {
                let seen = Arc::clone(&answered);
                writer.read("g".into(), move |index| {
                    for (partition, newest) in seen.lock().unwrap().iter_mut().enumerate() {
                        let read = index.committed("g", "t", partition as i32);
                        *newest = (*newest).max(read.map_or(0, |value| value.offset));
                    }
                });
            }
        }
        rest().await;
        let before = *answered.lock().unwrap();
        writer.cell().kill();
        house.log.crash();
        rest().await;
        let (successor, loaded) = house.start(PARTITION).await;
        let index = loaded.unwrap();
        for (partition, newest) in before.into_iter().enumerate() {
            let kept = index.committed("g", "t", partition as i32);
            let kept = kept.map_or(0, |value| value.offset);
            assert!(
                kept >= newest,
                "partition {partition}: answered {newest}, kept {kept}"
            );
        }
        writer = successor;
    }
    house.stage.finish().await;
}
