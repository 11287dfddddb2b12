//! One partition behind its actor: order, answers, waiting fetches, failure and restart.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_supervision::testing::Stage as TestStage;
use callboard_supervision::{ChildSpec, Supervisor, SupervisorMsg, spawn_linked};
use tokio::sync::oneshot;

use super::super::testing::{NOW, batch_of, files_of};
use super::super::{AppendReply, Appended, AtLeast, FetchWaiter, LogConfig, LogHandle, Offsets};
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);

async fn started(stage: &TestStage, dir: &std::path::Path, config: LogConfig) -> LogHandle {
    let log = LogHandle::new("t".into(), 0, dir.to_owned(), config);
    let _address: Addr<TopicLogMsg> = stage.spawn(KIND, TopicLog, Arc::clone(log.hosted())).await;
    log
}

fn send(log: &LogHandle, records: Bytes) -> oneshot::Receiver<Result<Appended, LogError>> {
    let (answer, answered) = oneshot::channel();
    log.append(
        records,
        AppendReply::new(|outcome| drop(answer.send(outcome))),
    );
    answered
}

async fn append(log: &LogHandle, records: Bytes) -> Result<Appended, LogError> {
    send(log, records).await.unwrap()
}

#[tokio::test]
async fn appends_are_answered_in_the_order_they_came_also_before_the_log_is_open() {
    let (stage, dir) = (TestStage::new().await, tempfile::tempdir().unwrap());
    let log = started(&stage, dir.path(), LogConfig::default()).await;
    let answers: Vec<_> = (0..20)
        .map(|at| send(&log, batch_of(&[NOW, NOW + at], 10, None)))
        .collect();
    for (at, answer) in (0..).zip(answers) {
        assert_eq!(answer.await.unwrap().unwrap().base_offset, at * 2);
    }
    log.opened(PATIENCE).await.unwrap();
    assert_eq!(
        log.offsets().unwrap(),
        Offsets {
            log_start: 0,
            end: 40
        }
    );
    assert!(
        !log.read(39, 1, AtLeast::OneBatch)
            .unwrap()
            .records
            .is_empty()
    );
    stage.finish().await;
}

#[tokio::test]
async fn what_is_no_batch_is_refused_before_it_reaches_the_actor() {
    let (stage, dir) = (TestStage::new().await, tempfile::tempdir().unwrap());
    let log = started(
        &stage,
        dir.path(),
        LogConfig {
            max_message_bytes: 200,
            ..LogConfig::default()
        },
    )
    .await;
    let mut flipped = batch_of(&[NOW], 10, None).to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(append(&log, flipped.into()).await.unwrap_err().code().0, 2);
    assert_eq!(
        append(&log, Bytes::from_static(&[0; 201]))
            .await
            .unwrap_err()
            .code()
            .0,
        10
    );
    assert_eq!(append(&log, Bytes::new()).await.unwrap_err().code().0, 87);
    assert_eq!(
        log.opened(PATIENCE)
            .await
            .map(|()| log.offsets().unwrap().end)
            .unwrap(),
        0
    );
    stage.finish().await;
}

#[tokio::test]
async fn a_fetch_wakes_when_enough_was_appended() {
    let (stage, dir) = (TestStage::new().await, tempfile::tempdir().unwrap());
    let log = started(&stage, dir.path(), LogConfig::default()).await;
    log.opened(PATIENCE).await.unwrap();
    let records = batch_of(&[NOW], 10, None);
    let waiter = FetchWaiter::new(records.len() * 2);
    let _watch = log.watch(&waiter, 0);
    append(&log, records.clone()).await.unwrap();
    let mut enough = Box::pin(waiter.enough());
    assert!(
        futures_util::FutureExt::now_or_never(&mut enough).is_none(),
        "one batch is not enough"
    );
    append(&log, records.clone()).await.unwrap();
    enough.await;
    // Whoever looked before the appends does not wait for another one.
    let late = FetchWaiter::new(usize::MAX);
    let _watch = log.watch(&late, 1);
    late.enough().await;
    stage.finish().await;
}

#[tokio::test]
async fn a_deleted_topic_wakes_fetches_and_refuses() {
    let (stage, dir) = (TestStage::new().await, tempfile::tempdir().unwrap());
    let log = started(&stage, dir.path(), LogConfig::default()).await;
    log.opened(PATIENCE).await.unwrap();
    let waiter = FetchWaiter::new(1);
    let _watch = log.watch(&waiter, 0);
    log.mark_deleted();
    waiter.enough().await;
    assert_eq!(log.read(0, 1, AtLeast::OneBatch).unwrap_err().code().0, 3);
    assert_eq!(
        append(&log, batch_of(&[NOW], 1, None))
            .await
            .unwrap_err()
            .code()
            .0,
        3
    );
    stage.finish().await;
}

