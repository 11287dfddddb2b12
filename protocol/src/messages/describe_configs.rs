//! DescribeConfigs. Versions 1 to 4. 1 tells synonyms (KIP-226), 3 types and documentation; 4 is flexible.

messages! {
    /// Tells the configuration of topics, brokers and groups.
    request DescribeConfigsRequest (DESCRIBE_CONFIGS, versions 1-4, flexible 4+) answered by DescribeConfigsResponse {
        resources: [DescribeConfigsResource] (1+),
        include_synonyms: bool (1+),
        include_documentation: bool (3+),
    }

    /// What to tell the configuration of.
    struct DescribeConfigsResource {
        /// 2: a topic, 4: a broker, 8: a broker's loggers, 16: client metrics, 32: a group.
        resource_type: int8 (1+),
        resource_name: string (1+),
        /// Null: all keys.
        configuration_keys: [string] (1+, null 1+),
    }

    /// The answer to [`DescribeConfigsRequest`].
    response DescribeConfigsResponse (DESCRIBE_CONFIGS, versions 1-4, flexible 4+) {
        throttle_time_ms: int32 (1+),
        results: [DescribeConfigsResult] (1+),
    }

    /// The configuration of something.
    struct DescribeConfigsResult {
        error_code: int16 (1+),
        error_message: string (1+, null 1+),
        resource_type: int8 (1+),
        resource_name: string (1+),
        configs: [DescribeConfigsResourceResult] (1+),
    }

    /// A configuration key.
    struct DescribeConfigsResourceResult {
        name: string (1+),
        value: string (1+, null 1+),
        read_only: bool (1+),
        config_source: int8 (1+, default -1),
        is_sensitive: bool (1+),
        synonyms: [DescribeConfigsSynonym] (1+),
        config_type: int8 (3+, ignorable),
        documentation: string (3+, null 3+, ignorable),
    }

    /// Another place where the key is set.
    struct DescribeConfigsSynonym {
        name: string (1+),
        value: string (1+, null 1+),
        source: int8 (1+),
    }
}
