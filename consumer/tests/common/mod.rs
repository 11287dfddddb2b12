//! A consumer under a test stage, over a scripted broker and a paused clock.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_client::testing::ScriptedBroker;
use callboard_client::{Client, ClientConfig};
use callboard_consumer::{
    ConsumerGroup, ConsumerGroupBuilder, ConsumerHandle, Event, Events, HandlerError, Record,
    TopicPartition,
};
use callboard_protocol::ApiKey;
use callboard_supervision::testing::Stage;

/// The topic of every test.
pub(crate) const TOPIC: &str = "orders";

/// A partition of it.
pub(crate) fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

/// What handlers have seen: partition, offset and value of each record, in order.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<(i32, i64, String)>>>);

impl Seen {
    /// Notes a record.
    pub(crate) fn note(&self, record: &Record) {
        let value =
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
        self.0
            .lock()
            .unwrap()
            .push((record.partition(), record.offset, value));
    }

    /// The offsets seen of a partition, in order.
    pub(crate) fn offsets(&self, partition: i32) -> Vec<i64> {
        let seen = self.0.lock().unwrap();
        seen.iter()
            .filter(|one| one.0 == partition)
            .map(|one| one.1)
            .collect()
    }
}

/// A scripted broker, a client of it, and a stage.
pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) broker: ScriptedBroker,
    pub(crate) client: Client,
}

impl World {
    /// `records` records in each of `partitions` partitions.
    pub(crate) async fn new(partitions: usize, records: usize) -> Self {
        Self::with(partitions, records, &[]).await
    }

    /// The same with some keys set.
    pub(crate) async fn with(partitions: usize, records: usize, keys: &[(&str, &str)]) -> Self {
        let broker = ScriptedBroker::new();
        broker.create_topic(TOPIC, partitions);
        for partition in 0..partitions {
            broker.append(
                TOPIC,
                partition,
                (0..records).map(|number| format!("{number}")),
            );
        }
        let mut config = ClientConfig::default();
        config.set("auto.offset.reset", "earliest").unwrap();
        for (key, value) in keys {
            config.set(key, value).unwrap();
        }
        let client = Client::connect_with(config, broker.connector())
            .await
            .unwrap();
        Self {
            stage: Stage::new().await,
            broker,
            client,
        }
    }

    /// A consumer of the topic under the stage.
    pub(crate) fn consumer(&self) -> ConsumerGroupBuilder {
        ConsumerGroup::builder(&self.client)
            .supervisor(self.stage.cell())
            .group_id("billing")
            .topics([TOPIC])
    }

    /// Every commit so far: partitions and offsets.
    pub(crate) fn commits(&self) -> Vec<String> {
        let seen = self.broker.seen().into_iter();
        let commits = seen.filter(|seen| seen.api == ApiKey::OFFSET_COMMIT);
        commits.map(|commit| commit.detail).collect()
    }

    /// The consumer that notes every record and acknowledges it.
    pub(crate) async fn noting(&self, seen: &Seen) -> ConsumerHandle {
        let seen = seen.clone();
        self.consumer()
            .handle(move |record: Record, _context| {
                seen.note(&record);
                async { Ok::<_, HandlerError>(()) }
            })
            .start()
            .await
            .unwrap()
    }
}

/// Reads events until `wanted` likes one.
pub(crate) async fn event(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Event {
    let waiting = async {
        loop {
            let event = events.recv().await.expect("the consumer ended");
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(600), waiting)
        .await
        .expect("the event did not come")
}
