//! Where a partition is in its log: asked for, handed over, acknowledged, committed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::effects::{Crash, Notice, Start};
use super::{Committable, Progress};
use crate::core::offset_tracker::OffsetTracker;

/// A partition that stood still for want of acknowledgements counts as going on when it has this much of its bound or
/// less: one that works along its bound says so once.
const ROOM_PERCENT: usize = 80;

#[derive(Debug)]
pub(super) struct Flow {
    tracker: OffsetTracker,
    epochs: Epochs,
    /// The next offset to ask the broker for.
    fetch_position: i64,
    /// `auto.offset.reset` is asked where to go on; nothing is fetched until then.
    resetting: bool,
    high_watermark: Option<i64>,
    /// The record handed to the handler last and not yet answered.
    in_work: Option<i64>,
    /// Records handed out by a stream and neither acknowledged nor dropped.
    handed_out: usize,
    /// Failures by offset, from the committable offset on.
    attempts: BTreeMap<i64, u32>,
    /// Records to be passed over, from the committable offset on.
    skipped: BTreeSet<i64>,
    /// It was said that too many records are unacknowledged.
    full: bool,
    /// What the broker has stored as the group's offset, as far as we know.
    committed: Option<i64>,
}

impl Flow {
    pub(super) fn new(start: Start) -> Self {
        let (offset, leader_epoch, committed) = match start {
            Start::Committed {
                offset,
                leader_epoch,
            } => (offset, leader_epoch, Some(offset)),
            Start::Reset(offset) | Start::Assigned(offset) => (offset, None, None),
        };
        Self {
            tracker: OffsetTracker::new(offset),
            epochs: Epochs::new(leader_epoch),
            fetch_position: offset,
            resetting: false,
            high_watermark: None,
            in_work: None,
            handed_out: 0,
            attempts: BTreeMap::new(),
            skipped: BTreeSet::new(),
            full: false,
            committed,
        }
    }

    pub(super) fn position(&self) -> i64 {
        self.tracker.position()
    }

    pub(super) fn fetch_position(&self) -> i64 {
        self.fetch_position
    }

    /// Whether an answer to a fetch of `offset` is what it waits for.
    pub(super) fn awaits(&self, offset: i64) -> bool {
        self.fetch_position == offset && !self.resetting
    }

    pub(super) fn fetched(&mut self, next: i64, high_watermark: i64) {
        debug_assert!(next >= self.fetch_position);
        self.fetch_position = next;
        self.high_watermark = Some(high_watermark);
    }

    /// Whether a record is in a handler's hands.
    pub(super) fn is_in_work(&self) -> bool {
        self.in_work.is_some()
    }

    /// Nothing that was fetched is there any more: what was not handed over is fetched again.
    pub(super) fn fetch_again(&mut self) {
        self.fetch_position = self.tracker.position();
    }

    // Handing over.

    /// Whether records that begin at `offset` are next.
    pub(super) fn takes(&mut self, offset: i64) -> bool {
        let next = self.tracker.position() == offset;
        if !next {
            self.fetch_again();
        }
        next
    }

    /// Which attempt at `offset` this is; `None` if it is not to be handed over.
    pub(super) fn dispatch(&mut self, offset: i64, leader_epoch: Option<i32>) -> Option<u32> {
        if !self.tracker.dispatch(offset) {
            return None;
        }
        self.epochs.note(offset, leader_epoch);
        if self.skipped.contains(&offset) {
            self.tracker.done(offset);
            self.settle();
            return None;
        }
        self.in_work = Some(offset);
        Some(self.attempts.get(&offset).copied().unwrap_or(0) + 1)
    }

    pub(super) fn passed(&mut self, next: i64, leader_epoch: Option<i32>) {
        let position = self.tracker.position();
        if next > position {
            self.epochs.note(position, leader_epoch);
            self.tracker.skip_to(next);
            self.settle();
        }
    }

    /// The handler returned; the record may still be unacknowledged.
    pub(super) fn answered(&mut self) {
        self.in_work = None;
    }

    /// It stands still for want of acknowledgements: what to say about that, once.
    pub(super) fn stands_full(&mut self) -> Option<Notice> {
        let said = std::mem::replace(&mut self.full, true);
        (!said).then(|| Notice::Unacknowledged {
            first: self.tracker.committable(),
            count: self.tracker.pending(),
        })
    }

