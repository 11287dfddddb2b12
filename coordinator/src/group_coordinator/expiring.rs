//! When a coordinator looks for expired offsets, and how much at a time. Owned by the coordinator; knows no clock.

use std::sync::Arc;
use std::time::Duration;

/// Groups looked at before others get their turn.
const AT_ONCE: usize = 256;

/// One look at all groups after the other, each in turns.
#[derive(Debug)]
pub(super) struct Expiring {
    every: Duration,
    at: Duration,
    left: Vec<Arc<str>>,
}

impl Expiring {
    /// Begins to look when it has waited for the first time.
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            at: every,
            left: Vec::new(),
        }
    }

    /// When [`begins`](Self::begins) is to be asked.
    pub(super) fn next_deadline(&self) -> Duration {
        self.at
    }

    /// Whether a look at `all` begins: it is time, and the one before is over. Whoever begins takes the first turn.
    pub(super) fn begins(&mut self, now: Duration, all: impl FnOnce() -> Vec<Arc<str>>) -> bool {
        if self.at > now {
            return false;
        }
        self.at = now + self.every;
        // While a look goes on its next turn is in the mailbox: a second one would be two for ever.
        let begins = self.left.is_empty();
        if begins {
            self.left = all();
        }
        begins
    }

    /// The groups of one turn.
    pub(super) fn turn(&mut self) -> Vec<Arc<str>> {
        let left = self.left.len().saturating_sub(AT_ONCE);
        self.left.split_off(left)
    }

    /// Whether the look wants another turn.
    pub(super) fn goes_on(&self) -> bool {
        !self.left.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(1);

    fn groups() -> Vec<Arc<str>> {
        let name = |number| format!("group-{number}").into();
        (0..2 * AT_ONCE + 1).map(name).collect()
    }

    #[test]
    fn a_look_that_takes_longer_than_an_interval_goes_on_and_no_second_begins() {
        let mut expiring = Expiring::new(EVERY);
        assert!(!expiring.begins(EVERY / 2, groups));
        assert!(expiring.begins(EVERY, groups));
        let mut looked_at = expiring.turn();
        for late in [2, 3] {
            assert!(expiring.goes_on());
            assert!(!expiring.begins(late * EVERY, || panic!("one is going on")));
            assert_eq!(expiring.next_deadline(), (late + 1) * EVERY);
            looked_at.append(&mut expiring.turn());
        }
        assert!(!expiring.goes_on());
        looked_at.sort_unstable();
        let mut all = groups();
        all.sort_unstable();
        assert_eq!(looked_at, all, "each once");
        assert!(expiring.begins(4 * EVERY, groups));
    }
}
