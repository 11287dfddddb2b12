//! `callboard produce`: lines in, records out, and one line on stderr at the end that says how many are stored.

mod input;

use callboard_client::{ClientError, Delivery, ErrorCode, Producer, Role};
use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::advice;
use crate::args::{InputFormat, ProduceArgs};
use crate::cluster;
use crate::failure::{Failure, tell};
use crate::signals::{Signal, Signals};

use input::{Format, Unreadable};

/// Deliveries that may wait to be looked at.
const DELIVERIES_WAITING_MAX: usize = 65_536;

/// Produces the lines of the input. Asked to end, it stores what it has read and ends; asked again, it ends at once.
pub(crate) async fn run(args: ProduceArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let mut asked = None;
    let impatience = async {
        asked = Some(signals.next().await);
        stop.cancel();
        signals.next().await
    };
    tokio::select! {
        outcome = produce(args, stop.clone()) => outcome?,
        signal = impatience => return Err(Failure::failed(
            "ended before all was stored",
            format_args!("a second {signal} came"),
            "see what the topic has before you produce the rest",
        )),
    }
    asked.map_or(Ok(()), Signal::ending)
}

/// A line that did not become a record, or a record that was not stored.
struct Trouble {
    line: u64,
    why: String,
    remedy: String,
}

async fn produce(args: ProduceArgs, stop: CancellationToken) -> Result<(), Failure> {
    if args.topic.is_none() && args.input == InputFormat::Lines {
        return Err(Failure::usage(
            "no topic is named",
            "lines do not say where they go",
            "`callboard produce TOPIC`; records of --input json may name theirs",
        ));
    }
    let format = Format::new(&args)?;
    let config = cluster::config(&args.cluster, Role::Producer)?;
    let record_max = config.max_request_size;
    let line_max = format.line_max(record_max);
    let (input, bar) = input::open(args.file.as_deref())?;
    let producer = Producer::new(cluster::connect(config).await?);
    let mut lines = input::read_lines(input, line_max, args.keep_cr);
    let (sent, deliveries) = mpsc::channel(DELIVERIES_WAITING_MAX);
    let counted = tokio::spawn(count(deliveries, bar.clone()));
    let mut trouble = None;
    loop {
        let line = tokio::select! {
            // The rest of the input is not ours any more.
            () = stop.cancelled() => break,
            line = lines.recv() => line,
        };
        let sending = match line {
            Some(Ok(line)) => {
                let number = line.number;
                send(&producer, &format, args.topic.as_deref(), line)
                    .await
                    .map(|delivery| delivery.map(|delivery| (number, delivery)))
            }
            Some(Err((line, unreadable))) => Err(not_read(line, &unreadable, record_max)),
            None => break,
        };
        match sending {
            Ok(Some(delivery)) => {
                if sent.send(delivery).await.is_err() {
                    // The counter has met a failure and says which.
                    break;
                }
            }
            Ok(None) => {}
            Err(met) => {
                trouble = Some(met);
                break;
            }
        }
    }
    drop(sent);
    producer.flush().await;
    let (stored, not_stored) = counted.await.map_err(|error| {
        Failure::failed(
            "cannot tell what is stored",
            error,
            "see what the topic has",
        )
    })?;
    bar.finish_and_clear();
    let to = args
        .topic
        .map_or_else(String::new, |topic| format!(" to {topic}"));
    match not_stored.or(trouble) {
        None => {
            tell(format_args!("produced {stored} records{to}"));
            Ok(())
        }
        // No summary beside an error: it says itself what is stored.
        Some(trouble) => Err(Failure::failed(
            format_args!("line {}", trouble.line),
            trouble.why,
            format_args!("{} (records stored before it: {stored})", trouble.remedy),
        )),
    }
}

fn not_read(line: u64, unreadable: &Unreadable, record_max: usize) -> Trouble {
    let (why, remedy) = match unreadable {
        Unreadable::TooLong => (
            format!("it is longer than max.request.size={record_max}"),
            "make it shorter, or raise --set max.request.size and the topic's max.message.bytes",
        ),
        Unreadable::Failed(error) => (
            format!("it cannot be read: {error}"),
            "see to the input and produce the rest",
        ),
    };
    Trouble {
        line,
        why,
        remedy: remedy.to_owned(),
    }
}

/// Hands the line's record to the producer; none on an empty line between objects.
async fn send(
    producer: &Producer,
    format: &Format,
    topic: Option<&str>,
    line: input::Line,
) -> Result<Option<Delivery>, Trouble> {
    let number = line.number;
    let record = format.record(topic, line.bytes).map_err(|why| Trouble {
        line: number,
        why,
        remedy: "one object a line, as `callboard consume --output json` prints them".to_owned(),
    })?;
    let Some(record) = record else {
        return Ok(None);
    };
    let (topic, partition) = (record.topic.clone(), record.partition);
    let sending = producer.send_record(record).await;
    sending.map(Some).map_err(|error| {
        let (why, remedy) = not_sent(&topic, partition, &error);
        Trouble {
            line: number,
            why,
            remedy,
        }
    })
}

/// Why, and what can be done about it.
fn not_sent(topic: &str, partition: Option<i32>, error: &ClientError) -> (String, String) {
    match (error, partition) {
        (ClientError::UnknownTopic(_), _) => (
            error.to_string(),
            format!(
                "`callboard topic create {topic} --partitions N` makes it, or --set allow.auto.create.topics=true"
            ),
        ),
        (_, Some(partition)) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => (
            format!("topic {topic} has no partition {partition}"),
            format!(
                "leave `partition` out of the input, or give the topic more: `callboard topic alter {topic} --partitions N`"
            ),
        ),
        (error, _) => (error.to_string(), advice::remedy(error).to_owned()),
    }
}

/// Awaits deliveries in order; stops at the first failure.
async fn count(
    mut deliveries: mpsc::Receiver<(u64, Delivery)>,
    bar: ProgressBar,
) -> (u64, Option<Trouble>) {
    let mut stored = 0;
    while let Some((line, delivery)) = deliveries.recv().await {
        if let Err(error) = delivery.await {
            let trouble = Trouble {
                line,
                why: format!("it is not stored: {error}"),
                remedy: advice::remedy(&error).to_owned(),
            };
            return (stored, Some(trouble));
        }
        stored += 1;
        // A file's bar moves with the bytes read.
        if bar.length().is_none() {
            bar.set_position(stored);
        }
    }
    (stored, None)
}
