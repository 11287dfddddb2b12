//! A plan in names, and what is counted of it.

use std::collections::BTreeMap;

use callboard_assignor::{Group, MemberIndex, Plan, TopicIndex};
use serde::Serialize;

pub(crate) type NamedPlan = BTreeMap<String, BTreeMap<String, Vec<i32>>>;

/// What came of a simulation: what `--output json` gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The round that would be sent, what is withheld left out: member, topic, partitions ascending. Every member is there.
    pub assignment: NamedPlan,
    /// Partitions of subscribed topics that nobody gets in this round; 0 under the eager protocol.
    pub withheld: usize,
    /// Partitions that exist, that a listed member claims, and that none of its claimants gets; a withheld one counts.
    pub moved: usize,
    /// The most partitions of a member less the fewest, among members that subscribe to the same topics; the largest of
    /// these differences.
    pub skew: usize,
}

impl Outcome {
    /// Of a plan for `group` whose members claimed what `owned` lists.
    pub(crate) fn new<'a>(
        group: &Group,
        plan: &Plan,
        owned: impl Iterator<Item = (MemberIndex, &'a str, &'a [i32])>,
    ) -> Self {
        let topics = group.topic_indices();
        let subscribed = topics.filter(|topic| !group.subscribers(*topic).is_empty());
        let all: usize = subscribed.map(|topic| group.partitions(topic).len()).sum();
        let counts = group.member_indices().map(|member| plan.of(member).len());
        Self {
            assignment: plan.named(group),
            withheld: all - counts.sum::<usize>(),
            moved: moved(group, plan, owned),
            skew: skew(group, plan),
        }
    }

    /// One line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers")
    }
}

fn moved<'a>(
    group: &Group,
    plan: &Plan,
    owned: impl Iterator<Item = (MemberIndex, &'a str, &'a [i32])>,
) -> usize {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Claim {
        None,
        Lost,
        Kept,
    }
    let mut claims: Vec<Vec<Claim>> = group
        .topic_indices()
        .map(|topic| vec![Claim::None; group.partitions(topic).len()])
        .collect();
    let mut given: (Option<MemberIndex>, BTreeMap<TopicIndex, Vec<i32>>) = Default::default();
    for (member, name, numbers) in owned {
        let Some(topic) = group.topic_index(name) else {
            continue;
        };
        if given.0 != Some(member) {
            given = (Some(member), plan.by_topic(member));
        }
        let has = given.1.get(&topic).map_or(&[][..], Vec::as_slice);
        for number in numbers {
            let place = usize::try_from(*number).ok();
            let claim = place.and_then(|place| claims[topic.position()].get_mut(place));
            match claim {
                Some(claim) if has.binary_search(number).is_ok() => *claim = Claim::Kept,
                Some(claim) if *claim == Claim::None => *claim = Claim::Lost,
                _ => {}
            }
        }
    }
    let lost = claims.iter().flatten().filter(|one| **one == Claim::Lost);
    lost.count()
}

fn skew(group: &Group, plan: &Plan) -> usize {
    let mut alike: BTreeMap<&[TopicIndex], (usize, usize)> = BTreeMap::new();
    for member in group.member_indices() {
        let count = plan.of(member).len();
        let topics = group.member(member).topics();
        let (least, most) = alike.entry(topics).or_insert((count, count));
        (*least, *most) = (count.min(*least), count.max(*most));
    }
    let skews = alike.values().map(|(least, most)| most - least);
    skews.max().unwrap_or(0)
}
