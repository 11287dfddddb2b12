//! DescribeCluster. Versions 0 to 2, all flexible. 1 also asks controllers (KIP-919), 2 tells fenced brokers.

messages! {
    /// Tells who the brokers and the controller are (KIP-700).
    request DescribeClusterRequest (DESCRIBE_CLUSTER, versions 0-2, flexible 0+) answered by DescribeClusterResponse {
        include_cluster_authorized_operations: bool (0+),
        endpoint_type: int8 (1+, default 1),
        include_fenced_brokers: bool (2+),
    }

    /// The answer to [`DescribeClusterRequest`].
    response DescribeClusterResponse (DESCRIBE_CLUSTER, versions 0-2, flexible 0+) {
        throttle_time_ms: int32 (0+),
        error_code: int16 (0+),
        error_message: string (0+, null 0+, default null),
        endpoint_type: int8 (1+, default 1),
        cluster_id: string (0+),
        controller_id: int32 (0+, default -1),
        brokers: [DescribeClusterBroker] (0+),
        cluster_authorized_operations: int32 (0+, default -2147483648),
    }

    /// A broker.
    struct DescribeClusterBroker {
        broker_id: int32 (0+),
        host: string (0+),
        port: int32 (0+),
        rack: string (0+, null 0+, default null),
        is_fenced: bool (2+),
    }
}
