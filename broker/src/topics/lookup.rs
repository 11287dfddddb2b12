//! Topics as coordinators look them up.

use std::sync::Arc;

use callboard_coordinator::TopicLookup;
use callboard_protocol::Uuid;

use super::TopicsSnapshot;

impl TopicLookup for TopicsSnapshot {
    fn partitions(&self, name: &str) -> Option<i32> {
        self.by_name(name).map(|topic| topic.partitions)
    }

    fn end_offset(&self, name: &str, partition: i32) -> Option<i64> {
        let log = self.by_name(name)?.log(partition)?;
        Some(log.offsets().ok()?.end)
    }

    fn id_of(&self, name: &str) -> Option<Uuid> {
        self.by_name(name).map(|topic| topic.id)
    }

    fn name_of(&self, id: Uuid) -> Option<Arc<str>> {
        self.by_id(id).map(|topic| Arc::clone(&topic.name))
    }
}
