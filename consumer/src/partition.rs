//! An assigned partition as its actors share it: the [core](crate::core::partition) under a lock, and what wakes who waits
//! for it. Shared by its handler, its fetcher, its supervisor and the committer, and outliving the first two; that is how
//! a crash of either loses nothing. An acknowledgement is a store in here, not a message: one per record would cost more
//! than most handlers. Effects wait in here until the supervisor takes them, so none is lost with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use callboard_client::TopicPartition;
use callboard_supervision::Addr;
use metrics::{Gauge, gauge};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::core::commit::Committable;
use crate::core::fetch_plan::Eligibility;
use crate::core::membership::Generation;
pub use crate::core::partition::Progress;
use crate::core::partition::{
    Dispatch, Effect, FetchFrom, Input, Limits, PartitionCore, PauseCause, Room,
};
use crate::metrics::CONSUMER_PAUSED_PARTITIONS;
use crate::partition_handler::HandlerMsg;
use crate::policy::HandlerPolicy;
use crate::shared::lock;

/// An assigned partition.
pub(crate) struct Cell {
    pub(crate) partition: TopicPartition,
    pub(crate) group_id: Arc<str>,
    pub(crate) member_id: String,
    pub(crate) generation: i32,
    /// Cancelled when the partition is lost or released.
    pub(crate) released: CancellationToken,
    /// An acknowledgement came, or intake changed.
    pub(crate) changed: Notify,
    /// A broker has answered a fetch of it since that was last asked.
    answered: AtomicBool,
    /// Partitions that stand still for want of acknowledgements.
    full: Gauge,
    inner: Mutex<Inner>,
}

struct Inner {
    core: PartitionCore,
    /// Not yet carried out.
    effects: Vec<Effect>,
    handler: Option<Addr<HandlerMsg>>,
}

