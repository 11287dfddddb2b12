//! OffsetDelete. Version 0, never flexible. A topic the group is subscribed to is refused.

messages! {
    /// Deletes stored offsets of a group (KIP-496).
    request OffsetDeleteRequest (OFFSET_DELETE, versions 0-0, flexible none) answered by OffsetDeleteResponse {
        group_id: string (0+),
        topics: [OffsetDeleteRequestTopic] (0+),
    }

    /// Partitions of a topic.
    struct OffsetDeleteRequestTopic {
        name: string (0+),
        partitions: [OffsetDeleteRequestPartition] (0+),
    }

    /// A partition.
    struct OffsetDeleteRequestPartition {
        partition_index: int32 (0+),
    }

    /// The answer to [`OffsetDeleteRequest`].
    response OffsetDeleteResponse (OFFSET_DELETE, versions 0-0, flexible none) {
        error_code: int16 (0+),
        throttle_time_ms: int32 (0+),
        topics: [OffsetDeleteResponseTopic] (0+),
    }

    /// What became of a topic.
    struct OffsetDeleteResponseTopic {
        name: string (0+),
        partitions: [OffsetDeleteResponsePartition] (0+),
    }

    /// What became of a partition.
    struct OffsetDeleteResponsePartition {
        partition_index: int32 (0+),
        error_code: int16 (0+),
    }
}
