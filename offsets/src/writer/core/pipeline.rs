//! Appends on their way to the engine: many in flight, results in order. Pure: no clock, no engine, no bytes.
//!
//! An append that fails makes the engine refuse those sent behind it, because they expected to land behind it. So after
//! a failure the pipeline sends nothing, hears out what is in flight, and then decides once for all of it: send again in
//! the same order, ask what became of the first, refuse, or end. An append settles exactly once, in order of submission.

use std::collections::VecDeque;
use std::time::Duration;

use super::{AppendNumber, Now};
use crate::log::{BatchId, End, LogError, Resolution};
use crate::writer::AppendError;

/// Appends of one writer without an answer, in flight or waiting. Beyond it they are refused. Connections bound them
/// well below; this is the last fence.
pub(crate) const PENDING_MAX: usize = 65_536;
/// How long an append may wait for its turn (Kafka's `offsets.commit.timeout.ms`). One in flight is waited for.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a full disk is left alone: appends are refused meanwhile, the next one after it is the probe.
pub(crate) const FULL_RETRY: Duration = Duration::from_secs(1);
/// Bounds of an engine's own `retry_after`.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// What the shell has to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<T> {
    /// Hand the append of this number to the engine.
    Send {
        number: AppendNumber,
        id: BatchId,
        expected: End,
    },
    /// Ask the engine what became of this append.
    Resolve { expected: End, id: BatchId },
    /// The append landed at `base_offset`: apply it, then answer it. Or it did not: answer why.
    Settle {
        number: AppendNumber,
        item: T,
        outcome: Result<i64, AppendError>,
    },
    /// The writer cannot go on: everything is settled, end it.
    End(Fatal),
}

/// Why a writer ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fatal {
    /// The engine said so.
    #[error(transparent)]
    Log(LogError),
    /// The engine answered out of order, or let an append land behind one that failed: nothing it says can be relied on.
    #[error("the engine contradicts itself")]
    Contradiction,
}

#[derive(Debug)]
struct Pending<T> {
    number: AppendNumber,
    item: T,
    records: u32,
    submitted: Now,
}

#[derive(Debug)]
struct Sent<T> {
    pending: Pending<T>,
    id: BatchId,
    expected: End,
}

impl<T> Sent<T> {
    fn end_after(&self) -> End {
        End {
            position: self.expected.position + 1,
            offset: self.expected.offset + i64::from(self.pending.records),
        }
    }
}

#[derive(Debug)]
enum Mode<T> {
    /// Appends go out as they come.
    Flowing,
    /// One failed; the answers to those behind it are heard out. In order, each with its error.
    Draining(VecDeque<(Sent<T>, LogError)>),
    /// The first one's outcome is asked for.
    Resolving(VecDeque<(Sent<T>, LogError)>),
    /// It will be asked for again.
    ResolveAt(Now, VecDeque<(Sent<T>, LogError)>),
    /// Nothing is sent until then; what comes waits.
    BackingOff(Now),
    /// No space: nothing is sent until then; what comes is refused.
    Full(Now),
    /// Over.
    Ended(AppendError),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Pipeline<T> {
    /// Where the next append goes.
    next: End,
    next_number: AppendNumber,
    in_flight_max: usize,
    /// Upper half of every batch id: fresh per writer, so that ids never repeat over restarts.
    id_prefix: u64,
    next_id: u64,
    in_flight: VecDeque<Sent<T>>,
    waiting: VecDeque<Pending<T>>,
    mode: Mode<T>,
}

impl<T> Pipeline<T> {
    pub(crate) fn new(end: End, in_flight_max: usize, id_prefix: u64) -> Self {
        Self {
            next: end,
            next_number: AppendNumber(1),
            in_flight_max: in_flight_max.max(1),
            id_prefix,
            next_id: 0,
            in_flight: VecDeque::new(),
            waiting: VecDeque::new(),
            mode: Mode::Flowing,
        }
    }

    /// Where the next append would land, were it sent now.
    pub(crate) fn next_end(&self) -> End {
        self.next
    }

    /// Whether nothing stands against sending.
    pub(crate) fn is_flowing(&self) -> bool {
        matches!(self.mode, Mode::Flowing)
    }

    /// The payload of an append that is not settled.
    pub(crate) fn item_mut(&mut self, number: AppendNumber) -> Option<&mut T> {
        // Asked for right after `Send`: the youngest in flight.
        self.in_flight
            .iter_mut()
            .rev()
            .find(|sent| sent.pending.number == number)
            .map(|sent| &mut sent.pending.item)
    }

