//! Kafka's error codes with their names, and which of them another try may cure. A code nobody here knows is carried
//! as it is.

use std::fmt;

/// The outcome of a request or of a part of one. A value, not a Rust error: most are everyday answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub i16);

macro_rules! error_codes {
    (@again again) => { true };
    (@again final) => { false };
    ($($code:literal $name:ident $again:ident;)*) => {
        impl ErrorCode {
            $(
                #[doc = concat!("Code ", stringify!($code), ".")]
                pub const $name: Self = Self($code);
            )*

            /// Every code that has a name, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Kafka's name; that of [`UNKNOWN_SERVER_ERROR`](Self::UNKNOWN_SERVER_ERROR) for a code without one, as
            /// in Kafka.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    _ => stringify!(UNKNOWN_SERVER_ERROR),
                }
            }

            /// Whether the same request may succeed later, by Kafka's own list.
            #[must_use]
            pub const fn is_retriable(self) -> bool {
                match self {
                    $(Self::$name => error_codes!(@again $again),)*
                    _ => false,
                }
            }
        }
    };
}

// `again`: Kafka's class for it is a RetriableException.
error_codes! {
    -1 UNKNOWN_SERVER_ERROR final;
    0 NONE final;
    1 OFFSET_OUT_OF_RANGE final;
    2 CORRUPT_MESSAGE again;
    3 UNKNOWN_TOPIC_OR_PARTITION again;
    4 INVALID_FETCH_SIZE final;
    5 LEADER_NOT_AVAILABLE again;
    6 NOT_LEADER_OR_FOLLOWER again;
    7 REQUEST_TIMED_OUT again;
    8 BROKER_NOT_AVAILABLE final;
    9 REPLICA_NOT_AVAILABLE again;
    10 MESSAGE_TOO_LARGE final;
    11 STALE_CONTROLLER_EPOCH final;
    12 OFFSET_METADATA_TOO_LARGE final;
    13 NETWORK_EXCEPTION again;
    14 COORDINATOR_LOAD_IN_PROGRESS again;
    15 COORDINATOR_NOT_AVAILABLE again;
    16 NOT_COORDINATOR again;
    17 INVALID_TOPIC_EXCEPTION final;
    18 RECORD_LIST_TOO_LARGE final;
    19 NOT_ENOUGH_REPLICAS again;
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND again;
    21 INVALID_REQUIRED_ACKS final;
    22 ILLEGAL_GENERATION final;
    23 INCONSISTENT_GROUP_PROTOCOL final;
    24 INVALID_GROUP_ID final;
    25 UNKNOWN_MEMBER_ID final;
    26 INVALID_SESSION_TIMEOUT final;
    27 REBALANCE_IN_PROGRESS final;
    28 INVALID_COMMIT_OFFSET_SIZE final;
    29 TOPIC_AUTHORIZATION_FAILED final;
    30 GROUP_AUTHORIZATION_FAILED final;
    31 CLUSTER_AUTHORIZATION_FAILED final;
    32 INVALID_TIMESTAMP final;
    33 UNSUPPORTED_SASL_MECHANISM final;
    34 ILLEGAL_SASL_STATE final;
    35 UNSUPPORTED_VERSION final;
    36 TOPIC_ALREADY_EXISTS final;
    37 INVALID_PARTITIONS final;
    38 INVALID_REPLICATION_FACTOR final;
    39 INVALID_REPLICA_ASSIGNMENT final;
    40 INVALID_CONFIG final;
    41 NOT_CONTROLLER again;
    42 INVALID_REQUEST final;
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT final;
    44 POLICY_VIOLATION final;
    45 OUT_OF_ORDER_SEQUENCE_NUMBER final;
    46 DUPLICATE_SEQUENCE_NUMBER final;
    47 INVALID_PRODUCER_EPOCH final;
    48 INVALID_TXN_STATE final;
    49 INVALID_PRODUCER_ID_MAPPING final;
    50 INVALID_TRANSACTION_TIMEOUT final;
    51 CONCURRENT_TRANSACTIONS again;
    52 TRANSACTION_COORDINATOR_FENCED final;
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED final;
    54 SECURITY_DISABLED final;
    55 OPERATION_NOT_ATTEMPTED final;
    56 KAFKA_STORAGE_ERROR again;
    57 LOG_DIR_NOT_FOUND final;
    58 SASL_AUTHENTICATION_FAILED final;
    59 UNKNOWN_PRODUCER_ID final;
    60 REASSIGNMENT_IN_PROGRESS final;
    61 DELEGATION_TOKEN_AUTH_DISABLED final;
    62 DELEGATION_TOKEN_NOT_FOUND final;
    63 DELEGATION_TOKEN_OWNER_MISMATCH final;
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED final;
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED final;
    66 DELEGATION_TOKEN_EXPIRED final;
    67 INVALID_PRINCIPAL_TYPE final;
    68 NON_EMPTY_GROUP final;
    69 GROUP_ID_NOT_FOUND final;
    70 FETCH_SESSION_ID_NOT_FOUND again;
    71 INVALID_FETCH_SESSION_EPOCH again;
    72 LISTENER_NOT_FOUND again;
    73 TOPIC_DELETION_DISABLED final;
    74 FENCED_LEADER_EPOCH again;
    75 UNKNOWN_LEADER_EPOCH again;
    76 UNSUPPORTED_COMPRESSION_TYPE final;
    77 STALE_BROKER_EPOCH final;
    78 OFFSET_NOT_AVAILABLE again;
    79 MEMBER_ID_REQUIRED final;
    80 PREFERRED_LEADER_NOT_AVAILABLE again;
    81 GROUP_MAX_SIZE_REACHED final;
    82 FENCED_INSTANCE_ID final;
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE again;
    84 ELECTION_NOT_NEEDED again;
    85 NO_REASSIGNMENT_IN_PROGRESS final;
    86 GROUP_SUBSCRIBED_TO_TOPIC final;
    87 INVALID_RECORD final;
    88 UNSTABLE_OFFSET_COMMIT again;
    89 THROTTLING_QUOTA_EXCEEDED again;
    90 PRODUCER_FENCED final;
    91 RESOURCE_NOT_FOUND final;
    92 DUPLICATE_RESOURCE final;
    93 UNACCEPTABLE_CREDENTIAL final;
    94 INCONSISTENT_VOTER_SET final;
    95 INVALID_UPDATE_VERSION final;
    96 FEATURE_UPDATE_FAILED final;
    97 PRINCIPAL_DESERIALIZATION_FAILURE final;
    98 SNAPSHOT_NOT_FOUND final;
    99 POSITION_OUT_OF_RANGE final;
    100 UNKNOWN_TOPIC_ID again;
    101 DUPLICATE_BROKER_REGISTRATION final;
    102 BROKER_ID_NOT_REGISTERED final;
    103 INCONSISTENT_TOPIC_ID again;
    104 INCONSISTENT_CLUSTER_ID final;
    105 TRANSACTIONAL_ID_NOT_FOUND final;
    106 FETCH_SESSION_TOPIC_ID_ERROR again;
    107 INELIGIBLE_REPLICA final;
    108 NEW_LEADER_ELECTED final;
    109 OFFSET_MOVED_TO_TIERED_STORAGE final;
    110 FENCED_MEMBER_EPOCH final;
    111 UNRELEASED_INSTANCE_ID final;
    112 UNSUPPORTED_ASSIGNOR final;
    113 STALE_MEMBER_EPOCH final;
    114 MISMATCHED_ENDPOINT_TYPE final;
    115 UNSUPPORTED_ENDPOINT_TYPE final;
    116 UNKNOWN_CONTROLLER_ID final;
    117 UNKNOWN_SUBSCRIPTION_ID final;
    118 TELEMETRY_TOO_LARGE final;
    119 INVALID_REGISTRATION final;
    120 TRANSACTION_ABORTABLE final;
    121 INVALID_RECORD_STATE final;
    122 SHARE_SESSION_NOT_FOUND again;
    123 INVALID_SHARE_SESSION_EPOCH again;
    124 FENCED_STATE_EPOCH final;
    125 INVALID_VOTER_KEY final;
    126 DUPLICATE_VOTER final;
    127 VOTER_NOT_FOUND final;
    128 INVALID_REGULAR_EXPRESSION final;
    129 REBOOTSTRAP_REQUIRED final;
    130 STREAMS_INVALID_TOPOLOGY final;
    131 STREAMS_INVALID_TOPOLOGY_EPOCH final;
    132 STREAMS_TOPOLOGY_FENCED final;
    133 SHARE_SESSION_LIMIT_REACHED again;
}

impl ErrorCode {
    /// Whether it is an error at all.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 != Self::NONE.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::error::ResponseError;

    #[test]
    fn codes_are_dense_and_agree_with_the_peer_crate_on_what_to_try_again() {
        for (code, expected) in ErrorCode::ALL.iter().zip(-1..) {
            assert_eq!(code.0, expected);
            // The peer crate follows older versions of Kafka here.
            let behind = *code == ErrorCode::CONCURRENT_TRANSACTIONS;
            if let Some(peer) = ResponseError::try_from_code(code.0).filter(|_| !behind) {
                let name = peer.to_string();
                assert_eq!(code.is_retriable(), peer.is_retriable(), "{name} {code}");
            }
        }
        assert_eq!(ErrorCode(999).name(), "UNKNOWN_SERVER_ERROR");
        assert_eq!(
            ErrorCode::NOT_COORDINATOR.to_string(),
            "NOT_COORDINATOR (16)"
        );
    }
}
