//! Topic logs: Kafka record batches on disk, byte for byte as their producers sent them, but for the offsets.
//!
//! * [`LogHandle`] is a partition as request handlers see it; behind it one actor writes ([`PartitionLog`]) and any
//!   task reads ([`LogReader`]).
//! * [`ValidBatch`] is what may be appended: checked once, at the edge.
//! * [`FetchWaiter`] waits for bytes without polling.
//!
//! The decisions (index, idempotence, retention) are pure and live in `core`.

mod actor;
mod batch;
pub(crate) mod core;
mod count;
mod error;
pub(crate) mod files;
mod handle;
mod number;
mod partition;
mod producer_ids;
mod reader;
mod recovery;
mod reply;
mod search;
mod segment;
#[cfg(test)]
mod testing;
mod waiters;

pub use self::core::{CleanupPolicy, EpochEnd, LogConfig, StampedBy};
pub(crate) use actor::TopicLog;
pub use batch::ValidBatch;
pub(crate) use batch::{Sought, first_record_at_or_after, parse_header as batch_header};
pub use error::LogError;
pub use handle::LogHandle;
pub use partition::{Appended, PartitionLog};
pub use producer_ids::ProducerIds;
pub(crate) use reader::NEWEST;
pub use reader::{Ahead, AtLeast, Chunk, FoundOffset, LogReader, Offsets};
pub use reply::AppendReply;
pub(crate) use search::{BatchSearch, Next, Search};
pub(crate) use waiters::Waiters;
pub use waiters::{FetchWaiter, Watch};

#[cfg(test)]
pub(crate) fn test_batch(records: usize) -> bytes::Bytes {
    testing::batch_of(&vec![testing::NOW; records], 10, None)
}
#[cfg(test)]
pub(crate) use testing::{batch_of as test_batch_of, bomb as test_bomb};
#[cfg(test)]
pub(crate) fn test_batch_at(timestamps: &[i64]) -> bytes::Bytes {
    testing::batch_of(timestamps, 10, None)
}
