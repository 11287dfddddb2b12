//! Numbers for the partitions that somebody subscribes to, ascending by topic and number: tables beside the group's own
//! cost a few bytes a partition.

use callboard_assignor::{AssignError, Group, Partition, TopicIndex};

/// No member, in a table of members.
pub(crate) const NOBODY: u32 = u32::MAX;

/// A dense number of a partition.
pub(crate) type Id = u32;

/// The partitions of a group.
pub(crate) struct Partitions {
    /// Where each topic begins; a topic without subscribers is empty. One more at the end.
    starts: Vec<Id>,
    topics: Vec<TopicIndex>,
    /// By partition, its topic's position.
    topic_of: Vec<u32>,
}

impl Partitions {
    pub(crate) fn new(group: &Group) -> Result<Self, AssignError> {
        let too_many = || AssignError::new("more partitions than can be numbered");
        let mut starts = vec![0];
        let mut total = 0_u32;
        for topic in group.topic_indices() {
            if !group.subscribers(topic).is_empty() {
                let count = u32::try_from(group.partitions(topic).len());
                let sum = count.ok().and_then(|count| total.checked_add(count));
                total = sum.ok_or_else(too_many)?;
            }
            starts.push(total);
        }
        let topics: Vec<TopicIndex> = group.topic_indices().collect();
        let mut topic_of = Vec::with_capacity(total as usize);
        for (position, edges) in starts.windows(2).enumerate() {
            let topic = u32::try_from(position).map_err(|_| too_many())?;
            topic_of.resize(topic_of.len() + (edges[1] - edges[0]) as usize, topic);
        }
        Ok(Self {
            starts,
            topics,
            topic_of,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.topic_of.len()
    }

    /// The number of a partition that exists, if anybody subscribes to it.
    pub(crate) fn id(&self, partition: Partition) -> Option<Id> {
        // It exists, so its number is not negative.
        self.of(partition.topic).nth(partition.number as usize)
    }

    /// The partitions of a topic.
    pub(crate) fn of(&self, topic: TopicIndex) -> std::ops::Range<Id> {
        self.starts[topic.position()]..self.starts[topic.position() + 1]
    }

    pub(crate) fn topic(&self, id: Id) -> TopicIndex {
        self.topics[self.topic_of[id as usize] as usize]
    }

    pub(crate) fn at(&self, id: Id) -> Partition {
        let topic = self.topic(id);
        Partition {
            topic,
            number: (id - self.starts[topic.position()]) as i32,
        }
    }
}
