//! One partition as request handlers see it: where to append, read, look up and wait. Outlives the actor behind it:
//! a restarted `TopicLog` moves into the same handle. Never blocks but for the disk reads its methods say.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use callboard_supervision::{Addr, CallError};
use metrics::{Gauge, gauge};
use tokio::sync::Semaphore;
use tracing::error;

use super::LogError;
use super::actor::TopicLogMsg;
use super::batch::BatchCheck;
use super::core::{EpochEnd, LogConfig};
use super::count::Count;
use super::reader::{Ahead, AtLeast, Chunk, FoundOffset, LogReader, Offsets};
use super::reply::AppendReply;
use super::search::Search;
use super::waiters::{FetchWaiter, Waiters, Watch};
use crate::compute::{Compute, Job, Lane, Progress};
use crate::metrics::BROKER_OFFLINE_PARTITIONS;
use crate::metrics::TopicCounts;

/// Of the bytes that may be checked where requests are read, the share that may come compressed.
const COMPRESSED_SHARE: usize = 16;
/// What a codec may hold there. zstd's usual window is 2 MiB.
const LIGHT_MEMORY: usize = 4 * 1024 * 1024;

/// One partition of one topic. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogHandle {
    hosted: Arc<HostedPartition>,
}

/// A partition as this broker has it, whatever has become of its actor: what handles and actor share.
#[derive(Debug)]
pub(crate) struct HostedPartition {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) dir: PathBuf,
    config: RwLock<LogConfig>,
    pub(crate) waiters: Arc<Waiters>,
    /// Held by whoever has the files open for writing. A dead incarnation may still be in a blocking section: the next
    /// one opens the files when it is out of it.
    pub(crate) writer: Arc<Semaphore>,
    pub(crate) appended_records: Count,
    pub(crate) appended_bytes: Count,
    fetched_bytes: Count,
    /// Of the log that was open last: Metadata tells it of an offline partition too.
    pub(crate) leader_epoch: AtomicI32,
    stage: RwLock<Stage>,
    /// The topic's files are being moved away, which may yet fail.
    deleting: AtomicBool,
}

/// What the partition can do now.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Being opened: at the start, or again after a failure of the actor. Appends wait in its mailbox.
    Opening(Option<Addr<TopicLogMsg>>),
    /// Appends and reads.
    Open(Addr<TopicLogMsg>, LogReader),
    /// Given up after a failure that a restart does not cure.
    Offline {
        /// Why.
        reason: LogError,
        _counted: Counted,
    },
    /// The broker is stopping, or the topic is deleted.
    Gone(LogError),
}

