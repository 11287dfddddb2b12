//! The membership shell, a child of the consumer: carries the [membership core](crate::core::membership)'s questions to
//! the coordinator and its answers back. Runs no user code, not even assignors, and awaits nothing in its mailbox.

mod lag;
mod leader;
mod member;
mod requests;
pub(crate) mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use callboard_client::{Purpose, TopicPartition};
use callboard_protocol::ErrorCode;
use callboard_supervision::{Addr, Envelope, RpcReplyPort, Timer};
use metrics::{counter, gauge};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::assignment::Assignors;
use crate::committer::CommitterMsg;
use crate::core::membership::{
    Effect, FatalError, Generation, Input, LossCause, Membership, MembershipConfig, Reason,
    Refusal, Ticket,
};
use crate::event::Event;
use crate::metrics::{
    CONSUMER_COORDINATOR_LOST_TOTAL, CONSUMER_FATAL_TOTAL, CONSUMER_HEARTBEAT_FAILURES_TOTAL,
    CONSUMER_LAST_HEARTBEAT_TIMESTAMP_SECONDS, CONSUMER_REBALANCES_TOTAL,
};
use crate::partitions::PartitionsMsg;
use crate::shared::{Identity, Shared};

/// Its kind in metrics and logs.
pub(crate) const KIND: &str = "membership";

/// What membership is told.
#[derive(Debug)]
pub(crate) enum MembershipMsg {
    /// An answer to one of the core's questions, or the start, or a change of metadata.
    Step(Input),
    /// The core's deadline has come.
    Due,
    /// The partitions of this revocation are released.
    Revoked(Ticket),
    /// A commit or an offset fetch under this generation was refused.
    CommitRefused {
        request: &'static str,
        /// Of whom it was asked.
        node: Option<i32>,
        generation: i32,
        code: Refusal,
    },
    /// Give everything up in order and leave, in so much time. Answers when that is done.
    Leave {
        reason: String,
        within: Duration,
        reply: RpcReplyPort<()>,
    },
}

pub(crate) struct MembershipActor;

pub(crate) struct Args {
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: MembershipConfig,
    pub(crate) assignors: Arc<Assignors>,
    /// Told once when the member ends for good: how.
    pub(crate) ended: Arc<tokio::sync::watch::Sender<Option<Result<(), FatalError>>>>,
    /// 0 the first time.
    pub(crate) incarnation: u64,
}

pub(crate) struct State {
    shared: Arc<Shared>,
    myself: Addr<MembershipMsg>,
    core: Membership,
    assignors: Arc<Assignors>,
    ended: Arc<tokio::sync::watch::Sender<Option<Result<(), FatalError>>>>,
    /// Requests in flight, the assignor at work and the watch on metadata; they end with this actor.
    tasks: JoinSet<()>,
    timer: Option<Timer>,
    leaving: Vec<RpcReplyPort<()>>,
    origin: Instant,
}

