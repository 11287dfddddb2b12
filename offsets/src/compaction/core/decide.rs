//! Which partition to compact next, if any. Pure: time and what each partition would gain are inputs.
//!
//! A partition is worth it when enough of it was written since the last time ([`CompactionConfig::min_dirty_ratio`] and
//! [`min_bytes`](CompactionConfig::min_bytes)), or when its oldest frame keeps too much of the shared log from being freed.
//! What is too much grows with the live entries of all partitions: so each entry is rewritten about once while the log
//! grows by all of them, however many partitions are hardly written to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::compaction::CompactionConfig;
use crate::log::Backlog;

/// Time since the shell's own origin.
pub(crate) type Now = Duration;

/// Longest wait after a compaction that failed; the first is the check interval, and each next is twice as long.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(10 * 60);

#[derive(Clone, Copy, Debug)]
struct Failure {
    retry_at: Now,
    wait: Duration,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Decider {
    config: CompactionConfig,
    failures: BTreeMap<u32, Failure>,
}

impl Decider {
    pub(crate) fn new(config: CompactionConfig) -> Self {
        Self {
            config,
            failures: BTreeMap::new(),
        }
    }

    /// The partition to compact now: of those that pin too much the one that pins most, else the one with the most to
    /// give. One that has failed is tried again whatever it would gain, for it may have left something to be freed.
    pub(crate) fn next(&self, now: Now, backlogs: &[(u32, Backlog)]) -> Option<(u32, Backlog)> {
        let live = backlogs.iter().map(|(_, backlog)| backlog.snapshot_bytes);
        let pinned_max = self.config.pinned_bytes.max(live.sum());
        let rank = |(partition, backlog): &(u32, Backlog)| {
            let pinned = Some(backlog.pinned_bytes).filter(|pinned| *pinned > pinned_max);
            match self.failures.get(partition) {
                Some(failure) if failure.retry_at > now => None,
                None if pinned.is_none() && !self.is_dirty(backlog) => None,
                _ => Some((pinned, backlog.log_bytes)),
            }
        };
        let ranked = backlogs
            .iter()
            .filter_map(|backlog| Some((rank(backlog)?, *backlog)));
        let best = ranked.max_by_key(|(rank, (partition, _))| (*rank, u32::MAX - partition));
        best.map(|(_, backlog)| backlog)
    }

    fn is_dirty(&self, backlog: &Backlog) -> bool {
        let all = backlog.log_bytes.saturating_add(backlog.snapshot_bytes);
        backlog.log_bytes > 0
            && backlog.log_bytes >= self.config.min_bytes
            && backlog.log_bytes as f64 >= self.config.min_dirty_ratio * all as f64
    }

    /// A compaction ended.
    pub(crate) fn ended(&mut self, now: Now, partition: u32, ok: bool) {
        if ok {
            self.failures.remove(&partition);
            return;
        }
        let wait = match self.failures.get(&partition) {
            Some(failure) => failure.wait.saturating_mul(2).min(RETRY_MAX),
            None => self.config.check_interval,
        };
        let retry_at = now.saturating_add(wait);
        self.failures.insert(partition, Failure { retry_at, wait });
    }
}
