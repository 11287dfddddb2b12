//! One member of the demo's group: a consumer with a handler per partition that hands each row to the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use callboard_client::{Client, ClientConfig, ConfigError};
use callboard_consumer::{
    ConsumerError, ConsumerGroup, ConsumerHandle, Event, HandlerError, Outcome, PartitionContext,
    PartitionHandler, Record, ShutdownOptions, ShutdownReport,
};
use tokio::task::JoinSet;

use super::report::{Report, Sink};

/// The group.
pub(super) const GROUP: &str = "departures";
/// The topic.
pub(super) const TOPIC: &str = "flights";
/// Rows a handler works off before it rests for [`REST`]: slow enough to watch, about 1,000 a second and partition.
const ROWS_BETWEEN_RESTS: u32 = 50;
const REST: Duration = Duration::from_millis(50);
/// The first handler that comes this far panics, once.
const STUMBLES_AT: i64 = 300;
/// What it says.
pub(super) const STUMBLE: &str = "stage fright";

/// The configuration of every member. Short timeouts: nobody wants to watch Kafka's usual 45 s go by.
pub(super) fn config(bootstrap: &str) -> Result<ClientConfig, ConfigError> {
    let mut config = ClientConfig::bootstrap(bootstrap)?;
    for (key, value) in [
        ("auto.offset.reset", "earliest"),
        ("session.timeout.ms", "3000"),
        ("heartbeat.interval.ms", "500"),
        ("auto.commit.interval.ms", "500"),
        ("max.poll.interval.ms", "20000"),
    ] {
        config.set(key, value)?;
    }
    Ok(config)
}

/// A running member.
#[derive(Debug)]
pub(super) struct Member {
    handle: ConsumerHandle,
    /// Passes the consumer's events on.
    events: JoinSet<()>,
}

impl Member {
    /// Joins the group. `stumble` is what makes one handler panic, once for all who share it; `None` never does.
    pub(super) async fn join(
        client: &Client,
        sink: Sink,
        stumble: Option<Arc<AtomicBool>>,
    ) -> Result<Self, ConsumerError> {
        let rows = Arc::clone(&sink);
        let handle = ConsumerGroup::builder(client)
            .group_id(GROUP)
            .topics([TOPIC])
            .handler(move |_partition| Departures {
                sink: Arc::clone(&rows),
                stumble: stumble.clone(),
                worked: 0,
            })
            .start()
            .await?;
        let mut heard = handle.events();
        let mut events = JoinSet::new();
        events.spawn(async move {
            while let Some(event) = heard.recv().await {
                let last = event == Event::Left;
                if let Some(report) = Report::of(event) {
                    sink(report);
                }
                if last {
                    return;
                }
            }
        });
        Ok(Self { handle, events })
    }

    /// Finishes the rows in work, commits, leaves the group, and tells what is left to tell.
    pub(super) async fn leave(mut self) -> ShutdownReport {
        let report = self.handle.shutdown(ShutdownOptions::default()).await;
        if report.drained {
            // Its last event is that it has left.
            while self.events.join_next().await.is_some() {}
        }
        report
    }
}

/// Handles one partition.
struct Departures {
    sink: Sink,
    stumble: Option<Arc<AtomicBool>>,
    worked: u32,
}

#[async_trait]
impl PartitionHandler for Departures {
    async fn handle(
        &mut self,
        record: &Record,
        _context: &PartitionContext,
    ) -> Result<Outcome, HandlerError> {
        let value = record.value.as_deref().unwrap_or_default();
        let row = std::str::from_utf8(value)?.to_owned();
        (self.sink)(Report::Row {
            partition: record.partition(),
            offset: record.offset,
            row,
        });
        // After the row is counted and before it is acknowledged: the worst moment there is.
        if record.offset >= STUMBLES_AT
            && self
                .stumble
                .as_ref()
                .is_some_and(|flag| !flag.swap(true, Ordering::Relaxed))
        {
            std::panic::panic_any(STUMBLE);
        }
        self.worked += 1;
        if self.worked.is_multiple_of(ROWS_BETWEEN_RESTS) {
            tokio::time::sleep(REST).await;
        }
        Ok(Outcome::Done)
    }
}
