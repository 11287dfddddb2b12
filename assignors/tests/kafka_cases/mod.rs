//! Reads the golden cases of `testdata/kafka-4.2.0/assignors.jsonl`: what Apache Kafka 4.2.0's own assignor classes
//! answer, and by which rule an answer is to be compared (`exact`, `expect_ascending`, `java_fault`). Shared by the tests
//! of every assignor crate.

use std::collections::BTreeMap;

use callboard_assignor::{Assignor, Group, MemberInfo, RebalanceProtocol, TopicInfo};
use serde::Deserialize;

type NamedPlan = BTreeMap<String, BTreeMap<String, Vec<i32>>>;

#[derive(Deserialize)]
struct Case {
    id: String,
    assignor: String,
    topics: BTreeMap<String, CaseTopic>,
    members: Vec<CaseMember>,
    #[serde(default)]
    expect: NamedPlan,
    #[serde(default)]
    exact: bool,
    expect_ascending: Option<NamedPlan>,
    java_fault: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct CaseTopic {
    partitions: i32,
    #[serde(default)]
    racks: Vec<Vec<String>>,
}

#[derive(Deserialize)]
struct CaseMember {
    id: String,
    instance: Option<String>,
    rack: Option<String>,
    topics: Vec<String>,
}

impl Case {
    /// The group, as an assignor of no memory sees it: nobody owns anything.
    fn group(&self) -> Group {
        let topics = self.topics.iter().map(|(name, topic)| TopicInfo {
            name: name.clone(),
            partitions: topic.partitions,
            racks: topic.racks.clone(),
        });
        let members = self.members.iter().map(|member| MemberInfo {
            instance_id: member.instance.clone(),
            rack: member.rack.clone(),
            ..MemberInfo::new(&member.id, member.topics.clone())
        });
        Group::new(topics, members)
    }
}

/// Runs an eager assignor without memory on every case of its name. Returns how many there were.
pub(crate) fn run(assignor: &dyn Assignor) -> usize {
    let lines = include_str!("../../../testdata/kafka-4.2.0/assignors.jsonl").lines();
    let mut cases = 0;
    for line in lines {
        let case: Case = serde_json::from_str(line).expect("a golden case");
        if case.assignor != assignor.name() {
            continue;
        }
        cases += 1;
        let group = case.group();
        let plan = assignor.assign(&group).expect("a plan");
        let checked = plan.check(&group, RebalanceProtocol::Eager);
        assert_eq!(checked, Ok(()), "{}", case.id);
        if case.java_fault.is_some() {
            continue;
        }
        let expected = match (&case.expect_ascending, case.exact) {
            (Some(ascending), _) => ascending,
            (None, true) => &case.expect,
            (None, false) => continue,
        };
        assert_eq!(plan.named(&group), *expected, "{}", case.id);
    }
    cases
}