/// Counts one offline partition for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    fn new() -> Self {
        let gauge = gauge!(BROKER_OFFLINE_PARTITIONS);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl LogHandle {
    /// A handle of a partition whose files lie in `dir`; nothing is opened yet.
    pub(crate) fn new(topic: Arc<str>, partition: i32, dir: PathBuf, config: LogConfig) -> Self {
        let hosted = HostedPartition {
            appended_records: Count::default(),
            appended_bytes: Count::default(),
            fetched_bytes: Count::default(),
            topic,
            partition,
            dir,
            config: RwLock::new(config),
            waiters: Arc::default(),
            writer: Arc::new(Semaphore::new(1)),
            leader_epoch: AtomicI32::new(0),
            stage: RwLock::new(Stage::Opening(None)),
            deleting: AtomicBool::new(false),
        };
        Self {
            hosted: Arc::new(hosted),
        }
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.hosted.topic
    }

    /// The number of the partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.hosted.partition
    }

    /// Whether the partition was given up after a failure that a restart does not cure.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        matches!(&*self.hosted.stage(), Stage::Offline { .. })
    }

    /// Appends one batch, the bytes as the producer sent them, after all that were given before. Checks them here, on
    /// the caller's thread, however long that takes; the reply comes from the log's actor, or at once when the batch is
    /// refused or nobody is there.
    pub fn append(&self, records: Bytes, reply: AppendReply) {
        if let Some(mut append) = self.begin(records, reply) {
            while append.step(usize::MAX) == Progress::Unfinished {}
        }
    }

    /// The same for a connection: what takes more than is left of `inline` bytes goes on in its `lane`. Appends of one
    /// connection reach the log in the order in which they were given.
    pub(crate) fn append_in(
        &self,
        lane: &Lane,
        compute: &Compute,
        inline: &mut usize,
        records: Bytes,
        reply: AppendReply,
    ) {
        let Some(mut append) = self.begin(records, reply) else {
            return;
        };
        let here = lane.is_idle() && append.is_light(*inline);
        if !here || append.advance(inline) == Progress::Unfinished {
            compute.submit(lane, append);
        }
    }

    /// An append to go on with; None when it is refused and answered.
    fn begin(&self, records: Bytes, reply: AppendReply) -> Option<Append> {
        let admitted = self.hosted.address().and_then(|address| {
            // Before anything is decompressed.
            self.hosted
                .with_config(|config| config.takes_size(records.len()))?;
            Ok((address, BatchCheck::new(records)?))
        });
        match admitted {
            Ok((address, check)) => Some(Append {
                check,
                goes_on: Some((address, reply)),
            }),
            Err(error) => {
                reply.send(Err(error));
                None
            }
        }
    }

    /// Reads stored batches; see [`LogReader::read`]. Reads files where it is called.
    ///
    /// # Errors
    /// As [`LogReader::read`], and [`LogError::Unavailable`], [`LogError::Deleted`].
    pub fn read(&self, from: i64, max_bytes: usize, at_least: AtLeast) -> Result<Chunk, LogError> {
        let chunk = self
            .hosted
            .reader()
            .and_then(|reader| reader.read(from, max_bytes, at_least))
            .map_err(|error| self.told(error))?;
        self.hosted
            .fetched_bytes
            .increment(chunk.records.len() as u64);
        Ok(chunk)
    }

    /// What a read from there has before it; see [`LogReader::ahead`].
    ///
    /// # Errors
    /// As there, and [`LogError::Unavailable`], [`LogError::Deleted`].
    pub fn ahead(&self, from: i64) -> Result<Ahead, LogError> {
        let ahead = self.hosted.reader().and_then(|reader| reader.ahead(from));
        ahead.map_err(|error| self.told(error))
    }

    /// Adds what this partition has counted, and its size, to its topic's.
    pub(crate) fn count_into(&self, topic: &mut TopicCounts) {
        topic.appended_records += self.hosted.appended_records.get();
        topic.appended_bytes += self.hosted.appended_bytes.get();
        topic.fetched_bytes += self.hosted.fetched_bytes.get();
        topic.size_bytes += self.hosted.reader().map_or(0, |reader| reader.size());
    }

    /// The leader epoch: it rises when the log is opened without having been closed in order.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.hosted.leader_epoch.load(Ordering::Acquire)
    }

    /// Where a leader epoch ends; see [`LogReader::end_of_epoch`].
    ///
    /// # Errors
    /// As [`offsets`](Self::offsets).
    pub fn end_of_epoch(&self, epoch: i32) -> Result<EpochEnd, LogError> {
        Ok(self.hosted.reader()?.end_of_epoch(epoch))
    }

    /// The leader epoch of the record at `offset`.
    ///
    /// # Errors
    /// As [`offsets`](Self::offsets).
    pub fn epoch_of(&self, offset: i64) -> Result<i32, LogError> {
        Ok(self.hosted.reader()?.epoch_of(offset))
    }

    /// The log start and end offsets.
    ///
    /// # Errors
    /// [`LogError::Unavailable`], [`LogError::Deleted`], or why the partition is offline.
    pub fn offsets(&self) -> Result<Offsets, LogError> {
        Ok(self.hosted.reader()?.offsets())
    }

    /// Begins a search by timestamp; see [`LogReader::search`].
    pub(crate) fn search(&self, timestamp: i64) -> Result<Search, LogError> {
        Ok(self.hosted.reader()?.search(timestamp))
    }

    /// What ListOffsets answers for a timestamp; see [`LogReader::offset_for`]. Reads files where it is called.
    ///
    /// # Errors
    /// As [`LogReader::offset_for`], and [`LogError::Unavailable`], [`LogError::Deleted`].
    pub fn offset_for(&self, timestamp: i64) -> Result<Option<FoundOffset>, LogError> {
        self.hosted.reader()?.offset_for(timestamp)
    }

    /// Lets `waiter` hear of appends until the guard is dropped. `end_seen` is the end offset of the read that made
    /// the Fetch wait: whoever read before somebody appended is woken at once.
    pub fn watch(&self, waiter: &Arc<FetchWaiter>, end_seen: i64) -> Watch {
        let watch = Waiters::join(&self.hosted.waiters, waiter);
        // After joining, so that no append falls between the look and the list.
        if self
            .offsets()
            .map_or(true, |offsets| offsets.end != end_seen)
        {
            waiter.wake_now();
        }
        watch
    }

    /// Deletes records below `offset`, -1 for all; see [`PartitionLog::delete_records`](super::PartitionLog::delete_records).
    /// Answers the new log start offset.
    ///
    /// # Errors
    /// As there, and [`LogError::Unavailable`], [`LogError::Deleted`].
    pub async fn delete_records(&self, offset: i64, timeout: Duration) -> Result<i64, LogError> {
        let address = self.hosted.address()?;
        address
            .call(
                |reply| TopicLogMsg::DeleteRecords { offset, reply },
                timeout,
            )
            .await
            .map_err(unanswered)?
    }

    /// Waits until the log is open, or known not to open.
    ///
    /// # Errors
    /// Why it is offline; [`LogError::Unavailable`] when the timeout passes first.
    pub(crate) async fn opened(&self, timeout: Duration) -> Result<(), LogError> {
        let address = self.hosted.address()?;
        address
            .call(|reply| TopicLogMsg::AwaitOpen { reply }, timeout)
            .await
            .map_err(unanswered)?
    }

    /// Ends the log in order and waits for it. Nothing is appended afterwards.
    pub(crate) async fn close(&self, timeout: Duration) {
        let Ok(address) = self.hosted.address() else {
            return;
        };
        if let Err(error) = address
            .call(|reply| TopicLogMsg::Close { reply }, timeout)
            .await
        {
            tracing::warn!(topic = %self.hosted.topic, partition = self.hosted.partition, %error, "a topic log did not close");
        }
    }

    /// Other settings hold for appends that are given from now on.
    pub(crate) fn configure(&self, config: LogConfig) {
        if self.hosted.with_config(|present| *present == config) {
            return;
        }
        // First here: an actor that opens the log now finds them.
        let hosted = &self.hosted;
        *hosted
            .config
            .write()
            .unwrap_or_else(PoisonError::into_inner) = config.clone();
        if let Ok(address) = hosted.address() {
            drop(address.cast(TopicLogMsg::Configure(Box::new(config))));
        }
    }

    /// Whether the topic's files are being moved away: what fails meanwhile fails because of that.
    pub(crate) fn set_deleting(&self, deleting: bool) {
        self.hosted.deleting.store(deleting, Ordering::Release);
    }

    /// What a client is told of `error`: a log that fails because its topic is being deleted, or is, is not ill.
    pub(crate) fn told(&self, error: LogError) -> LogError {
        let follows = matches!(
            error,
            LogError::Storage { .. } | LogError::Unavailable { .. } | LogError::Failed
        );
        if follows && self.hosted.is_going() {
            return LogError::Deleted;
        }
        error
    }

    /// The topic is deleted: reads and appends say so from now on, and who waits is woken.
    pub(crate) fn mark_deleted(&self) {
        self.hosted.set(Stage::Gone(LogError::Deleted));
    }

    /// Kills the actor behind it.
    #[cfg(test)]
    pub(crate) fn kill(&self) {
        if let Ok(address) = self.hosted.address() {
            address.actor().kill();
        }
    }

    pub(crate) fn hosted(&self) -> &Arc<HostedPartition> {
        &self.hosted
    }
}

