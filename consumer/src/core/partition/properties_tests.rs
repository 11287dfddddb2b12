//! The core of a partition between a broker, a handler, an application and a supervisor that do what they like, in any
//! order. Whatever that is: every record is handled at least once or named in a notice, nothing is committed beyond the
//! longest acknowledged prefix or a position that a reset chose, no two handlers live at a time, and all credit comes
//! back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

const SHARE: usize = 40;
const UNACKNOWLEDGED_MAX: usize = 4;

/// What happens next; numbers choose among what there is.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// The log grows by a batch of so many offsets, of which these bits are records.
    Append(i64, u8, Kind),
    /// Retention takes the oldest batches, but for so many.
    Retain(usize),
    /// The newest batches are gone, but for so many: another leader never had them.
    Lose(usize),
    /// The fetcher asks; the answer comes later.
    Ask,
    /// An answer arrives.
    Answer(usize),
    /// The next answer is a refusal: for good, or that the position is out of range.
    Refuse { for_good: bool },
    /// What waits to be worked on is lost.
    Drop,
    /// The handler goes on: takes fetched records, a batch, a record.
    Work,
    /// It finishes the record in its hands, or defers it.
    Finish { defer: bool },
    /// It fails; the supervisor allows a restart, or not.
    Fail { again: bool },
    /// The application acknowledges a deferred record.
    Acknowledge(usize),
    /// Something that was asked of the supervisor comes about.
    Happen { fails: bool },
    /// The application resumes it, if it is paused.
    Resume,
    /// The supervisor dies, its handlers with it, and begins anew.
    Orphan,
    /// A commit goes out; the last one before has landed.
    Commit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Control,
    Corrupt,
}

/// How it ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Everything heals and comes to rest.
    Rest,
    /// It is revoked: the record in work is finished, then it is released.
    Revoke,
    /// It is lost.
    Lose,
}

#[derive(Clone, Debug)]
struct Batch {
    first: i64,
    next: i64,
    records: Vec<i64>,
    kind: Kind,
}

#[derive(Debug)]
struct Chunk {
    from: FetchFrom,
    batches: VecDeque<Batch>,
    bytes: usize,
    taken: bool,
}

#[derive(Debug, Default)]
struct Hands {
    mailbox: VecDeque<Chunk>,
    /// The record in work and the incarnation of its chunk.
    record: Option<(u64, i64)>,
    /// It waits for room, of this incarnation.
    full: Option<u64>,
    asked_to_end: bool,
}

#[derive(Debug)]
enum Answer {
    Batches(Vec<Batch>),
    Refused(Refused),
}

#[derive(Debug)]
struct World {
    core: PartitionCore,
    latest: bool,
    log: VecDeque<Batch>,
    start: i64,
    end: i64,
    /// The end went back and the partition may stand beyond it: what came there now could not be told from what was.
    torn: bool,
    answers: Vec<(FetchFrom, Answer)>,
    handler: Option<Hands>,
    deferred: Vec<(u64, i64)>,
    in_flight: Option<i64>,
    /// Asked of the supervisor, and not come about.
    start_asked: bool,
    restart_asked: Option<u64>,
    reset_asked: Option<ResetTicket>,
    locate_asked: bool,
    /// Beyond the origin, what is accounted for: acknowledged, passed over with a notice, or jumped over by a reset with a notice.
    settled: BTreeSet<i64>,
    /// What a handler finished.
    handled: BTreeSet<i64>,
    /// Where the log of this position begins; what is before it is looked at and accounted for.
    origin: i64,
    /// Handed over, by incarnation.
    handed: BTreeMap<u64, BTreeSet<i64>>,
    refuse_next: Option<Refused>,
}

impl World {
    fn new(latest: bool, limits: Limits) -> Self {
        Self {
            core: PartitionCore::new(limits, 0),
            latest,
            log: VecDeque::new(),
            start: 0,
            end: 0,
            torn: false,
            answers: Vec::new(),
            handler: None,
            deferred: Vec::new(),
            in_flight: None,
            start_asked: false,
            restart_asked: None,
            reset_asked: None,
            locate_asked: true,
            settled: BTreeSet::new(),
            handled: BTreeSet::new(),
            origin: 0,
            handed: BTreeMap::new(),
            refuse_next: None,
        }
    }

