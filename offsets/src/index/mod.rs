//! What a partition of `__consumer_offsets` says right now: committed offsets, what is
//! stored of groups themselves, generation marks.
//! Owned by the partition's writer; built by replay and kept by live appends through the same `apply`.

pub mod core;
mod offsets;
#[cfg(test)]
mod tests;

pub use self::core::Index;
pub use self::offsets::{Committed, TopicOffsets};
