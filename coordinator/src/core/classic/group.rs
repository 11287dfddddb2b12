//! One classic group: its phase, its members, and what it waits for. The rules are in the files beside this one, one for
//! each thing that can be asked or happen.
//!
//! While an append is in flight that will change the group, everything else about the group waits in order, so a step
//! always sees what is durable. What no record holds (parked requests, protocols that were not selected, deadlines)
//! stands beside it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::group_metadata::GroupMetadataValue;
use super::members::{Members, Seq};
use super::rare::Rare;
use crate::core::input::{AppendId, GroupRequest, RequestId};
use crate::core::offsets::commit;
use crate::core::step::Step;
use crate::core::timers::{Due, Millis, Place, Timer, TimerKind};
use crate::{request, response};

/// Who must still fetch an assignment of this generation, and until when.
#[derive(Debug, Default)]
pub(in crate::core) struct Syncing {
    pub(in crate::core) missing: BTreeSet<Seq>,
    pub(in crate::core) timer: Timer,
}

/// The delay before the first rebalance of an Empty group.
#[derive(Debug)]
pub(in crate::core) struct InitialDelay {
    /// Of the delay that runs now.
    pub(in crate::core) delay_ms: u64,
    /// What of the rebalance timeout is left behind it.
    pub(in crate::core) remaining_ms: u64,
    /// Whether a member was added since it began to run.
    pub(in crate::core) newcomer: bool,
}

/// Where a classic group stands. Kafka's fifth state, Dead, is a group that is not in the map any more.
#[derive(Debug)]
pub(in crate::core) enum Phase {
    /// Nobody is in it. JoinGroup founds it anew, commits come from simple consumers, a member is unknown to it.
    /// Goes to Preparing with the first member, or away.
    Empty,
    /// Members are told to join again (27), commits of the old generation are taken, JoinGroup waits for the others.
    /// Goes to Completing when all have come or time is up, to Empty if nobody is left.
    Preparing {
        /// Runs only if the group was Empty before.
        initial: Option<Box<InitialDelay>>,
        timer: Timer,
    },
    /// The leader makes its plan; SyncGroup waits for it, commits are refused (27), heartbeats are fine.
    /// Goes to Stable when the plan is durable, to Preparing when anything about the members changes.
    Completing(Box<Syncing>),
    /// Everybody works. Goes to Preparing when anything about the members changes.
    Stable(Box<Syncing>),
}

impl Phase {
    pub(in crate::core) fn state(&self) -> State {
        match self {
            Self::Empty => State::Empty,
            Self::Preparing { .. } => State::PreparingRebalance,
            Self::Completing(_) => State::CompletingRebalance,
            Self::Stable(_) => State::Stable,
        }
    }
}

/// The states of a group that exists, by Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// No members.
    Empty,
    /// Members are joining.
    PreparingRebalance,
    /// The leader's plan is awaited.
    CompletingRebalance,
    /// Everybody works.
    Stable,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Empty,
        Self::PreparingRebalance,
        Self::CompletingRebalance,
        Self::Stable,
    ];

    /// Kafka's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// What the members read, as of the last completed join phase.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::core) enum Subscribed {
    /// To these topics.
    To(BTreeSet<Arc<str>>),
    /// Not known: another protocol type, or bytes that do not parse.
    Unknown,
}

/// The append everything else about the group waits for, and what its landing means.
#[derive(Debug)]
pub(in crate::core) enum InFlight {
    /// The first there is of the group. Until it lands the group does not exist for anybody.
    Founding(Option<Box<GroupMetadataValue>>),
    /// The leader's plan.
    Plan(Box<GroupMetadataValue>),
    /// The next process of a static member in a Stable group.
    Takeover {
        id: RequestId,
        join: Box<request::JoinGroup>,
        member_id: Arc<str>,
        seq: Seq,
        value: Box<GroupMetadataValue>,
    },
    /// The group without members; the LeaveGroup that emptied it waits too.
    Emptying {
        value: Box<GroupMetadataValue>,
        leaving: Option<(RequestId, response::LeaveGroup)>,
    },
    /// DeleteGroups.
    Deleting(RequestId),
    /// OffsetDelete, with its answer.
    DeletingOffsets(RequestId, response::OffsetDelete),
    /// The end of what is too old. With it goes the group, if nobody is in it and nothing is left.
    Expiring,
    /// More generations.
    Reserving,
}

