//! `callboard consume`: prints the records of a group member's partitions, and commits what it printed. A record counts
//! as printed once stdout has taken it; whatever ends the command, nothing beyond that is committed.

mod closed;
mod ends;
mod line;

use std::io::Write;
use std::time::Duration;

use callboard_client::{Client, ClientConfig, ClientError};
use callboard_consumer::{
    ConsumerError, ConsumerGroup, ConsumerHandle, Event, Events, RecordStream, ShutdownOptions,
    StreamRecord,
};
use futures_util::{FutureExt, StreamExt};

use crate::args::{ConsumeArgs, From};
use crate::cluster;
use crate::consume::ends::Ends;
use crate::failure::Failure;
use crate::signals::Signals;

/// Bytes printed before stdout is flushed although more is waiting.
const PRINTED_MAX: usize = 64 * 1024;
/// How often the end of partitions is looked at: control batches and empty partitions reach it without a record.
const END_CHECK: Duration = Duration::from_millis(50);
/// How long the last commit and the farewell to the group may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Consumes until told to stop, in order.
pub(crate) async fn run(args: ConsumeArgs) -> Result<(), Failure> {
    let config = config(&args)?;
    let mut signals = Signals::listen()?;
    let work = consume(args, config, &mut signals);
    // Large: the whole of a command.
    Box::pin(work).await
}

fn config(args: &ConsumeArgs) -> Result<ClientConfig, Failure> {
    let mut config = cluster::config(&args.cluster)?;
    let reset = match args.from {
        Some(From::Earliest) => "earliest",
        Some(From::Latest) => "latest",
        None => return Ok(config),
    };
    config
        .set("auto.offset.reset", reset)
        .map_err(Failure::usage)?;
    Ok(config)
}

async fn consume(
    args: ConsumeArgs,
    config: ClientConfig,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let client = tokio::select! {
        client = cluster::connect(config) => client?,
        _ = signals.next() => return Ok(()),
    };
    tokio::select! {
        missing = missing_topics(&args, &client) => missing?,
        _ = signals.next() => return Ok(()),
    }
    let started = ConsumerGroup::builder(&client)
        .group_id(&args.group)
        .topics(&args.topics)
        .start_stream();
    let (consumer, stream) = started.await.map_err(|error| match error {
        ConsumerError::Config(reason) => Failure::usage(reason),
        error => Failure::failed(error),
    })?;
    let mut session = Session {
        events: consumer.events(),
        consumer,
        ends: Ends::new(client, args.exit_at_end),
        printer: Printer::default(),
        left: args.max.unwrap_or(u64::MAX),
    };
    let outcome = session.go_on(stream, signals).await;
    let leaving = session.consumer.shutdown(ShutdownOptions {
        timeout: LEAVE_TIMEOUT,
        ..ShutdownOptions::default()
    });
    let report = tokio::select! {
        report = leaving => report,
        signal = signals.next() => {
            return Err(Failure::failed(format_args!("a second {signal} ended it before it had left the group")));
        }
    };
    outcome?;
    if report.uncommitted.is_empty() {
        return Ok(());
    }
    let partitions: Vec<String> = report.uncommitted.iter().map(ToString::to_string).collect();
    Err(Failure::failed(format_args!(
        "what was printed of {} could not be committed in time and comes again",
        partitions.join(", ")
    )))
}

/// A topic that is not there is waited for, as Kafka's consumers do; with `--exit-at-end` it has no end to wait for.
async fn missing_topics(args: &ConsumeArgs, client: &Client) -> Result<(), Failure> {
    for topic in &args.topics {
        match client.describe_topic(topic).await {
            Ok(_) => {}
            Err(error @ ClientError::UnknownTopic(_)) if args.exit_at_end => {
                return Err(Failure::failed(error));
            }
            Err(error @ ClientError::UnknownTopic(_)) => {
                eprintln!("callboard: {error} yet, waiting for it")
            }
            Err(error) => return Err(Failure::failed(format_args!("topic {topic}: {error}"))),
        }
    }
    Ok(())
}

/// A member at work.
struct Session {
    consumer: ConsumerHandle,
    events: Events,
    ends: Ends,
    printer: Printer,
    /// Records that may still be printed.
    left: u64,
}

impl Session {
    async fn go_on(
        &mut self,
        mut stream: RecordStream,
        signals: &mut Signals,
    ) -> Result<(), Failure> {
        let closed = closed::stdout();
        tokio::pin!(closed);
        let mut end_check = tokio::time::interval(END_CHECK);
        while self.left > 0 {
            tokio::select! {
                biased;
                _ = signals.next() => return Ok(()),
                () = &mut closed => return Err(Failure::OutputClosed),
                ended = self.consumer.ended() => return ended.map_err(Failure::failed),
                Some(event) = self.events.recv() => self.heard(event)?,
                Some(record) = stream.next() => self.print(record, &mut stream)?,
                found = self.ends.found() => found.map_err(Failure::failed)?,
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
        match event {
            Event::Assigned { owned, .. } => self.ends.assigned(owned),
            Event::Revoked { partitions, .. } | Event::Lost { partitions, .. } => {
                self.ends.gone(&partitions)
            }
            Event::Paused { partition, reason } => {
                return Err(Failure::failed(format_args!(
                    "{partition} cannot be consumed: {reason}"
                )));
            }
            // Commits and joins are tried again by themselves; RUST_LOG=warn shows them.
            _ => {}
        }
        Ok(())
    }

    /// Prints this record and those that are there already, then acknowledges them.
    fn print(&mut self, first: StreamRecord, stream: &mut RecordStream) -> Result<(), Failure> {
        let mut next = Some(first);
        while let Some(record) = next {
            self.printer.add(record);
            self.left -= 1;
            // Looked at first: what is taken out of the stream has to be printed.
            let room = self.left > 0 && self.printer.text.len() < PRINTED_MAX;
            next = if room {
                stream.next().now_or_never().flatten()
            } else {
                None
            };
        }
        self.printer.flush()
    }
}

/// Lines on their way to stdout, and the records they are of.
#[derive(Default)]
struct Printer {
    text: Vec<u8>,
    records: Vec<StreamRecord>,
}

impl Printer {
    fn add(&mut self, record: StreamRecord) {
        line::append(&mut self.text, &record);
        self.records.push(record);
    }

    /// Gives the lines to stdout. Their records are acknowledged if it took them, and let go of if not.
    fn flush(&mut self) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(&self.text).and_then(|()| stdout.flush());
        self.text.clear();
        for record in self.records.drain(..) {
            if written.is_ok() {
                // False where the partition has gone to another member meanwhile, which prints it too: at least once.
                record.ack();
            }
        }
        Ok(written?)
    }
}
