//! Kafka's API keys with their names, and which version of the headers goes with which version of an API.

use std::fmt;

/// Which API a request is of. One that nobody here knows is carried as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKey(pub i16);

macro_rules! api_keys {
    (@flexible none) => { i16::MAX };
    (@flexible $from:literal) => { $from };
    ($($key:literal $name:ident $kafka:ident $flexible:tt;)*) => {
        impl ApiKey {
            $(
                #[doc = concat!("Key ", stringify!($key), ".")]
                pub const $name: Self = Self($key);
            )*

            /// Every key that has a name, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Kafka's name, as in `JoinGroup`; `Unknown` for a key without one.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($kafka),)*
                    _ => "Unknown",
                }
            }

            /// The first flexible version (KIP-482). Beyond all versions if there is none, and for the APIs between
            /// brokers, which no message here is of.
            #[must_use]
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$name => api_keys!(@flexible $flexible),)*
                    _ => i16::MAX,
                }
            }
        }
    };
}

// Key, name here, name in Kafka, first flexible version.
api_keys! {
    0 PRODUCE Produce 9;
    1 FETCH Fetch 12;
    2 LIST_OFFSETS ListOffsets 6;
    3 METADATA Metadata 9;
    8 OFFSET_COMMIT OffsetCommit 8;
    9 OFFSET_FETCH OffsetFetch 6;
    10 FIND_COORDINATOR FindCoordinator 3;
    11 JOIN_GROUP JoinGroup 6;
    12 HEARTBEAT Heartbeat 4;
    13 LEAVE_GROUP LeaveGroup 4;
    14 SYNC_GROUP SyncGroup 4;
    15 DESCRIBE_GROUPS DescribeGroups 5;
    16 LIST_GROUPS ListGroups 3;
    17 SASL_HANDSHAKE SaslHandshake none;
    18 API_VERSIONS ApiVersions 3;
    19 CREATE_TOPICS CreateTopics 5;
    20 DELETE_TOPICS DeleteTopics 4;
    21 DELETE_RECORDS DeleteRecords 2;
    22 INIT_PRODUCER_ID InitProducerId 2;
    23 OFFSET_FOR_LEADER_EPOCH OffsetForLeaderEpoch 4;
    24 ADD_PARTITIONS_TO_TXN AddPartitionsToTxn 3;
    25 ADD_OFFSETS_TO_TXN AddOffsetsToTxn 3;
    26 END_TXN EndTxn 3;
    27 WRITE_TXN_MARKERS WriteTxnMarkers none;
    28 TXN_OFFSET_COMMIT TxnOffsetCommit 3;
    29 DESCRIBE_ACLS DescribeAcls 2;
    30 CREATE_ACLS CreateAcls 2;
    31 DELETE_ACLS DeleteAcls 2;
    32 DESCRIBE_CONFIGS DescribeConfigs 4;
    33 ALTER_CONFIGS AlterConfigs 2;
    34 ALTER_REPLICA_LOG_DIRS AlterReplicaLogDirs none;
    35 DESCRIBE_LOG_DIRS DescribeLogDirs none;
    36 SASL_AUTHENTICATE SaslAuthenticate 2;
    37 CREATE_PARTITIONS CreatePartitions 2;
    38 CREATE_DELEGATION_TOKEN CreateDelegationToken none;
    39 RENEW_DELEGATION_TOKEN RenewDelegationToken none;
    40 EXPIRE_DELEGATION_TOKEN ExpireDelegationToken none;
    41 DESCRIBE_DELEGATION_TOKEN DescribeDelegationToken none;
    42 DELETE_GROUPS DeleteGroups 2;
    43 ELECT_LEADERS ElectLeaders none;
    44 INCREMENTAL_ALTER_CONFIGS IncrementalAlterConfigs 1;
    45 ALTER_PARTITION_REASSIGNMENTS AlterPartitionReassignments none;
    46 LIST_PARTITION_REASSIGNMENTS ListPartitionReassignments none;
    47 OFFSET_DELETE OffsetDelete none;
    48 DESCRIBE_CLIENT_QUOTAS DescribeClientQuotas none;
    49 ALTER_CLIENT_QUOTAS AlterClientQuotas none;
    50 DESCRIBE_USER_SCRAM_CREDENTIALS DescribeUserScramCredentials none;
    51 ALTER_USER_SCRAM_CREDENTIALS AlterUserScramCredentials none;
    52 VOTE Vote none;
    53 BEGIN_QUORUM_EPOCH BeginQuorumEpoch none;
    54 END_QUORUM_EPOCH EndQuorumEpoch none;
    55 DESCRIBE_QUORUM DescribeQuorum none;
    56 ALTER_PARTITION AlterPartition none;
    57 UPDATE_FEATURES UpdateFeatures none;
    58 ENVELOPE Envelope none;
    59 FETCH_SNAPSHOT FetchSnapshot none;
    60 DESCRIBE_CLUSTER DescribeCluster 0;
    61 DESCRIBE_PRODUCERS DescribeProducers 0;
    62 BROKER_REGISTRATION BrokerRegistration none;
    63 BROKER_HEARTBEAT BrokerHeartbeat none;
    64 UNREGISTER_BROKER UnregisterBroker none;
    65 DESCRIBE_TRANSACTIONS DescribeTransactions none;
    66 LIST_TRANSACTIONS ListTransactions none;
    67 ALLOCATE_PRODUCER_IDS AllocateProducerIds none;
    68 CONSUMER_GROUP_HEARTBEAT ConsumerGroupHeartbeat 0;
    69 CONSUMER_GROUP_DESCRIBE ConsumerGroupDescribe 0;
    70 CONTROLLER_REGISTRATION ControllerRegistration none;
    71 GET_TELEMETRY_SUBSCRIPTIONS GetTelemetrySubscriptions 0;
    72 PUSH_TELEMETRY PushTelemetry 0;
    73 ASSIGN_REPLICAS_TO_DIRS AssignReplicasToDirs none;
    74 LIST_CONFIG_RESOURCES ListConfigResources 0;
    75 DESCRIBE_TOPIC_PARTITIONS DescribeTopicPartitions 0;
    76 SHARE_GROUP_HEARTBEAT ShareGroupHeartbeat 1;
    77 SHARE_GROUP_DESCRIBE ShareGroupDescribe 1;
    78 SHARE_FETCH ShareFetch 1;
    79 SHARE_ACKNOWLEDGE ShareAcknowledge 1;
    80 ADD_RAFT_VOTER AddRaftVoter none;
    81 REMOVE_RAFT_VOTER RemoveRaftVoter none;
    82 UPDATE_RAFT_VOTER UpdateRaftVoter none;
    83 INITIALIZE_SHARE_GROUP_STATE InitializeShareGroupState none;
    84 READ_SHARE_GROUP_STATE ReadShareGroupState none;
    85 WRITE_SHARE_GROUP_STATE WriteShareGroupState none;
    86 DELETE_SHARE_GROUP_STATE DeleteShareGroupState none;
    87 READ_SHARE_GROUP_STATE_SUMMARY ReadShareGroupStateSummary none;
    88 STREAMS_GROUP_HEARTBEAT StreamsGroupHeartbeat none;
    89 STREAMS_GROUP_DESCRIBE StreamsGroupDescribe none;
    90 DESCRIBE_SHARE_GROUP_OFFSETS DescribeShareGroupOffsets 0;
    91 ALTER_SHARE_GROUP_OFFSETS AlterShareGroupOffsets 0;
    92 DELETE_SHARE_GROUP_OFFSETS DeleteShareGroupOffsets 0;
}

impl ApiKey {
    /// Whether the request header of this version of the API ends with tagged fields (header version 2).
    pub(crate) const fn tagged_request_header(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// Whether the answer's header does (header version 1). ApiVersions never: whoever asks does not know yet what the
    /// broker speaks, and must be able to read the answer to a version nobody knows.
    pub(crate) const fn tagged_response_header(self, version: i16) -> bool {
        version >= self.flexible_from() && self.0 != Self::API_VERSIONS.0
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.name(), self.0)
    }
}