impl Cell {
    /// A partition of which nobody knows yet where it begins. `seen` is one past the highest offset that handlers saw in
    /// earlier assignments.
    pub(crate) fn new(
        partition: TopicPartition,
        group_id: Arc<str>,
        generation: &Generation,
        policy: &HandlerPolicy,
        seen: i64,
    ) -> Self {
        let limits = Limits {
            attempts_max: policy.attempts_max,
            exhausted: policy.exhausted,
            unacknowledged_max: policy.unacknowledged_max,
        };
        let group = group_id.to_string();
        Self {
            partition,
            group_id,
            member_id: generation.member_id.clone(),
            generation: generation.id,
            released: CancellationToken::new(),
            changed: Notify::new(),
            answered: AtomicBool::new(false),
            full: gauge!(CONSUMER_PAUSED_PARTITIONS, "group" => group, "cause" => "unacknowledged"),
            inner: Mutex::new(Inner {
                core: PartitionCore::new(limits, seen),
                effects: Vec::new(),
                handler: None,
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Changes the core, and shows where it begins or ceases to stand still.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner();
        let was_full = inner.core.is_full();
        let result = change(&mut inner);
        let is_full = inner.core.is_full();
        drop(inner);
        match (was_full, is_full) {
            (false, true) => self.full.increment(1.0),
            (true, false) => self.full.decrement(1.0),
            (false, false) | (true, true) => {}
        }
        result
    }

    /// Tells the core; its effects wait for [`take_effects`](Self::take_effects). Wakes who waits for a change.
    pub(crate) fn step(&self, input: Input) {
        self.change(|Inner { core, effects, .. }| core.step(input, effects));
        self.changed.notify_waiters();
    }

    /// What is to be done and was not taken yet.
    pub(crate) fn take_effects(&self) -> Vec<Effect> {
        std::mem::take(&mut self.inner().effects)
    }

    /// Whether something is to be done.
    pub(crate) fn has_effects(&self) -> bool {
        !self.inner().effects.is_empty()
    }

    pub(crate) fn is_owner(&self) -> bool {
        !self.released.is_cancelled()
    }

    // For the supervisor.

    /// The handler that was asked for is reached here.
    pub(crate) fn started(&self, handler: Addr<HandlerMsg>) {
        self.inner().handler = Some(handler);
        self.step(Input::Started);
    }

    /// The handler is gone, or is to go: nobody sends it anything any more.
    pub(crate) fn forget_handler(&self) -> Option<Addr<HandlerMsg>> {
        self.inner().handler.take()
    }

    /// The handler in place.
    pub(crate) fn handler(&self) -> Option<Addr<HandlerMsg>> {
        self.inner().handler.clone()
    }

    /// Gives it up in order. Returns whether a handler has to finish first.
    pub(crate) fn revoke(&self) -> bool {
        let waits = self.change(|inner| inner.core.revoke());
        self.changed.notify_waiters();
        waits
    }

    /// It is not ours any more.
    pub(crate) fn release(&self) {
        self.change(|inner| inner.core.release());
        self.released.cancel();
        self.changed.notify_waiters();
    }

    pub(crate) fn wants_handler(&self) -> bool {
        self.inner().core.wants_handler()
    }

    pub(crate) fn paused(&self) -> Option<PauseCause> {
        self.inner().core.paused()
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.inner().core.incarnation()
    }

    pub(crate) fn seen(&self) -> i64 {
        self.inner().core.seen()
    }

    // For the fetcher.

    pub(crate) fn fetch_from(&self) -> Option<FetchFrom> {
        self.inner().core.fetch_from()
    }

    pub(crate) fn eligibility(&self) -> Eligibility {
        self.inner().core.eligibility()
    }

    /// Records fetched `from` reach to `next`, and `bytes` are charged for them. Returns the handler to give them to;
    /// `None` if they are stale.
    pub(crate) fn fetched(
        &self,
        from: FetchFrom,
        next: i64,
        high_watermark: i64,
        bytes: usize,
        share: usize,
    ) -> Option<Addr<HandlerMsg>> {
        let mut inner = self.inner();
        let handler = inner.handler.clone()?;
        inner
            .core
            .fetched(from, next, high_watermark, bytes, share)
            .then_some(handler)
    }

    /// A broker has answered a fetch of it without an error.
    pub(crate) fn note_answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// Whether one has since the last call.
    pub(crate) fn take_answered(&self) -> bool {
        self.answered.swap(false, Ordering::Relaxed)
    }

    /// Fetched records are dropped. Returns whether its fetcher may go on that could not.
    pub(crate) fn give_back(&self, bytes: usize, share: usize) -> bool {
        self.inner().core.give_back(bytes, share)
    }

    // For the handler.

    /// Whether records are fetched and handed over.
    pub(crate) fn is_open(&self) -> bool {
        self.inner().core.is_open()
    }

    /// Whether records of this incarnation are.
    pub(crate) fn is_current(&self, incarnation: u64) -> bool {
        self.inner().core.is_current(incarnation)
    }

    /// May records fetched `from` be worked on?
    pub(crate) fn takes(&self, from: FetchFrom) -> bool {
        self.inner().core.takes(from)
    }

    /// May `offset` be handed over?
    pub(crate) fn dispatch(
        &self,
        incarnation: u64,
        offset: i64,
        leader_epoch: Option<i32>,
    ) -> Dispatch {
        let mut inner = self.inner();
        inner.core.dispatch(incarnation, offset, leader_epoch)
    }

    /// Nothing below `next` is left to hand over.
    pub(crate) fn passed(&self, incarnation: u64, next: i64, leader_epoch: Option<i32>) {
        self.inner().core.passed(incarnation, next, leader_epoch);
    }

    /// The handler has deferred the acknowledgement of its record: may it get another one?
    pub(crate) fn answered(&self, incarnation: u64) -> Room {
        self.change(|Inner { core, effects, .. }| core.answered(incarnation, effects))
    }

    /// The record is finished. Returns whether this counted.
    pub(crate) fn done(&self, incarnation: u64, offset: i64) -> bool {
        let counted = self.change(|inner| inner.core.done(incarnation, offset));
        if counted {
            self.changed.notify_waiters();
        }
        counted
    }

    /// Records dispatched and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.inner().core.unacknowledged()
    }

    /// A stream gave a record to the application. False if it must not any more.
    pub(crate) fn hand_out(&self, incarnation: u64) -> bool {
        self.inner().core.hand_out(incarnation)
    }

    /// The application is done with a record of a stream, one way or the other.
    pub(crate) fn take_back(&self, incarnation: u64) {
        self.inner().core.take_back(incarnation);
        self.changed.notify_waiters();
    }

    /// Records a stream has given out and not got back.
    pub(crate) fn handed_out(&self) -> usize {
        self.inner().core.handed_out()
    }

    /// Ends when intake is not open any more.
    pub(crate) async fn left_open(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the check, or a change between the two would be missed.
            changed.as_mut().enable();
            if !self.is_open() {
                return;
            }
            changed.await;
        }
    }

    // For the committer and whoever asks.

    pub(crate) fn committable(&self) -> Option<Committable> {
        self.inner().core.committable()
    }

    pub(crate) fn committed(&self, offset: i64) {
        self.inner().core.committed(offset);
    }

    pub(crate) fn progress(&self) -> Option<Progress> {
        self.inner().core.progress()
    }
}
