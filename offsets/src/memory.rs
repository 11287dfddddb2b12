//! The in-memory engine: for tests, for embedding without a disk, and for proving what the journal promises.
//! It answers inside the call that let a batch become durable, so it works under a paused clock. It has a disk only in
//! name: [`hold`](MemoryLog::hold) keeps appends unsynced, [`crash`](MemoryLog::crash) drops every unsynced byte, and
//! [`inject`](MemoryLog::inject) fails appends the ways a real engine does.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::log::{
    AppendDone, BATCH_BYTES_MAX, Backlog, Batch, BatchId, Capabilities, Chunk, Chunks, Condition,
    Durability, End, Epoch, Fetched, Health, Lease, LogError, OffsetsLog, OpenDone, Opened,
    Position, Resolution, ResolveDone, StoredBatch, Visit,
};

/// What [`Fault::Unavailable`] tells the writer.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How an append fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No space: not applied.
    Full,
    /// Hands full: not applied.
    Unavailable,
    /// The answer is lost; whether it landed is for `resolve` to find out.
    Unknown {
        /// Whether it did.
        applied: bool,
    },
    /// The write failed: the engine is poisoned and what was unsynced is lost.
    WriteError,
    /// The flush failed: the engine is poisoned and what was unsynced is lost.
    FsyncError,
}

struct Kept {
    id: BatchId,
    batch: StoredBatch,
    end_offset: i64,
}

#[derive(Default)]
struct Partition {
    epoch: u64,
    end: End,
    /// What has taken the place of the positions before `first`.
    snapshot: Vec<Chunk>,
    /// Position of the first of `kept`.
    first: Position,
    kept: Vec<Kept>,
    /// The append whose outcome the writer does not know.
    unresolved: Option<BatchId>,
    corrupt_at: Option<Position>,
}

enum Operation {
    Open(u32, OpenDone),
    Append(Lease, Batch, AppendDone),
    Resolve(Lease, Position, BatchId, ResolveDone),
}

#[derive(Default)]
struct Inner {
    partitions: Vec<Partition>,
    batch_bytes_max: usize,
    /// Not durable yet, in order of arrival.
    unsynced: VecDeque<Operation>,
    faults: VecDeque<(Option<u32>, Fault)>,
    held: bool,
    full: bool,
    poisoned: Option<String>,
    /// Somebody works the queue: answers go out in order, one thread at a time.
    working: bool,
}

/// See the module.
pub struct MemoryLog {
    inner: Mutex<Inner>,
}

impl std::fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.lock();
        f.debug_struct("MemoryLog")
            .field("partitions", &inner.partitions.len())
            .field("unsynced", &inner.unsynced.len())
            .field("held", &inner.held)
            .finish_non_exhaustive()
    }
}

impl MemoryLog {
    /// An empty log of `partitions` partitions.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        let inner = Inner {
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            batch_bytes_max: BATCH_BYTES_MAX,
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// With another bound on the bytes of one batch; [`BATCH_BYTES_MAX`] if it is not said.
    #[must_use]
    pub fn batch_bytes_max(self, bytes: usize) -> Self {
        self.lock().batch_bytes_max = bytes;
        self
    }

    /// From now on nothing becomes durable: appends, and opens behind them, wait unsynced and unanswered.
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Ends [`hold`](Self::hold): what waited becomes durable and is answered, in order.
    pub fn release(&self) {
        self.lock().held = false;
        self.work(usize::MAX);
    }

    /// Lets the oldest `count` waiting operations through and goes on holding.
    pub fn release_some(&self, count: usize) {
        self.work(count);
    }

    /// Operations that wait unsynced.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// The machine loses power and starts again: every unsynced byte is gone, and so are the callers, whose closures
    /// are dropped uncalled. Poison, hold and injected faults end; what was durable is there.
    pub fn crash(&self) {
        let mut inner = self.lock();
        let dropped = std::mem::take(&mut inner.unsynced);
        inner.faults.clear();
        inner.held = false;
        inner.full = false;
        inner.poisoned = None;
        for partition in &mut inner.partitions {
            partition.unresolved = None;
            // Writers of before the crash are fenced like those of a dead process.
            partition.epoch += 1;
        }
        drop(inner);
        drop(dropped);
    }

