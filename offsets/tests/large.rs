//! What is larger than one batch: a change in parts goes as it can, everything else is refused, and every append that
//! fails is counted.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use std::sync::Arc;
use std::time::Duration;

use callboard_offsets::WallClock;
use callboard_offsets::index::Index;
use callboard_offsets::log::LogError;
use callboard_offsets::memory::{Fault, MemoryLog};
use callboard_offsets::metrics::{APPEND_ERROR_KINDS, OFFSETS_APPEND_ERRORS_TOTAL};
use callboard_offsets::record::Record;
use callboard_offsets::writer::{AppendError, Writer};
use callboard_supervision::testing::Stage;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::sync::oneshot;

const PARTITION: u32 = 1;
const BATCH_BYTES: usize = 4096;
const OFFSETS: i32 = 100;

type Answer = oneshot::Receiver<Result<(), AppendError>>;

async fn writer(stage: &Stage, log: &Arc<MemoryLog>) -> (Writer, Result<Index, LogError>) {
    let clock = WallClock::new(|| 1_700_000_000_000);
    common::writer(stage, Arc::clone(log) as _, PARTITION, clock).await
}

/// Of a topic whose name makes some dozens of them fill a batch.
fn record(partition: i32, value: Option<i64>) -> Record {
    Record::OffsetCommit {
        group: "g".into(),
        topic: "t".repeat(200).into(),
        partition,
        value: value.map(common::committed),
    }
}

fn append(writer: &Writer, records: Vec<Record>) -> Answer {
    let (done, answer) = oneshot::channel();
    writer.append("g".into(), records, |outcome| drop(done.send(outcome)));
    answer
}

/// Removes everything the group has, in one piece or in parts.
fn forget(writer: &Writer, parts: bool) -> Answer {
    let (done, answer) = oneshot::channel();
    let done = |outcome| drop(done.send(outcome));
    let plan = |index: &Index| {
        let partitions = index
            .topics("g")
            .flat_map(|(_, offsets)| offsets.partitions());
        partitions
            .map(|partition| record(partition, None))
            .collect()
    };
    if parts {
        writer.change_in_parts("g".into(), plan, done);
    } else {
        writer.change("g".into(), plan, done);
    }
    answer
}

async fn left(writer: &Writer) -> usize {
    let (done, answer) = oneshot::channel();
    writer.read_all(|index| done.send(index.len()).unwrap());
    answer.await.unwrap()
}

async fn filled(stage: &Stage) -> (Arc<MemoryLog>, Writer) {
    let log = Arc::new(MemoryLog::new(2).batch_bytes_max(BATCH_BYTES));
    let (writer, loaded) = writer(stage, &log).await;
    assert!(loaded.unwrap().is_empty());
    for partition in 0..OFFSETS {
        append(&writer, vec![record(partition, Some(1))])
            .await
            .unwrap()
            .unwrap();
    }
    (log, writer)
}

