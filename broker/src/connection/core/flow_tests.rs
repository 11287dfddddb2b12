//! When a connection reads, starts and ends, case by case and at random.

use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    requests: 4,
    request_bytes: 1_000,
    unsent_bytes: 500,
    response_bytes: 600,
    idle: Duration::from_secs(10),
    frame: Duration::from_secs(3),
};

/// What the shell does.
fn start(flow: &mut Flow<u32, u32>) -> Option<RequestNumber> {
    flow.next(|| false)?;
    flow.start().map(|(number, _)| number)
}

/// A flow of numbers, and the clock beside it.
struct Case {
    flow: Flow<u32, u32>,
    now: Instant,
}

impl Case {
    fn new() -> Self {
        let now = tokio::time::Instant::now().into_std();
        Self {
            flow: Flow::new(LIMITS, now),
            now,
        }
    }

    fn after(&mut self, seconds: u64) -> &mut Flow<u32, u32> {
        self.now += Duration::from_secs(seconds);
        &mut self.flow
    }

    /// A frame of 10 bytes that is whole and started.
    fn started(&mut self) -> RequestNumber {
        self.flow.read(10, false, true, self.now);
        self.flow.arrived(0, self.now);
        start(&mut self.flow).unwrap()
    }

    /// The answer of so many bytes of the request in front.
    fn answered(&mut self, number: RequestNumber, bytes: usize) {
        assert!(self.flow.answer(number, 0));
        assert!(self.flow.leave().is_some());
        self.flow.left(10, bytes, bytes, self.now);
    }

    fn at(&self, seconds: u64) -> Due {
        self.flow.due(self.now + Duration::from_secs(seconds))
    }

    fn closes_after(&self, seconds: u64, late: Late) {
        assert!(matches!(self.at(seconds - 1), Due::At(_)));
        assert_eq!(self.at(seconds), Due::Close(late));
    }
}

#[test]
fn who_does_nothing_is_idle_and_who_waits_for_an_answer_is_not() {
    let mut case = Case::new();
    case.closes_after(10, Late::Idle);
    let number = case.started();
    assert!(matches!(case.at(1_000), Due::At(_)));
    case.after(1_000);
    case.answered(number, 0);
    case.closes_after(10, Late::Idle);
}

#[test]
fn answers_that_nobody_takes_are_idleness_whatever_is_in_work() {
    let mut case = Case::new();
    let (first, _second) = (case.started(), case.started());
    case.after(100);
    case.answered(first, 20);
    case.closes_after(10, Late::Idle);
    case.after(9);
    case.flow.written(1, 1, case.now);
    case.closes_after(10, Late::Idle);
}

#[test]
fn what_is_owed_does_not_keep_a_connection_that_is_to_close() {
    let mut case = Case::new();
    let (first, second, _owed) = (case.started(), case.started(), case.started());
    case.answered(first, 300);
    // The second's answer is that it closes.
    assert!(case.flow.answer(second, 1));
    case.flow.leave().unwrap();
    case.flow.close(case.now);
    case.flow.left(10, 0, 0, case.now);
    assert!(!case.flow.is_done() && !case.flow.may_read());
    case.closes_after(10, Late::Idle);
    case.flow.written(300, 300, case.now);
    assert!(case.flow.is_done());
}

#[test]
fn a_peer_that_has_ended_is_waited_for_no_longer_than_one_that_is_idle() {
    let mut case = Case::new();
    let join = case.started();
    case.flow.raise(join, Follow::Barrier);
    case.flow.arrived(1, case.now);
    case.flow.ended(case.now);
    // What has arrived would still run.
    assert!(!case.flow.is_done() && start(&mut case.flow).is_none());
    case.closes_after(10, Late::Idle);
    case.answered(join, 0);
    assert!(start(&mut case.flow).is_some() && case.flow.is_done());
}

