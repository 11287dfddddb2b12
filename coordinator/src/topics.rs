//! What a coordinator needs to know of topics, and whom it asks.

use std::sync::Arc;

use callboard_protocol::Uuid;

/// The topics of the broker a coordinator is embedded in. Looked at when a request comes in, on the caller's task:
/// it must not block.
pub trait TopicLookup: Send + Sync + 'static {
    /// Number of partitions; None if there is no such topic.
    fn partitions(&self, name: &str) -> Option<i32>;

    /// Id of a topic; None if there is no such topic, or topics have no ids.
    fn id_of(&self, _name: &str) -> Option<Uuid> {
        None
    }

    /// Name of the topic with that id; None if there is none, as for the zero id.
    fn name_of(&self, _id: Uuid) -> Option<Arc<str>> {
        None
    }
}
