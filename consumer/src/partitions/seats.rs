//! A seat per assigned partition: located, running, waiting for a restart, or paused.

use std::collections::BTreeSet;
use std::sync::Arc;

use callboard_client::TopicPartition;
use callboard_supervision::metrics::ACTOR_RESTARTS_TOTAL;
use callboard_supervision::{Addr, Decision, Failure, Timer, spawn_linked};
use metrics::{counter, gauge};
use ractor::ActorCell;
use tracing::{info, warn};

use super::locate::{self, Start};
use super::{PartitionsMsg, State};
use crate::committer::CommitterMsg;
use crate::core::membership::{Generation, LossCause};
use crate::event::Event;
use crate::fetchers::FetchersMsg;
use crate::metrics::{
    CONSUMER_ASSIGNED_PARTITIONS, CONSUMER_PAUSED_PARTITIONS, CONSUMER_PROCESS_FAILURES_TOTAL,
};
use crate::partition::{Cell, Intake};
use crate::partition_handler::{self, HandlerMsg, PartitionHandlerActor};
use crate::policy::Exhausted;
use crate::shared::lock;

/// Why a partition is paused; the label of its gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PauseCause {
    /// Its handler failed too often.
    Handler,
    /// Its records cannot be had: unreadable, refused, or no offset to begin at.
    Records,
}

impl PauseCause {
    fn label(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Records => "records",
        }
    }
}

/// Where an assigned partition stands.
pub(super) enum Seat {
    /// Its start offset is being looked up.
    Locating { generation: Generation },
    /// Its handler lives.
    Running {
        cell: Arc<Cell>,
        actor: ActorCell,
        handler: Addr<HandlerMsg>,
    },
    /// Its handler failed and comes back when the timer fires.
    Waiting { cell: Arc<Cell>, _timer: Timer },
    /// Nobody consumes it. Without a cell it never began.
    Paused {
        cell: Option<Arc<Cell>>,
        cause: PauseCause,
        generation: Generation,
    },
}

impl Seat {
    pub(super) fn cell(&self) -> Option<&Arc<Cell>> {
        match self {
            Self::Locating { .. } => None,
            Self::Running { cell, .. } | Self::Waiting { cell, .. } => Some(cell),
            Self::Paused { cell, .. } => cell.as_ref(),
        }
    }
}

impl State {
    /// After a restart of this supervisor: its handlers died with it, the partitions are still ours.
    pub(super) fn adopt(&mut self) {
        for (partition, cell) in self.shared.cells() {
            cell.crash();
            cell.set_intake(Intake::Closed);
            lock(&self.shared.credit).reset(&partition);
            let restart = PartitionsMsg::Restart {
                cell: Arc::clone(&cell),
                incarnation: cell.incarnation(),
            };
            let timer = self
                .myself
                .send_after(self.shared.settings.policy.restart.backoff_initial, restart);
            self.seats.insert(
                partition,
                Seat::Waiting {
                    cell,
                    _timer: timer,
                },
            );
        }
    }

    pub(super) fn assign(&mut self, generation: &Generation, owned: &BTreeSet<TopicPartition>) {
        // Nothing of the kind where every message arrived; a restart of this actor may have missed a revocation.
        let stale: BTreeSet<_> = self
            .seats
            .keys()
            .filter(|held| !owned.contains(*held))
            .cloned()
            .collect();
        if !stale.is_empty() {
            self.lose(stale, LossCause::Restarted);
        }
        let added: BTreeSet<_> = owned
            .iter()
            .filter(|partition| !self.seats.contains_key(*partition))
            .cloned()
            .collect();
        for partition in &added {
            self.seats.insert(
                partition.clone(),
                Seat::Locating {
                    generation: generation.clone(),
                },
            );
        }
        if !added.is_empty() {
            self.tasks.spawn(locate::locate(
                Arc::clone(&self.shared),
                generation.id,
                added,
            ));
        }
        self.show();
    }

