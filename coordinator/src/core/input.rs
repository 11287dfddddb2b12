//! What a core is told: requests about one group, durable appends, time.

use std::sync::Arc;
use std::time::Duration;

use callboard_offsets::index::Index;
use callboard_offsets::record::codec::RecordError;
use callboard_protocol::{ErrorCode, Uuid};

use super::classic::group_metadata::{GROUP_METADATA, GroupMetadataValue};
use crate::TopicsImage;
use crate::request::{self, TopicRef};
use crate::response::DeletedTopicOffsets;

/// Name of a request, given by the shell, which keeps the way its answer goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Name of an append, given by the core; comes back in [`Input::Durable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u64);

/// The moment of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// On the shell's steady clock, since an origin of its choice.
    pub steady: Duration,
    /// Milliseconds since the epoch, for timestamps that are stored.
    pub wall_ms: i64,
}

/// One thing that happened. All but [`Loaded`](Self::Loaded), [`List`](Self::List), [`Close`](Self::Close),
/// [`Late`](Self::Late) and those about topics concern one group and touch no other.
#[derive(Debug)]
pub enum Input {
    /// The log is replayed: here is everything that is stored. Requests before it are told that loading is in progress.
    Loaded(Vec<StoredGroup>),
    /// A request about one group.
    Ask {
        /// Its name.
        id: RequestId,
        /// The group.
        group_id: Arc<str>,
        /// What is asked.
        request: GroupRequest,
    },
    /// Which groups there are.
    List {
        /// Name of the request.
        id: RequestId,
        /// Which to list.
        request: request::ListGroups,
    },
    /// An append has landed, or never will. Unknown outcomes are not told before they are resolved.
    Durable {
        /// Which.
        append_id: AppendId,
        /// The error as the log has it; the core translates it for clients.
        outcome: Result<(), ErrorCode>,
    },
    /// Something is due for this group; see [`Groups::due`](super::Groups::due).
    Tick {
        /// The group.
        group_id: Arc<str>,
    },
    /// Look for offsets of this group that nobody needs any more, and for the end of the group itself.
    Expire {
        /// The group.
        group_id: Arc<str>,
    },
    /// What is stored of a group that was evicted, or that asked for it by [`Effect::Reload`](super::Effect::Reload).
    Rebuilt(StoredGroup),
    /// Topics were created, grown or deleted: this is what there is now. What is committed for one that is gone goes.
    Topics(Arc<TopicsImage>),
    /// What became of an [`Effect::Forget`](super::Effect::Forget).
    Forgot {
        /// The deleted topic.
        id: Uuid,
        /// Whether all of it is durable. The error as the log has it.
        outcome: Result<(), ErrorCode>,
    },
    /// It is time to try again to forget what could not be forgotten; see [`Groups::due`](super::Groups::due).
    ForgetAgain,
    /// Time went by in which nobody was heard: deadlines are looked at so much later than they were due. What is measured
    /// of clients (sessions, ids that were given out, join phases, plans not fetched) is given that time, from now on.
    Late {
        /// How much.
        by: Duration,
    },
    /// The coordinator ends in order: whoever waits is told to look for another.
    Close,
}

/// What is asked about one group.
#[derive(Debug)]
pub enum GroupRequest {
    /// Answered by [`Response::Join`](super::Response::Join).
    Join {
        /// The request.
        join: Box<request::JoinGroup>,
        /// Ends the id if a new one has to be made.
        uuid: uuid::Uuid,
    },
    /// Answered by [`Response::Sync`](super::Response::Sync).
    Sync(request::SyncGroup),
    /// Answered by [`Response::Heartbeat`](super::Response::Heartbeat).
    Heartbeat(request::Heartbeat),
    /// Answered by [`Response::Leave`](super::Response::Leave).
    Leave(request::LeaveGroup),
    /// Answered by [`Response::Commit`](super::Response::Commit).
    Commit(Commit),
    /// Answered from the index, see [`Effect::Fetch`](super::Effect::Fetch).
    Fetch(Fetch),
    /// Answered by [`Response::Describe`](super::Response::Describe).
    Describe,
    /// Answered by [`Response::Delete`](super::Response::Delete).
    Delete,
    /// Answered by [`Response::DeleteOffsets`](super::Response::DeleteOffsets).
    DeleteOffsets(DeleteOffsets),
}

