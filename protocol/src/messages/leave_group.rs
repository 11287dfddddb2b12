//! LeaveGroup. Versions 0 to 5. 3 takes many members at once (KIP-345); 4 is flexible; 5 tells the reason (KIP-800).

messages! {
    /// Takes members out of a group.
    request LeaveGroupRequest (LEAVE_GROUP, versions 0-5, flexible 4+) answered by LeaveGroupResponse {
        group_id: string (0+),
        member_id: string (0-2),
        members: [MemberIdentity] (3+),
    }

    /// A member that leaves.
    struct MemberIdentity {
        member_id: string (3+),
        group_instance_id: string (3+, null 3+, default null),
        reason: string (5+, null 5+, default null, ignorable),
    }

    /// The answer to [`LeaveGroupRequest`].
    response LeaveGroupResponse (LEAVE_GROUP, versions 0-5, flexible 4+) {
        throttle_time_ms: int32 (1+, ignorable),
        error_code: int16 (0+),
        members: [MemberResponse] (3+),
    }

    /// What became of a member that leaves.
    struct MemberResponse {
        member_id: string (3+),
        group_instance_id: string (3+, null 3+),
        error_code: int16 (3+),
    }
}
