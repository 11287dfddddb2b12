//! DeleteGroups. Versions 0 to 2. 2 is flexible.

messages! {
    /// Deletes groups without members, with all their offsets.
    request DeleteGroupsRequest (DELETE_GROUPS, versions 0-2, flexible 2+) answered by DeleteGroupsResponse {
        groups_names: [string] (0+),
    }

    /// The answer to [`DeleteGroupsRequest`].
    response DeleteGroupsResponse (DELETE_GROUPS, versions 0-2, flexible 2+) {
        throttle_time_ms: int32 (0+),
        results: [DeletableGroupResult] (0+),
    }

    /// What became of a group.
    struct DeletableGroupResult {
        group_id: string (0+),
        error_code: int16 (0+),
    }
}
