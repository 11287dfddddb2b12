//! A group of ours on our broker, in memory and on a paused clock, that changes while records come: who keeps a partition
//! does not notice, nothing is handled twice and nothing is left out.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_broker::testing::TestBroker;
use callboard_client::transport::Stream;
use callboard_client::{Client, ClientConfig, NewTopic, OffsetSpec, Producer, ProducerRecord};
use callboard_consumer::{
    ConsumerGroup, ConsumerHandle, Event, HandlerError, Record, ShutdownOptions, TopicPartition,
};
use callboard_supervision::testing::Stage;
use tokio::task::JoinSet;
use tokio::time::Instant;

const TOPIC: &str = "orders";
const PARTITIONS: i32 = 6;
/// A record in every partition this often.
const EVERY: Duration = Duration::from_millis(100);
/// Two heartbeats and more: by then a group that rebalances would be at it.
const CALM: Duration = Duration::from_secs(8);
/// What a record takes to its handler where nothing is in the way. A rebalance takes a heartbeat, up to 3 s.
const UNNOTICED: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(600);

/// A record that was handled.
#[derive(Clone, Copy, Debug)]
struct Handled {
    member: &'static str,
    offset: i64,
    at: Instant,
    /// Since it was produced.
    after: Duration,
}

/// All that was seen.
#[derive(Default)]
struct Book {
    handled: BTreeMap<i32, Vec<Handled>>,
    events: Vec<(&'static str, Event)>,
}

struct World {
    stage: Stage,
    broker: TestBroker,
    client: Client,
    start: Instant,
    book: Arc<Mutex<Book>>,
    members: BTreeMap<&'static str, ConsumerHandle>,
    /// The producer, and who listens to events.
    tasks: JoinSet<()>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl World {
    /// Records begin to come.
    async fn new() -> Self {
        let stage = Stage::new().await;
        let broker = TestBroker::builder().start_in_memory().await.unwrap();
        let wires = broker.wires().unwrap();
        let connect = move |_: &str, _: u16| Ok(Box::new(wires.connect()?) as Box<dyn Stream>);
        let config = ClientConfig::bootstrap(&broker.bootstrap()).unwrap();
        let client = Client::connect_with(config, Arc::new(connect))
            .await
            .unwrap();
        let topic = NewTopic::new(TOPIC, PARTITIONS);
        client.create_topic(&topic).await.unwrap();
        let (start, stop) = (Instant::now(), tokio::sync::watch::Sender::new(false));
        let mut tasks = JoinSet::new();
        tasks.spawn(produce(client.clone(), start, stop.subscribe()));
        Self {
            stage,
            broker,
            client,
            start,
            book: Arc::default(),
            members: BTreeMap::new(),
            tasks,
            stop,
        }
    }

    async fn join(&mut self, name: &'static str, strategy: &str) {
        let mut config = self.client.config().clone();
        config.set("auto.offset.reset", "earliest").unwrap();
        config
            .set("partition.assignment.strategy", strategy)
            .unwrap();
        let (book, start) = (Arc::clone(&self.book), self.start);
        let member = ConsumerGroup::builder(&self.client)
            .config(config)
            .supervisor(self.stage.cell())
            .group_id("billing")
            .topics([TOPIC])
            .handle(move |record: Record, _context| {
                let at = Instant::now();
                let value = record.value.as_deref().map(String::from_utf8_lossy);
                let produced: u64 = value.unwrap().parse().unwrap();
                let handled = Handled {
                    member: name,
                    offset: record.offset,
                    at,
                    after: (at - start).saturating_sub(Duration::from_millis(produced)),
                };
                let mut book = book.lock().unwrap();
                let partition = book.handled.entry(record.partition()).or_default();
                partition.push(handled);
                async { Ok::<_, HandlerError>(()) }
            })
            .start()
            .await
            .unwrap();
        let (book, mut events) = (Arc::clone(&self.book), member.events());
        self.tasks.spawn(async move {
            while let Some(event) = events.recv().await {
                book.lock().unwrap().events.push((name, event));
            }
        });
        self.members.insert(name, member);
    }

    async fn leave(&mut self, name: &'static str) {
        let member = self.members.remove(name).unwrap();
        let report = member.shutdown(ShutdownOptions::default()).await;
        assert!(report.drained, "{name}: {report:?}");
    }

    /// Who owns what, and in which generation, as each member was told last.
    fn owners(&self) -> BTreeMap<&'static str, (i32, Vec<i32>)> {
        let book = self.book.lock().unwrap();
        let mut owners = BTreeMap::new();
        for (name, event) in &book.events {
            if let Event::Assigned {
                generation, owned, ..
            } = event
            {
                owners.insert(*name, (*generation, numbers(owned)));
            }
        }
        owners.retain(|name, _| self.members.contains_key(name));
        owners
    }

