//! `callboard consume`: prints the records of a group member's partitions and commits what it printed, or of partitions
//! that are named, without a group. A record counts as printed once stdout has taken it; whatever ends the command,
//! nothing beyond that is committed.

mod closed;
mod ends;
mod place;
mod plain;
mod printer;
mod said;

use std::time::Duration;

use callboard_client::{Client, ClientConfig, ClientError, Role, check_topic_name};
use callboard_consumer::{
    ConsumerError, ConsumerGroup, ConsumerGroupBuilder, ConsumerHandle, Event, Events, Record,
    RecordStream, ShutdownOptions, ShutdownReport, StreamRecord,
};
use futures_util::{FutureExt, StreamExt};

use crate::advice;
use crate::args::{ConsumeArgs, OutputFormat};
use crate::cluster;
use crate::consume::ends::Ends;
use crate::consume::plain::Plain;
use crate::consume::printer::Printer;
use crate::consume::said::Said;
use crate::failure::{Failure, say};
use crate::json;
use crate::signals::{Signal, Signals};
use crate::when::From;

/// How often the end of partitions is looked at: control batches and empty partitions reach it without a record.
const END_CHECK: Duration = Duration::from_millis(50);
/// How long a reader may take for what it was given, once we are to end.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long the last commit and the farewell to the group may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Consumes until told to stop, in order.
pub(crate) async fn run(args: ConsumeArgs) -> Result<(), Failure> {
    let format = Format::new(&args)?;
    for topic in &args.topics {
        check_topic_name(topic).map_err(|error| Failure::client("cannot consume", &error))?;
    }
    let config = config(&args)?;
    let mut signals = Signals::listen()?;
    let work = consume(args, format, config, &mut signals);
    // Large: the whole of a command.
    Box::pin(work).await
}

fn config(args: &ConsumeArgs) -> Result<ClientConfig, Failure> {
    let mut config = cluster::config(&args.cluster, Role::Consumer)?;
    let key = "auto.offset.reset";
    let is_set = args
        .cluster
        .set
        .iter()
        .any(|pair| pair.trim_start().starts_with(key));
    let reset = match (&args.group, args.from) {
        (Some(_), Some(From::Earliest)) => "earliest",
        (Some(_), Some(From::Latest)) => "latest",
        (Some(_), Some(From::Time(_) | From::Ago(_))) => {
            return Err(Failure::usage(
                "--from with a time and --group",
                "a group begins at what it has committed, or else at an end of the log",
                "leave --group out, or give earliest or latest",
            ));
        }
        // Where retention overtakes us, what is there still is wanted.
        (None, _) if !is_set => "earliest",
        (None, _) | (Some(_), None) => return Ok(config),
    };
    config
        .set(key, reset)
        .map_err(|error| cluster::refused("--from", &error))?;
    Ok(config)
}

async fn consume(
    args: ConsumeArgs,
    format: Format,
    config: ClientConfig,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let client = tokio::select! {
        client = cluster::connect(config) => client?,
        signal = signals.next() => return signal.ending(),
    };
    let builder = tokio::select! {
        builder = consumer(&args, &client) => builder?,
        signal = signals.next() => return signal.ending(),
    };
    let started = builder.start_stream();
    let (consumer, stream) = started.await.map_err(|error| {
        let (what, remedy) = ("cannot consume", advice::of_consumer(&error));
        match error {
            ConsumerError::Config(why) => Failure::usage(what, why, remedy),
            error => Failure::failed(what, error, remedy),
        }
    })?;
    let mut session = Session {
        events: consumer.events(),
        consumer,
        ends: Ends::new(client.clone(), args.exit_at_end),
        printer: Printer::new(format).map_err(Failure::stdout)?,
        said: Said::default(),
        left: args.max.unwrap_or(u64::MAX),
    };
    let mut asked = None;
    let outcome = session.go_on(stream, signals, &mut asked).await;
    let outcome = outcome.and(session.printer.finish(LAST_LINES).await);
    let report = leave(session.consumer, signals, &mut asked).await?;
    match outcome {
        // A terminal that has gone takes no lines either.
        Err(_) if asked == Some(Signal::Hangup) => {}
        outcome => outcome?,
    }
    say_uncommitted(&report, &client).await?;
    asked.map_or(Ok(()), Signal::ending)
}

/// A member of the group, or a reader of partitions that are named.
async fn consumer(args: &ConsumeArgs, client: &Client) -> Result<ConsumerGroupBuilder, Failure> {
    let builder = ConsumerGroup::builder(client);
    match &args.group {
        Some(group) => {
            missing_topics(args, client).await?;
            Ok(builder.group_id(group).topics(&args.topics))
        }
        None => Ok(builder.assign(place::places(args, client).await?)),
    }
}

/// Commits and leaves the group. Who asked before and asks again does not wait for it.
async fn leave(
    consumer: ConsumerHandle,
    signals: &mut Signals,
    asked: &mut Option<Signal>,
) -> Result<ShutdownReport, Failure> {
    let leaving = consumer.shutdown(ShutdownOptions {
        timeout: LEAVE_TIMEOUT,
        ..ShutdownOptions::default()
    });
    tokio::pin!(leaving);
    loop {
        tokio::select! {
            report = &mut leaving => return Ok(report),
            signal = signals.next() => if asked.replace(signal).is_some() {
                return Err(Failure::failed(
                    "ended before it had left the group",
                    format_args!("a second {signal} came"),
                    "the group goes on without it after session.timeout.ms, and what was not committed comes again",
                ));
            },
        }
    }
}

