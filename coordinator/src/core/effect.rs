//! What a core wants done, in order.

use std::sync::Arc;

use callboard_offsets::record::Record;
use callboard_offsets::record::codec::RecordError;
use callboard_protocol::{ErrorCode, Uuid};

use super::input::{AppendId, Fetch, RequestId};
use super::offsets::expiry::Retention;
use crate::response;

/// One thing to do. All effects of a step concern the group of its input, if that concerns one.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Answer a request.
    Answer {
        /// Which.
        id: RequestId,
        /// The answer.
        response: Response,
    },
    /// Append; tell what became of it.
    Append {
        /// Comes back in [`Input::Durable`](super::Input::Durable).
        append_id: AppendId,
        /// The group.
        group_id: Arc<str>,
        /// In one piece.
        records: Vec<Record>,
    },
    /// What was to be appended has no bytes: tell it as an append that failed.
    Unwritable {
        /// Comes back in [`Input::Durable`](super::Input::Durable).
        append_id: AppendId,
        /// The group.
        group_id: Arc<str>,
        /// Why.
        error: RecordError,
    },
    /// Append, and answer the request when it has landed: with `outcome`, or with
    /// [`CommitOutcome::failed`] of it.
    Commit {
        /// Set if the core wants to hear too, as with [`Append`](Self::Append).
        append_id: Option<AppendId>,
        /// The request.
        id: RequestId,
        /// The group.
        group_id: Arc<str>,
        /// In one piece.
        records: Vec<Record>,
        /// The answer once it has landed.
        outcome: CommitOutcome,
    },
    /// Behind this group's appends, answer the request by [`fetch`](super::fetch).
    Fetch {
        /// The request.
        id: RequestId,
        /// The group.
        group_id: Arc<str>,
        /// What is asked.
        fetch: Fetch,
    },
    /// Behind this group's appends, append what [`Removal::records`] finds in the index, in one piece or, if
    /// [`Removal::is_divisible`], in several; tell what became of it.
    Remove {
        /// Comes back in [`Input::Durable`](super::Input::Durable).
        append_id: AppendId,
        /// The group.
        group_id: Arc<str>,
        /// What goes.
        removal: Removal,
    },
    /// Behind this group's appends, read [`StoredGroup`](super::StoredGroup) and tell it by
    /// [`Input::Rebuilt`](super::Input::Rebuilt).
    Reload {
        /// The group.
        group_id: Arc<str>,
    },
    /// Behind every append sent before, remove what any group has committed for a topic that is gone; tell by
    /// [`Input::Forgot`](super::Input::Forgot) what became of it.
    Forget {
        /// The topic.
        id: Uuid,
        /// Its name.
        topic: Arc<str>,
    },
    /// Nothing is stored for this deleted topic any more, and nothing will be.
    Forgotten {
        /// The topic.
        id: Uuid,
    },
    /// Requests are served from now on: what was stored is loaded, and nothing of it is for a topic that is gone.
    Opened,
    /// Something worth counting.
    Note(Event),
}

/// What stored things of a group go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// All of it.
    Group {
        /// Type of the group's own record.
        kind: i16,
    },
    /// Committed offsets, by topic and partition.
    Offsets(Vec<(Arc<str>, i32)>),
    /// Committed offsets whose time is over, and if none is left and nobody is in the group, the group.
    Expired(Retention),
}

impl Removal {
    /// Whether it may be appended in parts. What a client asked for is all done or not at all, and one batch in Kafka; what
    /// is too old goes as it can, and what is left is found by the next check.
    #[must_use]
    pub fn is_divisible(&self) -> bool {
        match self {
            Self::Group { .. } | Self::Offsets(_) => false,
            Self::Expired(_) => true,
        }
    }
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To [`GroupRequest::Join`](super::GroupRequest::Join).
    Join(response::JoinGroup),
    /// To [`GroupRequest::Sync`](super::GroupRequest::Sync).
    Sync(response::SyncGroup),
    /// To [`GroupRequest::Heartbeat`](super::GroupRequest::Heartbeat).
    Heartbeat(ErrorCode),
    /// To [`GroupRequest::Leave`](super::GroupRequest::Leave).
    Leave(response::LeaveGroup),
    /// To [`GroupRequest::Commit`](super::GroupRequest::Commit).
    Commit(CommitOutcome),
    /// To [`GroupRequest::Fetch`](super::GroupRequest::Fetch).
    Fetch(response::FetchedGroup),
    /// To [`GroupRequest::Describe`](super::GroupRequest::Describe).
    Describe(response::DescribedGroup),
    /// To [`GroupRequest::Delete`](super::GroupRequest::Delete).
    Delete(ErrorCode),
    /// To [`GroupRequest::DeleteOffsets`](super::GroupRequest::DeleteOffsets).
    DeleteOffsets(response::OffsetDelete),
    /// To [`Input::List`](super::Input::List).
    List(response::ListGroups),
}

