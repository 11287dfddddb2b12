//! Equal to Kafka's own class on every golden case, and sound on random groups.

#[path = "../../tests/kafka_cases/mod.rs"]
mod kafka_cases;

use callboard_assignor::{Assignor, Group, MemberInfo, RebalanceProtocol, TopicInfo};
use callboard_assignor_range::RangeAssignor;

#[test]
fn plans_are_those_of_kafka() {
    assert_eq!(kafka_cases::run(&RangeAssignor), (123, 0));
}

callboard_assignor::conformance!(
    RangeAssignor,
    .groups(3_000)
        .without(Check::Skew, "the first members pile up the surplus of each topic")
        .without(Check::Movement, "it knows nothing of what members own")
);

/// A thousand partitions a topic, members in racks: what leads to quadratic work if anything does.
#[test]
fn a_large_group_in_racks_is_balanced_per_topic() {
    let racks = |number: usize| format!("rack-{}", number % 3);
    let topics = (0..20).map(|number| TopicInfo {
        name: format!("topic-{number}"),
        partitions: 1_000,
        racks: (0..1_000)
            .map(|one| vec![racks(one), racks(one + 1)])
            .collect(),
        ..TopicInfo::default()
    });
    let names: Vec<String> = (0..20).map(|number| format!("topic-{number}")).collect();
    let members = (0..300).map(|number| MemberInfo {
        rack: Some(racks(number)),
        ..MemberInfo::new(format!("member-{number}"), names.clone())
    });
    let group = Group::new(topics, members);
    let plan = RangeAssignor.assign(&group).unwrap();
    assert_eq!(plan.check(&group, RebalanceProtocol::Eager), Ok(()));
    for member in group.member_indices() {
        for numbers in plan.by_topic(member).values() {
            assert!((3..=4).contains(&numbers.len()));
        }
        let rack = group.member(member).rack().unwrap();
        let away = plan
            .of(member)
            .iter()
            .filter(|one| !group.racks_of(**one).contains(&rack));
        assert_eq!(away.count(), 0);
    }
}
