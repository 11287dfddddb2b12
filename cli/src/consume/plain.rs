//! How a record looks on a line for people: `topic/partition@offset key value`, with timestamp and headers where they
//! are asked for. Pure.

use std::io::Write as _;

use callboard_consumer::Record;

/// What a line has.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) timestamp: bool,
    pub(super) headers: bool,
    pub(super) key: bool,
    /// Stands for a missing key, value or header value.
    pub(super) null: String,
}

impl Plain {
    /// Appends the record's line.
    pub(super) fn append(&self, text: &mut Vec<u8>, record: &Record) {
        // Writing to memory cannot fail.
        let _ = write!(text, "{}@{}", record.topic_partition, record.offset);
        if self.timestamp {
            let _ = write!(text, " {}", record.timestamp_ms);
        }
        if self.headers {
            text.push(b' ');
            self.headers(text, record);
        }
        if self.key {
            text.push(b' ');
            self.part(text, record.key.as_deref());
        }
        text.push(b' ');
        self.part(text, record.value.as_deref());
        text.push(b'\n');
    }

    fn headers(&self, text: &mut Vec<u8>, record: &Record) {
        if record.headers.is_empty() {
            self.part(text, None);
        }
        for (place, (name, value)) in record.headers.iter().enumerate() {
            if place > 0 {
                text.push(b',');
            }
            escaped(text, name);
            text.push(b'=');
            self.part(text, value.as_deref());
        }
    }

    fn part(&self, text: &mut Vec<u8>, part: Option<&[u8]>) {
        match part {
            Some(bytes) => escaped(text, bytes),
            None => text.extend_from_slice(self.null.as_bytes()),
        }
    }
}

/// A record is one line and cannot steer a terminal: control characters, what is no UTF-8, and the backslash are written
/// as escapes, all else as it is. Two texts never look the same.
fn escaped(text: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\n' => text.extend_from_slice(b"\\n"),
                '\r' => text.extend_from_slice(b"\\r"),
                '\\' => text.extend_from_slice(b"\\\\"),
                '\t' => text.push(b'\t'),
                letter => {
                    let mut encoded = [0; 4];
                    let encoded = letter.encode_utf8(&mut encoded).as_bytes();
                    if letter.is_control() {
                        hex(text, encoded);
                    } else {
                        text.extend_from_slice(encoded);
                    }
                }
            }
        }
        hex(text, chunk.invalid());
    }
}

fn hex(text: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use callboard_consumer::TopicPartition;

    use super::*;

    const USUAL: Plain = Plain {
        timestamp: false,
        headers: false,
        key: true,
        null: String::new(),
    };

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

    fn printed(plain: &Plain, record: &Record) -> String {
        let mut text = Vec::new();
        plain.append(&mut text, record);
        String::from_utf8(text).unwrap()
    }

    fn line(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> String {
        let plain = Plain {
            null: "-".to_owned(),
            ..USUAL
        };
        printed(&plain, &record(key, value))
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
    fn a_line_has_what_is_asked_for() {
        let mut record = record(Some(b"alice"), None);
        let all = Plain {
            timestamp: true,
            headers: true,
            key: true,
            null: "NULL".to_owned(),
        };
        assert_eq!(
            printed(&all, &record),
            "orders/3@41 1700000000123 NULL alice NULL\n"
        );
        record.headers = vec![("a".into(), Some("1\n".into())), ("b".into(), None)];
        assert_eq!(
            printed(&all, &record),
            "orders/3@41 1700000000123 a=1\\n,b=NULL alice NULL\n"
        );
        let little = Plain {
            key: false,
            ..USUAL
        };
        assert_eq!(printed(&little, &record), "orders/3@41 \n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            line(Some(b"a\tb"), Some(b"two\nlines\r\x1b[31m")),
            "orders/3@41 a\tb two\\nlines\\r\\x1b[31m\n"
        );
        // U+009B begins a command like ESC [ does, also as the byte that it is in older terminals.
        assert_eq!(
            line(Some("ä\u{9b}1m".as_bytes()), Some(b"\x9b1m")),
            "orders/3@41 ä\\xc2\\x9b1m \\x9b1m\n"
        );
    }

    #[test]
    fn two_values_never_look_the_same() {
        for (one, other) in [
            (&b"a\n"[..], &b"a\\n"[..]),
            (b"\x00", b"\\x00"),
            (b"\x1b", b"\\x1b"),
            (b"\r", b"\\r"),
            (b"\xff", b"\\xff"),
            (b"\\", b"\\\\"),
        ] {
            assert_ne!(line(None, Some(one)), line(None, Some(other)), "{one:?}");
        }
    }
}
