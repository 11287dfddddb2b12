//! Subscriptions and assignments as Kafka 4.2.0's consumer writes and reads them.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use bytes::Bytes;
use callboard_protocol::consumer_protocol::{
    Assignment, Subscription, TopicPartitions, subscribed_topics,
};
use serde::Deserialize;

const GOLDEN: &str = include_str!("../../testdata/kafka-4.2.0/protocol.json");

type Pairs = Vec<(String, i32)>;

#[derive(Deserialize)]
struct Golden {
    subscriptions: Vec<Case<WantedSubscription>>,
    assignments: Vec<Case<WantedAssignment>>,
    reader: Vec<Odd>,
}

#[derive(Deserialize)]
struct Case<T> {
    name: String,
    version: i16,
    given: T,
    hex: String,
    read: T,
}

#[derive(Deserialize, Debug, PartialEq)]
struct WantedSubscription {
    topics: Vec<String>,
    user_data: Option<String>,
    owned: Pairs,
    generation: i32,
    rack: Option<String>,
}

#[derive(Deserialize, Debug, PartialEq)]
struct WantedAssignment {
    partitions: Pairs,
    user_data: Option<String>,
}

#[derive(Deserialize)]
struct Odd {
    kind: String,
    name: String,
    hex: String,
    read: Option<serde_json::Value>,
    error: Option<String>,
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .map(|digit| digit.to_digit(16).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pairs(partitions: &TopicPartitions) -> Pairs {
    let each = partitions.iter().flat_map(|(topic, partitions)| {
        partitions
            .iter()
            .map(|partition| (topic.clone(), *partition))
    });
    each.collect()
}

fn unpaired(pairs: &Pairs) -> TopicPartitions {
    pairs
        .iter()
        .map(|(topic, partition)| (topic.clone(), vec![*partition]))
        .collect()
}

fn user_data(hex: &Option<String>) -> Option<Bytes> {
    hex.as_deref().map(|hex| unhex(hex).into())
}

fn seen_subscription(bytes: &[u8]) -> Option<WantedSubscription> {
    let read = Subscription::decode(bytes).ok()?;
    Some(WantedSubscription {
        topics: read.topics,
        user_data: read.user_data.as_deref().map(hex),
        owned: pairs(&read.owned_partitions),
        generation: read.generation_id,
        rack: read.rack_id,
    })
}

fn seen_assignment(bytes: &[u8]) -> Option<WantedAssignment> {
    let read = Assignment::decode(bytes).ok()?;
    Some(WantedAssignment {
        partitions: pairs(&read.partitions),
        user_data: read.user_data.as_deref().map(hex),
    })
}

#[test]
fn subscriptions_are_written_and_read_as_kafka_does() {
    for case in golden().subscriptions {
        let what = format!("{} v{}", case.name, case.version);
        let given = Subscription {
            topics: case.given.topics,
            user_data: user_data(&case.given.user_data),
            owned_partitions: unpaired(&case.given.owned),
            generation_id: case.given.generation,
            rack_id: case.given.rack,
        };
        assert_eq!(hex(&given.encode_version(case.version)), case.hex, "{what}");
        if case.version == 3 {
            assert_eq!(hex(&given.encode()), case.hex, "{what}");
        }
        let bytes = unhex(&case.hex);
        assert_eq!(seen_subscription(&bytes), Some(case.read), "{what}");
        for cut in 0..bytes.len() {
            assert!(
                Subscription::decode(&bytes[..cut]).is_err(),
                "{what} cut at {cut}"
            );
        }
    }
}

#[test]
fn assignments_are_written_and_read_as_kafka_does() {
    for case in golden().assignments {
        let what = format!("{} v{}", case.name, case.version);
        let given = Assignment {
            partitions: unpaired(&case.given.partitions),
            user_data: user_data(&case.given.user_data),
        };
        assert_eq!(hex(&given.encode_version(case.version)), case.hex, "{what}");
        let bytes = unhex(&case.hex);
        assert_eq!(seen_assignment(&bytes), Some(case.read), "{what}");
        for cut in 0..bytes.len() {
            assert!(
                Assignment::decode(&bytes[..cut]).is_err(),
                "{what} cut at {cut}"
            );
        }
    }
}

#[test]
fn odd_bytes_are_read_as_kafka_reads_them() {
    for odd in golden().reader {
        let what = format!("{} {}", odd.kind, odd.name);
        let bytes = unhex(&odd.hex);
        match odd.kind.as_str() {
            "subscription" => {
                let wanted = odd.read.map(|read| serde_json::from_value(read).unwrap());
                assert_eq!(seen_subscription(&bytes), wanted, "{what}");
                assert_eq!(wanted.is_none(), odd.error.is_some(), "{what}");
            }
            _ => {
                let wanted = odd.read.map(|read| serde_json::from_value(read).unwrap());
                assert_eq!(seen_assignment(&bytes), wanted, "{what}");
                assert_eq!(wanted.is_none(), odd.error.is_some(), "{what}");
            }
        }
    }
}

#[test]
fn the_coordinator_finds_the_topics_behind_any_version_number() {
    for case in golden().subscriptions {
        let mut bytes = unhex(&case.hex);
        for version in [0_i16, 3, 99, -1] {
            bytes[..2].copy_from_slice(&version.to_be_bytes());
            let topics = subscribed_topics(&bytes).unwrap();
            assert_eq!(topics, case.read.topics, "{} as v{version}", case.name);
        }
    }
    // What is no version 0 has no topics, and its announced size is not believed.
    assert!(subscribed_topics(b"").is_err());
    assert!(subscribed_topics(&[0, 1, 0x7f, 0xff, 0xff, 0xff, 0, 0]).is_err());
    // User data belongs to it.
    assert!(subscribed_topics(&[0, 0, 0, 0, 0, 0]).is_err());
}
