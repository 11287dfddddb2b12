//! How many partitions of a topic each of its subscribers may get: the quotient, and one of the remainder while there
//! is any.

/// The shares of one topic's subscribers.
pub(crate) struct Shares {
    quotient: usize,
    /// How many members may still get one more than the quotient.
    extras: usize,
    /// Had already, by member.
    had: Vec<usize>,
}

impl Shares {
    pub(crate) fn new(partitions: usize, members: usize) -> Self {
        Self {
            quotient: partitions / members,
            extras: partitions % members,
            had: vec![0; members],
        }
    }

    /// How many this member may still get.
    pub(crate) fn left(&self, member: usize) -> usize {
        (self.quotient + usize::from(self.extras > 0)).saturating_sub(self.had[member])
    }

    /// This member got so many. No more than were [`left`](Self::left).
    pub(crate) fn took(&mut self, member: usize, count: usize) {
        debug_assert!(count <= self.left(member));
        if count > 0 {
            self.had[member] += count;
            self.extras -= usize::from(self.had[member] > self.quotient);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_exceed_the_quotient_use_up_the_extras() {
        let mut shares = Shares::new(5, 3);
        assert_eq!(
            (0..3).map(|one| shares.left(one)).collect::<Vec<_>>(),
            [2, 2, 2]
        );
        shares.took(2, 2);
        shares.took(0, 1);
        assert_eq!(shares.left(0), 1);
        shares.took(1, 2);
        // Both extras are gone.
        assert_eq!(
            (0..3).map(|one| shares.left(one)).collect::<Vec<_>>(),
            [0, 0, 0]
        );
    }
}
