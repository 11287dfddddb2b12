//! Why something asked of the cluster did not come to pass.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::{ApiKey, ErrorCode};

use crate::TopicPartition;
use crate::config::ConfigError;

/// Errors of a client. `Clone`, since one lost connection fails everything that waited on it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The configuration will not do.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A broker could not be reached.
    #[error("cannot reach {server}: {reason}")]
    Connect {
        /// `host:port`.
        server: String,
        /// Why.
        reason: Arc<io::Error>,
    },
    /// The connection ended before the answer came; whether the request was acted upon is unknown.
    #[error("the connection ended before the answer")]
    Disconnected,
    /// No answer in time. The connection it was sent on is closed.
    #[error("no answer in time")]
    Timeout,
    /// The broker has no version of this API that we speak.
    #[error("the broker does not support {} in a version this client speaks", .0.name())]
    UnsupportedApi(ApiKey),
    /// The request cannot be expressed in the version the broker speaks.
    #[error("{api} cannot be sent to this broker: {reason}", api = .api.name())]
    Encode {
        /// The API.
        api: ApiKey,
        /// What does not fit.
        reason: String,
    },
    /// An answer that is not Kafka's.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// The broker answered with an error.
    #[error("{}{}", .code.name(), .message.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Kafka {
        /// Kafka's error code.
        code: ErrorCode,
        /// What the broker adds to it.
        message: Option<String>,
    },
    /// The node is not in the cluster's metadata.
    #[error("node {0} is not known")]
    UnknownNode(i32),
    /// The topic does not exist.
    #[error("topic {0} does not exist")]
    UnknownTopic(String),
    /// A broker's answer is larger than `receive.message.max.bytes`. The connection is closed; the same question would
    /// be answered the same.
    #[error("an answer of {bytes} bytes is larger than receive.message.max.bytes={max}")]
    AnswerTooLarge {
        /// The size announced.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The record was not stored within `delivery.timeout.ms`.
    #[error("delivery.timeout.ms={} is over{}", .timeout.as_millis(), .last.as_ref().map(|last| format!("; the last try: {last}")).unwrap_or_default())]
    NotDelivered {
        /// `delivery.timeout.ms`.
        timeout: Duration,
        /// What the last try came to; `None` where it was never sent.
        last: Option<Arc<ClientError>>,
    },
    /// The record is larger than `max.request.size`.
    #[error("the record of {bytes} bytes is larger than max.request.size={max}")]
    RecordTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The client was cut off or closed.
    #[error("the client is closed")]
    Closed,
}

impl ClientError {
    /// An error of the broker without a message.
    #[must_use]
    pub fn kafka(code: ErrorCode) -> Self {
        Self::Kafka {
            code,
            message: None,
        }
    }

    /// The same, naming the partition where nothing else is named.
    #[must_use]
    pub(crate) fn about(self, partition: &TopicPartition) -> Self {
        match self {
            Self::Kafka {
                code,
                message: None,
            } => Self::Kafka {
                code,
                message: Some(partition.to_string()),
            },
            named => named,
        }
    }

    /// Kafka's error code, where the broker answered with one.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Kafka { code, .. } => Some(*code),
            Self::NotDelivered { last, .. } => last.as_ref()?.code(),
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Disconnected
            | Self::Timeout
            | Self::NotDelivered { .. }
            | Self::UnknownNode(_) => true,
            Self::Kafka { code, .. } => code.is_retriable(),
            Self::Config(_)
            | Self::UnsupportedApi(_)
            | Self::Encode { .. }
            | Self::Protocol(_)
            | Self::UnknownTopic(_)
            | Self::RecordTooLarge { .. }
            | Self::AnswerTooLarge { .. }
            | Self::Closed => false,
        }
    }
}
