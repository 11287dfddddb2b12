//! IncrementalAlterConfigs. Versions 0 and 1. 1 is flexible.

messages! {
    /// Changes single configuration keys of topics, brokers and groups (KIP-339).
    request IncrementalAlterConfigsRequest (INCREMENTAL_ALTER_CONFIGS, versions 0-1, flexible 1+) answered by IncrementalAlterConfigsResponse {
        resources: [AlterConfigsResource] (0+),
        validate_only: bool (0+),
    }

    /// What to configure.
    struct AlterConfigsResource {
        /// 2: a topic, 4: a broker, 8: a broker's loggers, 16: client metrics, 32: a group.
        resource_type: int8 (0+),
        resource_name: string (0+),
        configs: [AlterableConfig] (0+),
    }

    /// A change to a configuration key.
    struct AlterableConfig {
        name: string (0+),
        /// 0: set, 1: delete, 2: append to a list, 3: take out of a list.
        config_operation: int8 (0+),
        value: string (0+, null 0+),
    }

    /// The answer to [`IncrementalAlterConfigsRequest`].
    response IncrementalAlterConfigsResponse (INCREMENTAL_ALTER_CONFIGS, versions 0-1, flexible 1+) {
        throttle_time_ms: int32 (0+),
        responses: [AlterConfigsResourceResponse] (0+),
    }

    /// What became of the changes.
    struct AlterConfigsResourceResponse {
        error_code: int16 (0+),
        error_message: string (0+, null 0+),
        resource_type: int8 (0+),
        resource_name: string (0+),
    }
}
