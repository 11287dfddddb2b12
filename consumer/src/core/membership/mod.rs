//! A member of a classic group as a pure state machine: finding the coordinator, joining, syncing, heartbeats, leaving,
//! and what every error means for it. Owned by the membership shell. Never runs user code, never blocks, never sends:
//! it asks for things in [`Effect`]s and hears of them in [`Input`]s.
//!
//! Every question that expects an answer carries a [`Ticket`]; an answer to an old question is ignored, which is how an
//! answer that crossed a change of generation does no harm.

mod answers;
mod effects;
mod rebalance;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(in crate::core) use answers::ends_the_member;
pub use callboard_assignor::RebalanceProtocol;
use callboard_client::TopicPartition;
use callboard_client::core::backoff::Backoff;
pub use effects::{
    Effect, EncodedPlan, FatalError, Input, JoinAnswer, JoinMember, JoinQuestion, LossCause,
    PlanFailure, Reason, Refusal, SyncAnswer, SyncQuestion, Ticket,
};
use rebalance::RevokeTimes;
pub use topics::{TopicView, Topics};

/// What a member is told at its birth. Times are Kafka's configuration keys of the same name.
#[derive(Clone, Debug)]
pub struct MembershipConfig {
    /// `group.instance.id`: a static member (KIP-345).
    pub instance_id: Option<String>,
    /// The topics subscribed to.
    pub topics: BTreeSet<String>,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
    /// How long a rebalance may wait for this member: `max.poll.interval.ms`.
    pub rebalance_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// How long the record in work may take when its partition is revoked. At most half the rebalance timeout is used.
    pub drain_timeout: Duration,
    /// Whether a rebalance takes every partition away first, or only those that move (KIP-429).
    pub protocol: RebalanceProtocol,
    /// Seed of the jitter.
    pub seed: u64,
}

/// Generation id, member id and protocol name, as the coordinator gave them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// The generation, -1 outside of any.
    pub id: i32,
    /// The member id, empty before the coordinator gave one.
    pub member_id: String,
    /// The assignor the group chose; empty outside of any generation.
    pub protocol: String,
}

impl Generation {
    fn none() -> Self {
        Self {
            id: -1,
            ..Self::default()
        }
    }

    /// Its number, if it is one: what is sent without counts as a simple consumer's.
    #[must_use]
    pub fn current(&self) -> Option<i32> {
        (self.id >= 0 && !self.member_id.is_empty()).then_some(self.id)
    }
}

