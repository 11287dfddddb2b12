//! ListOffsets. Versions 1 to 11. The timestamps -1 and -2 ask for the end and the start; 4 brought leader epochs, 7
//! the record with the newest timestamp (-3), 8 the local log start (-4), 9 tiered storage (-5), 10 a timeout, 11 -6;
//! 6 is flexible.

messages! {
    /// Finds offsets by time, or the first and the last.
    request ListOffsetsRequest (LIST_OFFSETS, versions 1-11, flexible 6+) answered by ListOffsetsResponse {
        replica_id: int32 (1+),
        /// 0: read uncommitted, 1: read committed.
        isolation_level: int8 (2+),
        topics: [ListOffsetsTopic] (1+),
        timeout_ms: int32 (10+, ignorable),
    }

    /// Partitions of a topic.
    struct ListOffsetsTopic {
        name: string (1+),
        partitions: [ListOffsetsPartition] (1+),
    }

    /// What to find in a partition.
    struct ListOffsetsPartition {
        partition_index: int32 (1+),
        current_leader_epoch: int32 (4+, default -1, ignorable),
        /// Milliseconds since 1970, or a negative number with a meaning of its own.
        timestamp: int64 (1+),
    }

    /// The answer to [`ListOffsetsRequest`].
    response ListOffsetsResponse (LIST_OFFSETS, versions 1-11, flexible 6+) {
        throttle_time_ms: int32 (2+, ignorable),
        topics: [ListOffsetsTopicResponse] (1+),
    }

    /// What was found of a topic.
    struct ListOffsetsTopicResponse {
        name: string (1+),
        partitions: [ListOffsetsPartitionResponse] (1+),
    }

    /// What was found in a partition.
    struct ListOffsetsPartitionResponse {
        partition_index: int32 (1+),
        error_code: int16 (1+),
        timestamp: int64 (1+, default -1),
        offset: int64 (1+, default -1),
        leader_epoch: int32 (4+, default -1),
    }
}