#[ractor::async_trait]
impl Actor for MembershipActor {
    type Msg = Envelope<MembershipMsg>;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        let shared = args.shared;
        let myself = Addr::new(myself, KIND);
        // Before anything that others say.
        myself
            .cast(MembershipMsg::Step(Input::Start))
            .map_err(|_| "stopped while starting")?;
        shared.slots.membership.set(myself.clone());
        // A second incarnation rejoins under the member id of the first, so the group sees no second member; what the
        // first one owned it cannot vouch for any more.
        let member_id = shared.identity().generation.member_id;
        let member_id = (!member_id.is_empty()).then_some(member_id);
        if args.incarnation > 0 {
            shared.disown_all();
            let lose = PartitionsMsg::LoseAll(LossCause::Restarted);
            shared.slots.partitions.cast(lose);
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(watch::watch_metadata(Arc::clone(&shared), myself.clone()));
        Ok(State {
            core: Membership::new(args.config, member_id),
            assignors: args.assignors,
            ended: args.ended,
            tasks,
            timer: None,
            leaving: Vec::new(),
            origin: Instant::now(),
            myself,
            shared,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        while state.tasks.try_join_next().is_some() {}
        match message.open() {
            MembershipMsg::Step(input) => {
                state.note_heartbeat(&input);
                state.step(input);
            }
            MembershipMsg::Due => state.step(Input::Tick),
            MembershipMsg::Revoked(ticket) => state.step(Input::Revoked(ticket)),
            MembershipMsg::CommitRefused {
                request,
                node,
                generation,
                code,
            } => state.step(Input::CommitRefused {
                request,
                node,
                generation,
                code,
            }),
            MembershipMsg::Leave {
                reason,
                within,
                reply,
            } => {
                state.leaving.push(reply);
                state.step(Input::Leave { reason, within });
                state.answer_leavers();
            }
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
    fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        let now = self.origin.elapsed();
        self.core.step(now, input, &mut effects);
        // Before the effects: what they set in motion reads it.
        let identity = Identity {
            generation: self.core.generation().clone(),
            coordinator: self.core.coordinator(),
            is_joining: self.core.is_joining(),
        };
        let generation = identity.commits_under();
        if self.shared.set_identity(identity).commits_under() != generation {
            let changed = CommitterMsg::Generation(generation);
            self.shared.slots.committer.cast(changed);
        }
        for effect in effects {
            self.act(effect);
        }
        self.timer = self.core.next_deadline().map(|due| {
            self.myself
                .send_after(due.saturating_sub(now), MembershipMsg::Due)
        });
    }

    fn act(&mut self, effect: Effect) {
        let shared = Arc::clone(&self.shared);
        match effect {
            Effect::FindCoordinator(ticket) => {
                self.ask(async move {
                    Input::CoordinatorFound(ticket, requests::find_coordinator(&shared).await)
                });
            }
            Effect::Join(ticket, question) => {
                let assignors = Arc::clone(&self.assignors);
                self.ask(async move {
                    Input::Joined(ticket, requests::join(&shared, &assignors, question).await)
                });
            }
            Effect::Plan {
                ticket,
                protocol,
                members,
                skip,
            } => {
                let assignors = Arc::clone(&self.assignors);
                self.ask(async move {
                    Input::Planned(
                        ticket,
                        leader::plan(&shared, &assignors, &protocol, members, skip).await,
                    )
                });
            }
            Effect::Sync(ticket, question) => {
                let assignors = Arc::clone(&self.assignors);
                self.ask(async move {
                    Input::Synced(ticket, requests::sync(&shared, &assignors, question).await)
                });
            }
            Effect::Heartbeat {
                ticket,
                node,
                generation,
            } => {
                self.ask(async move {
                    Input::HeartbeatAnswered(
                        ticket,
                        requests::heartbeat(&shared, node, generation).await,
                    )
                });
            }
            Effect::Leave {
                ticket,
                node,
                member_id,
                reason,
            } => {
                self.ask(async move {
                    requests::leave(&shared, node, member_id, reason).await;
                    Input::Left(ticket)
                });
            }
            Effect::Revoke {
                ticket,
                partitions,
                drain,
                commit,
            } => self.shared.slots.partitions.cast(PartitionsMsg::Revoke {
                ticket,
                partitions,
                drain,
                commit,
            }),
            Effect::Lose { partitions, cause } => {
                // At once, and not when the supervisor of handlers gets to it: by then we may be in a generation again
                // in which somebody else owns them.
                self.shared.disown(&partitions);
                self.shared
                    .slots
                    .partitions
                    .cast(PartitionsMsg::Lose { partitions, cause });
            }
            Effect::Assign {
                generation,
                owned,
                added,
                reborn,
                leader,
                reason,
                took,
            } => {
                // Before the assignment is told of: what looks up where its partitions begin reads it.
                self.shared.reborn(&owned, reborn);
                self.assigned(generation, owned, added, leader, &reason, took);
            }
            Effect::Disconnect(node) => {
                for purpose in [Purpose::Coordination, Purpose::Parked] {
                    self.shared.client.disconnect(node, purpose);
                }
            }
            Effect::CoordinatorLost { node, why } => {
                let group = self.shared.group_id.to_string();
                warn!(group_id = group, node, error = %why, "coordinator lost");
                let error = refused_with(&why);
                counter!(CONSUMER_COORDINATOR_LOST_TOTAL, "group" => group, "error" => error)
                    .increment(1);
                let error = why.to_string();
                self.shared
                    .events
                    .send(Event::CoordinatorLost { node, error });
            }
            Effect::CoordinatorFound(node) => {
                info!(group_id = %self.shared.group_id, node, "coordinator found again");
                self.shared.events.send(Event::CoordinatorFound { node });
            }
            Effect::PlanFailed {
                assignor,
                member_id,
                why,
            } => assignor_failed(&shared, assignor, member_id, "assign", why),
            Effect::Fatal(fatal) => {
                let group = self.shared.group_id.to_string();
                error!(group_id = group, error = %fatal, "membership ended");
                let error = match &fatal {
                    FatalError::Refused { code, .. } => code.name(),
                    FatalError::Fenced { .. } => ErrorCode::FENCED_INSTANCE_ID.name(),
                    FatalError::Protocol { .. } => "PROTOCOL",
                };
                counter!(CONSUMER_FATAL_TOTAL, "group" => group, "error" => error).increment(1);
                self.shared.events.send(Event::Fatal {
                    error: fatal.clone(),
                });
                self.ended.send_replace(Some(Err(fatal)));
                self.answer_leavers();
            }
            Effect::Stopped => {
                self.shared.events.send(Event::Left);
                self.ended.send_replace(Some(Ok(())));
                self.answer_leavers();
            }
        }
    }

    /// Runs a question off the mailbox; its answer comes back as a step.
    fn ask(&mut self, question: impl Future<Output = Input> + Send + 'static) {
        let myself = self.myself.clone();
        self.tasks.spawn(async move {
            let input = question.await;
            // Gone only if this incarnation is, and then nobody has asked.
            let _ = myself.cast(MembershipMsg::Step(input));
        });
    }

    fn assigned(
        &mut self,
        generation: Generation,
        owned: BTreeSet<TopicPartition>,
        added: BTreeSet<TopicPartition>,
        leader: bool,
        reason: &Reason,
        took: Duration,
    ) {
        info!(
            group_id = %self.shared.group_id,
            generation = generation.id,
            member_id = generation.member_id,
            partitions = owned.len(),
            leader,
            %reason,
            "assigned"
        );
        let group = self.shared.group_id.to_string();
        counter!(CONSUMER_REBALANCES_TOTAL, "group" => group, "kind" => "assigned").increment(1);
        self.shared.count(|totals| totals.rebalances += 1);
        self.shared.events.send(Event::Assigned {
            generation: generation.id,
            member_id: generation.member_id.clone(),
            owned: owned.iter().cloned().collect(),
            added: added.into_iter().collect(),
            leader,
            reason: reason.to_string(),
            took,
        });
        self.shared.own(&owned);
        self.shared
            .slots
            .partitions
            .cast(PartitionsMsg::Assign { generation, owned });
    }

    /// Whoever waits for the leave hears when the member has ended, one way or the other.
    fn answer_leavers(&mut self) {
        if self.ended.borrow().is_some() {
            for reply in self.leaving.drain(..) {
                // Whoever asked may have stopped waiting.
                let _ = reply.send(());
            }
        }
    }

    fn note_heartbeat(&self, input: &Input) {
        let Input::HeartbeatAnswered(_, answer) = input else {
            return;
        };
        let group = self.shared.group_id.to_string();
        match answer {
            Ok(()) => gauge!(CONSUMER_LAST_HEARTBEAT_TIMESTAMP_SECONDS, "group" => group)
                .set(now_seconds()),
            Err(refusal) => {
                let error = refused_with(refusal);
                counter!(CONSUMER_HEARTBEAT_FAILURES_TOTAL, "group" => group, "error" => error)
                    .increment(1);
            }
        }
    }
}

/// Tells the log and the application of a call into an assignor that brought nothing; it is counted where it was made.
fn assignor_failed(
    shared: &Shared,
    assignor: String,
    member_id: String,
    call: &'static str,
    error: String,
) {
    warn!(group_id = %shared.group_id, assignor, member_id, call, error, "an assignor failed");
    shared.events.send(Event::AssignorFailed {
        assignor,
        member_id,
        call,
        error,
    });
}

/// A refusal as a label.
fn refused_with(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Code(code) => code.name(),
        Refusal::Disconnected => "DISCONNECTED",
        Refusal::Protocol(_) => "PROTOCOL",
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a gauge of wall time, in the shell that sets it"
)]
fn now_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