#[test]
fn a_stop_waits_for_what_has_started_and_forgets_the_rest() {
    let mut case = Case::new();
    let join = case.started();
    case.flow.raise(join, Follow::Barrier);
    case.flow.arrived(1, case.now);
    case.after(100);
    case.flow.stop(case.now);
    assert!(!case.flow.is_done());
    case.closes_after(10, Late::Idle);
    case.answered(join, 5);
    assert!(!case.flow.is_done() && start(&mut case.flow).is_none());
    case.flow.written(5, 5, case.now);
    assert!(case.flow.is_done());
}

#[test]
fn a_frame_that_does_not_go_on_closes_and_one_that_does_goes_on() {
    let mut case = Case::new();
    case.flow.read(5, true, true, case.now);
    case.closes_after(3, Late::Frame);
    case.after(2);
    case.flow.read(1, true, true, case.now);
    case.closes_after(3, Late::Frame);
    case.after(2);
    case.flow.read(1, false, true, case.now);
    case.closes_after(10, Late::Idle);
}

#[test]
fn time_in_which_we_do_not_read_is_not_the_peers() {
    let mut case = Case::new();
    case.flow.read(5, true, false, case.now);
    assert!(!case.flow.may_read());
    assert!(matches!(case.at(5), Due::At(_)), "it has no room");
    case.after(100);
    case.flow.granted(case.now);
    case.closes_after(3, Late::Frame);
}

#[test]
fn nothing_is_read_beyond_the_bounds_but_a_lone_frame_may_be_completed() {
    let mut case = Case::new();
    case.flow.read(2_000, true, true, case.now);
    assert!(case.flow.may_read(), "nobody else could complete it");
    case.flow.arrived(0, case.now);
    assert!(!case.flow.may_read());
    let number = start(&mut case.flow).unwrap();
    case.flow.answer(number, 0);
    case.flow.leave().unwrap();
    case.flow.left(2_000, 500, 500, case.now);
    assert!(!case.flow.may_read(), "answers wait");
    case.flow.written(1, 1, case.now);
    assert!(case.flow.may_read());
    (0..4).for_each(|frame| case.flow.arrived(frame, case.now));
    assert!(!case.flow.may_read() && !case.flow.may_take());
}

#[test]
fn nothing_starts_behind_answers_that_are_not_taken_or_not_known() {
    let mut case = Case::new();
    let (first, second) = (case.started(), case.started());
    (0..2).for_each(|frame| case.flow.arrived(frame, case.now));
    case.answered(first, 600);
    assert!(case.flow.next(|| false).is_some(), "it is not beyond");
    assert!(case.flow.next(|| true).is_none(), "others have no room");
    assert_eq!(case.flow.response_bytes_left(), 0);
    case.answered(second, 1);
    assert!(case.flow.is_behind() && case.flow.next(|| false).is_none());
    case.flow.written(601, 601, case.now);
    let large = start(&mut case.flow).unwrap();
    case.flow.promise(large);
    assert!(case.flow.is_behind() && case.flow.next(|| false).is_none());
    assert!(
        matches!(case.at(1_000), Due::At(_)),
        "that is the broker's work"
    );
    case.answered(large, 20);
    assert!(!case.flow.is_behind() && start(&mut case.flow).is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Read {
        bytes: usize,
        begun: bool,
        room: bool,
    },
    Granted,
    Arrive,
    Start {
        barrier: bool,
        large: bool,
    },
    Answer {
        which: usize,
        bytes: usize,
        closes: bool,
    },
    Write(usize),
    End,
    Stop,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..400_usize, any::<bool>(), any::<bool>())
            .prop_map(|(bytes, begun, room)| Step::Read { bytes, begun, room }),
        2 => Just(Step::Granted),
        4 => Just(Step::Arrive),
        4 => (any::<bool>(), any::<bool>()).prop_map(|(barrier, large)| Step::Start { barrier, large }),
        4 => (any::<usize>(), 0..400_usize, prop::bool::weighted(0.1))
            .prop_map(|(which, bytes, closes)| Step::Answer { which, bytes, closes }),
        3 => (1..400_usize).prop_map(Step::Write),
        1 => Just(Step::End),
        1 => Just(Step::Stop),
        2 => (1..9_u64).prop_map(Step::Wait),
    ]
}