    /// Those of the log that are not accounted for by the origin.
    fn records(&self) -> impl Iterator<Item = i64> {
        let later = self
            .log
            .iter()
            .rev()
            .take_while(|batch| batch.next > self.origin);
        let records = later.flat_map(|batch| batch.records.iter().copied());
        records.filter(|offset| *offset >= self.origin)
    }

    fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.core.step(input, &mut effects);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Locate => self.locate_asked = true,
                Effect::Start => {
                    assert!(self.handler.is_none(), "a second handler");
                    assert!(!self.start_asked, "two at once");
                    self.start_asked = true;
                }
                Effect::End => {
                    let hands = self.handler.as_mut().expect("a handler to end");
                    assert!(!std::mem::replace(&mut hands.asked_to_end, true));
                }
                Effect::RestartAfter(_) => self.restart_asked = Some(self.core.incarnation()),
                Effect::FindReset(ticket) => self.reset_asked = Some(ticket),
                Effect::Fetch | Effect::Commit => {}
                Effect::Tell(notice) => self.notice(notice),
            }
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Reset { from: None, to } => self.begin_at(to),
            Notice::Reset {
                from: Some(from),
                to,
            } if to >= from => {
                // Also what retention took meanwhile.
                self.settled.extend(from..to);
            }
            Notice::Reset { to, .. } => {
                self.begin_at(to);
                self.torn = false;
            }
            Notice::Skipped { offset } => {
                self.settled.insert(offset);
            }
            Notice::Unacknowledged { first, count } => {
                assert_eq!(Some(first), self.core.committable().map(|one| one.offset));
                assert_eq!(count, UNACKNOWLEDGED_MAX);
            }
            Notice::Started { .. } | Notice::Restarting { .. } | Notice::Paused { .. } => {}
        }
    }

    fn begin_at(&mut self, offset: i64) {
        self.origin = offset;
        self.settled.clear();
        self.handled.clear();
        self.in_flight = None;
    }

    fn play(&mut self, one: Move) {
        match one {
            Move::Append(length, bits, kind) => self.append(length, bits, kind),
            Move::Retain(count) => {
                while self.log.len() > count {
                    self.log.pop_front();
                }
                self.start = self.log.front().map_or(self.end, |batch| batch.first);
            }
            Move::Lose(count) => self.lose(count),
            Move::Ask => self.ask(),
            Move::Answer(which) => self.answer(which),
            Move::Refuse { for_good } => {
                self.refuse_next = Some(if for_good {
                    Refused::ForGood("not today".to_owned())
                } else {
                    Refused::OutOfRange
                });
            }
            Move::Drop => self.lose_mail(),
            Move::Work => self.work(),
            Move::Finish { defer } => self.finish(defer),
            Move::Fail { again } => self.fail(again),
            Move::Acknowledge(which) => self.acknowledge(which),
            Move::Happen { fails } => {
                self.happen(fails);
            }
            Move::Resume => self.step(Input::Resume),
            Move::Orphan => self.orphan(),
            Move::Commit => self.commit(),
        }
        self.check();
    }

    // The broker.

    fn append(&mut self, length: i64, bits: u8, kind: Kind) {
        let position = self.core.progress().map_or(0, |progress| progress.position);
        self.torn &= position > self.end || self.handler.is_some() || !self.answers.is_empty();
        if self.torn {
            return;
        }
        let first = self.end;
        self.end += length;
        let is_record = |offset: &i64| kind != Kind::Control && bits >> (offset - first) & 1 == 1;
        self.log.push_back(Batch {
            first,
            next: self.end,
            records: (first..self.end).filter(is_record).collect(),
            kind,
        });
    }

    fn lose(&mut self, count: usize) {
        self.log.truncate(count);
        let end = self.log.back().map_or(self.start, |batch| batch.next);
        self.torn |= end < self.end;
        self.end = end;
    }

    fn ask(&mut self) {
        if self.core.eligibility() != Eligibility::Ready || self.answers.len() > 1 {
            return;
        }
        let from = self.core.fetch_from().expect("it is ready");
        let answer = if let Some(refused) = self.refuse_next.take() {
            Answer::Refused(refused)
        } else if from.offset < self.start || from.offset > self.end {
            Answer::Refused(Refused::OutOfRange)
        } else {
            let behind = self.log.iter().filter(|batch| batch.next > from.offset);
            Answer::Batches(behind.take(2).cloned().collect())
        };
        self.answers.push((from, answer));
    }

    fn answer(&mut self, which: usize) {
        if self.answers.is_empty() {
            return;
        }
        let which = which % self.answers.len();
        match self.answers.remove(which) {
            (from, Answer::Refused(why)) => self.step(Input::Refused { from, why }),
            (from, Answer::Batches(batches)) => {
                let next = batches.last().map_or(from.offset, |batch| batch.next);
                let bytes = 7 * batches.len();
                if !self.core.fetched(from, next, self.end, bytes, SHARE) || bytes == 0 {
                    return;
                }
                let hands = self.handler.as_mut().expect("fetched for a handler");
                hands.mailbox.push_back(Chunk {
                    from,
                    batches: batches.into(),
                    bytes,
                    taken: false,
                });
            }
        }
    }

    // The handler.

    fn work(&mut self) {
        let Some(hands) = &mut self.handler else {
            return;
        };
        if hands.record.is_some() {
            return;
        }
        let mut effects = Vec::new();
        if let Some(incarnation) = hands.full {
            let room = self.core.answered(incarnation, &mut effects);
            if room != Room::Full {
                hands.full = None;
            }
            if room == Room::Stopped {
                self.drop_chunk();
            }
            self.perform(effects);
            return;
        }
        let Some(chunk) = hands.mailbox.front_mut() else {
            return;
        };
        let incarnation = chunk.from.incarnation;
        if !std::mem::replace(&mut chunk.taken, true) && !self.core.takes(chunk.from) {
            self.drop_chunk();
            return;
        }
        let Some(batch) = chunk.batches.front_mut() else {
            self.drop_chunk();
            return;
        };
        if batch.kind == Kind::Corrupt {
            self.drop_chunk();
            self.step(Input::Unreadable {
                incarnation,
                reason: "corrupt".to_owned(),
            });
            return;
        }
        if batch.records.is_empty() {
            let next = batch.next;
            chunk.batches.pop_front();
            self.core.passed(incarnation, next, Some(1));
            return;
        }
        let offset = batch.records.remove(0);
        match self.core.dispatch(incarnation, offset, Some(1)) {
            Dispatch::Stop => self.drop_chunk(),
            Dispatch::Skip => {}
            Dispatch::Go { .. } => {
                hands.record = Some((incarnation, offset));
                self.nothing_left_out(incarnation, offset);
            }
        }
    }

    /// Everything before a record that is handed over is accounted for or was handed over to the same handler.
    fn nothing_left_out(&mut self, incarnation: u64, offset: i64) {
        let handed = self.handed.entry(incarnation).or_default();
        assert!(handed.insert(offset), "{offset} twice");
        let handed = &self.handed[&incarnation];
        for one in self.records().filter(|one| *one < offset) {
            let known = handed.contains(&one) || self.settled.contains(&one);
            assert!(known, "{offset} was handed over and {one} was not");
        }
    }

    fn drop_chunk(&mut self) {
        let hands = self.handler.as_mut();
        if let Some(chunk) = hands.and_then(|hands| hands.mailbox.pop_front()) {
            self.core.give_back(chunk.bytes, SHARE);
        }
    }

    fn lose_mail(&mut self) {
        let Some(hands) = &mut self.handler else {
            return;
        };
        if hands.mailbox.back().is_some_and(|chunk| !chunk.taken)
            && let Some(chunk) = hands.mailbox.pop_back()
        {
            self.core.give_back(chunk.bytes, SHARE);
        }
    }

    fn finish(&mut self, defer: bool) {
        let Some(hands) = &mut self.handler else {
            return;
        };
        let Some((incarnation, offset)) = hands.record.take() else {
            return;
        };
        self.handled.insert(offset);
        if defer {
            // As a handler does that waits for room.
            hands.full = Some(incarnation);
            self.deferred.push((incarnation, offset));
            let mut effects = Vec::new();
            let room = self.core.answered(incarnation, &mut effects);
            if room == Room::Free {
                hands.full = None;
            }
            self.perform(effects);
        } else if self.core.done(incarnation, offset) {
            assert!(self.handled.contains(&offset));
            self.settled.insert(offset);
        }
    }

    fn acknowledge(&mut self, which: usize) {
        if self.deferred.is_empty() {
            return;
        }
        let which = which % self.deferred.len();
        let (incarnation, offset) = self.deferred.remove(which);
        if self.core.done(incarnation, offset) {
            assert!(self.handled.contains(&offset));
            self.settled.insert(offset);
        }
    }

    /// The handler is no more. Returns whether that was asked for.
    fn bury(&mut self) -> Option<bool> {
        let hands = self.handler.take()?;
        for chunk in hands.mailbox {
            self.core.give_back(chunk.bytes, SHARE);
        }
        Some(hands.asked_to_end)
    }

    fn fail(&mut self, again: bool) {
        match self.bury() {
            Some(true) => self.step(Input::Ended),
            Some(false) => self.failed(again),
            None => {}
        }
    }

    fn failed(&mut self, again: bool) {
        self.step(Input::Failed {
            error: "no".to_owned(),
            restart: again.then_some(Duration::ZERO),
        });
    }

    // The supervisor.

    /// One of the things that were asked of it comes about, or comes to nothing. False if nothing was asked.
    fn happen(&mut self, fails: bool) -> bool {
        let ends = self.handler.as_ref().is_some_and(|hands| {
            // A record in work is finished first.
            hands.asked_to_end && hands.record.is_none()
        });
        if ends {
            self.bury();
            self.step(Input::Ended);
        } else if std::mem::take(&mut self.start_asked) {
            if !self.core.wants_handler() {
                return true;
            }
            if fails {
                self.failed(true);
            } else {
                self.handler = Some(Hands::default());
                self.step(Input::Started);
            }
        } else if let Some(incarnation) = self.restart_asked.take() {
            self.step(Input::RestartDue { incarnation });
        } else if let Some(ticket) = self.reset_asked.take() {
            let to = if fails {
                Err("nobody knows".to_owned())
            } else {
                Ok(if self.latest { self.end } else { self.start })
            };
            self.step(Input::ResetFound { ticket, to });
        } else if std::mem::take(&mut self.locate_asked) {
            let start = if fails {
                Err("nobody knows".to_owned())
            } else {
                Ok(Start::Reset(if self.latest {
                    self.end
                } else {
                    self.start
                }))
            };
            self.step(Input::Located(start));
        } else {
            return false;
        }
        true
    }

    fn orphan(&mut self) {
        if self.core.progress().is_none() {
            // Not held yet: whoever begins anew asks from the start.
            return;
        }
        self.bury();
        (self.start_asked, self.restart_asked, self.reset_asked) = (false, None, None);
        self.step(Input::Orphaned {
            restart: Duration::ZERO,
        });
    }

    fn commit(&mut self) {
        if let Some(landed) = self.in_flight.take() {
            self.core.committed(landed);
        }
        self.in_flight = self.core.committable().map(|one| one.offset);
    }

    // What holds.

    fn check(&mut self) {
        let chunks = self.handler.iter().flat_map(|hands| &hands.mailbox);
        let held: usize = chunks.map(|chunk| chunk.bytes).sum();
        assert_eq!(self.core.held_bytes(), held, "credit");
        let Some(progress) = self.core.progress() else {
            return;
        };
        let acknowledged = progress.acknowledged;
        let covered = self.origin..acknowledged;
        for offset in self.records().filter(|one| covered.contains(one)) {
            assert!(
                self.settled.contains(&offset),
                "{acknowledged} could be committed, and {offset} is not accounted for"
            );
        }
        self.origin = self.origin.max(acknowledged);
        assert!(progress.position >= acknowledged);
        assert!(progress.committed.is_none_or(|one| one <= acknowledged));
        if !self.core.is_open() {
            assert_eq!(self.core.fetch_from(), None);
        }
    }

    /// Everything heals, and goes on until nothing is left to do.
    fn rest(&mut self) {
        for batch in &mut self.log {
            if batch.kind == Kind::Corrupt {
                batch.kind = Kind::Data;
            }
        }
        // What was fetched before is as it was.
        for _ in 0..10_000 {
            self.step(Input::Resume);
            while self.happen(false) {}
            self.refuse_next = None;
            self.play(Move::Ask);
            while !self.answers.is_empty() {
                self.play(Move::Answer(0));
            }
            self.play(Move::Work);
            self.play(Move::Finish { defer: false });
            self.play(Move::Acknowledge(0));
            let is_idle = self.handler.as_ref().is_some_and(|hands| {
                hands.mailbox.is_empty() && hands.record.is_none() && hands.full.is_none()
            });
            let progress = self.core.progress();
            let at_end = progress.is_some_and(|progress| progress.acknowledged == self.end);
            if is_idle && at_end && self.core.is_open() && self.deferred.is_empty() {
                break;
            }
        }
        let progress = self.core.progress().expect("it has begun");
        assert_eq!(
            progress.acknowledged, self.end,
            "it does not come to rest: {self:?}"
        );
        assert_eq!(self.core.held_bytes(), 0);
        // Each record below was acknowledged or named when that came to be, and who acknowledges has handled.
        assert_eq!(self.records().next(), None, "neither handled nor named");
    }

    fn give_up(&mut self, end: End) {
        if matches!(end, End::Revoke) {
            let waits = self.core.revoke();
            assert_eq!(
                waits,
                self.handler
                    .as_ref()
                    .is_some_and(|hands| !hands.asked_to_end)
            );
            self.finish(false);
            self.check();
        }
        self.core.release();
        let acknowledged = self.core.progress().map(|progress| progress.acknowledged);
        while !self.deferred.is_empty() {
            let (incarnation, offset) = self.deferred.remove(0);
            assert!(!self.core.done(incarnation, offset), "it is not ours");
        }
        self.answers.drain(..).for_each(drop);
        self.bury();
        assert_eq!(self.core.held_bytes(), 0);
        let after = self.core.progress().map(|progress| progress.acknowledged);
        assert_eq!(after, acknowledged);
    }
}

