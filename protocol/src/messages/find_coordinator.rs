//! FindCoordinator. Versions 0 to 6. 1 tells kinds of keys apart (0 group, 1 transaction, 2 share); 3 is flexible; 4
//! asks for many keys (KIP-699); 6 knows share groups (KIP-932).

messages! {
    /// Asks which broker coordinates a group or a transactional id.
    request FindCoordinatorRequest (FIND_COORDINATOR, versions 0-6, flexible 3+) answered by FindCoordinatorResponse {
        key: string (0-3),
        /// 0: a group, 1: a transactional id, 2: a share group.
        key_type: int8 (1+),
        coordinator_keys: [string] (4+),
    }

    /// The answer to [`FindCoordinatorRequest`].
    response FindCoordinatorResponse (FIND_COORDINATOR, versions 0-6, flexible 3+) {
        throttle_time_ms: int32 (1+, ignorable),
        error_code: int16 (0-3),
        error_message: string (1-3, null 1-3, ignorable),
        node_id: int32 (0-3),
        host: string (0-3),
        port: int32 (0-3),
        coordinators: [Coordinator] (4+),
    }

    /// Who coordinates a key.
    struct Coordinator {
        key: string (4+),
        node_id: int32 (4+),
        host: string (4+),
        port: int32 (4+),
        error_code: int16 (4+),
        error_message: string (4+, null 4+),
    }
}
