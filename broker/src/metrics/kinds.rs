//! What the actors of a broker are called in metrics and logs.

/// The supervisor of all parts.
pub(crate) const BROKER: &str = "broker";
/// The one that accepts connections.
pub(crate) const LISTENER: &str = "listener";
/// The one that serves the admin port.
pub(crate) const ADMIN: &str = "admin";
/// The keeper of the topics.
pub(crate) const TOPICS: &str = "topics";
/// The supervisor of all topic logs.
pub(crate) const TOPIC_LOGS: &str = "topic_logs";
/// The writer of a partition.
pub(crate) const TOPIC_LOG: &str = "topic_log";
