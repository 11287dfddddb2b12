//! Kafka's round-robin assignor, protocol name `roundrobin`: all partitions of all topics are dealt out in turn.

use callboard_assignor::{AssignError, Assignor, Group, Plan};

/// Deals the partitions of all subscribed topics, in order of topic and number, to the members in turn. A member that
/// does not subscribe to a topic is passed over; the turn goes on from topic to topic.
///
/// Counts differ by one at most where all members subscribe alike. It forgets who had what: a member that comes or goes
/// moves most partitions. Eager, not rack-aware. Costs O(partitions × members passed over).
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobinAssignor;

impl Assignor for RoundRobinAssignor {
    fn name(&self) -> &str {
        "roundrobin"
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let all: Vec<_> = group.member_indices().collect();
        let ring = group.static_first(&all);
        let mut plan = Plan::new(group);
        let mut turn = 0;
        for topic in group.topic_indices() {
            if group.subscribers(topic).is_empty() {
                continue;
            }
            let mut takes = vec![false; ring.len()];
            for subscriber in group.subscribers(topic) {
                takes[subscriber.position()] = true;
            }
            for partition in group.partitions(topic) {
                // Ends: somebody subscribes.
                while !takes[ring[turn].position()] {
                    turn = (turn + 1) % ring.len();
                }
                plan.give(ring[turn], partition);
                turn = (turn + 1) % ring.len();
            }
        }
        Ok(plan)
    }
}
