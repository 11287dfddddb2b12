//! From the input to records: lines, read on a thread of their own, and what is on them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use bytes::Bytes;
use callboard_client::ProducerRecord;
use indicatif::ProgressBar;
use tokio::sync::mpsc;

use crate::args::{InputFormat, ProduceArgs};
use crate::failure::Failure;
use crate::{json, progress};

/// Lines that may wait between reader and producer; the producer itself is bounded by `buffer.memory`.
const LINES_WAITING_MAX: usize = 1024;

/// A line of the input, counted from 1.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) bytes: Bytes,
}

/// Why a line could not be read.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is longer than the line of any record may be.
    TooLong,
    /// The input failed.
    Failed(std::io::Error),
}

/// What a line means.
pub(super) enum Format {
    /// Key, separator, value; without a separator the line is the value.
    Lines {
        separator: Option<Vec<u8>>,
        null: Option<Bytes>,
    },
    /// One object a line.
    Json,
}

impl Format {
    /// What the command line says.
    pub(super) fn new(args: &ProduceArgs) -> Result<Self, Failure> {
        let (separator, null) = (&args.key_separator, &args.null_value);
        match args.input {
            InputFormat::Lines => Ok(Self::Lines {
                separator: separator.as_deref().map(parse_separator).transpose()?,
                null: null.clone().map(Bytes::from),
            }),
            InputFormat::Json if separator.is_some() || null.is_some() => Err(Failure::usage(
                "--key-separator and --null-value",
                "--input json names its keys, and null is null",
                "leave them out, or produce lines",
            )),
            InputFormat::Json => Ok(Self::Json),
        }
    }

    /// The longest line of a record of `size` bytes.
    pub(super) fn line_max(&self, size: usize) -> usize {
        match self {
            Self::Lines { .. } => size,
            Self::Json => json::line_max(size),
        }
    }

    /// The record on a line; none on an empty line between objects.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(super) fn record(
        &self,
        topic: Option<&str>,
        line: Bytes,
    ) -> Result<Option<ProducerRecord>, String> {
        match self {
            Self::Lines { separator, null } => {
                let topic = topic.ok_or("it names no topic")?;
                let separator = separator.as_deref();
                Ok(Some(record(topic, line, separator, null.as_ref())))
            }
            Self::Json if line.trim_ascii().is_empty() => Ok(None),
            Self::Json => json::parse(&line, topic).map(Some),
        }
    }
}

/// `\t` is written out, since few shells make typing a tab easy.
fn parse_separator(text: &str) -> Result<Vec<u8>, Failure> {
    match text {
        "" => Err(Failure::usage(
            "--key-separator",
            "it is empty",
            "give at least one character, or leave it out where lines have no keys",
        )),
        "\\t" => Ok(b"\t".to_vec()),
        text => Ok(text.as_bytes().to_vec()),
    }
}

/// The part before the first separator is the key; a line without a separator has no key. A part that is `null` is none.
fn record(
    topic: &str,
    line: Bytes,
    separator: Option<&[u8]>,
    null: Option<&Bytes>,
) -> ProducerRecord {
    let found = separator.and_then(|separator| {
        let at = line
            .windows(separator.len())
            .position(|window| window == separator)?;
        Some((line.slice(..at), line.slice(at + separator.len()..)))
    });
    let (key, value) = match found {
        Some((key, value)) => (Some(key), value),
        None => (None, line),
    };
    ProducerRecord {
        topic: topic.to_owned(),
        key: key.filter(|key| Some(key) != null),
        value: Some(value).filter(|value| Some(value) != null),
        ..ProducerRecord::default()
    }
}

/// The input, and a bar that moves with it.
pub(super) fn open(file: Option<&Path>) -> Result<(Box<dyn Read + Send>, ProgressBar), Failure> {
    let Some(path) = file else {
        return Ok((Box::new(std::io::stdin()), progress::counter("records")));
    };
    let unreadable = |error: std::io::Error| {
        Failure::usage(
            format_args!("cannot read {}", path.display()),
            error,
            "give --file one that can be read, or the lines on stdin",
        )
    };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let bar = progress::bytes(size, "read");
    Ok((Box::new(bar.wrap_read(file)), bar))
}

