//! Reads the golden cases of `testdata/kafka-4.2.0`: what Apache Kafka 4.2.0's own assignor classes answer to single groups
//! (`assignors.jsonl`) and to stories of groups that change (`sequences.jsonl`), and by which rule an answer is to be
//! compared (`exact`, `expect_ascending`, `java_fault`). Shared by the tests of every assignor crate.

use std::collections::{BTreeMap, BTreeSet};

use callboard_assignor::{
    Assignment, Assignor, Group, MemberInfo, Need, RebalanceProtocol, TopicInfo,
};
use serde::Deserialize;

type NamedPlan = BTreeMap<String, BTreeMap<String, Vec<i32>>>;

#[derive(Deserialize)]
struct Case {
    id: String,
    assignor: String,
    #[serde(flatten)]
    round: Round,
    /// The same members with what the first round gave them.
    round2: Option<Answer>,
}

#[derive(Deserialize)]
struct Story {
    id: String,
    assignor: String,
    rounds: Vec<Round>,
}

#[derive(Clone, Deserialize)]
struct Round {
    topics: BTreeMap<String, CaseTopic>,
    members: Vec<CaseMember>,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Clone, Deserialize)]
struct Answer {
    #[serde(default)]
    expect: NamedPlan,
    /// Of the second round alone.
    generation: Option<i32>,
    #[serde(default)]
    exact: bool,
    expect_ascending: Option<NamedPlan>,
    java_fault: Option<serde::de::IgnoredAny>,
    counts_sorted: Option<Vec<usize>>,
    moved: Option<usize>,
    #[serde(default)]
    withheld: usize,
    withheld_range: Option<[usize; 2]>,
    moved_range: Option<[usize; 2]>,
}

#[derive(Clone, Deserialize)]
struct CaseTopic {
    partitions: i32,
    #[serde(default)]
    racks: Vec<Vec<String>>,
}

#[derive(Clone, Deserialize)]
struct CaseMember {
    id: String,
    instance: Option<String>,
    rack: Option<String>,
    topics: Vec<String>,
    owned: Option<BTreeMap<String, Vec<i32>>>,
    generation: Option<i32>,
}

impl CaseMember {
    /// What it tells the leader. Who never had an assignment has no generation.
    fn info(&self, assignor: &dyn Assignor) -> MemberInfo {
        let last = self.generation.map(|generation| Assignment {
            partitions: self.owned.clone().unwrap_or_default(),
            generation,
            user_data: None,
        });
        let mut info = MemberInfo {
            instance_id: self.instance.clone(),
            rack: self.rack.clone(),
            generation: self.generation.unwrap_or(-1),
            ..MemberInfo::new(&self.id, self.topics.clone())
        };
        let topics = self.topics.iter().cloned().collect();
        info.user_data = assignor.user_data(&topics, last.as_ref());
        if is_cooperative(assignor) && assignor.needs().contains(&Need::Owned) {
            info.owned = self.owned.clone().unwrap_or_default().into_iter().collect();
        }
        info
    }
}

impl Round {
    fn check(&self, id: &str, assignor: &dyn Assignor) {
        let topics = self.topics.iter().map(|(name, topic)| TopicInfo {
            name: name.clone(),
            partitions: topic.partitions,
            racks: topic.racks.clone(),
            ..TopicInfo::default()
        });
        let members = self.members.iter().map(|member| member.info(assignor));
        let group = Group::for_assignor(assignor, topics, members);
        let mut plan = assignor.assign(&group).expect("a plan");
        let mut protocol = RebalanceProtocol::Eager;
        if is_cooperative(assignor) {
            protocol = RebalanceProtocol::Cooperative;
            plan.withhold(&group);
        }
        assert_eq!(plan.check(&group, protocol), Ok(()), "{id}");
        if self.answer.java_fault.is_none() {
            self.compare(id, &plan.named(&group));
        }
    }

