//! The deadlines of all groups of one coordinator, in one queue. Moving a deadline back, which every heartbeat does,
//! touches the queue not at all: the old entry is looked at when its time comes and put where it belongs by then.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::classic::members::Seq;

/// Milliseconds on the shell's steady clock.
pub(super) type Millis = u64;

/// What a deadline is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TimerKind {
    /// A member's session, or a newcomer's patience.
    Member(Seq),
    /// An id that was given out and not used.
    Pending(Arc<str>),
    /// The join phase.
    Join,
    /// Members that never fetched their assignment.
    Sync,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) group_id: Arc<str>,
    pub(super) kind: TimerKind,
}

/// Place in the queue: time, then the order of arming.
pub(super) type Place = (Millis, u64);

/// One deadline. Whoever owns it clears it before dropping it; a forgotten place in the queue matches nothing.
#[derive(Debug, Default)]
pub(super) struct Timer {
    deadline: Option<Millis>,
    place: Option<Place>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeMap<Place, Due>,
    armed: u64,
}

impl Timers {
    /// The earliest time anything may have to be done. Nothing is due before it; at it, perhaps nothing either.
    pub(super) fn next(&self) -> Option<Millis> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is due first at `now`, if anything.
    pub(super) fn due(&self, now: Millis) -> Option<&Due> {
        let ((at, _), due) = self.queue.first_key_value()?;
        (*at <= now).then_some(due)
    }

    /// Takes what is due first out of the queue.
    pub(super) fn pop(&mut self, now: Millis) -> Option<(Place, Due)> {
        self.due(now)?;
        self.queue.pop_first()
    }

    /// Sets `timer` to go off at `deadline` and not before.
    pub(super) fn arm(&mut self, timer: &mut Timer, deadline: Millis, due: impl FnOnce() -> Due) {
        timer.deadline = Some(deadline);
        match timer.place {
            // Lazily: the entry that is there comes first and will be moved then.
            Some((at, _)) if at <= deadline => {}
            Some(place) => {
                if let Some(due) = self.queue.remove(&place) {
                    self.enqueue(timer, deadline, due);
                }
            }
            None => self.enqueue(timer, deadline, due()),
        }
    }

    fn enqueue(&mut self, timer: &mut Timer, deadline: Millis, due: Due) {
        self.armed += 1;
        let place = (deadline, self.armed);
        timer.place = Some(place);
        self.queue.insert(place, due);
    }

    /// `timer` never goes off.
    pub(super) fn clear(&mut self, timer: &mut Timer) {
        timer.deadline = None;
        if let Some(place) = timer.place.take() {
            self.queue.remove(&place);
        }
    }

    /// Whether `timer`, whose entry at `place` was popped, has really gone off. If its deadline has moved it is queued
    /// again; an entry that is not its own says nothing about it.
    pub(super) fn gone_off(
        &mut self,
        timer: &mut Timer,
        place: Place,
        now: Millis,
        due: Due,
    ) -> bool {
        if timer.place != Some(place) {
            return false;
        }
        timer.place = None;
        match timer.deadline {
            Some(deadline) if deadline > now => {
                self.enqueue(timer, deadline, due);
                false
            }
            deadline => {
                timer.deadline = None;
                deadline.is_some()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due() -> Due {
        Due {
            group_id: "g".into(),
            kind: TimerKind::Join,
        }
    }

    #[test]
    fn a_deadline_that_moved_back_goes_off_once_and_late() {
        let (mut timers, mut timer) = (Timers::default(), Timer::default());
        timers.arm(&mut timer, 10, due);
        for deadline in 11..50 {
            timers.arm(&mut timer, deadline, due);
        }
        assert_eq!(timers.queue.len(), 1);
        let (place, popped) = timers.pop(10).unwrap();
        assert!(!timers.gone_off(&mut timer, place, 10, popped));
        assert_eq!(timers.next(), Some(49));
        assert!(timers.pop(48).is_none());
        let (place, popped) = timers.pop(49).unwrap();
        assert!(timers.gone_off(&mut timer, place, 49, popped));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_deadline_that_moved_ahead_leaves_nothing_behind() {
        let (mut timers, mut timer) = (Timers::default(), Timer::default());
        timers.arm(&mut timer, 10, due);
        timers.arm(&mut timer, 5, due);
        assert_eq!(timers.queue.len(), 1);
        assert_eq!(timers.next(), Some(5));
        timers.clear(&mut timer);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn an_entry_of_another_life_says_nothing() {
        let (mut timers, mut before, mut after) =
            (Timers::default(), Timer::default(), Timer::default());
        timers.arm(&mut before, 10, due);
        timers.arm(&mut after, 20, due);
        let (place, popped) = timers.pop(30).unwrap();
        assert!(!timers.gone_off(&mut after, place, 30, popped));
        assert!(before.place.is_some());
    }
}
