//! The records of `__consumer_offsets` as values; their bytes are in [`codec`]. Committed offsets are understood here. Of a
//! record of a group itself only its place is: the key begins with its kind and the group, as every such key in Kafka
//! does. The rest of the key, and the value, are read and written beside that kind of group, of [`fields`].
//! Owned by whoever builds them: a coordinator's step, or the replay of a partition. Never touches a log.

pub mod codec;
pub mod fields;

use std::sync::Arc;

use bytes::Bytes;

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
    /// What is stored of a group itself, whatever kind of group it is.
    Group {
        /// The group.
        group: Arc<str>,
        /// Kafka's number of the record's type: the key begins with it, and the group follows.
        kind: i16,
        /// What follows the group in the key, a member id for one. Empty if a group has one record of this kind.
        rest: Bytes,
        /// Opaque; `None` removes the record, and of a key without `rest` the group's generation mark with it.
        value: Option<Bytes>,
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
            | Self::Group { group, .. }
            | Self::GenerationMark { group, .. } => group,
        }
    }

    /// Whether it ends the generations of its group, and so the mark: Kafka starts a group of the same name at 1 again.
    pub(crate) fn ends_generations(&self) -> bool {
        matches!(self, Self::Group { rest, value: None, .. } if rest.is_empty())
    }

    /// Whether it is a record of the topic, with an offset of its own.
    #[must_use]
    pub fn is_topic_record(&self) -> bool {
        !matches!(self, Self::GenerationMark { .. })
    }
}