    fn compare(&self, id: &str, plan: &NamedPlan) {
        let answer = &self.answer;
        if let Some(ascending) = &answer.expect_ascending {
            assert_eq!(plan, ascending, "{id}");
        } else {
            assert!(answer.exact, "{id} says what is expected");
            assert_eq!(*plan, answer.expect, "{id}");
        }
        if let Some(expected) = &answer.counts_sorted {
            let members = plan.values();
            let mut counts: Vec<usize> = members
                .map(|topics| topics.values().map(Vec::len).sum())
                .collect();
            counts.sort_unstable_by(|one, other| other.cmp(one));
            assert_eq!(counts, *expected, "{id}");
        }
        let (moved, withheld) = (self.moved(plan), self.withheld(plan));
        match answer.moved_range {
            Some([least, most]) => assert!((least..=most).contains(&moved), "{id}: {moved} moved"),
            None => assert_eq!(Some(moved), answer.moved, "{id}"),
        }
        match answer.withheld_range {
            Some([least, most]) => {
                assert!(
                    (least..=most).contains(&withheld),
                    "{id}: {withheld} withheld"
                );
            }
            None => assert_eq!(withheld, answer.withheld, "{id}"),
        }
    }

    /// Partitions that exist and that somebody claims, none of whose claimants has them in the plan.
    fn moved(&self, plan: &NamedPlan) -> usize {
        let (mut claimed, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for member in &self.members {
            for (topic, numbers) in member.owned.iter().flatten() {
                let count = self.topics.get(topic).map_or(0, |topic| topic.partitions);
                let has = plan[&member.id].get(topic);
                for number in numbers.iter().filter(|number| **number < count) {
                    claimed.insert((topic, number));
                    if has.is_some_and(|has| has.contains(number)) {
                        kept.insert((topic, number));
                    }
                }
            }
        }
        claimed.len() - kept.len()
    }

    /// Partitions of subscribed topics that nobody gets.
    fn withheld(&self, plan: &NamedPlan) -> usize {
        let members = self.members.iter();
        let subscribed: BTreeSet<&String> = members.flat_map(|member| &member.topics).collect();
        let counts = subscribed.iter().filter_map(|name| self.topics.get(*name));
        let all: i32 = counts.map(|topic| topic.partitions).sum();
        let given = plan.values().flat_map(BTreeMap::values).map(Vec::len);
        all as usize - given.sum::<usize>()
    }

    /// The round after this one: everybody owns what it was given.
    fn next(&self, answer: Answer) -> Self {
        let mut next = self.clone();
        for member in &mut next.members {
            member.owned = Some(self.answer.expect[&member.id].clone());
            member.generation = answer.generation;
        }
        next.answer = answer;
        next
    }
}

fn is_cooperative(assignor: &dyn Assignor) -> bool {
    assignor
        .protocols()
        .contains(&RebalanceProtocol::Cooperative)
}

/// Runs an assignor on every case and every story of its name. How many cases and how many rounds of stories there were.
pub(crate) fn run(assignor: &dyn Assignor) -> (usize, usize) {
    let mut counts = (0, 0);
    for line in include_str!("../../../testdata/kafka-4.2.0/assignors.jsonl").lines() {
        let case: Case = serde_json::from_str(line).expect("a golden case");
        if case.assignor != assignor.name() {
            continue;
        }
        counts.0 += 1;
        case.round.check(&case.id, assignor);
        if let Some(answer) = case.round2 {
            let id = format!("{}, second round", case.id);
            case.round.next(answer).check(&id, assignor);
        }
    }
    for line in include_str!("../../../testdata/kafka-4.2.0/sequences.jsonl").lines() {
        let story: Story = serde_json::from_str(line).expect("a golden story");
        if story.assignor != assignor.name() {
            continue;
        }
        for (number, round) in story.rounds.iter().enumerate() {
            counts.1 += 1;
            round.check(&format!("{}, round {number}", story.id), assignor);
        }
    }
    counts
}