    /// The next append to anything fails this way. Faults queue up: one append each.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push_back((None, fault));
    }

    /// The next append to `partition` fails this way.
    pub fn inject_on(&self, partition: u32, fault: Fault) {
        self.lock().faults.push_back((Some(partition), fault));
    }

    /// Whether every append finds no space, until this is called again.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// From now on `partition` refuses to open, as a log with a hole at `position` does; `None` heals it.
    pub fn set_corrupt(&self, partition: u32, position: Option<Position>) {
        if let Some(partition) = self.lock().partitions.get_mut(partition as usize) {
            partition.corrupt_at = position;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, operation: Operation) {
        let held = {
            let mut inner = self.lock();
            inner.unsynced.push_back(operation);
            inner.held
        };
        if !held {
            self.work(usize::MAX);
        }
    }

    /// Makes at most `count` operations durable and answers them, outside the lock.
    fn work(&self, count: usize) {
        let mut inner = self.lock();
        if inner.working {
            return;
        }
        inner.working = true;
        for _ in 0..count {
            let Some(operation) = inner.unsynced.pop_front() else {
                break;
            };
            let answer = inner.perform(operation);
            drop(inner);
            answer();
            inner = self.lock();
            if inner.held && count == usize::MAX {
                // Held again by an answer.
                break;
            }
        }
        inner.working = false;
    }
}

impl Inner {
    fn perform(&mut self, operation: Operation) -> Box<dyn FnOnce() + Send> {
        match operation {
            Operation::Open(partition, done) => {
                let result = self.open(partition);
                Box::new(move || done(result))
            }
            Operation::Append(lease, batch, done) => {
                let result = self.append(lease, batch);
                Box::new(move || done(result))
            }
            Operation::Resolve(lease, position, id, done) => {
                let result = self.resolve(lease, position, id);
                Box::new(move || done(result))
            }
        }
    }

    fn partition(&mut self, partition: u32) -> Result<&mut Partition, LogError> {
        self.partitions
            .get_mut(partition as usize)
            .ok_or(LogError::NoSuchPartition { partition })
    }

