//! How a record looks on a line: `topic/partition@offset key value`. Pure.

use std::fmt::Write as _;

use callboard_consumer::Record;

/// Stands for a missing key or value.
const NONE: &[u8] = b"-";

/// Appends the record's line.
pub(super) fn append(text: &mut Vec<u8>, record: &Record) {
    let mut place = String::new();
    // Writing to a string cannot fail.
    let _ = write!(place, "{}@{}", record.topic_partition, record.offset);
    text.extend_from_slice(place.as_bytes());
    for part in [&record.key, &record.value] {
        text.push(b' ');
        match part {
            Some(bytes) => escaped(text, bytes),
            None => text.extend_from_slice(NONE),
        }
    }
    text.push(b'\n');
}

/// A record is one line and cannot steer a terminal: control characters are written as escapes, all else as it is.
fn escaped(text: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.push(b'\t'),
            0..0x20 | 0x7f => text.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            byte => text.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use callboard_consumer::TopicPartition;

    use super::*;

    fn line(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> String {
        let mut text = Vec::new();
        let record = Record {
            topic_partition: TopicPartition::new("orders", 3),
            offset: 41,
            timestamp_ms: 0,
            key: key.map(Into::into),
            value: value.map(Into::into),
            headers: Vec::new(),
        };
        append(&mut text, &record);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_has_place_key_and_value() {
        assert_eq!(
            line(Some(b"alice"), Some(b"1 coffee")),
            "orders/3@41 alice 1 coffee\n"
        );
        assert_eq!(line(None, None), "orders/3@41 - -\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            line(Some(b"a\tb"), Some(b"two\nlines\r\x1b[31m")),
            "orders/3@41 a\tb two\\nlines\\r\\x1b[31m\n"
        );
    }
}