    pub(super) async fn located(
        &mut self,
        generation: i32,
        found: Vec<(TopicPartition, Result<Start, String>)>,
    ) {
        for (partition, start) in found {
            // Revoked meanwhile, or revoked and assigned anew: another lookup answers for that.
            let generation = match self.seats.get(&partition) {
                Some(Seat::Locating { generation: seated }) if seated.id == generation => {
                    seated.clone()
                }
                _ => continue,
            };
            match start {
                Ok(start) => self.take_seat(partition, &generation, start).await,
                Err(reason) => {
                    let seat = Seat::Paused {
                        cell: None,
                        cause: PauseCause::Records,
                        generation,
                    };
                    self.seats.insert(partition.clone(), seat);
                    self.paused(partition, reason);
                }
            }
        }
        self.show();
    }

    async fn take_seat(
        &mut self,
        partition: TopicPartition,
        generation: &Generation,
        start: Start,
    ) {
        if let Some(from) = start.reset_from {
            self.shared.events.send(Event::OffsetReset {
                partition: partition.clone(),
                from,
                to: start.offset,
            });
        }
        let cell = Arc::new(Cell::new(
            partition.clone(),
            Arc::clone(&self.shared.group_id),
            generation.member_id.clone(),
            generation.id,
            start.offset,
            self.seen.get(&partition).copied().unwrap_or(0),
            start.committed,
        ));
        self.shared
            .slots
            .committer
            .cast(CommitterMsg::Known(partition.clone(), start.offset));
        self.shared.hold(Arc::clone(&cell));
        self.start(cell).await;
    }

    /// Starts a handler for a partition that has none.
    async fn start(&mut self, cell: Arc<Cell>) {
        let partition = cell.partition.clone();
        let args = partition_handler::Args {
            shared: Arc::clone(&self.shared),
            cell: Arc::clone(&cell),
        };
        let supervisor = self.supervisor.clone();
        let spawned = spawn_linked(
            partition_handler::KIND,
            PartitionHandlerActor,
            args,
            supervisor,
        )
        .await;
        match spawned {
            Ok((handler, _join)) => {
                let (_incarnation, offset) = cell.open(handler.clone());
                let seat = Seat::Running {
                    cell: Arc::clone(&cell),
                    actor: handler.actor().get_cell(),
                    handler,
                };
                self.seats.insert(partition.clone(), seat);
                self.shared
                    .events
                    .send(Event::HandlerStarted { partition, offset });
                self.shared.slots.fetchers.cast(FetchersMsg::Add(cell));
            }
            // The factory panicked. There was no handler, so no event of its end follows.
            Err(error) => self.crashed(&cell, &error.to_string()),
        }
    }

    pub(super) async fn restart(&mut self, cell: &Arc<Cell>, incarnation: u64) {
        let waits = self.seats.get(&cell.partition).is_some_and(
            |seat| matches!(seat, Seat::Waiting { cell: seated, .. } if Arc::ptr_eq(seated, cell)),
        );
        if waits && cell.incarnation() == incarnation {
            // Handlers have their policy here, not in a supervisor; they are counted as all actors are.
            counter!(ACTOR_RESTARTS_TOTAL, "actor" => partition_handler::KIND).increment(1);
            self.start(Arc::clone(cell)).await;
            self.show();
        }
    }

    /// An actor that was linked here has ended. Matched by its id: one of an earlier incarnation finds no seat.
    pub(super) fn ended(&mut self, actor: &ActorCell, reason: &str) {
        if self.leaving.remove(&actor.get_id()).is_some() {
            return;
        }
        if self.draining_handler_ended(actor, reason) {
            return;
        }
        let cell = self.seats.values().find_map(|seat| match seat {
            Seat::Running {
                cell,
                actor: seated,
                ..
            } if seated.get_id() == actor.get_id() => Some(Arc::clone(cell)),
            _ => None,
        });
        if let Some(cell) = cell {
            self.crashed(&cell, reason);
            self.show();
        }
    }

