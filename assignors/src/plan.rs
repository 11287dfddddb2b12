//! Who gets what, and whether that may be told to the group.

use std::collections::{BTreeMap, BTreeSet};

use crate::assignor::RebalanceProtocol;
use crate::claims::Claims;
use crate::group::{Group, MemberIndex, Partition, TopicIndex};

/// A plan for one [`Group`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// By member.
    partitions: Vec<Vec<Partition>>,
    left_out: Vec<Partition>,
    user_data: BTreeMap<MemberIndex, Vec<u8>>,
}

/// Why a plan must not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It was made for a group of another size.
    #[error("the plan has {planned} members, the group {members}")]
    OtherGroup {
        /// Members of the plan.
        planned: usize,
        /// Members of the group.
        members: usize,
    },
    /// A partition does not exist.
    #[error("{member} is given partition {number} of topic number {topic}, which does not exist")]
    UnknownPartition {
        /// To whom it is given.
        member: String,
        /// The topic's place in the group.
        topic: usize,
        /// The partition.
        number: i32,
    },
    /// A member does not subscribe to the topic.
    #[error("{member} is given {topic}/{number} and does not subscribe to it")]
    NotSubscribed {
        /// To whom it is given.
        member: String,
        /// The topic.
        topic: String,
        /// The partition.
        number: i32,
    },
    /// A partition is given out twice.
    #[error("{topic}/{number} is given to {first} and to {second}")]
    GivenTwice {
        /// The topic.
        topic: String,
        /// The partition.
        number: i32,
        /// To whom first.
        first: String,
        /// To whom also.
        second: String,
    },
    /// A partition that has a subscriber is given to nobody: under the eager protocol ever, under the cooperative one
    /// where nobody owns it and it is not [left out](Plan::leave_out).
    #[error("{topic}/{number} is given to nobody")]
    LeftOut {
        /// The topic.
        topic: String,
        /// The partition.
        number: i32,
    },
    /// Cooperative: a partition goes to another member than the one that still owns it (KIP-429).
    #[error("{topic}/{number} goes to {to} while {from} still owns it")]
    MovedDirectly {
        /// The topic.
        topic: String,
        /// The partition.
        number: i32,
        /// Its owner.
        from: String,
        /// To whom it is given.
        to: String,
    },
}

impl Plan {
    /// A plan that gives nothing to anybody.
    #[must_use]
    pub fn new(group: &Group) -> Self {
        Self {
            partitions: vec![Vec::new(); group.member_indices().len()],
            left_out: Vec::new(),
            user_data: BTreeMap::new(),
        }
    }

    /// Gives a partition to a member.
    ///
    /// # Panics
    /// If the member is not one of the group the plan was made for; so do all methods that take one.
    pub fn give(&mut self, member: MemberIndex, partition: Partition) {
        self.partitions[member.position()].push(partition);
    }

    /// Gives several.
    pub fn give_all(
        &mut self,
        member: MemberIndex,
        partitions: impl IntoIterator<Item = Partition>,
    ) {
        self.partitions[member.position()].extend(partitions);
    }

    /// Takes a partition back from a member. Whether it had it.
    pub fn take(&mut self, member: MemberIndex, partition: Partition) -> bool {
        let given = &mut self.partitions[member.position()];
        match given.iter().position(|one| *one == partition) {
            Some(position) => {
                given.remove(position);
                true
            }
            None => false,
        }
    }

    /// Leaves a partition out of this round on purpose, for the next one to hand out. Only under the cooperative protocol.
    pub fn leave_out(&mut self, partition: Partition) {
        self.left_out.push(partition);
    }

    /// What is [left out](Self::leave_out) and [withheld](Self::withhold).
    #[must_use]
    pub fn left_out(&self) -> &[Partition] {
        &self.left_out
    }