/// The world around a flow: what it may do is done to it, nothing else.
struct World {
    case: Case,
    open: Vec<RequestNumber>,
    unsent: usize,
    starving: bool,
    /// The peer's last progress, or when it was decided that it is to close.
    last: Instant,
    to_close: bool,
}

impl World {
    fn decided(&mut self) {
        self.to_close = true;
        self.last = self.case.now;
    }

    fn step(&mut self, step: Step) {
        let now = self.case.now;
        let flow = &mut self.case.flow;
        match step {
            Step::Read { bytes, begun, room } if flow.may_read() => {
                flow.read(bytes, begun, room, now);
                self.starving = !room;
                self.last = now;
            }
            Step::Granted if self.starving => {
                flow.granted(now);
                self.starving = false;
            }
            Step::Arrive if flow.may_take() => flow.arrived(0, now),
            Step::Start { barrier, large } => {
                if let Some(number) = start(flow) {
                    self.open.push(number);
                    if large {
                        flow.promise(number);
                    }
                    let follow = if barrier {
                        Follow::Barrier
                    } else {
                        Follow::AtOnce
                    };
                    flow.raise(number, follow);
                }
            }
            Step::Answer {
                which,
                bytes,
                closes,
            } if !self.open.is_empty() => {
                let number = self.open.remove(which % self.open.len());
                flow.answer(number, if closes { u32::MAX } else { bytes as u32 });
                let mut closed = false;
                while let Some(answer) = flow.leave() {
                    closed |= answer == u32::MAX;
                    if answer == u32::MAX {
                        flow.close(now);
                        flow.left(10, 0, 0, now);
                    } else {
                        flow.left(10, answer as usize, answer as usize, now);
                        self.unsent += answer as usize;
                    }
                }
                if closed {
                    self.decided();
                }
            }
            Step::Write(bytes) if self.unsent > 0 => {
                let bytes = bytes.min(self.unsent);
                flow.written(bytes, bytes, now);
                self.unsent -= bytes;
                self.last = now;
            }
            Step::End if flow.is_open() => {
                flow.ended(now);
                self.decided();
            }
            Step::Stop if flow.may_stop() => {
                flow.stop(now);
                self.decided();
            }
            Step::Wait(seconds) => self.case.now += Duration::from_secs(seconds),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn no_state_is_for_ever(steps in prop::collection::vec(step(), 0..120)) {
        let case = Case::new();
        let last = case.now;
        let mut world = World { case, open: Vec::new(), unsent: 0, starving: false, last, to_close: false };
        for step in steps {
            world.step(step);
            let (flow, now) = (&mut world.case.flow, world.case.now);
            if flow.is_done() {
                return Ok(());
            }
            if world.to_close {
                // Whatever it owes and is owed.
                let late = flow.due(world.last + LIMITS.idle);
                prop_assert!(matches!(late, Due::Close(_)), "{late:?}");
                prop_assert!(!flow.may_read());
            } else {
                // Somebody can always do something: the peer, the broker, or the clock.
                let peer = flow.may_read() || world.unsent > 0;
                let started = start(flow);
                world.open.extend(started);
                let starts = started.is_some();
                let broker = world.starving || !world.open.is_empty() || flow.may_take() || starts;
                prop_assert!(peer || broker, "{flow:?}");
                let idle = now + LIMITS.idle.max(LIMITS.frame);
                match flow.due(now) {
                    Due::At(at) => prop_assert!(now < at && at <= idle),
                    Due::Close(_) => return Ok(()),
                }
            }
        }
    }
}
