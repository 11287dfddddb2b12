//! Which records of one partition are acknowledged, and so which offset may be committed. Owned by the partition's
//! progress, outside the handler that may crash. Never commits anything and never looks at a record.

use std::collections::VecDeque;

/// Dispatched records and their acknowledgements, in offset order.
///
/// The committable offset is the one after the longest acknowledged prefix; offsets that were never dispatched
/// (compacted away, control batches) do not hold it up. An acknowledgement of an offset that is not in work is ignored,
/// and a second one of the same offset too. Memory: 16 bytes per record in work.
#[derive(Clone, Debug)]
pub struct OffsetTracker {
    /// Everything below is acknowledged or was never dispatched.
    base: i64,
    /// One after the last offset dispatched or skipped.
    position: i64,
    /// In work or acknowledged out of order, ascending. The front is never acknowledged.
    window: VecDeque<Slot>,
    pending: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: i64,
    done: bool,
}

impl OffsetTracker {
    /// A tracker whose next record is `offset`.
    #[must_use]
    pub fn new(offset: i64) -> Self {
        Self {
            base: offset,
            position: offset,
            window: VecDeque::new(),
            pending: 0,
        }
    }

    /// A record goes to the application. Offsets must ascend; one below the position is refused.
    pub fn dispatch(&mut self, offset: i64) -> bool {
        if offset < self.position {
            return false;
        }
        if self.window.is_empty() {
            self.base = offset;
        }
        self.window.push_back(Slot {
            offset,
            done: false,
        });
        self.pending += 1;
        self.position = offset + 1;
        true
    }

    /// Nothing below `offset` remains to be dispatched: the tail of a batch held no records for us.
    pub fn skip_to(&mut self, offset: i64) {
        if offset > self.position {
            self.position = offset;
            self.settle();
        }
    }

    /// The application has finished with `offset`. Returns whether this changed anything.
    pub fn done(&mut self, offset: i64) -> bool {
        let Ok(at) = self
            .window
            .binary_search_by_key(&offset, |slot| slot.offset)
        else {
            return false;
        };
        let slot = &mut self.window[at];
        if slot.done {
            return false;
        }
        slot.done = true;
        self.pending -= 1;
        self.settle();
        true
    }

    /// Forgets what is in work beyond the acknowledged prefix: the handler died and dispatch begins again at
    /// [`committable`](Self::committable). Acknowledgements that came out of order are forgotten too, so their records
    /// come again.
    pub fn rewind(&mut self) {
        self.window.clear();
        self.pending = 0;
        self.position = self.base;
    }

    /// The offset to commit: all below it is acknowledged.
    #[must_use]
    pub fn committable(&self) -> i64 {
        self.base
    }

    /// The next offset to dispatch.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Records dispatched and not acknowledged.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    fn settle(&mut self) {
        while self.window.front().is_some_and(|slot| slot.done) {
            self.window.pop_front();
        }
        self.base = match self.window.front() {
            Some(slot) => slot.offset,
            None => self.position,
        };
        debug_assert!(self.base <= self.position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn completed_out_of_order_commits_only_the_prefix() {
        let mut tracker = OffsetTracker::new(3);
        for offset in [3, 4, 5] {
            assert!(tracker.dispatch(offset));
        }
        tracker.done(5);
        assert_eq!(tracker.committable(), 3);
        tracker.done(3);
        assert_eq!(tracker.committable(), 4);
        tracker.done(4);
        assert_eq!(tracker.committable(), 6);
        assert!(tracker.window.is_empty());
    }

    #[test]
    fn compacted_gaps_do_not_hold_the_commit() {
        let mut tracker = OffsetTracker::new(10);
        for offset in [10, 15, 16] {
            tracker.dispatch(offset);
        }
        for offset in [10, 15, 16] {
            tracker.done(offset);
        }
        assert_eq!(tracker.committable(), 17);
        tracker.skip_to(40);
        assert_eq!(tracker.committable(), 40);
    }

    #[test]
    fn a_skipped_tail_waits_for_what_is_in_work_before_it() {
        let mut tracker = OffsetTracker::new(0);
        tracker.dispatch(0);
        tracker.skip_to(9);
        assert_eq!((tracker.committable(), tracker.position()), (0, 9));
        tracker.done(0);
        assert_eq!(tracker.committable(), 9);
    }

    #[test]
    fn unknown_and_repeated_acknowledgements_change_nothing() {
        let mut tracker = OffsetTracker::new(0);
        tracker.dispatch(0);
        assert!(!tracker.done(7));
        assert!(tracker.done(0));
        assert!(!tracker.done(0));
        assert_eq!((tracker.committable(), tracker.pending()), (1, 0));
    }

    #[test]
    fn a_rewind_brings_back_everything_behind_the_prefix() {
        let mut tracker = OffsetTracker::new(0);
        for offset in 0..4 {
            tracker.dispatch(offset);
        }
        tracker.done(0);
        tracker.done(2);
        tracker.rewind();
        assert_eq!((tracker.committable(), tracker.position()), (1, 1));
        assert!(!tracker.done(3), "an old acknowledgement came through");
        assert!(tracker.dispatch(1));
    }

    /// Against the definition, written down naively: random dispatches with gaps and random acknowledgements.
    #[test]
    fn agrees_with_the_naive_definition() {
        let seed = std::env::var("CALLBOARD_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(rand::random::<u64>);
        println!("CALLBOARD_SEED={seed}");
        let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
        use rand::Rng;
        for _ in 0..200 {
            let start = random.random_range(0..1000);
            let mut tracker = OffsetTracker::new(start);
            let (mut position, mut in_work, mut pending) =
                (start, BTreeSet::new(), BTreeSet::new());
            for _ in 0..200 {
                match random.random_range(0..10) {
                    0..=4 => {
                        let offset = position + i64::from(random.random_range(0..3_u8) == 0) * 5;
                        tracker.dispatch(offset);
                        in_work.insert(offset);
                        pending.insert(offset);
                        position = offset + 1;
                    }
                    5 => {
                        position += 2;
                        tracker.skip_to(position);
                    }
                    6 if random.random_range(0..20) == 0 => {
                        position = pending.first().copied().unwrap_or(position);
                        tracker.rewind();
                        in_work.retain(|offset| *offset < position);
                        pending.clear();
                    }
                    _ => {
                        let low = tracker.committable() - 3;
                        let offset = random.random_range(low..=position + 3);
                        let expected = pending.remove(&offset);
                        assert_eq!(tracker.done(offset), expected);
                    }
                }
                let expected = pending.first().copied().unwrap_or(position);
                assert_eq!(tracker.committable(), expected);
                assert_eq!(tracker.position(), position);
                assert_eq!(tracker.pending(), pending.len());
            }
        }
    }
}
