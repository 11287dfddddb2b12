//! The rack-aware half (KIP-881): who gets a partition with a replica in the own rack, before ranges are cut.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use callboard_assignor::{Group, MemberIndex, Partition, Plan, RackIndex};

use crate::TopicRange;
use crate::shares::Shares;

/// Gives members partitions that have a replica in their rack. Does nothing where racks say nothing.
pub(crate) fn assign_matching(group: &Group, topics: &mut [TopicRange], plan: &mut Plan) {
    if !topics.iter().any(|topic| racks_matter(group, topic)) {
        return;
    }
    for alike in co_partitioned(group, topics) {
        match &alike[..] {
            [one] => {
                let topic = &mut topics[*one];
                if racks_matter(group, topic) {
                    assign_alone(group, topic, plan);
                }
            }
            several => assign_together(group, topics, several, plan),
        }
    }
}

/// Whether matching can make a difference for this topic: some member is in the rack of some replica, and not every
/// partition has replicas in all racks alike.
fn racks_matter(group: &Group, topic: &TopicRange) -> bool {
    let members: BTreeSet<RackIndex> = topic
        .members
        .iter()
        .filter_map(|one| group.member(*one).rack())
        .collect();
    if members.is_empty() {
        return false;
    }
    let racks = |partition| group.racks_of(partition);
    let all: BTreeSet<RackIndex> = group
        .partitions(topic.topic)
        .flat_map(|partition| racks(partition).iter().copied())
        .collect();
    !all.is_disjoint(&members)
        && group
            .partitions(topic.topic)
            .any(|partition| racks(partition).len() != all.len())
}

/// Topics, by place, that have the same subscribers and the same number of partitions. A topic whose subscribers are in
/// no rack is alike to none: nothing can be matched there.
fn co_partitioned(group: &Group, topics: &[TopicRange]) -> Vec<Vec<usize>> {
    let mut alike: BTreeMap<(&[MemberIndex], usize), Vec<usize>> = BTreeMap::new();
    for (place, topic) in topics.iter().enumerate() {
        let in_racks = |one: &MemberIndex| group.member(*one).rack().is_some();
        if topic.members.iter().any(in_racks) {
            alike
                .entry((&topic.members, topic.given.len()))
                .or_default()
                .push(place);
        }
    }
    alike.into_values().collect()
}

/// One topic: each member in turn takes its share of the partitions in its rack; one without a rack matches them all.
fn assign_alone(group: &Group, topic: &mut TopicRange, plan: &mut Plan) {
    let mut everywhere: VecDeque<Partition> = VecDeque::new();
    let mut by_rack: BTreeMap<RackIndex, VecDeque<Partition>> = BTreeMap::new();
    for partition in group.partitions(topic.topic) {
        everywhere.push_back(partition);
        for rack in group.racks_of(partition) {
            by_rack.entry(*rack).or_default().push_back(partition);
        }
    }
    for (place, member) in topic.members.iter().enumerate() {
        let matching = match group.member(*member).rack() {
            None => Some(&mut everywhere),
            Some(rack) => by_rack.get_mut(&rack),
        };
        let Some(matching) = matching else { continue };
        let mut took = 0;
        while took < topic.shares.left(place) {
            let Some(partition) = matching.pop_front() else {
                break;
            };
            let given = &mut topic.given[partition.number as usize];
            // It also waits in the queues of its other racks.
            if !std::mem::replace(given, true) {
                plan.give(*member, partition);
                took += 1;
            }
        }
        topic.shares.took(place, took);
    }
}

/// Co-partitioned topics: partition by partition, the first member that has a share left and is in a rack where every
/// topic has a replica of that partition takes it of all topics.
fn assign_together(group: &Group, topics: &mut [TopicRange], places: &[usize], plan: &mut Plan) {
    let [first, others @ ..] = places else { return };
    // Alike, and always taken from together: the shares of one topic are the shares of all.
    let TopicRange { members, given, .. } = &topics[*first];
    let (members, partitions) = (members.clone(), given.len());
    let mut shares = Shares::new(partitions, members.len());
    let mut waiting = Waiting::new(group, &members);
    for number in 0..partitions {
        let racks_of = |place: usize| {
            let topic = topics[place].topic;
            group.racks_of(Partition {
                topic,
                number: number as i32,
            })
        };
        let mut common = racks_of(*first).to_vec();
        for other in others {
            let racks = racks_of(*other);
            common.retain(|rack| racks.contains(rack));
        }
        let Some(place) = waiting.first_of(&common, &shares) else {
            continue;
        };
        shares.took(place, 1);
        for topic in places {
            let topic = &mut topics[*topic];
            topic.given[number] = true;
            topic.shares.took(place, 1);
            let partition = Partition {
                topic: topic.topic,
                number: number as i32,
            };
            plan.give(members[place], partition);
        }
    }
}

/// Members with a share left, by rack, each queue in the order they are served. A share only shrinks, so whoever has
/// none left leaves for good.
struct Waiting {
    anywhere: VecDeque<usize>,
    by_rack: BTreeMap<RackIndex, VecDeque<usize>>,
}

impl Waiting {
    fn new(group: &Group, members: &[MemberIndex]) -> Self {
        let mut waiting = Self {
            anywhere: VecDeque::new(),
            by_rack: BTreeMap::new(),
        };
        for (place, member) in members.iter().enumerate() {
            match group.member(*member).rack() {
                None => waiting.anywhere.push_back(place),
                Some(rack) => waiting.by_rack.entry(rack).or_default().push_back(place),
            }
        }
        waiting
    }

    /// The first member that is in one of `racks`, or in none.
    fn first_of(&mut self, racks: &[RackIndex], shares: &Shares) -> Option<usize> {
        let mut first = front(&mut self.anywhere, shares);
        for rack in racks {
            if let Some(queue) = self.by_rack.get_mut(rack) {
                first = match (first, front(queue, shares)) {
                    (Some(first), Some(other)) => Some(first.min(other)),
                    (first, other) => first.or(other),
                };
            }
        }
        first
    }
}

fn front(queue: &mut VecDeque<usize>, shares: &Shares) -> Option<usize> {
    while let Some(place) = queue.front() {
        if shares.left(*place) > 0 {
            return Some(*place);
        }
        queue.pop_front();
    }
    None
}