/// What became of a commit. The topics of the request are with whoever makes the answer of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// The same for every partition the group was asked about: its error hides what it would say of single ones.
    All(ErrorCode),
    /// One for each partition, in the order of the request.
    Each(Vec<ErrorCode>),
}

impl CommitOutcome {
    /// The outcome when the append failed with `error`: what would have been NONE.
    #[must_use]
    pub fn failed(self, error: ErrorCode) -> Self {
        let error = super::remap(error);
        match self {
            Self::All(ErrorCode::NONE) => Self::All(error),
            Self::All(refused) => Self::All(refused),
            Self::Each(mut codes) => {
                for code in &mut codes {
                    if *code == ErrorCode::NONE {
                        *code = error;
                    }
                }
                Self::Each(codes)
            }
        }
    }
}

/// Something worth counting, or a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A group began to rebalance.
    RebalanceStarted {
        /// Why.
        reason: RebalanceReason,
        /// The generation that ends.
        generation_id: i32,
    },
    /// A group became Stable.
    RebalanceCompleted {
        /// Since it began, milliseconds.
        took_ms: u64,
        /// The generation.
        generation_id: i32,
        /// How many share the work now.
        members: usize,
    },
    /// A member is no more.
    MemberExited {
        /// Why.
        reason: ExitReason,
        /// Its id.
        member_id: Arc<str>,
    },
    /// What is committed for a deleted topic could not be removed; it will be tried again.
    NotForgotten {
        /// The topic.
        topic: Arc<str>,
        /// What the log said.
        error: ErrorCode,
        /// Since it worked the last time, this one counted.
        failures: u32,
    },
}

/// Why a group rebalances. The values of a metric's label: few, and never the client's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RebalanceReason {
    /// A member joined.
    MemberJoin,
    /// A member left.
    MemberLeave,
    /// A member was silent for longer than its session timeout.
    SessionTimeout,
    /// A member joined and never fetched its assignment.
    RebalanceTimeout,
    /// A static member's process was replaced while assignments were awaited.
    StaticMemberReplaced,
    /// A member came back with other metadata.
    SubscriptionChange,
    /// A static member's next process changes the selected protocol.
    ProtocolChange,
    /// The leader came back, which is how it asks for a new plan.
    LeaderRejoin,
    /// The plan could not be written.
    AssignmentWriteError,
    /// The group was loaded with more members than allowed.
    OverCapacity,
}

impl RebalanceReason {
    /// Every value of the label.
    pub const NAMES: [&'static str; 10] = [
        Self::MemberJoin.as_str(),
        Self::MemberLeave.as_str(),
        Self::SessionTimeout.as_str(),
        Self::RebalanceTimeout.as_str(),
        Self::StaticMemberReplaced.as_str(),
        Self::SubscriptionChange.as_str(),
        Self::ProtocolChange.as_str(),
        Self::LeaderRejoin.as_str(),
        Self::AssignmentWriteError.as_str(),
        Self::OverCapacity.as_str(),
    ];

    /// The value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MemberJoin => "member_join",
            Self::MemberLeave => "member_leave",
            Self::SessionTimeout => "session_timeout",
            Self::RebalanceTimeout => "rebalance_timeout",
            Self::StaticMemberReplaced => "static_member_replaced",
            Self::SubscriptionChange => "subscription_change",
            Self::ProtocolChange => "protocol_change",
            Self::LeaderRejoin => "leader_rejoin",
            Self::AssignmentWriteError => "assignment_write_error",
            Self::OverCapacity => "over_capacity",
        }
    }
}

/// Why a member is no more. The values of a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitReason {
    /// It left.
    Leave,
    /// An admin removed it by its instance id.
    RemovedByOperator,
    /// It was silent for longer than its session timeout.
    SessionTimeout,
    /// It did not come back, or did not fetch its assignment, in time.
    RebalanceTimeout,
    /// The next process of the same instance took its place.
    Fenced,
    /// The group is full and others were there before it.
    GroupFull,
}

impl ExitReason {
    /// Every value of the label.
    pub const NAMES: [&'static str; 6] = [
        Self::Leave.as_str(),
        Self::RemovedByOperator.as_str(),
        Self::SessionTimeout.as_str(),
        Self::RebalanceTimeout.as_str(),
        Self::Fenced.as_str(),
        Self::GroupFull.as_str(),
    ];

    /// The value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::RemovedByOperator => "removed_by_operator",
            Self::SessionTimeout => "session_timeout",
            Self::RebalanceTimeout => "rebalance_timeout",
            Self::Fenced => "fenced",
            Self::GroupFull => "group_full",
        }
    }
}
