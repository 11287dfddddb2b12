//! What a coordinator needs to know of topics: an image of all there are, made anew with every change.

use std::fmt;
use std::sync::Arc;

use callboard_protocol::Uuid;

/// The topics of the broker a coordinator is embedded in. Looked at when a request comes in, on the caller's task:
/// it must not block.
pub trait TopicLookup: Send + Sync + 'static {
    /// Number of partitions; None if there is no such topic.
    fn partitions(&self, name: &str) -> Option<i32>;

    /// The offset after the last record of a partition; None if that is not known.
    fn end_offset(&self, _name: &str, _partition: i32) -> Option<i64> {
        None
    }

    /// Id of a topic; None if there is no such topic, or topics have no ids.
    fn id_of(&self, _name: &str) -> Option<Uuid> {
        None
    }

    /// Name of the topic with that id; None if there is none, as for the zero id.
    fn name_of(&self, _id: Uuid) -> Option<Arc<str>> {
        None
    }
}

/// A topic that is gone, and for which something may still be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its id. Never another topic's.
    pub id: Uuid,
    /// Its name. Nobody else has it until all is forgotten.
    pub name: Arc<str>,
}

/// All topics at one moment, as Kafka's coordinators have them from the metadata image. One for all coordinators of a
/// node; a change of topics is another image.
pub struct TopicsImage {
    /// Those there are. Once it is part of an image it does not change.
    pub topics: Arc<dyn TopicLookup>,
    /// Those that are gone, until every coordinator has forgotten what was committed for them. None of their names is
    /// among `topics`.
    pub deleted: Vec<DeletedTopic>,
}

impl TopicsImage {
    /// An image of these topics, with nothing to be forgotten.
    #[must_use]
    pub fn of(topics: Arc<dyn TopicLookup>) -> Self {
        Self {
            topics,
            deleted: Vec::new(),
        }
    }
}

impl fmt::Debug for TopicsImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicsImage")
            .field("deleted", &self.deleted)
            .finish_non_exhaustive()
    }
}

/// Told the id of a deleted topic when nothing that was committed for it is left anywhere. Must not block.
pub type Forgotten = Arc<dyn Fn(Uuid) + Send + Sync>;