/// Lets every actor come to rest: on a paused clock time moves only when nobody has anything to do.
async fn rest() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_change_in_parts_is_settled_when_all_of_it_is_durable() {
    let stage = Stage::new().await;
    let (log, writer) = filled(&stage).await;
    log.hold();
    let mut forgotten = forget(&writer, true);
    let mut behind = append(&writer, vec![record(7, Some(9))]);
    let mut parts = 0;
    rest().await;
    // One part at a time, and nothing of the group but behind the last.
    while log.unsynced() == 1 {
        assert!(forgotten.try_recv().is_err() && behind.try_recv().is_err());
        log.release_some(1);
        rest().await;
        parts += 1;
    }
    assert_eq!(log.unsynced(), 2);
    assert!(parts > 4, "{parts} parts");
    assert!(forgotten.try_recv().is_err() && behind.try_recv().is_err());
    log.release_some(1);
    rest().await;
    assert_eq!(forgotten.try_recv(), Ok(Ok(())));
    log.release();
    assert_eq!(behind.await.unwrap(), Ok(()));
    assert_eq!(left(&writer).await, 1, "what was sent behind it is there");
    let (_again, loaded) = self::writer(&stage, &log).await;
    assert_eq!(loaded.unwrap().len(), 1, "so it is replayed");
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_leaves_the_rest_to_the_next_try() {
    let stage = Stage::new().await;
    let (log, writer) = filled(&stage).await;
    log.hold();
    let forgotten = forget(&writer, true);
    rest().await;
    log.inject(Fault::Full);
    log.release_some(1);
    rest().await;
    log.release();
    assert_eq!(forgotten.await.unwrap(), Err(AppendError::Full));
    let some = left(&writer).await;
    assert_eq!(some, OFFSETS as usize, "the first part found no space");

    tokio::time::sleep(Duration::from_secs(2)).await;
    log.hold();
    let forgotten = forget(&writer, true);
    rest().await;
    log.release_some(1);
    rest().await;
    log.inject(Fault::Full);
    log.release();
    assert_eq!(forgotten.await.unwrap(), Err(AppendError::Full));
    let some = left(&writer).await;
    assert!(some > 0 && some < OFFSETS as usize, "{some} left");

    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(forget(&writer, true).await.unwrap(), Ok(()));
    assert_eq!(left(&writer).await, 0);
    stage.finish().await;
}

#[test]
fn what_is_one_thing_is_refused_and_every_failure_counts() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let counted = || {
        let text = handle.render();
        APPEND_ERROR_KINDS.map(|kind| {
            let series = format!("{OFFSETS_APPEND_ERRORS_TOTAL}{{kind=\"{kind}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&series));
            let value = line.map(|value| value.parse::<u64>().unwrap());
            (kind, value.unwrap_or_else(|| panic!("no series of {kind}")))
        })
    };
    metrics::with_local_recorder(&recorder, || {
        for family in callboard_offsets::metrics::COUNTERS {
            family.declare();
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let stage = Stage::new().await;
            let (log, writer) = filled(&stage).await;
            assert_eq!(counted(), APPEND_ERROR_KINDS.map(|kind| (kind, 0)));
            let bytes_max = BATCH_BYTES;
            let too_large = Err(AppendError::TooLarge { bytes_max });
            assert_eq!(forget(&writer, false).await.unwrap(), too_large);
            assert_eq!(left(&writer).await, OFFSETS as usize, "nothing of it");
            let many = (0..OFFSETS).map(|partition| record(partition, Some(2)));
            assert_eq!(append(&writer, many.collect()).await.unwrap(), too_large);
            // One record that no part can hold.
            let (done, answer) = oneshot::channel();
            let plan = |_: &Index| {
                vec![Record::OffsetCommit {
                    group: "g".into(),
                    topic: "x".repeat(2 * BATCH_BYTES).into(),
                    partition: 0,
                    value: None,
                }]
            };
            writer.change_in_parts("g".into(), plan, |outcome| drop(done.send(outcome)));
            assert_eq!(answer.await.unwrap(), too_large);

            log.inject(Fault::Full);
            let full = Err(AppendError::Full);
            assert_eq!(
                append(&writer, vec![record(0, Some(3))]).await.unwrap(),
                full
            );
            // Refused before it is sent.
            assert_eq!(
                append(&writer, vec![record(0, Some(3))]).await.unwrap(),
                full
            );
            let [_, full, too_large, ..] = counted();
            assert_eq!((full, too_large), (("full", 2), ("too_large", 3)));

            tokio::time::sleep(Duration::from_secs(2)).await;
            log.inject(Fault::FsyncError);
            let lost = append(&writer, vec![record(0, Some(4))]).await.unwrap();
            assert!(matches!(lost, Err(AppendError::Poisoned { .. })));
            writer.cell().stop_and_wait(None, None).await.unwrap_or(());
            let late = append(&writer, vec![record(0, Some(5))]).await.unwrap();
            assert_eq!(late, Err(AppendError::Lost));
            let [io, _, _, fenced, _] = counted();
            assert_eq!((io, fenced), (("io", 1), ("fenced", 1)));
            stage.expect_failure("offsets_writer");
            stage.finish().await;
        });
    });
}
