//! All members subscribe alike, so everybody can have anything: each gets the quotient of partitions and members, some one
//! more, and keeps of its own what fits in there.

mod near;

use std::collections::VecDeque;

use callboard_assignor::{Group, MemberIndex};

use crate::claims::Claims;
use crate::partitions::{Id, Partitions};
use crate::racks::Racks;

/// What each member gets.
pub(crate) fn assign(
    group: &Group,
    partitions: &Partitions,
    claims: &Claims,
    racks: Option<&Racks<'_>>,
) -> Vec<Vec<Id>> {
    let members: Vec<MemberIndex> = group.member_indices().collect();
    if members.is_empty() {
        return Vec::new();
    }
    let mut shares = Shares::new(partitions.len(), members.len());
    let kept = shares.keep(&members, partitions, claims, racks);
    let mut rest: Vec<Id> = (0..partitions.len() as Id)
        .filter(|id| !kept[*id as usize])
        .collect();
    if let Some(racks) = racks {
        rest = near::assign(&mut shares, &members, partitions, racks, rest);
    }
    shares.deal(rest);
    shares.given
}

/// Members on their way to their share.
struct Shares {
    /// What every member gets.
    least: usize,
    /// What some get; equal to `least` where it divides.
    most: usize,
    /// How many members may still get the most.
    extras: usize,
    /// Members below the least, ascending.
    under: Vec<u32>,
    /// Members at the least that may get one more, in the order in which they do.
    exact: VecDeque<u32>,
    /// By member.
    given: Vec<Vec<Id>>,
}

impl Shares {
    fn new(partitions: usize, members: usize) -> Self {
        let most = partitions.div_ceil(members);
        Self {
            least: partitions / members,
            most,
            extras: partitions % members,
            under: Vec::new(),
            exact: VecDeque::new(),
            given: (0..members).map(|_| Vec::with_capacity(most)).collect(),
        }
    }

    /// Lets every member keep of its own what fits in its share, and says which partitions are kept. Whoever owns more keeps
    /// the lowest numbers; the first that own enough get the extras.
    fn keep(
        &mut self,
        members: &[MemberIndex],
        partitions: &Partitions,
        claims: &Claims,
        racks: Option<&Racks<'_>>,
    ) -> Vec<bool> {
        let mut kept = vec![false; partitions.len()];
        for (place, member) in members.iter().enumerate() {
            let near =
                |id: &Id| racks.is_none_or(|racks| !racks.mismatch(*member, partitions.at(*id)));
            let owned = claims.owned[place].iter().copied();
            let mut owned: Vec<Id> = owned
                .filter(|id| !claims.is_contested(*id) && near(id))
                .collect();
            if owned.len() < self.least {
                self.under.push(place as u32);
            } else {
                let mut share = self.least;
                if owned.len() >= self.most && self.extras > 0 {
                    share = self.most;
                    self.use_extra();
                } else if self.extras > 0 {
                    self.exact.push_back(place as u32);
                }
                if owned.len() > share {
                    // Ascending by topic already, and equal numbers stay so.
                    owned.sort_by_key(|id| partitions.at(*id).number);
                    owned.truncate(share);
                }
            }
            for id in &owned {
                kept[*id as usize] = true;
            }
            self.given[place].extend(owned);
        }
        kept
    }

    fn use_extra(&mut self) {
        self.extras -= 1;
        if self.extras == 0 {
            self.exact.clear();
        }
    }

    /// Deals what is left out in turn: to those below the least, until each has it, then the extras.
    fn deal(&mut self, rest: Vec<Id>) {
        let mut rest = rest.into_iter();
        let mut under = std::mem::take(&mut self.under);
        while !under.is_empty() && rest.len() > 0 {
            under.retain(|place| {
                let given = &mut self.given[*place as usize];
                given.extend(rest.next());
                let full = given.len() >= self.least;
                if full {
                    self.exact.push_back(*place);
                }
                !full
            });
        }
        for (id, place) in rest.zip(self.exact.drain(..)) {
            self.given[place as usize].push(id);
        }
    }
}
