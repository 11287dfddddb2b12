//! The small trait between the writers and whatever keeps their bytes: the local [`journal`](crate::journal), the
//! [`memory`](crate::memory) engine of the tests, one day a replicated log. An engine knows partitions, positions and
//! batches; it never looks inside a batch.
//!
//! * A *position* counts the batches of one partition, from 0. An *offset* is Kafka's, one per record of the topic.
//! * An append is a compare-and-append: it names the epoch it was opened under and the position it expects to get. The
//!   first append that fails makes those sent behind it fail too, so nobody's later change lands without its earlier one.
//! * `Ok` means durable as [`Capabilities::durability`] says, and nothing else does.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

/// Number of a batch in its partition, from 0.
pub type Position = u64;

/// What one writer incarnation may append under. Every `open` of a partition gives a higher epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Name of one append, unique over writers and restarts: a lost answer is found again by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(pub u128);

/// The right to append to one partition, until the partition is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Partition of `__consumer_offsets`.
    pub partition: u32,
    /// The fence.
    pub epoch: Epoch,
}

/// Where a partition's log ends: what the next batch gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Position of the next batch.
    pub position: Position,
    /// Kafka offset of the next record.
    pub offset: i64,
}

/// An opened partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What to append under.
    pub lease: Lease,
    /// Everything before it is durable, and nothing of an earlier lease will ever land at or behind it.
    pub end: End,
}

/// What is appended in one piece: all of it lands or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Name of the append.
    pub id: BatchId,
    /// The end this append expects to find.
    pub expected: End,
    /// How many Kafka offsets it takes.
    pub records: u32,
    /// Generation marks, in this crate's own form; may be empty.
    pub marks: Bytes,
    /// One Kafka v2 record batch whose base offset is `expected.offset`; empty if there are marks only.
    pub kafka: Bytes,
}

impl Batch {
    /// Bytes an engine has to keep for it, its own framing not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len() + self.kafka.len()
    }

    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The end after it has landed.
    #[must_use]
    pub fn end_after(&self) -> End {
        End {
            position: self.expected.position + 1,
            offset: self.expected.offset + i64::from(self.records),
        }
    }
}

/// A batch as a scan gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBatch {
    /// Its position.
    pub position: Position,
    /// Kafka offset of its first record; of the next one if it has marks only.
    pub base_offset: i64,
    /// Generation marks.
    pub marks: Bytes,
    /// The Kafka record batch; empty if there are marks only.
    pub kafka: Bytes,
}

/// What survives when an append has been answered `Ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The power may go: it was flushed to this machine's disk.
    LocalFsync,
    /// The process may go: it is in the operating system's memory. For measuring what the flush costs.
    LocalMemory,
    /// Nothing: it lives in this process (tests).
    Volatile,
}

/// Most bytes of one [`Batch`], by default. Kafka's groups of a thousand members need some MiB: their metadata and their
/// assignments are one record.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The broker's key behind [`Capabilities::batch_bytes_max`], for the line that says that it was passed.
pub const BATCH_BYTES_MAX_KEY: &str = "callboard.offsets.batch.max.bytes";

/// What an engine can do. Read once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Most bytes of one [`Batch`].
    pub batch_bytes_max: usize,
    /// Most appends of one lease without an answer.
    pub in_flight_max: usize,
    /// What `Ok` means.
    pub durability: Durability,
    /// Whether another node can take a partition over.
    pub shared: bool,
}

/// Why the engine did not do it. Each error says whether the outcome is known and what the writer does about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Not applied: the partition was opened again. The writer ends.
    #[error("fenced by epoch {}", current.0)]
    Fenced {
        /// The epoch that holds the partition now.
        current: Epoch,
    },
    /// Not applied: the log ends elsewhere, because an append before this one failed or a second writer exists.
    #[error("the log ends at position {actual}")]
    WrongEnd {
        /// Where it ends.
        actual: Position,
    },
    /// Outcome unknown. The writer must `resolve` before it appends again.
    #[error("outcome unknown")]
    Unknown,
    /// Not applied: try again later. The engine has its hands full, or an unknown outcome stands before this append.
    #[error("unavailable, retry after {retry_after:?}")]
    Unavailable {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Not applied: the batch is too large for this engine.
    #[error("batch too large, {max} bytes fit")]
    TooLarge {
        /// Most bytes that fit.
        max: usize,
    },
    /// Not applied: no space left. Reads go on, appends work again when there is space.
    #[error("no space left")]
    Full,
    /// The partition's log has a hole or damaged bytes that are not its torn end. It refuses to be opened.
    #[error("corrupt at position {position}: {reason}")]
    Corrupt {
        /// First position that is missing or damaged.
        position: Position,
        /// What was found, for the operator.
        reason: String,
    },
    /// A write or a flush failed: what is on disk is unknown, and asking again would lie. The engine refuses everything
    /// from then on; the process should end and recover by reading.
    #[error("poisoned: {reason}")]
    Poisoned {
        /// The first error.
        reason: String,
    },
    /// Reading failed.
    #[error("read failed: {reason}")]
    Read {
        /// What the system said.
        reason: String,
    },
    /// No such partition.
    #[error("partition {partition} does not exist")]
    NoSuchPartition {
        /// The partition asked for.
        partition: u32,
    },
    /// The engine was shut down.
    #[error("closed")]
    Closed,
}

/// What became of an append whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It landed, durably.
    Applied,
    /// It did not and never will.
    NotApplied,
}

/// One piece of a snapshot: live records of a stretch of offsets, in order. Compaction leaves gaps between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Kafka offset of its first record.
    pub base_offset: i64,
    /// Kafka offset behind its last record.
    pub end_offset: i64,
    /// Generation marks; may be empty.
    pub marks: Bytes,
    /// One Kafka record batch; empty if there are marks only.
    pub kafka: Bytes,
}