    /// Takes an append of `records` topic records in, or gives it back with the reason it is refused at once.
    pub(crate) fn submit(
        &mut self,
        now: Now,
        item: T,
        records: u32,
        effects: &mut Vec<Effect<T>>,
    ) -> Result<AppendNumber, (T, AppendError)> {
        self.wake(now, effects);
        match &self.mode {
            Mode::Ended(error) => return Err((item, error.clone())),
            Mode::Full(_) => return Err((item, AppendError::Full)),
            _ if self.pending() >= PENDING_MAX => return Err((item, AppendError::Unavailable)),
            _ => {}
        }
        let number = self.next_number;
        self.next_number.0 += 1;
        self.waiting.push_back(Pending {
            number,
            item,
            records,
            submitted: now,
        });
        self.pump(effects);
        Ok(number)
    }

    /// The engine answered an append.
    pub(crate) fn landed(
        &mut self,
        now: Now,
        number: AppendNumber,
        result: Result<u64, LogError>,
        effects: &mut Vec<Effect<T>>,
    ) {
        if matches!(self.mode, Mode::Ended(_)) {
            // Settled already.
            return;
        }
        let Some(sent) = self.in_flight.pop_front() else {
            return self.end(Fatal::Contradiction, effects);
        };
        if sent.pending.number != number {
            self.in_flight.push_front(sent);
            return self.end(Fatal::Contradiction, effects);
        }
        match (&mut self.mode, result) {
            (Mode::Draining(_), Ok(_)) => {
                self.in_flight.push_front(sent);
                return self.end(Fatal::Contradiction, effects);
            }
            (Mode::Draining(failed), Err(error)) => failed.push_back((sent, error)),
            (_, Ok(position)) => {
                debug_assert_eq!(position, sent.expected.position, "landed elsewhere");
                let offset = sent.expected.offset;
                settle(sent.pending, Ok(offset), effects);
                self.pump(effects);
            }
            (_, Err(error)) => self.mode = Mode::Draining(VecDeque::from([(sent, error)])),
        }
        if self.in_flight.is_empty()
            && let Mode::Draining(failed) = std::mem::replace(&mut self.mode, Mode::Flowing)
        {
            self.decide(now, failed, effects);
        }
    }

    /// All answers are in; the first failure says what to do.
    fn decide(
        &mut self,
        now: Now,
        mut failed: VecDeque<(Sent<T>, LogError)>,
        effects: &mut Vec<Effect<T>>,
    ) {
        let Some((first, error)) = failed.front() else {
            return self.pump(effects);
        };
        self.next = first.expected;
        match error.clone() {
            LogError::TooLarge { max } => {
                if let Some((sent, _)) = failed.pop_front() {
                    settle(
                        sent.pending,
                        Err(AppendError::TooLarge { bytes_max: max }),
                        effects,
                    );
                }
                self.requeue(failed);
                self.pump(effects);
            }
            LogError::Full => {
                self.requeue(failed);
                for pending in self.waiting.drain(..) {
                    settle(pending, Err(AppendError::Full), effects);
                }
                self.mode = Mode::Full(now + FULL_RETRY);
            }
            LogError::Unavailable { retry_after } => {
                self.requeue(failed);
                self.mode = Mode::BackingOff(now + retry_after.clamp(RETRY_AFTER.0, RETRY_AFTER.1));
            }
            LogError::Unknown => {
                effects.push(Effect::Resolve {
                    expected: first.expected,
                    id: first.id,
                });
                self.mode = Mode::Resolving(failed);
            }
            fatal => {
                self.requeue(failed);
                self.end(Fatal::Log(fatal), effects);
            }
        }
    }

    /// The engine said what became of the first append whose outcome was unknown.
    pub(crate) fn resolved(
        &mut self,
        now: Now,
        result: Result<Resolution, LogError>,
        effects: &mut Vec<Effect<T>>,
    ) {
        let mut failed = match std::mem::replace(&mut self.mode, Mode::Flowing) {
            Mode::Resolving(failed) => failed,
            other => {
                self.mode = other;
                return;
            }
        };
        match result {
            Ok(Resolution::Applied) => {
                if let Some((first, _)) = failed.pop_front() {
                    self.next = first.end_after();
                    let offset = first.expected.offset;
                    settle(first.pending, Ok(offset), effects);
                }
                let next_is_unknown = matches!(failed.front(), Some((_, LogError::Unknown)));
                if next_is_unknown {
                    return self.decide(now, failed, effects);
                }
                // They were refused for standing behind an open question; it is answered.
                self.requeue(failed);
                self.pump(effects);
            }
            Ok(Resolution::NotApplied) => {
                // Nor can anything behind it have landed: it expected this one before it.
                self.requeue(failed);
                self.pump(effects);
            }
            Err(LogError::Unknown) => self.mode = Mode::ResolveAt(now + RETRY_AFTER.1, failed),
            Err(LogError::Unavailable { retry_after }) => {
                let wait = retry_after.clamp(RETRY_AFTER.0, RETRY_AFTER.1);
                self.mode = Mode::ResolveAt(now + wait, failed);
            }
            Err(fatal) => {
                self.requeue(failed);
                self.end(Fatal::Log(fatal), effects);
            }
        }
    }

