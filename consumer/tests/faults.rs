//! What a consumer makes of records it cannot read, handlers that cannot start, and endings that take too long.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use callboard_client::testing::NODE;
use callboard_consumer::{
    AckHandle, Event, Exhausted, HandlerError, HandlerPolicy, Outcome, PartitionContext,
    PartitionHandler, Record, ShutdownOptions,
};
use callboard_protocol::{ApiKey, ErrorCode};
use common::{Seen, TOPIC, World, event, tp};

/// Written by Apache Kafka 4.2.0's own classes: offsets 10, 15, 16, then 22 in a batch up to 29, a batch up to 39 that
/// compaction left empty, 40 and 41 of a transaction and its marker at 45, and 1000.
const COMPACTED: &[u8] =
    include_bytes!("../../testdata/kafka-4.2.0/record_batches/segment-compacted.bin");
/// Three records; one bit of the last value is wrong.
const CORRUPT: &[u8] = include_bytes!("../../testdata/kafka-4.2.0/record_batches/bad-crc.bin");

#[tokio::test(start_paused = true)]
async fn gaps_markers_and_emptied_batches_move_the_position_and_are_nobodys_records() {
    let world = World::new(1, 0).await;
    world
        .broker
        .append_raw(TOPIC, 0, (0, 1001), Bytes::from_static(COMPACTED));
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(1001))
        .await;
    assert_eq!(seen.offsets(0), [10, 15, 16, 22, 40, 41, 1000]);
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!((report.records, report.redelivered), (7, 0));
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_read_pauses_its_partition_alone_and_says_where() {
    let world = World::new(2, 0).await;
    world.broker.append(TOPIC, 0, ["0", "1"]);
    let mut corrupt = CORRUPT.to_vec();
    // Its place in the log is not under the checksum.
    corrupt[..8].copy_from_slice(&2_i64.to_be_bytes());
    world
        .broker
        .append_raw(TOPIC, 0, (2, 5), Bytes::from(corrupt));
    world.broker.append(TOPIC, 1, ["0", "1", "2"]);
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    let Event::Paused { partition, reason } =
        event(&mut events, |event| matches!(event, Event::Paused { .. })).await
    else {
        unreachable!()
    };
    assert_eq!(partition, tp(0));
    assert!(reason.starts_with("offset 2: "), "{reason}");
    world
        .broker
        .until(|broker| {
            broker.committed(TOPIC, 0) == Some(2) && broker.committed(TOPIC, 1) == Some(3)
        })
        .await;
    assert_eq!(seen.offsets(0), [0, 1]);

    // Resumed it meets the same batch again, and nothing before it.
    assert!(consumer.resume(tp(0)).await);
    event(&mut events, |event| matches!(event, Event::Paused { .. })).await;
    assert_eq!(seen.offsets(0), [0, 1]);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// Fails before its first record until it was made often enough.
struct SlowStarter {
    made: u32,
    seen: Seen,
}

#[async_trait]
impl PartitionHandler for SlowStarter {
    async fn started(&mut self, _context: &PartitionContext) -> Result<(), HandlerError> {
        if self.made < 3 {
            return Err("the database is not there yet".into());
        }
        Ok(())
    }

    async fn handle(
        &mut self,
        record: &Record,
        _context: &PartitionContext,
    ) -> Result<Outcome, HandlerError> {
        self.seen.note(record);
        Ok(Outcome::Done)
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_cannot_start_is_tried_again_and_costs_no_record_an_attempt() {
    let world = World::new(1, 3).await;
    for _ in 0..2 {
        world.stage.expect_failure("partition_handler");
    }
    let (seen, made) = (Seen::default(), Arc::new(AtomicU32::new(0)));
    let noted = seen.clone();
    let consumer = world
        .consumer()
        .handler(move |_partition| SlowStarter {
            made: made.fetch_add(1, Ordering::SeqCst) + 1,
            seen: noted.clone(),
        })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let Event::HandlerRestarted { offset, error, .. } = event(&mut events, |event| {
        matches!(event, Event::HandlerRestarted { .. })
    })
    .await
    else {
        unreachable!()
    };
    assert_eq!((offset, &*error), (None, "the database is not there yet"));
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(3))
        .await;
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!((report.redelivered, report.handler_failures), (0, 2));
    assert_eq!(seen.offsets(0), [0, 1, 2]);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_factory_that_panics_is_tried_again_until_the_budget_is_used_up() {
    let world = World::new(1, 1).await;
    for _ in 0..11 {
        world.stage.expect_failure("partition_handler");
    }
    let consumer = world
        .consumer()
        .handler(|_partition| -> SlowStarter { panic!("no handler today") })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let Event::Paused { reason, .. } =
        event(&mut events, |event| matches!(event, Event::Paused { .. })).await
    else {
        unreachable!()
    };
    assert!(reason.contains("no handler today"), "{reason}");
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!(report.records, 0);
    assert_eq!(world.commits(), ["orders/0=0"], "what the reset chose");
    // One failure more than there are restarts.
    assert_eq!(report.handler_failures, 11);
    world.stage.finish().await;
}

/// Defers its first record, fails at its second, finishes its third.
struct Deferring {
    handles: Arc<Mutex<Vec<AckHandle>>>,
    seen: Seen,
}

#[async_trait]
impl PartitionHandler for Deferring {
    async fn handle(
        &mut self,
        record: &Record,
        context: &PartitionContext,
    ) -> Result<Outcome, HandlerError> {
        self.seen.note(record);
        match record.offset {
            0 => {
                self.handles.lock().unwrap().push(context.ack_handle());
                Ok(Outcome::Deferred)
            }
            1 => Err("never this one".into()),
            _ => Ok(Outcome::Done),
        }
    }
}

/// It once took what was deferred before it along.
#[tokio::test(start_paused = true)]
async fn a_record_that_is_passed_over_leaves_deferred_ones_before_it_unacknowledged() {
    let world = World::new(1, 3).await;
    for _ in 0..2 {
        world.stage.expect_failure("partition_handler");
    }
    let (handles, seen) = (Arc::<Mutex<Vec<AckHandle>>>::default(), Seen::default());
    let (kept, noted) = (Arc::clone(&handles), seen.clone());
    let consumer = world
        .consumer()
        .policy(HandlerPolicy {
            attempts_max: 2,
            exhausted: Exhausted::Skip,
            ..HandlerPolicy::default()
        })
        .handler(move |_partition| Deferring {
            handles: Arc::clone(&kept),
            seen: noted.clone(),
        })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    event(&mut events, |event| {
        matches!(event, Event::Skipped { offset: 1, .. })
    })
    .await;
    while !seen.offsets(0).contains(&2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen.offsets(0), [0, 1, 0, 1, 0, 2]);
    assert_eq!(consumer.commit(Duration::from_secs(5)).await, []);
    assert_eq!(world.broker.committed(TOPIC, 0), Some(0));

    // Handles of handlers that are gone count for nothing.
    let acked: Vec<bool> = handles
        .lock()
        .unwrap()
        .drain(..)
        .map(AckHandle::ack)
        .collect();
    assert_eq!(acked, [false, false, true]);
    assert_eq!(consumer.commit(Duration::from_secs(5)).await, []);
    assert_eq!(world.broker.committed(TOPIC, 0), Some(3));
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_runs_out_of_time_says_what_it_left_behind() {
    let world = World::new(2, 1).await;
    let consumer = world
        .consumer()
        .handle(|record: Record, _context| async move {
            if record.partition() == 1 {
                std::future::pending::<()>().await;
            }
            Ok::<_, HandlerError>(())
        })
        .start()
        .await
        .unwrap();
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(1))
        .await;
    let options = ShutdownOptions {
        timeout: Duration::from_secs(5),
        ..ShutdownOptions::default()
    };
    let report = consumer.shutdown(options).await;
    assert!(!report.drained);
    assert!(report.uncommitted.contains(&tp(1)), "{report:?}");
    assert!(report.took < Duration::from_secs(20), "{report:?}");
    world.stage.finish().await;
}

/// With everything at its default the records in work had all the time there is, and nothing was committed nor the group
/// told.
#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_costs_neither_the_commit_of_the_others_nor_the_leave() {
    let world = World::with(2, 3, &[("auto.commit.interval.ms", "3600000")]).await;
    let consumer = world
        .consumer()
        .handle(|record: Record, _context| async move {
            if record.partition() == 1 {
                std::future::pending::<()>().await;
            }
            Ok::<_, HandlerError>(())
        })
        .start()
        .await
        .unwrap();
    while consumer
        .progress()
        .get(&tp(0))
        .is_none_or(|progress| progress.acknowledged < 3)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!(world.broker.committed(TOPIC, 0), Some(3));
    assert_eq!(world.broker.count(ApiKey::LEAVE_GROUP), 1);
    assert!(!report.drained, "{report:?}");
    assert_eq!(report.uncommitted, [tp(1)].into());
    assert!(report.took <= Duration::from_secs(30), "{report:?}");
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_member_at_the_end_does_not_report_a_clean_end() {
    let world = World::new(1, 1).await;
    let consumer = world.noting(&Seen::default()).await;
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(1))
        .await;
    world.broker.append(TOPIC, 0, ["late"]);
    world
        .broker
        .fail(ApiKey::OFFSET_COMMIT, ErrorCode::UNKNOWN_MEMBER_ID, 1);
    let mut events = consumer.events();
    event(&mut events, |event| matches!(event, Event::Lost { .. })).await;
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(2))
        .await;

    world
        .broker
        .fail(ApiKey::OFFSET_COMMIT, ErrorCode::UNKNOWN_MEMBER_ID, 1);
    world.broker.append(TOPIC, 0, ["later"]);
    let ends = world.broker.end(TOPIC, 0);
    while consumer.progress()[&tp(0)].acknowledged < ends {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(!report.drained, "{report:?}");
    assert!(report.uncommitted.contains(&tp(0)), "{report:?}");
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_application_may_ask_for_a_rebalance_and_for_a_commit() {
    let world = World::with(1, 3, &[("auto.commit.interval.ms", "3600000")]).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    event(&mut events, |event| matches!(event, Event::Assigned { .. })).await;
    while seen.offsets(0).len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left = consumer.commit(Duration::from_secs(5)).await;
    assert_eq!(left, []);
    assert_eq!(world.broker.committed(TOPIC, 0), Some(3));
    consumer.enforce_rebalance("the cache is warm");
    let Event::Assigned {
        generation, reason, ..
    } = event(&mut events, |event| matches!(event, Event::Assigned { .. })).await
    else {
        unreachable!()
    };
    assert_eq!((generation, &*reason), (2, "the cache is warm"));
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

/// No commit of it would ever have been taken, and it went on handling records until it was restarted.
#[tokio::test(start_paused = true)]
async fn a_member_whose_commits_are_refused_for_good_ends_and_says_why() {
    for code in [
        ErrorCode::INVALID_GROUP_ID,
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
        ErrorCode::UNSUPPORTED_VERSION,
    ] {
        let world = World::new(1, 1).await;
        world.broker.fail(ApiKey::OFFSET_COMMIT, code, 1);
        let consumer = world.noting(&Seen::default()).await;
        let mut events = consumer.events();
        event(&mut events, |event| {
            matches!(event, Event::CommitFailed { .. })
        })
        .await;
        let ended = consumer.ended().await.unwrap_err().to_string();
        assert_eq!(ended, format!("OffsetCommit was refused: {}", code.name()));
        world.stage.finish().await;
    }
}

/// Nobody resets the connection, so the old leader's silence would hold the partition for `request.timeout.ms`.
#[tokio::test(start_paused = true)]
async fn a_leader_that_hangs_holds_its_partition_no_longer_than_it_leads() {
    let world = World::with(1, 3, &[("metadata.max.age.ms", "1000")]).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(3))
        .await;
    let fetches = world.broker.count(ApiKey::FETCH);
    world.broker.hang_fetches_of(NODE);
    world
        .broker
        .until(|broker| broker.count(ApiKey::FETCH) > fetches)
        .await;
    world.broker.move_leader(TOPIC, 0, NODE + 1);
    world.broker.append(TOPIC, 0, ["after"]);
    let began = tokio::time::Instant::now();
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(4))
        .await;
    let took = began.elapsed();
    // A refresh of metadata, and the interval of commits.
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(seen.offsets(0), [0, 1, 2, 3]);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

/// The broker was asked for it without a pause, as often as credit lasted.
#[tokio::test(start_paused = true)]
async fn a_batch_without_a_readable_header_is_not_asked_for_in_a_loop() {
    let world = World::new(1, 1).await;
    let mut unreadable = CORRUPT.to_vec();
    unreadable[..8].copy_from_slice(&1_i64.to_be_bytes());
    // The version of its format.
    unreadable[16] = 9;
    world
        .broker
        .append_raw(TOPIC, 0, (1, 4), Bytes::from(unreadable));
    let consumer = world
        .consumer()
        .handle(|_record: Record, _context| async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Ok::<_, HandlerError>(())
        })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    event(&mut events, |event| matches!(event, Event::Paused { .. })).await;
    let fetches = world.broker.count(ApiKey::FETCH);
    assert!(fetches < 50, "{fetches} requests in 10 s");
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// Ten times a second each, for as long as metadata named a broker that refused.
#[tokio::test(start_paused = true)]
async fn a_broker_that_denies_to_lead_what_metadata_says_is_asked_ever_less_often() {
    let world = World::new(1, 1).await;
    world.broker.commit(TOPIC, 0, 0);
    world
        .broker
        .refuse_topic(TOPIC, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    for api in [ApiKey::FETCH, ApiKey::METADATA] {
        let count = world.broker.count(api);
        assert!((30..100).contains(&count), "{api:?}: {count} in a minute");
    }
    world.broker.refuse_topic(TOPIC, ErrorCode::NONE);
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(1))
        .await;
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

/// Its heartbeats waited behind the request, and took the connection with them when their time was up.
#[tokio::test(start_paused = true)]
async fn a_follower_waits_for_a_plan_that_takes_long_and_stays_alive_meanwhile() {
    let world = World::new(1, 1).await;
    world.broker.hold(ApiKey::SYNC_GROUP);
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    tokio::time::sleep(Duration::from_secs(150)).await;
    // An assignor of the leader's may take as long.
    assert_eq!(world.broker.count(ApiKey::SYNC_GROUP), 1);
    assert!(world.broker.count(ApiKey::HEARTBEAT) >= 45);
    world.broker.release(ApiKey::SYNC_GROUP);
    let first = event(&mut events, |event| {
        matches!(
            event,
            Event::Assigned { .. } | Event::CoordinatorLost { .. }
        )
    });
    let first = first.await;
    assert!(matches!(first, Event::Assigned { .. }), "{first:?}");
    assert_eq!(world.broker.count(ApiKey::SYNC_GROUP), 1);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}