/// Reads on a thread of its own, since reading a terminal or a pipe cannot be cancelled: the thread may outlive the
/// command by the process's last moments, in the middle of a read. Ends when nobody receives.
pub(super) fn read_lines(
    input: Box<dyn Read + Send>,
    line_max: usize,
    keep_cr: bool,
) -> mpsc::Receiver<Result<Line, (u64, Unreadable)>> {
    let (lines, received) = mpsc::channel(LINES_WAITING_MAX);
    std::thread::spawn(move || {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let mut number = 0;
        loop {
            number += 1;
            let line = match next_line(&mut input, line_max, keep_cr) {
                Ok(Some(bytes)) => Ok(Line { number, bytes }),
                Ok(None) => return,
                Err(error) => Err((number, error)),
            };
            let last = line.is_err();
            if lines.blocking_send(line).is_err() || last {
                return;
            }
        }
    });
    received
}

/// The next line without its end, which is `\n` or `\r\n`; never more of it than a record may have.
fn next_line(
    input: &mut impl BufRead,
    line_max: usize,
    keep_cr: bool,
) -> Result<Option<Bytes>, Unreadable> {
    let mut line = Vec::new();
    let limit = u64::try_from(line_max)
        .unwrap_or(u64::MAX)
        .saturating_add(2);
    let mut limited = input.take(limit);
    let read = limited.read_until(b'\n', &mut line);
    if read.map_err(Unreadable::Failed)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if !keep_cr && line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() > line_max {
        return Err(Unreadable::TooLong);
    }
    Ok(Some(line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_and_value(
        line: &'static str,
        separator: Option<&str>,
        null: Option<&'static str>,
    ) -> (Option<Bytes>, Option<Bytes>) {
        let null = null.map(Bytes::from);
        let separator = separator.map(str::as_bytes);
        let record = record("t", Bytes::from(line), separator, null.as_ref());
        (record.key, record.value)
    }

    #[test]
    fn a_line_splits_at_the_first_separator() {
        let split = |line, separator| key_and_value(line, Some(separator), None);
        assert_eq!(split("a:b:c", ":"), (Some("a".into()), Some("b:c".into())));
        assert_eq!(split("a=>b", "=>"), (Some("a".into()), Some("b".into())));
        assert_eq!(split(":b", ":"), (Some("".into()), Some("b".into())));
        assert_eq!(split("ab", ":"), (None, Some("ab".into())));
        assert_eq!(key_and_value("a:b", None, None), (None, Some("a:b".into())));
    }

    #[test]
    fn what_is_the_null_value_is_none() {
        let split = |line, null| key_and_value(line, Some(":"), Some(null));
        assert_eq!(split("a:NULL", "NULL"), (Some("a".into()), None));
        assert_eq!(split("NULL:b", "NULL"), (None, Some("b".into())));
        assert_eq!(split("NULL", "NULL"), (None, None));
        assert_eq!(split("a:", ""), (Some("a".into()), None));
        assert_eq!(
            split("a:NULLs", "NULL"),
            (Some("a".into()), Some("NULLs".into()))
        );
    }

    #[test]
    fn lines_end_at_newlines_and_at_the_end() {
        let mut input = &b"one\r\n\n\r\nthree\r"[..];
        let mut next = || next_line(&mut input, 6, false).unwrap();
        assert_eq!(next(), Some("one".into()));
        assert_eq!(next(), Some("".into()));
        assert_eq!(next(), Some("".into()));
        assert_eq!(next(), Some("three\r".into()), "no line end, so no CRLF");
        assert_eq!(next(), None);
        let kept = next_line(&mut &b"one\r\n"[..], 6, true).unwrap();
        assert_eq!(kept, Some("one\r".into()));
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_whatever_ends_it() {
        for (input, fits) in [
            ("12345\r\n", true),
            ("12345\n", true),
            ("12345", true),
            ("123456\n", false),
            ("123456", false),
        ] {
            let line = next_line(&mut input.as_bytes(), 5, false);
            assert_eq!(line.is_ok(), fits, "{input:?}");
        }
    }

    #[test]
    fn an_endless_line_is_refused_at_the_limit() {
        let mut input = std::io::BufReader::new(std::io::repeat(b'x'));
        let refused = next_line(&mut input, 1000, false);
        assert!(matches!(refused, Err(Unreadable::TooLong)), "{refused:?}");
    }
}
