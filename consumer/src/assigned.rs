//! Partitions that the application named, consumed without a group (Kafka's manual assignment). An actor that stands
//! where membership does for a member: it assigns once, and gives everything up when it is asked to leave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callboard_client::{OffsetSpec, TopicPartition};
use callboard_supervision::{Addr, Envelope, RpcReplyPort};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::core::membership::{FatalError, Generation, Input, Ticket};
use crate::event::Event;
use crate::membership::MembershipMsg;
use crate::membership::watch::watch_metadata;
use crate::partitions::PartitionsMsg;
use crate::shared::Shared;

/// Its kind in metrics and logs.
pub(crate) const KIND: &str = "assignment";

/// Where a partition that the application named begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At the first record there is.
    Earliest,
    /// At the next record to come.
    Latest,
    /// At this offset. Where the log has none such, `auto.offset.reset` says where.
    Offset(i64),
    /// At the first record of this time or later, milliseconds since 1970; at the next to come where there is none.
    Timestamp(i64),
}

impl StartAt {
    /// What to ask the partition's leader, where the application does not say the offset itself.
    pub(crate) fn lookup(self) -> Result<i64, OffsetSpec> {
        match self {
            Self::Earliest => Err(OffsetSpec::Earliest),
            Self::Latest => Err(OffsetSpec::Latest),
            Self::Offset(offset) => Ok(offset),
            // Below 0 are Kafka's names for the ends of the log.
            Self::Timestamp(millis) => Err(OffsetSpec::AtTime(millis.max(0))),
        }
    }
}

/// By partition.
pub(crate) type Starts = BTreeMap<TopicPartition, StartAt>;

pub(crate) struct Assignment;

pub(crate) struct Args {
    pub(crate) shared: Arc<Shared>,
    /// Told once when all is given up.
    pub(crate) ended: Arc<watch::Sender<Option<Result<(), FatalError>>>>,
}

pub(crate) struct State {
    args: Args,
    leaving: Vec<RpcReplyPort<()>>,
    /// How long the end may take.
    within: Duration,
    /// The watch on metadata; it ends with this actor.
    _watch: JoinSet<()>,
}

#[ractor::async_trait]
impl Actor for Assignment {
    type Msg = Envelope<MembershipMsg>;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        let myself = Addr::new(myself, KIND);
        myself
            .cast(MembershipMsg::Step(Input::Start))
            .map_err(|_| "stopped while starting")?;
        args.shared.slots.membership.set(myself.clone());
        let mut watch = JoinSet::new();
        watch.spawn(watch_metadata(Arc::clone(&args.shared), myself));
        Ok(State {
            args,
            leaving: Vec::new(),
            within: Duration::ZERO,
            _watch: watch,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            // Whatever was asked of the last incarnation of handlers' supervisor is asked of this one again.
            MembershipMsg::Step(Input::PartitionsRestarted) if !state.leaving.is_empty() => {
                state.revoke();
            }
            MembershipMsg::Step(Input::Start | Input::PartitionsRestarted) => state.assign(),
            MembershipMsg::Leave { within, reply, .. } => {
                state.leaving.push(reply);
                if state.leaving.len() == 1 {
                    state.within = within;
                    state.revoke();
                }
            }
            MembershipMsg::Revoked(_ticket) => state.left(),
            // Of a group, which there is none of.
            MembershipMsg::Step(_) | MembershipMsg::Due | MembershipMsg::CommitRefused { .. } => {}
        }
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
    /// Those that are seated already stay as they are.
    fn assign(&mut self) {
        let shared = &self.args.shared;
        let Some(starts) = &shared.settings.assigned else {
            return;
        };
        let owned: Vec<TopicPartition> = starts.keys().cloned().collect();
        shared.events.send(Event::Assigned {
            generation: -1,
            member_id: String::new(),
            added: owned.clone(),
            owned: owned.clone(),
            leader: false,
            reason: "assigned by the application".to_owned(),
            took: Duration::ZERO,
        });
        let owned = owned.into_iter().collect();
        shared.own(&owned);
        shared.slots.partitions.cast(PartitionsMsg::Assign {
            generation: Generation::default(),
            owned,
        });
    }

    fn revoke(&self) {
        let shared = &self.args.shared;
        let starts = shared.settings.assigned.iter().flatten();
        shared.slots.partitions.cast(PartitionsMsg::Revoke {
            ticket: Ticket::default(),
            partitions: starts.map(|(partition, _)| partition.clone()).collect(),
            // Records in work have most of the time; nothing is committed, so hardly any is for that.
            drain: shared.settings.drain_timeout.min(self.within * 11 / 12),
            commit: self.within / 12,
        });
    }

    fn left(&mut self) {
        self.args.shared.events.send(Event::Left);
        self.args.ended.send_replace(Some(Ok(())));
        for reply in self.leaving.drain(..) {
            // Whoever asked may have stopped waiting.
            let _ = reply.send(());
        }
    }
}
