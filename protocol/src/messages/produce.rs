//! Produce. Versions 3 to 13. 3 is the first with record batches v2; 5 tells the log start offset; 8 tells which
//! records of a batch were at fault (KIP-467); 9 is flexible; 10 tells of a new leader and where it is (KIP-951); 13
//! names topics by id.

messages! {
    /// Appends record batches to partitions.
    request ProduceRequest (PRODUCE, versions 3-13, flexible 9+) answered by ProduceResponse {
        transactional_id: string (3+, null 3+, default null),
        /// 0: no answer at all; 1: the leader has it; -1: all replicas in sync have it.
        acks: int16 (3+),
        timeout_ms: int32 (3+),
        topic_data: [TopicProduceData] (3+),
    }

    /// Batches for a topic.
    struct TopicProduceData {
        name: string (3-12, ignorable),
        topic_id: uuid (13+, ignorable),
        partition_data: [PartitionProduceData] (3+),
    }

    /// Batches for a partition.
    struct PartitionProduceData {
        index: int32 (3+),
        records: records (3+, null 3+, default null),
    }

    /// The answer to [`ProduceRequest`].
    response ProduceResponse (PRODUCE, versions 3-13, flexible 9+) {
        responses: [TopicProduceResponse] (3+),
        throttle_time_ms: int32 (3+),
        node_endpoints: [NodeEndpoint] (10+, tag 0),
    }

    /// What became of a topic's batches.
    struct TopicProduceResponse {
        name: string (3-12, ignorable),
        topic_id: uuid (13+, ignorable),
        partition_responses: [PartitionProduceResponse] (3+),
    }

    /// What became of a partition's batches.
    struct PartitionProduceResponse {
        index: int32 (3+),
        error_code: int16 (3+),
        base_offset: int64 (3+),
        log_append_time_ms: int64 (3+, default -1),
        log_start_offset: int64 (5+, default -1, ignorable),
        record_errors: [BatchIndexAndErrorMessage] (8+, ignorable),
        error_message: string (8+, null 8+, default null, ignorable),
        current_leader: LeaderIdAndEpoch (10+, tag 0),
    }

    /// A record at fault.
    struct BatchIndexAndErrorMessage {
        batch_index: int32 (8+),
        batch_index_error_message: string (8+, null 8+, default null),
    }

    /// Who leads a partition now.
    struct LeaderIdAndEpoch {
        leader_id: int32 (10+, default -1),
        leader_epoch: int32 (10+, default -1),
    }

    /// Where a broker is.
    struct NodeEndpoint {
        node_id: int32 (10+),
        host: string (10+),
        port: int32 (10+),
        rack: string (10+, null 10+, default null),
    }
}