/// An OffsetCommit whose topics have been looked up.
#[derive(Clone, Debug)]
pub struct Commit {
    /// As in the request.
    pub generation_id: i32,
    /// As in the request.
    pub member_id: String,
    /// As in the request.
    pub group_instance_id: Option<String>,
    /// As in the request.
    pub retention_time_ms: Option<i64>,
    /// As in the request.
    pub knows_group_id_not_found: bool,
    /// Where its topics were looked up.
    pub image: Arc<TopicsImage>,
    /// Shared with whoever makes the answer of the outcome.
    pub topics: Arc<[CommitTopic]>,
}

/// The commits for one topic.
#[derive(Clone, Debug)]
pub struct CommitTopic {
    /// As the request named it.
    pub topic: TopicRef,
    /// Its name; empty if it is not known.
    pub name: Arc<str>,
    /// Its id; zero if it is not known.
    pub id: Uuid,
    /// Its partitions.
    pub partitions: Vec<CommitPartition>,
}

/// The commit for one partition.
#[derive(Clone, Debug)]
pub struct CommitPartition {
    /// The partition.
    pub partition: i32,
    /// Of the next record to read.
    pub offset: i64,
    /// Of the last record read, or -1.
    pub leader_epoch: i32,
    /// The note.
    pub metadata: Arc<str>,
    /// NONE, or what is wrong with the topic or partition: then nothing is committed for it.
    pub error: ErrorCode,
}

/// An OffsetFetch of one group whose topics have been looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// None: all that is committed.
    pub topics: Option<Vec<FetchTopic>>,
    /// All-topics answers name topics by id.
    pub answer_by_id: bool,
}

/// Partitions of one topic to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTopic {
    /// As the request named it.
    pub topic: TopicRef,
    /// None: the id is unknown.
    pub name: Option<Arc<str>>,
    /// Which partitions.
    pub partitions: Vec<i32>,
}

/// An OffsetDelete whose topics have been looked up.
#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    /// The answer as far as it is known without the group: NONE where nothing is wrong with the partition itself.
    pub topics: Vec<DeletedTopicOffsets>,
}

/// What is stored of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGroup {
    /// The group.
    pub group_id: Arc<str>,
    /// As last persisted; none for simple consumers.
    pub metadata: Option<GroupMetadataValue>,
    /// No generation up to this one may be given out again.
    pub generation_mark: Option<i32>,
    /// Whether anything is committed.
    pub has_offsets: bool,
}

/// What is stored of a group does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is stored of group {group_id} does not parse: {error}")]
pub struct Unreadable {
    /// The group.
    pub group_id: Arc<str>,
    /// Why.
    pub error: RecordError,
}

impl StoredGroup {
    /// What `index` holds of a group.
    ///
    /// # Errors
    /// [`Unreadable`], and it is never a guess: no group may be served without what is stored of it.
    pub fn read(index: &Index, group_id: &Arc<str>) -> Result<Self, Unreadable> {
        let value = index.group_record(group_id, GROUP_METADATA);
        let metadata = value.map(GroupMetadataValue::decode).transpose();
        Ok(Self {
            group_id: Arc::clone(group_id),
            metadata: metadata.map_err(|error| Unreadable {
                group_id: Arc::clone(group_id),
                error,
            })?,
            generation_mark: index.generation_mark(group_id),
            has_offsets: index.has_offsets(group_id),
        })
    }

    /// What `index` holds of all groups.
    ///
    /// # Errors
    /// The first [`Unreadable`].
    pub fn read_all(index: &Index) -> Result<Vec<Self>, Unreadable> {
        index
            .groups()
            .map(|group_id| Self::read(index, group_id))
            .collect()
    }
}
