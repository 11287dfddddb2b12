//! Where a partition is read on, and what is committed of that, when its log is not what was expected: batches that
//! cannot be read, positions that are not in it, groups that have committed nothing.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use callboard_client::ClientConfig;
use callboard_consumer::{ConsumerHandle, Event, HandlerError, Record, ShutdownOptions};
use callboard_protocol::{ApiKey, ErrorCode};
use common::{Seen, TOPIC, World, event, tp};
use tokio::sync::Semaphore;

/// Three records; one bit of the last value is wrong.
const CORRUPT: &[u8] = include_bytes!("../../testdata/kafka-4.2.0/record_batches/bad-crc.bin");

fn latest(world: &World) -> ClientConfig {
    let mut config = world.client.config().clone();
    config.set("auto.offset.reset", "latest").unwrap();
    config
}

/// A consumer that needs a permit for each record.
async fn gated(
    world: &World,
    config: ClientConfig,
    seen: &Seen,
) -> (ConsumerHandle, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let (noted, held) = (seen.clone(), Arc::clone(&gate));
    let consumer = world
        .consumer()
        .config(config)
        .handle(move |record: Record, _context| {
            let (noted, held) = (noted.clone(), Arc::clone(&held));
            async move {
                held.acquire().await?.forget();
                noted.note(&record);
                Ok::<_, HandlerError>(())
            }
        })
        .start()
        .await
        .unwrap();
    (consumer, gate)
}

/// Until so many Fetches were read.
async fn fetches(world: &World, count: usize) {
    let enough =
        |broker: &callboard_client::testing::ScriptedBroker| broker.count(ApiKey::FETCH) >= count;
    world.broker.until(enough).await;
}

/// What was fetched behind such a batch was handled, and all of it committed.
#[tokio::test(start_paused = true)]
async fn a_batch_that_cannot_be_read_is_not_passed_by_what_was_fetched_behind_it() {
    let world = World::new(1, 2).await;
    let mut corrupt = CORRUPT.to_vec();
    // Its place in the log is not under the checksum.
    corrupt[..8].copy_from_slice(&2_i64.to_be_bytes());
    world
        .broker
        .append_raw(TOPIC, 0, (2, 5), Bytes::from(corrupt));
    let seen = Seen::default();
    let config = world.client.config().clone();
    let (consumer, gate) = gated(&world, config, &seen).await;
    let mut events = consumer.events();
    // The second Fetch is behind the batch: the first one is answered.
    fetches(&world, 2).await;
    world.broker.append(TOPIC, 0, ["5", "6", "7"]);
    fetches(&world, 3).await;
    gate.add_permits(100);
    let paused = event(&mut events, |event| matches!(event, Event::Paused { .. })).await;
    assert!(format!("{paused:?}").contains("offset 2: "), "{paused:?}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(seen.offsets(0), [0, 1]);
    assert_eq!(world.broker.committed(TOPIC, 0), Some(2));
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    assert_eq!(world.broker.committed(TOPIC, 0), Some(2));
    world.stage.finish().await;
}

/// It threw away what was fetched and not handled yet, and went on at the end.
#[tokio::test(start_paused = true)]
async fn a_position_out_of_range_takes_nothing_from_the_handler_that_it_has_in_hand() {
    let world = World::new(1, 50).await;
    world.broker.commit(TOPIC, 0, 0);
    let seen = Seen::default();
    let (consumer, gate) = gated(&world, latest(&world), &seen).await;
    fetches(&world, 2).await;
    world
        .broker
        .fail(ApiKey::FETCH, ErrorCode::OFFSET_OUT_OF_RANGE, 2);
    world.broker.append(TOPIC, 0, ["50"]);
    fetches(&world, 5).await;
    assert_eq!(world.broker.count(ApiKey::LIST_OFFSETS), 0);
    gate.add_permits(100);
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(51))
        .await;
    assert_eq!(seen.offsets(0), (0..51).collect::<Vec<_>>());
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn with_nothing_in_hand_a_position_out_of_range_is_reset_and_the_handler_goes_on() {
    let world = World::new(1, 5).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(5))
        .await;
    world
        .broker
        .fail(ApiKey::FETCH, ErrorCode::OFFSET_OUT_OF_RANGE, 1);
    // `earliest` is below: every record comes again.
    let reset = Event::OffsetReset {
        partition: tp(0),
        from: Some(5),
        to: 0,
    };
    event(&mut events, |event| *event == reset).await;
    while seen.offsets(0).len() < 10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen.offsets(0), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    // The position that the reset chose is committed, though it lies below.
    assert!(world.commits().contains(&"orders/0=0".to_owned()));
    assert_eq!(world.broker.rewinds(), ["orders/0: 5 -> 0"]);
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!((report.drained, report.handler_failures), (true, 0));
    assert_eq!(world.broker.committed(TOPIC, 0), Some(5));
    world.stage.finish().await;
}