/// What waits for the append in flight.
#[derive(Debug)]
pub(in crate::core) enum Waiting {
    Ask(RequestId, GroupRequest),
    Timer(Place, Due),
    Expire,
}

/// See the module.
#[derive(Debug)]
pub(in crate::core) struct Group {
    pub(in crate::core) id: Arc<str>,
    pub(in crate::core) phase: Phase,
    /// When the persisted state was entered, for the retention of an Empty group. -1 if unknown.
    pub(in crate::core) since_wall_ms: i64,
    /// When the rebalance in progress began.
    pub(in crate::core) rebalancing_since: Millis,
    /// Stays when the last member goes. None: only simple consumers so far.
    pub(in crate::core) protocol_type: Option<Arc<str>>,
    pub(in crate::core) protocol_name: Option<Arc<str>>,
    pub(in crate::core) generation: i32,
    pub(in crate::core) marks: Marks,
    /// Whether a record of the group itself is stored. Groups of simple consumers have none.
    pub(in crate::core) recorded: bool,
    /// Some as long as there are members.
    pub(in crate::core) leader: Option<Seq>,
    pub(in crate::core) members: Rare<Members>,
    /// Ids that were given out (79) and not yet used.
    pub(in crate::core) pending: Rare<BTreeMap<Arc<str>, Timer>>,
    pub(in crate::core) subscribed: Subscribed,
    /// The append everything waits for.
    pub(in crate::core) in_flight: Option<(AppendId, InFlight)>,
    pub(in crate::core) waiting: Rare<VecDeque<Waiting>>,
    /// It is to be forgotten at the end of the step.
    pub(in crate::core) gone: bool,
    /// What the census was last told: state and members.
    pub(in crate::core) counted: Option<(State, usize)>,
}

// A million idle groups must fit.
const _: () = assert!(size_of::<Group>() <= 304);

/// Which generations may be given out. A generation must not be given out twice, not even after a crash; no record of
/// Kafka's says so before the plan is written. So generations are reserved ahead, several at a time, by a mark that
/// mostly travels with a record that is written anyway: a rebalance does not wait for a sync of its own.
#[derive(Debug, Default)]
pub(in crate::core) struct Marks {
    /// Of an earlier life: everything up to it may have been given out.
    pub(in crate::core) floor: i32,
    /// Durable: up to it may be given out now.
    pub(in crate::core) reserved: i32,
    /// In flight: the append and its mark.
    pub(in crate::core) coming: Option<(AppendId, i32)>,
}

