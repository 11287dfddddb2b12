//! What a coordinator answers, without a wire: one struct per API. The broker's handlers turn them into bytes.

use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::ErrorCode;

use crate::request::TopicRef;

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Of a static member.
    pub group_instance_id: Option<Arc<str>>,
    /// Its metadata for the selected protocol.
    pub metadata: Bytes,
}

/// Answer to JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroup {
    /// NONE, or why not.
    pub error: ErrorCode,
    /// The generation; -1 with an error.
    pub generation_id: i32,
    /// The group's protocol type; none with an error.
    pub protocol_type: Option<Arc<str>>,
    /// The selected protocol; none with an error. Versions below 7 have no null and say "" then.
    pub protocol_name: Option<Arc<str>>,
    /// Id of the leader; empty with an error.
    pub leader: Arc<str>,
    /// The leader need not assign: the group kept its assignment (KIP-814).
    pub skip_assignment: bool,
    /// The member's id.
    pub member_id: Arc<str>,
    /// Everybody, for the leader; empty for followers. Shared with the group: cheap to clone.
    pub members: Arc<[JoinMember]>,
}

impl JoinGroup {
    /// The answer of a JoinGroup that failed, echoing `member_id`.
    #[must_use]
    pub fn refused(error: ErrorCode, member_id: &str) -> Self {
        Self {
            error,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: Arc::from(""),
            skip_assignment: false,
            member_id: Arc::from(member_id),
            members: Arc::from([]),
        }
    }
}

/// Answer to SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// NONE, or why not.
    pub error: ErrorCode,
    /// The group's protocol type; none with an error.
    pub protocol_type: Option<Arc<str>>,
    /// The selected protocol; none with an error.
    pub protocol_name: Option<Arc<str>>,
    /// The member's part of the plan.
    pub assignment: Bytes,
}

impl SyncGroup {
    /// The answer of a SyncGroup that failed.
    #[must_use]
    pub fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        }
    }
}

/// Answer to Heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// NONE, or why not.
    pub error: ErrorCode,
}

/// What became of one member of a LeaveGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    /// As in the request.
    pub member_id: String,
    /// As in the request.
    pub group_instance_id: Option<String>,
    /// NONE: it has left.
    pub error: ErrorCode,
}

/// Answer to LeaveGroup. Versions below 3 have one error: the answer's own, or else the one member's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroup {
    /// NONE, or why nobody could leave.
    pub error: ErrorCode,
    /// One for each of the request, in its order; empty with an error.
    pub members: Vec<LeftMember>,
}

impl LeaveGroup {
    /// The answer of a LeaveGroup that failed as a whole.
    #[must_use]
    pub fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            members: Vec::new(),
        }
    }

    /// The one error of versions below 3.
    #[must_use]
    pub fn lifted_error(&self) -> ErrorCode {
        match (self.error, self.members.first()) {
            (ErrorCode::NONE, Some(member)) => member.error,
            (error, _) => error,
        }
    }
}

/// What became of the commits for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedTopic {
    /// The topic as the request named it.
    pub topic: TopicRef,
    /// Partition and outcome, in the order of the request.
    pub partitions: Vec<(i32, ErrorCode)>,
}

/// Answer to OffsetCommit. It has no error of its own: one that concerns all stands at every partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    /// The topics of the request that named a partition.
    pub topics: Vec<CommittedTopic>,
}

/// A committed offset, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPartition {
    /// The partition.
    pub partition: i32,
    /// -1 if nothing is committed.
    pub committed_offset: i64,
    /// -1 if not known (version 5).
    pub committed_leader_epoch: i32,
    /// The note of whoever committed.
    pub metadata: Arc<str>,
    /// NONE even if nothing is committed.
    pub error: ErrorCode,
}