/// How many handlers of one partition are at work, now and at most.
#[derive(Clone, Default)]
struct AtWork(Arc<(AtomicUsize, AtomicUsize)>);

impl AtWork {
    fn begin(&self) -> Self {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        self.clone()
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

struct End(AtWork);

impl Drop for End {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A consumer whose records take 20 s each.
async fn slow(world: &World, at_work: &AtWork) -> ConsumerHandle {
    let at_work = at_work.clone();
    world
        .consumer()
        .handle(move |_record: Record, _context| {
            let at_work = at_work.clone();
            async move {
                let _end = End(at_work.begin());
                tokio::time::sleep(Duration::from_secs(20)).await;
                Ok::<_, HandlerError>(())
            }
        })
        .start()
        .await
        .unwrap()
}

/// The old handler was left at its record, and another one began at the same partition.
#[tokio::test(start_paused = true)]
async fn whatever_the_leader_refuses_two_handlers_never_work_on_one_partition() {
    for code in [
        ErrorCode::OFFSET_OUT_OF_RANGE,
        ErrorCode::TOPIC_AUTHORIZATION_FAILED,
    ] {
        let world = World::new(1, 10).await;
        let at_work = AtWork::default();
        let consumer = slow(&world, &at_work).await;
        fetches(&world, 2).await;
        world.broker.fail(ApiKey::FETCH, code, 3);
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(5)).await;
            consumer.resume(tp(0)).await;
        }
        assert_eq!(at_work.most(), 1, "{}", code.name());
        drop(consumer.shutdown(ShutdownOptions::default()).await);
        assert_eq!(at_work.most(), 1, "{}", code.name());
        world.stage.finish().await;
    }
}

/// It has not ended when the next one of the same partition is to begin.
struct Stubborn(AtWork);

#[async_trait::async_trait]
impl callboard_consumer::PartitionHandler for Stubborn {
    async fn handle(
        &mut self,
        _record: &Record,
        _context: &callboard_consumer::PartitionContext,
    ) -> Result<callboard_consumer::Outcome, HandlerError> {
        Ok(callboard_consumer::Outcome::Done)
    }

    async fn started(
        &mut self,
        _context: &callboard_consumer::PartitionContext,
    ) -> Result<(), HandlerError> {
        let _end = End(self.0.begin());
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    }

