//! DescribeGroups. Versions 0 to 6. 3 tells authorized operations, 4 static members; 5 is flexible; 6 answers unknown
//! groups with GROUP_ID_NOT_FOUND and a message.

messages! {
    /// Describes groups of the classic protocol.
    request DescribeGroupsRequest (DESCRIBE_GROUPS, versions 0-6, flexible 5+) answered by DescribeGroupsResponse {
        groups: [string] (0+),
        include_authorized_operations: bool (3+),
    }

    /// The answer to [`DescribeGroupsRequest`].
    response DescribeGroupsResponse (DESCRIBE_GROUPS, versions 0-6, flexible 5+) {
        throttle_time_ms: int32 (1+, ignorable),
        groups: [DescribedGroup] (0+),
    }

    /// A group.
    struct DescribedGroup {
        error_code: int16 (0+),
        error_message: string (6+, null 6+, default null),
        group_id: string (0+),
        group_state: string (0+),
        protocol_type: string (0+),
        protocol_data: string (0+),
        members: [DescribedGroupMember] (0+),
        authorized_operations: int32 (3+, default -2147483648),
    }

    /// A member of a group.
    struct DescribedGroupMember {
        member_id: string (0+),
        group_instance_id: string (4+, null 4+, default null, ignorable),
        client_id: string (0+),
        client_host: string (0+),
        member_metadata: bytes (0+),
        member_assignment: bytes (0+),
    }
}
