//! The actor around one partition's handler, a child of [`partitions`](crate::partitions): decodes fetched batches one
//! record at a time and hands them to user code. Fails with it. Keeps nothing that a restart would lose: what is
//! acknowledged stands in the partition's cell.

use std::sync::Arc;

use callboard_protocol::records::{BatchIter, DecompressLimit, RecordsError};
use callboard_supervision::{Addr, Envelope};
use metrics::{Counter, Histogram, counter, histogram};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tracing::warn;

use crate::chunk::Chunk;
use crate::core::partition::{Dispatch, FetchFrom, Input, Room};
use crate::event::Event;
use crate::handler::{HandlerError, Outcome, PartitionContext, PartitionHandler};
use crate::metrics::{
    CONSUMER_BYTES_TOTAL, CONSUMER_PROCESS_DURATION_SECONDS, CONSUMER_RECORDS_TOTAL,
    CONSUMER_REDELIVERIES_TOTAL,
};
use crate::partition::Cell;
use crate::partitions::PartitionsMsg;
use crate::record::Record;
use crate::shared::Shared;

/// Its kind in metrics and logs.
pub(crate) const KIND: &str = "partition_handler";

/// A decompressed batch may be this large: Kafka's brokers take batches of a few MiB, and a bomb is not worked on.
const DECOMPRESSED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// After so many records without an await that waits, other tasks get a turn.
const RECORDS_PER_TURN: u32 = 64;

/// What a handler actor is told.
#[derive(Debug)]
pub(crate) enum HandlerMsg {
    /// Make the handler and call its `started`.
    Begin,
    /// Fetched records.
    Records(Chunk),
    /// Intake is closed. Wait for deferred acknowledgements until then, call `revoked`, and say that it is done.
    Drain(Instant),
    /// The partition is lost. Call `lost` and end.
    Lost,
}

pub(crate) struct PartitionHandlerActor;

pub(crate) struct Args {
    pub(crate) shared: Arc<Shared>,
    pub(crate) cell: Arc<Cell>,
    /// The right to handle the partition.
    pub(crate) turn: OwnedMutexGuard<()>,
}

pub(crate) struct State {
    shared: Arc<Shared>,
    cell: Arc<Cell>,
    /// Made and dropped in this actor's own task, not in its supervisor's, who waits for its start and buries its state: a
    /// handler may take its time for either, or panic.
    handler: Option<Box<dyn PartitionHandler>>,
    context: PartitionContext,
    records: Counter,
    bytes: Counter,
    duration: Histogram,
    redeliveries: Counter,
    records_in_turn: u32,
    /// It was said that records below this are handed over again.
    redelivered_until: i64,
    /// After the handler in the order of fields, and so of drops: who is next begins when that is no more.
    _turn: OwnedMutexGuard<()>,
}

/// Why a chunk was not worked off to its end.
enum Break {
    /// Intake is closed or another incarnation has taken over.
    Stopped,
    /// The batch cannot be read.
    Unreadable(String),
    /// User code failed.
    Failed(HandlerError),
}

