//! The consumer's own actors are killed one after the other, under records and rebalances, and nothing is lost.

mod chaos;
mod credit;
mod losses;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_client::testing::ScriptedBroker;
use callboard_client::{Client, ClientConfig, TopicPartition};
use callboard_protocol::{ApiKey, ErrorCode};
use callboard_supervision::testing::Stage;
use futures_util::StreamExt;
use ractor::ActorCell;

use crate::core::membership::Generation;
use crate::shared::{Identity, Slot, Slots};
use crate::{
    ConsumerGroup, ConsumerHandle, Event, HandlerError, HandlerPolicy, Record, ShutdownOptions,
    StartAt,
};

const TOPIC: &str = "orders";

struct World {
    stage: Stage,
    broker: ScriptedBroker,
    consumer: ConsumerHandle,
    seen: Arc<Mutex<BTreeSet<i64>>>,
    appended: i64,
}

impl World {
    async fn new() -> Self {
        let broker = ScriptedBroker::new();
        broker.create_topic(TOPIC, 1);
        let mut config = ClientConfig::default();
        config.set("auto.offset.reset", "earliest").unwrap();
        config.set("auto.commit.interval.ms", "100").unwrap();
        let client = Client::connect_with(config, broker.connector())
            .await
            .unwrap();
        let stage = Stage::new().await;
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let noted = Arc::clone(&seen);
        let consumer = ConsumerGroup::builder(&client)
            .supervisor(stage.cell())
            .group_id("billing")
            .topics([TOPIC])
            .handle(move |record: Record, _context| {
                noted.lock().unwrap().insert(record.offset);
                async { Ok::<_, HandlerError>(()) }
            })
            .start()
            .await
            .unwrap();
        Self {
            stage,
            broker,
            consumer,
            seen,
            appended: 0,
        }
    }

    /// Appends a record and waits until it is committed.
    async fn consume_one(&mut self) {
        self.broker.append(TOPIC, 0, ["one"]);
        self.appended += 1;
        let end = self.appended;
        self.broker
            .until(|broker| broker.committed(TOPIC, 0) == Some(end))
            .await;
    }

    async fn finish(self) {
        assert_eq!(*self.seen.lock().unwrap(), (0..self.appended).collect());
        let report = self.consumer.shutdown(ShutdownOptions::default()).await;
        assert!(report.drained, "{report:?}");
        self.stage.finish().await;
    }
}

fn cell<M: Send + 'static>(slot: &Slot<M>) -> ActorCell {
    slot.get().unwrap().actor().get_cell()
}