/// Where the member stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not started. Sends nothing.
    Idle,
    /// Outside of the group, about to join at the moment given. No heartbeats.
    Unjoined { retry_at: Duration },
    /// Partitions are being given up, either before joining or after an assignment took them. Heartbeats go on.
    Revoking {
        ticket: Ticket,
        partitions: BTreeSet<TopicPartition>,
        times: RevokeTimes,
        until: Duration,
        then: AfterRevoke,
    },
    /// JoinGroup is out. The parked request itself keeps the member alive, so no heartbeats.
    Joining { ticket: Ticket },
    /// Leader: the assignor is at work. Heartbeats go on.
    Planning { ticket: Ticket },
    /// SyncGroup is out. Heartbeats go on.
    Syncing { ticket: Ticket },
    /// In the group with an assignment. Heartbeats go on.
    Stable,
    /// LeaveGroup is out, or nothing had to be sent.
    Leaving { ticket: Ticket },
    /// Left, or ended by a fatal error. Sends nothing more.
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum AfterRevoke {
    /// Join the next generation.
    Join,
    /// Cooperative: take on this assignment, then join again.
    Apply { assigned: BTreeSet<TopicPartition> },
    /// Leave the group.
    Leave { reason: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coordinator {
    Unknown { retry_at: Duration },
    Looking { ticket: Ticket },
    Known { node: i32 },
}

/// The member.
#[derive(Debug)]
pub struct Membership {
    config: MembershipConfig,
    state: State,
    coordinator: Coordinator,
    generation: Generation,
    leader: bool,
    owned: BTreeSet<TopicPartition>,
    /// The next rebalance is asked for, and why.
    rejoin: Option<Reason>,
    /// Why the rebalance in progress began; told with the assignment that ends it.
    reason: Reason,
    heartbeat: HeartbeatTimer,
    /// No answer of the coordinator until then: it is looked up again.
    session_until: Duration,
    lookup_backoff: Backoff,
    join_backoff: Backoff,
    /// Leader: what the plan was computed over.
    planned_over: Option<Topics>,
    /// The topics as last heard of.
    heard: Option<Topics>,
    /// Assigned to us in this generation, but their topic was deleted since.
    void: BTreeSet<TopicPartition>,
    /// Topics that were deleted under this member. Where they are there again and partitions of them are assigned to us,
    /// those begin at their first record, whatever is committed of them and whatever the reset policy says. True if the
    /// topic was there again when the last JoinGroup was sent: what its answer assigns takes the new topic into account.
    reborn: BTreeMap<String, bool>,
    /// The application was told that the coordinator is lost, and not yet that it is found.
    told_lost: bool,
    /// When the rebalance in progress began.
    rebalance_since: Option<Duration>,
    next_ticket: u64,
}

#[derive(Debug)]
struct HeartbeatTimer {
    due: Duration,
    in_flight: Option<Ticket>,
    backoff: Backoff,
}

impl Membership {
    /// A member that has not joined. A restarted shell passes the member id of its last incarnation, so that the
    /// coordinator sees one member rejoin and not a second one.
    #[must_use]
    pub fn new(config: MembershipConfig, member_id: Option<String>) -> Self {
        let backoff = |salt: u64| {
            Backoff::new(
                config.retry_backoff,
                config.retry_backoff_max,
                config.seed ^ salt,
            )
        };
        Self {
            state: State::Idle,
            coordinator: Coordinator::Unknown {
                retry_at: Duration::ZERO,
            },
            generation: Generation {
                member_id: member_id.unwrap_or_default(),
                ..Generation::none()
            },
            leader: false,
            owned: BTreeSet::new(),
            rejoin: None,
            reason: Reason::FirstJoin,
            heartbeat: HeartbeatTimer {
                due: Duration::ZERO,
                in_flight: None,
                backoff: backoff(1),
            },
            session_until: Duration::MAX,
            lookup_backoff: backoff(2),
            join_backoff: backoff(3),
            planned_over: None,
            heard: None,
            void: BTreeSet::new(),
            reborn: BTreeMap::new(),
            told_lost: false,
            rebalance_since: None,
            next_ticket: 0,
            config,
        }
    }

    /// Takes one input at `now` and says what to do about it.
    pub fn step(&mut self, now: Duration, input: Input, effects: &mut Vec<Effect>) {
        if self.state == State::Ended {
            return;
        }
        // A commit or a heartbeat that was out before LeaveGroup may be answered after it, by a coordinator that does not
        // know the member any more: nothing of that brings it back.
        if matches!(self.state, State::Leaving { .. }) && !matches!(input, Input::Left(_)) {
            return;
        }
        match input {
            Input::Start => {
                if self.state == State::Idle {
                    self.state = State::Unjoined { retry_at: now };
                    self.rebalance_since = Some(now);
                }
            }
            Input::Tick => {}
            Input::CoordinatorFound(ticket, answer) => {
                self.coordinator_found(now, ticket, answer, effects)
            }
            Input::Joined(ticket, answer) => self.joined(now, ticket, answer, effects),
            Input::Planned(ticket, plan) => self.planned(now, ticket, plan, effects),
            Input::Synced(ticket, answer) => self.synced(now, ticket, answer, effects),
            Input::HeartbeatAnswered(ticket, answer) => {
                self.heartbeat_answered(now, ticket, answer, effects)
            }
            Input::Revoked(ticket) => self.revoked(now, ticket, effects),
            Input::Left(ticket) => self.left(ticket, effects),
            Input::MetadataChanged(topics) => self.metadata_changed(now, topics, effects),
            Input::CommitRefused {
                request,
                node,
                generation,
                code,
            } => self.commit_refused(now, (request, node, generation), code, effects),
            Input::PartitionsRestarted => self.repeat(now, effects),
            Input::Rejoin(reason) => self.request_rejoin(Reason::Application(reason)),
            Input::Leave { reason, within } => self.leave(now, reason, within, effects),
        }
        self.advance(now, effects);
    }

    /// When to call [`step`](Self::step) with [`Input::Tick`] if nothing else comes first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let coordinator = match (&self.state, self.coordinator) {
            (State::Idle | State::Ended, _) => return None,
            (_, Coordinator::Unknown { retry_at }) => Some(retry_at),
            (State::Leaving { .. }, _) | (_, Coordinator::Looking { .. }) => None,
            (_, Coordinator::Known { .. }) if self.heartbeats() => {
                Some(self.session_until.min(match self.heartbeat.in_flight {
                    Some(_) => Duration::MAX,
                    None => self.heartbeat.due,
                }))
            }
            (_, Coordinator::Known { .. }) => None,
        };
        let state = match &self.state {
            // Joining also needs the coordinator; looking it up has its own deadline.
            State::Unjoined { retry_at }
                if matches!(self.coordinator, Coordinator::Known { .. }) =>
            {
                Some(*retry_at)
            }
            State::Revoking { until, .. } => Some(*until),
            _ => None,
        };
        coordinator.into_iter().chain(state).min()
    }

    /// Who we are to the coordinator now; commits carry it.
    #[must_use]
    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    /// Whether a JoinGroup is out whose assignment is not there yet. A cooperative member holds partitions meanwhile and commits
    /// nothing of them, as Kafka's client does not: a commit would wait behind the parked request, and be of the generation
    /// before once it gets its turn.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        matches!(
            self.state,
            State::Joining { .. } | State::Planning { .. } | State::Syncing { .. }
        )
    }

    /// The coordinator's node, where known.
    #[must_use]
    pub fn coordinator(&self) -> Option<i32> {
        match self.coordinator {
            Coordinator::Known { node } => Some(node),
            Coordinator::Unknown { .. } | Coordinator::Looking { .. } => None,
        }
    }

    /// Whether this state tells the coordinator that it lives.
    fn heartbeats(&self) -> bool {
        self.generation.id >= 0
            && matches!(
                self.state,
                State::Revoking { .. }
                    | State::Planning { .. }
                    | State::Syncing { .. }
                    | State::Stable
            )
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Does what has become due. Runs after every input, so no handler has to think of what comes next.
    fn advance(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        match &self.state {
            State::Idle | State::Ended => return,
            State::Revoking { ticket, until, .. } if *until <= now => {
                // The drain has its own deadline in the shell; this one holds even if the shell forgets.
                let ticket = *ticket;
                self.revocation_overdue(now, ticket, effects);
            }
            _ => {}
        }
        self.find_coordinator(now, effects);
        if self.heartbeats() {
            self.beat(now, effects);
        }
        self.begin_rebalance(now, effects);
    }

    fn find_coordinator(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if matches!(self.state, State::Leaving { .. } | State::Ended) {
            return;
        }
        if let Coordinator::Unknown { retry_at } = self.coordinator
            && retry_at <= now
        {
            let ticket = self.ticket();
            self.coordinator = Coordinator::Looking { ticket };
            effects.push(Effect::FindCoordinator(ticket));
        }
    }

    fn beat(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let Coordinator::Known { node } = self.coordinator else {
            return;
        };
        if self.session_until <= now {
            // The coordinator does not answer: ask who it is now. Membership is kept; only it can take that away.
            self.mark_coordinator_unknown(now, &Refusal::Disconnected, effects);
            self.find_coordinator(now, effects);
            return;
        }
        if self.heartbeat.in_flight.is_none() && self.heartbeat.due <= now {
            let ticket = self.ticket();
            self.heartbeat.in_flight = Some(ticket);
            effects.push(Effect::Heartbeat {
                ticket,
                node,
                generation: self.generation.clone(),
            });
        }
    }

    /// The coordinator cannot be reached or is another one now. Generation and assignment are kept.
    fn mark_coordinator_unknown(
        &mut self,
        now: Duration,
        why: &Refusal,
        effects: &mut Vec<Effect>,
    ) {
        if let Coordinator::Known { node } = self.coordinator {
            effects.push(Effect::Disconnect(node));
            let wait = self.lookup_backoff.next_wait();
            self.coordinator = Coordinator::Unknown {
                retry_at: now + wait,
            };
            self.tell_lost(Some(node), why, effects);
        }
        self.heartbeat.in_flight = None;
        self.session_until = Duration::MAX;
    }

    /// Once until it is found again, however often it is looked for.
    fn tell_lost(&mut self, node: Option<i32>, why: &Refusal, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.told_lost, true) {
            let why = why.clone();
            effects.push(Effect::CoordinatorLost { node, why });
        }
    }

    /// The coordinator answered a request: the session lives. Whoever names it may be wrong, only its own word counts.
    fn answered(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        self.alive(now);
        if let Coordinator::Known { node } = self.coordinator
            && std::mem::take(&mut self.told_lost)
        {
            effects.push(Effect::CoordinatorFound(node));
        }
    }

    fn alive(&mut self, now: Duration) {
        self.session_until = now + self.config.session_timeout;
        self.heartbeat.backoff.reset();
    }

    fn request_rejoin(&mut self, reason: Reason) {
        if self.rejoin.is_none() {
            self.rejoin = Some(reason);
        }
    }

    /// Out of the generation, under the same member id. What was owned is lost.
    fn reset_keep(&mut self, now: Duration, cause: LossCause, effects: &mut Vec<Effect>) {
        self.lose_all(cause, effects);
        self.generation.id = -1;
        self.generation.protocol.clear();
        self.leader = false;
        self.planned_over = None;
        self.void.clear();
        self.heartbeat.in_flight = None;
        self.rebalance_since.get_or_insert(now);
    }

    /// Out of the group: the next join is a new member's.
    fn reset_new(&mut self, now: Duration, cause: LossCause, effects: &mut Vec<Effect>) {
        self.reset_keep(now, cause, effects);
        self.generation.member_id.clear();
    }

    fn lose_all(&mut self, cause: LossCause, effects: &mut Vec<Effect>) {
        let mut lost = std::mem::take(&mut self.owned);
        if let State::Revoking { partitions, .. } = &mut self.state {
            lost.append(partitions);
        }
        if !lost.is_empty() {
            effects.push(Effect::Lose {
                partitions: lost,
                cause,
            });
        }
    }

    /// Ends the member: the application is told once.
    fn fatal(&mut self, error: FatalError, effects: &mut Vec<Effect>) {
        self.lose_all(LossCause::Fatal, effects);
        self.state = State::Ended;
        effects.push(Effect::Fatal(error));
    }

    fn unjoined(&mut self, retry_at: Duration) {
        self.state = State::Unjoined { retry_at };
    }
}
