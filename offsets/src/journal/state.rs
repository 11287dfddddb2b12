//! What the sync thread writes and everybody reads: where the durable batches lie, how the engine is doing.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use callboard_supervision::seldom;

use super::core::locator::Locator;
use super::core::snapshot::Snapshot;
use super::files::Files;
use crate::log::Condition;
use crate::metrics::JournalMetrics;

/// Flushes whose time is remembered.
const SYNC_TIMES_MAX: usize = 512;

/// Called once, with the reason, when the engine is poisoned.
pub type PoisonHook = Box<dyn FnOnce(&str) + Send>;

/// See the module.
pub(crate) struct JournalState {
    partitions: Vec<Mutex<Locator>>,
    pub(crate) files: Arc<Files>,
    pub(crate) metrics: JournalMetrics,
    status: Mutex<Status>,
    /// Held by whoever compacts, and by who closes.
    compaction: Mutex<()>,
    /// Readers hold it while what they have located must stay where it is.
    places: RwLock<()>,
    /// The segment that is written to.
    active: AtomicU32,
    /// Bytes of the snapshots in use.
    snapshot_bytes: AtomicU64,
    /// Somebody waits for the compaction to end.
    closing: AtomicBool,
    /// This process's, as in its epochs.
    incarnation: u64,
}

struct Status {
    condition: Condition,
    sync_times: Vec<Duration>,
    /// Where in `sync_times` the next goes, once it is full.
    sync_next: usize,
    hooks: Vec<PoisonHook>,
}

impl JournalState {
    pub(crate) fn new(partitions: Vec<Locator>, files: Arc<Files>, incarnation: u64) -> Self {
        let snapshot_bytes = partitions.iter().map(bytes_of_snapshot).sum();
        Self {
            partitions: partitions.into_iter().map(Mutex::new).collect(),
            files,
            metrics: JournalMetrics::new(),
            status: Mutex::new(Status {
                condition: Condition::Good,
                sync_times: Vec::new(),
                sync_next: 0,
                hooks: Vec::new(),
            }),
            compaction: Mutex::default(),
            places: RwLock::default(),
            active: AtomicU32::new(0),
            snapshot_bytes: AtomicU64::new(snapshot_bytes),
            closing: AtomicBool::new(false),
            incarnation,
        }
    }

    /// A partition, if there is one.
    pub(crate) fn partition(&self, partition: u32) -> Option<MutexGuard<'_, Locator>> {
        let locator = self.partitions.get(partition as usize)?;
        Some(locator.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One compaction at a time.
    pub(crate) fn compacting(&self) -> MutexGuard<'_, ()> {
        self.compaction
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Until it is dropped nothing that was located moves.
    pub(crate) fn reading(&self) -> RwLockReadGuard<'_, ()> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot has become durable. Waits for the readers.
    pub(crate) fn compacted(&self, partition: u32, snapshot: Arc<Snapshot>) {
        let _moving = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut locator) = self.partition(partition) {
            let before = bytes_of_snapshot(&locator);
            self.snapshot_bytes
                .fetch_add(snapshot.bytes, Ordering::Relaxed);
            self.snapshot_bytes.fetch_sub(before, Ordering::Relaxed);
            locator.compacted(snapshot);
        }
    }

    /// Bytes of the log: its segments, and the snapshots in use.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.files.bytes() + self.snapshot_bytes.load(Ordering::Relaxed)
    }

    /// The compaction that runs should end: somebody closes.
    pub(crate) fn hurry(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether somebody closes.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub(crate) fn active(&self) -> u32 {
        self.active.load(Ordering::Acquire)
    }

    pub(crate) fn set_active(&self, generation: u32) {
        self.active.store(generation, Ordering::Release);
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// How many partitions there are.
    pub(crate) fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// Whether appends are taken.
    pub(crate) fn condition(&self) -> Condition {
        self.status().condition.clone()
    }

    /// The last append found space, or none.
    pub(crate) fn set_full(&self, full: bool) {
        let mut status = self.status();
        match (&status.condition, full) {
            (Condition::Good, true) => {
                seldom!(
                    error,
                    "no space left for the offsets log, commits fail until there is"
                );
                status.condition = Condition::Full;
            }
            (Condition::Full, false) => {
                tracing::info!("there is space for the offsets log again");
                status.condition = Condition::Good;
            }
            _ => {}
        }
    }

    /// A write or a flush failed: nothing is taken any more.
    pub(crate) fn poison(&self, reason: &str) {
        tracing::error!(reason, "the offsets log is poisoned");
        let hooks = {
            let mut status = self.status();
            status.condition = Condition::Poisoned {
                reason: reason.to_owned(),
            };
            std::mem::take(&mut status.hooks)
        };
        for hook in hooks {
            hook(reason);
        }
    }

    /// Calls `hook` when the engine is poisoned; at once if it is.
    pub(crate) fn on_poisoned(&self, hook: PoisonHook) {
        let mut status = self.status();
        if let Condition::Poisoned { reason } = &status.condition {
            let reason = reason.clone();
            drop(status);
            hook(&reason);
        } else {
            status.hooks.push(hook);
        }
    }

    /// A flush took so long.
    pub(crate) fn synced(&self, time: Duration) {
        self.metrics.fsync_duration.record(time.as_secs_f64());
        let mut status = self.status();
        if status.sync_times.len() < SYNC_TIMES_MAX {
            status.sync_times.push(time);
        } else {
            let at = status.sync_next;
            status.sync_times[at] = time;
            status.sync_next = (at + 1) % SYNC_TIMES_MAX;
        }
    }

    /// 99th percentile of the last flushes.
    pub(crate) fn sync_p99(&self) -> Duration {
        let mut times = self.status().sync_times.clone();
        times.sort_unstable();
        times
            .get((times.len() * 99).div_ceil(100).saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of_snapshot(locator: &Locator) -> u64 {
    locator.snapshot().map_or(0, |snapshot| snapshot.bytes)
}