/// A batch on its way to the log: being checked, then sent to its actor.
struct Append {
    check: BatchCheck,
    /// Where to and who waits; None when that is done.
    goes_on: Option<(Addr<TopicLogMsg>, AppendReply)>,
}

impl Append {
    /// Whether a first slice of so many bytes is worth trying where requests are read.
    fn is_light(&self, bytes: usize) -> bool {
        let most = if self.check.is_compressed() {
            bytes / COMPRESSED_SHARE
        } else {
            bytes
        };
        self.check.size() <= most && self.check.memory() <= LIGHT_MEMORY
    }

    fn advance(&mut self, bytes: &mut usize) -> Progress {
        let checked = match self.check.step(bytes) {
            Ok(None) => return Progress::Unfinished,
            Ok(Some(batch)) => Ok(batch),
            Err(error) => Err(error),
        };
        match (checked, self.goes_on.take()) {
            // Refused means that the actor has just ended; the reply answers by being dropped.
            (Ok(batch), Some((address, reply))) => {
                drop(address.cast(TopicLogMsg::Append { batch, reply }));
            }
            (Err(error), Some((_, reply))) => reply.send(Err(error)),
            (_, None) => {}
        }
        Progress::Done
    }
}

impl Job for Append {
    fn step(&mut self, mut bytes: usize) -> Progress {
        self.advance(&mut bytes)
    }