impl From<RecordsError> for Break {
    fn from(error: RecordsError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

#[ractor::async_trait]
impl Actor for PartitionHandlerActor {
    type Msg = Envelope<HandlerMsg>;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        let Args { shared, cell, turn } = args;
        let labels = [
            ("group", shared.group_id.to_string()),
            ("topic", cell.partition.topic.to_string()),
        ];
        let cause = if cell.incarnation() == 0 {
            "rebalance"
        } else {
            "actor_restart"
        };
        let state = State {
            records: counter!(CONSUMER_RECORDS_TOTAL, &labels),
            bytes: counter!(CONSUMER_BYTES_TOTAL, &labels),
            duration: histogram!(CONSUMER_PROCESS_DURATION_SECONDS, &labels),
            redeliveries: counter!(
                CONSUMER_REDELIVERIES_TOTAL,
                "group" => shared.group_id.to_string(),
                "cause" => cause
            ),
            context: PartitionContext {
                cell: Arc::clone(&cell),
                incarnation: cell.incarnation(),
                offset: -1,
                attempt: 1,
            },
            shared,
            cell,
            handler: None,
            records_in_turn: 0,
            redelivered_until: 0,
            _turn: turn,
        };
        let begin = Addr::new(myself, KIND).cast(HandlerMsg::Begin);
        begin.map_err(|_| "stopped while starting")?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            HandlerMsg::Begin => state.begin().await,
            HandlerMsg::Records(chunk) => state.work(chunk).await,
            HandlerMsg::Drain(deadline) => {
                state.drain(deadline).await;
                Ok(())
            }
            HandlerMsg::Lost => {
                if let Some(handler) = &mut state.handler {
                    handler.lost(&state.context).await;
                }
                myself.stop(None);
                Ok(())
            }
        }
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.handler = None;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        _event: SupervisionEvent,
        _state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // Links nobody.
        Ok(())
    }
}

impl State {
    async fn begin(&mut self) -> Result<(), ActorProcessingErr> {
        if !self.cell.is_owner() {
            return Ok(());
        }
        // User code runs here for the first time; a panic in it is this actor's.
        let handler = (self.shared.settings.factory)(&self.cell.partition);
        let handler = self.handler.insert(handler);
        tokio::select! {
            biased;
            () = self.cell.released.cancelled() => Ok(()),
            started = handler.started(&self.context) => started,
        }
    }

    /// Works off a chunk, or as much of it as there may be.
    async fn work(&mut self, chunk: Chunk) -> Result<(), ActorProcessingErr> {
        let Chunk {
            from,
            batches,
            credit,
        } = chunk;
        let worked = self.each_record(from, BatchIter::new(batches)).await;
        drop(credit);
        match worked {
            Ok(()) | Err(Break::Stopped) => {}
            Err(Break::Unreadable(reason)) => {
                // Intake closes here, before anything that was fetched behind it gets its turn.
                self.cell.step(Input::Unreadable {
                    incarnation: from.incarnation,
                    reason,
                });
                self.shared.act(&self.cell);
            }
            Err(Break::Failed(error)) => return Err(error),
        }
        self.shared.show_lag(&self.cell);
        Ok(())
    }

    async fn each_record(&mut self, from: FetchFrom, batches: BatchIter) -> Result<(), Break> {
        if !self.cell.takes(from) {
            return Err(Break::Stopped);
        }
        let incarnation = from.incarnation;
        self.context.incarnation = incarnation;
        let check_crcs = self.shared.client.config().check_crcs;
        for batch in batches {
            let batch = batch?;
            if check_crcs {
                batch.verify_crc()?;
            }
            let header = batch.header();
            let next = header.next_offset();
            let leader_epoch = Some(header.partition_leader_epoch).filter(|epoch| *epoch >= 0);
            // Markers of transactions move the position and are nobody's records.
            if !header.is_control() {
                for record in batch.records(DecompressLimit::new(DECOMPRESSED_BYTES_MAX))? {
                    let record = record?;
                    if record.offset >= next {
                        let beyond = format!("a record of offset {}", record.offset);
                        return Err(Break::Unreadable(format!(
                            "{beyond} in a batch up to {next}"
                        )));
                    }
                    let dispatch = self.cell.dispatch(incarnation, record.offset, leader_epoch);
                    let (attempt, again) = match dispatch {
                        Dispatch::Go { attempt, again } => (attempt, again),
                        // A batch may begin before the offset asked for.
                        Dispatch::Skip => continue,
                        Dispatch::Stop => return Err(Break::Stopped),
                    };
                    let headers = record.headers.iter();
                    let headers = headers.map(|one| (one.key, one.value)).collect();
                    let record = Record {
                        topic_partition: self.cell.partition.clone(),
                        offset: record.offset,
                        timestamp_ms: record.timestamp,
                        key: record.key,
                        value: record.value,
                        headers,
                    };
                    self.one_record(&record, incarnation, attempt, again)
                        .await?;
                }
            }
            self.cell.passed(incarnation, next, leader_epoch);
        }
        Ok(())
    }