    /// Takes back, of a plan that says how the ownership should be in the end, what may not be handed out in this round: a
    /// partition that another member than its receiver claims in the highest generation in which anybody does, unless the
    /// receiver claims it in that generation too (KIP-429). Its owner gives it up, joins again, and then it is handed out.
    ///
    /// For whoever runs an assignor that can be [cooperative](RebalanceProtocol::Cooperative), also while the leader itself
    /// is still eager: members that claim something are cooperative already. Returns how many were taken back.
    pub fn withhold(&mut self, group: &Group) -> usize {
        let claims = Claims::new(group);
        let before = self.left_out.len();
        for (member, given) in group.member_indices().zip(&mut self.partitions) {
            given.retain(|partition| {
                let withheld = claims.in_the_way(*partition, member).is_some();
                if withheld {
                    self.left_out.push(*partition);
                }
                !withheld
            });
        }
        self.left_out.len() - before
    }

    /// What a member gets, in the order it was given.
    #[must_use]
    pub fn of(&self, member: MemberIndex) -> &[Partition] {
        &self.partitions[member.position()]
    }

    /// What a member gets, by topic and ascending.
    #[must_use]
    pub fn by_topic(&self, member: MemberIndex) -> BTreeMap<TopicIndex, Vec<i32>> {
        let mut topics: BTreeMap<TopicIndex, Vec<i32>> = BTreeMap::new();
        for partition in self.of(member) {
            topics
                .entry(partition.topic)
                .or_default()
                .push(partition.number);
        }
        for numbers in topics.values_mut() {
            numbers.sort_unstable();
        }
        topics
    }

    /// The whole plan by names, for people and tests.
    #[must_use]
    pub fn named(&self, group: &Group) -> BTreeMap<String, BTreeMap<String, Vec<i32>>> {
        let name = |(topic, numbers)| (group.topic(topic).name().to_owned(), numbers);
        group
            .member_indices()
            .map(|member| {
                let topics = self.by_topic(member).into_iter().map(name).collect();
                (group.member(member).id().to_owned(), topics)
            })
            .collect()
    }

    /// Sends bytes along with a member's assignment, for [`on_assignment`](crate::Assignor::on_assignment).
    pub fn set_user_data(&mut self, member: MemberIndex, user_data: Vec<u8>) {
        self.user_data.insert(member, user_data);
    }

    /// What is sent along to a member.
    #[must_use]
    pub fn user_data(&self, member: MemberIndex) -> Option<&[u8]> {
        self.user_data.get(&member).map(Vec::as_slice)
    }

    /// Whether the plan may be sent to the group: complete, disjoint, only partitions that exist, only for subscribers.
    /// Under the cooperative protocol nothing moves directly from its owner to another member; what moves is left out, as
    /// [`withhold`](Self::withhold) does it.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn check(&self, group: &Group, protocol: RebalanceProtocol) -> Result<(), PlanError> {
        let members = group.member_indices().len();
        if self.partitions.len() != members {
            return Err(PlanError::OtherGroup {
                planned: self.partitions.len(),
                members,
            });
        }
        let given = self.receivers(group)?;
        let claims = (protocol == RebalanceProtocol::Cooperative).then(|| Claims::new(group));
        let left_out: BTreeSet<Partition> = self.left_out.iter().copied().collect();
        for topic in group.topic_indices() {
            if group.subscribers(topic).is_empty() {
                continue;
            }
            for partition in group.partitions(topic) {
                let receiver = given[topic.position()][partition.number as usize];
                let purpose = left_out.contains(&partition);
                check_one(group, partition, receiver, claims.as_ref(), purpose)?;
            }
        }
        Ok(())
    }

    /// Who gets each partition, by topic and number.
    fn receivers(&self, group: &Group) -> Result<Vec<Vec<Option<MemberIndex>>>, PlanError> {
        let mut receivers: Vec<Vec<Option<MemberIndex>>> = group
            .topic_indices()
            .map(|topic| vec![None; group.partitions(topic).len()])
            .collect();
        for member in group.member_indices() {
            let id = || group.member(member).id().to_owned();
            for &partition in self.of(member) {
                let Partition { topic, number } = partition;
                if !group.exists(partition) {
                    return Err(PlanError::UnknownPartition {
                        member: id(),
                        topic: topic.position(),
                        number,
                    });
                }
                let name = || group.topic(topic).name().to_owned();
                if !group.subscribes(member, topic) {
                    return Err(PlanError::NotSubscribed {
                        member: id(),
                        topic: name(),
                        number,
                    });
                }
                // It exists, so its number is not negative.
                let receiver = &mut receivers[topic.position()][number as usize];
                if let Some(first) = receiver.replace(member) {
                    return Err(PlanError::GivenTwice {
                        topic: name(),
                        number,
                        first: group.member(first).id().to_owned(),
                        second: id(),
                    });
                }
            }
        }
        Ok(receivers)
    }
}

