//! What a topic log decides, without touching a file, a clock or an actor: where a batch lies, whether a producer may
//! append, when a file is full, what retention deletes. The files around it are in the folder above.

pub(crate) mod codec;
mod config;
mod epochs;
mod index;
mod producers;
mod retention;

pub use config::{CleanupPolicy, LogConfig, StampedBy};
pub use epochs::EpochEnd;
pub(crate) use epochs::{Epochs, VERSION as EPOCHS_VERSION};
pub(crate) use index::{BatchPlace, Entry, SparseIndex};
pub(crate) use producers::{KeptBatch, ProducerState};
pub(crate) use producers::{ProducerBatch, ProducerStates, Verdict};
pub(crate) use retention::{OpenSegment, SegmentFacts, beyond_size, expired, must_roll};

/// The timestamp of a batch that has none.
pub(crate) const NO_TIMESTAMP: i64 = -1;
