//! What is stored of a classic group, as Kafka 4.2.0's own classes write and read it.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

#[path = "../../offsets/tests/golden/mod.rs"]
mod golden;

use callboard_coordinator::core::{GROUP_METADATA, GroupMetadataValue, MemberValue};
use callboard_offsets::record::codec::RecordError;
use golden::{cases, number, text, unbase64, unhex};
use serde_json::Value;

/// Those of classic groups that have a value.
fn groups(part: &str) -> Vec<Value> {
    let is_one = |case: &Value| {
        let of_group = matches!(case["key"].as_str(), Some(key) if key.starts_with("0002"));
        of_group && !case["value"].is_null()
    };
    cases(part).into_iter().filter(is_one).collect()
}

fn group_metadata(value: &Value) -> GroupMetadataValue {
    let member = |member: &Value| {
        let session_timeout_ms = number(&member["sessionTimeout"], 0) as i32;
        MemberValue {
            member_id: text(&member["memberId"]),
            group_instance_id: member["groupInstanceId"].as_str().map(str::to_owned),
            client_id: text(&member["clientId"]),
            client_host: text(&member["clientHost"]),
            rebalance_timeout_ms: match number(&member["rebalanceTimeout"], -1) as i32 {
                // As the spec has it: then the session timeout stands for it.
                -1 => session_timeout_ms,
                timeout => timeout,
            },
            session_timeout_ms,
            subscription: unbase64(member["subscription"].as_str().unwrap()).into(),
            assignment: unbase64(member["assignment"].as_str().unwrap()).into(),
        }
    };
    GroupMetadataValue {
        protocol_type: text(&value["protocolType"]),
        generation: number(&value["generation"], 0) as i32,
        protocol_name: value["protocol"].as_str().map(str::to_owned),
        leader: value["leader"].as_str().map(str::to_owned),
        current_state_timestamp_ms: number(&value["currentStateTimestamp"], -1),
        members: value["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(member)
            .collect(),
    }
}

#[test]
fn every_value_reads_as_kafka_reads_it() {
    let cases = groups("records");
    for case in &cases {
        assert_eq!(case["type"].as_i64(), Some(GROUP_METADATA.into()));
        let decoded = GroupMetadataValue::decode(&unhex(&case["value"]).unwrap());
        assert_eq!(decoded, Ok(group_metadata(&case["value_fields"])), "{case}");
    }
    assert!(cases.len() >= 15, "only {} cases", cases.len());
}

#[test]
fn what_we_write_are_kafkas_bytes() {
    let mut seen = 0;
    for case in groups("records") {
        if case["value_version"].as_i64() == Some(3) {
            seen += 1;
            let written = group_metadata(&case["value_fields"]).encode().unwrap();
            assert_eq!(Some(written), unhex(&case["value"]), "{case}");
        }
    }
    assert!(seen >= 3, "only {seen} cases");
}

#[test]
fn odd_bytes_are_refused_as_by_kafkas_loader() {
    let cases = groups("reader");
    for case in &cases {
        let decoded = GroupMetadataValue::decode(&unhex(&case["value"]).unwrap());
        assert_eq!(decoded.is_err(), case["error"].is_string(), "{case}");
    }
    assert!(!cases.is_empty());
    for version in [-1i16, 5] {
        assert_eq!(
            GroupMetadataValue::decode(&version.to_be_bytes()),
            Err(RecordError::UnknownVersion {
                record_type: GROUP_METADATA,
                version
            })
        );
    }
}

#[test]
fn cut_anywhere_a_value_is_an_error_and_never_a_panic() {
    for case in groups("records") {
        let value = unhex(&case["value"]).unwrap();
        for length in 0..value.len() {
            assert!(
                GroupMetadataValue::decode(&value[..length]).is_err(),
                "{case} at {length}"
            );
        }
    }
}