    fn memory(&self) -> usize {
        self.check.memory()
    }
}

/// A request may bring as many of them as fit in its bytes.
const _: () = assert!(size_of::<Append>() <= 512);

fn opening() -> LogError {
    LogError::Unavailable {
        reason: "it is being opened".into(),
    }
}

fn unanswered(error: CallError) -> LogError {
    LogError::Unavailable {
        reason: error.to_string().into(),
    }
}

impl HostedPartition {
    /// Looks at the settings as they are now.
    pub(crate) fn with_config<T>(&self, look: impl FnOnce(&LogConfig) -> T) -> T {
        look(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn stage(&self) -> std::sync::RwLockReadGuard<'_, Stage> {
        self.stage.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves to another stage and wakes who waits: what they wait for may never come now. What is gone stays gone.
    pub(crate) fn set(&self, next: Stage) {
        {
            let mut stage = self.stage.write().unwrap_or_else(PoisonError::into_inner);
            if matches!(*stage, Stage::Gone(_)) {
                return;
            }
            *stage = next;
        }
        self.waiters.wake_all();
    }

    /// Takes the partition offline, loudly; its neighbours serve.
    pub(crate) fn give_up(&self, reason: LogError) {
        error!(topic = %self.topic, partition = self.partition, %reason, "partition is offline");
        self.set(Stage::Offline {
            reason,
            _counted: Counted::new(),
        });
    }

    /// Whether the topic is deleted: its files are not worth another sync.
    pub(crate) fn is_deleted(&self) -> bool {
        matches!(&*self.stage(), Stage::Gone(LogError::Deleted))
    }

    /// Whether it is deleted or is just being deleted.
    pub(crate) fn is_going(&self) -> bool {
        self.deleting.load(Ordering::Acquire) || self.is_deleted()
    }

    fn reader(&self) -> Result<LogReader, LogError> {
        match &*self.stage() {
            Stage::Open(_, reader) => Ok(reader.clone()),
            Stage::Opening(_) => Err(opening()),
            Stage::Offline { reason, .. } | Stage::Gone(reason) => Err(reason.clone()),
        }
    }

    fn address(&self) -> Result<Addr<TopicLogMsg>, LogError> {
        match &*self.stage() {
            Stage::Open(address, _) | Stage::Opening(Some(address)) => Ok(address.clone()),
            Stage::Opening(None) => Err(opening()),
            Stage::Offline { reason, .. } | Stage::Gone(reason) => Err(reason.clone()),
        }
    }
}
