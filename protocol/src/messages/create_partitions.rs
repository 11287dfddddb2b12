//! CreatePartitions. Versions 0 to 3. 2 is flexible; 3 may be throttled by the quota on mutations.

messages! {
    /// Gives topics more partitions.
    request CreatePartitionsRequest (CREATE_PARTITIONS, versions 0-3, flexible 2+) answered by CreatePartitionsResponse {
        topics: [CreatePartitionsTopic] (0+),
        timeout_ms: int32 (0+),
        validate_only: bool (0+),
    }

    /// How many partitions a topic shall have.
    struct CreatePartitionsTopic {
        name: string (0+),
        count: int32 (0+),
        assignments: [CreatePartitionsAssignment] (0+, null 0+),
    }

    /// Where a new partition is to lie.
    struct CreatePartitionsAssignment {
        broker_ids: [int32] (0+),
    }

    /// The answer to [`CreatePartitionsRequest`].
    response CreatePartitionsResponse (CREATE_PARTITIONS, versions 0-3, flexible 2+) {
        throttle_time_ms: int32 (0+),
        results: [CreatePartitionsTopicResult] (0+),
    }

    /// What became of a topic.
    struct CreatePartitionsTopicResult {
        name: string (0+),
        error_code: int16 (0+),
        error_message: string (0+, null 0+, default null),
    }
}