fn moves() -> impl Strategy<Value = Move> {
    let kind =
        prop_oneof![8 => Just(Kind::Data), 1 => Just(Kind::Control), 1 => Just(Kind::Corrupt)];
    prop_oneof![
        8 => (1..5i64, any::<u8>(), kind).prop_map(|(length, bits, kind)| Move::Append(length, bits, kind)),
        1 => (0..4usize).prop_map(Move::Retain),
        1 => (0..4usize).prop_map(Move::Lose),
        12 => Just(Move::Ask),
        12 => any::<usize>().prop_map(Move::Answer),
        3 => any::<bool>().prop_map(|for_good| Move::Refuse { for_good }),
        1 => Just(Move::Drop),
        30 => Just(Move::Work),
        14 => any::<bool>().prop_map(|defer| Move::Finish { defer }),
        2 => any::<bool>().prop_map(|again| Move::Fail { again }),
        6 => any::<usize>().prop_map(Move::Acknowledge),
        14 => prop::bool::weighted(0.1).prop_map(|fails| Move::Happen { fails }),
        2 => Just(Move::Resume),
        1 => Just(Move::Orphan),
        4 => Just(Move::Commit),
    ]
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![3 => Just(End::Rest), 1 => Just(End::Revoke), 1 => Just(End::Lose)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_record_is_accounted_for(
        latest in any::<bool>(),
        skips in any::<bool>(),
        moves in prop::collection::vec(moves(), 1..300),
        end in ends(),
    ) {
        let exhausted = if skips { Exhausted::Skip } else { Exhausted::Pause };
        let mut world = World::new(latest, Limits {
            attempts_max: 2,
            exhausted,
            unacknowledged_max: UNACKNOWLEDGED_MAX,
        });
        for one in moves {
            world.play(one);
        }
        match end {
            End::Rest => world.rest(),
            End::Revoke | End::Lose => world.give_up(end),
        }
    }
}