    pub(super) fn done(&mut self, offset: i64, max: usize) -> bool {
        let counted = self.tracker.done(offset);
        if counted {
            if self.in_work == Some(offset) {
                self.in_work = None;
            }
            self.full &= self.tracker.pending() > max.saturating_mul(ROOM_PERCENT) / 100;
            self.settle();
        }
        counted
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.tracker.pending()
    }

    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn hand_out(&mut self) {
        self.handed_out += 1;
    }

    pub(super) fn take_back(&mut self) {
        self.handed_out = self.handed_out.saturating_sub(1);
    }

    pub(super) fn handed_out(&self) -> usize {
        self.handed_out
    }

    /// What is acknowledged for good needs no account of its failures.
    fn settle(&mut self) {
        let committable = self.tracker.committable();
        self.epochs.settle(committable);
        if !self.attempts.is_empty() {
            self.attempts = self.attempts.split_off(&committable);
        }
        if !self.skipped.is_empty() {
            self.skipped = self.skipped.split_off(&committable);
        }
    }

    // Beginning elsewhere.

    /// Back to the end of the acknowledged prefix. Says what was in work, which has failed once more.
    pub(super) fn rewind(&mut self) -> Crash {
        self.begin_at_committable();
        let offset = self.in_work.take();
        let attempts = offset.map_or(0, |offset| {
            let attempts = self.attempts.entry(offset).or_default();
            *attempts = attempts.saturating_add(1);
            *attempts
        });
        Crash { offset, attempts }
    }

    fn begin_at_committable(&mut self) {
        self.tracker.rewind();
        self.epochs.rewind();
        self.fetch_position = self.tracker.position();
        self.resetting = false;
        self.handed_out = 0;
        self.full = false;
    }

    /// Passes over a record: its attempts are used up. Records before it that are not acknowledged come again first, and
    /// it is acknowledged when its turn comes.
    pub(super) fn skip(&mut self, offset: i64) {
        self.attempts.remove(&offset);
        if self.tracker.position() == offset {
            self.passed(offset + 1, None);
            self.fetch_position = self.tracker.position();
        } else {
            self.skipped.insert(offset);
        }
    }

    pub(super) fn begin_reset(&mut self) {
        self.resetting = true;
    }

    pub(super) fn is_resetting(&self) -> bool {
        self.resetting
    }

    /// Whether the answer to a reset from `offset` is waited for; it is not any more.
    pub(super) fn ends_reset(&mut self, offset: i64) -> bool {
        self.fetch_position == offset && std::mem::take(&mut self.resetting)
    }

    /// Goes on at `offset`. Ahead, what was handed over before stays to be acknowledged. Below what was handed over,
    /// everything begins anew: then it returns false.
    pub(super) fn reset_to(&mut self, offset: i64) -> bool {
        let ahead = offset >= self.tracker.position();
        if ahead {
            self.passed(offset, None);
            self.fetch_position = offset;
        } else {
            *self = Self::new(Start::Reset(offset));
        }
        ahead
    }

    // Committing.

    pub(super) fn committable(&self) -> Committable {
        Committable {
            offset: self.tracker.committable(),
            leader_epoch: self.epochs.before().unwrap_or(-1),
        }
    }

    /// One beyond what could be committed now was sent before a reset to below it, and says nothing about this log.
    pub(super) fn committed(&mut self, offset: i64) {
        if offset <= self.tracker.committable() {
            self.committed = Some(offset);
        }
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            position: self.tracker.position(),
            acknowledged: self.tracker.committable(),
            committed: self.committed,
            high_watermark: self.high_watermark,
        }
    }
}

/// Leader epochs of what was handed over, as far as it is not settled.
#[derive(Debug)]
struct Epochs {
    /// Of the last offset below the committable one.
    before: Option<i32>,
    /// From which offset on another one holds, ascending.
    later: VecDeque<(i64, Option<i32>)>,
}

impl Epochs {
    fn new(before: Option<i32>) -> Self {
        Self {
            before,
            later: VecDeque::new(),
        }
    }

    fn note(&mut self, offset: i64, epoch: Option<i32>) {
        let last = self.later.back().map_or(self.before, |(_, last)| *last);
        if last != epoch {
            self.later.push_back((offset, epoch));
        }
    }

    fn settle(&mut self, committable: i64) {
        while let Some((_, epoch)) = self.later.front().filter(|(from, _)| *from < committable) {
            self.before = *epoch;
            self.later.pop_front();
        }
    }

    fn rewind(&mut self) {
        self.later.clear();
    }

    fn before(&self) -> Option<i32> {
        self.before
    }
}
