//! What one actor says while another begins anew, or while partitions are on their way out.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use callboard_supervision::spawn_linked;

use super::*;
use crate::committer::{self, Committer};
use crate::core::membership::{LossCause, Ticket};
use crate::fetchers::{self, Fetchers};
use crate::partition::Cell;
use crate::partitions::{self, Partitions, PartitionsMsg, Phase};
use crate::{HandlerPolicy, Outcome, PartitionContext, PartitionHandler};

const LONG: Duration = Duration::from_secs(600);

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

async fn client(broker: &ScriptedBroker, keys: &[(&str, &str)]) -> Client {
    let mut config = ClientConfig::default();
    for (key, value) in keys {
        config.set(key, value).unwrap();
    }
    Client::connect_with(config, broker.connector())
        .await
        .unwrap()
}

/// Waits, for a bounded time.
async fn until(broker: &ScriptedBroker, what: &str, wanted: impl Fn(&ScriptedBroker) -> bool) {
    let waiting = broker.until(wanted);
    let came = tokio::time::timeout(Duration::from_secs(20), waiting).await;
    assert!(came.is_ok(), "{what}");
}

/// A consumer of two partitions that acknowledges what is in partition 1 and nothing of partition 0, counts losses, and
/// commits when it is asked to.
async fn holding(stage: &Stage, broker: &ScriptedBroker) -> (ConsumerHandle, Arc<AtomicUsize>) {
    struct Holding(Arc<AtomicUsize>);

    #[async_trait]
    impl PartitionHandler for Holding {
        async fn handle(
            &mut self,
            record: &Record,
            _context: &PartitionContext,
        ) -> Result<Outcome, HandlerError> {
            Ok(match record.partition() {
                0 => Outcome::Deferred,
                _ => Outcome::Done,
            })
        }

        async fn lost(&mut self, _context: &PartitionContext) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    broker.create_topic(TOPIC, 2);
    for partition in 0..2 {
        broker.append(TOPIC, partition, ["one"]);
        broker.commit(TOPIC, i32::try_from(partition).unwrap(), 0);
    }
    let client = client(broker, &[("auto.commit.interval.ms", "3600000")]).await;
    let losses = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&losses);
    let consumer = ConsumerGroup::builder(&client)
        .supervisor(stage.cell())
        .group_id("billing")
        .topics([TOPIC])
        .handler(move |_partition| Holding(Arc::clone(&counted)))
        .start()
        .await
        .unwrap();
    let worked_off = || {
        let progress = consumer.progress();
        let position = |partition| progress.get(&tp(partition)).map(|one| one.position);
        position(0) == Some(1) && position(1) == Some(1)
    };
    while !worked_off() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (consumer, losses)
}

fn revoke(partitions: impl IntoIterator<Item = TopicPartition>) -> PartitionsMsg {
    PartitionsMsg::Revoke {
        ticket: Ticket::default(),
        partitions: partitions.into_iter().collect(),
        drain: LONG,
        commit: LONG,
    }
}

/// It was taken for the deadline of the commit that had just begun, and everything acknowledged was forgotten.
#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_handlers_is_not_that_of_the_commit() {
    let (stage, broker) = (Stage::new().await, ScriptedBroker::new());
    let (consumer, _) = holding(&stage, &broker).await;
    let shared = &consumer.shared;
    let cell = Arc::clone(&shared.cells()[&tp(1)]);
    let partitions = &shared.slots.partitions;
    partitions.cast(revoke([tp(1)]));
    partitions.cast(PartitionsMsg::Drained { cell, clean: true });
    partitions.cast(PartitionsMsg::Overdue(Ticket::default(), Phase::Draining));
    until(&broker, "what is acknowledged is committed", |broker| {
        broker.committed(TOPIC, 1) == Some(1)
    })
    .await;
    drop(consumer);
    stage.finish().await;
}

