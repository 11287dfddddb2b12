//! What the logs of each topic have counted, for whoever shows it.

use std::sync::Arc;

use super::TopicsSnapshot;
use crate::metrics::TopicCounts;

/// The counts of every topic that has logs here, in order of the names.
pub(crate) fn counts(topics: &TopicsSnapshot) -> Vec<TopicCounts> {
    let with_logs = topics.iter().filter(|topic| !topic.internal);
    let counted = with_logs.map(|topic| {
        let mut counts = TopicCounts {
            topic: Arc::clone(&topic.name),
            ..TopicCounts::default()
        };
        for log in topic.logs() {
            log.count_into(&mut counts);
        }
        counts
    });
    counted.collect()
}
