//! Members subscribe to different topics: what nobody keeps goes to the least loaded subscriber, then partitions move from
//! loaded members to less loaded ones.

mod balance;
mod load;
mod movements;
mod unassigned;

use callboard_assignor::{Group, TopicIndex};

use crate::claims::Claims;
use crate::partitions::{Id, NOBODY, Partitions};
use crate::racks::Racks;

use balance::Balance;

/// What each member gets.
pub(crate) fn assign(
    group: &Group,
    partitions: &Partitions,
    claims: &Claims,
    racks: Option<&Racks<'_>>,
) -> Vec<Vec<Id>> {
    let mut owners = Owners::new(group, partitions);
    let kept_all = owners.keep(group, partitions, claims, racks);
    let fresh = owners.counts.iter().all(|count| *count == 0);
    let mut topics: Vec<TopicIndex> = group.topic_indices().collect();
    // Those with the fewest subscribers first, and by name, as they come.
    topics.sort_by_key(|topic| group.subscribers(*topic).len());
    let added = unassigned::assign(group, partitions, &topics, racks, &mut owners);
    let previous = claims.previous(group, partitions);
    let balance = Balance::new(group, partitions, &topics, previous);
    balance.run(&mut owners, (kept_all).then_some(added), fresh);
    owners.by_member()
}

/// Who has what.
#[derive(Clone)]
struct Owners {
    /// By partition.
    of: Vec<u32>,
    /// By member: how many it has.
    counts: Vec<u32>,
}

impl Owners {
    fn new(group: &Group, partitions: &Partitions) -> Self {
        Self {
            of: vec![NOBODY; partitions.len()],
            counts: vec![0; group.member_indices().len()],
        }
    }

    fn give(&mut self, id: Id, member: u32) {
        self.of[id as usize] = member;
        self.counts[member as usize] += 1;
    }

    /// Everybody keeps what it owns, unless it no longer subscribes to it or is in none of its racks. Whether that was all.
    fn keep(
        &mut self,
        group: &Group,
        partitions: &Partitions,
        claims: &Claims,
        racks: Option<&Racks<'_>>,
    ) -> bool {
        let mut kept_all = true;
        for (member, owned) in group.member_indices().zip(&claims.owned) {
            let mut last = None;
            for id in owned {
                let topic = partitions.topic(*id);
                // Ascending, so a topic's partitions come together.
                let subscribes = match last {
                    Some((same, subscribes)) if same == topic => subscribes,
                    _ => group.subscribes(member, topic),
                };
                last = Some((topic, subscribes));
                let away = racks.is_some_and(|racks| racks.mismatch(member, partitions.at(*id)));
                if subscribes && !away {
                    self.give(*id, member.position() as u32);
                } else {
                    kept_all = false;
                }
            }
        }
        kept_all
    }

    fn by_member(self) -> Vec<Vec<Id>> {
        let counts = self.counts.iter();
        let mut members: Vec<Vec<Id>> = counts
            .map(|count| Vec::with_capacity(*count as usize))
            .collect();
        for (id, owner) in self.of.into_iter().enumerate() {
            if owner != NOBODY {
                members[owner as usize].push(id as Id);
            }
        }
        members
    }
}