    async fn lost(&mut self, _context: &callboard_consumer::PartitionContext) {
        let _end = End(self.0.begin());
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_lost_and_comes_back_waits_for_the_handler_that_lost_it() {
    let world = World::new(1, 1).await;
    let at_work = AtWork::default();
    let made = at_work.clone();
    let consumer = world
        .consumer()
        .handler(move |_partition| Stubborn(made.clone()))
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let started = |event: &Event| matches!(event, Event::HandlerStarted { .. });
    event(&mut events, started).await;
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(1))
        .await;
    world.broker.expire_member();
    event(&mut events, |event| matches!(event, Event::Lost { .. })).await;
    let lost = tokio::time::Instant::now();
    event(&mut events, started).await;
    assert!(lost.elapsed() >= Duration::from_secs(20));
    world.broker.append(TOPIC, 0, ["more"]);
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(2))
        .await;
    assert_eq!(at_work.most(), 1);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// Between its two lives a group that had handled nothing skipped what came.
#[tokio::test(start_paused = true)]
async fn what_comes_between_two_lives_of_an_idle_group_is_handled() {
    let world = World::new(2, 1).await;
    let seen = Seen::default();
    let start = || async {
        let seen = seen.clone();
        let consumer = world.consumer().config(latest(&world));
        let consumer = consumer.handle(move |record: Record, _context| {
            seen.note(&record);
            async { Ok::<_, HandlerError>(()) }
        });
        consumer.start().await.unwrap()
    };
    let consumer = start().await;
    let mut events = consumer.events();
    let begun = tokio::time::Instant::now();
    event(&mut events, |event| matches!(event, Event::Assigned { .. })).await;
    world
        .broker
        .until(|broker| {
            [0, 1].map(|partition| broker.committed(TOPIC, partition)) == [Some(1), Some(1)]
        })
        .await;
    // At once, not after auto.commit.interval.ms.
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    // Without a word, as one that was killed.
    consumer.crash();
    world.broker.expire_member();
    world.broker.append(TOPIC, 0, ["between"]);
    let consumer = start().await;
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(2))
        .await;
    assert_eq!((seen.offsets(0), seen.offsets(1)), (vec![1], vec![]));
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_position_that_a_reset_chose_is_committed_before_its_partition_is_given_up() {
    let world = World::new(1, 3).await;
    world.broker.hold(ApiKey::OFFSET_COMMIT);
    let seen = Seen::default();
    let (consumer, _gate) = gated(&world, latest(&world), &seen).await;
    let mut events = consumer.events();
    event(&mut events, |event| {
        matches!(event, Event::HandlerStarted { .. })
    })
    .await;
    assert_eq!(world.broker.committed(TOPIC, 0), None);
    world.broker.fail(
        ApiKey::OFFSET_COMMIT,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        1,
    );
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::REBALANCE_IN_PROGRESS, 1);
    let beats = world.broker.count(ApiKey::HEARTBEAT);
    world
        .broker
        .until(|broker| broker.count(ApiKey::HEARTBEAT) > beats)
        .await;
    world.broker.release(ApiKey::OFFSET_COMMIT);
    let revoked = Event::Revoked {
        partitions: vec![tp(0)],
        unfinished: vec![],
    };
    assert_eq!(
        event(&mut events, |event| matches!(event, Event::Revoked { .. })).await,
        revoked
    );
    assert_eq!(world.broker.committed(TOPIC, 0), Some(3));
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// The committed offset stayed where it was, and the next life was reset again, past what had come.
#[tokio::test(start_paused = true)]
async fn the_committed_offset_moves_with_a_reset() {
    let world = World::new(1, 5).await;
    for _ in 0..9 {
        world.broker.append(TOPIC, 0, ["1", "2", "3", "4", "5"]);
    }
    world.broker.truncate_before(TOPIC, 0, 20);
    world.broker.commit(TOPIC, 0, 5);
    let seen = Seen::default();
    let (consumer, _gate) = gated(&world, latest(&world), &seen).await;
    let mut events = consumer.events();
    let reset = Event::OffsetReset {
        partition: tp(0),
        from: Some(5),
        to: 50,
    };
    event(&mut events, |event| *event == reset).await;
    let begun = tokio::time::Instant::now();
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(50))
        .await;
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// It withheld the starting offsets of all others of its topic, for ever.
#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_holds_up_no_other() {
    let world = World::new(2, 1).await;
    world.broker.lose_leader(TOPIC, 1);
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    event(&mut events, |event| matches!(event, Event::Assigned { .. })).await;
    let assigned = tokio::time::Instant::now();
    while seen.offsets(0).is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        assigned.elapsed() < Duration::from_secs(5),
        "{:?}",
        assigned.elapsed()
    );
    world.broker.elect_leader(TOPIC, 1);
    let elected = tokio::time::Instant::now();
    while seen.offsets(1).is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        elected.elapsed() < Duration::from_secs(5),
        "{:?}",
        elected.elapsed()
    );
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// One topic paused every partition of the lookup.
#[tokio::test(start_paused = true)]
async fn a_topic_whose_committed_offsets_may_not_be_read_pauses_alone() {
    let world = World::new(1, 1).await;
    world.broker.create_topic("secrets", 1);
    world.broker.append("secrets", 0, ["0", "1"]);
    world.broker.commit("secrets", 0, 1);
    world.broker.deny_committed("secrets", true);
    let seen = Seen::default();
    let noted = seen.clone();
    let consumer = world
        .consumer()
        .topics(["secrets"])
        .handle(move |record: Record, _context| {
            noted.note(&record);
            async { Ok::<_, HandlerError>(()) }
        })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let secrets = callboard_client::TopicPartition::new("secrets", 0);
    let paused = Event::Paused {
        partition: secrets.clone(),
        reason: "its committed offset cannot be read: TOPIC_AUTHORIZATION_FAILED".to_owned(),
    };
    assert_eq!(
        event(&mut events, |event| matches!(event, Event::Paused { .. })).await,
        paused
    );
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(1))
        .await;
    world.broker.deny_committed("secrets", false);
    assert!(consumer.resume(secrets).await);
    world
        .broker
        .until(|broker| broker.committed("secrets", 0) == Some(2))
        .await;
    assert_eq!(seen.offsets(0), [0, 1]);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// It paused all of its partitions and stayed a member.
#[tokio::test(start_paused = true)]
async fn a_group_that_may_not_be_read_ends_its_member() {
    let world = World::new(1, 1).await;
    world.broker.fail(
        ApiKey::OFFSET_FETCH,
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
        1,
    );
    let consumer = world.noting(&Seen::default()).await;
    let error = consumer.ended().await.unwrap_err().to_string();
    assert!(error.contains("OffsetFetch"), "{error}");
    assert!(error.contains("GROUP_AUTHORIZATION_FAILED"), "{error}");
    assert!(!consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}
