//! What a coordinator is asked, without a wire: one struct per API, owning its data. Where a rule depends on what the
//! client can understand, a field says so by name; wire versions stop at the broker. Built by the broker's handlers.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::Uuid;

/// What was paid for the bytes of a request, in an account of whoever made it. It goes with the request and not with the
/// reply: the answer may take as long as a rebalance does, and the bytes are gone when the group has taken them in. It is
/// nothing of what is asked, and so equal to any other.
#[derive(Clone, Default)]
pub struct Paid {
    _account: Option<Arc<dyn Any + Send + Sync>>,
}

impl Paid {
    /// `account` is dropped with the last of the request.
    #[must_use]
    pub fn new(account: impl Any + Send + Sync) -> Self {
        Self {
            _account: Some(Arc::new(account)),
        }
    }
}

impl fmt::Debug for Paid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paid")
    }
}

impl PartialEq for Paid {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Paid {}

/// A topic as a client names it: by name, or by id in the newest versions. Answers name it the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicRef {
    /// By its name.
    Name(Arc<str>),
    /// By its id (KIP-848's OffsetCommit and OffsetFetch version 10).
    Id(Uuid),
}

/// A protocol a member would accept, with its metadata for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinProtocol {
    /// Name, for consumers that of an assignor.
    pub name: String,
    /// Opaque to the coordinator, but for the subscribed topics of consumers.
    pub metadata: Bytes,
}

/// JoinGroup: become a member, or say again that one is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinGroup {
    /// The group.
    pub group_id: Arc<str>,
    /// Empty for who has none yet.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345, version 5).
    pub group_instance_id: Option<String>,
    /// The client's name for itself; begins the ids of dynamic members. Empty if it has none.
    pub client_id: String,
    /// The client's address as Kafka prints it: `/1.2.3.4`.
    pub client_host: Arc<str>,
    /// How long the member may be silent, milliseconds.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for it, milliseconds. Version 0 has none: its session timeout stands here
    /// (KAFKA-8653).
    pub rebalance_timeout_ms: i32,
    /// `consumer` for consumers.
    pub protocol_type: String,
    /// In the order the member prefers them.
    pub protocols: Vec<JoinProtocol>,
    /// Why it joins, in the client's words (KIP-800, version 8). For logs only.
    pub reason: Option<String>,
    /// A newcomer is given an id and asked to come back with it (KIP-394, from version 4).
    pub member_id_required: bool,
    /// The client knows `skip_assignment` (KIP-814, from version 9).
    pub can_skip_assignment: bool,
    /// What was paid for it.
    pub paid: Paid,
}

/// The leader's part of the plan for one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncAssignment {
    /// Whose part it is.
    pub member_id: String,
    /// Opaque.
    pub assignment: Bytes,
}

/// SyncGroup: fetch one's assignment; the leader brings everyone's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncGroup {
    /// The group.
    pub group_id: Arc<str>,
    /// The generation JoinGroup answered.
    pub generation_id: i32,
    /// The member.
    pub member_id: String,
    /// Of a static member (version 3).
    pub group_instance_id: Option<String>,
    /// What the member takes the group's protocol type to be (version 5).
    pub protocol_type: Option<String>,
    /// What the member takes the selected protocol to be (version 5).
    pub protocol_name: Option<String>,
    /// Whether type and name must be there (KIP-559, from version 5).
    pub protocol_required: bool,
    /// The plan; empty from followers.
    pub assignments: Vec<SyncAssignment>,
    /// What was paid for it.
    pub paid: Paid,
}

/// Heartbeat: still here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The group.
    pub group_id: Arc<str>,
    /// The member's generation.
    pub generation_id: i32,
    /// The member.
    pub member_id: String,
    /// Of a static member (version 3).
    pub group_instance_id: Option<String>,
}

/// One member that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// Empty where an admin removes a static member by its instance id.
    pub member_id: String,
    /// Of a static member (version 3).
    pub group_instance_id: Option<String>,
    /// Why, in the client's words (KIP-800, version 5). For logs only.
    pub reason: Option<String>,
}

