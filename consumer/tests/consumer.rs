//! A whole consumer against a scripted broker: consuming, failing handlers, rebalances, losses, endings.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use callboard_consumer::{
    Event, Exhausted, HandlerError, HandlerPolicy, Outcome, PartitionContext, PartitionHandler,
    Record, ShutdownOptions,
};
use callboard_protocol::{ApiKey, ErrorCode};
use common::{Seen, TOPIC, World, event, tp};
use tokio::sync::Semaphore;

/// The offset committed last, by the broker's account.
async fn committed(world: &World, partition: i32, offset: i64) {
    world
        .broker
        .until(|broker| broker.committed(TOPIC, partition) == Some(offset))
        .await;
}

#[tokio::test(start_paused = true)]
async fn every_record_is_handled_in_order_committed_and_reported() {
    let world = World::new(2, 5).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    committed(&world, 0, 5).await;
    committed(&world, 1, 5).await;
    assert_eq!(seen.offsets(0), [0, 1, 2, 3, 4]);
    assert_eq!(seen.offsets(1), [0, 1, 2, 3, 4]);
    world.broker.append(TOPIC, 1, ["late"]);
    committed(&world, 1, 6).await;

    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    assert_eq!((report.records, report.redelivered), (11, 0));
    assert_eq!(report.committed[&tp(1)], 6);
    assert_eq!(world.broker.count(ApiKey::LEAVE_GROUP), 1);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn consumption_resumes_at_the_committed_offset() {
    let world = World::new(1, 5).await;
    world.broker.commit(TOPIC, 0, 3);
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    committed(&world, 0, 5).await;
    assert_eq!(seen.offsets(0), [3, 4]);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_acknowledged_the_position_of_the_reset_is_committed_and_nothing_else() {
    let world = World::new(1, 0).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    event(&mut events, |event| {
        matches!(event, Event::HandlerStarted { .. })
    })
    .await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained);
    assert_eq!(world.commits(), ["orders/0=0"]);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_brings_the_record_again_and_the_group_does_not_notice() {
    let world = World::new(2, 5).await;
    world.stage.expect_failure("partition_handler");
    let (seen, panicked) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let noted = seen.clone();
    let consumer = world
        .consumer()
        .handle(move |record: Record, context: PartitionContext| {
            if record.partition() == 0
                && record.offset == 2
                && !panicked.swap(true, Ordering::SeqCst)
            {
                panic!("once");
            }
            if record.partition() == 0 && record.offset == 2 {
                assert_eq!(context.attempt(), 2);
            }
            noted.note(&record);
            async { Ok::<_, HandlerError>(()) }
        })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let restarted = event(&mut events, |event| {
        matches!(event, Event::HandlerRestarted { .. })
    })
    .await;
    let Event::HandlerRestarted {
        offset,
        attempts,
        resumes_at,
        ..
    } = restarted
    else {
        unreachable!("asked for it")
    };
    assert_eq!((offset, attempts, resumes_at), (Some(2), 1, 2));
    event(&mut events, |event| {
        matches!(
            event,
            Event::Redelivered {
                offset: 2,
                attempt: 2,
                ..
            }
        )
    })
    .await;
    committed(&world, 0, 5).await;
    committed(&world, 1, 5).await;
    assert_eq!(seen.offsets(0), [0, 1, 2, 3, 4]);
    assert_eq!(
        world.broker.count(ApiKey::JOIN_GROUP),
        2,
        "two steps of one join"
    );
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!((report.handler_failures, report.redelivered), (1, 1));
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_keeps_failing_pauses_its_partition_until_it_is_resumed() {
    let world = World::new(2, 5).await;
    for _ in 0..3 {
        world.stage.expect_failure("partition_handler");
    }
    let (seen, healed) = (Seen::default(), Arc::new(AtomicBool::new(false)));
    let (noted, heal) = (seen.clone(), Arc::clone(&healed));
    let consumer = world
        .consumer()
        .policy(HandlerPolicy {
            attempts_max: 3,
            ..HandlerPolicy::default()
        })
        .handle(move |record: Record, _context| {
            let fails =
                record.partition() == 0 && record.offset == 1 && !heal.load(Ordering::SeqCst);
            if !fails {
                noted.note(&record);
            }
            async move { if fails { Err("no") } else { Ok(()) } }
        })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let paused = event(&mut events, |event| matches!(event, Event::Paused { .. })).await;
    assert!(
        format!("{paused:?}").contains("offset 1 failed 3 times: no"),
        "{paused:?}"
    );
    committed(&world, 1, 5).await;
    committed(&world, 0, 1).await;
    healed.store(true, Ordering::SeqCst);
    assert!(consumer.resume(tp(0)).await);
    assert!(!consumer.resume(tp(1)).await);
    committed(&world, 0, 5).await;
    assert_eq!(seen.offsets(0), [0, 1, 2, 3, 4]);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_keeps_failing_is_passed_over_if_the_policy_says_so() {
    let world = World::new(1, 3).await;
    for _ in 0..2 {
        world.stage.expect_failure("partition_handler");
    }
    let seen = Seen::default();
    let noted = seen.clone();
    let consumer = world
        .consumer()
        .policy(HandlerPolicy {
            attempts_max: 2,
            exhausted: Exhausted::Skip,
            ..HandlerPolicy::default()
        })
        .handle(move |record: Record, _context| {
            let fails = record.offset == 1;
            if !fails {
                noted.note(&record);
            }
            async move { if fails { Err("no") } else { Ok(()) } }
        })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    event(&mut events, |event| {
        matches!(event, Event::Skipped { offset: 1, .. })
    })
    .await;
    committed(&world, 0, 3).await;
    assert_eq!(seen.offsets(0), [0, 2]);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_commits_what_is_acknowledged_before_it_joins_again() {
    let world = World::with(1, 5, &[("auto.commit.interval.ms", "3600000")]).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    event(&mut events, |event| {
        matches!(event, Event::HandlerStarted { .. })
    })
    .await;
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::REBALANCE_IN_PROGRESS, 1);
    let revoked = event(&mut events, |event| matches!(event, Event::Revoked { .. })).await;
    assert_eq!(
        revoked,
        Event::Revoked {
            partitions: vec![tp(0)],
            unfinished: Vec::new()
        }
    );
    event(&mut events, |event| {
        matches!(event, Event::Assigned { generation: 2, .. })
    })
    .await;
    let asked = world.broker.seen();
    // After the one of the position that the reset chose.
    let commit = asked
        .iter()
        .rposition(|seen| seen.api == ApiKey::OFFSET_COMMIT)
        .unwrap();
    let rejoin = asked
        .iter()
        .rposition(|seen| seen.api == ApiKey::JOIN_GROUP)
        .unwrap();
    assert_eq!(asked[commit].detail, "orders/0=5");
    assert!(commit < rejoin);
    assert_eq!(
        asked[rejoin].detail,
        "\"member-1\" \"group is already rebalancing\""
    );
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!((report.records, report.redelivered), (5, 0));
    world.stage.finish().await;
}

/// Waits inside `handle` for a permit, and notes what else happens to it.
struct Slow {
    permits: Arc<Semaphore>,
    seen: Seen,
    lost: Arc<AtomicBool>,
    revoked: Arc<AtomicBool>,
}

#[async_trait]
impl PartitionHandler for Slow {
    async fn handle(
        &mut self,
        record: &Record,
        _context: &PartitionContext,
    ) -> Result<Outcome, HandlerError> {
        self.permits.acquire().await?.forget();
        self.seen.note(record);
        Ok(Outcome::Done)
    }

    async fn revoked(&mut self, context: &PartitionContext) -> Result<(), HandlerError> {
        assert!(context.is_owner());
        self.revoked.store(true, Ordering::SeqCst);
        Ok(())
    }

    async fn lost(&mut self, context: &PartitionContext) {
        assert!(!context.is_owner());
        self.lost.store(true, Ordering::SeqCst);
    }
}

#[derive(Clone, Default)]
struct SlowWorld {
    seen: Seen,
    lost: Arc<AtomicBool>,
    revoked: Arc<AtomicBool>,
}

impl SlowWorld {
    fn handler(&self, permits: &Arc<Semaphore>) -> Slow {
        Slow {
            permits: Arc::clone(permits),
            seen: self.seen.clone(),
            lost: Arc::clone(&self.lost),
            revoked: Arc::clone(&self.revoked),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_waits_for_the_record_in_work_and_hands_out_no_other() {
    let world = World::new(1, 5).await;
    let (permits, slow) = (Arc::new(Semaphore::new(1)), SlowWorld::default());
    let (given, made) = (Arc::clone(&permits), slow.clone());
    let consumer = world
        .consumer()
        .handler(move |_partition| made.handler(&given))
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    committed(&world, 0, 1).await;
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::REBALANCE_IN_PROGRESS, 1);
    // The drain has begun once the coordinator hears nothing but heartbeats any more: give it a while.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.broker.count(ApiKey::JOIN_GROUP), 2);
    permits.add_permits(1);
    event(
        &mut events,
        |event| matches!(event, Event::Revoked { unfinished, .. } if unfinished.is_empty()),
    )
    .await;
    assert_eq!(slow.seen.offsets(0), [0, 1]);
    assert!(slow.revoked.load(Ordering::SeqCst));
    assert_eq!(world.broker.committed(TOPIC, 0), Some(2));
    permits.add_permits(100);
    committed(&world, 0, 5).await;
    assert_eq!(slow.seen.offsets(0), [0, 1, 2, 3, 4]);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_outlasts_the_drain_is_cut_off_and_comes_again() {
    let world = World::new(1, 3).await;
    let (permits, slow) = (Arc::new(Semaphore::new(1)), SlowWorld::default());
    let (given, made) = (Arc::clone(&permits), slow.clone());
    let consumer = world
        .consumer()
        .drain_timeout(Duration::from_secs(5))
        .handler(move |_partition| made.handler(&given))
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    committed(&world, 0, 1).await;
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::REBALANCE_IN_PROGRESS, 1);
    let revoked = event(&mut events, |event| matches!(event, Event::Revoked { .. })).await;
    assert_eq!(
        revoked,
        Event::Revoked {
            partitions: vec![tp(0)],
            unfinished: vec![tp(0)]
        }
    );
    permits.add_permits(100);
    committed(&world, 0, 3).await;
    assert_eq!(slow.seen.offsets(0), [0, 1, 2]);
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!(report.redelivered, 1);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_partition_is_cancelled_and_commits_nothing() {
    let world = World::with(1, 5, &[("auto.commit.interval.ms", "3600000")]).await;
    let (permits, slow) = (Arc::new(Semaphore::new(2)), SlowWorld::default());
    let (given, made) = (Arc::clone(&permits), slow.clone());
    let consumer = world
        .consumer()
        .handler(move |_partition| made.handler(&given))
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    event(&mut events, |event| {
        matches!(event, Event::HandlerStarted { .. })
    })
    .await;
    world.broker.expire_member();
    event(&mut events, |event| matches!(event, Event::Lost { .. })).await;
    event(&mut events, |event| {
        matches!(event, Event::Assigned { generation: 2, .. })
    })
    .await;
    assert_eq!(world.commits(), ["orders/0=0"], "what the reset chose");
    event(&mut events, |event| {
        matches!(event, Event::HandlerStarted { .. })
    })
    .await;
    assert!(slow.lost.load(Ordering::SeqCst));
    assert!(!slow.revoked.load(Ordering::SeqCst));
    permits.add_permits(100);
    while slow.seen.offsets(0).len() < 7 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(slow.seen.offsets(0), [0, 1, 0, 1, 2, 3, 4]);
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.redelivered >= 2 && report.drained, "{report:?}");
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_partition_holds_up_neither_its_neighbour_nor_the_heartbeat() {
    let world = World::new(2, 50).await;
    let permits = Arc::new(Semaphore::new(0));
    let (given, seen) = (Arc::clone(&permits), Seen::default());
    let noted = seen.clone();
    let consumer = world
        .consumer()
        .handle(move |record: Record, _context| {
            let (permits, seen) = (Arc::clone(&given), noted.clone());
            async move {
                if record.partition() == 0 {
                    permits.acquire().await.map_err(|_| "closed")?.forget();
                }
                seen.note(&record);
                Ok::<_, &str>(())
            }
        })
        .start()
        .await
        .unwrap();
    committed(&world, 1, 50).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(world.broker.count(ApiKey::HEARTBEAT) > 100);
    assert_eq!(
        world.broker.count(ApiKey::JOIN_GROUP),
        2,
        "it is still the same generation"
    );
    assert_eq!(seen.offsets(0), [] as [i64; 0]);
    permits.add_permits(100);
    committed(&world, 0, 50).await;
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_neither_commits_nor_leaves() {
    let world = World::with(1, 5, &[("auto.commit.interval.ms", "3600000")]).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    event(&mut events, |event| {
        matches!(event, Event::HandlerStarted { .. })
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    consumer.crash();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.commits(), ["orders/0=0"], "what the reset chose");
    assert_eq!(world.broker.count(ApiKey::LEAVE_GROUP), 0);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_moved_coordinator_changes_nothing_for_handlers() {
    let world = World::new(1, 5).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    committed(&world, 0, 5).await;
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::NOT_COORDINATOR, 1);
    world
        .broker
        .until(|broker| broker.count(ApiKey::FIND_COORDINATOR) == 2)
        .await;
    world.broker.append(TOPIC, 0, ["more"]);
    committed(&world, 0, 6).await;
    assert_eq!(world.broker.count(ApiKey::JOIN_GROUP), 2);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_break_are_made_again_and_nothing_is_lost() {
    let world = World::new(2, 5).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    committed(&world, 0, 5).await;
    for round in 0..5 {
        world.broker.cut();
        world.broker.append(TOPIC, 0, ["more"]);
        committed(&world, 0, 6 + round).await;
    }
    assert_eq!(seen.offsets(0), (0..10).collect::<Vec<_>>());
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_raised_leader_epoch_is_learnt_and_no_record_is_lost() {
    let world = World::new(1, 5).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    committed(&world, 0, 5).await;
    for end in 6..9 {
        let refreshes = world.broker.count(ApiKey::METADATA);
        world.broker.raise_leader_epoch(TOPIC, 0);
        world.broker.append(TOPIC, 0, ["more"]);
        committed(&world, 0, end).await;
        assert!(world.broker.count(ApiKey::METADATA) > refreshes);
    }
    // A broker that has not heard of the epoch yet is asked again.
    world
        .broker
        .fail(ApiKey::FETCH, ErrorCode::UNKNOWN_LEADER_EPOCH, 3);
    world.broker.append(TOPIC, 0, ["more"]);
    committed(&world, 0, 9).await;
    assert_eq!(seen.offsets(0), (0..9).collect::<Vec<_>>());
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_loading_coordinator_is_asked_until_it_commits() {
    let world = World::new(1, 5).await;
    world.broker.fail(
        ApiKey::OFFSET_COMMIT,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        3,
    );
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    committed(&world, 0, 5).await;
    assert_eq!(world.broker.count(ApiKey::OFFSET_COMMIT), 4);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_position_that_retention_took_is_reset_by_policy() {
    let world = World::new(1, 3).await;
    world.broker.append(TOPIC, 0, ["3", "4"]);
    world.broker.truncate_before(TOPIC, 0, 3);
    world.broker.commit(TOPIC, 0, 1);
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    event(&mut events, |event| {
        *event
            == Event::OffsetReset {
                partition: tp(0),
                from: Some(1),
                to: 3,
            }
    })
    .await;
    committed(&world, 0, 5).await;
    assert_eq!(seen.offsets(0), [3, 4]);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_an_offset_and_without_a_policy_is_paused() {
    let world = World::with(1, 3, &[("auto.offset.reset", "none")]).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    event(&mut events, |event| matches!(event, Event::Paused { .. })).await;
    world.broker.commit(TOPIC, 0, 2);
    assert!(consumer.resume(tp(0)).await);
    committed(&world, 0, 3).await;
    assert_eq!(seen.offsets(0), [2]);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_member_ends_and_says_why() {
    let world = World::new(1, 3).await;
    world
        .broker
        .fail(ApiKey::JOIN_GROUP, ErrorCode::INVALID_SESSION_TIMEOUT, 1);
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let error = consumer.ended().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "JoinGroup was refused: INVALID_SESSION_TIMEOUT; session.timeout.ms has to lie between the broker's \
         group.min.session.timeout.ms and group.max.session.timeout.ms"
    );
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(!report.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_outside_of_the_handler() {
    let world = World::new(1, 1).await;
    for _ in 0..2 {
        world.stage.expect_failure("partition_handler");
    }
    let highest = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&highest);
    let consumer = world
        .consumer()
        .handle(move |_record, context: PartitionContext| {
            counted.store(context.attempt(), Ordering::SeqCst);
            async move {
                if context.attempt() < 3 {
                    Err("again")
                } else {
                    Ok(())
                }
            }
        })
        .start()
        .await
        .unwrap();
    committed(&world, 0, 1).await;
    assert_eq!(highest.load(Ordering::SeqCst), 3);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}