fn check_one(
    group: &Group,
    partition: Partition,
    receiver: Option<MemberIndex>,
    claims: Option<&Claims<'_>>,
    left_out: bool,
) -> Result<(), PlanError> {
    let topic = || group.topic(partition.topic).name().to_owned();
    let Some(receiver) = receiver else {
        let may_wait = claims.is_some_and(|claims| left_out || claims.any(partition));
        return if may_wait {
            Ok(())
        } else {
            Err(PlanError::LeftOut {
                topic: topic(),
                number: partition.number,
            })
        };
    };
    match claims.and_then(|claims| claims.in_the_way(partition, receiver)) {
        Some(owner) => Err(PlanError::MovedDirectly {
            topic: topic(),
            number: partition.number,
            from: group.member(owner).id().to_owned(),
            to: group.member(receiver).id().to_owned(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{MemberInfo, TopicInfo};

    const ORDERS: i32 = 2;

    /// Members a and b of topic orders, c of nothing; a owns orders/0 in generation 5.
    fn group() -> Group {
        let mut owner = MemberInfo::new("a", ["orders"]);
        owner.owned = vec![("orders".to_owned(), vec![0])];
        owner.generation = 5;
        let members = [
            owner,
            MemberInfo::new("b", ["orders"]),
            MemberInfo::new("c", ["other"]),
        ];
        let orders = TopicInfo {
            name: "orders".to_owned(),
            partitions: ORDERS,
            ..TopicInfo::default()
        };
        Group::new([orders], members)
    }

    fn plan(group: &Group, given: &[(&str, i32)]) -> Plan {
        let topic = group.topic_index("orders").unwrap();
        let mut plan = Plan::new(group);
        for (member, number) in given {
            let member = group.member_index(member).unwrap();
            plan.give(
                member,
                Partition {
                    topic,
                    number: *number,
                },
            );
        }
        plan
    }

    fn check(given: &[(&str, i32)], protocol: RebalanceProtocol) -> String {
        let group = group();
        match plan(&group, given).check(&group, protocol) {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_plan_gives_everything_once_to_subscribers() {
        use RebalanceProtocol::Eager;
        assert_eq!(check(&[("a", 0), ("b", 1)], Eager), "fine");
        assert_eq!(check(&[("b", 0), ("b", 1)], Eager), "fine");
        assert_eq!(check(&[("a", 0)], Eager), "orders/1 is given to nobody");
        assert_eq!(
            check(&[("a", 0), ("b", 0), ("b", 1)], Eager),
            "orders/0 is given to a and to b"
        );
        assert_eq!(
            check(&[("a", 0), ("a", 0), ("b", 1)], Eager),
            "orders/0 is given to a and to a"
        );
        assert_eq!(
            check(&[("a", 0), ("c", 1)], Eager),
            "c is given orders/1 and does not subscribe to it"
        );
        for number in [ORDERS, -1] {
            assert_eq!(
                check(&[("a", number)], Eager),
                format!("a is given partition {number} of topic number 0, which does not exist")
            );
        }
    }

    #[test]
    fn cooperatively_what_moves_is_left_out_first() {
        use RebalanceProtocol::Cooperative;
        assert_eq!(check(&[("a", 0), ("b", 1)], Cooperative), "fine");
        assert_eq!(check(&[("b", 1)], Cooperative), "fine");
        assert_eq!(
            check(&[("b", 0), ("b", 1)], Cooperative),
            "orders/0 goes to b while a still owns it"
        );
        assert_eq!(
            check(&[("a", 0)], Cooperative),
            "orders/1 is given to nobody"
        );
    }

    #[test]
    fn an_older_claim_does_not_hold_a_partition() {
        let mut stale = MemberInfo::new("a", ["orders"]);
        stale.owned = vec![("orders".to_owned(), vec![0, 1])];
        stale.generation = 3;
        let mut newer = MemberInfo::new("b", ["orders"]);
        newer.owned = vec![("orders".to_owned(), vec![0])];
        newer.generation = 4;
        let orders = TopicInfo {
            name: "orders".to_owned(),
            partitions: ORDERS,
            ..TopicInfo::default()
        };
        let group = Group::new([orders], [stale, newer]);
        let cooperative = RebalanceProtocol::Cooperative;
        assert_eq!(
            plan(&group, &[("b", 0), ("a", 1)]).check(&group, cooperative),
            Ok(())
        );
        assert!(
            plan(&group, &[("a", 0), ("a", 1)])
                .check(&group, cooperative)
                .is_err()
        );
    }

    #[test]
    fn what_is_left_out_on_purpose_may_wait_only_cooperatively() {
        let group = group();
        let mut plan = plan(&group, &[("a", 0)]);
        let topic = group.topic_index("orders").unwrap();
        plan.leave_out(Partition { topic, number: 1 });
        assert_eq!(plan.check(&group, RebalanceProtocol::Cooperative), Ok(()));
        assert!(plan.check(&group, RebalanceProtocol::Eager).is_err());
    }

    #[test]
    fn what_another_member_holds_is_withheld() {
        let group = group();
        let mut plan = plan(&group, &[("b", 0), ("b", 1)]);
        assert_eq!(plan.withhold(&group), 1);
        let named = plan.named(&group);
        assert_eq!(named["b"], BTreeMap::from([("orders".to_owned(), vec![1])]));
        assert!(named["a"].is_empty());
        assert_eq!(plan.left_out().len(), 1);
        assert_eq!(plan.check(&group, RebalanceProtocol::Cooperative), Ok(()));
    }

    /// Claims of partition 0 by a, b, c in these generations (none: not at all); who may have it at once.
    #[test]
    fn a_claim_counts_in_the_highest_generation_alone() {
        for (generations, may) in [
            ([Some(5), Some(5), None], "ab"),
            ([Some(5), Some(6), None], "b"),
            ([Some(6), Some(5), Some(6)], "ac"),
            ([Some(5), None, None], "a"),
            ([None, None, None], "abc"),
            ([Some(-1), None, None], "a"),
        ] {
            let members = ["a", "b", "c"].into_iter().zip(generations);
            let members = members.map(|(id, generation)| {
                let mut member = MemberInfo::new(id, ["orders"]);
                // Who claims nothing may be in any generation.
                member.generation = generation.unwrap_or(6);
                if generation.is_some() {
                    member.owned = vec![("orders".to_owned(), vec![0])];
                }
                member
            });
            let orders = TopicInfo {
                name: "orders".to_owned(),
                partitions: 1,
                ..TopicInfo::default()
            };
            let group = Group::new([orders], members);
            for receiver in ["a", "b", "c"] {
                let mut plan = plan(&group, &[(receiver, 0)]);
                let direct = plan.check(&group, RebalanceProtocol::Cooperative).is_ok();
                assert_eq!(direct, may.contains(receiver), "{generations:?} {receiver}");
                let withheld = plan.withhold(&group);
                assert_eq!(withheld, usize::from(!direct), "{generations:?} {receiver}");
            }
        }
    }

    #[test]
    fn a_plan_of_another_group_is_refused() {
        let small = Group::new([], [MemberInfo::new("a", ["orders"])]);
        let error = Plan::new(&small).check(&group(), RebalanceProtocol::Eager);
        assert!(matches!(
            error,
            Err(PlanError::OtherGroup {
                planned: 1,
                members: 3
            })
        ));
    }

    #[test]
    fn what_is_taken_back_is_gone() {
        let group = group();
        let mut plan = plan(&group, &[("a", 1), ("a", 0)]);
        let member = group.member_index("a").unwrap();
        let topic = group.topic_index("orders").unwrap();
        assert!(plan.take(member, Partition { topic, number: 1 }));
        assert!(!plan.take(member, Partition { topic, number: 1 }));
        assert_eq!(plan.by_topic(member), BTreeMap::from([(topic, vec![0])]));
    }
}
