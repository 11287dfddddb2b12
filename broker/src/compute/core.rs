//! Whose turn it is, as a pure core: jobs of many lanes, a slice at a time. Owned by the pool's lock; runs no job and
//! knows no clock.
//!
//! * A lane is one after the other: its next job begins when the one before has ended.
//! * Lanes take turns: who has had a slice goes behind all others that want one. So a small job waits for one slice of
//!   every lane at most, whatever they have queued.
//! * What jobs hold between their slices is bounded: one that finds no room waits for it, in order. Small ones have a room
//!   of their own, and pass.

use std::collections::{HashMap, VecDeque};

/// Jobs that hold up to so many bytes are small.
const SMALL_BYTES: usize = 256 * 1024;
/// What small jobs may hold, as a share of what the others may.
const SMALL_SHARE: usize = 4;

/// One lane: jobs of one origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneId(pub(super) u64);

/// A job and its place.
#[derive(Debug)]
pub(super) struct Turn<J> {
    pub(super) job: J,
    lane: LaneId,
    /// Bytes it holds between its slices, once it has begun.
    memory: usize,
    begun: bool,
}

/// Jobs `J` of all lanes.
#[derive(Debug)]
pub(super) struct Queue<J> {
    /// Per lane with a job in `turns`, without room or taken: those behind it, with the bytes each will hold.
    lanes: HashMap<LaneId, VecDeque<(J, usize)>>,
    turns: VecDeque<Turn<J>>,
    small: Room<J>,
    large: Room<J>,
    jobs: usize,
}

/// Bytes for jobs of about one size.
#[derive(Debug)]
struct Room<J> {
    /// Held by those that have begun.
    used: usize,
    most: usize,
    /// They wait for it.
    roomless: VecDeque<Turn<J>>,
}

impl<J> Room<J> {
    fn new(most: usize) -> Self {
        Self {
            used: 0,
            most,
            roomless: VecDeque::new(),
        }
    }

    /// The job may begin, or it waits until it may.
    fn enter(&mut self, turn: Turn<J>) -> Option<Turn<J>> {
        if turn.memory == 0 || (self.roomless.is_empty() && self.fits(&turn)) {
            return Some(self.begin(turn));
        }
        self.roomless.push_back(turn);
        None
    }

    /// The job that has waited for longest, if there is room for it.
    fn waited(&mut self) -> Option<Turn<J>> {
        let first = self.roomless.pop_front()?;
        if self.fits(&first) {
            return Some(self.begin(first));
        }
        self.roomless.push_front(first);
        None
    }

    /// Whether who has waited for longest may begin.
    fn has_turn(&self) -> bool {
        self.roomless.front().is_some_and(|first| self.fits(first))
    }

    fn fits(&self, turn: &Turn<J>) -> bool {
        self.used == 0 || self.used.saturating_add(turn.memory) <= self.most
    }

    fn begin(&mut self, mut turn: Turn<J>) -> Turn<J> {
        self.used += turn.memory;
        turn.begun = true;
        turn
    }
}

