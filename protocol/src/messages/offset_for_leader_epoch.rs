//! OffsetForLeaderEpoch. Versions 2 to 4 (KIP-320). 3 tells replicas from consumers; 4 is flexible.

messages! {
    /// Asks where the epochs of leaders end, to find out what was truncated.
    request OffsetForLeaderEpochRequest (OFFSET_FOR_LEADER_EPOCH, versions 2-4, flexible 4+) answered by OffsetForLeaderEpochResponse {
        replica_id: int32 (3+, default -2, ignorable),
        topics: [OffsetForLeaderTopic] (2+),
    }

    /// Partitions of a topic.
    struct OffsetForLeaderTopic {
        topic: string (2+),
        partitions: [OffsetForLeaderPartition] (2+),
    }

    /// The epoch asked for in a partition.
    struct OffsetForLeaderPartition {
        partition: int32 (2+),
        current_leader_epoch: int32 (2+, default -1),
        leader_epoch: int32 (2+),
    }

    /// The answer to [`OffsetForLeaderEpochRequest`].
    response OffsetForLeaderEpochResponse (OFFSET_FOR_LEADER_EPOCH, versions 2-4, flexible 4+) {
        throttle_time_ms: int32 (2+),
        topics: [OffsetForLeaderTopicResult] (2+),
    }

    /// What was found of a topic.
    struct OffsetForLeaderTopicResult {
        topic: string (2+),
        partitions: [EpochEndOffset] (2+),
    }

    /// Where an epoch ends.
    struct EpochEndOffset {
        error_code: int16 (2+),
        partition: int32 (2+),
        leader_epoch: int32 (2+, default -1),
        end_offset: int64 (2+, default -1),
    }
}
