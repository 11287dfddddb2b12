//! The writer's shell: messages to the cores' inputs, effects to the engine, the index and the completions.
//!
//! Coordinator → **OffsetPartitionWriter**; no children. Opens and replays in the background (`Loading`), then serves,
//! or refuses for good what the engine would not open. It fails when the engine takes the partition away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard_supervision::{Addr, Envelope, Timer, seldom};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tracing::{debug, error};
use uuid::Uuid;

use super::core::Now;
use super::core::order::Order;
use super::core::pipeline::{Effect, Pipeline};
use super::message::{Msg, Op};
use super::replay::replay;
use super::{AppendError, Completion, KIND, LoadedFn, WriterArgs, WriterMsg};
use crate::batch::Encoded;
use crate::clock::WallClock;
use crate::index::Index;
use crate::log::{Lease, LogError, OffsetsLog, Opened};
use crate::metrics::WriterMeter;
use crate::record::Record;

/// See the module.
#[derive(Debug)]
pub(super) struct OffsetPartitionWriter;

pub(super) struct State {
    pub(super) partition: u32,
    pub(super) log: Arc<dyn OffsetsLog>,
    pub(super) clock: WallClock,
    pub(super) myself: Addr<WriterMsg>,
    pub(super) origin: Instant,
    pub(super) meter: WriterMeter,
    pub(super) phase: Phase,
}

pub(super) enum Phase {
    /// Being opened or replayed; what was asked meanwhile waits.
    Loading(Loading),
    /// Serves.
    Serving(Box<Serving>),
    /// Will not serve: appends are refused, reads dropped.
    Refused,
}

pub(super) struct Loading {
    pub(super) loaded: Option<LoadedFn>,
    pub(super) opened: Option<Opened>,
    pub(super) waiting: Vec<Op>,
    pub(super) cancelled: Arc<AtomicBool>,
}

impl Drop for Loading {
    fn drop(&mut self) {
        // A blocking thread cannot be aborted; it looks at this between two batches.
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

pub(super) struct Serving {
    pub(super) lease: Lease,
    pub(super) pipeline: Pipeline<Item>,
    pub(super) order: Order<Op>,
    pub(super) index: Index,
    pub(super) timer: Option<(Now, Timer)>,
    pub(super) timers: u64,
}

/// An append on its way.
pub(super) struct Item {
    pub(super) group: Arc<str>,
    pub(super) records: Vec<Record>,
    /// As encoded for this base offset; taken when sent, made again if it is sent elsewhere.
    pub(super) encoded: Option<(i64, Encoded)>,
    pub(super) done: Completion,
    pub(super) handed: Instant,
}

#[ractor::async_trait]
impl Actor for OffsetPartitionWriter {
    type Msg = Envelope<WriterMsg>;
    type State = State;
    type Arguments = WriterArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: WriterArgs,
    ) -> Result<State, ActorProcessingErr> {
        let state = State {
            partition: args.partition,
            log: args.log,
            clock: args.clock,
            myself: Addr::new(myself, KIND),
            origin: Instant::now(),
            meter: WriterMeter::new(),
            phase: Phase::Loading(Loading {
                loaded: Some(args.loaded),
                opened: None,
                waiting: Vec::new(),
                cancelled: Arc::default(),
            }),
        };
        let done = state.port(Msg::Opened);
        state.log.open(state.partition, done);
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let mut effects = Vec::new();
        let now = state.origin.elapsed();
        match message.open().0 {
            Msg::Do(op) => state.take_in(op, &mut effects),
            Msg::Opened(Ok(opened)) => state.replay(opened),
            Msg::Opened(Err(error)) | Msg::Replayed(Err(error)) => state.refuse(&error),
            Msg::Replayed(Ok(index)) => state.serve(*index, &mut effects),
            Msg::Landed(number, result) => {
                if let Phase::Serving(serving) = &mut state.phase {
                    if let Err(error) = &result
                        && serving.pipeline.is_flowing()
                    {
                        // Those behind it fail because it did.
                        seldom!(warn, partition = state.partition, %error, "the engine refused an append");
                    }
                    serving.pipeline.landed(now, number, result, &mut effects);
                }
            }
            Msg::Resolved(result) => {
                if let Phase::Serving(serving) = &mut state.phase {
                    serving.pipeline.resolved(now, result, &mut effects);
                }
            }
            Msg::TimerFired(number) => {
                if let Phase::Serving(serving) = &mut state.phase
                    && serving.timers == number
                {
                    serving.timer = None;
                    serving.pipeline.tick(now, &mut effects);
                }
            }
        }
        state.perform(effects)?;
        state.arm();
        Ok(())
    }
}

impl State {
    /// An answer of the engine as a message to this writer. Dropped uncalled, it says that the engine is gone.
    pub(super) fn port<T: Send + 'static>(
        &self,
        message: impl FnOnce(Result<T, LogError>) -> Msg + Send + 'static,
    ) -> Box<dyn FnOnce(Result<T, LogError>) + Send> {
        struct Port<T, F: FnOnce(Result<T, LogError>)>(Option<F>, std::marker::PhantomData<fn(T)>);
        impl<T, F: FnOnce(Result<T, LogError>)> Drop for Port<T, F> {
            fn drop(&mut self) {
                if let Some(answer) = self.0.take() {
                    answer(Err(LogError::Closed));
                }
            }
        }
        let address = self.myself.clone();
        let answer = move |result| {
            // The writer may have ended; its successor hears of the append by replay.
            drop(address.cast(WriterMsg(message(result))));
        };
        let mut port = Port(Some(answer), std::marker::PhantomData);
        Box::new(move |result| {
            if let Some(answer) = port.0.take() {
                answer(result);
            }
        })
    }

