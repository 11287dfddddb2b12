//! What a person can do about an error, in one clause; and whether the request itself has to change.

use callboard_broker::BrokerError;
use callboard_client::{ClientError, ErrorCode};
use callboard_consumer::ConsumerError;

/// What to do about a cluster's or a client's error.
pub(crate) fn remedy(error: &ClientError) -> &'static str {
    match error {
        ClientError::Config(_) => "`callboard consume --help` lists the keys and their values",
        ClientError::Connect { .. } => "is a broker running there? `callboard broker` starts one",
        ClientError::Disconnected | ClientError::Timeout => {
            "the broker may be busy or going down, its log says: try again, or with a higher --set default.api.timeout.ms"
        }
        ClientError::UnsupportedApi(_) | ClientError::Encode { .. } => {
            "the broker is too old for this: use a newer one"
        }
        ClientError::Protocol(_) => "is it Kafka that listens there, without TLS? see --bootstrap",
        ClientError::Kafka { code, .. } => of_code(*code),
        ClientError::NotDelivered {
            last: Some(last), ..
        } => remedy(last),
        ClientError::AnswerTooLarge { .. } => "raise it with --set receive.message.max.bytes",
        ClientError::UnknownNode(_) => "the cluster is changing: try again",
        ClientError::UnknownTopic(_) => {
            "`callboard topic list` shows which there are, `callboard topic create` makes one"
        }
        ClientError::RecordTooLarge { .. } => {
            "make it smaller, or raise --set max.request.size and the topic's max.message.bytes"
        }
        // Closed, and what may be added.
        _ => "try again",
    }
}

fn of_code(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::TOPIC_ALREADY_EXISTS => {
            "take another name, or change the topic with `callboard topic alter`"
        }
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
            "`callboard topic describe` shows which partitions there are"
        }
        ErrorCode::INVALID_TOPIC_EXCEPTION => {
            "a name has up to 249 of a-z, A-Z, 0-9, `.`, `_` and `-`, and is neither `.` nor `..`"
        }
        ErrorCode::INVALID_PARTITIONS => {
            "give more partitions than the topic has; `callboard topic describe` shows how many those are"
        }
        ErrorCode::INVALID_REPLICATION_FACTOR => {
            "leave --replication-factor out, or give no more than there are brokers"
        }
        ErrorCode::INVALID_CONFIG => {
            "`callboard topic describe NAME --all-configs` shows the keys of topics with their values"
        }
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => {
            "make it smaller, or raise the topic's limit: `callboard topic alter NAME --config max.message.bytes=BYTES`"
        }
        ErrorCode::TOPIC_AUTHORIZATION_FAILED
        | ErrorCode::GROUP_AUTHORIZATION_FAILED
        | ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
            "ask whoever runs the cluster for the permission"
        }
        ErrorCode::INVALID_TIMESTAMP => {
            "give it a timestamp that the topic takes (message.timestamp.before.max.ms and .after.max.ms), or none"
        }
        code if code.is_retriable() => "try again; if it stays, the broker's log says more",
        _ => "the broker's log says more",
    }
}

/// Whether nothing but another request would do.
pub(crate) fn is_the_requests_fault(error: &ClientError) -> bool {
    match error {
        ClientError::Config(_) => true,
        ClientError::Kafka { code, .. } => matches!(
            *code,
            ErrorCode::INVALID_TOPIC_EXCEPTION
                | ErrorCode::INVALID_PARTITIONS
                | ErrorCode::INVALID_REPLICATION_FACTOR
                | ErrorCode::INVALID_CONFIG
        ),
        _ => false,
    }
}

/// What to do about a consumer that could not start or has ended.
pub(crate) fn of_consumer(error: &ConsumerError) -> &'static str {
    match error {
        ConsumerError::Config(_) => "`callboard consume --help` lists what can be said",
        ConsumerError::Client(error) => remedy(error),
        ConsumerError::Fatal(_) => {
            "what was printed before is committed: mend the cause and start it again"
        }
        _ => "start it again; RUST_LOG=warn shows what happened before",
    }
}

/// What to do about a broker that does not start or has failed.
pub(crate) fn of_broker(error: &BrokerError) -> &'static str {
    match error {
        BrokerError::Config(_) => "`callboard broker --help` lists the keys and their values",
        BrokerError::DataDir { .. } => "give another with --data-dir, or make it usable",
        BrokerError::Locked { .. } => "end that one, or give another with --data-dir",
        BrokerError::Mismatch { .. } => {
            "start it with the value of before, or in another --data-dir"
        }
        BrokerError::Listen { .. } => {
            "give a free address of this machine with --listen or --admin; port 0 takes any"
        }
        // It did not start, or failed, and what may be added.
        _ => "the lines before say more; what was acknowledged is on disk: start it again",
    }
}
