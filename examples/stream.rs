//! One stream of the records of all partitions, for those who want a loop. A record that is acknowledged may be
//! committed; one that is dropped without comes again, to this member after a restart or to the next owner.
//!
//! `cargo run -p callboard-examples --bin stream -- [BOOTSTRAP] [TOPIC] [GROUP]`, then Ctrl-C.

use std::error::Error;
use std::pin::pin;

use callboard_client::{Client, ClientConfig};
use callboard_consumer::{ConsumerGroup, ShutdownOptions};
use futures_util::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let (bootstrap, topic, group) = (
        argument("127.0.0.1:9092"),
        argument("orders"),
        argument("readers"),
    );

    let mut config = ClientConfig::bootstrap(&bootstrap)?;
    config.set("auto.offset.reset", "earliest")?;
    let client = Client::connect(config).await?;
    let (consumer, mut records) = ConsumerGroup::builder(&client)
        .group_id(group)
        .topics([topic])
        .start_stream()
        .await?;

    // Made once: a Ctrl-C that comes while a record is handled is not lost.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    // The loop may take its time: heartbeats and commits do not wait for it.
    loop {
        tokio::select! {
            signal = &mut interrupted => break signal?,
            record = records.next() => {
                // The stream ends with the consumer, and that only where the cluster will not have it.
                let Some(record) = record else { break consumer.ended().await? };
                let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default());
                println!("{}@{} {value}", record.topic_partition, record.offset);
                if !record.ack() {
                    println!("its partition has gone to another member, which gets it too");
                }
            }
        }
    }
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    for (partition, offset) in report.committed {
        println!("{partition} is committed up to {offset}");
    }
    Ok(())
}