/// The chunks of a snapshot, made while it is written. An error ends it.
pub type Chunks<'a> = dyn Iterator<Item = Result<Chunk, LogError>> + 'a;

/// What a partition's log would gain by a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Where the durable part ends: what a snapshot may reach up to.
    pub end: End,
    /// Bytes of the batches behind the last snapshot.
    pub log_bytes: u64,
    /// Bytes of that snapshot.
    pub snapshot_bytes: u64,
    /// Bytes of storage, shared with other partitions, that cannot be freed because of the oldest of these batches.
    pub pinned_bytes: u64,
}

/// Answer to an `open`; called exactly once.
pub type OpenDone = Box<dyn FnOnce(Result<Opened, LogError>) + Send>;
/// Answer to an `append`: the position it landed at. Called exactly once, in the order of the appends of a partition,
/// on a thread of the engine: it must not block.
pub type AppendDone = Box<dyn FnOnce(Result<Position, LogError>) + Send>;
/// Answer to a `resolve`; called exactly once.
pub type ResolveDone = Box<dyn FnOnce(Result<Resolution, LogError>) + Send>;

/// What a Fetch of the topic gets.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Whole Kafka batches, each with its right base offset, in order.
    pub batches: Vec<Bytes>,
    /// The offsets the partition holds: log start to the end of what is durable.
    pub offsets: Range<i64>,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("batches", &self.batches.len())
            .field("offsets", &self.offsets)
            .finish()
    }
}

/// Whether an engine takes appends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// It does.
    Good,
    /// The last append found no space.
    Full,
    /// It never will again.
    Poisoned {
        /// The first error.
        reason: String,
    },
}

/// How an engine is doing, for the operator and for whoever brakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether it takes appends.
    pub condition: Condition,
    /// 99th percentile of the last flushes; zero before the first.
    pub sync_p99: Duration,
    /// Bytes of appends that wait for their flush.
    pub queued_bytes: usize,
    /// Bytes the engine occupies.
    pub log_bytes: u64,
    /// Partitions that refuse to be opened, with the first missing position.
    pub corrupt_partitions: Vec<(u32, Position)>,
}

/// What says when a scan should stop early.
pub type Visit<'a> = dyn FnMut(StoredBatch) -> std::ops::ControlFlow<()> + 'a;

/// One engine under all writers of a node. `open`, `append` and `resolve` never block: they answer by their closure.
/// `scan`, `read` and `snapshot` do block on the disk: call them from a thread that may, and none from inside another.
pub trait OffsetsLog: Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// How it is doing.
    fn health(&self) -> Health;

    /// Takes a partition. This is the fence and the barrier: what was appended under earlier leases has landed or failed
    /// when `done` is called, and from then on only the new lease appends.
    ///
    /// Fails with `Corrupt`, `NoSuchPartition`, `Poisoned` or `Closed`.
    fn open(&self, partition: u32, done: OpenDone);

    /// Appends one batch under `lease` at `batch.expected`.
    fn append(&self, lease: Lease, batch: Batch, done: AppendDone);

    /// Settles the append `id`, expected at `position`, whose answer was [`LogError::Unknown`].
    fn resolve(&self, lease: Lease, position: Position, id: BatchId, done: ResolveDone);

    /// Puts `chunks` in the place of everything of `partition` before `upto`, durably, and only then forgets what lay
    /// there and frees the storage that nobody needs any more. `chunks` must be what replaying the partition up to `upto`
    /// leaves alive, and all of that must have landed. No lease is needed: what lies before a durable position never
    /// changes, so a late snapshot is right or is passed over, because there is a newer one. One at a time; others wait.
    /// `chunks` may read the partition, and may not scan it.
    ///
    /// # Errors
    /// What `chunks` says, or `WrongEnd` if the log does not have `upto`, `TooLarge`, `Full`, `Unavailable`, `Corrupt`,
    /// `Poisoned`, `NoSuchPartition`, `Closed`. The partition holds what it held, in its old place or in the new one;
    /// asking again frees what could not be freed.
    fn snapshot(&self, partition: u32, upto: End, chunks: &mut Chunks<'_>) -> Result<(), LogError>;

    /// What a snapshot of `partition` would free. `None` if there is no such partition, or if it may have none.
    fn backlog(&self, partition: u32) -> Option<Backlog>;

    /// Gives `visit` the batches of `partition` in order, from the start of `range` up to, not including, its end. Where
    /// a snapshot has taken the place of positions in `range`, all of the snapshot comes first, each chunk with the last
    /// position the snapshot replaces. Holes and damaged bytes end it.
    ///
    /// # Errors
    /// `Corrupt`, `Read`, `NoSuchPartition`, `Closed`.
    fn scan(
        &self,
        partition: u32,
        range: Range<Position>,
        visit: &mut Visit<'_>,
    ) -> Result<(), LogError>;

    /// The durable Kafka batches of `partition` that end at or behind `from_offset`, at most `max_bytes` of them but at
    /// least one if there is one. An offset outside [`Fetched::offsets`] gets no batches; the caller says what that means.
    ///
    /// # Errors
    /// `Corrupt`, `Read`, `NoSuchPartition`, `Closed`.
    fn read(&self, partition: u32, from_offset: i64, max_bytes: usize)
    -> Result<Fetched, LogError>;

    /// The Kafka offsets a partition holds: log start to the end of what is durable. `None` if there is no such partition.
    fn offsets(&self, partition: u32) -> Option<Range<i64>>;
}