impl FetchedPartition {
    /// Nothing is committed, or `error` keeps from looking.
    #[must_use]
    pub fn nothing(partition: i32, error: ErrorCode) -> Self {
        Self {
            partition,
            committed_offset: -1,
            committed_leader_epoch: -1,
            metadata: Arc::default(),
            error,
        }
    }
}

/// The committed offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    /// The topic as the request named it.
    pub topic: TopicRef,
    /// Its partitions.
    pub partitions: Vec<FetchedPartition>,
}

/// The committed offsets of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedGroup {
    /// The group.
    pub group_id: Arc<str>,
    /// NONE, or why nothing could be looked up. Version 1 has no field for it: it stands at every partition then.
    pub error: ErrorCode,
    /// With an error empty, from version 2 on.
    pub topics: Vec<FetchedTopic>,
}

/// Answer to OffsetFetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetch {
    /// In the order of the request.
    pub groups: Vec<FetchedGroup>,
}

/// A member as DescribeGroups tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// Of a static member (version 4).
    pub group_instance_id: Option<Arc<str>>,
    /// The client's name for itself when it first joined.
    pub client_id: Arc<str>,
    /// Its address: `/1.2.3.4`.
    pub client_host: Arc<str>,
    /// For the selected protocol; empty unless the group is Stable.
    pub metadata: Bytes,
    /// Of the last Stable generation.
    pub assignment: Bytes,
}

/// One group as DescribeGroups tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// The group.
    pub group_id: Arc<str>,
    /// NONE, or why not. GROUP_ID_NOT_FOUND for a group that does not exist: versions below 6 say NONE and show it
    /// as Dead.
    pub error: ErrorCode,
    /// Kafka's name of the state; empty with an error other than GROUP_ID_NOT_FOUND.
    pub state: &'static str,
    /// The protocol type, empty if it has none.
    pub protocol_type: Arc<str>,
    /// The selected protocol, empty unless the group is Stable.
    pub protocol_name: Arc<str>,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

impl DescribedGroup {
    /// A group of which `error` is all there is to say.
    #[must_use]
    pub fn refused(error: ErrorCode, group_id: Arc<str>) -> Self {
        let absent = error == ErrorCode::GROUP_ID_NOT_FOUND;
        Self {
            group_id,
            error,
            state: if absent { "Dead" } else { "" },
            protocol_type: Arc::from(""),
            protocol_name: Arc::from(""),
            members: Vec::new(),
        }
    }
}

/// Answer to DescribeGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeGroups {
    /// In the order of the request.
    pub groups: Vec<DescribedGroup>,
}

/// A group as ListGroups tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group.
    pub group_id: Arc<str>,
    /// The protocol type, empty for groups of simple consumers.
    pub protocol_type: Arc<str>,
    /// Kafka's name of the state (version 4).
    pub state: &'static str,
    /// Kafka's name of the group's type (version 5).
    pub group_type: &'static str,
}

/// Answer to ListGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListGroups {
    /// NONE, or why there is no list.
    pub error: ErrorCode,
    /// By id; empty with an error.
    pub groups: Vec<ListedGroup>,
}

/// What became of one group of a DeleteGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedGroup {
    /// The group.
    pub group_id: Arc<str>,
    /// NONE: it is gone.
    pub error: ErrorCode,
}

/// Answer to DeleteGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteGroups {
    /// Each group of the request once, in the order they were first named.
    pub results: Vec<DeletedGroup>,
}

/// What became of the committed offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopicOffsets {
    /// The topic.
    pub topic: Arc<str>,
    /// Partition and outcome; NONE even where nothing was committed.
    pub partitions: Vec<(i32, ErrorCode)>,
}

/// Answer to OffsetDelete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDelete {
    /// NONE, or why nothing was deleted.
    pub error: ErrorCode,
    /// Empty with an error.
    pub topics: Vec<DeletedTopicOffsets>,
}

impl OffsetDelete {
    /// The answer of an OffsetDelete that failed as a whole.
    #[must_use]
    pub fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            topics: Vec::new(),
        }
    }
}