#[tokio::test(start_paused = true)]
async fn every_actor_may_be_killed_and_consumption_goes_on() {
    let mut world = World::new().await;
    world.consume_one().await;
    for round in 0..3 {
        for which in 0..4 {
            let slots = &world.consumer.shared.slots;
            let victim = match which {
                0 => cell(&slots.partitions),
                1 => cell(&slots.fetchers),
                2 => cell(&slots.committer),
                _ => cell(&slots.membership),
            };
            victim.kill();
            world.consume_one().await;
            // Far enough apart for the restart budgets.
            tokio::time::sleep(Duration::from_secs(60 + round)).await;
        }
    }
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_group_every_actor_may_be_killed_as_well() {
    let broker = ScriptedBroker::new();
    broker.create_topic(TOPIC, 1);
    let client = Client::connect_with(ClientConfig::default(), broker.connector())
        .await
        .unwrap();
    let stage = Stage::new().await;
    let (consumer, mut stream) = ConsumerGroup::builder(&client)
        .supervisor(stage.cell())
        .assign([(TopicPartition::new(TOPIC, 0), StartAt::Earliest)])
        .start_stream()
        .await
        .unwrap();
    let slots = &consumer.shared.slots;
    let kills: [fn(&Slots) -> ActorCell; 4] = [
        |slots| cell(&slots.partitions),
        |slots| cell(&slots.fetchers),
        |slots| cell(&slots.committer),
        |slots| cell(&slots.membership),
    ];
    for (offset, victim) in (0..).zip(kills) {
        broker.append(TOPIC, 0, ["one"]);
        let record = stream.next().await.unwrap();
        assert_eq!(record.offset, offset);
        assert!(record.ack());
        victim(slots).kill();
        // Far enough apart for the restart budgets.
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    broker.append(TOPIC, 0, ["last"]);
    let last = stream.next().await.unwrap();
    assert_eq!(last.offset, 4);
    assert!(last.ack());
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_membership_rejoins_under_its_member_id() {
    let mut world = World::new().await;
    world.consume_one().await;
    cell(&world.consumer.shared.slots.membership).kill();
    world.consume_one().await;
    let joins: Vec<String> = world
        .broker
        .seen()
        .into_iter()
        .filter(|seen| seen.api == ApiKey::JOIN_GROUP)
        .map(|seen| seen.detail)
        .collect();
    assert_eq!(
        joins,
        [
            "\"\" \"first join\"",
            "\"member-1\" \"first join\"",
            "\"member-1\" \"first join\""
        ]
    );
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn partitions_that_die_during_a_revocation_are_asked_again() {
    let mut world = World::new().await;
    world.consume_one().await;
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::REBALANCE_IN_PROGRESS, 1);
    world.broker.hold(ApiKey::OFFSET_COMMIT);
    world.broker.append(TOPIC, 0, ["held"]);
    world.appended += 1;
    let beats = world.broker.count(ApiKey::HEARTBEAT);
    world
        .broker
        .until(|broker| broker.count(ApiKey::HEARTBEAT) > beats)
        .await;
    cell(&world.consumer.shared.slots.partitions).kill();
    world.broker.release(ApiKey::OFFSET_COMMIT);
    world
        .broker
        .until(|broker| broker.count(ApiKey::SYNC_GROUP) == 2)
        .await;
    world.consume_one().await;
    world.finish().await;
}

/// It went out with generation -1 and no member id, as a simple consumer's does, and a coordinator takes such a commit
/// whenever the group happens to be empty.
#[tokio::test(start_paused = true)]
async fn nothing_is_committed_outside_of_a_generation() {
    let mut world = World::new().await;
    world.consume_one().await;
    let commits = world.broker.count(ApiKey::OFFSET_COMMIT);
    // Membership says who it is whenever it is told something; it is not for the three seconds after a heartbeat.
    let beats = world.broker.count(ApiKey::HEARTBEAT);
    world
        .broker
        .until(|broker| broker.count(ApiKey::HEARTBEAT) > beats)
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    // What membership does first when a heartbeat is answered with UNKNOWN_MEMBER_ID; the loss is still on its way.
    let shared = &world.consumer.shared;
    let member = shared.identity();
    let outside = Identity {
        generation: Generation {
            id: -1,
            ..Generation::default()
        },
        coordinator: member.coordinator,
        is_joining: false,
    };
    shared.set_identity(outside.clone());
    world.broker.append(TOPIC, 0, ["late"]);
    world.appended += 1;
    while world.consumer.progress()[&TopicPartition::new(TOPIC, 0)].acknowledged < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let within = Duration::from_millis(500);
    assert_eq!(world.consumer.commit(within).await.len(), 1);
    assert_eq!(world.broker.count(ApiKey::OFFSET_COMMIT), commits);
    // Nor with the member id alone, which a member keeps that has to join again.
    let mut between = outside;
    between
        .generation
        .member_id
        .clone_from(&member.generation.member_id);
    world.consumer.shared.set_identity(between);
    assert_eq!(world.consumer.commit(within).await.len(), 1);
    assert_eq!(world.broker.count(ApiKey::OFFSET_COMMIT), commits);

    world.consumer.shared.set_identity(member);
    assert_eq!(world.consumer.commit(10 * within).await, []);
    world.finish().await;
}

/// The supervisor of handlers may be busy with user code that starts; by the time it hears of a loss we may be in the
/// next generation.
#[tokio::test(start_paused = true)]
async fn what_is_lost_is_not_committed_in_the_next_generation() {
    let mut world = World::new().await;
    world.consume_one().await;
    let lost = std::collections::BTreeSet::from([TopicPartition::new(TOPIC, 0)]);
    world.consumer.shared.disown(&lost);
    assert!(world.consumer.shared.cells().is_empty());
    let commits = world.broker.count(ApiKey::OFFSET_COMMIT);
    world.broker.append(TOPIC, 0, ["late"]);
    world.appended += 1;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.broker.count(ApiKey::OFFSET_COMMIT), commits);
    // Membership asks for a rebalance that seats everything anew.
    world.consumer.enforce_rebalance("lost");
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(2))
        .await;
    world.finish().await;
}

/// What a reset chose is committed; beyond that it would be what nobody acknowledged.
#[tokio::test(start_paused = true)]
async fn a_committer_that_begins_anew_commits_what_the_reset_chose_and_nothing_else() {
    let broker = ScriptedBroker::new();
    broker.create_topic(TOPIC, 1);
    broker.append(TOPIC, 0, ["0", "1"]);
    let stage = Stage::new().await;
    let mut config = ClientConfig::default();
    config.set("auto.commit.interval.ms", "100").unwrap();
    let client = Client::connect_with(config, broker.connector())
        .await
        .unwrap();
    let consumer = ConsumerGroup::builder(&client)
        .supervisor(stage.cell())
        .group_id("billing")
        .topics([TOPIC])
        .handle(|_record: Record, _context| async {
            std::future::pending::<()>().await;
            Ok::<_, HandlerError>(())
        })
        .start()
        .await
        .unwrap();
    let chosen = |broker: &ScriptedBroker| broker.committed(TOPIC, 0) == Some(2);
    broker.until(chosen).await;
    // The broker has it; a committer that ends before it hears so commits it once more.
    while consumer.shared.totals().commits == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    broker.append(TOPIC, 0, ["2"]);
    for _ in 0..2 {
        cell(&consumer.shared.slots.committer).kill();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(chosen(&broker));
    }
    assert_eq!(broker.count(ApiKey::OFFSET_COMMIT), 1);
    drop(consumer);
    stage.finish().await;
}

/// It was brought back with the others, and failed at the same record as often as before.
#[tokio::test(start_paused = true)]
async fn a_paused_partition_stays_paused_when_the_supervisor_of_handlers_begins_anew() {
    let broker = ScriptedBroker::new();
    broker.create_topic(TOPIC, 2);
    broker.append(TOPIC, 0, ["bad"]);
    let stage = Stage::new().await;
    stage.expect_failure("partition_handler");
    let mut config = ClientConfig::default();
    config.set("auto.offset.reset", "earliest").unwrap();
    let client = Client::connect_with(config, broker.connector())
        .await
        .unwrap();
    let consumer = ConsumerGroup::builder(&client)
        .supervisor(stage.cell())
        .group_id("billing")
        .topics([TOPIC])
        .policy(HandlerPolicy {
            attempts_max: 1,
            ..HandlerPolicy::default()
        })
        .handle(|record: Record, _context| async move {
            match record.value.as_deref() {
                Some(b"bad") => Err::<_, HandlerError>("no".into()),
                _ => Ok(()),
            }
        })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    loop {
        if matches!(events.recv().await, Some(Event::Paused { .. })) {
            break;
        }
    }
    cell(&consumer.shared.slots.partitions).kill();
    broker.append(TOPIC, 1, ["good"]);
    broker
        .until(|broker| broker.committed(TOPIC, 1) == Some(1))
        .await;
    let paused = TopicPartition::new(TOPIC, 0);
    assert_eq!(consumer.progress()[&paused].position, 0);
    assert!(consumer.resume(paused).await);
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.handler_failures <= 2, "{report:?}");
    stage.finish().await;
}