    fn healthy(&self) -> Result<(), LogError> {
        match &self.poisoned {
            Some(reason) => Err(LogError::Poisoned {
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }

    fn open(&mut self, number: u32) -> Result<Opened, LogError> {
        self.healthy()?;
        let partition = self.partition(number)?;
        if let Some(position) = partition.corrupt_at {
            return Err(LogError::Corrupt {
                position,
                reason: "injected".to_owned(),
            });
        }
        partition.epoch += 1;
        // Opening is a barrier: a lost append has landed or never will.
        partition.unresolved = None;
        Ok(Opened {
            lease: Lease {
                partition: number,
                epoch: Epoch(partition.epoch),
            },
            end: partition.end,
        })
    }

    fn append(&mut self, lease: Lease, batch: Batch) -> Result<Position, LogError> {
        self.healthy()?;
        let max = self.batch_bytes_max;
        let partition = self.partition(lease.partition)?;
        partition.check(lease)?;
        if partition.unresolved.is_some() {
            return Err(LogError::Unavailable {
                retry_after: RETRY_AFTER,
            });
        }
        if batch.expected != partition.end {
            return Err(LogError::WrongEnd {
                actual: partition.end.position,
            });
        }
        if batch.len() > max {
            return Err(LogError::TooLarge { max });
        }
        if self.full {
            return Err(LogError::Full);
        }
        let fault = self.fault_for(lease.partition);
        let partition = self.partition(lease.partition)?;
        match fault {
            None => Ok(partition.keep(batch)),
            Some(Fault::Full) => Err(LogError::Full),
            Some(Fault::Unavailable) => Err(LogError::Unavailable {
                retry_after: RETRY_AFTER,
            }),
            Some(Fault::Unknown { applied }) => {
                partition.unresolved = Some(batch.id);
                if applied {
                    partition.keep(batch);
                }
                Err(LogError::Unknown)
            }
            Some(Fault::WriteError) => Err(self.poison("write: injected error")),
            Some(Fault::FsyncError) => Err(self.poison("fsync: injected error")),
        }
    }

    fn fault_for(&mut self, partition: u32) -> Option<Fault> {
        let at = self
            .faults
            .iter()
            .position(|(on, _)| on.is_none_or(|on| on == partition))?;
        self.faults.remove(at).map(|(_, fault)| fault)
    }

    fn poison(&mut self, reason: &str) -> LogError {
        self.poisoned = Some(reason.to_owned());
        LogError::Poisoned {
            reason: reason.to_owned(),
        }
    }

    fn resolve(
        &mut self,
        lease: Lease,
        position: Position,
        id: BatchId,
    ) -> Result<Resolution, LogError> {
        self.healthy()?;
        let partition = self.partition(lease.partition)?;
        partition.check(lease)?;
        partition.unresolved = None;
        let there = position
            .checked_sub(partition.first)
            .and_then(|at| usize::try_from(at).ok())
            .and_then(|at| partition.kept.get(at));
        Ok(match there {
            Some(kept) if kept.id == id => Resolution::Applied,
            _ => Resolution::NotApplied,
        })
    }
}

impl Partition {
    fn check(&self, lease: Lease) -> Result<(), LogError> {
        if lease.epoch.0 == self.epoch {
            Ok(())
        } else {
            Err(LogError::Fenced {
                current: Epoch(self.epoch),
            })
        }
    }

    /// Where it ended before `position`.
    fn end_at(&self, position: Position) -> Option<End> {
        if position == self.end.position {
            return Some(self.end);
        }
        let at = usize::try_from(position.checked_sub(self.first)?).ok()?;
        let offset = self.kept.get(at)?.batch.base_offset;
        Some(End { position, offset })
    }

    fn keep(&mut self, batch: Batch) -> Position {
        let Batch {
            expected,
            id,
            marks,
            kafka,
            ..
        } = batch.clone();
        self.end = batch.end_after();
        self.kept.push(Kept {
            id,
            batch: StoredBatch {
                position: expected.position,
                base_offset: expected.offset,
                marks,
                kafka,
            },
            end_offset: self.end.offset,
        });
        expected.position
    }
}

impl OffsetsLog for MemoryLog {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            batch_bytes_max: self.lock().batch_bytes_max,
            in_flight_max: usize::MAX,
            durability: Durability::Volatile,
            shared: false,
        }
    }

    fn health(&self) -> Health {
        let inner = self.lock();
        let bytes = |kept: &Kept| kept.batch.kafka.len() + kept.batch.marks.len();
        Health {
            condition: match &inner.poisoned {
                Some(reason) => Condition::Poisoned {
                    reason: reason.clone(),
                },
                None if inner.full => Condition::Full,
                None => Condition::Good,
            },
            sync_p99: Duration::ZERO,
            queued_bytes: inner
                .unsynced
                .iter()
                .map(|operation| match operation {
                    Operation::Append(_, batch, _) => batch.len(),
                    Operation::Open(..) | Operation::Resolve(..) => 0,
                })
                .sum(),
            log_bytes: inner
                .partitions
                .iter()
                .flat_map(|partition| &partition.kept)
                .map(|kept| bytes(kept) as u64)
                .sum(),
            corrupt_partitions: (0..)
                .zip(&inner.partitions)
                .filter_map(|(number, partition)| Some((number, partition.corrupt_at?)))
                .collect(),
        }
    }

    fn open(&self, partition: u32, done: OpenDone) {
        self.submit(Operation::Open(partition, done));
    }

    fn append(&self, lease: Lease, batch: Batch, done: AppendDone) {
        self.submit(Operation::Append(lease, batch, done));
    }

    fn resolve(&self, lease: Lease, position: Position, id: BatchId, done: ResolveDone) {
        self.submit(Operation::Resolve(lease, position, id, done));
    }

    fn snapshot(&self, partition: u32, upto: End, chunks: &mut Chunks<'_>) -> Result<(), LogError> {
        // They may read the partition.
        let chunks = chunks.collect::<Result<Vec<_>, _>>()?;
        let mut inner = self.lock();
        inner.healthy()?;
        let full = inner.full;
        let partition = inner.partition(partition)?;
        if upto.position > partition.first {
            if partition.end_at(upto.position) != Some(upto) {
                return Err(LogError::WrongEnd {
                    actual: partition.end.position,
                });
            }
            if full {
                return Err(LogError::Full);
            }
            partition
                .kept
                .retain(|kept| kept.batch.position >= upto.position);
            partition.first = upto.position;
            partition.snapshot = chunks;
        }
        Ok(())
    }

    fn backlog(&self, partition: u32) -> Option<Backlog> {
        let inner = self.lock();
        let partition = inner.partitions.get(partition as usize)?;
        let chunk = |chunk: &Chunk| (chunk.kafka.len() + chunk.marks.len()) as u64;
        let kept = |kept: &Kept| (kept.batch.kafka.len() + kept.batch.marks.len()) as u64;
        Some(Backlog {
            end: partition.end,
            log_bytes: partition.kept.iter().map(kept).sum(),
            snapshot_bytes: partition.snapshot.iter().map(chunk).sum(),
            pinned_bytes: 0,
        })
    }

    fn scan(
        &self,
        partition: u32,
        range: Range<Position>,
        visit: &mut Visit<'_>,
    ) -> Result<(), LogError> {
        let batches: Vec<StoredBatch> = {
            let mut inner = self.lock();
            let partition = inner.partition(partition)?;
            let compacted = !range.is_empty() && range.start < partition.first;
            let first = partition.first;
            let snapshot = partition.snapshot.iter().filter(|_| compacted);
            let snapshot = snapshot.map(|chunk| StoredBatch {
                position: first - 1,
                base_offset: chunk.base_offset,
                marks: chunk.marks.clone(),
                kafka: chunk.kafka.clone(),
            });
            let kept = partition.kept.iter().map(|kept| kept.batch.clone());
            snapshot
                .chain(kept.filter(|batch| range.contains(&batch.position)))
                .collect()
        };
        for batch in batches {
            if let ControlFlow::Break(()) = visit(batch) {
                break;
            }
        }
        Ok(())
    }

    fn read(
        &self,
        partition: u32,
        from_offset: i64,
        max_bytes: usize,
    ) -> Result<Fetched, LogError> {
        let mut inner = self.lock();
        let partition = inner.partition(partition)?;
        let offsets = 0..partition.end.offset;
        let mut batches = Vec::new();
        let mut bytes = 0;
        if offsets.contains(&from_offset) {
            let snapshot = partition.snapshot.iter();
            let snapshot = snapshot.map(|chunk| (&chunk.kafka, chunk.end_offset));
            let kept = partition.kept.iter();
            let kept = kept.map(|kept| (&kept.batch.kafka, kept.end_offset));
            for (kafka, end_offset) in snapshot.chain(kept) {
                if kafka.is_empty() || end_offset <= from_offset {
                    continue;
                }
                if !batches.is_empty() && bytes + kafka.len() > max_bytes {
                    break;
                }
                bytes += kafka.len();
                batches.push(kafka.clone());
            }
        }
        Ok(Fetched { batches, offsets })
    }

    fn offsets(&self, partition: u32) -> Option<Range<i64>> {
        let inner = self.lock();
        let partition = inner.partitions.get(partition as usize)?;
        Some(0..partition.end.offset)
    }
}