impl Group {
    /// A group nobody has joined yet.
    pub(in crate::core) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            phase: Phase::Empty,
            since_wall_ms: -1,
            rebalancing_since: 0,
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            marks: Marks::default(),
            recorded: false,
            leader: None,
            members: Rare::default(),
            pending: Rare::default(),
            subscribed: Subscribed::Unknown,
            in_flight: None,
            waiting: Rare::default(),
            gone: false,
            counted: None,
        }
    }

    pub(in crate::core) fn state(&self) -> State {
        self.phase.state()
    }

    /// Whether it exists for others: its first record has landed.
    pub(in crate::core) fn is_visible(&self) -> bool {
        !matches!(self.in_flight, Some((_, InFlight::Founding(_))))
    }

    pub(in crate::core) fn is_consumer(&self) -> bool {
        self.protocol_type.as_deref() == Some("consumer")
    }

    /// Whether every member waits in JoinGroup and nobody who was given an id is still to come.
    pub(in crate::core) fn all_joined(&self) -> bool {
        self.members.parked_joins() == self.members.len() && self.pending.is_empty()
    }

    pub(in crate::core) fn is_leader(&self, seq: Seq) -> bool {
        self.leader == Some(seq)
    }

    pub(in crate::core) fn leader_id(&self) -> Arc<str> {
        let leader = self.leader.and_then(|seq| self.members.get(seq));
        leader.map_or_else(|| Arc::from(""), |leader| Arc::clone(&leader.id))
    }

    /// One request, now or when the append in flight has landed.
    pub(in crate::core) fn ask(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        request: GroupRequest,
    ) {
        match self.in_flight {
            Some(_) => self.waiting.push_back(Waiting::Ask(id, request)),
            None => self.answer(step, id, request),
        }
    }

    fn answer(&mut self, step: &mut Step<'_>, id: RequestId, request: GroupRequest) {
        match request {
            GroupRequest::Join { join, uuid } => self.join(step, id, join, uuid),
            GroupRequest::Sync(sync) => self.sync(step, id, &sync),
            GroupRequest::Heartbeat(heartbeat) => self.heartbeat(step, id, &heartbeat),
            GroupRequest::Leave(leave) => self.leave(step, id, leave),
            GroupRequest::Commit(commit) => commit::commit(self, step, id, &commit),
            GroupRequest::Fetch(fetch) => step.fetch(id, &self.id, fetch),
            GroupRequest::Describe => self.describe(step, id),
            GroupRequest::Delete => self.delete(step, id),
            GroupRequest::DeleteOffsets(delete) => self.delete_offsets(step, id, delete),
        }
    }

    /// A deadline whose place in the queue came up.
    pub(in crate::core) fn timer(&mut self, step: &mut Step<'_>, place: Place, due: Due) {
        if self.in_flight.is_some() {
            // What was asked before it may move it yet.
            return self.waiting.push_back(Waiting::Timer(place, due));
        }
        let kind = due.kind.clone();
        let timer = match &kind {
            TimerKind::Member(seq) => self.members.get_mut(*seq).map(|member| &mut member.session),
            TimerKind::Pending(member_id) => self.pending.get_mut(member_id),
            TimerKind::Join => match &mut self.phase {
                Phase::Preparing { timer, .. } => Some(timer),
                _ => None,
            },
            TimerKind::Sync => match &mut self.phase {
                Phase::Completing(syncing) | Phase::Stable(syncing) => Some(&mut syncing.timer),
                _ => None,
            },
        };
        let Some(timer) = timer else { return };
        if !step.timers.gone_off(timer, place, step.now, due) {
            return;
        }
        match kind {
            TimerKind::Member(seq) => self.session_over(step, seq),
            TimerKind::Pending(member_id) => self.pending_over(step, &member_id),
            TimerKind::Join => self.join_time_over(step),
            TimerKind::Sync => self.sync_time_over(step),
        }
    }

    /// Goes on with what waited, until something has to wait again.
    pub(in crate::core) fn go_on(&mut self, step: &mut Step<'_>) {
        while self.in_flight.is_none()
            && !self.gone
            && let Some(next) = self.waiting.as_mut().and_then(VecDeque::pop_front)
        {
            match next {
                Waiting::Ask(id, request) => self.answer(step, id, request),
                Waiting::Timer(place, due) => self.timer(step, place, due),
                Waiting::Expire => self.expire(step),
            }
        }
    }

    /// Gives back what is empty: most groups stay so.
    pub(in crate::core) fn trim(&mut self) {
        self.members.trim();
        self.pending.trim();
        self.waiting.trim();
    }

    /// Leaves no deadline behind.
    pub(in crate::core) fn clear_timers(&mut self, step: &mut Step<'_>) {
        for seq in self.members.seqs() {
            if let Some(member) = self.members.get_mut(seq) {
                step.timers.clear(&mut member.session);
            }
        }
        for timer in self.pending.values_mut() {
            step.timers.clear(timer);
        }
        match &mut self.phase {
            Phase::Empty => {}
            Phase::Preparing { timer, .. } => step.timers.clear(timer),
            Phase::Completing(syncing) | Phase::Stable(syncing) => {
                step.timers.clear(&mut syncing.timer)
            }
        }
    }

    /// The session of a member begins anew.
    pub(in crate::core) fn restart_session(&mut self, step: &mut Step<'_>, seq: Seq) {
        if let Some(member) = self.members.get_mut(seq) {
            let timeout_ms = u64::try_from(member.session_timeout_ms).unwrap_or(0);
            step.arm(&mut member.session, timeout_ms, &self.id, || {
                TimerKind::Member(seq)
            });
        }
    }
}
