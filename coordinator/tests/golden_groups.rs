//! What is stored of a classic group, as Kafka 4.2.0's own classes write and read it.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use callboard_coordinator::core::{GROUP_METADATA, GroupMetadataValue, MemberValue};
use callboard_offsets::record::codec::RecordError;
use serde_json::Value;

const GOLDEN: &str = include_str!("../../testdata/kafka-4.2.0/offsets_log.json");

fn golden() -> Value {
    serde_json::from_str(GOLDEN).unwrap()
}

/// Those of classic groups that have a value.
fn cases(part: &str) -> Vec<Value> {
    let is_one = |case: &&Value| {
        let of_group = matches!(case["key"].as_str(), Some(key) if key.starts_with("0002"));
        of_group && !case["value"].is_null()
    };
    let all = golden()[part].as_array().unwrap().clone();
    all.iter().filter(is_one).cloned().collect()
}

fn unhex(text: &Value) -> Option<Vec<u8>> {
    let text = text.as_str()?;
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    Some((0..text.len()).step_by(2).map(byte).collect())
}

/// Kafka's converter prints bytes in base64 and ids in its url-safe form, without padding.
fn unbase64(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for symbol in text.bytes().filter(|symbol| *symbol != b'=') {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn number(value: &Value, absent: i64) -> i64 {
    value.as_i64().unwrap_or(absent)
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
    let cases = cases("records");
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
    for case in cases("records") {
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
    let cases = cases("reader");
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
    for case in cases("records") {
        let value = unhex(&case["value"]).unwrap();
        for length in 0..value.len() {
            assert!(
                GroupMetadataValue::decode(&value[..length]).is_err(),
                "{case} at {length}"
            );
        }
    }
}
