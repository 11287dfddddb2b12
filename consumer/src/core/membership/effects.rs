//! What the membership core hears and what it asks for. Plain values; the shell owns every answer port and socket.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use callboard_client::TopicPartition;
use callboard_protocol::ErrorCode;

use super::{Generation, Topics};

/// Ties an answer to its question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The coordinator answered with an error.
    Code(ErrorCode),
    /// No answer: the connection failed or the request timed out.
    Disconnected,
    /// The answer was not Kafka's.
    Protocol(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => f.write_str(code.name()),
            Self::Disconnected => f.write_str("no answer"),
            Self::Protocol(detail) => write!(f, "protocol error: {detail}"),
        }
    }
}

/// JoinGroup's answer, where it was a success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinAnswer {
    /// The generation joined.
    pub generation: i32,
    /// The protocol type, from v7 on.
    pub protocol_type: Option<String>,
    /// The assignor chosen.
    pub protocol: String,
    /// The leader's member id.
    pub leader: String,
    /// Our member id.
    pub member_id: String,
    /// A static leader is back and the assignment stands (KIP-814, v9).
    pub skip_assignment: bool,
    /// All members, if we lead.
    pub members: Vec<JoinMember>,
}

/// A member as the leader is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinMember {
    /// Its member id.
    pub member_id: String,
    /// Its instance id, if static.
    pub instance_id: Option<String>,
    /// Its subscription's bytes.
    pub metadata: Bytes,
}

/// SyncGroup's answer, where it was a success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncAnswer {
    /// The protocol name, from v5 on.
    pub protocol: Option<String>,
    /// What we are assigned; `None` if the bytes were no assignment.
    pub assigned: Option<BTreeSet<TopicPartition>>,
}

/// The leader's plan, ready for SyncGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedPlan {
    /// Encoded assignments by member id.
    pub assignments: Vec<(String, Bytes)>,
    /// The topics it was made over; without partitions where one is not there.
    pub over: Topics,
}

/// Why the leader has no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanFailure {
    /// Metadata could not be had; it is worth another try.
    Metadata(String),
    /// The assignor returned an error, panicked, took too long, or made an invalid plan.
    Assignor(String),
}

/// What the core hears.
#[derive(Clone, Debug)]
pub enum Input {
    /// Begin.
    Start,
    /// The deadline has come.
    Tick,
    /// FindCoordinator's answer: the node.
    CoordinatorFound(Ticket, Result<i32, Refusal>),
    /// JoinGroup's answer. A refusal may carry the member id to use (MEMBER_ID_REQUIRED).
    Joined(Ticket, Result<JoinAnswer, (Refusal, String)>),
    /// The leader's plan is ready, or will not come.
    Planned(Ticket, Result<EncodedPlan, PlanFailure>),
    /// SyncGroup's answer.
    Synced(Ticket, Result<SyncAnswer, Refusal>),
    /// Heartbeat's answer.
    HeartbeatAnswered(Ticket, Result<(), Refusal>),
    /// The partitions are released: drained, committed, stopped.
    Revoked(Ticket),
    /// LeaveGroup is answered, or given up.
    Left(Ticket),
    /// The topics the client knows of; once at the start and whenever that changes.
    MetadataChanged(Topics),
    /// A commit sent under `generation`, or an offset fetch, was refused.
    CommitRefused {
        /// Which of the two.
        request: &'static str,
        /// The node that was asked; none where no coordinator was known.
        node: Option<i32>,
        /// The generation it carried.
        generation: i32,
        /// Why.
        code: Refusal,
    },
    /// Whoever holds the partitions began anew and may have missed the last effect that was for it.
    PartitionsRestarted,
    /// The application wants a rebalance (KIP-568).
    Rejoin(String),
    /// Give everything up in order and leave.
    Leave {
        /// Why, for the coordinator's log.
        reason: String,
        /// How long all of it may take.
        within: Duration,
    },
}

/// A JoinGroup to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinQuestion {
    /// The coordinator.
    pub node: i32,
    /// Our member id or "".
    pub member_id: String,
    /// What goes into the subscription as the generation.
    pub generation: i32,
    /// What goes into the subscription as owned partitions.
    pub owned: BTreeSet<TopicPartition>,
    /// Why, for the coordinator's log (v8).
    pub reason: String,
}

/// A SyncGroup to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncQuestion {
    /// The coordinator.
    pub node: i32,
    /// Who we are.
    pub generation: Generation,
    /// The leader's assignments; empty from a follower.
    pub assignments: Vec<(String, Bytes)>,
}