/// The others of a revocation once waited for the deadline of what was lost, and its handler heard of the loss then.
#[tokio::test(start_paused = true)]
async fn a_revocation_does_not_wait_for_what_is_lost() {
    let (stage, broker) = (Stage::new().await, ScriptedBroker::new());
    let (consumer, losses) = holding(&stage, &broker).await;
    let partitions = &consumer.shared.slots.partitions;
    partitions.cast(revoke([tp(0), tp(1)]));
    // Partition 1 is done, and waits for partition 0.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(broker.committed(TOPIC, 1), Some(0));
    let lost = BTreeSet::from([tp(0)]);
    consumer.shared.disown(&lost);
    partitions.cast(PartitionsMsg::Lose {
        partitions: lost,
        cause: LossCause::Restarted,
    });
    until(&broker, "the other one is committed", |broker| {
        broker.committed(TOPIC, 1) == Some(1)
    })
    .await;
    assert_eq!(losses.load(Ordering::SeqCst), 1);
    drop(consumer);
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_says_itself_where_it_is_reached() {
    let mut world = World::new().await;
    world.consume_one().await;
    let shared = &world.consumer.shared;
    let supervisor = || world.stage.cell();
    let (one, _) = spawn_linked(
        partitions::KIND,
        Partitions,
        Arc::clone(shared),
        supervisor(),
    )
    .await
    .unwrap();
    assert_eq!(cell(&shared.slots.partitions), one.actor().get_cell());
    let (one, _) = spawn_linked(fetchers::KIND, Fetchers, Arc::clone(shared), supervisor())
        .await
        .unwrap();
    assert_eq!(cell(&shared.slots.fetchers), one.actor().get_cell());
    let (one, _) = spawn_linked(committer::KIND, Committer, Arc::clone(shared), supervisor())
        .await
        .unwrap();
    assert_eq!(cell(&shared.slots.committer), one.actor().get_cell());
    drop(world.consumer);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn an_assignment_seats_anew_what_was_disowned_and_not_heard_of() {
    let mut world = World::new().await;
    world.consume_one().await;
    let shared = &world.consumer.shared;
    let owned = BTreeSet::from([tp(0)]);
    shared.disown(&owned);
    shared.own(&owned);
    shared.slots.partitions.cast(PartitionsMsg::Assign {
        generation: shared.identity().generation,
        owned,
    });
    world.broker.append(TOPIC, 0, ["two"]);
    world.appended += 1;
    until(&world.broker, "it is consumed", |broker| {
        broker.committed(TOPIC, 0) == Some(2)
    })
    .await;
    world.finish().await;
}

/// Where it begins may be found out between the loss and the supervisor's hearing of it.
#[tokio::test(start_paused = true)]
async fn what_is_lost_is_not_held_afterwards() {
    let world = World::new().await;
    let shared = &world.consumer.shared;
    let cell = Arc::new(Cell::new(
        tp(7),
        Arc::clone(&shared.group_id),
        &Generation::default(),
        &HandlerPolicy::default(),
        0,
    ));
    let both = BTreeSet::from([tp(0), tp(7)]);
    assert!(!shared.hold(&cell), "never ours");
    shared.own(&both);
    assert!(shared.hold(&cell));
    shared.disown(&both);
    assert!(!shared.hold(&cell));
    assert!(!shared.holds(&cell));
    drop(world.consumer);
    world.stage.finish().await;
}

/// Those that were being looked up, or paused before they began, stayed as they were for good.
#[tokio::test(start_paused = true)]
async fn a_restarted_membership_begins_anew_with_what_had_no_position_as_well() {
    let (stage, broker) = (Stage::new().await, ScriptedBroker::new());
    broker.create_topic(TOPIC, 1);
    broker.append(TOPIC, 0, ["one"]);
    let client = client(&broker, &[("auto.offset.reset", "none")]).await;
    let consumer = ConsumerGroup::builder(&client)
        .supervisor(stage.cell())
        .group_id("billing")
        .topics([TOPIC])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    while !matches!(events.recv().await, Some(crate::Event::Paused { .. })) {}
    broker.commit(TOPIC, 0, 0);
    cell(&consumer.shared.slots.membership).kill();
    until(&broker, "it is consumed", |broker| {
        broker.committed(TOPIC, 0) == Some(1)
    })
    .await;
    drop(consumer);
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_any_more_where_a_lost_partition_begins() {
    let (stage, broker) = (Stage::new().await, ScriptedBroker::new());
    broker.create_topic(TOPIC, 1);
    broker.refuse_topic(TOPIC, ErrorCode::LEADER_NOT_AVAILABLE);
    let client = client(&broker, &[]).await;
    let consumer = ConsumerGroup::builder(&client)
        .supervisor(stage.cell())
        .group_id("billing")
        .topics([TOPIC])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let asked = || broker.count(ApiKey::LIST_OFFSETS);
    until(&broker, "it is looked up", |broker| {
        broker.count(ApiKey::LIST_OFFSETS) > 5
    })
    .await;
    let lost = BTreeSet::from([tp(0)]);
    consumer.shared.disown(&lost);
    let lose = PartitionsMsg::LoseAll(LossCause::Restarted);
    consumer.shared.slots.partitions.cast(lose);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let before = asked();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(asked(), before);
    drop(consumer);
    stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_is_fetched_as_soon_as_metadata_names_one() {
    let (stage, broker) = (Stage::new().await, ScriptedBroker::new());
    broker.create_topic(TOPIC, 1);
    broker.append(TOPIC, 0, ["one"]);
    broker.commit(TOPIC, 0, 0);
    broker.lose_leader(TOPIC, 0);
    let hour = "3600000";
    let keys = [("retry.backoff.ms", hour), ("retry.backoff.max.ms", hour)];
    let client = client(&broker, &keys).await;
    let consumer = ConsumerGroup::builder(&client)
        .supervisor(stage.cell())
        .group_id("billing")
        .topics([TOPIC])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    while !matches!(
        events.recv().await,
        Some(crate::Event::HandlerStarted { .. })
    ) {}
    tokio::time::sleep(Duration::from_secs(5)).await;
    broker.elect_leader(TOPIC, 0);
    consumer.shared.client.refresh().await.unwrap();
    until(&broker, "it waits for a refresh of its own", |broker| {
        broker.committed(TOPIC, 0) == Some(1)
    })
    .await;
    drop(consumer);
    stage.finish().await;
}
