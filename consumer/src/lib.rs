//! Supervised consumers: a handler actor per assigned partition, membership that user code cannot stall, and a
//! committer that commits what was acknowledged and where a reset begins. Runs unchanged against Apache Kafka and the embedded broker.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use callboard_client::{Client, ClientConfig};
//! use callboard_consumer::{ConsumerGroup, Record, ShutdownOptions};
//!
//! let mut config = ClientConfig::bootstrap("127.0.0.1:9092")?;
//! config.set("auto.offset.reset", "earliest")?;
//! let client = Client::connect(config).await?;
//! let consumer = ConsumerGroup::builder(&client)
//!     .group_id("billing")
//!     .topics(["orders"])
//!     .handle(|record: Record, _context| async move {
//!         println!("{}/{}@{}", record.topic(), record.partition(), record.offset);
//!         Ok::<_, std::io::Error>(()) // Ok acknowledges; an error or a panic brings the record again
//!     })
//!     .start()
//!     .await?;
//! let report = consumer.shutdown(ShutdownOptions::default()).await;
//! assert!(report.drained);
//! # Ok(())
//! # }
//! ```
//!
//! Three levels of API: a closure per record ([`ConsumerGroupBuilder::handle`]); a [`PartitionHandler`] with state and
//! hooks ([`ConsumerGroupBuilder::handler`]); one raw [`RecordStream`] with explicit acknowledgement
//! ([`ConsumerGroupBuilder::start_stream`]). None of them has to be polled to stay a member. Without a group,
//! [`ConsumerGroupBuilder::assign`] names partitions and where they begin.
//!
//! # What is promised
//! * Only acknowledged offsets, and positions that a reset chose, are ever committed: of each partition the longest
//!   acknowledged prefix, and where `auto.offset.reset` has it begin as soon as that is known.
//! * A handler that panics or fails is restarted after a wait, at the lowest unacknowledged offset; the group and the
//!   other partitions do not notice. Attempts are counted outside of it. When they are used up the partition pauses, or
//!   passes over the record, as the [`HandlerPolicy`] says.
//! * A partition that is revoked finishes its record in work, commits, and is released, within a deadline. One that is
//!   lost is cancelled and commits nothing.
//! * A slow partition fills its share of the byte budget and holds up nobody else.
//! * At any time a partition has one handler at most. What cannot be read pauses its partition in front of it.
//!
//! # The tree
//! ```text
//! consumer                 supervisor, one per group member
//! ├─ partitions            seats handlers, counts their failures
//! │   └─ partition_handler × assigned partition: user code
//! ├─ fetchers              follows leaders
//! │   └─ fetcher           × broker: one request in flight, ahead within the budget
//! ├─ committer             at most one commit in flight
//! └─ membership            the group's protocol; never runs user code (without a group: assignment, which assigns once)
//! ```

mod assigned;
mod assignment;
mod builder;
mod chunk;
mod committer;
pub mod core;
mod event;
mod fetcher;
mod fetchers;
mod handle;
mod handler;
mod membership;
pub mod metrics;
mod partition;
mod partition_handler;
mod partitions;
mod policy;
mod record;
mod shared;
mod stream;
#[cfg(test)]
mod tests;
mod threads;

pub use assigned::StartAt;
pub use builder::{ConsumerGroup, ConsumerGroupBuilder};
pub use callboard_client::TopicPartition;
pub use core::membership::FatalError;
pub use event::{Event, Events};
pub use handle::{ConsumerError, ConsumerHandle, ShutdownOptions, ShutdownReport};
pub use handler::{AckHandle, HandlerError, Outcome, PartitionContext, PartitionHandler};
pub use partition::Progress;
pub use policy::{Exhausted, HandlerPolicy};
pub use record::Record;
pub use stream::{RecordStream, StreamRecord};
