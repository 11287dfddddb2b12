//! What members tell and what leaders take from it, byte for byte as the classes of Apache Kafka 4.2.0 do
//! (`testdata/kafka-4.2.0/protocol.json`).

#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::{BTreeMap, BTreeSet};

use callboard_assignor::{Assignment, Assignor, Group, MemberInfo, Ownership, TopicInfo};
use callboard_assignor_sticky::{CooperativeStickyAssignor, StickyAssignor};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    user_data: Vec<Written>,
    user_data_reader: Vec<Read>,
}

#[derive(Deserialize)]
struct Written {
    assignor: String,
    name: String,
    assigned: Vec<(String, i32)>,
    generation: Option<i32>,
    hex: Option<String>,
}

#[derive(Deserialize)]
struct Read {
    assignor: String,
    name: String,
    user_data: Option<String>,
    subscription_owned: Vec<(String, i32)>,
    subscription_generation: Option<i32>,
    partitions: Vec<(String, i32)>,
    generation: Option<i32>,
}

fn golden() -> Golden {
    let text = include_str!("../../../testdata/kafka-4.2.0/protocol.json");
    serde_json::from_str(text).unwrap()
}

fn assignor(name: &str) -> Box<dyn Assignor> {
    match name {
        "sticky" => Box::new(StickyAssignor),
        "cooperative-sticky" => Box::new(CooperativeStickyAssignor),
        other => panic!("no assignor {other}"),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

fn by_topic(partitions: &[(String, i32)]) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, number) in partitions {
        topics.entry(topic.clone()).or_default().push(*number);
    }
    topics
}

#[test]
fn members_write_what_java_writes() {
    let cases = golden().user_data;
    assert_eq!(cases.len(), 14);
    for case in cases {
        let last = case.generation.map(|generation| Assignment {
            partitions: by_topic(&case.assigned),
            generation,
            user_data: None,
        });
        let written = assignor(&case.assignor).user_data(&BTreeSet::new(), last.as_ref());
        let mut expected = case.hex.as_deref().map(bytes);
        if by_topic(&case.assigned).len() > 1 && case.assignor == "sticky" {
            // Java's order of topics is that of a hash map.
            let sorted = |data: Option<Vec<u8>>| {
                let owned = Ownership::decode(&data.unwrap());
                let topics: BTreeMap<_, _> = owned.partitions.into_iter().collect();
                (topics, owned.generation)
            };
            assert_eq!(sorted(written), sorted(expected.take()), "{}", case.name);
        } else {
            assert_eq!(written, expected, "{} {}", case.assignor, case.name);
        }
    }
}

#[test]
fn leaders_read_what_java_reads() {
    let cases = golden().user_data_reader;
    assert_eq!(cases.len(), 22);
    for case in cases {
        let mut member = MemberInfo::new("one", ["foo"]);
        member.owned = by_topic(&case.subscription_owned).into_iter().collect();
        member.generation = case.subscription_generation.unwrap_or(-1);
        member.user_data = case.user_data.as_deref().map(bytes);
        let foo = TopicInfo {
            name: "foo".to_owned(),
            partitions: 8,
            ..TopicInfo::default()
        };
        let group = Group::for_assignor(&*assignor(&case.assignor), [foo], [member]);
        let member = group.member(group.member_index("one").unwrap());
        let owned: Vec<(String, i32)> = member
            .owned()
            .iter()
            .map(|one| (group.topic(one.topic).name().to_owned(), one.number))
            .collect();
        let what = format!("{}: {}", case.assignor, case.name);
        assert_eq!(owned, case.partitions, "{what}");
        assert_eq!(member.generation(), case.generation.unwrap_or(-1), "{what}");
    }
}
