//! The compactor's shell: looks at the partitions when it is time, starts what the core decides, one at a time, and hears
//! how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use callboard_supervision::{Addr, Envelope, Timer, seldom};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tracing::debug;

use super::core::decide::Decider;
use super::work::compact;
use super::{CompactionConfig, KIND};
use crate::log::{Backlog, LogError, OffsetsLog};
use crate::metrics::CompactionMeter;

/// The shortest rest.
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// See the module.
pub(super) struct Compactor;

pub(super) struct Args {
    pub(super) log: Arc<dyn OffsetsLog>,
    pub(super) partitions: u32,
    pub(super) config: CompactionConfig,
}

pub(super) enum Msg {
    /// It is time.
    Look,
    /// A compaction ended.
    Ended {
        partition: u32,
        before: Backlog,
        result: Result<(), LogError>,
        took: Duration,
    },
}

pub(super) struct State {
    args: Args,
    myself: Addr<Msg>,
    origin: Instant,
    decider: Decider,
    meter: CompactionMeter,
    timer: Option<Timer>,
    cancelled: Arc<AtomicBool>,
}

impl Drop for State {
    fn drop(&mut self) {
        // A blocking thread cannot be aborted; it looks at this between two batches.
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

#[ractor::async_trait]
impl Actor for Compactor {
    type Msg = Envelope<Msg>;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        let mut state = State {
            decider: Decider::new(args.config),
            args,
            myself: Addr::new(myself, KIND),
            origin: Instant::now(),
            meter: CompactionMeter::new(),
            timer: None,
            cancelled: Arc::default(),
        };
        // Not at once: the partitions are being loaded.
        state.rest();
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let Msg::Ended {
            partition,
            before,
            result,
            took,
        } = message.open()
        {
            state.ended(partition, before, &result, took);
        }
        state.look();
        Ok(())
    }
}

impl State {
    fn look(&mut self) {
        let log = &self.args.log;
        let backlogs: Vec<(u32, Backlog)> = (0..self.args.partitions)
            .filter_map(|partition| Some((partition, log.backlog(partition)?)))
            .collect();
        match self.decider.next(self.origin.elapsed(), &backlogs) {
            Some((partition, backlog)) => self.start(partition, backlog),
            None => self.rest(),
        }
    }

    fn rest(&mut self) {
        let wait = self.args.config.check_interval.max(CHECK_INTERVAL_MIN);
        self.timer = Some(self.myself.send_after(wait, Msg::Look));
    }

    fn start(&mut self, partition: u32, before: Backlog) {
        let log = Arc::clone(&self.args.log);
        let cancelled = Arc::clone(&self.cancelled);
        let ending = Ending {
            address: self.myself.clone(),
            partition,
            before,
            result: Err(LogError::Read {
                reason: "the compaction panicked".to_owned(),
            }),
            started: Instant::now(),
        };
        tokio::task::spawn_blocking(move || {
            ending.tell(compact(&*log, partition, before.end, &cancelled));
        });
    }

    fn ended(
        &mut self,
        partition: u32,
        before: Backlog,
        result: &Result<(), LogError>,
        took: Duration,
    ) {
        let label = match result {
            Ok(()) => "ok",
            Err(LogError::Full) => "full",
            Err(LogError::Corrupt { .. }) => "corrupt",
            Err(_) => "failed",
        };
        self.meter.ended(label, took);
        self.decider
            .ended(self.origin.elapsed(), partition, result.is_ok());
        let took_ms = took.as_millis();
        match result {
            Ok(()) => {
                let after = self.args.log.backlog(partition).unwrap_or_default();
                debug!(
                    partition,
                    took_ms,
                    log_bytes = before.log_bytes,
                    snapshot_bytes = after.snapshot_bytes,
                    "compacted a partition of the offsets log"
                );
            }
            Err(error) => {
                seldom!(warn, partition, took_ms, %error, "cannot compact a partition of the offsets log, it grows until that works");
            }
        }
    }
}

/// Tells the compactor how it ended, also if it panicked.
struct Ending {
    address: Addr<Msg>,
    partition: u32,
    before: Backlog,
    result: Result<(), LogError>,
    started: Instant,
}

impl Ending {
    fn tell(mut self, result: Result<(), LogError>) {
        self.result = result;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let ended = Msg::Ended {
            partition: self.partition,
            before: self.before,
            result: std::mem::replace(&mut self.result, Ok(())),
            took: self.started.elapsed(),
        };
        // It may have been stopped meanwhile.
        drop(self.address.cast(ended));
    }
}