    /// Waits until the group has been at rest for a while, every partition with one member, none with too many.
    async fn calm(&self) -> BTreeMap<&'static str, Vec<i32>> {
        let calm = async {
            let mut since = Instant::now();
            let mut before = self.owners();
            loop {
                tokio::time::sleep(EVERY).await;
                let owners = self.owners();
                if owners != before {
                    (since, before) = (Instant::now(), owners);
                }
                if since.elapsed() >= CALM && self.is_shared(&before) {
                    return before;
                }
            }
        };
        let calm = tokio::time::timeout(PATIENCE, calm).await;
        let calm = calm.unwrap_or_else(|_| panic!("no rest: {:?}", self.owners()));
        calm.into_iter()
            .map(|(name, (_, owned))| (name, owned))
            .collect()
    }

    fn is_shared(&self, owners: &BTreeMap<&'static str, (i32, Vec<i32>)>) -> bool {
        let counts = || owners.values().map(|(_, owned)| owned.len());
        let generations: BTreeSet<i32> = owners.values().map(|(one, _)| *one).collect();
        let all: BTreeSet<i32> = owners
            .values()
            .flat_map(|(_, owned)| owned.clone())
            .collect();
        owners.len() == self.members.len()
            && generations.len() == 1
            && all == (0..PARTITIONS).collect()
            && counts().sum::<usize>() == all.len()
            && counts().max() <= counts().min().map(|least| least + 1)
    }

    /// Nothing more comes; everything that came was handled once, in order.
    async fn finish(mut self) {
        self.stop.send_replace(true);
        self.calm().await;
        let names: Vec<_> = self.members.keys().copied().collect();
        let partitions = (0..PARTITIONS).map(|one| TopicPartition::new(TOPIC, one));
        let ends = self
            .client
            .list_all_offsets(&partitions.collect(), OffsetSpec::Latest)
            .await
            .unwrap();
        for name in names {
            self.leave(name).await;
        }
        let book = std::mem::take(&mut *self.book.lock().unwrap());
        for (partition, handled) in &book.handled {
            let offsets: Vec<i64> = handled.iter().map(|one| one.offset).collect();
            let end = ends[&TopicPartition::new(TOPIC, *partition)].offset;
            let expected: Vec<i64> = (0..end).collect();
            assert_eq!(offsets, expected, "orders/{partition}: {handled:?}");
        }
        assert_eq!(book.handled.len(), PARTITIONS as usize);
        no_partition_has_two_owners(&book.events);
        self.tasks.shutdown().await;
        self.stage.finish().await;
        self.broker.stop().await.unwrap();
    }
}

/// The time since `start` in every partition, again and again.
async fn produce(client: Client, start: Instant, stop: tokio::sync::watch::Receiver<bool>) {
    let producer = Producer::new(client);
    while !*stop.borrow() {
        for partition in 0..PARTITIONS {
            let now = start.elapsed().as_millis().to_string();
            let record = ProducerRecord {
                topic: TOPIC.to_owned(),
                partition: Some(partition),
                value: Some(now.into()),
                ..ProducerRecord::default()
            };
            producer.send_record(record).await.unwrap();
        }
        producer.flush().await;
        tokio::time::sleep(EVERY).await;
    }
}

