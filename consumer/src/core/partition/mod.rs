//! One assigned partition, from assignment to release, as decisions: what is fetched, handed to a handler, acknowledged
//! and committed, when a handler starts or ends, and what becomes of the partition when something fails. Owned by its
//! cell (`partition.rs`); the actors around it carry out effects and decide nothing of this.
//!
//! Rules that hold whatever happens:
//! * Records are handed over in the order of the log, without a gap: fetched records that do not begin where the last
//!   ones ended are void. What cannot be read closes intake here first, before anybody hears of it.
//! * What a broker says about a position that is ahead of the handler is stale while records before it are in hand. They
//!   are handled, and then the position is asked for again.
//! * What may be committed lies at the end of the longest acknowledged prefix, or at a position that
//!   `auto.offset.reset` chose.
//! * A handler is started only where no other one of this assignment is alive.
//! * Credit that was taken for fetched records is given back once, by whoever drops them.

mod effects;
mod flow;
#[cfg(test)]
mod properties_tests;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::commit::Committable;
use super::fetch_credit::Account;
use super::fetch_plan::Eligibility;
use crate::policy::Exhausted;
pub use effects::{
    Crash, Dispatch, Effect, FetchFrom, Input, Notice, PauseCause, Refused, ResetTicket, Room,
    Start,
};
use flow::Flow;

/// What an application's policy says about one partition.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How often one record may be tried.
    pub attempts_max: u32,
    /// What happens then.
    pub exhausted: Exhausted,
    /// Records that may be in work without being acknowledged.
    pub unacknowledged_max: usize,
}

/// Where a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Where it begins is being looked up.
    Locating,
    /// It wants a handler: one is being started, or the one before has not ended.
    Seating,
    /// Fetched, and handed to the handler that lives.
    Open,
    /// Its handler failed; the next one starts after a wait.
    Waiting,
    /// Nobody consumes it until it is resumed. Acknowledgements count.
    Paused(PauseCause),
    /// Given up: nothing new, the record in work is finished. Acknowledgements count.
    Draining,
    /// Not ours any more. Nothing counts.
    Released,
}

/// The handler of this assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handler {
    None,
    /// Asked for: it will have started, failed, or ended.
    Starting,
    Live,
    /// Asked to end.
    Ending,
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
    /// The end of the partition when it was last fetched; `None` before the first fetch.
    pub high_watermark: Option<i64>,
}

/// The decisions about one assigned partition.
#[derive(Debug)]
pub struct PartitionCore {
    limits: Limits,
    life: Life,
    handler: Handler,
    /// Counts how often its records began anew: with another handler, or at a lower position. What was fetched or handed
    /// out before is void.
    incarnation: u64,
    credit: Account,
    /// One past the highest offset that a handler of this consumer ever saw.
    seen: i64,
    /// Where it is in the log, once that is known.
    flow: Option<Flow>,
}

impl PartitionCore {
    /// A partition of which nobody knows yet where it begins. `seen` is one past the highest offset that handlers saw in
    /// earlier assignments.
    #[must_use]
    pub fn new(limits: Limits, seen: i64) -> Self {
        Self {
            limits,
            life: Life::Locating,
            handler: Handler::None,
            incarnation: 0,
            credit: Account::default(),
            seen,
            flow: None,
        }
    }