    /// Time has passed: sends again what may go, gives up what waited too long for a try.
    pub(crate) fn tick(&mut self, now: Now, effects: &mut Vec<Effect<T>>) {
        self.wake(now, effects);
        if !matches!(self.mode, Mode::BackingOff(_)) {
            // What waits behind appends in flight settles after them.
            return;
        }
        while let Some(oldest) = self.waiting.front()
            && now >= oldest.submitted + WAIT_MAX
            && let Some(pending) = self.waiting.pop_front()
        {
            settle(pending, Err(AppendError::Unavailable), effects);
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Now> {
        match &self.mode {
            Mode::BackingOff(until) => {
                let oldest = self
                    .waiting
                    .front()
                    .map(|oldest| oldest.submitted + WAIT_MAX);
                Some(oldest.map_or(*until, |oldest| oldest.min(*until)))
            }
            Mode::ResolveAt(until, _) => Some(*until),
            // A full disk is tried again by the next append, not by the clock.
            Mode::Full(_)
            | Mode::Flowing
            | Mode::Draining(_)
            | Mode::Resolving(_)
            | Mode::Ended(_) => None,
        }
    }

    /// Ends the waits that are over.
    fn wake(&mut self, now: Now, effects: &mut Vec<Effect<T>>) {
        match std::mem::replace(&mut self.mode, Mode::Flowing) {
            Mode::BackingOff(until) | Mode::Full(until) if until <= now => self.pump(effects),
            Mode::ResolveAt(until, failed) if until <= now => {
                if let Some((first, _)) = failed.front() {
                    effects.push(Effect::Resolve {
                        expected: first.expected,
                        id: first.id,
                    });
                }
                self.mode = Mode::Resolving(failed);
            }
            other => self.mode = other,
        }
    }

    /// Sends what waits, as far as the engine takes it.
    fn pump(&mut self, effects: &mut Vec<Effect<T>>) {
        if !matches!(self.mode, Mode::Flowing) {
            return;
        }
        while self.in_flight.len() < self.in_flight_max
            && let Some(pending) = self.waiting.pop_front()
        {
            self.next_id += 1;
            let sent = Sent {
                id: BatchId(u128::from(self.id_prefix) << 64 | u128::from(self.next_id)),
                expected: self.next,
                pending,
            };
            effects.push(Effect::Send {
                number: sent.pending.number,
                id: sent.id,
                expected: sent.expected,
            });
            self.next = sent.end_after();
            self.in_flight.push_back(sent);
        }
    }

    /// Puts failed appends back before everything that waits, in their order.
    fn requeue(&mut self, failed: VecDeque<(Sent<T>, LogError)>) {
        for (sent, _) in failed.into_iter().rev() {
            self.waiting.push_front(sent.pending);
        }
    }

    /// Settles everything, in order, and goes out of service.
    fn end(&mut self, reason: Fatal, effects: &mut Vec<Effect<T>>) {
        let error = match &reason {
            Fatal::Log(LogError::Poisoned { reason }) => AppendError::Poisoned {
                reason: reason.clone(),
            },
            Fatal::Log(LogError::Closed) => AppendError::Unavailable,
            // Fenced, an end elsewhere, or an engine that contradicts itself: somebody else leads, or nobody knows.
            _ => AppendError::NotOurs,
        };
        let before = match std::mem::replace(&mut self.mode, Mode::Ended(error.clone())) {
            Mode::Draining(failed) | Mode::Resolving(failed) | Mode::ResolveAt(_, failed) => failed,
            Mode::Flowing | Mode::BackingOff(_) | Mode::Full(_) | Mode::Ended(_) => VecDeque::new(),
        };
        let before = before.into_iter().map(|(sent, _)| sent.pending);
        let in_flight = self.in_flight.drain(..).map(|sent| sent.pending);
        for pending in before.chain(in_flight).chain(self.waiting.drain(..)) {
            settle(pending, Err(error.clone()), effects);
        }
        effects.push(Effect::End(reason));
    }

    /// Appends that are not settled.
    pub(crate) fn pending(&self) -> usize {
        let heard = match &self.mode {
            Mode::Draining(failed) | Mode::Resolving(failed) | Mode::ResolveAt(_, failed) => {
                failed.len()
            }
            Mode::Flowing | Mode::BackingOff(_) | Mode::Full(_) | Mode::Ended(_) => 0,
        };
        heard + self.in_flight.len() + self.waiting.len()
    }
}

fn settle<T>(pending: Pending<T>, outcome: Result<i64, AppendError>, effects: &mut Vec<Effect<T>>) {
    effects.push(Effect::Settle {
        number: pending.number,
        item: pending.item,
        outcome,
    });
}
