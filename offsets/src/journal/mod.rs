//! The engine on disk: one append-only physical log for all partitions of `__consumer_offsets`.
//!
//! ```text
//!  writers ──append──▶ Queue ──all that waits──▶ sync thread: frames → one write → one flush → visible → answers
//!                                                   │ next segment
//!                                                   ▼
//!                          prepare thread: a reserve of segments, blocks taken, zeroed, flushed
//! ```
//!
//! * Frames (`core/frame.rs`) of all partitions share the log; a round of them shares one write and one flush. There
//!   is no linger: while one round is flushed the next one gathers.
//! * Segments (`core/segment.rs`) are made before they are needed and are used again; an append changes no metadata
//!   of the file system and cannot run out of space half way.
//! * At the start the log is read back (`core/recovery/`): a torn end is cut off, a damaged middle makes the
//!   partitions that lost something refuse, and the others serve.
//! * Where each batch lies is kept in memory (`core/locator.rs`), 24 bytes a batch.
//!
//! A failed write or flush poisons the journal: it answers [`LogError::Poisoned`] from then on, and only opening the
//! directory anew, in a new process, tells what is there.
//!
//! A partition's log begins at its snapshot (`compact.rs`, `core/snapshot.rs`), a file of its own in the directory. A
//! segment none of whose frames anybody needs leaves the log: its file is used again or removed. `log.start` says, durably
//! and before that, where the log begins and which snapshots are needed since. The snapshot before the last stays as long
//! as the frames between the two are in the log: should the last one rot, nothing is lost. While a partition is corrupt no
//! segment leaves.

mod compact;
mod config;
mod core;
mod engine;
mod files;
mod lock;
mod open;
mod operation;
mod prepare;
mod queue;
mod reader;
mod segments;
mod snapshots;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod worker;

use std::ops::Range;
use std::sync::Arc;

use uuid::Uuid;

pub use self::config::{JournalConfig, OpenError, segment_holds};
use self::lock::DirectoryLock;
use self::operation::Operation;
pub use self::state::PoisonHook;
use self::storage::{Directory, Storage};
use self::worker::Worker;
use crate::log::{
    AppendDone, Backlog, Batch, BatchId, Capabilities, Chunks, Durability, End, Fetched, Health,
    Lease, LogError, OffsetsLog, OpenDone, Position, ResolveDone, Visit,
};

/// The engine on disk; see the module. Dropping it closes it.
pub struct Journal {
    worker: Worker,
    batch_bytes_max: usize,
    durability: Durability,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("condition", &self.worker.state.condition())
            .field("queued_bytes", &self.worker.queue.bytes())
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Takes the directory, reads the log back and starts the sync thread. Blocks on the disk: about a second for each
    /// GiB of log, and as long as it takes to write one segment the first time.
    ///
    /// # Errors
    /// [`OpenError`]. Partitions that are corrupt are no error here: they refuse to be opened, and
    /// [`health`](OffsetsLog::health) names them.
    pub fn open(config: &JournalConfig) -> Result<Self, OpenError> {
        config.validate()?;
        std::fs::create_dir_all(&config.dir).map_err(|source| OpenError::Io {
            action: "create the directory",
            source,
        })?;
        let lock = DirectoryLock::take(&config.dir)?;
        Self::start(Arc::new(Directory::new(&config.dir)), config, Some(lock))
    }

    fn start(
        storage: Arc<dyn Storage>,
        config: &JournalConfig,
        lock: Option<DirectoryLock>,
    ) -> Result<Self, OpenError> {
        let salt = Box::new(|| Uuid::new_v4().as_u64_pair().0);
        let engine = open::open(&storage, config, salt)?;
        Ok(Self {
            worker: Worker::start(engine, config.queued_bytes_max, lock)?,
            batch_bytes_max: config.batch_bytes_limit(),
            durability: config.durability,
        })
    }

    /// Does what waits, marks the log as closed in order and gives the directory back. Later calls are answered
    /// [`LogError::Closed`]. Blocks until then, unless it is called from an answer of this journal.
    ///
    /// # Errors
    /// `Poisoned` if a write or a flush has failed since it was opened.
    pub fn close(&self) -> Result<(), LogError> {
        // A snapshot that is being written belongs to whoever has the directory.
        self.worker.state.hurry();
        let _compacting = self.worker.state.compacting();
        self.worker.close();
        match self.worker.state.condition() {
            crate::log::Condition::Poisoned { reason } => Err(LogError::Poisoned { reason }),
            _ => Ok(()),
        }
    }

    /// Calls `hook` once, on the sync thread, when a write or a flush has failed and nothing is taken any more; at once
    /// if that has happened. A broker ends its process there: only a new start tells what is on disk.
    pub fn on_poisoned(&self, hook: PoisonHook) {
        self.worker.state.on_poisoned(hook);
    }

    fn opened(&self) -> Result<(), LogError> {
        if self.worker.queue.is_closed() {
            Err(LogError::Closed)
        } else {
            Ok(())
        }
    }
}

impl OffsetsLog for Journal {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            batch_bytes_max: self.batch_bytes_max,
            in_flight_max: usize::MAX,
            durability: self.durability,
            shared: false,
        }
    }

    fn health(&self) -> Health {
        let state = &self.worker.state;
        let corrupt = |number| {
            let locator = state.partition(number)?;
            Some((number, locator.corrupt()?.position))
        };
        Health {
            condition: state.condition(),
            sync_p99: state.sync_p99(),
            queued_bytes: self.worker.queue.bytes(),
            log_bytes: state.log_bytes(),
            corrupt_partitions: (0..state.partition_count()).filter_map(corrupt).collect(),
        }
    }

    fn open(&self, partition: u32, done: OpenDone) {
        self.worker.push(Operation::Open(partition, done));
    }

    fn append(&self, lease: Lease, batch: Batch, done: AppendDone) {
        self.worker.append(lease, batch, done);
    }

    fn resolve(&self, lease: Lease, position: Position, id: BatchId, done: ResolveDone) {
        self.worker
            .push(Operation::Resolve(lease, position, id, done));
    }

    fn snapshot(&self, partition: u32, upto: End, chunks: &mut Chunks<'_>) -> Result<(), LogError> {
        let state = &self.worker.state;
        let _one = state.compacting();
        self.opened()?;
        compact::snapshot(state, partition, upto, chunks)
    }

    fn backlog(&self, partition: u32) -> Option<Backlog> {
        compact::backlog(&self.worker.state, partition)
    }

    fn scan(
        &self,
        partition: u32,
        range: Range<Position>,
        visit: &mut Visit<'_>,
    ) -> Result<(), LogError> {
        self.opened()?;
        reader::scan(&self.worker.state, partition, range, visit)
    }

    fn read(
        &self,
        partition: u32,
        from_offset: i64,
        max_bytes: usize,
    ) -> Result<Fetched, LogError> {
        self.opened()?;
        reader::read(&self.worker.state, partition, from_offset, max_bytes)
    }

    fn offsets(&self, partition: u32) -> Option<Range<i64>> {
        let locator = self.worker.state.partition(partition)?;
        Some(0..locator.end().offset)
    }
}
