//! Who holds on to what while a group rebalances (KIP-429), and what has to be withheld because of it.

use crate::group::{Group, MemberIndex, Partition};

/// Who owns what by the members' own word ([`Member::owned`](crate::Member::owned)), settled where they contradict each
/// other: a claim in the highest generation counts, an older one is of a member that missed a rebalance and has lost it.
pub struct Claims<'a> {
    group: &'a Group,
    /// The highest generation in which a partition is claimed, and the first member that does so: by topic, then by number;
    /// empty where nobody owns anything.
    highest: Vec<Vec<Option<(i32, MemberIndex)>>>,
}

impl<'a> Claims<'a> {
    /// Goes once through what all members own.
    #[must_use]
    pub fn new(group: &'a Group) -> Self {
        let mut highest = Vec::new();
        let members = || group.member_indices().map(|one| (one, group.member(one)));
        if members().any(|(_, member)| !member.owned().is_empty()) {
            let topics = group.topic_indices();
            highest.extend(topics.map(|topic| vec![None; group.partitions(topic).len()]));
        }
        for (index, member) in members() {
            for partition in member.owned() {
                // It exists, so its number is not negative.
                let entry = &mut highest[partition.topic.position()][partition.number as usize];
                if entry.is_none_or(|(generation, _)| member.generation() > generation) {
                    *entry = Some((member.generation(), index));
                }
            }
        }
        Self { group, highest }
    }

    fn of(&self, partition: Partition) -> Option<(i32, MemberIndex)> {
        let topic = self.highest.get(partition.topic.position())?;
        *topic.get(usize::try_from(partition.number).ok()?)?
    }

    /// The member that owns a partition, whether it still subscribes to its topic or not: the first, by member id, of those
    /// that claim it in the highest generation.
    #[must_use]
    pub fn owner(&self, partition: Partition) -> Option<MemberIndex> {
        self.of(partition).map(|(_, member)| member)
    }

    /// Whether anybody claims it.
    pub(crate) fn any(&self, partition: Partition) -> bool {
        self.of(partition).is_some()
    }

    /// The member that has to give a partition up before `receiver` may have it: one that claims it in the highest
    /// generation, unless `receiver` does so too.
    pub(crate) fn in_the_way(
        &self,
        partition: Partition,
        receiver: MemberIndex,
    ) -> Option<MemberIndex> {
        let (generation, holder) = self.of(partition)?;
        let member = self.group.member(receiver);
        let claims =
            member.generation() == generation && member.owned().binary_search(&partition).is_ok();
        (!claims).then_some(holder)
    }
}
