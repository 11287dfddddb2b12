//! The least loaded of some members, in a heap; of equally loaded ones the first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Members by load. A load that changes is pushed again, and what is out of date is dropped when it comes up.
pub(super) struct Load(BinaryHeap<Reverse<(u32, u32)>>);

impl Load {
    pub(super) fn new(members: impl Iterator<Item = u32>, counts: &[u32]) -> Self {
        let entries: Vec<_> = members
            .map(|member| Reverse((counts[member as usize], member)))
            .collect();
        Self(entries.into())
    }

    /// The least loaded and its load.
    pub(super) fn least(&mut self, counts: &[u32]) -> Option<(u32, u32)> {
        loop {
            let Reverse((count, member)) = *self.0.peek()?;
            if counts[member as usize] == count {
                return Some((count, member));
            }
            self.0.pop();
        }
    }

    /// One more for the least loaded, which [`least`](Self::least) named.
    pub(super) fn raise_least(&mut self) {
        if let Some(mut least) = self.0.peek_mut() {
            least.0.0 += 1;
        }
    }

    /// The load of one of the members changed.
    pub(super) fn changed(&mut self, member: u32, counts: &[u32]) {
        self.0.push(Reverse((counts[member as usize], member)));
    }
}