impl<J> Queue<J> {
    /// At most `memory_max` bytes are held by jobs that wait for their next slice, but for a single one that holds more;
    /// and a quarter of that by small ones.
    pub(super) fn new(memory_max: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            small: Room::new(memory_max / SMALL_SHARE),
            large: Room::new(memory_max),
            jobs: 0,
        }
    }

    /// Jobs that have not ended.
    pub(super) fn jobs(&self) -> usize {
        self.jobs
    }

    /// Bytes that jobs which have begun hold between their slices.
    pub(super) fn memory(&self) -> usize {
        self.small.used + self.large.used
    }

    /// A job comes, behind all others of its lane.
    pub(super) fn push(&mut self, lane: LaneId, job: J, memory: usize) {
        self.jobs += 1;
        if let Some(behind) = self.lanes.get_mut(&lane) {
            behind.push_back((job, memory));
        } else {
            self.lanes.insert(lane, VecDeque::new());
            self.turns.push_back(Turn::new(lane, job, memory));
        }
    }

    /// The job whose turn it is. Give it back with [`back`](Self::back) or [`done`](Self::done).
    pub(super) fn take(&mut self) -> Option<Turn<J>> {
        if let Some(turn) = self.large.waited() {
            return Some(turn);
        }
        // Behind the turns there are: small ones come and go, and those would get none.
        while let Some(turn) = self.small.waited() {
            self.turns.push_back(turn);
        }
        while let Some(turn) = self.turns.pop_front() {
            if turn.begun {
                return Some(turn);
            }
            if let Some(turn) = self.room(turn.memory).enter(turn) {
                return Some(turn);
            }
        }
        None
    }

    /// Whether another thread may have something to do.
    pub(super) fn has_turn(&self) -> bool {
        !self.turns.is_empty() || self.small.has_turn() || self.large.has_turn()
    }

    /// It has had its slice and is not done.
    pub(super) fn back(&mut self, turn: Turn<J>) {
        self.turns.push_back(turn);
    }

    /// It is done; the next of its lane may begin. Gives the job back.
    pub(super) fn done(&mut self, turn: Turn<J>) -> J {
        self.room(turn.memory).used -= turn.memory;
        self.jobs -= 1;
        match self.lanes.get_mut(&turn.lane).and_then(VecDeque::pop_front) {
            Some((job, memory)) => self.turns.push_back(Turn::new(turn.lane, job, memory)),
            None => drop(self.lanes.remove(&turn.lane)),
        }
        turn.job
    }

    /// Gives all jobs back but those that are taken: they are given back on their own.
    pub(super) fn forget(&mut self) -> Vec<J> {
        let mut forgotten = Vec::new();
        let mut turns = std::mem::take(&mut self.turns);
        turns.append(&mut self.small.roomless);
        turns.append(&mut self.large.roomless);
        for turn in turns {
            if turn.begun {
                self.room(turn.memory).used -= turn.memory;
            }
            let behind = self.lanes.remove(&turn.lane).unwrap_or_default();
            forgotten.push(turn.job);
            forgotten.extend(behind.into_iter().map(|(job, _)| job));
        }
        // What is left is behind those that are taken.
        for behind in self.lanes.values_mut() {
            forgotten.extend(behind.drain(..).map(|(job, _)| job));
        }
        self.jobs -= forgotten.len();
        forgotten
    }

    /// What a job that holds so much takes of.
    fn room(&mut self, memory: usize) -> &mut Room<J> {
        if memory <= SMALL_BYTES {
            &mut self.small
        } else {
            &mut self.large
        }
    }
}

