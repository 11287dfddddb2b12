//! Why a topic log refuses, and the Kafka error each refusal is answered with.

use std::path::PathBuf;
use std::sync::Arc;

use callboard_protocol::ErrorCode;

use crate::error::OtherVersion;

/// What appends, reads and lookups of one partition can fail with. Cheap to clone: one failure may have many askers.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The offset is not in the log.
    #[error("offset {asked} is not within {start}..={end}")]
    OffsetOutOfRange {
        /// The offset asked for.
        asked: i64,
        /// The log start offset.
        start: i64,
        /// The log end offset.
        end: i64,
    },
    /// The batch is larger than `max.message.bytes`.
    #[error("a batch of {size} bytes exceeds max.message.bytes, {bound}")]
    MessageTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The bound.
        bound: usize,
    },
    /// The batch is larger than a whole segment may be.
    #[error("a batch of {size} bytes exceeds segment.bytes, {bound}")]
    RecordListTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The bound.
        bound: u64,
    },
    /// The batch may not be appended.
    #[error("{reason}")]
    Invalid {
        /// The code Kafka answers.
        code: ErrorCode,
        /// What is wrong with them.
        reason: Arc<str>,
    },
    /// The bytes are not one batch of version 2, whatever it says.
    #[error("{reason}")]
    NotOneBatch {
        /// The code Kafka answers.
        code: ErrorCode,
        /// What they are.
        reason: Arc<str>,
    },
    /// The producer set the timestamp type that only brokers set.
    #[error("the producer set the timestamp type to LogAppendTime")]
    InvalidTimestampType,
    /// A record's timestamp is too far from the broker's clock.
    #[error("timestamp {timestamp} is too far from the broker's clock, {now}")]
    InvalidTimestamp {
        /// Milliseconds since 1970.
        timestamp: i64,
        /// Milliseconds since 1970.
        now: i64,
    },
    /// The batch does not follow the producer's last one.
    #[error("producer {producer_id} sent sequence {sequence} after {last}")]
    OutOfOrderSequence {
        /// Who.
        producer_id: i64,
        /// First sequence of the batch.
        sequence: i32,
        /// Last sequence that is known, -1 for none of this epoch.
        last: i32,
    },
    /// The producer has a newer epoch.
    #[error("producer {producer_id} sent epoch {epoch}, its epoch is {current}")]
    InvalidProducerEpoch {
        /// Who.
        producer_id: i64,
        /// Epoch of the batch.
        epoch: i16,
        /// The newest epoch that is known.
        current: i16,
    },
    /// The batch belongs to a transaction, and there are none here.
    #[error("transactions are not supported")]
    Transactional,
    /// The disk refused. The append has not happened; a read may work again.
    #[error("cannot {action} {}: {reason}", path.display())]
    Storage {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: Arc<PathBuf>,
        /// The system's words.
        reason: Arc<str>,
    },
    /// What is on disk cannot be a log of ours. The partition stays offline until somebody looks.
    #[error("{} is corrupt at byte {position}: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: Arc<PathBuf>,
        /// Where.
        position: u64,
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// A file has another form than this version knows. Nothing was changed.
    #[error("{} is {}", path.display(), OtherVersion(found, known))]
    Version {
        /// The file.
        path: Arc<PathBuf>,
        /// The version it says it has.
        found: Arc<str>,
        /// The version that is read and written here.
        known: &'static str,
    },
    /// The log is being opened, or was given up after a failure.
    #[error("the log is not open: {reason}")]
    Unavailable {
        /// Why.
        reason: Arc<str>,
    },
    /// It failed more often than a log is opened again. The partition stays offline until the broker starts anew.
    #[error("the log failed too often")]
    Failed,
    /// The topic is deleted.
    #[error("the topic is deleted")]
    Deleted,
}

impl LogError {
    /// Of a request whose worker failed or is stopping.
    pub(crate) fn unanswered() -> Self {
        Self::Unavailable {
            reason: "the log failed or is stopping".into(),
        }
    }

    /// The error code a client gets.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::OffsetOutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
            Self::MessageTooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
            Self::RecordListTooLarge { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
            Self::Invalid { code, .. } | Self::NotOneBatch { code, .. } => *code,
            Self::InvalidTimestamp { .. } | Self::InvalidTimestampType => {
                ErrorCode::INVALID_TIMESTAMP
            }
            Self::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            Self::InvalidProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
            Self::Transactional => ErrorCode::INVALID_TXN_STATE,
            Self::Failed | Self::Storage { .. } | Self::Corrupt { .. } | Self::Version { .. } => {
                ErrorCode::KAFKA_STORAGE_ERROR
            }
            // Retriable, and makes the client look at the metadata again: it comes back to us when the log does.
            Self::Unavailable { .. } => ErrorCode::NOT_LEADER_OR_FOLLOWER,
            Self::Deleted => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        }
    }

    /// `map_err` for I/O: what was tried, on which file.
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = Arc::new(path.to_owned());
        move |error| Self::Storage {
            action,
            path,
            reason: error.to_string().into(),
        }
    }

    pub(crate) fn version(path: &std::path::Path, found: &str, known: &'static str) -> Self {
        Self::Version {
            path: Arc::new(path.to_owned()),
            found: found.into(),
            known,
        }
    }

    pub(crate) fn corrupt(path: &std::path::Path, position: u64, reason: &str) -> Self {
        Self::Corrupt {
            path: Arc::new(path.to_owned()),
            position,
            reason: reason.into(),
        }
    }
}
