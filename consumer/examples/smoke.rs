//! Produces, consumes in a group, rebalances, crashes and resumes against any Kafka, and checks the result.
//!
//! `cargo run -p callboard-consumer --example smoke -- 127.0.0.1:9092 [records]`
//!
//! Story: 6 partitions; two members consume; one handler panics once; a third member joins; one member crashes without
//! leaving; the rest take over; all leave in order. Exit 0 if every record was seen, nothing was passed over, the group
//! stands at the end of every partition, and what the story says really happened.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_client::{Client, ClientConfig, NewTopic, Producer, TopicPartition};
use callboard_consumer::{
    ConsumerGroup, ConsumerHandle, Event, PartitionContext, Record, ShutdownOptions,
};
use tokio::time::{Instant, sleep, timeout};

const PARTITIONS: i32 = 6;
const PATIENCE: Duration = Duration::from_secs(60);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What all members together have seen.
#[derive(Default)]
struct Seen {
    offsets: Mutex<BTreeMap<TopicPartition, BTreeSet<i64>>>,
    deliveries: AtomicU64,
    panicked: AtomicBool,
    came_again: AtomicBool,
}

impl Seen {
    fn count(&self) -> usize {
        let offsets = self
            .offsets
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        offsets.values().map(BTreeSet::len).sum()
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let bootstrap = arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let records = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60_000);
    match run(&bootstrap, records).await {
        Ok(()) => {
            println!("ok");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(bootstrap: &str, records: usize) -> Result<(), Failure> {
    let mut config = ClientConfig::bootstrap(bootstrap)?;
    for (key, value) in [
        ("auto.offset.reset", "earliest"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
        ("auto.commit.interval.ms", "200"),
        ("linger.ms", "20"),
        ("compression.type", "lz4"),
    ] {
        config.set(key, value)?;
    }
    let client = Client::connect(config).await?;
    let name = format!("smoke-{}", std::process::id());
    client
        .create_topic(&NewTopic::new(&name, PARTITIONS))
        .await?;
    let first = records / 2;
    let produced = produce(&client, &name, 0..first).await?;
    println!("produced {first} records, {produced:.0}/s");

    let seen = Arc::new(Seen::default());
    let one = member(&client, &name, "one", &seen).await?;
    let two = member(&client, &name, "two", &seen).await?;
    until(|| shares(&[&one, &two]) == Some(vec![3, 3])).await?;
    until(|| seen.count() == first).await?;
    let three = member(&client, &name, "three", &seen).await?;
    until(|| shares(&[&one, &two, &three]) == Some(vec![2, 2, 2])).await?;
    let before = one.generation();

    let produced = produce(&client, &name, first..records).await?;
    println!("produced {} more, {produced:.0}/s", records - first);
    two.crash();
    println!("two crashed");
    until(|| shares(&[&one, &three]) == Some(vec![3, 3])).await?;
    check(
        one.generation() > before,
        "no new generation after the crash",
    )?;
    until(|| seen.count() == records).await?;

    for consumer in [one, three] {
        let report = consumer.shutdown(ShutdownOptions::default()).await;
        println!("{report:?}");
        check(report.drained, "not drained")?;
    }
    check(seen.panicked.load(Ordering::Relaxed), "no handler failed")?;
    check(
        seen.came_again.load(Ordering::Relaxed),
        "no record came again",
    )?;
    let partitions: BTreeSet<_> = (0..PARTITIONS)
        .map(|one| TopicPartition::new(name.as_str(), one))
        .collect();
    let ends = client
        .list_all_offsets(&partitions, callboard_client::OffsetSpec::Latest)
        .await?;
    let committed = client.committed(&name, &partitions).await?;
    let lag: i64 = ends
        .iter()
        .map(|(partition, end)| {
            end.offset - committed.get(partition).map_or(0, |found| found.offset)
        })
        .sum();
    println!(
        "{} records, {} deliveries, lag {lag}",
        seen.count(),
        seen.deliveries.load(Ordering::Relaxed)
    );
    check(lag == 0, "the group is not at the end")?;
    client.delete_topic(&name).await?;
    Ok(())
}

fn check(holds: bool, otherwise: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// Returns records per second.
async fn produce(
    client: &Client,
    topic: &str,
    numbers: std::ops::Range<usize>,
) -> Result<f64, Failure> {
    let started = Instant::now();
    let count = numbers.len();
    let producer = Producer::new(client.clone());
    let mut deliveries = Vec::new();
    for number in numbers {
        let key = format!("key-{}", number % 1000);
        let value = format!("value {number}");
        let delivery = producer
            .send(topic, Some(key.as_bytes()), Some(value.as_bytes()))
            .await?;
        deliveries.push(delivery);
    }
    producer.flush().await;
    for delivery in deliveries {
        delivery.await?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

async fn member(
    client: &Client,
    topic: &str,
    name: &str,
    seen: &Arc<Seen>,
) -> Result<ConsumerHandle, Failure> {
    let seen = Arc::clone(seen);
    let consumer = ConsumerGroup::builder(client)
        .group_id(topic)
        .topics([topic])
        .handle(move |record: Record, context: PartitionContext| {
            let seen = Arc::clone(&seen);
            async move {
                if record.offset == 100 && !seen.panicked.swap(true, Ordering::Relaxed) {
                    panic!("the one panic of this story");
                }
                if context.attempt() > 1 {
                    seen.came_again.store(true, Ordering::Relaxed);
                }
                seen.deliveries.fetch_add(1, Ordering::Relaxed);
                let mut offsets = seen
                    .offsets
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                offsets
                    .entry(record.topic_partition)
                    .or_default()
                    .insert(record.offset);
                Ok::<_, Failure>(())
            }
        })
        .start()
        .await?;
    let (mut events, name) = (consumer.events(), name.to_owned());
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if !matches!(
                event,
                Event::Committed { .. } | Event::HandlerStarted { .. } | Event::OffsetReset { .. }
            ) {
                println!("{name}: {event:?}");
            }
        }
    });
    Ok(consumer)
}

/// How many partitions each member has, sorted, once they all agree on the generation and have all of them.
fn shares(members: &[&ConsumerHandle]) -> Option<Vec<usize>> {
    let generation = members[0].generation();
    let mut shares = Vec::new();
    for member in members {
        if member.generation() != generation {
            return None;
        }
        shares.push(member.progress().len());
    }
    shares.sort_unstable();
    (shares.iter().sum::<usize>() == PARTITIONS as usize).then_some(shares)
}

async fn until(holds: impl Fn() -> bool) -> Result<(), Failure> {
    let waited = timeout(PATIENCE, async {
        while !holds() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    waited
        .await
        .map_err(|_elapsed| Failure::from("waited too long"))
}
