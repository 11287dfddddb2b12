//! Everything in one process and one folder: a broker, a producer and a consumer over Kafka's wire on the loopback.
//! When one machine is too small, drop the broker and change `bootstrap`; the rest stays as it is.
//!
//! `cargo run -p callboard-examples --bin embedded -- [DATA_DIR]`: run it twice, the counting goes on.

use std::error::Error;
use std::sync::Arc;

use callboard_broker::{Broker, BrokerConfig};
use callboard_client::{Client, ClientConfig, ClientError, NewTopic, Producer};
use callboard_consumer::{ConsumerGroup, PartitionContext, Record, ShutdownOptions};
use tokio::sync::Semaphore;

const TOPIC: &str = "orders";
const ORDERS: u32 = 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = BrokerConfig::default();
    // Kafka's own keys; port 0 picks a free one, and an empty admin address opens no port. The broker counts into the
    // program's recorder of metrics, and installs none.
    for (key, value) in [
        ("listeners", "127.0.0.1:0"),
        ("callboard.admin.listener", ""),
        ("group.initial.rebalance.delay.ms", "0"),
    ] {
        config.set(key, value)?;
    }
    if let Some(directory) = std::env::args().nth(1) {
        config.data_dir = directory.into();
    }
    let broker = Broker::start(config).await?;
    let bootstrap = broker.address().to_string();
    println!("the broker listens on {bootstrap}");

    let mut config = ClientConfig::bootstrap(&bootstrap)?;
    config.set("auto.offset.reset", "earliest")?;
    let client = Client::connect(config).await?;
    match client.create_topic(&NewTopic::new(TOPIC, 3)).await {
        Ok(()) => println!("created {TOPIC}"),
        // From the last run.
        Err(ClientError::Kafka { code, .. }) if code.name() == "TOPIC_ALREADY_EXISTS" => {}
        Err(error) => return Err(error.into()),
    }

    let producer = Producer::new(client.clone());
    for number in 0..ORDERS {
        let (key, value) = (format!("guest-{}", number % 4), format!("{number} coffees"));
        producer
            .send(TOPIC, Some(key.as_bytes()), Some(value.as_bytes()))
            .await?;
    }
    producer.flush().await;

    let handled = Arc::new(Semaphore::new(0));
    let one_more = Arc::clone(&handled);
    let consumer = ConsumerGroup::builder(&client)
        .group_id("baristas")
        .topics([TOPIC])
        .handle(move |record: Record, _context: PartitionContext| {
            let one_more = Arc::clone(&one_more);
            async move {
                println!("{}@{}", record.topic_partition, record.offset);
                one_more.add_permits(1);
                Ok::<_, std::io::Error>(())
            }
        })
        .start()
        .await?;
    // Committed offsets are in the folder: each run handles its own orders and no others.
    let all = handled.acquire_many(ORDERS).await?;
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    println!(
        "handled {} orders, drained: {}",
        report.records, report.drained
    );
    drop(all);
    broker.shutdown().await?;
    Ok(())
}
