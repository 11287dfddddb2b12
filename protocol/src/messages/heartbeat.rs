//! Heartbeat. Versions 0 to 4. 3 brought static members (KIP-345); 4 is flexible.

messages! {
    /// Keeps a member alive, and tells it of a rebalance.
    request HeartbeatRequest (HEARTBEAT, versions 0-4, flexible 4+) answered by HeartbeatResponse {
        group_id: string (0+),
        generation_id: int32 (0+),
        member_id: string (0+),
        group_instance_id: string (3+, null 3+, default null),
    }

    /// The answer to [`HeartbeatRequest`].
    response HeartbeatResponse (HEARTBEAT, versions 0-4, flexible 4+) {
        throttle_time_ms: int32 (1+, ignorable),
        error_code: int16 (0+),
    }
}
