//! SyncGroup. Versions 0 to 5. 3 brought static members (KIP-345); 4 is flexible; 5 names protocol type and protocol
//! (KIP-559).

messages! {
    /// Brings the leader's assignment and fetches the sender's part of it. Answered when the leader has spoken.
    request SyncGroupRequest (SYNC_GROUP, versions 0-5, flexible 4+) answered by SyncGroupResponse {
        group_id: string (0+),
        generation_id: int32 (0+),
        member_id: string (0+),
        group_instance_id: string (3+, null 3+, default null),
        protocol_type: string (5+, null 5+, default null, ignorable),
        protocol_name: string (5+, null 5+, default null, ignorable),
        assignments: [SyncGroupRequestAssignment] (0+),
    }

    /// What a member gets.
    struct SyncGroupRequestAssignment {
        member_id: string (0+),
        assignment: bytes (0+),
    }

    /// The answer to [`SyncGroupRequest`].
    response SyncGroupResponse (SYNC_GROUP, versions 0-5, flexible 4+) {
        throttle_time_ms: int32 (1+, ignorable),
        error_code: int16 (0+),
        protocol_type: string (5+, null 5+, default null, ignorable),
        protocol_name: string (5+, null 5+, default null, ignorable),
        assignment: bytes (0+),
    }
}
