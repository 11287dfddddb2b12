//! The committer, a child of the consumer: sends what the [commit core](crate::core::commit) decides, under the
//! generation that membership had when progress was read. Reads acknowledged offsets from the partitions themselves, so a restart loses
//! nothing; never decides what is acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callboard_client::admin::OFFSETS_BY_NAME_VERSION;
use callboard_client::{ClientError, TopicPartition};
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use callboard_supervision::{Addr, Envelope, RpcReplyPort, Timer, seldom};
use metrics::{counter, histogram};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;

use crate::core::commit::{CommitCore, CommitEffect, CommitInput, Offsets};
use crate::core::membership::{Refusal, Ticket};
use crate::event::Event;
use crate::membership::MembershipMsg;
use crate::metrics::{CONSUMER_COMMIT_DURATION_SECONDS, CONSUMER_COMMITS_TOTAL};
use crate::partitions::PartitionsMsg;
use crate::shared::{Identity, Shared};

/// Its kind in metrics and logs.
pub(crate) const KIND: &str = "committer";

type Answer = Result<BTreeMap<TopicPartition, ErrorCode>, Refusal>;

/// What the committer is told.
#[derive(Debug)]
pub(crate) enum CommitterMsg {
    /// Something is to be committed now: a position that `auto.offset.reset` chose.
    Soon,
    /// Commit these before they are released. Answered to the supervisor of handlers with `Flushed`.
    Flush {
        ticket: Ticket,
        timeout: Duration,
        partitions: Vec<TopicPartition>,
    },
    /// Commit everything now. Answers with the partitions that could not be.
    CommitNow(Duration, RpcReplyPort<Vec<TopicPartition>>),
    /// The commit in flight is answered.
    Answered(Answer),
    /// The member is in this generation now, or in none.
    Generation(Option<i32>),
    /// The deadline has come.
    Due,
}

/// Who waits for a flush.
enum Waiter {
    Release(Ticket),
    Application(RpcReplyPort<Vec<TopicPartition>>),
}

pub(crate) struct Committer;

pub(crate) struct State {
    shared: Arc<Shared>,
    myself: Addr<CommitterMsg>,
    core: CommitCore,
    waiters: BTreeMap<u64, Waiter>,
    next_flush: u64,
    /// The commit in flight, and a metadata refresh.
    request: JoinSet<()>,
    /// Who we were when progress was read last: what is sent is sent as that.
    identity: Identity,
    /// Of whom the commit in flight was asked.
    sent_to: Option<i32>,
    timer: Option<Timer>,
    origin: Instant,
}

