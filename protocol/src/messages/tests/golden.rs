//! Bodies written by Kafka 4.2.0's own classes: each decodes to the fields Kafka printed, and is written again to the
//! same bytes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::header::{self, RequestHeader};
use crate::testing::unhex;
use crate::wire::{Layout, Writer};
use crate::{ApiKey, Malformed};

#[derive(Deserialize)]
struct Golden {
    message: String,
    api_key: Option<i16>,
    version: i16,
    name: String,
    header_version: Option<i16>,
    hex: String,
    fields: Value,
}

const MESSAGES: &str = include_str!("../../../../testdata/kafka-4.2.0/messages.jsonl");
const REQUESTS: &str = include_str!("../../../../testdata/kafka-4.2.0/requests.json");

fn all() -> Vec<Golden> {
    #[derive(Deserialize)]
    struct File {
        messages: Vec<Golden>,
    }
    let file: File = serde_json::from_str(REQUESTS).unwrap();
    let lines = MESSAGES
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    file.messages.into_iter().chain(lines).collect()
}

fn check<'a, M: Message<'a> + Reread>(golden: &Golden, bytes: &'a [u8]) {
    let what = format!("{} v{} {}", golden.message, golden.version, golden.name);
    let version = golden.version;
    let layout = M::layout(version);
    assert_eq!(golden.api_key, Some(M::KEY.0), "{what}");
    let tagged = match golden.message.ends_with("Request") {
        true => M::KEY
            .tagged_request_header(version)
            .then_some(2)
            .or(Some(1)),
        false => Some(M::KEY.tagged_response_header(version).into()),
    };
    assert_eq!(golden.header_version, tagged, "{what}");
    assert_eq!(M::KEY.flexible_from(), M::FLEXIBLE_FROM, "{what}");
    assert!(M::VERSIONS.contains(&version), "{what}");
    let value = M::decode(bytes, version).expect(&what);
    assert_eq!(value.json(layout), golden.fields, "{what}");
    let written = value.encode(version).expect(&what);
    if golden.name == "unknown tags" {
        // They are skipped, so they cannot come back.
        assert_eq!(value.reread(&written, version), Ok(true), "{what}");
        assert!(written.len() < bytes.len(), "{what}");
    } else {
        assert_eq!(written, bytes, "{what}");
        assert_eq!(value.encoded_size(version), bytes.len(), "{what}");
    }
    // What follows a body is not looked at; what is missing of it is missed.
    let longer = [bytes, &[1]].concat();
    assert_eq!(value.reread(&longer, version), Ok(true), "{what}");
    for cut in 0..bytes.len() {
        let error = value.reread(&bytes[..cut], version).expect_err(&what);
        assert!(error.at <= cut, "{what} cut at {cut}");
    }
}

macro_rules! table_of_checks {
    ($($name:ident)*) => {
        fn check_any(golden: &Golden, bytes: &[u8]) -> bool {
            match golden.message.as_str() {
                $(stringify!($name) => check::<$name<'_>>(golden, bytes),)*
                _ => return false,
            }
            true
        }

        /// All versions of all messages that are declared.
        fn declared() -> BTreeMap<&'static str, std::ops::RangeInclusive<i16>> {
            BTreeMap::from([$((stringify!($name), $name::VERSIONS),)*])
        }
    };
}

each_message!(table_of_checks);

#[test]
fn every_golden_body_of_a_declared_message_decodes_and_encodes_to_the_same_bytes() {
    let mut seen: BTreeMap<(String, i16), usize> = BTreeMap::new();
    for golden in all() {
        if check_any(&golden, &unhex(&golden.hex)) {
            *seen.entry((golden.message, golden.version)).or_default() += 1;
        }
    }
    for (message, versions) in declared() {
        for version in versions {
            let bodies = seen.get(&(message.to_owned(), version));
            assert!(bodies.is_some(), "no golden body of {message} v{version}");
        }
    }
    assert!(
        seen.values().sum::<usize>() > 1200,
        "{}",
        seen.values().sum::<usize>()
    );
}

#[test]
fn every_api_is_in_the_list_of_all_messages() {
    let source = include_str!("../mod.rs");
    let modules = source.lines().filter(|line| line.starts_with("pub mod "));
    assert_eq!(2 * modules.count(), NAMES.len());
}

#[test]
fn versions_beyond_the_table_are_neither_read_nor_written() {
    for version in [-1, 10, i16::MAX, i16::MIN] {
        let error = JoinGroupRequest::decode(&[0; 100], version).unwrap_err();
        assert_eq!(error.reason, Malformed::Version(version));
        let error = JoinGroupRequest::default().encode(version).unwrap_err();
        assert_eq!(error.reason, crate::Unwritable::Version(version));
    }
}

#[test]
fn golden_request_headers() {
    let mut count = 0;
    for golden in all().iter().filter(|one| one.message == "RequestHeader") {
        let what = format!("v{} {}", golden.version, golden.name);
        let bytes = unhex(&golden.hex);
        let (read, rest) = header::read_request_start(&bytes).expect(&what);
        assert_eq!(read.api_key.0, golden.fields["requestApiKey"], "{what}");
        assert_eq!(
            read.api_version, golden.fields["requestApiVersion"],
            "{what}"
        );
        assert_eq!(
            read.correlation_id, golden.fields["correlationId"],
            "{what}"
        );
        assert_eq!(
            read.client_id.as_deref(),
            golden.fields["clientId"].as_str(),
            "{what}"
        );
        let kind = header::peek(&bytes).expect(&what);
        assert_eq!(
            (kind.api_key, kind.api_version),
            (read.api_key, read.api_version),
            "{what}"
        );
        if golden.name != "unknown tags" {
            assert_eq!(
                rest,
                if golden.version == 2 { &[0][..] } else { &[] },
                "{what}"
            );
            assert_eq!(written(&read, golden.version == 2), bytes, "{what}");
        }
        count += 1;
    }
    assert_eq!(count, 9);
}

fn written(header: &RequestHeader<'_>, tagged: bool) -> Vec<u8> {
    let layout = Layout {
        version: 0,
        flexible: true,
    };
    let mut writer = Writer::contiguous(layout, 0);
    header::write_request(&mut writer, header, tagged).unwrap();
    writer.into_pieces().concat()
}

#[test]
fn golden_response_headers() {
    for golden in all().iter().filter(|one| one.message == "ResponseHeader") {
        let what = format!("v{} {}", golden.version, golden.name);
        let bytes = [unhex(&golden.hex), b"body".to_vec()].concat();
        let key = if golden.version == 1 {
            ApiKey::HEARTBEAT
        } else {
            ApiKey::OFFSET_DELETE
        };
        let body = header::response_body(&bytes, key, 4).expect(&what);
        assert_eq!(body, b"body", "{what}");
        let id = header::correlation_id(&bytes).expect(&what);
        assert_eq!(id, golden.fields["correlationId"], "{what}");
        for cut in 0..bytes.len() - 4 {
            assert!(
                header::response_body(&bytes[..cut], key, 4).is_err(),
                "{what} cut at {cut}"
            );
        }
    }
}
