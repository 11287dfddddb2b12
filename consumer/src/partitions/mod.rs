//! The supervisor of partition handlers, a child of the consumer: seats a handler for every assigned partition, brings
//! it back after a failure, and empties the seats when partitions are revoked or lost. What becomes of a partition its
//! [core](crate::core::partition) decides; here it is carried out. Never runs user code itself and never waits: whatever
//! takes time answers with a message.

mod locate;
mod release;
mod seats;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use callboard_client::TopicPartition;
use callboard_supervision::{Addr, Envelope, RestartCore, RpcReplyPort, Timer};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::core::membership::{Generation, LossCause, Ticket};
use crate::core::partition::{Input, PauseCause, ResetTicket, Start};
use crate::partition::Cell;
use crate::shared::Shared;
pub(crate) use release::Phase;
use release::Release;
use seats::Seat;

/// Its kind in metrics and logs.
pub(crate) const KIND: &str = "partitions";

/// What the supervisor of handlers is told.
pub(crate) enum PartitionsMsg {
    /// A generation is complete.
    Assign {
        generation: Generation,
        owned: BTreeSet<TopicPartition>,
    },
    /// Where partitions begin is known, or cannot be.
    Located(Vec<(Arc<Cell>, Result<Start, String>)>),
    /// Carry out what the core of this partition asks for.
    Act(Arc<Cell>),
    /// No handler of this partition is alive any more: the next one may start.
    Start {
        cell: Arc<Cell>,
        turn: OwnedMutexGuard<()>,
    },
    /// The wait before a handler's restart is over.
    Restart { cell: Arc<Cell>, incarnation: u64 },
    /// Give partitions up in order, then tell membership. Answered with `Revoked`.
    Revoke {
        ticket: Ticket,
        partitions: BTreeSet<TopicPartition>,
        drain: Duration,
        commit: Duration,
    },
    /// Partitions are gone.
    Lose {
        partitions: BTreeSet<TopicPartition>,
        cause: LossCause,
    },
    /// Whatever there is, seated, being looked up or on its way out.
    LoseAll(LossCause),
    /// A handler has finished its last record; whether nothing was left in hand.
    Drained { cell: Arc<Cell>, clean: bool },
    /// A revocation has taken as long as it may in this phase.
    Overdue(Ticket, Phase),
    /// The committer has done what it could.
    Flushed {
        ticket: Ticket,
        uncommitted: Vec<TopicPartition>,
    },
    /// What `auto.offset.reset` says about a position that is not in the log.
    Reset {
        cell: Arc<Cell>,
        ticket: ResetTicket,
        to: Result<i64, String>,
    },
    /// The application wants a paused partition consumed again. Answers whether it was paused.
    Resume(TopicPartition, RpcReplyPort<bool>),
    /// A handler that was asked to end had its time.
    Kill(ActorId),
}

pub(crate) struct Partitions;

pub(crate) struct State {
    shared: Arc<Shared>,
    myself: Addr<PartitionsMsg>,
    supervisor: ActorCell,
    seats: BTreeMap<TopicPartition, Seat>,
    /// Those of them that nobody consumes.
    paused: BTreeMap<TopicPartition, PauseCause>,
    /// Revocations under way. More than one only where a leave overtakes a rebalance.
    releases: Vec<Release>,
    /// Handlers that nobody has asked to end.
    handlers: HashMap<ActorId, Arc<Cell>>,
    /// Handlers that were asked to end.
    leaving: HashMap<ActorId, Leaving>,
    restarts: RestartCore<TopicPartition>,
    /// How far handlers of this consumer have ever seen each partition; tells a redelivery after a rebalance.
    seen: BTreeMap<TopicPartition, i64>,
    /// Lookups under way; they end with this actor.
    tasks: JoinSet<()>,
    origin: Instant,
}

/// A handler that was asked to end.
struct Leaving {
    cell: Arc<Cell>,
    actor: ActorCell,
    /// When it is killed.
    _kill: Timer,
}

#[ractor::async_trait]
impl Actor for Partitions {
    type Msg = Envelope<PartitionsMsg>;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        shared: Arc<Shared>,
    ) -> Result<State, ActorProcessingErr> {
        let supervisor = myself.get_cell();
        let myself = Addr::new(myself, KIND);
        shared.slots.partitions.set(myself.clone());
        let mut state = State {
            supervisor,
            myself,
            seats: BTreeMap::new(),
            paused: BTreeMap::new(),
            releases: Vec::new(),
            handlers: HashMap::new(),
            leaving: HashMap::new(),
            restarts: RestartCore::default(),
            seen: BTreeMap::new(),
            tasks: JoinSet::new(),
            origin: Instant::now(),
            shared,
        };
        state.adopt();
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // Lookups that have ended; nobody waits for their handles.
        while state.tasks.try_join_next().is_some() {}
        match message.open() {
            PartitionsMsg::Assign { generation, owned } => state.assign(&generation, &owned),
            PartitionsMsg::Located(found) => state.located(found).await,
            PartitionsMsg::Act(cell) => state.act(&cell).await,
            PartitionsMsg::Start { cell, turn } => {
                state.start(&cell, turn).await;
                state.act(&cell).await;
            }
            PartitionsMsg::Restart { cell, incarnation } => state.restart(&cell, incarnation).await,
            PartitionsMsg::Revoke {
                ticket,
                partitions,
                drain,
                commit,
            } => state.revoke(ticket, partitions, (drain, commit)),
            PartitionsMsg::Lose { partitions, cause } => state.lose(partitions, cause),
            PartitionsMsg::LoseAll(cause) => state.lose_all(cause),
            PartitionsMsg::Drained { cell, clean } => state.drained(&cell, clean),
            PartitionsMsg::Overdue(ticket, phase) => state.overdue(ticket, phase),
            PartitionsMsg::Flushed {
                ticket,
                uncommitted,
            } => state.flushed(ticket, uncommitted),
            PartitionsMsg::Reset { cell, ticket, to } => {
                cell.step(Input::ResetFound { ticket, to });
                state.act(&cell).await;
            }
            PartitionsMsg::Resume(partition, reply) => {
                let was_paused = state.resume(&partition).await;
                // The caller may have stopped waiting; the partition is resumed all the same.
                let _ = reply.send(was_paused);
            }
            PartitionsMsg::Kill(actor) => state.kill(actor),
        }
        state.show();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                state.ended(actor.get_id(), &error.to_string()).await;
            }
            SupervisionEvent::ActorTerminated(actor, _last_state, reason) => {
                let reason = reason.as_deref().unwrap_or("it stopped");
                state.ended(actor.get_id(), reason).await;
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        state.show();
        Ok(())
    }
}
