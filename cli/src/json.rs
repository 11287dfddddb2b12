//! A record as one line of JSON, as `consume --output json` prints it and `produce --input json` takes it. Pure.
//! What is no UTF-8 is `{"base64":"…"}`; null is null, which as a value is a tombstone.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use callboard_client::ProducerRecord;
use callboard_consumer::Record;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

/// Bytes of a line for each byte of a record, at most: a control character is `\u001f`.
const EXPANSION: usize = 6;
/// And what else is on a line: names, numbers, a topic.
const ENVELOPE: usize = 64 * 1024;

/// The longest line that a record of `size` bytes can have.
pub(crate) fn line_max(size: usize) -> usize {
    size.saturating_mul(EXPANSION).saturating_add(ENVELOPE)
}

#[derive(Serialize)]
struct Printed<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    key: Option<Shown<'a>>,
    value: Option<Shown<'a>>,
    headers: Vec<PrintedHeader<'a>>,
}

#[derive(Serialize)]
struct PrintedHeader<'a> {
    key: Shown<'a>,
    value: Option<Shown<'a>>,
}

struct Shown<'a>(&'a [u8]);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = str::from_utf8(self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("base64", &STANDARD.encode(self.0))?;
        map.end()
    }
}

/// Appends the record's line.
pub(crate) fn append(text: &mut Vec<u8>, record: &Record) {
    let printed = Printed {
        topic: record.topic(),
        partition: record.partition(),
        offset: record.offset,
        timestamp: record.timestamp_ms,
        key: record.key.as_deref().map(Shown),
        value: record.value.as_deref().map(Shown),
        headers: record
            .headers
            .iter()
            .map(|(key, value)| PrintedHeader {
                key: Shown(key),
                value: value.as_deref().map(Shown),
            })
            .collect(),
    };
    // Neither can fail: text and numbers, written to memory.
    let _ = serde_json::to_writer(&mut *text, &printed);
    text.push(b'\n');
}

/// A field that is not known is refused: a record whose `Key` is not its `key` would lose it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    topic: Option<String>,
    partition: Option<i32>,
    /// Where it was. Where it will be is the broker's to say.
    #[serde(rename = "offset")]
    _offset: Option<i64>,
    timestamp: Option<i64>,
    key: Option<Part>,
    // Named here, they may be null and must not be absent: an absent value is a mistake, null is a tombstone.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    value: Option<Part>,
    #[serde(default)]
    headers: Vec<GivenHeader>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenHeader {
    key: Part,
    #[serde(deserialize_with = "Deserialize::deserialize")]
    value: Option<Part>,
}

