//! One assigned partition, from assignment to release: how far it is fetched, dispatched and acknowledged, and whether
//! it is still ours. Shared by its handler, its fetcher and the committer, and outliving the first two; that is how a
//! crash of either loses nothing. An acknowledgement is a store in here, not a message: one per record would cost more
//! than most handlers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callboard_client::TopicPartition;
use callboard_supervision::Addr;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::core::commit::Committable;
use crate::core::fetch_plan::Eligibility;
use crate::core::offset_tracker::OffsetTracker;
use crate::partition_handler::HandlerMsg;

/// What may happen to a partition's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// No handler: not yet, or it failed and waits for its restart, or the partition is paused.
    Closed,
    /// Fetched and handled.
    Open,
    /// Given up: nothing new, the record in work is finished.
    Draining,
    /// Not ours any more.
    Released,
}

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
    flow: Mutex<Flow>,
}

struct Flow {
    intake: Intake,
    /// Counts handlers of this assignment; what an earlier one says is void.
    incarnation: u64,
    handler: Option<Addr<HandlerMsg>>,
    tracker: OffsetTracker,
    /// The next offset to ask the broker for.
    fetch_position: i64,
    /// The leader epoch of the last batch dispatched.
    leader_epoch: i32,
    high_watermark: i64,
    /// The record handed to the handler last and not yet answered.
    in_work: Option<i64>,
    /// Records handed out by a stream and neither acknowledged nor dropped.
    handed_out: usize,
    /// Failures by offset, from the committable offset on.
    attempts: BTreeMap<i64, u32>,
    /// Records to be passed over, from the committable offset on.
    skipped: BTreeSet<i64>,
    /// One past the highest offset ever handed to a handler here.
    seen: i64,
    /// What the broker has stored as the group's offset, as far as we know.
    committed: Option<i64>,
}

/// What a fetcher asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchFrom {
    pub(crate) offset: i64,
    pub(crate) incarnation: u64,
}

/// What a handler is told about a record before it gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dispatch {
    /// Hand it over; this is the given attempt, and whether a handler here has seen it before.
    Go { attempt: u32, again: bool },
    /// It was dispatched before, or lies before the start.
    Skip,
    /// Nothing is dispatched any more.
    Stop,
}

/// A handler's failure, as the supervisor needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    pub(crate) offset: Option<i64>,
    pub(crate) attempts: u32,
    pub(crate) resumes_at: i64,
}

/// How far a partition is, for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The next offset to hand to the handler.
    pub position: i64,
    /// All below it is acknowledged.
    pub acknowledged: i64,
    /// What the broker has stored as the group's offset, if this member knows.
    pub committed: Option<i64>,
    /// The end of the partition when it was last fetched; -1 before the first fetch.
    pub high_watermark: i64,
}

impl Flow {
    /// What is acknowledged for good needs no account of its failures.
    fn forget_settled(&mut self) {
        let committable = self.tracker.committable();
        if !self.attempts.is_empty() {
            self.attempts = self.attempts.split_off(&committable);
        }
        if !self.skipped.is_empty() {
            self.skipped = self.skipped.split_off(&committable);
        }
    }
}

