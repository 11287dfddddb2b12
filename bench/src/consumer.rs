//! The consumer under test, as a process of its own: one member of a group, which handles so many records, commits them
//! and leaves. It says so on stdout and stays until its stdin ends, so that what it took can be read off it.
//!
//! An older program is measured beside a newer one by these arguments and this line, so both stay as they are.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use callboard_client::{Client, ClientConfig};
use callboard_consumer::{ConsumerGroup, ConsumerGroupBuilder, ConsumerHandle, ShutdownOptions};
use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::error::{BenchError, Doing};

/// How records reach the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum How {
    /// A closure per record.
    Closure,
    /// One stream of all partitions.
    Stream,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closure => "closure",
            Self::Stream => "stream",
        })
    }
}

/// What to consume.
#[derive(Debug, Args)]
pub(crate) struct ConsumeArgs {
    /// Where the broker listens.
    #[arg(long)]
    pub(crate) bootstrap: String,
    /// The topic, read from its beginning.
    #[arg(long)]
    pub(crate) topic: String,
    /// The group; a new one each time.
    #[arg(long)]
    pub(crate) group: String,
    /// How many records are handled before it ends.
    #[arg(long)]
    pub(crate) records: u64,
    /// How they reach the application.
    #[arg(long)]
    pub(crate) how: How,
}

/// Counts records, and the time from the first to the last.
#[derive(Debug)]
struct Count {
    wanted: u64,
    handled: AtomicU64,
    began: OnceLock<Instant>,
    took: OnceLock<Duration>,
    complete: Notify,
}

impl Count {
    fn new(wanted: u64) -> Self {
        Self {
            wanted,
            handled: AtomicU64::new(0),
            began: OnceLock::new(),
            took: OnceLock::new(),
            complete: Notify::new(),
        }
    }

    /// One more. Returns whether it is the last.
    fn handled(&self) -> bool {
        let before = self.handled.fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            self.began.get_or_init(Instant::now);
        }
        if before + 1 != self.wanted {
            return false;
        }
        let began = self.began.get_or_init(Instant::now);
        self.took.get_or_init(|| began.elapsed());
        self.complete.notify_one();
        true
    }
}

/// Consumes, says `consumed records=N seconds=S`, and waits for the end of stdin.
pub(crate) async fn run(args: ConsumeArgs) -> Result<(), BenchError> {
    let count = Arc::new(Count::new(args.records));
    let mut config = ClientConfig::bootstrap(&args.bootstrap)?;
    config.set("auto.offset.reset", "earliest")?;
    let client = Client::connect(config).await?;
    let builder = ConsumerGroup::builder(&client)
        .group_id(args.group)
        .topics([args.topic]);
    let consumer = match args.how {
        How::Closure => with_closure(builder, &count).await?,
        How::Stream => with_stream(builder, &count).await?,
    };
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    let committed: i64 = report.committed.values().sum();
    if !report.drained || u64::try_from(committed) != Ok(args.records) {
        return Err(BenchError::Client(format!(
            "it ended with {committed} of {} records committed",
            args.records
        )));
    }
    let seconds = count.took.get().copied().unwrap_or_default().as_secs_f64();
    writeln!(
        std::io::stdout(),
        "consumed records={} seconds={seconds}",
        args.records
    )
    .doing(|| "saying so".to_owned())?;
    // Nothing else is left to do here.
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .doing(|| "waiting for the end of stdin".to_owned())?;
    Ok(())
}

async fn with_closure(
    builder: ConsumerGroupBuilder,
    count: &Arc<Count>,
) -> Result<ConsumerHandle, BenchError> {
    let counted = Arc::clone(count);
    let consumer = builder
        .handle(move |record, _context| {
            std::hint::black_box(record.value);
            counted.handled();
            std::future::ready(Ok::<_, std::io::Error>(()))
        })
        .start()
        .await?;
    tokio::select! {
        () = count.complete.notified() => Ok(consumer),
        ended = consumer.ended() => Err(BenchError::Client(format!("it ended early: {ended:?}"))),
    }
}

async fn with_stream(
    builder: ConsumerGroupBuilder,
    count: &Count,
) -> Result<ConsumerHandle, BenchError> {
    let (consumer, mut records) = builder.start_stream().await?;
    while let Some(record) = records.next().await {
        std::hint::black_box(&record.value);
        record.ack();
        if count.handled() {
            return Ok(consumer);
        }
    }
    Err(BenchError::Client("the stream ended early".to_owned()))
}
