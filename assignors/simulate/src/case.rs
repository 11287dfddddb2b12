//! A group as its members and topics are written down, checked, and given to an assignor as a leader does.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use callboard_assignor::{
    Assignment, Assignor, Group, MemberInfo, Plan, RebalanceProtocol, TopicInfo,
};
use serde::Deserialize;

use crate::SimulateError;
use crate::once::Once;
use crate::outcome::{NamedPlan, Outcome};

/// How many members a case may have.
pub const MEMBERS_MAX: usize = 100_000;
/// How many topics all members that the command line makes may subscribe to together.
const SUBSCRIPTIONS_MAX: usize = 10_000_000;
/// How many partitions all topics of a case may have together.
pub const PARTITIONS_MAX: i64 = 10_000_000;

/// A group to simulate: what `--input` takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    assignor: Option<String>,
    topics: Once<Topic>,
    members: Vec<Member>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Topic {
    /// One with none is unknown to the assignor.
    partitions: i32,
    /// By partition: the racks of its replicas.
    #[serde(default)]
    racks: Vec<Vec<String>>,
    /// By partition: records not committed, null where nobody knows.
    #[serde(default)]
    lag: Vec<Option<u64>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Member {
    id: String,
    instance: Option<String>,
    rack: Option<String>,
    topics: Vec<String>,
    /// Absent, with the generation: it never had an assignment.
    owned: Option<Once<Vec<i32>>>,
    generation: Option<i32>,
    /// In hex. Absent: what its assignor writes.
    user_data: Option<String>,
}

impl Case {
    /// Reads a case and checks it.
    ///
    /// # Errors
    /// What is wrong, and where: by line and column, or by the path to it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let case: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        case.check()?;
        Ok(case)
    }

    /// Members m1, m2 … that own nothing and subscribe to all of `topics`, which are names and partition counts.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn uniform(
        members: usize,
        topics: impl IntoIterator<Item = (String, i32)>,
    ) -> Result<Self, String> {
        let mut known = BTreeMap::new();
        for (name, partitions) in topics {
            let topic = Topic {
                partitions,
                racks: Vec::new(),
                lag: Vec::new(),
            };
            if known.insert(name.clone(), topic).is_some() {
                return Err(format!("topics.{name}: is there twice"));
            }
        }
        let names: Vec<String> = known.keys().cloned().collect();
        if names.len().saturating_mul(members) > SUBSCRIPTIONS_MAX {
            let topics = names.len();
            return Err(format!(
                "{members} members of {topics} topics: {SUBSCRIPTIONS_MAX} subscriptions are the most"
            ));
        }
        let case = Self {
            assignor: None,
            topics: Once(known),
            // One more than may be is enough to be refused.
            members: (1..=members.min(MEMBERS_MAX + 1))
                .map(|number| Member {
                    id: format!("m{number}"),
                    instance: None,
                    rack: None,
                    topics: names.clone(),
                    owned: None,
                    generation: None,
                    user_data: None,
                })
                .collect(),
        };
        case.check()?;
        Ok(case)
    }

    /// The assignor that the case names.
    #[must_use]
    pub fn assignor(&self) -> Option<&str> {
        self.assignor.as_deref()
    }

    fn check(&self) -> Result<(), String> {
        let mut all = 0;
        for (name, topic) in &self.topics.0 {
            let Topic {
                partitions,
                racks,
                lag,
            } = topic;
            let place = format!("topics.{name}");
            if name.is_empty() {
                return Err("topics: a topic has no name".to_owned());
            }
            if *partitions < 0 {
                return Err(format!("{place}.partitions: {partitions} is below 0"));
            }
            all += i64::from(*partitions);
            for (what, count) in [("racks", racks.len()), ("lag", lag.len())] {
                if count as i64 > i64::from(*partitions) {
                    return Err(format!(
                        "{place}.{what}: {count} entries for {partitions} partitions"
                    ));
                }
            }
        }
        if all > PARTITIONS_MAX {
            return Err(format!(
                "topics: {all} partitions, {PARTITIONS_MAX} is the most"
            ));
        }
        let count = self.members.len();
        if count == 0 || count > MEMBERS_MAX {
            return Err(format!("members: from 1 to {MEMBERS_MAX}, not {count}"));
        }
        let mut ids = BTreeMap::new();
        for (number, member) in self.members.iter().enumerate() {
            member
                .check()
                .map_err(|error| format!("members[{number}].{error}"))?;
            if let Some(first) = ids.insert(&member.id, number) {
                let id = &member.id;
                return Err(format!(
                    "members[{number}].id: {id:?} is that of members[{first}]"
                ));
            }
        }
        Ok(())
    }

    /// All have what `plan` gives them, in the next generation.
    pub(crate) fn take_on(&mut self, plan: &NamedPlan) {
        let generations = self.members.iter().filter_map(|member| member.generation);
        let next = generations.max().unwrap_or(0).saturating_add(1);
        for member in &mut self.members {
            member.owned = Some(Once(plan.get(&member.id).cloned().unwrap_or_default()));
            member.generation = Some(next);
        }
    }

    pub(crate) fn remove(&mut self, id: &str) -> Result<(), &'static str> {
        let place = self.members.iter().position(|member| member.id == id);
        match place {
            None => Err("no such member; they are m1, m2 …"),
            Some(_) if self.members.len() == 1 => Err("nobody is left; keep one"),
            Some(place) => {
                self.members.remove(place);
                Ok(())
            }
        }
    }

    /// What the assignor plans, withheld and checked as a leader does.
    ///
    /// # Errors
    /// [`SimulateError::Failed`]: it has no plan, panics, or its plan may not be sent.
    pub fn run(&self, assignor: &dyn Assignor) -> Result<Outcome, SimulateError> {
        let name = assignor.name();
        let run = catch_unwind(AssertUnwindSafe(|| self.plan(assignor)));
        let failed = |why: String| SimulateError::Failed(format!("assignor {name}: {why}"));
        let (group, plan) = run
            .map_err(|_panic| failed("it panicked; the lines above say where".to_owned()))?
            .map_err(failed)?;
        let owned = self.members.iter().flat_map(|member| {
            let index = group.member_index(&member.id);
            let topics = member.owned.iter().flat_map(|owned| &owned.0);
            topics.filter_map(move |(name, numbers)| Some((index?, name.as_str(), &numbers[..])))
        });
        Ok(Outcome::new(&group, &plan, owned))
    }

    fn plan(&self, assignor: &dyn Assignor) -> Result<(Group, Plan), String> {
        let protocol = assignor.protocols().iter().max().copied();
        let protocol = protocol.ok_or("it names no rebalance protocol")?;
        let cooperative = protocol == RebalanceProtocol::Cooperative;
        let topics = self.topics.0.iter().map(|(name, topic)| TopicInfo {
            name: name.clone(),
            partitions: topic.partitions,
            racks: topic.racks.clone(),
            lag: topic.lag.clone(),
        });
        let members = self.members.iter().map(|one| one.info(assignor));
        let members = members.map(|mut member| {
            if !cooperative {
                // Given up before it joined.
                member.owned.clear();
            }
            member
        });
        let group = Group::for_assignor(assignor, topics, members);
        let no_plan = |error| format!("no plan: {error}");
        let mut plan = assignor.assign(&group).map_err(no_plan)?;
        if cooperative {
            plan.withhold(&group);
        }
        let invalid = |error| format!("an invalid plan: {error}");
        plan.check(&group, protocol).map_err(invalid)?;
        Ok((group, plan))
    }

    /// Members, partitions, and topics that have any.
    pub(crate) fn size(&self) -> (usize, i64, usize) {
        let topics = self.topics.0.values().filter(|topic| topic.partitions > 0);
        let partitions = topics.clone().map(|topic| i64::from(topic.partitions));
        (self.members.len(), partitions.sum(), topics.count())
    }
}

