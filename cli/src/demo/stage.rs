//! What the demo plays on: an embedded broker in a directory of its own, a topic with the data, and questions to both.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use callboard_broker::{Broker, BrokerConfig};
use callboard_client::{Client, ClientError, NewTopic, OffsetSpec, Producer, TopicPartition};
use indicatif::ProgressBar;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::flights::{self, Flights};
use super::member::{self, GROUP, TOPIC};
use crate::failure::Failure;

/// Partitions of the topic.
pub(super) const PARTITIONS: i32 = 12;
/// The coordinator's count of rebalances, by reason. The demo's group is the only one its broker has.
const REBALANCES_METRIC: &str = "callboard_group_rebalances_total{";
/// Deliveries that may wait to be looked at.
const DELIVERIES_WAITING_MAX: usize = 65_536;

/// The broker and a client of it.
#[derive(Debug)]
pub(super) struct Stage {
    broker: Broker,
    pub(super) bootstrap: String,
    pub(super) admin: Option<SocketAddr>,
    pub(super) client: Client,
    pub(super) directory: TempDir,
}

impl Stage {
    /// Starts the broker on free ports, and creates the topic.
    pub(super) async fn open() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("callboard-demo-")
            .tempdir()
            .map_err(Failure::demo)?;
        let mut config = BrokerConfig::default();
        for (key, value) in [
            ("listeners", "127.0.0.1:0"),
            ("callboard.admin.listener", "127.0.0.1:0"),
            // Kafka's bounds and waits are for clusters, not for spectators.
            ("group.min.session.timeout.ms", "1000"),
            ("group.initial.rebalance.delay.ms", "1000"),
        ] {
            config.set(key, value).map_err(Failure::demo)?;
        }
        config.data_dir = directory.path().join("data");
        // Members and producer live in this process and are counted with the broker.
        let more = [
            callboard_client::metrics::BUCKETS,
            callboard_consumer::metrics::BUCKETS,
        ];
        let recorder = callboard_broker::metrics::install(&more);
        if recorder.is_some() {
            callboard_client::metrics::describe();
            callboard_consumer::metrics::describe();
        }
        let started = crate::broker::start(config, recorder).await;
        let broker = started.map_err(Failure::demo)?;
        let bootstrap = broker.address().to_string();
        let admin = broker.admin_address();
        let config = member::config(&bootstrap).map_err(Failure::demo)?;
        let client = Client::connect(config).await.map_err(Failure::demo)?;
        client
            .create_topic(&NewTopic::new(TOPIC, PARTITIONS))
            .await
            .map_err(Failure::demo)?;
        Ok(Self {
            broker,
            bootstrap,
            admin,
            client,
            directory,
        })
    }

    /// Stops the broker in order and removes its data.
    pub(super) async fn close(self) -> Result<(), Failure> {
        let stopped = self.broker.shutdown().await.map_err(Failure::demo);
        // After the broker: whoever still writes would make its files anew.
        let removed = self.directory.close().map_err(Failure::demo);
        stopped.and(removed)
    }

    /// Produces every row and waits until all are stored; `bar` moves with it.
    pub(super) async fn produce(
        &self,
        flights: &Flights,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let producer = Producer::new(self.client.clone());
        let (sent, mut deliveries) = mpsc::channel(DELIVERIES_WAITING_MAX);
        let send = async {
            // Moved in here, so that the other side hears of the end.
            let sent = sent;
            for row in flights.rows() {
                let key = flights::key(row).map(str::as_bytes);
                let delivery = producer.send(TOPIC, key, Some(row.as_bytes())).await?;
                if sent.send(delivery).await.is_err() {
                    // The other side has failed and says why.
                    break;
                }
            }
            Ok::<_, ClientError>(())
        };
        let wait = async {
            while let Some(delivery) = deliveries.recv().await {
                delivery.await?;
                bar.inc(1);
            }
            // Ended early, it would keep the sender waiting.
            drop(deliveries);
            Ok::<_, ClientError>(())
        };
        let (sent, waited) = tokio::join!(send, wait);
        waited
            .and(sent)
            .map_err(|error| Failure::demo(format_args!("a row is not stored: {error}")))
    }

    /// Where each partition ends.
    pub(super) async fn ends(&self) -> Result<BTreeMap<i32, i64>, ClientError> {
        let ends = self
            .client
            .list_all_offsets(&partitions(), OffsetSpec::Latest)
            .await?;
        Ok(ends
            .into_iter()
            .map(|(partition, end)| (partition.partition, end.offset))
            .collect())
    }

    /// What the group has committed of each partition.
    pub(super) async fn committed(&self) -> Result<BTreeMap<i32, i64>, ClientError> {
        let committed = self.client.committed(GROUP, &partitions()).await?;
        Ok(committed
            .into_iter()
            .map(|(partition, found)| (partition.partition, found.offset))
            .collect())
    }

    /// What `/metrics` shows; empty where there is no admin port.
    pub(super) async fn metrics(&self) -> io::Result<String> {
        let Some(address) = self.admin else {
            return Ok(String::new());
        };
        let mut socket = TcpStream::connect(address).await?;
        let request =
            format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        Ok(answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned())
            .unwrap_or_default())
    }

    /// Why the coordinator has rebalanced so far: reason and how often.
    pub(super) async fn rebalance_reasons(&self) -> io::Result<BTreeMap<String, u64>> {
        Ok(reasons(&self.metrics().await?))
    }
}

/// Reads the coordinator's count of rebalances out of a scrape.
fn reasons(metrics: &str) -> BTreeMap<String, u64> {
    metrics
        .lines()
        .filter(|line| line.starts_with(REBALANCES_METRIC))
        .filter_map(|line| {
            let (_, rest) = line.split_once("reason=\"")?;
            let (reason, _) = rest.split_once('"')?;
            let (_, count) = line.rsplit_once(' ')?;
            Some((reason.to_owned(), count.parse().ok()?))
        })
        .collect()
}

fn partitions() -> BTreeSet<TopicPartition> {
    (0..PARTITIONS)
        .map(|partition| TopicPartition::new(TOPIC, partition))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_read_with_their_counts() {
        let scrape = "# TYPE callboard_group_rebalances_total counter\n\
            callboard_group_rebalances_total{reason=\"session_timeout\"} 1\n\
            callboard_group_rebalances_total{reason=\"member_join\"} 2\n\
            callboard_coordinator_requests_total{api=\"Heartbeat\",reason=\"none\"} 3\n";
        let expected = BTreeMap::from([
            ("member_join".to_owned(), 2),
            ("session_timeout".to_owned(), 1),
        ]);
        assert_eq!(reasons(scrape), expected);
    }
}