    fn replay(&mut self, opened: Opened) {
        let Phase::Loading(loading) = &mut self.phase else {
            return;
        };
        loading.opened = Some(opened);
        let cancelled = Arc::clone(&loading.cancelled);
        let log = Arc::clone(&self.log);
        let partition = self.partition;
        // Dropped with a panicking replay, the port answers `Closed`: the partition is refused, not forgotten.
        let done = self.port(Msg::Replayed);
        tokio::task::spawn_blocking(move || {
            let read = replay(&*log, partition, opened.end.position, &cancelled);
            done(read.map(Box::new));
        });
    }

    fn refuse(&mut self, error: &LogError) {
        error!(partition = self.partition, %error, "offsets partition refused");
        if let Phase::Loading(mut loading) = std::mem::replace(&mut self.phase, Phase::Refused) {
            if let Some(loaded) = loading.loaded.take() {
                loaded(Err(error));
            }
            for op in std::mem::take(&mut loading.waiting) {
                op.refuse(AppendError::NotOurs);
            }
        }
    }

    fn serve(&mut self, index: Index, effects: &mut Vec<Effect<Item>>) {
        let Phase::Loading(loading) = &mut self.phase else {
            return;
        };
        let Some(opened) = loading.opened.take() else {
            return;
        };
        let took = self.origin.elapsed();
        self.meter.loaded(took, index.len());
        // Fifty of them at every start; the metrics have them too.
        debug!(
            partition = self.partition,
            entries = index.len(),
            end = opened.end.offset,
            took_ms = took.as_millis(),
            "offsets partition loaded"
        );
        if let Some(loaded) = loading.loaded.take() {
            loaded(Ok(&index));
        }
        let waiting = std::mem::take(&mut loading.waiting);
        let in_flight_max = self.log.capabilities().in_flight_max;
        let (id_prefix, _) = Uuid::new_v4().as_u64_pair();
        self.phase = Phase::Serving(Box::new(Serving {
            lease: opened.lease,
            pipeline: Pipeline::new(opened.end, in_flight_max, id_prefix),
            order: Order::default(),
            index,
            timer: None,
            timers: 0,
        }));
        for op in waiting {
            self.take_in(op, effects);
        }
    }

    /// Keeps one timer armed at the pipeline's next deadline.
    fn arm(&mut self) {
        let Phase::Serving(serving) = &mut self.phase else {
            return;
        };
        let deadline = serving.pipeline.next_deadline();
        if serving.timer.as_ref().map(|(at, _)| *at) == deadline {
            return;
        }
        serving.timers += 1;
        let number = serving.timers;
        serving.timer = deadline.map(|at| {
            let wait = at.saturating_sub(self.origin.elapsed());
            let fired = WriterMsg(Msg::TimerFired(number));
            (at, self.myself.send_after(wait, fired))
        });
    }
}
