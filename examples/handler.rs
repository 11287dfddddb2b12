//! A consumer with a handler per partition. Each handler is an actor with state of its own: a panic or an error restarts
//! it alone, at the lowest record it has not acknowledged; the group and the other partitions do not notice.
//!
//! `cargo run -p callboard-examples --bin handler -- [BOOTSTRAP] [TOPIC] [GROUP]`, then Ctrl-C.

use std::error::Error;
use std::pin::pin;

use async_trait::async_trait;
use callboard_client::{Client, ClientConfig};
use callboard_consumer::{
    ConsumerGroup, Event, HandlerError, Outcome, PartitionContext, PartitionHandler, Record,
    ShutdownOptions,
};

/// Counts the records of one partition since it was assigned to us.
#[derive(Default)]
struct Till {
    records: u64,
}

#[async_trait]
impl PartitionHandler for Till {
    /// `Ok(Outcome::Done)` acknowledges the record. Only acknowledged records are ever committed.
    async fn handle(
        &mut self,
        record: &Record,
        context: &PartitionContext,
    ) -> Result<Outcome, HandlerError> {
        let value = std::str::from_utf8(record.value.as_deref().unwrap_or_default())?;
        self.records += 1;
        println!(
            "{}@{} {value} (attempt {})",
            record.topic_partition,
            record.offset,
            context.attempt()
        );
        Ok(Outcome::Done)
    }

    /// The partition goes to another member; what was acknowledged is committed right after this.
    async fn revoked(&mut self, context: &PartitionContext) -> Result<(), HandlerError> {
        println!(
            "gave up {} after {} records",
            context.topic_partition(),
            self.records
        );
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let (bootstrap, topic, group) = (
        argument("127.0.0.1:9092"),
        argument("orders"),
        argument("tills"),
    );

    let mut config = ClientConfig::bootstrap(&bootstrap)?;
    // Any of Kafka's consumer keys.
    config.set("auto.offset.reset", "earliest")?;
    let client = Client::connect(config).await?;
    let consumer = ConsumerGroup::builder(&client)
        .group_id(group)
        .topics([topic])
        .handler(|_partition| Till::default())
        .start()
        .await?;

    // Nobody has to listen to events for the consumer to work.
    let mut events = consumer.events();
    // Made once: a Ctrl-C that comes while an event is handled is not lost.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            signal = &mut interrupted => break signal?,
            ended = consumer.ended() => break ended?,
            Some(event) = events.recv() => match event {
                Event::Assigned { generation, owned, .. } => {
                    println!("generation {generation}: {} partitions are ours", owned.len());
                }
                Event::HandlerRestarted { partition, error, .. } => println!("{partition} failed: {error}"),
                _ => {}
            },
        }
    }
    // Finishes the records in work, commits, and leaves the group.
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    println!(
        "handled {} records, drained: {}",
        report.records, report.drained
    );
    Ok(())
}