    async fn one_record(
        &mut self,
        record: &Record,
        incarnation: u64,
        attempt: u32,
        again: bool,
    ) -> Result<(), Break> {
        let Some(handler) = &mut self.handler else {
            // Lost before it was made.
            return Err(Break::Stopped);
        };
        self.context.offset = record.offset;
        self.context.attempt = attempt;
        if again {
            self.redeliveries.increment(1);
            self.shared.count(|totals| totals.redelivered += 1);
            // One event a range: thousands of them would push everything else out of the ring of events.
            if record.offset >= self.redelivered_until {
                self.redelivered_until = self.cell.seen();
                self.shared.events.send(Event::Redelivered {
                    partition: record.topic_partition.clone(),
                    offset: record.offset,
                    until: self.redelivered_until,
                    attempt,
                });
            }
        }
        let started = Instant::now();
        let outcome = tokio::select! {
            biased;
            () = self.cell.released.cancelled() => return Err(Break::Stopped),
            outcome = handler.handle(record, &self.context) => outcome.map_err(Break::Failed)?,
        };
        self.duration.record(started.elapsed());
        match outcome {
            Outcome::Done => {
                self.cell.done(incarnation, record.offset);
            }
            Outcome::Deferred => self.wait_for_room(incarnation).await?,
        }
        self.records.increment(1);
        self.bytes.increment(record.size() as u64);
        self.shared.count(|totals| totals.records += 1);
        self.records_in_turn += 1;
        if self.records_in_turn >= RECORDS_PER_TURN {
            self.records_in_turn = 0;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Until another record may be handed over.
    async fn wait_for_room(&mut self, incarnation: u64) -> Result<(), Break> {
        loop {
            let changed = self.cell.changed.notified();
            tokio::pin!(changed);
            // Registered before the check, or an acknowledgement between the two would be missed.
            changed.as_mut().enable();
            match self.cell.answered(incarnation) {
                Room::Free => return Ok(()),
                Room::Stopped => return Err(Break::Stopped),
                Room::Full => self.shared.act(&self.cell),
            }
            changed.await;
        }
    }

    /// The last words of an owner. The deadline is the supervisor's too; it does not wait longer.
    async fn drain(&mut self, deadline: Instant) {
        let waiting = wait_for_acknowledgements(&self.cell, self.shared.settings.is_stream);
        let (handler, context) = (&mut self.handler, &self.context);
        let last_words = async {
            let clean = tokio::time::timeout_at(deadline, waiting).await.is_ok();
            let revoked = match handler {
                Some(handler) => {
                    let revoked = handler.revoked(context);
                    Some(tokio::time::timeout_at(deadline, revoked).await)
                }
                None => None,
            };
            (clean, revoked)
        };
        let (clean, revoked) = tokio::select! {
            biased;
            () = self.cell.released.cancelled() => return,
            spoken = last_words => spoken,
        };
        match revoked {
            None | Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => {
                warn!(partition = %self.cell.partition, %error, "handler failed to give up its partition")
            }
            Some(Err(_elapsed)) => {
                warn!(partition = %self.cell.partition, "handler took too long to give up its partition")
            }
        }
        self.shared.slots.partitions.cast(PartitionsMsg::Drained {
            cell: Arc::clone(&self.cell),
            clean,
        });
    }
}

/// Until every record handed to the application has come back, acknowledged or not. What a stream has not given out
/// needs no waiting for.
async fn wait_for_acknowledgements(cell: &Cell, is_stream: bool) {
    loop {
        let changed = cell.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let held = if is_stream {
            cell.handed_out()
        } else {
            cell.unacknowledged()
        };
        if held == 0 {
            return;
        }
        changed.await;
    }
}
