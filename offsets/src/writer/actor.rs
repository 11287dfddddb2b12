//! The writer's shell: messages to the cores' inputs, effects to the engine, the index and the completions.
//!
//! Coordinator → **OffsetPartitionWriter**; no children. Opens and replays in the background (`Loading`), then serves,
//! or refuses for good what the engine would not open. It fails when the engine takes the partition away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard_supervision::{Addr, Envelope, Timer};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::core::order::{Order, Released};
use super::core::pipeline::{Effect, Fatal, Pipeline};
use super::core::{Now, Ticket};
use super::replay::replay;
use super::{AppendError, Completion, KIND, LoadedFn, PlanFn, ReadFn, WriterArgs};
use crate::batch::{self, Encoded};
use crate::clock::WallClock;
use crate::index::Index;
use crate::log::{Batch, BatchId, End, Lease, LogError, OffsetsLog, Opened, Resolution};
use crate::metrics::{WriterMeter, append_failed};
use crate::record::Record;

/// What a writer is told. Made by the methods of [`Writer`](super::Writer) and by the writer itself.
pub struct WriterMsg(Msg);

impl std::fmt::Debug for WriterMsg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterMsg")
    }
}

enum Msg {
    /// From outside; answered through its closure.
    Do(Op),
    /// The engine opened the partition, or would not.
    Opened(Result<Opened, LogError>),
    /// The replay has ended.
    Replayed(Result<Box<Index>, LogError>),
    /// The engine answered an append.
    Landed(Ticket, Result<u64, LogError>),
    /// The engine answered what became of one.
    Resolved(Result<Resolution, LogError>),
    /// The timer of this number fired.
    TimerFired(u64),
}

enum Op {
    Append {
        group: Arc<str>,
        records: Vec<Record>,
        done: Completion,
    },
    Read {
        group: Option<Arc<str>>,
        read: ReadFn,
    },
    Change {
        group: Arc<str>,
        plan: PlanFn,
        done: Completion,
    },
    /// An append of nothing: waits for its turn like a read.
    Nothing { group: Arc<str>, done: Completion },
}

impl WriterMsg {
    pub(super) fn append(
        group: Arc<str>,
        records: Vec<Record>,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) -> Self {
        debug_assert!(records.iter().all(|record| *record.group() == group));
        Self(Msg::Do(Op::Append {
            group,
            records,
            done: Completion(Some(Box::new(done))),
        }))
    }

    pub(super) fn read(
        group: Option<Arc<str>>,
        read: impl FnOnce(&Index) + Send + 'static,
    ) -> Self {
        Self(Msg::Do(Op::Read {
            group,
            read: Box::new(read),
        }))
    }