impl Member {
    fn check(&self) -> Result<(), String> {
        if self.id.is_empty() {
            return Err("id: is empty".to_owned());
        }
        if let Some(generation) = self.generation.filter(|one| *one < -1) {
            return Err(format!("generation: {generation} is below -1"));
        }
        for (topic, numbers) in self.owned.iter().flat_map(|owned| &owned.0) {
            if let Some(place) = numbers.iter().position(|number| *number < 0) {
                let number = numbers[place];
                return Err(format!("owned.{topic}[{place}]: {number} is below 0"));
            }
        }
        if let Some(hex) = &self.user_data {
            bytes(hex).map_err(|why| format!("user_data: {why}"))?;
        }
        Ok(())
    }

    /// What it tells the leader.
    fn info(&self, assignor: &dyn Assignor) -> MemberInfo {
        let had = self.owned.is_some() || self.generation.is_some();
        let owned = self
            .owned
            .clone()
            .map_or_else(BTreeMap::new, |owned| owned.0);
        let generation = self.generation.unwrap_or(-1);
        let last = Assignment {
            partitions: owned.clone(),
            generation,
            user_data: None,
        };
        let topics: BTreeSet<String> = self.topics.iter().cloned().collect();
        MemberInfo {
            instance_id: self.instance.clone(),
            rack: self.rack.clone(),
            owned: owned.into_iter().collect(),
            generation,
            user_data: match &self.user_data {
                // It was checked.
                Some(hex) => bytes(hex).ok(),
                None => assignor.user_data(&topics, had.then_some(&last)),
            },
            ..MemberInfo::new(&self.id, self.topics.clone())
        }
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digit = |one: char| one.to_digit(16).map(|digit| digit as u8);
    let mut digits = Vec::with_capacity(hex.len());
    for (place, one) in hex.chars().enumerate() {
        let why = || format!("{one:?} at {place} is no hex digit");
        digits.push(digit(one).ok_or_else(why)?);
    }
    if !digits.len().is_multiple_of(2) {
        return Err(format!(
            "{} hex digits are half a byte too many",
            digits.len()
        ));
    }
    Ok(digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect())
}