/// What the core wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask any broker who coordinates the group.
    FindCoordinator(Ticket),
    /// Send JoinGroup.
    Join(Ticket, JoinQuestion),
    /// We lead: get metadata of every topic subscribed and run the assignor, or only note the metadata where the
    /// assignment stands (KIP-814).
    Plan {
        /// For the answer.
        ticket: Ticket,
        /// Which assignor.
        protocol: String,
        /// The group.
        members: Vec<JoinMember>,
        /// The assignment stands: no assignments are to be made.
        skip: bool,
    },
    /// Send SyncGroup.
    Sync(Ticket, SyncQuestion),
    /// Send a heartbeat.
    Heartbeat {
        /// For the answer.
        ticket: Ticket,
        /// The coordinator.
        node: i32,
        /// Who we are.
        generation: Generation,
    },
    /// Send LeaveGroup, once, without retry.
    Leave {
        /// For the answer.
        ticket: Ticket,
        /// The coordinator.
        node: i32,
        /// Who leaves.
        member_id: String,
        /// Why, for the coordinator's log (v5).
        reason: String,
    },
    /// Stop intake, finish what is in work, commit, release; then answer [`Input::Revoked`].
    Revoke {
        /// For the answer.
        ticket: Ticket,
        /// What to release.
        partitions: BTreeSet<TopicPartition>,
        /// How long the records in work may take.
        drain: Duration,
        /// And the commit after them.
        commit: Duration,
    },
    /// Ownership is gone already: cancel, commit nothing. No answer.
    Lose {
        /// What is lost.
        partitions: BTreeSet<TopicPartition>,
        /// Why.
        cause: LossCause,
    },
    /// A generation is complete.
    Assign {
        /// Who we are now.
        generation: Generation,
        /// Everything we own now.
        owned: BTreeSet<TopicPartition>,
        /// What of it is new.
        added: BTreeSet<TopicPartition>,
        /// What of that is of a topic that was deleted under this member and is there again: it begins at its first
        /// record. What is committed of it may be of the topic before, and a policy says where to begin in a log that
        /// was there before us.
        reborn: BTreeSet<TopicPartition>,
        /// Whether we lead.
        leader: bool,
        /// Why it came to this rebalance.
        reason: Reason,
        /// From the first sign of the rebalance to now.
        took: Duration,
    },
    /// Close the coordination connection to this node.
    Disconnect(i32),
    /// The coordinator cannot be reached, or cannot be found; the application should hear of it. Membership is kept.
    CoordinatorLost {
        /// The node it was, where one was known.
        node: Option<i32>,
        /// What was heard of it last.
        why: Refusal,
    },
    /// And this node has answered as the coordinator since.
    CoordinatorFound(i32),
    /// There is no plan; the application should hear of it.
    PlanFailed {
        /// The assignor that the group chose.
        assignor: String,
        /// Who we were.
        member_id: String,
        /// Why.
        why: String,
    },
    /// The member ends and does not come back.
    Fatal(FatalError),
    /// The member has left.
    Stopped,
}

/// Why a member rejoins. Its text goes to the coordinator as JoinGroup's reason (KIP-800).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The first join of this member.
    FirstJoin,
    /// The coordinator said that the group rebalances.
    GroupRebalancing,
    /// Leader: a topic has other partitions than the plan was made over.
    MetadataChanged,
    /// A topic that was deleted is there again; its partitions that were ours begin anew. No rebalance.
    TopicBack,
    /// Cooperative: partitions were given up for others to take.
    RevokedForOthers,
    /// The assignment held topics that are not subscribed.
    AssignmentMismatch,
    /// The coordinator does not know the generation.
    IllegalGeneration,
    /// The coordinator does not know the member: its session ended.
    UnknownMember,
    /// The last attempt failed.
    Failed(String),
    /// The application asked.
    Application(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstJoin => f.write_str("first join"),
            Self::GroupRebalancing => f.write_str("group is already rebalancing"),
            Self::MetadataChanged => f.write_str("cached metadata has changed"),
            Self::TopicBack => f.write_str("topic is there again"),
            Self::RevokedForOthers => f.write_str("need to revoke partitions and re-join"),
            Self::AssignmentMismatch => f.write_str("assignment does not match subscription"),
            Self::IllegalGeneration => f.write_str("encountered ILLEGAL_GENERATION"),
            Self::UnknownMember => f.write_str("encountered UNKNOWN_MEMBER_ID"),
            Self::Failed(why) => write!(f, "rebalance failed due to {why}"),
            Self::Application(why) => f.write_str(why),
        }
    }
}

/// Why ownership ended without our doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossCause {
    /// The coordinator removed the member: its session ended.
    UnknownMember,
    /// The group went on to a generation without us.
    IllegalGeneration,
    /// The records in work were not finished before the rebalance timeout.
    RevokeOverdue,
    /// The topic was deleted.
    TopicGone,
    /// The member ended with a fatal error.
    Fatal,
    /// The membership actor failed and begins again.
    Restarted,
}

impl fmt::Display for LossCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownMember => "the coordinator no longer knows this member",
            Self::IllegalGeneration => "the group is in another generation",
            Self::RevokeOverdue => "revocation took longer than the rebalance timeout",
            Self::TopicGone => "the topic was deleted",
            Self::Fatal => "the member ended",
            Self::Restarted => "membership was restarted",
        })
    }
}

/// Why a member cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FatalError {
    /// The coordinator refused for good.
    #[error("{request} was refused: {}{}", code.name(), what_it_takes(*code))]
    Refused {
        /// The request.
        request: &'static str,
        /// The error code.
        code: ErrorCode,
    },
    /// Another process uses the same `group.instance.id`.
    #[error("another member took over group.instance.id={instance_id}")]
    Fenced {
        /// The id.
        instance_id: String,
    },
    /// An answer that is not Kafka's.
    #[error("protocol error in {request}: {detail}")]
    Protocol {
        /// The request.
        request: &'static str,
        /// What is wrong.
        detail: String,
    },
}

/// What can be done about a refusal, where somebody can.
fn what_it_takes(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL => {
            "; the group's members have no assignor that this one offers: partition.assignment.strategy chooses among range, \
             roundrobin, sticky, cooperative-sticky and those that the application registers"
        }
        ErrorCode::INVALID_SESSION_TIMEOUT => {
            "; session.timeout.ms has to lie between the broker's group.min.session.timeout.ms and group.max.session.timeout.ms"
        }
        _ => "",
    }
}
