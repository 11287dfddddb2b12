//! Members and replicas in racks (KIP-881): a preference below balance, above stickiness.

use std::collections::BTreeSet;

use callboard_assignor::{Group, MemberIndex, Partition, RackIndex};

/// The racks of a group where they can make a difference.
pub(crate) struct Racks<'a> {
    group: &'a Group,
    /// How many members are in each rack.
    members: Vec<usize>,
}

impl<'a> Racks<'a> {
    /// `None` where racks make no difference: no member is in the rack of any replica, or every partition has replicas in
    /// all racks alike.
    pub(crate) fn new(group: &'a Group) -> Option<Self> {
        let mut members = vec![0; group.rack_count()];
        for rack in group
            .member_indices()
            .filter_map(|one| group.member(one).rack())
        {
            members[rack.position()] += 1;
        }
        if members.iter().all(|count| *count == 0) {
            return None;
        }
        let subscribed = |topic: &_| !group.subscribers(*topic).is_empty();
        let partitions = || {
            let topics = group.topic_indices().filter(subscribed);
            topics.flat_map(|topic| group.partitions(topic))
        };
        let all: BTreeSet<RackIndex> = partitions()
            .flat_map(|partition| group.racks_of(partition).iter().copied())
            .collect();
        let met = all.iter().any(|rack| members[rack.position()] > 0);
        let differ = || partitions().any(|one| group.racks_of(one).len() != all.len());
        (met && differ()).then_some(Self { group, members })
    }

    pub(crate) fn of(&self, member: MemberIndex) -> Option<RackIndex> {
        self.group.member(member).rack()
    }

    pub(crate) fn replicas(&self, partition: Partition) -> &'a [RackIndex] {
        self.group.racks_of(partition)
    }

    /// Whether the member is in a rack without a replica.
    pub(crate) fn mismatch(&self, member: MemberIndex, partition: Partition) -> bool {
        self.of(member)
            .is_some_and(|rack| !self.replicas(partition).contains(&rack))
    }

    /// How many members are in a rack of one of the partition's replicas.
    pub(crate) fn members_near(&self, partition: Partition) -> usize {
        let racks = self.replicas(partition).iter();
        racks.map(|rack| self.members[rack.position()]).sum()
    }

    /// How many racks there are.
    pub(crate) fn count(&self) -> usize {
        self.members.len()
    }
}
