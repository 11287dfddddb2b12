//! `callboard produce`: lines in, records out, and one line at the end that says how many are stored.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use bytes::Bytes;
use callboard_client::{ClientError, Delivery, Producer, ProducerRecord};
use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::args::ProduceArgs;
use crate::cluster;
use crate::failure::Failure;
use crate::progress;
use crate::signals::Signals;

/// Lines that may wait between reader and producer; the producer itself is bounded by `buffer.memory`.
const LINES_WAITING_MAX: usize = 1024;
/// Deliveries that may wait to be looked at.
const DELIVERIES_WAITING_MAX: usize = 65_536;

/// A line of the input, counted from 1.
struct Line {
    number: u64,
    bytes: Bytes,
}

/// Produces the lines of the input. Asked to end, it stores what it has read and ends; asked again, it ends at once.
pub(crate) async fn run(args: ProduceArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let impatience = async {
        signals.next().await;
        stop.cancel();
        signals.next().await
    };
    tokio::select! {
        outcome = produce(args, stop.clone()) => outcome,
        signal = impatience => Err(Failure::failed(format_args!("a second {signal} ended it before all was stored"))),
    }
}

async fn produce(args: ProduceArgs, stop: CancellationToken) -> Result<(), Failure> {
    let separator = args.key_separator.as_deref().map(separator).transpose()?;
    let config = cluster::config(&args.cluster)?;
    let line_max = config.max_request_size;
    let (input, bar) = open(args.file.as_deref())?;
    let producer = Producer::new(cluster::connect(config).await?);
    let mut lines = read_lines(input, line_max);
    let (sent, deliveries) = mpsc::channel(DELIVERIES_WAITING_MAX);
    let counted = tokio::spawn(count(deliveries, bar.clone()));
    let mut outcome = Ok(());
    loop {
        let line = tokio::select! {
            // The rest of the input is not ours any more.
            () = stop.cancelled() => break,
            line = lines.recv() => line,
        };
        let line = match line {
            Some(Ok(line)) => line,
            Some(Err(failure)) => {
                outcome = Err(failure);
                break;
            }
            None => break,
        };
        let number = line.number;
        let sending = producer.send_record(record(&args.topic, line.bytes, separator.as_deref()));
        let delivery = match sending.await {
            Ok(delivery) => delivery,
            Err(error) => {
                outcome = Err(not_sent(number, &args.topic, &error));
                break;
            }
        };
        if sent.send((number, delivery)).await.is_err() {
            // The counter has met a failure and says which.
            break;
        }
    }
    drop(sent);
    producer.flush().await;
    let (stored, failed) = counted.await.map_err(Failure::failed)?;
    bar.finish_and_clear();
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "produced {stored} records to {}", args.topic)?;
    stdout.flush()?;
    outcome.and(failed)
}

/// Says what can be done about it where something can.
fn not_sent(number: u64, topic: &str, error: &ClientError) -> Failure {
    match error {
        ClientError::UnknownTopic(_) => Failure::failed(format_args!(
            "line {number}: {error}; `callboard topic create {topic} --partitions N` makes it, or --set allow.auto.create.topics=true"
        )),
        error => Failure::failed(format_args!("line {number}: {error}")),
    }
}

/// `\t` is written out, since few shells make typing a tab easy.
fn separator(text: &str) -> Result<Vec<u8>, Failure> {
    match text {
        "" => Err(Failure::usage(
            "--key-separator: expected at least one character",
        )),
        "\\t" => Ok(b"\t".to_vec()),
        text => Ok(text.as_bytes().to_vec()),
    }
}

/// The part before the first separator is the key; a line without a separator has no key.
fn record(topic: &str, line: Bytes, separator: Option<&[u8]>) -> ProducerRecord {
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
        key,
        value: Some(value),
        ..ProducerRecord::default()
    }
}

