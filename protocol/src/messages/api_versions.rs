//! ApiVersions. Versions 0 to 4. 3 is flexible and names the client's software (KIP-511); from then on features are
//! told (KIP-584), and from 4 on those whose lowest version is 0. A version that is not known is answered in version
//! 0 with UNSUPPORTED_VERSION; the answer's header is never flexible.

messages! {
    /// Asks which APIs a broker serves in which versions.
    request ApiVersionsRequest (API_VERSIONS, versions 0-4, flexible 3+) answered by ApiVersionsResponse {
        client_software_name: string (3+, ignorable),
        client_software_version: string (3+, ignorable),
    }

    /// The answer to [`ApiVersionsRequest`].
    response ApiVersionsResponse (API_VERSIONS, versions 0-4, flexible 3+) {
        error_code: int16 (0+),
        api_keys: [ApiVersion] (0+),
        throttle_time_ms: int32 (1+, ignorable),
        supported_features: [SupportedFeatureKey] (3+, tag 0, ignorable),
        finalized_features_epoch: int64 (3+, tag 1, default -1, ignorable),
        finalized_features: [FinalizedFeatureKey] (3+, tag 2, ignorable),
        zk_migration_ready: bool (3+, tag 3, ignorable),
    }

    /// The versions of an API.
    struct ApiVersion {
        api_key: int16 (0+),
        min_version: int16 (0+),
        max_version: int16 (0+),
    }

    /// A feature the broker could have.
    struct SupportedFeatureKey {
        name: string (3+),
        min_version: int16 (3+),
        max_version: int16 (3+),
    }

    /// A feature the cluster has.
    struct FinalizedFeatureKey {
        name: string (3+),
        max_version_level: int16 (3+),
        min_version_level: int16 (3+),
    }
}