impl Cell {
    /// A partition that begins at `offset` with intake closed.
    pub(crate) fn new(
        partition: TopicPartition,
        group_id: Arc<str>,
        member_id: String,
        generation: i32,
        offset: i64,
        seen: i64,
        committed: Option<i64>,
    ) -> Self {
        Self {
            partition,
            group_id,
            member_id,
            generation,
            released: CancellationToken::new(),
            changed: Notify::new(),
            flow: Mutex::new(Flow {
                intake: Intake::Closed,
                incarnation: 0,
                handler: None,
                tracker: OffsetTracker::new(offset),
                fetch_position: offset,
                leader_epoch: -1,
                high_watermark: -1,
                in_work: None,
                handed_out: 0,
                attempts: BTreeMap::new(),
                skipped: BTreeSet::new(),
                seen,
                committed,
            }),
        }
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        // Nothing in here can panic half way.
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_owner(&self) -> bool {
        !self.released.is_cancelled()
    }

    // For the supervisor.

    /// A handler takes over at the lowest unacknowledged offset. Returns its incarnation and that offset.
    pub(crate) fn open(&self, handler: Addr<HandlerMsg>) -> (u64, i64) {
        let mut flow = self.flow();
        flow.handler = Some(handler);
        flow.intake = Intake::Open;
        (flow.incarnation, flow.tracker.committable())
    }

    /// The incarnation that the next handler will be.
    pub(crate) fn incarnation(&self) -> u64 {
        self.flow().incarnation
    }

    /// The handler failed: what it had in hand beyond the acknowledged prefix comes again. Records fetched for it are
    /// void.
    pub(crate) fn crash(&self) -> Crash {
        let mut flow = self.flow();
        flow.incarnation += 1;
        flow.handler = None;
        flow.intake = match flow.intake {
            Intake::Open | Intake::Closed => Intake::Closed,
            kept @ (Intake::Draining | Intake::Released) => kept,
        };
        flow.tracker.rewind();
        flow.fetch_position = flow.tracker.position();
        flow.handed_out = 0;
        let offset = flow.in_work.take();
        let attempts = match offset {
            Some(offset) => {
                let attempts = flow.attempts.entry(offset).or_default();
                *attempts += 1;
                *attempts
            }
            None => 0,
        };
        let resumes_at = flow.tracker.committable();
        drop(flow);
        self.changed.notify_waiters();
        Crash {
            offset,
            attempts,
            resumes_at,
        }
    }

    /// Passes over a record: its attempts are used up. Records before it that are not acknowledged come again first, and
    /// it is acknowledged when its turn comes.
    pub(crate) fn skip(&self, offset: i64) {
        let mut flow = self.flow();
        if flow.tracker.position() == offset {
            flow.tracker.skip_to(offset + 1);
            flow.fetch_position = flow.tracker.position();
        } else {
            flow.skipped.insert(offset);
        }
        flow.attempts.remove(&offset);
    }

    pub(crate) fn set_intake(&self, intake: Intake) {
        {
            let mut flow = self.flow();
            if flow.intake == Intake::Released {
                return;
            }
            flow.intake = intake;
        }
        if intake == Intake::Released {
            self.released.cancel();
        }
        self.changed.notify_waiters();
    }

    /// The handler in place.
    pub(crate) fn handler(&self) -> Option<Addr<HandlerMsg>> {
        self.flow().handler.clone()
    }

    pub(crate) fn intake(&self) -> Intake {
        self.flow().intake
    }

    /// Begins at another offset: the one it stood at is not in the log.
    pub(crate) fn reset_to(&self, offset: i64) {
        let mut flow = self.flow();
        if offset < flow.tracker.position() {
            flow.incarnation += 1;
            flow.tracker = OffsetTracker::new(offset);
            flow.attempts.clear();
            flow.skipped.clear();
            flow.committed = None;
            flow.seen = offset;
        }
        flow.fetch_position = offset;
    }

    // For the fetcher.

    pub(crate) fn fetch_from(&self) -> Option<FetchFrom> {
        let flow = self.flow();
        (flow.intake == Intake::Open).then_some(FetchFrom {
            offset: flow.fetch_position,
            incarnation: flow.incarnation,
        })
    }

    pub(crate) fn eligibility(&self, credit: bool) -> Eligibility {
        match self.intake() {
            Intake::Open if credit => Eligibility::Ready,
            Intake::Open => Eligibility::NoCredit,
            Intake::Closed | Intake::Draining | Intake::Released => Eligibility::Idle,
        }
    }

    /// Records fetched `from` reach to `next`. Returns the handler to give them to; `None` if they are stale.
    pub(crate) fn fetched(
        &self,
        from: FetchFrom,
        next: i64,
        high_watermark: i64,
    ) -> Option<Addr<HandlerMsg>> {
        let mut flow = self.flow();
        if flow.intake != Intake::Open
            || flow.incarnation != from.incarnation
            || flow.fetch_position != from.offset
        {
            return None;
        }
        flow.high_watermark = high_watermark;
        flow.fetch_position = next;
        flow.handler.clone()
    }

    // For the handler.

    /// May `offset` be handed over?
    pub(crate) fn dispatch(&self, incarnation: u64, offset: i64) -> Dispatch {
        let mut flow = self.flow();
        if flow.intake != Intake::Open || flow.incarnation != incarnation {
            return Dispatch::Stop;
        }
        if !flow.tracker.dispatch(offset) {
            return Dispatch::Skip;
        }
        if flow.skipped.contains(&offset) {
            flow.tracker.done(offset);
            return Dispatch::Skip;
        }
        flow.in_work = Some(offset);
        let attempt = flow.attempts.get(&offset).copied().unwrap_or(0) + 1;
        let again = offset < flow.seen;
        flow.seen = flow.seen.max(offset + 1);
        Dispatch::Go { attempt, again }
    }

    /// The handler returned; the record may still be unacknowledged.
    pub(crate) fn answered(&self, incarnation: u64) {
        let mut flow = self.flow();
        if flow.incarnation == incarnation {
            flow.in_work = None;
        }
    }

    /// The record is finished.
    pub(crate) fn done(&self, incarnation: u64, offset: i64) -> bool {
        let counted = {
            let mut flow = self.flow();
            let counts = flow.intake != Intake::Released && flow.incarnation == incarnation;
            let counted = counts && flow.tracker.done(offset);
            if counted {
                if flow.in_work == Some(offset) {
                    flow.in_work = None;
                }
                flow.forget_settled();
            }
            counted
        };
        if counted {
            self.changed.notify_waiters();
        }
        counted
    }

    /// Nothing below `next` is left to hand over.
    pub(crate) fn finished_chunk(&self, incarnation: u64, next: i64, leader_epoch: i32) {
        let mut flow = self.flow();
        if flow.incarnation == incarnation && flow.intake == Intake::Open {
            flow.tracker.skip_to(next);
            flow.leader_epoch = leader_epoch;
        }
    }

    /// Records dispatched and not acknowledged.
    pub(crate) fn pending(&self) -> usize {
        self.flow().tracker.pending()
    }

    /// A stream gave a record to the application. False if it must not any more.
    pub(crate) fn hand_out(&self, incarnation: u64) -> bool {
        let mut flow = self.flow();
        let may = flow.intake == Intake::Open && flow.incarnation == incarnation;
        flow.handed_out += usize::from(may);
        may
    }

    /// The application is done with a record of a stream, one way or the other.
    pub(crate) fn take_back(&self, incarnation: u64) {
        {
            let mut flow = self.flow();
            if flow.incarnation == incarnation {
                flow.handed_out = flow.handed_out.saturating_sub(1);
            }
        }
        self.changed.notify_waiters();
    }

    /// Ends when intake is not open any more.
    pub(crate) async fn left_open(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.intake() != Intake::Open {
                return;
            }
            changed.await;
        }
    }

    /// Records a stream has given out and not got back.
    pub(crate) fn handed_out(&self) -> usize {
        self.flow().handed_out
    }

    // For the committer and whoever asks.

    pub(crate) fn committable(&self) -> Committable {
        let flow = self.flow();
        Committable {
            offset: flow.tracker.committable(),
            leader_epoch: flow.leader_epoch,
        }
    }

    pub(crate) fn set_committed(&self, offset: i64) {
        self.flow().committed = Some(offset);
    }

    pub(crate) fn seen(&self) -> i64 {
        self.flow().seen
    }

    pub(crate) fn progress(&self) -> Progress {
        let flow = self.flow();
        Progress {
            position: flow.tracker.position(),
            acknowledged: flow.tracker.committable(),
            committed: flow.committed,
            high_watermark: flow.high_watermark,
        }
    }
}
