//! What every client of a Kafka cluster needs: connections, metadata, typed requests, topics and offsets, and a
//! producer. Works unchanged against Apache Kafka and the embedded broker.
//!
//! * [`ClientConfig`] takes Kafka's own keys; [`config::KEYS`] lists them.
//! * [`Client::connect`] reaches the cluster; [`Client::request`] sends any request of [`callboard_protocol`] in the
//!   highest version both sides speak. Data, coordination and what is held back use connections of their own ([`Purpose`]).
//! * [`Client::create_topic`], [`Client::list_offsets`], [`Client::committed`] and their neighbours are its methods too.
//! * [`Producer`] is idempotent by default and keeps the order of every partition through its retries.
//!
//! ```no_run
//! # async fn example() -> Result<(), callboard_client::ClientError> {
//! use callboard_client::{Client, ClientConfig, NewTopic, Producer};
//!
//! let client = Client::connect(ClientConfig::bootstrap("127.0.0.1:9092")?).await?;
//! client.create_topic(&NewTopic::new("orders", 12)).await?;
//! let producer = Producer::new(client);
//! let delivery = producer.send("orders", Some(b"alice"), Some(b"1 coffee")).await?;
//! let placed = delivery.await?;
//! println!("{}@{}", placed.partition, placed.offset);
//! # Ok(())
//! # }
//! ```

pub mod admin;
mod client;
pub mod config;
mod connection;
pub mod core;
mod error;
pub mod metrics;
mod offsets;
mod pool;
pub mod producer;
pub mod testing;
mod topic_configs;
mod topic_name;
mod topic_partition;
pub mod transport;
mod wire;

pub use admin::{CommittedOffset, NewTopic, TopicDescription};
pub use callboard_protocol::ErrorCode;
pub use callboard_protocol::records::Compression;
pub use client::{ANY_VERSION, Client, Target};
pub use config::{Acks, ClientConfig, ConfigError, OffsetReset, Role};
pub use core::cluster::Cluster;
pub use error::ClientError;
pub use offsets::{FoundOffset, ListedOffsets, OffsetSpec};
pub use pool::Purpose;
pub use producer::{Delivery, Placed, Producer, ProducerRecord};
pub use topic_configs::{ConfigSource, TopicConfig};
pub use topic_name::check_topic_name;
pub use topic_partition::TopicPartition;
pub use wire::Answer;