    /// Takes one input and says what to do about it.
    pub fn step(&mut self, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Located(start) => self.located(start, effects),
            Input::Started => self.started(effects),
            Input::Failed { error, restart } => self.failed(&error, restart, effects),
            Input::Ended => self.ended(effects),
            Input::RestartDue { incarnation } => {
                if self.life == Life::Waiting && self.incarnation == incarnation {
                    self.seat(effects);
                }
            }
            Input::Refused { from, why } => self.refused(from, why, effects),
            Input::Unreadable {
                incarnation,
                reason,
            } => {
                if self.is_current(incarnation) {
                    self.unreadable(&reason, effects);
                }
            }
            Input::ResetFound { ticket, to } => self.reset_found(ticket, to, effects),
            Input::Resume => self.resume(effects),
            Input::Orphaned { restart } => self.orphaned(restart, effects),
        }
    }

    fn located(&mut self, start: Result<Start, String>, effects: &mut Vec<Effect>) {
        if self.life != Life::Locating {
            return;
        }
        match start {
            Ok(start) => {
                self.flow = Some(Flow::new(start));
                if let Start::Reset(to) = start {
                    effects.push(Effect::Tell(Notice::Reset { from: None, to }));
                    effects.push(Effect::Commit);
                }
                self.seat(effects);
            }
            Err(reason) => self.pause(PauseCause::Records, reason, effects),
        }
    }

    // The handler.

    /// Wants a handler, and asks for one unless another has to end first.
    fn seat(&mut self, effects: &mut Vec<Effect>) {
        self.life = Life::Seating;
        if self.handler == Handler::None {
            self.handler = Handler::Starting;
            effects.push(Effect::Start);
        }
    }

    fn started(&mut self, effects: &mut Vec<Effect>) {
        debug_assert_eq!(
            self.handler,
            Handler::Starting,
            "a handler nobody asked for"
        );
        match (self.life, &self.flow) {
            (Life::Seating, Some(flow)) => {
                self.handler = Handler::Live;
                self.life = Life::Open;
                effects.push(Effect::Tell(Notice::Started {
                    offset: flow.position(),
                }));
                effects.push(Effect::Fetch);
            }
            // Given up in the meantime.
            _ => {
                self.handler = Handler::Ending;
                effects.push(Effect::End);
            }
        }
    }

    fn failed(&mut self, error: &str, restart: Option<Duration>, effects: &mut Vec<Effect>) {
        self.handler = Handler::None;
        match self.life {
            Life::Open | Life::Seating => {}
            Life::Locating | Life::Waiting | Life::Paused(_) | Life::Draining | Life::Released => {
                self.begin_anew();
                return;
            }
        }
        let crash = self.begin_anew();
        let Crash { offset, attempts } = crash;
        if let Some(offset) = offset
            && attempts >= self.limits.attempts_max.max(1)
        {
            match self.limits.exhausted {
                Exhausted::Pause => {
                    let reason = format!("offset {offset} failed {attempts} times: {error}");
                    self.pause(PauseCause::Handler, reason, effects);
                    return;
                }
                Exhausted::Skip => {
                    if let Some(flow) = &mut self.flow {
                        flow.skip(offset);
                    }
                    effects.push(Effect::Tell(Notice::Skipped { offset }));
                }
            }
        }
        match (restart, &self.flow) {
            (Some(after), Some(flow)) => {
                self.life = Life::Waiting;
                effects.push(Effect::Tell(Notice::Restarting {
                    crash,
                    error: error.to_owned(),
                    after,
                    resumes_at: flow.position(),
                }));
                effects.push(Effect::RestartAfter(after));
            }
            _ => {
                let reason = format!("its handler failed too often, last with: {error}");
                self.pause(PauseCause::Handler, reason, effects);
            }
        }
    }

    fn ended(&mut self, effects: &mut Vec<Effect>) {
        self.handler = Handler::None;
        if self.life == Life::Seating {
            self.seat(effects);
        }
    }

    /// What was in hand beyond the acknowledged prefix comes again; what was fetched or handed out before is void.
    fn begin_anew(&mut self) -> Crash {
        self.incarnation += 1;
        match &mut self.flow {
            Some(flow) => flow.rewind(),
            None => Crash::default(),
        }
    }

    fn orphaned(&mut self, restart: Duration, effects: &mut Vec<Effect>) {
        // Handlers die with their supervisor.
        self.handler = Handler::None;
        match self.life {
            Life::Seating | Life::Open | Life::Waiting => {
                self.begin_anew();
                self.life = Life::Waiting;
                effects.push(Effect::RestartAfter(restart));
            }
            Life::Draining => {
                self.begin_anew();
            }
            Life::Locating | Life::Paused(_) | Life::Released => {}
        }
    }

    // What the broker says.

    fn refused(&mut self, from: FetchFrom, why: Refused, effects: &mut Vec<Effect>) {
        if !self.is_current(from.incarnation) {
            return;
        }
        let Some(flow) = &mut self.flow else { return };
        // The fetcher asks again after a wait, with what is in hand handled or not.
        let in_hand = self.credit.held_bytes() > 0 || flow.is_in_work();
        if !flow.awaits(from.offset) || in_hand {
            return;
        }
        match why {
            Refused::OutOfRange => {
                flow.begin_reset();
                effects.push(Effect::FindReset(ResetTicket {
                    incarnation: from.incarnation,
                    from: from.offset,
                }));
            }
            Refused::ForGood(reason) => self.pause(PauseCause::Records, reason, effects),
        }
    }

    fn reset_found(
        &mut self,
        ticket: ResetTicket,
        to: Result<i64, String>,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_current(ticket.incarnation) {
            return;
        }
        let Some(flow) = &mut self.flow else { return };
        if !flow.ends_reset(ticket.from) {
            return;
        }
        match to {
            Ok(to) => {
                if !flow.reset_to(to) {
                    // Below what was handed over: another log. What is in hand of the one before counts for nothing.
                    self.incarnation += 1;
                    self.seen = to;
                }
                effects.push(Effect::Tell(Notice::Reset {
                    from: Some(ticket.from),
                    to,
                }));
                effects.push(Effect::Commit);
                effects.push(Effect::Fetch);
            }
            Err(reason) => self.pause(PauseCause::Records, reason, effects),
        }
    }

    fn unreadable(&mut self, reason: &str, effects: &mut Vec<Effect>) {
        let Some(flow) = &mut self.flow else { return };
        let reason = format!("offset {}: {reason}", flow.position());
        self.pause(PauseCause::Records, reason, effects);
    }

    fn pause(&mut self, cause: PauseCause, reason: String, effects: &mut Vec<Effect>) {
        self.life = Life::Paused(cause);
        if self.handler == Handler::Live {
            self.handler = Handler::Ending;
            effects.push(Effect::End);
        }
        effects.push(Effect::Tell(Notice::Paused { cause, reason }));
    }

    fn resume(&mut self, effects: &mut Vec<Effect>) {
        if !matches!(self.life, Life::Paused(_)) {
            return;
        }
        if self.flow.is_some() {
            self.begin_anew();
            self.seat(effects);
        } else {
            self.life = Life::Locating;
            effects.push(Effect::Locate);
        }
    }

    // Giving it up.

    /// It is given up in order: intake closes. Returns whether a handler has to finish first.
    pub fn revoke(&mut self) -> bool {
        if self.life == Life::Released {
            return false;
        }
        self.life = Life::Draining;
        self.handler == Handler::Live
    }

    /// It is not ours any more.
    pub fn release(&mut self) {
        self.life = Life::Released;
    }

    // For the fetcher.

    /// Whether it can be fetched, and from where.
    #[must_use]
    pub fn fetch_from(&self) -> Option<FetchFrom> {
        let flow = self.flow.as_ref()?;
        (self.life == Life::Open && !flow.is_resetting()).then_some(FetchFrom {
            offset: flow.fetch_position(),
            incarnation: self.incarnation,
        })
    }

    /// Whether to ask for it now.
    #[must_use]
    pub fn eligibility(&self) -> Eligibility {
        match self.fetch_from() {
            Some(_) if self.credit.grants() => Eligibility::Ready,
            Some(_) => Eligibility::NoCredit,
            None => Eligibility::Idle,
        }
    }

    /// Records fetched `from` reach to `next`; their `bytes` are charged to an account that should hold no more than
    /// `share`. False if they are stale: then nothing is charged.
    pub fn fetched(
        &mut self,
        from: FetchFrom,
        next: i64,
        high_watermark: i64,
        bytes: usize,
        share: usize,
    ) -> bool {
        if !self.is_current(from.incarnation) {
            return false;
        }
        let Some(flow) = &mut self.flow else {
            return false;
        };
        if !flow.awaits(from.offset) {
            return false;
        }
        flow.fetched(next, high_watermark);
        if bytes > 0 {
            self.credit.charge(bytes, share);
        }
        true
    }

    /// Fetched records are dropped, worked off or not. Returns whether it may be fetched from now on and could not before.
    pub fn give_back(&mut self, bytes: usize, share: usize) -> bool {
        let resumes = self.credit.give_back(bytes, share);
        if self.credit.held_bytes() == 0
            && let Some(flow) = &mut self.flow
        {
            flow.fetch_again();
        }
        resumes
    }

    /// Bytes fetched and not dropped.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.credit.held_bytes()
    }

    // For the handler.

    /// May records fetched `from` be worked on? Only where the last ones ended: what is missing in between is fetched
    /// again.
    pub fn takes(&mut self, from: FetchFrom) -> bool {
        self.is_current(from.incarnation)
            && self
                .flow
                .as_mut()
                .is_some_and(|flow| flow.takes(from.offset))
    }

    /// May `offset`, of a batch of this leader epoch, be handed over?
    pub fn dispatch(
        &mut self,
        incarnation: u64,
        offset: i64,
        leader_epoch: Option<i32>,
    ) -> Dispatch {
        if !self.is_current(incarnation) {
            return Dispatch::Stop;
        }
        let Some(attempt) = self
            .flow
            .as_mut()
            .and_then(|flow| flow.dispatch(offset, leader_epoch))
        else {
            return Dispatch::Skip;
        };
        let again = offset < self.seen;
        self.seen = self.seen.max(offset + 1);
        Dispatch::Go { attempt, again }
    }

    /// Nothing below `next` is left to hand over: the batch, of this leader epoch, is at its end.
    pub fn passed(&mut self, incarnation: u64, next: i64, leader_epoch: Option<i32>) {
        if self.is_current(incarnation)
            && let Some(flow) = &mut self.flow
        {
            flow.passed(next, leader_epoch);
        }
    }

    /// The handler returned and has deferred the acknowledgement: may it get another record?
    pub fn answered(&mut self, incarnation: u64, effects: &mut Vec<Effect>) -> Room {
        if self.incarnation != incarnation {
            return Room::Stopped;
        }
        let Some(flow) = &mut self.flow else {
            return Room::Stopped;
        };
        flow.answered();
        if self.life != Life::Open {
            return Room::Stopped;
        }
        if flow.unacknowledged() < self.limits.unacknowledged_max.max(1) {
            return Room::Free;
        }
        effects.extend(flow.stands_full().map(Effect::Tell));
        Room::Full
    }

    /// The record is finished. Returns whether this counted.
    pub fn done(&mut self, incarnation: u64, offset: i64) -> bool {
        if self.life == Life::Released || self.incarnation != incarnation {
            return false;
        }
        let max = self.limits.unacknowledged_max.max(1);
        self.flow
            .as_mut()
            .is_some_and(|flow| flow.done(offset, max))
    }

    /// Records dispatched and not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.flow.as_ref().map_or(0, Flow::unacknowledged)
    }

    /// Whether it stands still for want of acknowledgements.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.life == Life::Open && self.flow.as_ref().is_some_and(Flow::is_full)
    }

    // For a stream.

    /// A stream gives a record to the application. False if it must not any more. What it has before records that cannot
    /// be read is good: their pause withholds only what is behind them.
    pub fn hand_out(&mut self, incarnation: u64) -> bool {
        let gives = matches!(self.life, Life::Open | Life::Paused(PauseCause::Records));
        let may = gives && self.incarnation == incarnation;
        if may && let Some(flow) = &mut self.flow {
            flow.hand_out();
        }
        may
    }

    /// The application is done with a record of a stream, one way or the other.
    pub fn take_back(&mut self, incarnation: u64) {
        if self.incarnation == incarnation
            && let Some(flow) = &mut self.flow
        {
            flow.take_back();
        }
    }

    /// Records a stream has given out and not got back.
    #[must_use]
    pub fn handed_out(&self) -> usize {
        self.flow.as_ref().map_or(0, Flow::handed_out)
    }

    // For the committer and whoever asks.

    /// Whether records of this incarnation are fetched and handed over.
    #[must_use]
    pub fn is_current(&self, incarnation: u64) -> bool {
        self.life == Life::Open && self.incarnation == incarnation
    }

    /// Whether records are fetched and handed over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.life == Life::Open
    }

    /// Whether it still wants the handler it asked for.
    #[must_use]
    pub fn wants_handler(&self) -> bool {
        self.life == Life::Seating && self.handler == Handler::Starting
    }

    /// Why it is paused, if it is.
    #[must_use]
    pub fn paused(&self) -> Option<PauseCause> {
        match self.life {
            Life::Paused(cause) => Some(cause),
            _ => None,
        }
    }

    /// See the field of the same name.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// One past the highest offset that a handler of this consumer ever saw.
    #[must_use]
    pub fn seen(&self) -> i64 {
        self.seen
    }

    /// What could be committed now.
    #[must_use]
    pub fn committable(&self) -> Option<Committable> {
        self.flow.as_ref().map(Flow::committable)
    }

    /// The broker has stored this offset for the group.
    pub fn committed(&mut self, offset: i64) {
        if let Some(flow) = &mut self.flow {
            flow.committed(offset);
        }
    }

    /// How far it is, once it is known where it begins.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.flow.as_ref().map(Flow::progress)
    }
}