/// What could not be committed comes again, unless its topic has gone.
async fn say_uncommitted(report: &ShutdownReport, client: &Client) -> Result<(), Failure> {
    let mut partitions = Vec::new();
    for partition in &report.uncommitted {
        let asked = client.describe_topic(&partition.topic);
        let gone = matches!(
            tokio::time::timeout(LAST_LINES, asked).await,
            Ok(Err(ClientError::UnknownTopic(_)))
        );
        if !gone {
            partitions.push(partition.to_string());
        }
    }
    if partitions.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(
        format_args!("what was printed of {} comes again", partitions.join(", ")),
        "it could not be committed in time",
        "see that the group's coordinator is there before the next start",
    ))
}

/// A topic that is not there is waited for, as Kafka's consumers do; with `--exit-at-end` it has no end to wait for.
async fn missing_topics(args: &ConsumeArgs, client: &Client) -> Result<(), Failure> {
    for topic in &args.topics {
        match client.describe_topic(topic).await {
            Ok(_) => {}
            // Its absence is an event.
            Err(ClientError::UnknownTopic(_)) if !args.exit_at_end => {}
            Err(error) => {
                return Err(Failure::client(
                    format_args!("cannot consume {topic}"),
                    &error,
                ));
            }
        }
    }
    Ok(())
}

/// How a record looks on its line.
enum Format {
    Plain(Plain),
    Json,
}

impl Format {
    fn new(args: &ConsumeArgs) -> Result<Self, Failure> {
        let shown = [args.print_timestamp, args.print_headers, args.print_key];
        match args.output {
            OutputFormat::Plain => Ok(Self::Plain(Plain {
                timestamp: args.print_timestamp.unwrap_or(false),
                headers: args.print_headers.unwrap_or(false),
                key: args.print_key.unwrap_or(true),
                null: args.null_value.clone().unwrap_or_else(|| "-".to_owned()),
            })),
            OutputFormat::Json
                if shown.iter().any(Option::is_some) || args.null_value.is_some() =>
            {
                Err(Failure::usage(
                    "--print-… and --null-value",
                    "--output json has every part of a record, and null is null",
                    "leave them out, or print plain lines",
                ))
            }
            OutputFormat::Json => Ok(Self::Json),
        }
    }

    fn append(&self, text: &mut Vec<u8>, record: &Record) {
        match self {
            Self::Plain(plain) => plain.append(text, record),
            Self::Json => json::append(text, record),
        }
    }
}

/// A member at work.
struct Session {
    consumer: ConsumerHandle,
    events: Events,
    ends: Ends,
    printer: Printer,
    said: Said,
    /// Records that may still be printed.
    left: u64,
}

impl Session {
    /// Until all is printed that was asked for, or a signal comes: then `asked` is it.
    async fn go_on(
        &mut self,
        mut stream: RecordStream,
        signals: &mut Signals,
        asked: &mut Option<Signal>,
    ) -> Result<(), Failure> {
        let closed = closed::stdout();
        tokio::pin!(closed);
        let mut end_check = tokio::time::interval(END_CHECK);
        while self.left > 0 || self.printer.is_writing() {
            tokio::select! {
                biased;
                signal = signals.next() => {
                    *asked = Some(signal);
                    return Ok(());
                }
                written = self.printer.written() => written?,
                () = &mut closed => return Err(Failure::OutputClosed),
                ended = self.consumer.ended() => return ended.map_err(|error| {
                    Failure::failed("the consumer has ended", &error, advice::of_consumer(&error))
                }),
                Some(event) = self.events.recv() => self.heard(event)?,
                Some(record) = stream.next(), if !self.printer.is_writing() => {
                    self.print(record, &mut stream);
                }
                found = self.ends.found() => found.map_err(|error| {
                    Failure::client("cannot find the ends of partitions", &error)
                })?,
                _ = end_check.tick(), if self.ends.wanted() => {
                    if self.ends.reached(&self.consumer.progress()) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn heard(&mut self, event: Event) -> Result<(), Failure> {
        if let Some(line) = self.said.hear(&event) {
            say(line);
        }
        match event {
            Event::Assigned { owned, .. } => self.ends.assigned(owned),
            Event::Revoked { partitions, .. } | Event::Lost { partitions, .. } => {
                self.ends.gone(&partitions)
            }
            Event::Paused { partition, reason } => {
                return Err(Failure::failed(
                    format_args!("{partition} cannot be consumed"),
                    reason,
                    "what was printed is committed: mend the cause, or begin elsewhere in another group",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// Prints this record and those that are there already.
    fn print(&mut self, first: StreamRecord, stream: &mut RecordStream) {
        let mut next = Some(first);
        while let Some(record) = next {
            self.printer.add(record);
            self.left -= 1;
            // Looked at first: what is taken out of the stream has to be printed.
            let room = self.left > 0 && self.printer.has_room();
            next = if room {
                stream.next().now_or_never().flatten()
            } else {
                None
            };
        }
        self.printer.print();
    }
}