/// Text, or bytes as base64.
struct Part(Bytes);

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, null or {\"base64\":\"…\"}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Part, E> {
        Ok(Part(Bytes::copy_from_slice(text.as_bytes())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Part, E> {
        Ok(Part(text.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part, A::Error> {
        let Some((name, text)) = map.next_entry::<String, String>()? else {
            return Err(Error::missing_field("base64"));
        };
        if name != "base64" {
            return Err(Error::unknown_field(&name, &["base64"]));
        }
        let bytes = STANDARD.decode(text).map_err(Error::custom)?;
        if map.next_key::<String>()?.is_some() {
            return Err(Error::custom("nothing but base64 may be there"));
        }
        Ok(Part(bytes.into()))
    }
}

/// The record on a line, for `topic` or, where none is given, for its own.
///
/// # Errors
/// What is wrong with the line.
pub(crate) fn parse(line: &[u8], topic: Option<&str>) -> Result<ProducerRecord, String> {
    let given: Given = serde_json::from_slice(line).map_err(|error| without_line(&error))?;
    let topic = match (topic, given.topic) {
        (Some(topic), _) => topic.to_owned(),
        (None, Some(topic)) => topic,
        (None, None) => return Err("it names no topic".to_owned()),
    };
    let mut headers = Vec::with_capacity(given.headers.len());
    for header in given.headers {
        let key = String::from_utf8(header.key.0.into())
            .map_err(|_| "the key of a header is no UTF-8".to_owned())?;
        headers.push((key, header.value.map(|part| part.0)));
    }
    Ok(ProducerRecord {
        topic,
        partition: given.partition,
        key: given.key.map(|part| part.0),
        value: given.value.map(|part| part.0),
        headers,
        // Records of before KIP-32 have none, which reads as -1.
        timestamp_ms: given.timestamp.filter(|timestamp| *timestamp >= 0),
    })
}

/// Which line it is the caller knows; for the parser every line is its first.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(text) => format!("{text} at column {}", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use callboard_consumer::TopicPartition;

    use super::*;

    fn record(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> Record {
        Record {
            topic_partition: TopicPartition::new("orders", 3),
            offset: 41,
            timestamp_ms: 1_700_000_000_123,
            key: key.map(Into::into),
            value: value.map(Into::into),
            headers: Vec::new(),
        }
    }

    fn printed(record: &Record) -> String {
        let mut text = Vec::new();
        append(&mut text, record);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_record_is_one_object_on_a_line() {
        let mut record = record(Some(b"alice"), Some(b"two\nlines\\"));
        record.headers = vec![("trace".into(), Some("7".into())), ("none".into(), None)];
        assert_eq!(
            printed(&record),
            "{\"topic\":\"orders\",\"partition\":3,\"offset\":41,\"timestamp\":1700000000123,\"key\":\"alice\",\
             \"value\":\"two\\nlines\\\\\",\"headers\":[{\"key\":\"trace\",\"value\":\"7\"},{\"key\":\"none\",\"value\":null}]}\n"
        );
    }

    #[test]
    fn what_is_printed_is_read_again() {
        for (key, value) in [
            (None, None),
            (Some(&b""[..]), Some(&b""[..])),
            (Some(b"-"), Some(b"null")),
            (Some(b"\xff\x00"), Some(b"\xc3(")),
            (
                Some(b"{\"base64\":\"AA==\"}"),
                Some("ä\u{0}\u{1b}\u{2028}".as_bytes()),
            ),
        ] {
            let mut record = record(key, value);
            record.headers = vec![
                ("a".into(), Some(Bytes::from_static(b"\x80"))),
                ("a".into(), None),
                ("".into(), Some("".into())),
            ];
            let line = printed(&record);
            assert_eq!(line.lines().count(), 1, "{line}");
            let read = parse(line.as_bytes(), None).unwrap();
            assert_eq!(read.topic, "orders");
            assert_eq!(read.partition, Some(3));
            assert_eq!(read.timestamp_ms, Some(record.timestamp_ms));
            assert_eq!((read.key, read.value), (record.key, record.value), "{line}");
            let headers: Vec<(Bytes, Option<Bytes>)> = read
                .headers
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect();
            assert_eq!(headers, record.headers);
        }
    }

    #[test]
    fn little_is_required_and_nothing_is_passed_over() {
        let read = parse(br#"{"value":null}"#, Some("t")).unwrap();
        assert_eq!(
            (read.topic.as_str(), read.key, read.value),
            ("t", None, None)
        );
        for (line, part) in [
            (r#"{"key":"a"}"#, "missing field `value`"),
            (r#"{"value":"a","Key":"b"}"#, "unknown field `Key`"),
            (r#"{"value":7}"#, "expected text, null or"),
            (r#"{"value":{"base64":"?"}}"#, "at column"),
            (r#"{"value":{"base46":"AA=="}}"#, "expected `base64`"),
            (
                r#"{"value":"a","headers":[{"key":null,"value":"b"}]}"#,
                "expected text",
            ),
            (r#"{"value":"a","value":"b"}"#, "duplicate field"),
            (r#"{"value":"a"} {"value":"b"}"#, "trailing characters"),
            ("[", "at column 1"),
        ] {
            let error = parse(line.as_bytes(), Some("t")).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
            assert!(!error.contains("at line"), "{error}");
        }
        assert!(
            parse(br#"{"value":"a"}"#, None)
                .unwrap_err()
                .contains("names no topic")
        );
    }
}