#[ractor::async_trait]
impl Actor for Committer {
    type Msg = Envelope<CommitterMsg>;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        shared: Arc<Shared>,
    ) -> Result<State, ActorProcessingErr> {
        let myself = Addr::new(myself, KIND);
        shared.slots.committer.set(myself.clone());
        let interval = shared.client.config().auto_commit_interval;
        let mut state = State {
            core: CommitCore::new(interval, shared.client.retry_backoff()),
            myself,
            waiters: BTreeMap::new(),
            next_flush: 0,
            request: JoinSet::new(),
            identity: Identity::default(),
            sent_to: None,
            timer: None,
            origin: Instant::now(),
            shared,
        };
        state.arm();
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        while state.request.try_join_next().is_some() {}
        match message.open() {
            CommitterMsg::Soon => state.step(CommitInput::Soon),
            CommitterMsg::Flush {
                ticket,
                timeout,
                partitions,
            } => state.flush(Waiter::Release(ticket), timeout, partitions),
            CommitterMsg::CommitNow(timeout, reply) => {
                let all = state.shared.cells().into_keys().collect();
                state.flush(Waiter::Application(reply), timeout, all);
            }
            CommitterMsg::Answered(answer) => state.step(CommitInput::Answered(answer)),
            CommitterMsg::Generation(generation) => state.step(CommitInput::Generation(generation)),
            CommitterMsg::Due => state.step(CommitInput::Tick),
        }
        state.arm();
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
    fn flush(&mut self, waiter: Waiter, timeout: Duration, partitions: Vec<TopicPartition>) {
        self.next_flush += 1;
        self.waiters.insert(self.next_flush, waiter);
        if self.shared.settings.assigned.is_some() {
            // Without a group there is nothing to wait for.
            self.act(CommitEffect::Flushed {
                id: self.next_flush,
                uncommitted: Vec::new(),
            });
            return;
        }
        let until = self.origin.elapsed() + timeout;
        self.step(CommitInput::Flush {
            id: self.next_flush,
            until,
            partitions,
        });
    }

    fn step(&mut self, input: CommitInput) {
        let mut effects = Vec::new();
        self.core.step(self.origin.elapsed(), input, &mut effects);
        for effect in effects {
            self.act(effect);
        }
    }

    fn act(&mut self, effect: CommitEffect) {
        match effect {
            CommitEffect::ReadProgress => {
                // First who we are: a partition that is lost in between is not among the cells any more.
                self.identity = self.shared.identity();
                let (mut known, mut offsets) = (BTreeMap::new(), Offsets::new());
                for (partition, cell) in self.shared.cells() {
                    if let (Some(progress), Some(committable)) =
                        (cell.progress(), cell.committable())
                    {
                        known.insert(partition.clone(), progress.committed);
                        offsets.insert(partition, committable);
                    }
                }
                // So a restart of this actor loses nothing.
                self.step(CommitInput::Known(known));
                self.step(CommitInput::Progress {
                    generation: self.identity.commits_under(),
                    offsets,
                });
            }
            CommitEffect::Send(offsets) => self.send(offsets),
            CommitEffect::Committed(offsets) => self.committed(&offsets),
            CommitEffect::Refused(codes) => {
                self.result("refused");
                let error = codes
                    .values()
                    .next()
                    .map_or("", |code| code.name())
                    .to_owned();
                seldom!(warn, partitions = codes.len(), error, "commit refused");
                self.shared.events.send(Event::CommitFailed {
                    partitions: codes.into_keys().collect(),
                    error,
                });
            }
            CommitEffect::RefreshMetadata => {
                let shared = Arc::clone(&self.shared);
                self.request.spawn(async move {
                    if let Err(error) = shared.client.refresh().await {
                        debug!(%error, "cannot refresh metadata");
                    }
                });
            }
            CommitEffect::TellMembership {
                generation,
                refusal,
            } => {
                self.result("retried");
                if let Refusal::Protocol(error) = &refusal {
                    seldom!(warn, error, "the answer to a commit cannot be read");
                }
                self.shared
                    .slots
                    .membership
                    .cast(MembershipMsg::CommitRefused {
                        request: "OffsetCommit",
                        node: self.sent_to,
                        generation,
                        code: refusal,
                    });
            }
            CommitEffect::Flushed { id, uncommitted } => match self.waiters.remove(&id) {
                Some(Waiter::Release(ticket)) => {
                    self.shared.slots.partitions.cast(PartitionsMsg::Flushed {
                        ticket,
                        uncommitted,
                    });
                }
                Some(Waiter::Application(reply)) => {
                    // The application may have stopped waiting.
                    let _ = reply.send(uncommitted);
                }
                None => {}
            },
        }
    }

    fn committed(&self, offsets: &Offsets) {
        self.result("ok");
        self.shared.count(|totals| totals.commits += 1);
        let cells = self.shared.cells();
        for (partition, committed) in offsets {
            if let Some(cell) = cells.get(partition) {
                cell.committed(committed.offset);
            }
        }
        self.shared.events.send(Event::Committed {
            offsets: offsets
                .iter()
                .map(|(partition, committed)| (partition.clone(), committed.offset))
                .collect(),
        });
    }

    fn result(&self, result: &'static str) {
        counter!(CONSUMER_COMMITS_TOTAL, "group" => self.shared.group_id.to_string(), "result" => result).increment(1);
    }

    fn send(&mut self, offsets: Offsets) {
        let (shared, myself) = (Arc::clone(&self.shared), self.myself.clone());
        let identity = self.identity.clone();
        self.sent_to = identity.coordinator;
        self.request.spawn(async move {
            let started = Instant::now();
            let answer = commit(&shared, identity, offsets).await;
            histogram!(CONSUMER_COMMIT_DURATION_SECONDS, "group" => shared.group_id.to_string())
                .record(started.elapsed());
            // Gone only if this incarnation is; the next one has not asked.
            let _ = myself.cast(CommitterMsg::Answered(answer));
        });
    }

    fn arm(&mut self) {
        let now = self.origin.elapsed();
        self.timer = self.core.next_deadline().map(|due| {
            self.myself
                .send_after(due.saturating_sub(now), CommitterMsg::Due)
        });
    }
}

async fn commit(shared: &Shared, identity: Identity, offsets: Offsets) -> Answer {
    let Some(node) = identity.coordinator else {
        return Err(Refusal::Disconnected);
    };
    let mut topics: BTreeMap<Arc<str>, Vec<OffsetCommitRequestPartition<'static>>> =
        BTreeMap::new();
    for (partition, committable) in offsets {
        topics
            .entry(partition.topic)
            .or_default()
            .push(OffsetCommitRequestPartition {
                partition_index: partition.partition,
                committed_offset: committable.offset,
                committed_leader_epoch: committable.leader_epoch,
                committed_metadata: Some("".into()),
                ..OffsetCommitRequestPartition::default()
            });
    }
    let instance_id = shared.client.config().group_instance_id.clone();
    let asked = shared
        .client
        .request::<OffsetCommitRequest>(
            shared.client.coordination(node),
            OFFSETS_BY_NAME_VERSION,
            |version| OffsetCommitRequest {
                group_id: shared.group_id.to_string().into(),
                generation_id_or_member_epoch: identity.generation.id,
                member_id: identity.generation.member_id.into(),
                group_instance_id: instance_id.filter(|_| version >= 7).map(Into::into),
                topics: topics
                    .into_iter()
                    .map(|(topic, partitions)| OffsetCommitRequestTopic {
                        name: topic.to_string().into(),
                        partitions,
                        ..OffsetCommitRequestTopic::default()
                    })
                    .collect(),
                ..OffsetCommitRequest::default()
            },
        )
        .await;
    let answer = asked.map_err(|error| refusal(&error))?;
    let response = answer.read().map_err(|error| refusal(&error))?;
    let mut codes = BTreeMap::new();
    for topic in &response.topics {
        for partition in &topic.partitions {
            codes.insert(
                TopicPartition::new(&*topic.name, partition.partition_index),
                ErrorCode(partition.error_code),
            );
        }
    }
    Ok(codes)
}

/// What a request that came to nothing means to a core.
pub(crate) fn refusal(error: &ClientError) -> Refusal {
    debug!(%error, "request to the coordinator failed");
    match error {
        ClientError::Kafka { code, .. } => Refusal::Code(*code),
        ClientError::UnsupportedApi(_) | ClientError::Encode { .. } => {
            Refusal::Code(ErrorCode::UNSUPPORTED_VERSION)
        }
        ClientError::Protocol(detail) => Refusal::Protocol(detail.clone()),
        _ => Refusal::Disconnected,
    }
}
