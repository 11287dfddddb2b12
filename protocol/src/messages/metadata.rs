//! Metadata. Versions 0 to 13. All topics are asked for by an empty list in version 0 and by null from 1 on. 4 may
//! create topics, 7 tells leader epochs; 9 is flexible; 10 tells topic ids, 12 asks by them; 13 has an error for the
//! whole answer.

messages! {
    /// Tells who the brokers are, and who leads which partition of which topic.
    request MetadataRequest (METADATA, versions 0-13, flexible 9+) answered by MetadataResponse {
        /// Null: all topics; in version 0 the empty list says so.
        topics: [MetadataRequestTopic] (0+, null 1+),
        allow_auto_topic_creation: bool (4+, default true),
        include_cluster_authorized_operations: bool (8-10),
        include_topic_authorized_operations: bool (8+),
    }

    /// A topic to tell of.
    struct MetadataRequestTopic {
        topic_id: uuid (10+, ignorable),
        name: string (0+, null 10+),
    }

    /// The answer to [`MetadataRequest`].
    response MetadataResponse (METADATA, versions 0-13, flexible 9+) {
        throttle_time_ms: int32 (3+, ignorable),
        brokers: [MetadataResponseBroker] (0+),
        cluster_id: string (2+, null 2+, default null, ignorable),
        controller_id: int32 (1+, default -1, ignorable),
        topics: [MetadataResponseTopic] (0+),
        cluster_authorized_operations: int32 (8-10, default -2147483648),
        error_code: int16 (13+, ignorable),
    }

    /// A broker.
    struct MetadataResponseBroker {
        node_id: int32 (0+),
        host: string (0+),
        port: int32 (0+),
        rack: string (1+, null 1+, default null, ignorable),
    }

    /// A topic.
    struct MetadataResponseTopic {
        error_code: int16 (0+),
        name: string (0+, null 12+),
        topic_id: uuid (10+, ignorable),
        is_internal: bool (1+, ignorable),
        partitions: [MetadataResponsePartition] (0+),
        topic_authorized_operations: int32 (8+, default -2147483648),
    }

    /// A partition.
    struct MetadataResponsePartition {
        error_code: int16 (0+),
        partition_index: int32 (0+),
        leader_id: int32 (0+),
        leader_epoch: int32 (7+, default -1, ignorable),
        replica_nodes: [int32] (0+),
        isr_nodes: [int32] (0+),
        offline_replicas: [int32] (5+, ignorable),
    }
}
