//! CreateTopics. Versions 2 to 7. 4 lets the broker choose partitions and replicas by -1 (KIP-464); 5 is flexible and
//! tells what became of the topic (KIP-525); 7 tells the topic id.

messages! {
    /// Creates topics.
    request CreateTopicsRequest (CREATE_TOPICS, versions 2-7, flexible 5+) answered by CreateTopicsResponse {
        topics: [CreatableTopic] (2+),
        timeout_ms: int32 (2+, default 60000),
        validate_only: bool (2+),
    }

    /// A topic to create.
    struct CreatableTopic {
        name: string (2+),
        /// -1: the broker's default, or those of the assignments.
        num_partitions: int32 (2+),
        /// -1: the broker's default, or that of the assignments.
        replication_factor: int16 (2+),
        assignments: [CreatableReplicaAssignment] (2+),
        configs: [CreatableTopicConfig] (2+),
    }

    /// Where a partition is to lie.
    struct CreatableReplicaAssignment {
        partition_index: int32 (2+),
        broker_ids: [int32] (2+),
    }

    /// A configuration key of the topic.
    struct CreatableTopicConfig {
        name: string (2+),
        value: string (2+, null 2+),
    }

    /// The answer to [`CreateTopicsRequest`].
    response CreateTopicsResponse (CREATE_TOPICS, versions 2-7, flexible 5+) {
        throttle_time_ms: int32 (2+),
        topics: [CreatableTopicResult] (2+),
    }

    /// What became of a topic.
    struct CreatableTopicResult {
        name: string (2+),
        topic_id: uuid (7+, ignorable),
        error_code: int16 (2+),
        error_message: string (2+, null 2+),
        topic_config_error_code: int16 (5+, tag 0, ignorable),
        num_partitions: int32 (5+, default -1, ignorable),
        replication_factor: int16 (5+, default -1, ignorable),
        configs: [CreatableTopicConfigs] (5+, null 5+, ignorable),
    }

    /// A configuration key the topic has.
    struct CreatableTopicConfigs {
        name: string (5+),
        value: string (5+, null 5+),
        read_only: bool (5+),
        config_source: int8 (5+, default -1),
        is_sensitive: bool (5+),
    }
}
