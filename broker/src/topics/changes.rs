//! Changes of topics that are there: what may be asked of which topic. Pure, as `core` is; knows snapshots beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::core::{Limits, approve_growth};
use super::settings::{self, ConfigChange};
use super::{Growth, Topic, TopicError, TopicsSnapshot};
use crate::log::LogConfig;

/// The topic that may be given more partitions.
pub(super) fn growing<'a>(
    name: &str,
    growth: &Growth,
    snapshot: &'a TopicsSnapshot,
    limits: &Limits,
) -> Result<&'a Arc<Topic>, TopicError> {
    let topic = snapshot.by_name(name).ok_or_else(|| {
        let message = "This server does not host this topic-partition.";
        TopicError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
    })?;
    if topic.internal {
        // Kafka lets it grow, and groups then move to coordinators that do not know them.
        let message = format!("Topic '{name}' is internal: its partitions are fixed.");
        return Err(TopicError::new(ErrorCode::INVALID_REQUEST, message));
    }
    approve_growth(name, topic.partitions, growth, limits)?;
    Ok(topic)
}

/// The topic that may be configured, and its own settings afterwards.
pub(super) fn configuring<'a>(
    name: &str,
    changes: &[ConfigChange],
    snapshot: &'a TopicsSnapshot,
    defaults: &LogConfig,
) -> Result<(&'a Arc<Topic>, BTreeMap<String, String>), TopicError> {
    let topic = snapshot.by_name(name).ok_or_else(|| {
        let message = format!("The topic '{name}' does not exist.");
        TopicError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
    })?;
    if topic.internal {
        let message = format!("Topic '{name}' is internal: its settings are the broker's.");
        return Err(TopicError::new(ErrorCode::INVALID_REQUEST, message));
    }
    let configs = settings::changed(&topic.configs, changes, defaults)?;
    Ok((topic, configs))
}
