//! A seat per assigned partition: what its core asks for is done here. Handlers are started, ended and brought back,
//! offsets looked up, events sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callboard_client::TopicPartition;
use callboard_supervision::metrics::ACTOR_RESTARTS_TOTAL;
use callboard_supervision::{Decision, Failure, Timer, spawn_linked};
use metrics::{counter, gauge};
use ractor::{ActorCell, ActorId};
use tokio::sync::OwnedMutexGuard;
use tracing::{info, warn};

use super::{Leaving, PartitionsMsg, State, locate};
use crate::committer::CommitterMsg;
use crate::core::membership::{Generation, LossCause};
use crate::core::partition::{Effect, Input, Notice, PauseCause, Start};
use crate::event::Event;
use crate::fetchers::FetchersMsg;
use crate::metrics::{
    CONSUMER_ASSIGNED_PARTITIONS, CONSUMER_PAUSED_PARTITIONS, CONSUMER_PROCESS_FAILURES_TOTAL,
};
use crate::partition::Cell;
use crate::partition_handler::{self, PartitionHandlerActor};

/// What goes with an assigned partition.
pub(super) struct Seat {
    pub(super) cell: Arc<Cell>,
    /// Its handler, until it is asked to end.
    pub(super) actor: Option<ActorCell>,
    /// Of the next handler's start.
    timer: Option<Timer>,
}

impl Seat {
    fn new(cell: Arc<Cell>) -> Self {
        Self {
            cell,
            actor: None,
            timer: None,
        }
    }
}

impl State {
    /// After a restart of this supervisor: its handlers died with it, the partitions are still ours.
    pub(super) fn adopt(&mut self) {
        for (partition, cell) in self.shared.cells() {
            cell.forget_handler();
            cell.step(Input::Orphaned {
                restart: self.shared.settings.policy.restart.backoff_initial,
            });
            self.seats.insert(partition, Seat::new(Arc::clone(&cell)));
            // Gone only if this actor is.
            let _ = self.myself.cast(PartitionsMsg::Act(cell));
        }
    }

    pub(super) fn assign(&mut self, generation: &Generation, owned: &BTreeSet<TopicPartition>) {
        // Nothing of the kind where every message arrived; a restart of this actor may have missed a revocation or a loss.
        let stale: BTreeSet<_> = self
            .seats
            .iter()
            .filter(|(partition, seat)| !owned.contains(*partition) || self.is_disowned(&seat.cell))
            .map(|(partition, _)| partition.clone())
            .collect();
        if !stale.is_empty() {
            self.lose(stale, LossCause::Restarted);
        }
        let mut added = BTreeMap::new();
        for partition in owned {
            if self.seats.contains_key(partition) {
                continue;
            }
            let cell = Arc::new(Cell::new(
                partition.clone(),
                Arc::clone(&self.shared.group_id),
                generation,
                &self.shared.settings.policy,
                self.seen.get(partition).copied().unwrap_or(0),
            ));
            added.insert(partition.clone(), Arc::clone(&cell));
            self.seats.insert(partition.clone(), Seat::new(cell));
        }
        if !added.is_empty() {
            self.locate(added);
        }
    }

    /// Whether it was begun and may not be committed any more: nothing that its handler acknowledges would count.
    fn is_disowned(&self, cell: &Arc<Cell>) -> bool {
        cell.progress().is_some() && !self.shared.holds(cell)
    }

    fn locate(&mut self, cells: BTreeMap<TopicPartition, Arc<Cell>>) {
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(locate::locate(shared, cells));
    }

    pub(super) async fn located(&mut self, found: Vec<(Arc<Cell>, Result<Start, String>)>) {
        let mut moved = Vec::new();
        for (cell, start) in found {
            // Revoked meanwhile, or revoked and assigned anew: another lookup answers for that.
            if !self.is_seated(&cell) {
                continue;
            }
            let begins = start.is_ok();
            cell.step(Input::Located(start));
            // It knows what is committed of it before the committer sees it.
            if begins && !self.shared.hold(&cell) {
                // Lost a moment ago; that is in the mailbox.
                continue;
            }
            if begins {
                self.shared.begun(&cell.partition);
            }
            moved.push(cell);
        }
        for cell in moved {
            self.act(&cell).await;
        }
    }

    fn is_seated(&self, cell: &Arc<Cell>) -> bool {
        let seat = self.seats.get(&cell.partition);
        seat.is_some_and(|seat| Arc::ptr_eq(&seat.cell, cell))
    }