#[tokio::test]
async fn what_fails_as_its_topic_is_being_deleted_is_not_ill() {
    let (stage, dir) = (TestStage::new().await, tempfile::tempdir().unwrap());
    let here = dir.path().join("here");
    std::fs::create_dir(&here).unwrap();
    let log = started(&stage, &here, LogConfig::default()).await;
    log.opened(PATIENCE).await.unwrap();
    log.set_deleting(true);
    std::fs::rename(&here, dir.path().join("away")).unwrap();
    for _ in 0..2 {
        let error = append(&log, batch_of(&[NOW], 1, None)).await.unwrap_err();
        assert_eq!(error.code().0, 56);
        assert_eq!(log.told(error.clone()).code().0, 3);
        assert!(!log.is_offline());
        // Were it not being deleted, it would be.
        log.set_deleting(false);
        assert_eq!(log.told(error).code().0, 56);
        log.set_deleting(true);
    }
    log.mark_deleted();
    let error = append(&log, batch_of(&[NOW], 1, None)).await.unwrap_err();
    assert_eq!(error.code().0, 3);
    stage.finish().await;
}

#[tokio::test]
async fn closing_makes_the_log_whole_and_refuses_what_comes_later() {
    let (stage, dir) = (TestStage::new().await, tempfile::tempdir().unwrap());
    let log = started(&stage, dir.path(), LogConfig::default()).await;
    append(&log, batch_of(&[NOW], 1, None)).await.unwrap();
    log.close(PATIENCE).await;
    assert!(files_of(dir.path()).contains_key("00000000000000000000.index"));
    assert_eq!(
        append(&log, batch_of(&[NOW], 1, None))
            .await
            .unwrap_err()
            .code()
            .0,
        6
    );
    stage.finish().await;
}

#[tokio::test]
async fn damage_takes_one_partition_offline_and_nothing_down() {
    let (stage, dir) = (TestStage::new().await, tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("log-start-offset"), "soon").unwrap();
    let log = started(&stage, dir.path(), LogConfig::default()).await;
    assert_eq!(log.opened(PATIENCE).await.unwrap_err().code().0, 56);
    assert_eq!(
        append(&log, batch_of(&[NOW], 1, None))
            .await
            .unwrap_err()
            .code()
            .0,
        56
    );
    assert_eq!(log.offsets().unwrap_err().code().0, 56);
    stage.finish().await;
}

#[tokio::test]
async fn appends_that_must_be_flushed_are_answered_after_the_flush() {
    let (stage, dir) = (TestStage::new().await, tempfile::tempdir().unwrap());
    let log = started(
        &stage,
        dir.path(),
        LogConfig {
            flush_messages: 1,
            ..LogConfig::default()
        },
    )
    .await;
    let answers: Vec<_> = (0..5)
        .map(|_| send(&log, batch_of(&[NOW], 10, None)))
        .collect();
    for (at, answer) in (0..).zip(answers) {
        assert_eq!(answer.await.unwrap().unwrap().base_offset, at);
    }
    stage.finish().await;
}

/// The actor ends in the middle; the supervisor starts it again behind the same handle, from the files.
#[tokio::test]
async fn a_killed_log_comes_back_with_everything_it_acknowledged() {
    let (stage, dir) = (TestStage::new().await, tempfile::tempdir().unwrap());
    let (supervisor, _join) = Supervisor::spawn_linked("logs", stage.cell())
        .await
        .unwrap();
    let log = LogHandle::new("t".into(), 0, dir.path().to_owned(), LogConfig::default());
    let hosted = Arc::clone(log.hosted());
    let child = ChildSpec::new("t-0", KIND, move |cell, _| {
        let hosted = Arc::clone(&hosted);
        async move {
            spawn_linked(KIND, TopicLog, hosted, cell)
                .await
                .map(|(address, _join)| address.actor().get_cell())
        }
    });
    let cell = supervisor
        .call(|reply| SupervisorMsg::Start(child, reply), PATIENCE)
        .await
        .unwrap()
        .unwrap();
    let sent = batch_of(&[NOW, NOW], 10, Some((7, 0, 0)));
    assert_eq!(append(&log, sent.clone()).await.unwrap().base_offset, 0);
    cell.kill();
    cell.wait(Some(PATIENCE)).await.unwrap();
    // Until the supervisor has noticed, the answer is retriable; afterwards the batch is known to be there.
    let again = loop {
        match append(&log, sent.clone()).await {
            Ok(appended) => break appended,
            Err(error) => assert_eq!(error.code().0, 6, "{error}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((again.base_offset, again.records), (0, 0));
    assert_eq!(log.offsets().unwrap().end, 2);
    stage.finish().await;
}

#[test]
fn a_message_stays_small() {
    assert!(
        size_of::<Envelope<TopicLogMsg>>() <= 256,
        "{}",
        size_of::<Envelope<TopicLogMsg>>()
    );
}
