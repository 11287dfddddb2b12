//! ListGroups. Versions 0 to 5. 3 is flexible; 4 filters by state and tells it (KIP-518); 5 filters by type and tells
//! it (KIP-848).

messages! {
    /// Lists the groups a broker coordinates.
    request ListGroupsRequest (LIST_GROUPS, versions 0-5, flexible 3+) answered by ListGroupsResponse {
        states_filter: [string] (4+),
        types_filter: [string] (5+),
    }

    /// The answer to [`ListGroupsRequest`].
    response ListGroupsResponse (LIST_GROUPS, versions 0-5, flexible 3+) {
        throttle_time_ms: int32 (1+, ignorable),
        error_code: int16 (0+),
        groups: [ListedGroup] (0+),
    }

    /// A group.
    struct ListedGroup {
        group_id: string (0+),
        protocol_type: string (0+),
        group_state: string (4+, ignorable),
        group_type: string (5+, ignorable),
    }
}
