//! The log under the coordinators with an ear for its appends: what lets a Fetch of `__consumer_offsets` wait as one of
//! any other topic does. Coordinators write through it, handlers read through it.

use std::ops::Range;
use std::sync::Arc;

use callboard_offsets::log::{
    AppendDone, Backlog, Batch, BatchId, Capabilities, Chunks, End, Fetched, Health, Lease,
    LogError, OffsetsLog, OpenDone, Position, ResolveDone, Visit,
};

use crate::log::{FetchWaiter, Waiters, Watch};

/// An engine, and who waits for what it gets.
pub(crate) struct OffsetsTopic {
    engine: Arc<dyn OffsetsLog>,
    /// One for each partition.
    waiters: Box<[Arc<Waiters>]>,
}

impl OffsetsTopic {
    pub(crate) fn new(engine: Arc<dyn OffsetsLog>, partitions: u32) -> Self {
        let waiters = (0..partitions).map(|_| Arc::default()).collect();
        Self { engine, waiters }
    }

    /// As [`LogHandle::watch`](crate::log::LogHandle::watch); None for a partition there is not.
    pub(crate) fn watch(
        &self,
        partition: u32,
        waiter: &Arc<FetchWaiter>,
        end_seen: i64,
    ) -> Option<Watch> {
        let watch = Waiters::join(self.of(partition)?, waiter);
        // After joining, so that no append falls between the look and the list.
        let end = self.engine.offsets(partition).map(|offsets| offsets.end);
        if end != Some(end_seen) {
            waiter.wake_now();
        }
        Some(watch)
    }

    fn of(&self, partition: u32) -> Option<&Arc<Waiters>> {
        self.waiters.get(usize::try_from(partition).ok()?)
    }
}

impl OffsetsLog for OffsetsTopic {
    fn append(&self, lease: Lease, batch: Batch, done: AppendDone) {
        let Some(waiters) = self.of(lease.partition).cloned() else {
            return self.engine.append(lease, batch, done);
        };
        let bytes = batch.kafka.len();
        let told = move |appended: Result<Position, LogError>| {
            // An engine answers once the batch can be read.
            if appended.is_ok() {
                waiters.appended(bytes);
            }
            done(appended);
        };
        self.engine.append(lease, batch, Box::new(told));
    }

    fn resolve(&self, lease: Lease, position: Position, id: BatchId, done: ResolveDone) {
        let Some(waiters) = self.of(lease.partition).cloned() else {
            return self.engine.resolve(lease, position, id, done);
        };
        // What was unknown may turn out to be there, without a word of how much it is.
        let told = move |resolution| {
            waiters.wake_all();
            done(resolution);
        };
        self.engine.resolve(lease, position, id, Box::new(told));
    }

    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    fn health(&self) -> Health {
        self.engine.health()
    }

    fn open(&self, partition: u32, done: OpenDone) {
        self.engine.open(partition, done);
    }

    fn snapshot(&self, partition: u32, upto: End, chunks: &mut Chunks<'_>) -> Result<(), LogError> {
        self.engine.snapshot(partition, upto, chunks)
    }

    fn backlog(&self, partition: u32) -> Option<Backlog> {
        self.engine.backlog(partition)
    }

    fn scan(
        &self,
        partition: u32,
        range: Range<Position>,
        visit: &mut Visit<'_>,
    ) -> Result<(), LogError> {
        self.engine.scan(partition, range, visit)
    }

    fn read(&self, partition: u32, from: i64, max_bytes: usize) -> Result<Fetched, LogError> {
        self.engine.read(partition, from, max_bytes)
    }

    fn offsets(&self, partition: u32) -> Option<Range<i64>> {
        self.engine.offsets(partition)
    }
}