    /// A handler failed: decide what becomes of the record and of the partition.
    fn crashed(&mut self, cell: &Arc<Cell>, error: &str) {
        let crash = cell.crash();
        lock(&self.shared.credit).reset(&cell.partition);
        self.shared.show_buffered();
        self.shared.count(|totals| totals.handler_failures += 1);
        let partition = cell.partition.clone();
        warn!(%partition, offset = crash.offset, attempts = crash.attempts, error, "handler failed");
        let policy = &self.shared.settings.policy;
        if let Some(offset) = crash.offset
            && crash.attempts >= policy.attempts_max.max(1)
        {
            match policy.exhausted {
                Exhausted::Pause => {
                    let reason =
                        format!("offset {offset} failed {} times: {error}", crash.attempts);
                    self.pause(cell, PauseCause::Handler, reason);
                    return;
                }
                Exhausted::Skip => {
                    cell.skip(offset);
                    self.failure("skip", cell);
                    self.shared.events.send(Event::Skipped {
                        partition: partition.clone(),
                        offset,
                    });
                }
            }
        }
        let now = self.origin.elapsed();
        let decision = self
            .restarts
            .step(partition.clone(), &policy.restart, now, Failure::Failed);
        match decision {
            Decision::RestartAfter(after) => {
                self.failure("retry", cell);
                let incarnation = cell.incarnation();
                let restart = PartitionsMsg::Restart {
                    cell: Arc::clone(cell),
                    incarnation,
                };
                let seat = Seat::Waiting {
                    cell: Arc::clone(cell),
                    _timer: self.myself.send_after(after, restart),
                };
                self.seats.insert(partition.clone(), seat);
                self.shared.events.send(Event::HandlerRestarted {
                    partition,
                    offset: crash.offset,
                    attempts: crash.attempts,
                    error: error.to_owned(),
                    after,
                    resumes_at: cell.progress().acknowledged,
                });
            }
            Decision::Escalate => {
                let reason = format!("its handler failed too often, last with: {error}");
                self.pause(cell, PauseCause::Handler, reason);
            }
        }
    }

    fn failure(&self, action: &'static str, cell: &Cell) {
        counter!(
            CONSUMER_PROCESS_FAILURES_TOTAL,
            "group" => self.shared.group_id.to_string(),
            "topic" => cell.partition.topic.to_string(),
            "action" => action
        )
        .increment(1);
    }

    fn pause(&mut self, cell: &Arc<Cell>, cause: PauseCause, reason: String) {
        if cause == PauseCause::Handler {
            self.failure("pause", cell);
        }
        cell.set_intake(Intake::Closed);
        let generation = Generation {
            id: cell.generation,
            member_id: cell.member_id.clone(),
            protocol: String::new(),
        };
        let seat = Seat::Paused {
            cell: Some(Arc::clone(cell)),
            cause,
            generation,
        };
        let previous = self.seats.insert(cell.partition.clone(), seat);
        if let Some(Seat::Running { actor, .. }) = previous {
            self.dismiss(actor);
        }
        self.paused(cell.partition.clone(), reason);
    }

    fn paused(&self, partition: TopicPartition, reason: String) {
        warn!(%partition, reason, "partition paused");
        self.shared.events.send(Event::Paused { partition, reason });
    }

    /// Asks a handler without a seat to end, and sees to it that it does.
    pub(super) fn dismiss(&mut self, actor: ActorCell) {
        actor.stop(None);
        self.see_off(actor);
    }

    /// Kills a handler that has not ended in a while.
    pub(super) fn see_off(&mut self, actor: ActorCell) {
        let kill = PartitionsMsg::Kill(actor.get_id());
        let timer = self
            .myself
            .send_after(self.shared.settings.drain_timeout, kill);
        self.leaving.insert(actor.get_id(), (actor, timer));
    }

