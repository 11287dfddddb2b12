//! The `__consumer_offsets` log: its bytes, the engines that keep them, the offset-partition writer and the
//! committed-offset index.
//!
//! * [`record`] are the records as values and as Kafka's key and value bytes.
//! * [`log`] is the small trait between writers and engines; [`journal`] is the engine on disk, [`memory`] that of the tests.
//! * [`writer`] owns one partition: it appends, and keeps the [`Index`](index::Index) of what has landed.
//! * [`compaction`] keeps the disk and the time to start proportional to what is alive.
//! * [`partition_for`] says which partition a group lives in.

mod batch;
mod clock;
pub mod compaction;
mod hash;
pub mod index;
pub mod journal;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod record;
pub mod writer;

pub use clock::WallClock;
pub use hash::{java_hash, partition_for};