/// LeaveGroup. Versions below 3 name one member, and its error is the answer's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroup {
    /// The group.
    pub group_id: Arc<str>,
    /// Who leaves.
    pub members: Vec<LeavingMember>,
}

/// A commit for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPartition {
    /// The partition.
    pub partition: i32,
    /// Of the next record to read.
    pub committed_offset: i64,
    /// Of the last record read, -1 if not known (version 6).
    pub committed_leader_epoch: i32,
    /// The client's note. None is stored as empty.
    pub metadata: Option<String>,
}

impl CommitPartition {
    /// A commit with neither epoch nor note.
    #[must_use]
    pub fn new(partition: i32, committed_offset: i64) -> Self {
        Self {
            partition,
            committed_offset,
            committed_leader_epoch: -1,
            metadata: None,
        }
    }
}

/// The commits for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTopic {
    /// The topic.
    pub topic: TopicRef,
    /// Its partitions, in the order of the request.
    pub partitions: Vec<CommitPartition>,
}

/// OffsetCommit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetCommit {
    /// The group; may be empty (KAFKA-6773).
    pub group_id: Arc<str>,
    /// The member's generation, negative for who is no member.
    pub generation_id: i32,
    /// The member, empty for who is none.
    pub member_id: String,
    /// Of a static member (version 7).
    pub group_instance_id: Option<String>,
    /// How long the client wants it kept, milliseconds (versions 2 to 4). None, or -1 on the wire: as configured.
    pub retention_time_ms: Option<i64>,
    /// The client knows GROUP_ID_NOT_FOUND here (from version 9); before, an unknown group is an illegal generation.
    pub knows_group_id_not_found: bool,
    /// What to commit.
    pub topics: Vec<CommitTopic>,
}

/// Partitions of one topic to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTopic {
    /// The topic.
    pub topic: TopicRef,
    /// Which partitions.
    pub partitions: Vec<i32>,
}

/// What one group's committed offsets are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchGroup {
    /// The group; may be empty.
    pub group_id: Arc<str>,
    /// Who asks (version 9). Classic groups do not look at it.
    pub member_id: Option<String>,
    /// Its epoch, -1 for none.
    pub member_epoch: i32,
    /// None: all that is committed.
    pub topics: Option<Vec<FetchTopic>>,
}

impl FetchGroup {
    /// Everything a group has committed, for who is none of its members.
    #[must_use]
    pub fn all_of(group_id: impl Into<Arc<str>>) -> Self {
        Self {
            group_id: group_id.into(),
            member_id: None,
            member_epoch: -1,
            topics: None,
        }
    }
}

/// OffsetFetch, of one group or, from version 8, of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetch {
    /// The groups, answered in this order.
    pub groups: Vec<FetchGroup>,
    /// Wait for what is not settled. Without transactions nothing is ever unsettled behind the commits in flight, and
    /// for those every OffsetFetch waits here.
    pub require_stable: bool,
    /// All-topics answers name topics by id (version 10).
    pub answer_by_id: bool,
}

/// DescribeGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeGroups {
    /// The groups, answered in this order.
    pub group_ids: Vec<Arc<str>>,
}

/// ListGroups. An empty filter lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroups {
    /// Names of states, in any case (version 4).
    pub states: Vec<String>,
    /// Names of group types, in any case (version 5).
    pub types: Vec<String>,
}

/// DeleteGroups. A group named twice is answered once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteGroups {
    /// The groups.
    pub group_ids: Vec<Arc<str>>,
}

/// Partitions of one topic whose committed offsets go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteTopicOffsets {
    /// The topic.
    pub topic: Arc<str>,
    /// Which partitions.
    pub partitions: Vec<i32>,
}

/// OffsetDelete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetDelete {
    /// The group.
    pub group_id: Arc<str>,
    /// What to forget.
    pub topics: Vec<DeleteTopicOffsets>,
}
