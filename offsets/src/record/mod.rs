//! The records of `__consumer_offsets` that classic groups need, as values. Their bytes are in [`codec`].
//! Owned by whoever builds them: a coordinator's step, or the replay of a partition. Never touches a log.

pub mod codec;
mod fields;
mod group_metadata;

use std::sync::Arc;

pub use group_metadata::{GroupMetadataValue, MemberValue};

/// What a commit says about one partition of one topic (`OffsetCommitValue`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitValue {
    /// The committed offset: of the next record to read.
    pub offset: i64,
    /// Leader epoch of the last record read, -1 if the client did not say.
    pub leader_epoch: i32,
    /// The client's own note. At most 32,767 bytes fit; the coordinator's limit is lower.
    pub metadata: Arc<str>,
    /// When it was committed, milliseconds since the epoch, by the coordinator's clock.
    pub commit_timestamp_ms: i64,
    /// Expiry the client asked for (OffsetCommit before v5), milliseconds since the epoch. A value that has it is
    /// written at version 1, which holds neither leader epoch nor topic id.
    pub expire_timestamp_ms: Option<i64>,
    /// Id of the topic, all zero if unknown (written from Kafka 4.1 on).
    pub topic_id: [u8; 16],
}

impl OffsetCommitValue {
    /// The value as a reader of its bytes will see it: version 1 drops what it has no field for.
    #[must_use]
    pub fn as_written(mut self) -> Self {
        if self.expire_timestamp_ms.is_some() {
            self.leader_epoch = -1;
            self.topic_id = [0; 16];
        }
        self
    }
}

/// One change of the persisted state of a partition. `None` as a value is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A committed offset, or its removal.
    OffsetCommit {
        /// Group that committed.
        group: Arc<str>,
        /// Topic committed for.
        topic: Arc<str>,
        /// Partition of the topic.
        partition: i32,
        /// The commit; `None` removes it.
        value: Option<OffsetCommitValue>,
    },
    /// A group's members and assignment, or the end of the group.
    GroupMetadata {
        /// The group.
        group: Arc<str>,
        /// Its state; `None` removes the group, and its generation mark with it.
        value: Option<GroupMetadataValue>,
    },
    /// A high-water mark: no generation up to this one may be given out again, even after a crash.
    /// Ours alone and no record of the topic: it has no Kafka offset and no Kafka client sees it.
    /// Within one append marks take effect after the other records, wherever they stand.
    GenerationMark {
        /// The group.
        group: Arc<str>,
        /// Highest generation given out.
        generation: i32,
    },
}

impl Record {
    /// The group the record is about.
    #[must_use]
    pub fn group(&self) -> &Arc<str> {
        match self {
            Self::OffsetCommit { group, .. }
            | Self::GroupMetadata { group, .. }
            | Self::GenerationMark { group, .. } => group,
        }
    }

    /// Whether it is a record of the topic, with an offset of its own.
    #[must_use]
    pub fn is_topic_record(&self) -> bool {
        !matches!(self, Self::GenerationMark { .. })
    }
}
