//! OffsetFetch. Versions 1 to 10. All topics of a group are asked for by null, from version 2 on. 5 tells leader
//! epochs; 6 is flexible; 7 waits for transactions (KIP-447); 8 asks for many groups (KIP-709); 9 has member id and
//! epoch (KIP-848); 10 names topics by id.

messages! {
    /// Asks for the stored offsets of groups.
    request OffsetFetchRequest (OFFSET_FETCH, versions 1-10, flexible 6+) answered by OffsetFetchResponse {
        group_id: string (1-7),
        /// Null: all of the group's.
        topics: [OffsetFetchRequestTopic] (1-7, null 2-7),
        groups: [OffsetFetchRequestGroup] (8+),
        require_stable: bool (7+),
    }

    /// Partitions of a topic, up to version 7.
    struct OffsetFetchRequestTopic {
        name: string (1-7),
        partition_indexes: [int32] (1-7),
    }

    /// A group and what is asked of it, from version 8 on.
    struct OffsetFetchRequestGroup {
        group_id: string (8+),
        member_id: string (9+, null 9+, default null, ignorable),
        member_epoch: int32 (9+, default -1, ignorable),
        /// Null: all of the group's.
        topics: [OffsetFetchRequestTopics] (8+, null 8+),
    }

    /// Partitions of a topic, from version 8 on.
    struct OffsetFetchRequestTopics {
        name: string (8-9, ignorable),
        topic_id: uuid (10+, ignorable),
        partition_indexes: [int32] (8+),
    }

    /// The answer to [`OffsetFetchRequest`].
    response OffsetFetchResponse (OFFSET_FETCH, versions 1-10, flexible 6+) {
        throttle_time_ms: int32 (3+, ignorable),
        topics: [OffsetFetchResponseTopic] (1-7),
        error_code: int16 (2-7, ignorable),
        groups: [OffsetFetchResponseGroup] (8+),
    }

    /// Offsets of a topic, up to version 7.
    struct OffsetFetchResponseTopic {
        name: string (1-7),
        partitions: [OffsetFetchResponsePartition] (1-7),
    }

    /// The offset of a partition, up to version 7.
    struct OffsetFetchResponsePartition {
        partition_index: int32 (1-7),
        committed_offset: int64 (1-7),
        committed_leader_epoch: int32 (5-7, default -1, ignorable),
        metadata: string (1-7, null 1-7),
        error_code: int16 (1-7),
    }

    /// Offsets of a group, from version 8 on.
    struct OffsetFetchResponseGroup {
        group_id: string (8+),
        topics: [OffsetFetchResponseTopics] (8+),
        error_code: int16 (8+),
    }

    /// Offsets of a topic, from version 8 on.
    struct OffsetFetchResponseTopics {
        name: string (8-9, ignorable),
        topic_id: uuid (10+, ignorable),
        partitions: [OffsetFetchResponsePartitions] (8+),
    }

    /// The offset of a partition, from version 8 on.
    struct OffsetFetchResponsePartitions {
        partition_index: int32 (8+),
        committed_offset: int64 (8+),
        committed_leader_epoch: int32 (8+, default -1),
        metadata: string (8+, null 8+),
        error_code: int16 (8+),
    }
}
