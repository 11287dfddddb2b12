//! What Kafka 4.2.0's own classes write to `__consumer_offsets` and read from it, as cases.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use serde_json::Value;

const GOLDEN: &str = include_str!("../../../testdata/kafka-4.2.0/offsets_log.json");

fn golden() -> Value {
    serde_json::from_str(GOLDEN).unwrap()
}

pub(crate) fn cases(part: &str) -> Vec<Value> {
    golden()[part].as_array().unwrap().clone()
}

pub(crate) fn unhex(text: &Value) -> Option<Vec<u8>> {
    let text = text.as_str()?;
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    Some((0..text.len()).step_by(2).map(byte).collect())
}

/// Kafka's converter prints bytes in base64 and ids in its url-safe form, without padding.
pub(crate) fn unbase64(text: &str) -> Vec<u8> {
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

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

pub(crate) fn number(value: &Value, absent: i64) -> i64 {
    value.as_i64().unwrap_or(absent)
}