    /// The seat of `partition`, if its handler is still this one.
    fn seated(&self, partition: &TopicPartition, incarnation: u64) -> Option<Arc<Cell>> {
        let cell = self.seats.get(partition)?.cell()?;
        (cell.incarnation() == incarnation).then(|| Arc::clone(cell))
    }

    pub(super) fn stuck(&mut self, partition: &TopicPartition, incarnation: u64, reason: String) {
        if let Some(cell) = self.seated(partition, incarnation) {
            self.give_up_buffered(&cell);
            self.pause(&cell, PauseCause::Records, reason);
            self.show();
        }
    }

    /// What is fetched and not dispatched is void; the next handler fetches it again.
    fn give_up_buffered(&self, cell: &Arc<Cell>) {
        cell.crash();
        lock(&self.shared.credit).reset(&cell.partition);
    }

    pub(super) fn out_of_range(
        &mut self,
        partition: &TopicPartition,
        incarnation: u64,
        offset: i64,
    ) {
        if let Some(cell) = self.seated(partition, incarnation) {
            let shared = Arc::clone(&self.shared);
            self.tasks.spawn(async move {
                let to = locate::reset_offset(&shared, &cell.partition).await;
                shared.slots.partitions.cast(PartitionsMsg::Reset {
                    cell,
                    incarnation,
                    from: offset,
                    to,
                });
            });
        }
    }

    pub(super) async fn reset(
        &mut self,
        cell: &Arc<Cell>,
        incarnation: u64,
        from: i64,
        to: Result<i64, String>,
    ) {
        let Some(seated) = self.seated(&cell.partition, incarnation) else {
            return;
        };
        if !Arc::ptr_eq(&seated, cell) {
            return;
        }
        let partition = cell.partition.clone();
        match to {
            Ok(to) => {
                info!(%partition, from, to, "offset out of range, going on elsewhere");
                // The handler goes with the position: whatever it has in hand is from a log that is no more.
                if let Some(Seat::Running { actor, .. }) = self.seats.remove(&partition) {
                    self.dismiss(actor);
                }
                self.give_up_buffered(cell);
                cell.reset_to(to);
                self.shared
                    .slots
                    .committer
                    .cast(CommitterMsg::Known(partition.clone(), to));
                self.shared.events.send(Event::OffsetReset {
                    partition,
                    from,
                    to,
                });
                self.start(Arc::clone(cell)).await;
            }
            Err(reason) => self.stuck(&partition, incarnation, reason),
        }
        self.show();
    }

    pub(super) async fn resume(&mut self, partition: &TopicPartition) -> bool {
        match self.seats.get(partition) {
            Some(Seat::Paused {
                cell: Some(cell), ..
            }) => {
                let cell = Arc::clone(cell);
                self.restarts.forget(partition);
                self.start(cell).await;
            }
            Some(Seat::Paused {
                cell: None,
                generation,
                ..
            }) => {
                let generation = generation.clone();
                let again = BTreeSet::from([partition.clone()]);
                self.tasks.spawn(locate::locate(
                    Arc::clone(&self.shared),
                    generation.id,
                    again,
                ));
                self.seats
                    .insert(partition.clone(), Seat::Locating { generation });
            }
            _ => return false,
        }
        self.show();
        true
    }

    /// Shows how many partitions there are and why some are not consumed.
    pub(super) fn show(&self) {
        let group = || self.shared.group_id.to_string();
        #[expect(clippy::cast_precision_loss, reason = "a gauge of partitions")]
        gauge!(CONSUMER_ASSIGNED_PARTITIONS, "group" => group()).set(self.seats.len() as f64);
        for cause in [PauseCause::Handler, PauseCause::Records] {
            let paused = self
                .seats
                .values()
                .filter(|seat| matches!(seat, Seat::Paused { cause: why, .. } if *why == cause))
                .count();
            #[expect(clippy::cast_precision_loss, reason = "a gauge of partitions")]
            gauge!(CONSUMER_PAUSED_PARTITIONS, "group" => group(), "cause" => cause.label())
                .set(paused as f64);
        }
    }
}
