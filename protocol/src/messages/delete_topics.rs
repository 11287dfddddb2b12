//! DeleteTopics. Versions 1 to 6. 4 is flexible; 5 has error messages; 6 asks by name or by id (KIP-516).

messages! {
    /// Deletes topics.
    request DeleteTopicsRequest (DELETE_TOPICS, versions 1-6, flexible 4+) answered by DeleteTopicsResponse {
        topics: [DeleteTopicState] (6+),
        topic_names: [string] (1-5, ignorable),
        timeout_ms: int32 (1+),
    }

    /// A topic to delete.
    struct DeleteTopicState {
        name: string (6+, null 6+, default null),
        topic_id: uuid (6+),
    }

    /// The answer to [`DeleteTopicsRequest`].
    response DeleteTopicsResponse (DELETE_TOPICS, versions 1-6, flexible 4+) {
        throttle_time_ms: int32 (1+),
        responses: [DeletableTopicResult] (1+),
    }

    /// What became of a topic.
    struct DeletableTopicResult {
        name: string (1+, null 6+),
        topic_id: uuid (6+, ignorable),
        error_code: int16 (1+),
        error_message: string (5+, null 5+, default null, ignorable),
    }
}
