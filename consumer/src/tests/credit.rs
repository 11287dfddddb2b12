//! Handlers fail while records arrive, on several threads: whatever lies between two steps then, no credit is lost.

use std::time::Duration;

use callboard_client::testing::ScriptedBroker;
use callboard_client::{Client, ClientConfig};
use callboard_supervision::RestartPolicy;
use callboard_supervision::testing::Limit;

use super::TOPIC;
use crate::{
    ConsumerGroup, HandlerError, HandlerPolicy, PartitionContext, Record, ShutdownOptions,
};

const PARTITIONS: usize = 16;
const ROUNDS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_credit_is_back_once_everything_is_handled() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic(TOPIC, PARTITIONS);
    let mut config = ClientConfig::default();
    config.set("auto.offset.reset", "earliest").unwrap();
    config.set("auto.commit.interval.ms", "20").unwrap();
    config.set("fetch.max.wait.ms", "5").unwrap();
    let client = Client::connect_with(config, broker.connector())
        .await
        .unwrap();
    let consumer = ConsumerGroup::builder(&client)
        .group_id("billing")
        .topics([TOPIC])
        .policy(HandlerPolicy {
            restart: RestartPolicy {
                max_restarts: u32::MAX,
                window: Duration::from_secs(60),
                backoff_initial: Duration::ZERO,
                backoff_max: Duration::ZERO,
            },
            attempts_max: u32::MAX,
            ..HandlerPolicy::default()
        })
        .handle(|record: Record, context: PartitionContext| async move {
            let fails = record.offset % 3 == 0 && context.attempt() == 1;
            tokio::task::yield_now().await;
            if fails {
                return Err::<(), HandlerError>("every third, at first".into());
            }
            Ok(())
        })
        .start()
        .await
        .unwrap();
    for round in 1..=ROUNDS {
        for one in 0..PARTITIONS * 20 {
            broker.append(TOPIC, one % PARTITIONS, ["one"]);
            tokio::task::yield_now().await;
        }
        let end = i64::try_from(round * 20).unwrap();
        let all = |broker: &ScriptedBroker| {
            (0..PARTITIONS).all(|partition| {
                let partition = i32::try_from(partition).unwrap();
                broker.committed(TOPIC, partition) == Some(end)
            })
        };
        broker.until(all).await;
        // The last batches are dropped right after their last records are acknowledged.
        while consumer.shared.buffered_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    let thirds = ROUNDS * 20 / 3 + 1;
    assert_eq!(report.handler_failures, (PARTITIONS * thirds) as u64);
}
