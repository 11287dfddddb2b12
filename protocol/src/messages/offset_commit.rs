//! OffsetCommit. Versions 2 to 10. 5 dropped the retention time; 6 brought leader epochs, 7 static members (KIP-345);
//! 8 is flexible; 9 serves both group protocols (KIP-848); 10 names topics by id.

messages! {
    /// Stores the offsets of a group.
    request OffsetCommitRequest (OFFSET_COMMIT, versions 2-10, flexible 8+) answered by OffsetCommitResponse {
        group_id: string (2+),
        generation_id_or_member_epoch: int32 (2+, default -1),
        member_id: string (2+),
        group_instance_id: string (7+, null 7+, default null),
        retention_time_ms: int64 (2-4, default -1, ignorable),
        topics: [OffsetCommitRequestTopic] (2+),
    }

    /// Offsets of a topic.
    struct OffsetCommitRequestTopic {
        name: string (2-9, ignorable),
        topic_id: uuid (10+, ignorable),
        partitions: [OffsetCommitRequestPartition] (2+),
    }

    /// The offset of a partition.
    struct OffsetCommitRequestPartition {
        partition_index: int32 (2+),
        committed_offset: int64 (2+),
        committed_leader_epoch: int32 (6+, default -1, ignorable),
        committed_metadata: string (2+, null 2+),
    }

    /// The answer to [`OffsetCommitRequest`].
    response OffsetCommitResponse (OFFSET_COMMIT, versions 2-10, flexible 8+) {
        throttle_time_ms: int32 (3+, ignorable),
        topics: [OffsetCommitResponseTopic] (2+),
    }

    /// What became of a topic's offsets.
    struct OffsetCommitResponseTopic {
        name: string (2-9, ignorable),
        topic_id: uuid (10+, ignorable),
        partitions: [OffsetCommitResponsePartition] (2+),
    }

    /// What became of a partition's offset.
    struct OffsetCommitResponsePartition {
        partition_index: int32 (2+),
        error_code: int16 (2+),
    }
}
