//! JoinGroup. Versions 0 to 9. 1 brought the rebalance timeout; 4 has members ask for their id first (KIP-394), 5
//! static members (KIP-345); 6 is flexible; 7 tells the protocol type, 8 the reason (KIP-800), 9 lets the leader skip
//! the assignment (KIP-814).

messages! {
    /// Makes the sender a member of a group, or has it join again. Answered when the group is complete.
    request JoinGroupRequest (JOIN_GROUP, versions 0-9, flexible 6+) answered by JoinGroupResponse {
        group_id: string (0+),
        session_timeout_ms: int32 (0+),
        /// -1: as long as the session timeout.
        rebalance_timeout_ms: int32 (1+, default -1, ignorable),
        /// Empty at the first time.
        member_id: string (0+),
        group_instance_id: string (5+, null 5+, default null),
        protocol_type: string (0+),
        protocols: [JoinGroupRequestProtocol] (0+),
        reason: string (8+, null 8+, default null, ignorable),
    }

    /// A protocol the member speaks, with its metadata for it; the first is the one it likes best.
    struct JoinGroupRequestProtocol {
        name: string (0+),
        metadata: bytes (0+),
    }

    /// The answer to [`JoinGroupRequest`].
    response JoinGroupResponse (JOIN_GROUP, versions 0-9, flexible 6+) {
        throttle_time_ms: int32 (2+, ignorable),
        error_code: int16 (0+),
        generation_id: int32 (0+, default -1),
        protocol_type: string (7+, null 7+, default null, ignorable),
        protocol_name: string (0+, null 7+),
        leader: string (0+),
        skip_assignment: bool (9+),
        member_id: string (0+),
        members: [JoinGroupResponseMember] (0+),
    }

    /// A member as the leader sees it.
    struct JoinGroupResponseMember {
        member_id: string (0+),
        group_instance_id: string (5+, null 5+, default null, ignorable),
        metadata: bytes (0+),
    }
}
