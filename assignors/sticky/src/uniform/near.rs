//! The first turn where racks matter: partitions go to members in a rack of one of their replicas. Partitions with few such
//! members come first.

use std::collections::{BTreeSet, VecDeque};

use callboard_assignor::{MemberIndex, RackIndex};

use super::Shares;
use crate::partitions::{Id, Partitions};
use crate::racks::Racks;

/// Gives out what it can of `rest`; what is left comes back, in the order in which it is to be dealt.
pub(super) fn assign(
    shares: &mut Shares,
    members: &[MemberIndex],
    partitions: &Partitions,
    racks: &Racks<'_>,
    mut rest: Vec<Id>,
) -> Vec<Id> {
    rest.sort_by_cached_key(|id| racks.members_near(partitions.at(*id)));
    let mut waiting = Waiting::new(shares, members, racks);
    rest.retain(|id| {
        let near = racks.replicas(partitions.at(*id));
        let taken = if let Some((place, rack)) = waiting.next_under(near) {
            shares.given[place as usize].push(*id);
            waiting.cursor = place + 1;
            if shares.given[place as usize].len() >= shares.least {
                waiting.under[rack.position()].remove(&place);
                if shares.least < shares.most && shares.extras > 0 {
                    waiting.push_exact(place, Some(rack));
                }
            }
            true
        } else if let Some((place, _)) = waiting.take_exact(near) {
            shares.given[place as usize].push(*id);
            shares.extras -= 1;
            if shares.extras == 0 {
                waiting.clear_exact();
            }
            true
        } else {
            false
        };
        !taken
    });
    waiting.give_back(shares);
    rest
}

/// The members that still get something, by rack; those in no rack only wait for the second turn.
struct Waiting {
    /// Below the least, by rack.
    under: Vec<BTreeSet<u32>>,
    /// Whose turn it is among them; whoever comes next after this place.
    cursor: u32,
    /// At the least, by rack and in order of the first number; the last for those in no rack.
    exact: Vec<VecDeque<(u64, u32)>>,
    /// The number of the next to come to the least.
    next: u64,
}

impl Waiting {
    fn new(shares: &mut Shares, members: &[MemberIndex], racks: &Racks<'_>) -> Self {
        let mut waiting = Self {
            under: vec![BTreeSet::new(); racks.count()],
            cursor: 0,
            exact: vec![VecDeque::new(); racks.count() + 1],
            next: 0,
        };
        for place in &shares.under {
            if let Some(rack) = racks.of(members[*place as usize]) {
                waiting.under[rack.position()].insert(*place);
            }
        }
        for place in shares.exact.drain(..) {
            waiting.push_exact(place, racks.of(members[place as usize]));
        }
        waiting
    }

    /// The next member below the least in one of these racks, round from the cursor.
    fn next_under(&self, near: &[RackIndex]) -> Option<(u32, RackIndex)> {
        let first = |from: u32| {
            let racks = near.iter();
            let firsts = racks.filter_map(|rack| {
                let mut places = self.under[rack.position()].range(from..);
                Some((*places.next()?, *rack))
            });
            firsts.min()
        };
        first(self.cursor).or_else(|| first(0))
    }

    /// The first member at the least in one of these racks; it gets its extra.
    fn take_exact(&mut self, near: &[RackIndex]) -> Option<(u32, RackIndex)> {
        let fronts = near
            .iter()
            .filter_map(|rack| Some((self.exact[rack.position()].front()?, *rack)));
        let (&(_, place), rack) = fronts.min()?;
        self.exact[rack.position()].pop_front();
        Some((place, rack))
    }

    fn push_exact(&mut self, place: u32, rack: Option<RackIndex>) {
        let queue = rack.map_or(self.exact.len() - 1, RackIndex::position);
        self.exact[queue].push_back((self.next, place));
        self.next += 1;
    }

    fn clear_exact(&mut self) {
        self.exact.iter_mut().for_each(VecDeque::clear);
    }

    /// The lists of [`Shares`] as they are now.
    fn give_back(self, shares: &mut Shares) {
        let least = shares.least;
        let given = &shares.given;
        shares
            .under
            .retain(|place| given[*place as usize].len() < least);
        let mut exact: Vec<(u64, u32)> = self.exact.into_iter().flatten().collect();
        exact.sort_unstable();
        shares.exact = exact.into_iter().map(|(_, place)| place).collect();
    }
}
