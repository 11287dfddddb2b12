//! Kafka's range assignor, protocol name `range`, rack-aware as KIP-881 has it.

mod racks;
mod shares;

use callboard_assignor::{AssignError, Assignor, Group, MemberIndex, Plan, TopicIndex};

use shares::Shares;

/// Per topic, gives each subscriber one run of consecutive partitions; the first ones get one more where the number
/// does not divide. Topics with the same subscribers and partition counts are cut at the same places, so that equal
/// keys of two topics meet in one member.
///
/// Where members and replicas have racks, members first get partitions with a replica in their own rack, as far as
/// their share allows; balance is never given up for that.
///
/// Over many topics the first members pile up the surplus of each. Eager. Costs O(partitions × replicas) plus sorting
/// the members of each topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct RangeAssignor;

impl Assignor for RangeAssignor {
    fn name(&self) -> &str {
        "range"
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let mut plan = Plan::new(group);
        let mut topics: Vec<TopicRange> = group
            .topic_indices()
            .filter(|topic| !group.subscribers(*topic).is_empty())
            .map(|topic| TopicRange::new(group, topic))
            .collect();
        racks::assign_matching(group, &mut topics, &mut plan);
        for topic in &mut topics {
            topic.assign_rest(group, &mut plan);
        }
        Ok(plan)
    }
}

/// One topic on its way.
struct TopicRange {
    topic: TopicIndex,
    /// Its subscribers in the order they are served.
    members: Vec<MemberIndex>,
    /// What each of them, by place in `members`, may still get.
    shares: Shares,
    /// By partition number.
    given: Vec<bool>,
}

impl TopicRange {
    fn new(group: &Group, topic: TopicIndex) -> Self {
        let members = group.static_first(group.subscribers(topic));
        let partitions = group.partitions(topic).len();
        Self {
            topic,
            shares: Shares::new(partitions, members.len()),
            given: vec![false; partitions],
            members,
        }
    }

    /// Cuts what nobody has yet into ranges.
    fn assign_rest(&mut self, group: &Group, plan: &mut Plan) {
        let given = &self.given;
        let mut rest = group
            .partitions(self.topic)
            .zip(given)
            .filter(|(_, given)| !**given)
            .map(|(partition, _)| partition);
        for (place, member) in self.members.iter().enumerate() {
            let share = self.shares.left(place);
            let range: Vec<_> = rest.by_ref().take(share).collect();
            self.shares.took(place, range.len());
            plan.give_all(*member, range);
        }
    }
}
