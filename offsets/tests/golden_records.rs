//! Keys and values as Kafka 4.2.0's own classes write and read them, and where it puts groups.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod golden;

use callboard_offsets::partition_for;
use callboard_offsets::record::codec::{Decoded, RecordError, decode, encode};
use callboard_offsets::record::{OffsetCommitValue, Record};
use golden::{cases, number, text, unbase64, unhex};
use serde_json::Value;

/// As Kafka's keys have it: with a length of two bytes.
fn string(text: String) -> Vec<u8> {
    let length = text.len() as u16;
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// The record a case describes, built from its fields alone; of a group's record, which is opaque here, only the place.
fn described(case: &Value) -> Record {
    let (key, value) = (&case["key_fields"], &case["value_fields"]);
    let present = !case["value"].is_null();
    if key.get("topic").is_none() {
        let name = key.get("group").or(key.get("groupId")).unwrap();
        let rest = key.get("memberId").or(key.get("regularExpression"));
        return Record::Group {
            group: text(name).into(),
            kind: case["type"].as_i64().unwrap() as i16,
            rest: rest.map(text).map_or_else(Vec::new, string).into(),
            value: unhex(&case["value"]).map(Into::into),
        };
    }
    let group = text(&key["group"]).into();
    Record::OffsetCommit {
        group,
        topic: text(&key["topic"]).into(),
        partition: number(&key["partition"], 0) as i32,
        value: present.then(|| OffsetCommitValue {
            offset: number(&value["offset"], 0),
            leader_epoch: number(&value["leaderEpoch"], -1) as i32,
            metadata: text(&value["metadata"]).into(),
            commit_timestamp_ms: number(&value["commitTimestamp"], 0),
            // Kafka's default -1 means: none.
            expire_timestamp_ms: value["expireTimestamp"].as_i64().filter(|at| *at != -1),
            topic_id: match value["topicId"].as_str() {
                Some(id) => unbase64(id).try_into().unwrap(),
                None => [0; 16],
            },
        }),
    }
}

#[test]
fn every_record_reads_as_kafka_reads_it_and_of_groups_their_place() {
    let mut seen = 0;
    for case in cases("records") {
        let decoded = decode(
            unhex(&case["key"]).as_deref(),
            unhex(&case["value"]).as_deref(),
        );
        seen += 1;
        assert_eq!(decoded, Ok(Decoded::Record(described(&case))), "{case}");
    }
    assert!(seen >= 52, "only {seen} cases");
}

#[test]
fn what_we_write_are_kafkas_bytes() {
    let mut seen = 0;
    for case in cases("records") {
        let expires = case["value_fields"]["expireTimestamp"]
            .as_i64()
            .unwrap_or(-1)
            != -1;
        let ours = match (
            case["type"].as_i64().unwrap(),
            case["value_version"].as_i64(),
        ) {
            (1, None) => true,
            (1, Some(1)) => expires,
            (1, Some(version)) => version == 4,
            // Opaque: what was read, whoever wrote it.
            (2.., _) => true,
            _ => false,
        };
        if !ours {
            continue;
        }
        seen += 1;
        let written = encode(&described(&case)).unwrap().unwrap();
        assert_eq!(written.0, unhex(&case["key"]).unwrap(), "{case}");
        assert_eq!(written.1, unhex(&case["value"]), "{case}");
    }
    assert!(seen >= 13, "only {seen} cases");
}

#[test]
fn odd_bytes_are_taken_and_refused_as_by_kafkas_loader() {
    // The values of groups are read beside their kind of group.
    let of_offsets =
        |case: &Value| !matches!(case["key"].as_str(), Some(key) if key.starts_with("0002"));
    for case in cases("reader").iter().filter(|case| of_offsets(case)) {
        let decoded = decode(
            unhex(&case["key"]).as_deref(),
            unhex(&case["value"]).as_deref(),
        );
        match case["error"].as_str() {
            None => assert_eq!(decoded, Ok(Decoded::Record(described(case))), "{case}"),
            Some("UnknownRecordTypeException") => {
                assert!(
                    matches!(decoded, Ok(Decoded::Unknown { .. })),
                    "{case}: {decoded:?}"
                );
            }
            Some("UnknownRecordVersionException") => assert!(
                matches!(decoded, Err(RecordError::UnknownVersion { .. })),
                "{case}: {decoded:?}"
            ),
            Some(_) => assert!(decoded.is_err(), "{case}: {decoded:?}"),
        }
    }
}

#[test]
fn cut_anywhere_a_record_is_an_error_and_never_a_panic() {
    for case in cases("records") {
        let opaque = case["type"].as_i64().unwrap() >= 2;
        let (key, value) = (unhex(&case["key"]).unwrap(), unhex(&case["value"]));
        let place = match described(&case) {
            Record::Group { group, .. } => 4 + group.len(),
            _ => key.len(),
        };
        for length in 0..place {
            assert!(
                decode(Some(&key[..length]), value.as_deref()).is_err(),
                "{case}"
            );
        }
        for length in 0..value.as_ref().filter(|_| !opaque).map_or(0, Vec::len) {
            let cut = value.as_ref().map(|value| &value[..length]);
            assert!(decode(Some(&key), cut).is_err(), "{case} at {length}");
        }
    }
}

#[test]
fn groups_live_where_kafka_puts_them() {
    let cases = cases("partition_for");
    for case in &cases {
        let group = case["group"].as_str().unwrap();
        for (partitions, place) in [(50, "of_50"), (16, "of_16")] {
            let expected = case[place].as_u64().unwrap();
            assert_eq!(
                u64::from(partition_for(group, partitions)),
                expected,
                "{case}"
            );
        }
    }
    assert_eq!(cases.len(), 207);
}
