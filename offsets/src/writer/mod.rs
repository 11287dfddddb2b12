//! The offset-partition writer: one actor per partition of `__consumer_offsets`, child of the partition's coordinator.
//! It owns the partition's lease and its committed-offset [`Index`]. What it is given to append becomes durable, then
//! visible in the index, then is answered, in this order; appends pipeline and settle in the order they came.
//! It never decides what is appended, and a read never sees what is not durable.

mod actor;
pub(crate) mod core;
mod message;
mod perform;
mod replay;

use std::fmt;
use std::sync::Arc;

use callboard_supervision::{Addr, SpawnError, spawn_linked};
use ractor::ActorCell;

use self::actor::OffsetPartitionWriter;
use self::message::Pieces;
pub use self::message::WriterMsg;
use crate::clock::WallClock;
use crate::index::Index;
use crate::log::{LogError, OffsetsLog};
use crate::metrics::append_failed;
use crate::record::{Record, codec::RecordError};

/// The kind writers are counted under.
pub const KIND: &str = "offsets_writer";

/// Why records were not appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Not applied: the engine does not take appends for the moment. Retry later.
    #[error("the offsets log is not available")]
    Unavailable,
    /// Not applied: no space left. Reads go on. Retry later.
    #[error("the offsets log is full")]
    Full,
    /// Not applied: it does not fit in one batch.
    #[error("the records do not fit in a batch of {bytes_max} bytes")]
    TooLarge {
        /// Most bytes of one batch.
        bytes_max: usize,
    },
    /// Not applied: a record has no bytes.
    #[error(transparent)]
    Unwritable(#[from] RecordError),
    /// Somebody else leads the partition, or it could not be loaded. This writer will not append again.
    #[error("the partition is not led here")]
    NotOurs,
    /// Outcome unknown: a write or a flush failed, and the engine refuses everything from now on.
    #[error("the offsets log is poisoned: {reason}")]
    Poisoned {
        /// The first error.
        reason: String,
    },
    /// Outcome unknown: the writer ended before the answer.
    #[error("the writer ended")]
    Lost,
}

type DoneFn = Box<dyn FnOnce(Result<(), AppendError>) + Send>;
type ReadFn = Box<dyn FnOnce(&Index) + Send>;
type PlanFn = Box<dyn FnOnce(&Index) -> Vec<Record> + Send>;
type LoadedFn = Box<dyn FnOnce(Result<&Index, &LogError>) + Send>;

impl AppendError {
    /// Its label in the metrics, one of [`APPEND_ERROR_KINDS`](crate::metrics::APPEND_ERROR_KINDS).
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Full => "full",
            Self::TooLarge { .. } | Self::Unwritable(_) => "too_large",
            Self::NotOurs | Self::Lost => "fenced",
            Self::Poisoned { .. } => "io",
        }
    }
}

/// Answer to an append, called exactly once: dropped, it answers [`AppendError::Lost`]. Every failure is counted here,
/// and so once, wherever it comes from.
struct Completion(Option<DoneFn>);

impl Completion {
    fn call(mut self, outcome: Result<(), AppendError>) {
        self.give(outcome);
    }

    fn give(&mut self, outcome: Result<(), AppendError>) {
        if let Some(done) = self.0.take() {
            if let Err(error) = &outcome {
                append_failed(error.kind());
            }
            done(outcome);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.give(Err(AppendError::Lost));
    }
}

/// What a writer is started with.
pub struct WriterArgs {
    /// Partition of `__consumer_offsets`.
    pub partition: u32,
    /// The engine.
    pub log: Arc<dyn OffsetsLog>,
    /// Timestamps of the batches.
    pub clock: WallClock,
    /// Called once with what the partition holds when it serves, or with why it will not. On the writer's own task.
    pub loaded: LoadedFn,
}

impl fmt::Debug for WriterArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterArgs")
            .field("partition", &self.partition)
            .finish_non_exhaustive()
    }
}

/// A running writer. Cheap to clone; does not keep the actor alive.
#[derive(Clone, Debug)]
pub struct Writer {
    address: Addr<WriterMsg>,
}

impl Writer {
    /// Starts a writer under `supervisor`. It opens its partition and replays it on a blocking thread; what is asked of
    /// it meanwhile waits.
    ///
    /// # Errors
    /// As [`spawn_linked`].
    pub async fn spawn_linked(args: WriterArgs, supervisor: ActorCell) -> Result<Self, SpawnError> {
        let (address, _join) = spawn_linked(KIND, OffsetPartitionWriter, args, supervisor).await?;
        Ok(Self { address })
    }

    /// The actor, for whoever supervises it.
    #[must_use]
    pub fn cell(&self) -> ActorCell {
        self.address.actor().get_cell()
    }

    /// Appends the records of `group` as one batch: all land or none. `done` is called when they are durable and in the
    /// index, or with why not; also when there is nothing to append, behind what was appended before.
    pub fn append(
        &self,
        group: Arc<str>,
        records: Vec<Record>,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) {
        self.cast(WriterMsg::append(group, records, done));
    }

    /// Answers an append whose records have no bytes, so that it counts with those the writer finds.
    pub fn refuse(error: RecordError, done: impl FnOnce(Result<(), AppendError>) + Send + 'static) {
        Completion(Some(Box::new(done))).call(Err(AppendError::Unwritable(error)));
    }

    /// Reads the index behind every append of `group` sent before, and before any sent after. The closure runs on the
    /// writer's task and should be short; it is dropped uncalled if the partition is not served.
    pub fn read(&self, group: Arc<str>, read: impl FnOnce(&Index) + Send + 'static) {
        self.cast(WriterMsg::read(Some(group), read));
    }

    /// Reads the index behind every append of any group sent before.
    pub fn read_all(&self, read: impl FnOnce(&Index) + Send + 'static) {
        self.cast(WriterMsg::read(None, read));
    }

    /// Appends what `plan` makes of the index, when every append of `group` sent before has settled; what is sent for
    /// the group after it waits for it. Nothing planned is an append of nothing.
    pub fn change(
        &self,
        group: Arc<str>,
        plan: impl FnOnce(&Index) -> Vec<Record> + Send + 'static,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) {
        self.cast(WriterMsg::change(group, plan, done, Pieces::One));
    }

    /// As [`change`](Self::change), for what is not one thing to whoever reads it: as many appends as it takes, in the
    /// order planned, each behind the one before. `done` is called when all of it is durable, or with why a part is not:
    /// those before it stay, those behind it are not tried, and planning again finds what is left.
    pub fn change_in_parts(
        &self,
        group: Arc<str>,
        plan: impl FnOnce(&Index) -> Vec<Record> + Send + 'static,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) {
        self.cast(WriterMsg::change(group, plan, done, Pieces::Many));
    }

    fn cast(&self, message: WriterMsg) {
        // A message that comes back is dropped, and its completion answers that the writer is gone.
        drop(self.address.cast(message));
    }
}
