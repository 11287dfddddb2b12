//! Compaction of `__consumer_offsets`, as Kafka's: of each key the last record stays, with its offset, timestamp and bytes.
//!
//! One actor per node, the *compactor*, looks at what each partition would gain, decides (`core/decide.rs`) and has a
//! blocking thread rewrite one partition at a time (`work.rs`). It reads the durable log and nothing else: no writer is
//! asked, no commit waits, and what is not durable cannot get into a snapshot. Records of types not known here are kept
//! as they are. Of tombstones only one is kept: the log's last record, so that a reader comes to the end it was told.
//!
//! A compaction that fails changes nothing; it is counted, and tried again later and later.

mod actor;
pub(crate) mod core;
#[cfg(test)]
mod tests;
pub(crate) mod work;

use std::sync::Arc;
use std::time::Duration;

use callboard_supervision::{ChildSpec, RestartPolicy, spawn_linked};

use self::actor::{Args, Compactor};
use crate::log::OffsetsLog;

/// The kind the compactor is counted under.
pub const KIND: &str = "offsets_compactor";

/// It never ends its neighbours: without it the log only grows.
const RESTARTS: RestartPolicy = RestartPolicy {
    max_restarts: u32::MAX,
    window: Duration::from_secs(60),
    backoff_initial: Duration::from_millis(50),
    backoff_max: Duration::from_secs(5),
};

/// When a partition is compacted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionConfig {
    /// `log.cleaner.enable`. Without compaction the log grows with every commit.
    pub enabled: bool,
    /// `log.cleaner.backoff.ms`: how long the compactor rests when nothing is to do. Default 15 s; at least 1 ms. The log
    /// grows meanwhile.
    pub check_interval: Duration,
    /// `log.cleaner.min.cleanable.ratio`: share of a partition's bytes that must have been written since it was compacted.
    /// Default 0.5; 0 to 1. Low ones rewrite live entries often, high ones keep dead ones long.
    pub min_dirty_ratio: f64,
    /// Bytes that must have been written to a partition since it was compacted. Default 1 MiB: less is not worth a file.
    pub min_bytes: u64,
    /// Bytes of the log that partitions which are hardly written to may keep from being freed, if the live entries of all
    /// partitions do not take more. Default 64 MiB. Beyond it they are compacted early.
    pub pinned_bytes: u64,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            check_interval: Duration::from_secs(15),
            min_dirty_ratio: 0.5,
            min_bytes: 1024 * 1024,
            pinned_bytes: 64 * 1024 * 1024,
        }
    }
}

/// The compactor of a node as a child of a supervisor: it compacts the first `partitions` partitions of `log`.
#[must_use]
pub fn child(log: Arc<dyn OffsetsLog>, partitions: u32, config: CompactionConfig) -> ChildSpec {
    ChildSpec::new("compactor", KIND, move |supervisor, _| {
        let args = Args {
            log: Arc::clone(&log),
            partitions,
            config,
        };
        async move {
            let (address, _join) = spawn_linked(KIND, Compactor, args, supervisor).await?;
            Ok(address.actor().get_cell())
        }
    })
    .policy(RESTARTS)
}