impl<J> Turn<J> {
    fn new(lane: LaneId, job: J, memory: usize) -> Self {
        Self {
            job,
            lane,
            memory,
            begun: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Which jobs get slices, in order, when each wants as many as its number of tens says.
    fn slices(queue: &mut Queue<&'static str>, count: usize) -> Vec<&'static str> {
        let slice = |_| {
            let turn = queue.take()?;
            let job = turn.job;
            queue.back(turn);
            Some(job)
        };
        (0..count).filter_map(slice).collect()
    }

    #[test]
    fn lanes_take_turns_and_a_lane_is_one_after_the_other() {
        let mut queue = Queue::new(0);
        queue.push(LaneId(1), "1a", 0);
        queue.push(LaneId(1), "1b", 0);
        queue.push(LaneId(2), "2a", 0);
        assert_eq!(slices(&mut queue, 4), ["1a", "2a", "1a", "2a"]);
        let first = queue.take().unwrap();
        assert_eq!(queue.done(first), "1a");
        queue.push(LaneId(3), "3a", 0);
        assert_eq!(slices(&mut queue, 4), ["2a", "1b", "3a", "2a"]);
        assert_eq!(queue.jobs(), 3);
    }

    #[test]
    fn what_has_begun_holds_its_memory_until_it_is_done() {
        let mut queue = Queue::new(2 * SMALL_BYTES);
        queue.push(LaneId(1), "1a", 2 * SMALL_BYTES);
        queue.push(LaneId(2), "2a", SMALL_BYTES + 1);
        assert_eq!(queue.memory(), 0);
        let first = queue.take().unwrap();
        assert!(queue.take().is_none(), "there is no room for another");
        assert_eq!(queue.memory(), 2 * SMALL_BYTES);
        queue.done(first);
        assert!(queue.take().is_some());
        assert_eq!(queue.memory(), SMALL_BYTES + 1);
    }

    #[test]
    fn a_lane_whose_job_is_taken_gives_nothing() {
        let mut queue = Queue::new(0);
        queue.push(LaneId(1), "1a", 0);
        queue.push(LaneId(1), "1b", 0);
        let taken = queue.take().unwrap();
        assert!(queue.take().is_none());
        queue.done(taken);
        assert_eq!(queue.take().unwrap().job, "1b");
    }

    #[test]
    fn who_finds_no_room_waits_and_small_ones_pass() {
        const LARGE: usize = 3 * SMALL_BYTES;
        let mut queue = Queue::new(2 * LARGE);
        for (lane, job) in [(1, "1"), (2, "2"), (3, "3"), (4, "4")] {
            queue.push(LaneId(lane), job, LARGE);
        }
        queue.push(LaneId(5), "small", SMALL_BYTES);
        // Two begin, two wait; the small one does not.
        assert_eq!(slices(&mut queue, 5), ["1", "2", "small", "1", "2"]);
        let small = queue.take().unwrap();
        assert_eq!(queue.done(small), "small");
        let first = queue.take().unwrap();
        assert_eq!(queue.done(first), "1");
        // Room for one: the one that waited longest, ahead of a turn that comes anyway.
        assert_eq!(slices(&mut queue, 3), ["3", "2", "3"]);
    }

    #[test]
    fn there_is_a_turn_when_somebody_may_begin() {
        let mut queue = Queue::new(4 * SMALL_BYTES);
        assert!(!queue.has_turn());
        queue.push(LaneId(1), "1", 4 * SMALL_BYTES);
        queue.push(LaneId(2), "2", 2 * SMALL_BYTES);
        queue.push(LaneId(3), "3", 2 * SMALL_BYTES);
        let first = queue.take().unwrap();
        assert!(queue.has_turn(), "nobody has looked for room yet");
        assert!(queue.take().is_none() && !queue.has_turn());
        queue.done(first);
        assert!(queue.take().is_some() && queue.has_turn());
        assert!(queue.take().is_some() && !queue.has_turn());
    }

    #[test]
    fn what_all_small_ones_hold_is_bounded_too() {
        let mut queue = Queue::new(SMALL_SHARE * 2 * SMALL_BYTES);
        for (lane, job) in [(1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5")] {
            queue.push(LaneId(lane), job, SMALL_BYTES);
        }
        queue.push(LaneId(6), "nothing", 0);
        assert_eq!(slices(&mut queue, 4), ["1", "2", "nothing", "1"]);
        let second = queue.take().unwrap();
        assert_eq!(queue.done(second), "2");
        // Who waited for room gets its turn behind those there are.
        assert_eq!(slices(&mut queue, 4), ["nothing", "1", "3", "nothing"]);
        assert_eq!(queue.small.used, 2 * SMALL_BYTES);
    }

    #[test]
    fn one_that_is_larger_than_all_the_room_gets_it_alone() {
        let mut queue = Queue::new(0);
        queue.push(LaneId(1), "1", usize::MAX / 2);
        queue.push(LaneId(2), "2", usize::MAX / 2);
        let first = queue.take().unwrap();
        assert!(queue.take().is_none());
        queue.done(first);
        assert_eq!(queue.take().unwrap().job, "2");
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push { lane: u64, memory: usize },
        Take,
        Back,
        Done,
        Forget,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let memory = prop_oneof![
            Just(0),
            Just(SMALL_BYTES),
            Just(3 * SMALL_BYTES),
            Just(9 * SMALL_BYTES)
        ];
        let act = prop_oneof![
            (0..4_u64, memory).prop_map(|(lane, memory)| Act::Push { lane, memory }),
            Just(Act::Take),
            Just(Act::Back),
            Just(Act::Done),
            // Seldom, or queues would always be short.
            (0..30_u8).prop_map(|n| if n == 0 { Act::Forget } else { Act::Take }),
        ];
        prop::collection::vec(act, 0..200)
    }

    proptest! {
        #[test]
        fn every_job_ends_in_the_order_of_its_lane(acts in acts()) {
            let mut queue = Queue::new(4 * SMALL_BYTES);
            let mut next = [0_u32; 4];
            let mut ended = [0_u32; 4];
            let mut forgotten = 0;
            let mut taken: VecDeque<Turn<(u64, u32)>> = VecDeque::new();
            let mut end = |job: (u64, u32)| {
                let lane = job.0 as usize;
                // Those of a lane that were forgotten are left out.
                assert!(job.1 >= ended[lane]);
                ended[lane] = job.1 + 1;
                1
            };
            let mut done = 0;
            for act in acts {
                match act {
                    Act::Push { lane, memory } => {
                        let number = &mut next[lane as usize];
                        queue.push(LaneId(lane), (lane, *number), memory);
                        *number += 1;
                    }
                    Act::Take => {
                        if let Some(turn) = queue.take() {
                            prop_assert!(taken.iter().all(|other| other.job.0 != turn.job.0));
                            taken.push_back(turn);
                        }
                    }
                    Act::Back => {
                        if let Some(turn) = taken.pop_front() {
                            queue.back(turn);
                        }
                    }
                    Act::Done => {
                        if let Some(turn) = taken.pop_front() {
                            done += end(queue.done(turn));
                        }
                    }
                    Act::Forget => {
                        forgotten += queue.forget().len() as u32;
                        prop_assert_eq!(queue.jobs(), taken.len());
                    }
                }
            }
            for turn in taken {
                done += end(queue.done(turn));
            }
            while let Some(turn) = queue.take() {
                done += end(queue.done(turn));
            }
            prop_assert_eq!(queue.jobs(), 0);
            prop_assert_eq!((queue.small.used, queue.large.used), (0, 0));
            prop_assert!(queue.lanes.is_empty());
            prop_assert_eq!(next.iter().sum::<u32>(), done + forgotten);
        }
    }
}