/// Awaits deliveries in order; stops at the first failure.
async fn count(
    mut deliveries: mpsc::Receiver<(u64, Delivery)>,
    bar: ProgressBar,
) -> (u64, Result<(), Failure>) {
    let mut stored = 0;
    while let Some((number, delivery)) = deliveries.recv().await {
        if let Err(error) = delivery.await {
            return (
                stored,
                Err(Failure::failed(format_args!(
                    "line {number} is not stored: {error}"
                ))),
            );
        }
        stored += 1;
        // A file's bar moves with the bytes read.
        if bar.length().is_none() {
            bar.set_position(stored);
        }
    }
    (stored, Ok(()))
}

fn open(file: Option<&Path>) -> Result<(Box<dyn Read + Send>, ProgressBar), Failure> {
    let Some(path) = file else {
        return Ok((Box::new(std::io::stdin()), progress::counter("records")));
    };
    let unreadable = |error: std::io::Error| {
        Failure::usage(format_args!("cannot read {}: {error}", path.display()))
    };
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let bar = progress::bytes(size, "read");
    Ok((Box::new(bar.wrap_read(file)), bar))
}

/// Reads on a thread of its own, since reading a terminal or a pipe cannot be cancelled: the thread may outlive the
/// command by the process's last moments, in the middle of a read. Ends when nobody receives.
fn read_lines(
    input: Box<dyn Read + Send>,
    line_max: usize,
) -> mpsc::Receiver<Result<Line, Failure>> {
    let (lines, received) = mpsc::channel(LINES_WAITING_MAX);
    std::thread::spawn(move || {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let mut number = 0;
        loop {
            number += 1;
            let line = match next_line(&mut input, line_max) {
                Ok(Some(bytes)) => Ok(Line { number, bytes }),
                Ok(None) => return,
                Err(error) => Err(Failure::failed(format_args!("line {number}: {error}"))),
            };
            let last = line.is_err();
            if lines.blocking_send(line).is_err() || last {
                return;
            }
        }
    });
    received
}

/// The next line without its end; never more of it than a record may have.
fn next_line(input: &mut impl BufRead, line_max: usize) -> std::io::Result<Option<Bytes>> {
    let mut line = Vec::new();
    let limit = u64::try_from(line_max)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    if input.take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > line_max {
        return Err(std::io::Error::other(format!(
            "it is longer than max.request.size={line_max}"
        )));
    }
    Ok(Some(line.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_and_value(
        line: &'static str,
        separator: Option<&str>,
    ) -> (Option<Bytes>, Option<Bytes>) {
        let record = record("t", Bytes::from(line), separator.map(str::as_bytes));
        (record.key, record.value)
    }

    #[test]
    fn a_line_splits_at_the_first_separator() {
        let split = |line, separator| key_and_value(line, Some(separator));
        assert_eq!(split("a:b:c", ":"), (Some("a".into()), Some("b:c".into())));
        assert_eq!(split("a=>b", "=>"), (Some("a".into()), Some("b".into())));
        assert_eq!(split(":b", ":"), (Some("".into()), Some("b".into())));
        assert_eq!(split("ab", ":"), (None, Some("ab".into())));
        assert_eq!(key_and_value("a:b", None), (None, Some("a:b".into())));
    }

    #[test]
    fn lines_end_at_newlines_and_at_the_end() {
        let mut input = &b"one\n\nthree"[..];
        let mut next = || next_line(&mut input, 5).unwrap();
        assert_eq!(next(), Some("one".into()));
        assert_eq!(next(), Some("".into()));
        assert_eq!(next(), Some("three".into()));
        assert_eq!(next(), None);
    }

    #[test]
    fn an_endless_line_is_refused_at_the_limit() {
        let mut input = std::io::BufReader::new(std::io::repeat(b'x'));
        let error = next_line(&mut input, 1000).unwrap_err().to_string();
        assert!(error.contains("max.request.size=1000"), "{error}");
    }
}
