//! What nobody keeps goes to the least loaded subscriber: first to those in a rack of a replica, what is left to any.

use std::collections::BTreeMap;

use callboard_assignor::{Group, MemberIndex, RackIndex, TopicIndex};

use super::Owners;
use super::load::Load;
use crate::partitions::{Id, NOBODY, Partitions};
use crate::racks::Racks;

/// Gives out what nobody has, topic by topic in this order. Which partitions that were, in order.
pub(super) fn assign(
    group: &Group,
    partitions: &Partitions,
    topics: &[TopicIndex],
    racks: Option<&Racks<'_>>,
    owners: &mut Owners,
) -> Vec<Id> {
    let mut added = Vec::new();
    for topic in topics {
        let free = |id: &Id| owners.of[*id as usize] == NOBODY;
        added.extend(partitions.of(*topic).filter(free));
    }
    if let Some(racks) = racks {
        by_topic(partitions, &added, |topic, ids| {
            assign_near(group, partitions, racks, topic, ids, owners);
        });
    }
    by_topic(partitions, &added, |topic, ids| {
        let mut load = Load::new(places(group.subscribers(topic)), &owners.counts);
        for id in ids {
            if owners.of[*id as usize] != NOBODY {
                continue;
            }
            if let Some((_, member)) = load.least(&owners.counts) {
                owners.give(*id, member);
                load.raise_least();
            }
        }
    });
    added
}

/// Neighbours of one topic at a time.
fn by_topic(partitions: &Partitions, ids: &[Id], mut each: impl FnMut(TopicIndex, &[Id])) {
    let topic = |id: &Id| partitions.topic(*id);
    for ids in ids.chunk_by(|one, other| topic(one) == topic(other)) {
        each(topic(&ids[0]), ids);
    }
}

fn assign_near(
    group: &Group,
    partitions: &Partitions,
    racks: &Racks<'_>,
    topic: TopicIndex,
    ids: &[Id],
    owners: &mut Owners,
) {
    // A member in no rack is near to everything.
    let mut members: BTreeMap<Option<RackIndex>, Vec<MemberIndex>> = BTreeMap::new();
    for member in group.subscribers(topic) {
        members.entry(racks.of(*member)).or_default().push(*member);
    }
    let mut loads: BTreeMap<Option<RackIndex>, Load> = members
        .into_iter()
        .map(|(rack, members)| (rack, Load::new(places(&members), &owners.counts)))
        .collect();
    for id in ids {
        let replicas = racks.replicas(partitions.at(*id)).iter();
        let near = replicas.map(|rack| Some(*rack)).chain([None]);
        let least = near.filter_map(|rack| {
            let least = loads.get_mut(&rack)?.least(&owners.counts)?;
            Some((least, rack))
        });
        if let Some(((_, member), rack)) = least.min() {
            owners.give(*id, member);
            if let Some(load) = loads.get_mut(&rack) {
                load.raise_least();
            }
        }
    }
}

pub(super) fn places(members: &[MemberIndex]) -> impl Iterator<Item = u32> {
    members.iter().map(|member| member.position() as u32)
}
