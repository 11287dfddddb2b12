//! A record as the application sees it. Key, value and headers share the memory of the fetched batch; nothing is copied.

use bytes::Bytes;
use callboard_client::TopicPartition;

/// One record. Cheap to clone. Keeping one keeps the batch it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it is from.
    pub topic_partition: TopicPartition,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970: when it was created, or appended where the topic says so.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

impl Record {
    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic_partition.topic
    }

    /// The partition's number.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.topic_partition.partition
    }

    /// Bytes of key, value and headers.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, Bytes::len))
            .sum();
        self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + headers
    }
}