fn numbers(partitions: &[TopicPartition]) -> Vec<i32> {
    partitions.iter().map(|one| one.partition).collect()
}

/// In no generation, and nobody was put out.
fn no_partition_has_two_owners(events: &[(&'static str, Event)]) {
    let mut owners: BTreeMap<(i32, i32), &str> = BTreeMap::new();
    for (name, event) in events {
        match event {
            Event::Assigned {
                generation, owned, ..
            } => {
                for partition in numbers(owned) {
                    let other = owners.insert((*generation, partition), name);
                    assert!(
                        other.is_none_or(|other| other == *name),
                        "orders/{partition} of {name} and {other:?} in generation {generation}"
                    );
                }
            }
            Event::Lost { .. } | Event::AssignorFailed { .. } | Event::Fatal { .. } => {
                panic!("{name}: {event:?}")
            }
            _ => {}
        }
    }
}

/// Whoever has a partition before and after has had it in between, and its records did not wait.
fn what_stays_did_not_notice(
    world: &World,
    since: Instant,
    before: &BTreeMap<&'static str, Vec<i32>>,
    after: &BTreeMap<&'static str, Vec<i32>>,
) -> usize {
    let book = world.book.lock().unwrap();
    let mut stayed = 0;
    for (name, owned) in after {
        let kept = |one: &&i32| before.get(name).is_some_and(|had| had.contains(one));
        for partition in owned.iter().filter(kept) {
            stayed += 1;
            let handled = book.handled[partition].iter().filter(|one| one.at >= since);
            for one in handled {
                assert_eq!(one.member, *name, "orders/{partition}");
                assert!(one.after < UNNOTICED, "orders/{partition}: {one:?}");
            }
        }
    }
    stayed
}

/// Scenario 6: three members, one comes, one goes.
#[tokio::test(start_paused = true)]
async fn scenario_6_who_keeps_a_partition_does_not_notice_a_rebalance() {
    let mut world = World::new().await;
    for name in ["a", "b", "c"] {
        world.join(name, "cooperative-sticky").await;
    }
    let three = world.calm().await;

    let since = Instant::now();
    world.join("d", "cooperative-sticky").await;
    let four = world.calm().await;
    // Of six on three, one or two go to the fourth.
    let stayed = what_stays_did_not_notice(&world, since, &three, &four);
    assert_eq!(stayed, PARTITIONS as usize - four["d"].len());

    let since = Instant::now();
    world.leave("b").await;
    let left = world.calm().await;
    let stayed = what_stays_did_not_notice(&world, since, &four, &left);
    assert_eq!(stayed, PARTITIONS as usize - four["b"].len());
    world.finish().await;
}

/// KIP-429's way from eager to cooperative: the new assignor beside the old one, then without it. Nobody stops all, and in
/// the second bounce members of both kinds are in one group.
#[tokio::test(start_paused = true)]
async fn a_group_changes_from_range_to_cooperative_sticky_in_two_bounces() {
    let mut world = World::new().await;
    let names = ["a", "b", "c"];
    for name in names {
        world.join(name, "range").await;
    }
    world.calm().await;
    for strategy in ["range,cooperative-sticky", "cooperative-sticky"] {
        for name in names {
            world.leave(name).await;
            world.join(name, strategy).await;
            world.calm().await;
        }
    }
    let three = world.calm().await;
    let since = Instant::now();
    world.join("d", "cooperative-sticky").await;
    let four = world.calm().await;
    let stayed = what_stays_did_not_notice(&world, since, &three, &four);
    assert_eq!(stayed, PARTITIONS as usize - four["d"].len());
    world.finish().await;
}
