//! Fetch. Versions 4 to 18. 7 brought sessions (KIP-227), 9 leader epochs (KIP-320), 11 fetching from followers
//! (KIP-392); 12 is flexible; 13 names topics by id (KIP-516); 15 moved the replica into a tagged field; 16 tells
//! where a new leader is; 17 and 18 are between brokers.

messages! {
    /// Reads record batches of partitions.
    request FetchRequest (FETCH, versions 4-18, flexible 12+) answered by FetchResponse {
        cluster_id: string (12+, null 12+, tag 0, default null, ignorable),
        replica_id: int32 (4-14, default -1),
        replica_state: ReplicaState (15+, tag 1),
        /// How long to wait for `min_bytes`.
        max_wait_ms: int32 (4+),
        /// How much has to be there before the answer comes early.
        min_bytes: int32 (4+),
        /// How much the answer may hold; the first batch comes whatever its size.
        max_bytes: int32 (4+, default 2147483647),
        /// 0: read uncommitted, 1: read committed.
        isolation_level: int8 (4+),
        session_id: int32 (7+, ignorable),
        /// -1 with session 0: no session.
        session_epoch: int32 (7+, default -1, ignorable),
        topics: [FetchTopic] (4+),
        forgotten_topics_data: [ForgottenTopic] (7+),
        rack_id: string (11+, ignorable),
    }

    /// The replica that asks; consumers leave it out.
    struct ReplicaState {
        replica_id: int32 (15+, default -1),
        replica_epoch: int64 (15+, default -1),
    }

    /// Partitions of a topic to read.
    struct FetchTopic {
        topic: string (4-12, ignorable),
        topic_id: uuid (13+, ignorable),
        partitions: [FetchPartition] (4+),
    }

    /// Where to read a partition, and how much.
    struct FetchPartition {
        partition: int32 (4+),
        current_leader_epoch: int32 (9+, default -1, ignorable),
        fetch_offset: int64 (4+),
        last_fetched_epoch: int32 (12+, default -1),
        log_start_offset: int64 (5+, default -1, ignorable),
        partition_max_bytes: int32 (4+),
        replica_directory_id: uuid (17+, tag 0, ignorable),
        high_watermark: int64 (18+, tag 1, default 9223372036854775807, ignorable),
    }

    /// Partitions that leave the session.
    struct ForgottenTopic {
        topic: string (7-12, ignorable),
        topic_id: uuid (13+, ignorable),
        partitions: [int32] (7+),
    }

    /// The answer to [`FetchRequest`].
    response FetchResponse (FETCH, versions 4-18, flexible 12+) {
        throttle_time_ms: int32 (4+),
        error_code: int16 (7+, ignorable),
        session_id: int32 (7+),
        responses: [FetchableTopicResponse] (4+),
        node_endpoints: [NodeEndpoint] (16+, tag 0),
    }

    /// What was read of a topic.
    struct FetchableTopicResponse {
        topic: string (4-12, ignorable),
        topic_id: uuid (13+, ignorable),
        partitions: [PartitionData] (4+),
    }

    /// What was read of a partition.
    struct PartitionData {
        partition_index: int32 (4+),
        error_code: int16 (4+),
        high_watermark: int64 (4+),
        last_stable_offset: int64 (4+, default -1),
        log_start_offset: int64 (5+, default -1, ignorable),
        diverging_epoch: EpochEndOffset (12+, tag 0),
        current_leader: LeaderIdAndEpoch (12+, tag 1),
        snapshot_id: SnapshotId (12+, tag 2),
        aborted_transactions: [AbortedTransaction] (4+, null 4+),
        preferred_read_replica: int32 (11+, default -1),
        records: records (4+, null 4+, default null),
    }

    /// Where an epoch ends.
    struct EpochEndOffset {
        epoch: int32 (12+, default -1),
        end_offset: int64 (12+, default -1),
    }

    /// Who leads a partition now.
    struct LeaderIdAndEpoch {
        leader_id: int32 (12+, default -1),
        leader_epoch: int32 (12+, default -1),
    }

    /// A snapshot to read instead; between controllers only.
    struct SnapshotId {
        end_offset: int64 (12+, default -1),
        epoch: int32 (12+, default -1),
    }

    /// A transaction whose records do not count, from its first offset on.
    struct AbortedTransaction {
        producer_id: int64 (4+),
        first_offset: int64 (4+),
    }

    /// Where a broker is.
    struct NodeEndpoint {
        node_id: int32 (16+),
        host: string (16+),
        port: int32 (16+),
        rack: string (16+, null 16+, default null),
    }
}
