//! What a group has committed for one topic, in as few bytes as it takes: there are more of these than of anything else.

use std::sync::Arc;

use crate::record::OffsetCommitValue;

/// A committed offset and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// What was committed.
    pub value: OffsetCommitValue,
    /// Kafka offset of its record in `__consumer_offsets`.
    pub record_offset: i64,
}

/// The committed partitions of one topic, by partition. A vector: most groups commit few, and it costs no slack.
#[derive(Clone, Debug)]
pub struct TopicOffsets {
    /// Of all commits that do not say another one.
    topic_id: [u8; 16],
    /// The metadata of nearly every commit.
    no_metadata: Arc<str>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    partition: i32,
    leader_epoch: i32,
    offset: i64,
    commit_timestamp_ms: i64,
    record_offset: i64,
    uncommon: Option<Box<Uncommon>>,
}

// A million committed offsets must fit.
const _: () = assert!(size_of::<Entry>() == 40);

/// What only some commits have.
#[derive(Clone, Debug)]
struct Uncommon {
    metadata: Arc<str>,
    expire_timestamp_ms: Option<i64>,
    topic_id: [u8; 16],
}

impl TopicOffsets {
    /// Nothing yet; it will be for the topic of this commit.
    pub(super) fn new(first: &OffsetCommitValue, no_metadata: &Arc<str>) -> Self {
        Self {
            topic_id: first.topic_id,
            no_metadata: Arc::clone(no_metadata),
            entries: Vec::new(),
        }
    }

    /// Whether it is the partition's first.
    pub(super) fn put(&mut self, partition: i32, committed: Committed) -> bool {
        let Committed {
            value,
            record_offset,
        } = committed;
        let common = value.metadata.is_empty()
            && value.expire_timestamp_ms.is_none()
            && value.topic_id == self.topic_id;
        let uncommon = (!common).then(|| {
            Box::new(Uncommon {
                metadata: value.metadata,
                expire_timestamp_ms: value.expire_timestamp_ms,
                topic_id: value.topic_id,
            })
        });
        let entry = Entry {
            partition,
            leader_epoch: value.leader_epoch,
            offset: value.offset,
            commit_timestamp_ms: value.commit_timestamp_ms,
            record_offset,
            uncommon,
        };
        match self.find(partition) {
            Ok(at) => {
                self.entries[at] = entry;
                false
            }
            Err(at) => {
                self.entries.insert(at, entry);
                true
            }
        }
    }

    /// Whether there was one.
    pub(super) fn remove(&mut self, partition: i32) -> bool {
        let found = self.find(partition);
        found.is_ok_and(|at| {
            self.entries.remove(at);
            true
        })
    }

    fn find(&self, partition: i32) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&partition, |entry| entry.partition)
    }

    fn committed(&self, entry: &Entry) -> Committed {
        let (metadata, expire_timestamp_ms, topic_id) = match &entry.uncommon {
            None => (&self.no_metadata, None, self.topic_id),
            Some(own) => (&own.metadata, own.expire_timestamp_ms, own.topic_id),
        };
        Committed {
            value: OffsetCommitValue {
                offset: entry.offset,
                leader_epoch: entry.leader_epoch,
                metadata: Arc::clone(metadata),
                commit_timestamp_ms: entry.commit_timestamp_ms,
                expire_timestamp_ms,
                topic_id,
            },
            record_offset: entry.record_offset,
        }
    }

    /// What is committed for `partition`.
    #[must_use]
    pub fn get(&self, partition: i32) -> Option<Committed> {
        let at = self.find(partition).ok()?;
        Some(self.committed(&self.entries[at]))
    }

    /// Everything, by partition.
    pub fn iter(&self) -> impl Iterator<Item = (i32, Committed)> + '_ {
        self.entries
            .iter()
            .map(|entry| (entry.partition, self.committed(entry)))
    }

    /// The partitions, ascending.
    pub fn partitions(&self) -> impl Iterator<Item = i32> + '_ {
        self.entries.iter().map(|entry| entry.partition)
    }

    /// How many partitions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What is committed, however it is kept.
impl PartialEq for TopicOffsets {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for TopicOffsets {}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(offset: i64, topic_id: u8, metadata: &str, expires: Option<i64>) -> OffsetCommitValue {
        OffsetCommitValue {
            offset,
            leader_epoch: 3,
            metadata: metadata.into(),
            commit_timestamp_ms: 5,
            expire_timestamp_ms: expires,
            topic_id: [topic_id; 16],
        }
    }

    #[test]
    fn what_is_put_comes_back_whatever_came_first() {
        let all = [
            (0, value(1, 7, "", None)),
            (3, value(2, 8, "", None)),
            (1, value(3, 7, "note", None)),
            (2, value(4, 0, "", Some(9))),
        ];
        let kept = |order: &[usize]| {
            let mut offsets = TopicOffsets::new(&all[order[0]].1, &"".into());
            for at in order {
                let (partition, value) = all[*at].clone();
                let record_offset = i64::from(partition);
                // The second one replaces the first.
                for (times, value) in [value.clone(), value].into_iter().enumerate() {
                    let committed = Committed {
                        value,
                        record_offset,
                    };
                    assert_eq!(offsets.put(partition, committed), times == 0);
                }
            }
            offsets
        };
        let mut one = kept(&[0, 1, 2, 3]);
        assert_eq!(one, kept(&[3, 1, 2, 0]));
        assert_eq!(one.partitions().collect::<Vec<_>>(), [0, 1, 2, 3]);
        for (partition, value) in &all {
            assert_eq!(one.get(*partition).unwrap().value, *value);
        }
        assert!(one.remove(3) && !one.remove(3));
        assert_eq!((one.get(3), one.len()), (None, 3));
        assert_ne!(one, kept(&[0, 1, 2, 3]));
    }
}
