//! The order in which Kafka's `range` and `roundrobin` walk a group.

use std::cmp::Ordering;

use crate::group::{Group, Member, MemberIndex};
use crate::order::java_order;

impl Group {
    /// `members` with the static ones first, by instance id, then the others by member id: a static member keeps its
    /// place through restarts, which bring it a new member id each time.
    #[must_use]
    pub fn static_first(&self, members: &[MemberIndex]) -> Vec<MemberIndex> {
        let mut ordered = members.to_vec();
        ordered.sort_by(|left, right| by_instance(self.member(*left), self.member(*right)));
        ordered
    }
}

fn by_instance(left: &Member, right: &Member) -> Ordering {
    match (left.instance_id(), right.instance_id()) {
        (Some(left), Some(right)) => java_order(left, right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => java_order(left.id(), right.id()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::MemberInfo;

    #[test]
    fn static_members_come_first() {
        let members = [("x", None), ("b", Some("2")), ("a", None), ("z", Some("1"))];
        let infos = members.map(|(id, instance_id)| MemberInfo {
            instance_id: instance_id.map(str::to_owned),
            ..MemberInfo::new(id, ["orders"])
        });
        let group = Group::new([], infos);
        let all: Vec<_> = group.member_indices().collect();
        let ordered = group.static_first(&all);
        let ids: Vec<_> = ordered.iter().map(|one| group.member(*one).id()).collect();
        assert_eq!(ids, ["z", "b", "a", "x"]);
    }
}