    /// Carries out what the core of this partition asks for, and what it asks for then.
    pub(super) async fn act(&mut self, cell: &Arc<Cell>) {
        while self.is_seated(cell) {
            let effects = cell.take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                self.carry_out(cell, effect).await;
            }
        }
        if self.is_seated(cell) {
            match cell.paused() {
                Some(cause) => self.paused.insert(cell.partition.clone(), cause),
                None => self.paused.remove(&cell.partition),
            };
        }
    }

    async fn carry_out(&mut self, cell: &Arc<Cell>, effect: Effect) {
        match effect {
            Effect::Locate => {
                let alone = BTreeMap::from([(cell.partition.clone(), Arc::clone(cell))]);
                self.locate(alone);
            }
            Effect::Start => self.start_in_turn(cell).await,
            Effect::End => {
                let actor = self
                    .seats
                    .get_mut(&cell.partition)
                    .and_then(|seat| seat.actor.take());
                if let Some(actor) = actor {
                    self.dismiss(cell, actor);
                }
            }
            Effect::RestartAfter(wait) => {
                let restart = PartitionsMsg::Restart {
                    cell: Arc::clone(cell),
                    incarnation: cell.incarnation(),
                };
                let timer = self.myself.send_after(wait, restart);
                if let Some(seat) = self.seats.get_mut(&cell.partition) {
                    seat.timer = Some(timer);
                }
            }
            Effect::FindReset(ticket) => {
                let (shared, cell) = (Arc::clone(&self.shared), Arc::clone(cell));
                self.tasks.spawn(async move {
                    let to = locate::reset_offset(&shared, &cell).await;
                    let reset = PartitionsMsg::Reset { cell, ticket, to };
                    shared.slots.partitions.cast(reset);
                });
            }
            Effect::Fetch => {
                let add = FetchersMsg::Add(Arc::clone(cell));
                self.shared.slots.fetchers.cast(add);
            }
            Effect::Commit => self.shared.slots.committer.cast(CommitterMsg::Soon),
            Effect::Tell(notice) => self.tell(cell, notice),
        }
    }

    // Handlers.

    /// Starts a handler once no other one of this partition is alive, of whatever assignment it was.
    async fn start_in_turn(&mut self, cell: &Arc<Cell>) {
        let turn = self.shared.turn(&cell.partition);
        match Arc::clone(&turn).try_lock_owned() {
            Ok(turn) => self.start(cell, turn).await,
            Err(_busy) => {
                let (myself, cell) = (self.myself.clone(), Arc::clone(cell));
                self.tasks.spawn(async move {
                    let turn = turn.lock_owned().await;
                    // Gone only if this actor is; the next one asks for itself.
                    let _ = myself.cast(PartitionsMsg::Start { cell, turn });
                });
            }
        }
    }

    pub(super) async fn start(&mut self, cell: &Arc<Cell>, turn: OwnedMutexGuard<()>) {
        if !self.is_seated(cell) || !cell.wants_handler() {
            return;
        }
        let args = partition_handler::Args {
            shared: Arc::clone(&self.shared),
            cell: Arc::clone(cell),
            turn,
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
                let actor = handler.actor().get_cell();
                self.handlers.insert(actor.get_id(), Arc::clone(cell));
                if let Some(seat) = self.seats.get_mut(&cell.partition) {
                    seat.actor = Some(actor);
                }
                cell.started(handler);
            }
            // There was no handler, so no event of its end follows.
            Err(error) => self.failed(cell, &error.to_string()),
        }
    }

    pub(super) async fn restart(&mut self, cell: &Arc<Cell>, incarnation: u64) {
        cell.step(Input::RestartDue { incarnation });
        if cell.wants_handler() {
            // Handlers have their policy here, not in a supervisor; they are counted as all actors are.
            counter!(ACTOR_RESTARTS_TOTAL, "actor" => partition_handler::KIND).increment(1);
        }
        self.act(cell).await;
    }

    /// An actor that was linked here has ended. Matched by its id: one of an earlier incarnation finds no seat.
    pub(super) async fn ended(&mut self, actor: ActorId, reason: &str) {
        let cell = if let Some(left) = self.leaving.remove(&actor) {
            left.cell.step(Input::Ended);
            left.cell
        } else if let Some(cell) = self.handlers.remove(&actor) {
            cell.forget_handler();
            if let Some(seat) = self.seats.get_mut(&cell.partition)
                && Arc::ptr_eq(&seat.cell, &cell)
            {
                seat.actor = None;
            }
            self.failed(&cell, reason);
            self.draining_handler_ended(&cell, reason);
            cell
        } else {
            return;
        };
        self.act(&cell).await;
    }

    fn failed(&mut self, cell: &Arc<Cell>, error: &str) {
        self.shared.count(|totals| totals.handler_failures += 1);
        let now = self.origin.elapsed();
        let restart = self.shared.settings.policy.restart.clone();
        let partition = cell.partition.clone();
        let decision = self
            .restarts
            .step(partition, &restart, now, Failure::Failed);
        cell.step(Input::Failed {
            error: error.to_owned(),
            restart: match decision {
                Decision::RestartAfter(wait) => Some(wait),
                Decision::Escalate => None,
            },
        });
    }

    /// Asks a handler to end, and sees to it that it does.
    pub(super) fn dismiss(&mut self, cell: &Arc<Cell>, actor: ActorCell) {
        actor.stop(None);
        self.see_off(cell, actor);
    }

    /// Kills a handler that has not ended in a while.
    pub(super) fn see_off(&mut self, cell: &Arc<Cell>, actor: ActorCell) {
        cell.forget_handler();
        let id = actor.get_id();
        if self.handlers.remove(&id).is_none() {
            // It has ended by itself.
            return;
        }
        let leaving = Leaving {
            cell: Arc::clone(cell),
            actor,
            _kill: self
                .myself
                .send_after(self.shared.settings.drain_timeout, PartitionsMsg::Kill(id)),
        };
        self.leaving.insert(id, leaving);
    }

    pub(super) fn kill(&mut self, actor: ActorId) {
        if let Some(Leaving { cell, actor, .. }) = self.leaving.get(&actor) {
            // No other handler of the partition starts before it has ended.
            warn!(partition = %cell.partition, "handler did not end when asked to, and is killed");
            actor.kill();
        }
    }

    pub(super) async fn resume(&mut self, partition: &TopicPartition) -> bool {
        let Some(seat) = self.seats.get(partition) else {
            return false;
        };
        let cell = Arc::clone(&seat.cell);
        if cell.paused().is_none() {
            return false;
        }
        self.restarts.forget(partition);
        cell.step(Input::Resume);
        self.act(&cell).await;
        true
    }

    // Whoever listens.

    fn tell(&self, cell: &Cell, notice: Notice) {
        let partition = cell.partition.clone();
        let event = match notice {
            Notice::Started { offset } => Event::HandlerStarted { partition, offset },
            Notice::Restarting {
                crash,
                error,
                after,
                resumes_at,
            } => {
                self.failure("retry", cell);
                let (offset, attempts) = (crash.offset, crash.attempts);
                warn!(%partition, offset, attempts, error, ?after, "handler failed");
                Event::HandlerRestarted {
                    partition,
                    offset,
                    attempts,
                    error,
                    after,
                    resumes_at,
                }
            }
            Notice::Skipped { offset } => {
                self.failure("skip", cell);
                warn!(%partition, offset, "record passed over");
                Event::Skipped { partition, offset }
            }
            Notice::Paused { cause, reason } => {
                if cause == PauseCause::Handler {
                    self.failure("pause", cell);
                }
                warn!(%partition, reason, "partition paused");
                Event::Paused { partition, reason }
            }
            Notice::Reset { from, to } => {
                info!(%partition, from, to, "auto.offset.reset chose the position");
                Event::OffsetReset {
                    partition,
                    from,
                    to,
                }
            }
            Notice::Unacknowledged { first, count } => {
                let setting = "unacknowledged_max";
                warn!(%partition, first, count, setting, "partition stands still until records are acknowledged");
                Event::Unacknowledged {
                    partition,
                    first,
                    count,
                    setting,
                }
            }
        };
        self.shared.events.send(event);
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

    /// Shows how many partitions there are and why some are not consumed.
    pub(super) fn show(&self) {
        let group = || self.shared.group_id.to_string();
        #[expect(clippy::cast_precision_loss, reason = "a gauge of partitions")]
        gauge!(CONSUMER_ASSIGNED_PARTITIONS, "group" => group()).set(self.seats.len() as f64);
        for cause in [PauseCause::Handler, PauseCause::Records] {
            let paused = self.paused.values().filter(|why| **why == cause).count();
            let label = match cause {
                PauseCause::Handler => "handler",
                PauseCause::Records => "records",
            };
            #[expect(clippy::cast_precision_loss, reason = "a gauge of partitions")]
            gauge!(CONSUMER_PAUSED_PARTITIONS, "group" => group(), "cause" => label)
                .set(paused as f64);
        }
    }
}