    pub(super) fn change(
        group: Arc<str>,
        plan: impl FnOnce(&Index) -> Vec<Record> + Send + 'static,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) -> Self {
        Self(Msg::Do(Op::Change {
            group,
            plan: Box::new(plan),
            done: Completion(Some(Box::new(done))),
        }))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct OffsetPartitionWriter;

pub(super) struct State {
    partition: u32,
    log: Arc<dyn OffsetsLog>,
    clock: WallClock,
    myself: Addr<WriterMsg>,
    origin: Instant,
    meter: WriterMeter,
    phase: Phase,
}

enum Phase {
    /// Being opened or replayed; what was asked meanwhile waits.
    Loading(Loading),
    /// Serves.
    Serving(Box<Serving>),
    /// Will not serve: appends are refused, reads dropped.
    Refused,
}

struct Loading {
    loaded: Option<LoadedFn>,
    opened: Option<Opened>,
    waiting: Vec<Op>,
    cancelled: Arc<AtomicBool>,
}

impl Drop for Loading {
    fn drop(&mut self) {
        // A blocking thread cannot be aborted; it looks at this between two batches.
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

struct Serving {
    lease: Lease,
    pipeline: Pipeline<Item>,
    order: Order<Op>,
    index: Index,
    timer: Option<(Now, Timer)>,
    timers: u64,
}

/// An append on its way.
struct Item {
    group: Arc<str>,
    records: Vec<Record>,
    /// As encoded for this base offset; taken when sent, made again if it is sent elsewhere.
    encoded: Option<(i64, Encoded)>,
    done: Completion,
    handed: Instant,
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
            Msg::Landed(ticket, result) => {
                if let Phase::Serving(serving) = &mut state.phase {
                    if let Err(error) = &result
                        && serving.pipeline.is_flowing()
                    {
                        // Those behind it fail because it did.
                        warn!(partition = state.partition, %error, "the engine refused an append");
                    }
                    serving.pipeline.landed(now, ticket, result, &mut effects);
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
    fn port<T: Send + 'static>(
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
                refuse(op, AppendError::NotOurs);
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
        info!(
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

    /// Does what was asked, or puts it behind what it has to wait for.
    fn take_in(&mut self, op: Op, effects: &mut Vec<Effect<Item>>) {
        let serving = match &mut self.phase {
            Phase::Loading(loading) => return loading.waiting.push(op),
            Phase::Refused => return refuse(op, AppendError::NotOurs),
            Phase::Serving(serving) => serving,
        };
        let order = &mut serving.order;
        let free = match op {
            Op::Append {
                group,
                records,
                done,
            } if records.is_empty() => {
                order.read(Some(&Arc::clone(&group)), Op::Nothing { group, done })
            }
            Op::Append { ref group, .. } => order.append(&Arc::clone(group), op),
            Op::Read { ref group, .. } => order.read(group.clone().as_deref(), op),
            Op::Nothing { ref group, .. } => order.read(Some(&Arc::clone(group)), op),
            Op::Change { ref group, .. } => order.change(&Arc::clone(group), op),
        };
        match free {
            None => {}
            Some(Op::Append {
                group,
                records,
                done,
            }) => self.submit(group, records, done, effects),
            Some(Op::Change { group, plan, done }) => {
                let records = plan(&serving.index);
                if records.is_empty() {
                    done.call(Ok(()));
                } else {
                    self.submit(group, records, done, effects);
                }
            }
            Some(Op::Read { read, .. }) => read(&serving.index),
            Some(Op::Nothing { done, .. }) => done.call(Ok(())),
        }
    }

    fn submit(
        &mut self,
        group: Arc<str>,
        records: Vec<Record>,
        done: Completion,
        effects: &mut Vec<Effect<Item>>,
    ) {
        let Phase::Serving(serving) = &mut self.phase else {
            return;
        };
        let base_offset = serving.pipeline.next_end().offset;
        let encoded = match batch::encode(&records, base_offset, self.clock.now_ms()) {
            Ok(encoded) => encoded,
            Err(error) => return done.call(Err(AppendError::Unwritable(error))),
        };
        let bytes_max = self.log.capabilities().batch_bytes_max;
        // Found before it is sent, it does not disturb what is in flight.
        if encoded.marks.len() + encoded.kafka.len() > bytes_max {
            return done.call(Err(AppendError::TooLarge { bytes_max }));
        }
        let topic_records = encoded.records;
        let item = Item {
            group: Arc::clone(&group),
            records,
            encoded: Some((base_offset, encoded)),
            done,
            handed: Instant::now(),
        };
        let now = self.origin.elapsed();
        match serving.pipeline.submit(now, item, topic_records, effects) {
            Ok(ticket) => serving.order.submitted(&group, ticket),
            Err((item, error)) => item.done.call(Err(error)),
        }
    }

    fn perform(&mut self, effects: Vec<Effect<Item>>) -> Result<(), ActorProcessingErr> {
        // Performing one can make others: what waited for an append goes on when it settles.
        let mut effects = std::collections::VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let mut more = Vec::new();
            match effect {
                Effect::Send {
                    ticket,
                    id,
                    expected,
                } => self.send(ticket, id, expected)?,
                Effect::Resolve { expected, id } => {
                    if let Phase::Serving(serving) = &self.phase {
                        warn!(
                            partition = self.partition,
                            position = expected.position,
                            "asking what became of an append"
                        );
                        let done = self.port(Msg::Resolved);
                        self.log.resolve(serving.lease, expected.position, id, done);
                    }
                }
                Effect::Settle {
                    ticket,
                    item,
                    outcome,
                } => self.settle(ticket, item, outcome, &mut more),
                Effect::End(reason) => return Err(self.end(&reason)),
            }
            effects.extend(more);
        }
        if let Phase::Serving(serving) = &self.phase {
            self.meter.pending(serving.pipeline.pending());
            self.meter.live(serving.index.len());
        }
        Ok(())
    }

    fn send(
        &mut self,
        ticket: Ticket,
        id: BatchId,
        expected: End,
    ) -> Result<(), ActorProcessingErr> {
        let done = self.port(move |result| Msg::Landed(ticket, result));
        let Phase::Serving(serving) = &mut self.phase else {
            return Ok(());
        };
        let Some(item) = serving.pipeline.item_mut(ticket) else {
            return Ok(());
        };
        let encoded = match item.encoded.take() {
            Some((base_offset, encoded)) if base_offset == expected.offset => encoded,
            // It goes elsewhere than it was encoded for. It was encoded before, so it can be again.
            _ => batch::encode(&item.records, expected.offset, self.clock.now_ms())?,
        };
        let batch = Batch {
            id,
            expected,
            records: encoded.records,
            marks: encoded.marks,
            kafka: encoded.kafka,
        };
        self.log.append(serving.lease, batch, done);
        Ok(())
    }

    /// Durable, then visible, then acknowledged.
    fn settle(
        &mut self,
        ticket: Ticket,
        item: Item,
        outcome: Result<i64, AppendError>,
        more: &mut Vec<Effect<Item>>,
    ) {
        let Phase::Serving(serving) = &mut self.phase else {
            return;
        };
        match outcome {
            Ok(base_offset) => {
                let records = serving.index.apply_all(&item.records, base_offset);
                self.meter.landed(records, item.handed.elapsed());
                item.done.call(Ok(()));
            }
            Err(error) => {
                append_failed(kind(&error));
                debug!(partition = self.partition, %error, "append failed");
                item.done.call(Err(error));
            }
        }
        let Released { reads, held } = serving.order.settled(&item.group, ticket);
        for op in reads {
            match op {
                Op::Read { read, .. } => read(&serving.index),
                Op::Nothing { done, .. } => done.call(Ok(())),
                Op::Append { .. } | Op::Change { .. } => {
                    unreachable!("only reads and appends of nothing wait as reads")
                }
            }
        }
        for op in held {
            self.take_in(op, more);
        }
    }

    fn end(&self, reason: &Fatal) -> ActorProcessingErr {
        if let Fatal::Log(LogError::WrongEnd { .. }) | Fatal::Contradiction = reason {
            error!(partition = self.partition, %reason, "a second writer, or a bug");
        }
        format!("offsets partition {}: {reason}", self.partition).into()
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

/// Answers what cannot be done.
fn refuse(op: Op, error: AppendError) {
    match op {
        Op::Append { done, .. } | Op::Change { done, .. } | Op::Nothing { done, .. } => {
            done.call(Err(error));
        }
        // Nobody to tell but by dropping it; the coordinator knows that the partition is not served.
        Op::Read { .. } => {}
    }
}

/// The failed append's label in the metrics.
fn kind(error: &AppendError) -> &'static str {
    match error {
        AppendError::Unavailable => "unavailable",
        AppendError::Full => "full",
        AppendError::TooLarge { .. } | AppendError::Unwritable(_) => "too_large",
        AppendError::NotOurs | AppendError::Lost => "fenced",
        AppendError::Poisoned { .. } => "io",
    }
}
