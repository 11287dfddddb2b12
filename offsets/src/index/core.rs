//! The committed-offset index. Pure: it knows no log and no clock. Names that repeat are kept once.
//!
//! Cost: 40 bytes per committed offset, and some dozens more with metadata or an expiry of its own; a topic name once per
//! partition of `__consumer_offsets`, not once per group.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::offsets::{Committed, TopicOffsets};
use crate::record::{OffsetCommitValue, Record};

/// The value of a record of a group, and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GroupRecord {
    value: Box<[u8]>,
    record_offset: i64,
}

/// Group, kind and the rest of the key: the records of a group stand side by side.
type GroupKey = (Arc<str>, i16, Box<[u8]>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    /// By topic name.
    topics: Vec<(Arc<str>, TopicOffsets)>,
    generation_mark: Option<i32>,
}

impl Group {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.generation_mark.is_none()
    }
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Every group of which there is anything, a record of itself included.
    groups: BTreeMap<Arc<str>, Group>,
    /// What is stored of groups themselves.
    records: BTreeMap<GroupKey, GroupRecord>,
    /// Each topic name once, with the number of groups that hold it.
    topic_names: BTreeMap<Arc<str>, usize>,
    /// The metadata of nearly every commit, once.
    no_metadata: Arc<str>,
    /// Committed offsets and records of groups: the live keys of the topic.
    live: usize,
}

impl Index {
    /// Takes one record in, `record_offset` being its Kafka offset (meaningless for a generation mark).
    pub fn apply(&mut self, record: &Record, record_offset: i64) {
        match record {
            Record::OffsetCommit {
                group,
                topic,
                partition,
                value: Some(value),
            } => {
                let committed = Committed {
                    value: value.clone().as_written(),
                    record_offset,
                };
                self.commit(group, topic, *partition, committed);
            }
            Record::OffsetCommit {
                group,
                topic,
                partition,
                value: None,
            } => self.forget_offset(group, topic, *partition),
            Record::Group {
                group,
                kind,
                rest,
                value: Some(value),
            } => {
                let name = self.groups.entry(Arc::clone(group));
                let key = (Arc::clone(name.key()), *kind, rest.as_ref().into());
                name.or_default();
                // Copies: the bytes given may be part of something larger.
                let before = self.records.insert(
                    key,
                    GroupRecord {
                        value: value.as_ref().into(),
                        record_offset,
                    },
                );
                self.live += usize::from(before.is_none());
            }
            Record::Group {
                group,
                kind,
                rest,
                value: None,
            } => {
                let key = (Arc::clone(group), *kind, rest.as_ref().into());
                self.live -= usize::from(self.records.remove(&key).is_some());
                if record.ends_generations()
                    && let Some(entry) = self.groups.get_mut(group)
                {
                    entry.generation_mark = None;
                }
                self.drop_if_empty(group);
            }
            Record::GenerationMark { group, generation } => {
                let entry = self.groups.entry(Arc::clone(group)).or_default();
                let mark = &mut entry.generation_mark;
                *mark = (*mark).max(Some(*generation));
            }
        }
    }

    /// Takes in the records of one append that landed at `base_offset`, marks last as replay gives them. Returns how
    /// many of them are records of the topic.
    pub fn apply_all(&mut self, records: &[Record], base_offset: i64) -> u64 {
        let mut offset = base_offset;
        let mut topic_records = 0;
        for record in records.iter().filter(|record| record.is_topic_record()) {
            self.apply(record, offset);
            offset += 1;
            topic_records += 1;
        }
        for mark in records.iter().filter(|record| !record.is_topic_record()) {
            self.apply(mark, offset);
        }
        topic_records
    }

    fn commit(&mut self, group: &Arc<str>, topic: &Arc<str>, partition: i32, committed: Committed) {
        let names = &mut self.topic_names;
        let topics = &mut self.groups.entry(Arc::clone(group)).or_default().topics;
        let at = match topics.binary_search_by(|(name, _)| name.cmp(topic)) {
            Ok(at) => at,
            Err(at) => {
                let name = match names.get_key_value(topic) {
                    Some((known, _)) => Arc::clone(known),
                    None => Arc::clone(topic),
                };
                *names.entry(Arc::clone(&name)).or_default() += 1;
                // Most groups read one topic; a vector that grows by itself begins with room for four.
                topics.reserve_exact(usize::from(topics.is_empty()));
                let offsets = TopicOffsets::new(&committed.value, &self.no_metadata);
                topics.insert(at, (name, offsets));
                at
            }
        };
        self.live += usize::from(topics[at].1.put(partition, committed));
    }

    fn forget_offset(&mut self, group: &Arc<str>, topic: &str, partition: i32) {
        let Some(entry) = self.groups.get_mut(group) else {
            return;
        };
        let Ok(topic_at) = entry
            .topics
            .binary_search_by(|(name, _)| name.as_ref().cmp(topic))
        else {
            return;
        };
        let offsets = &mut entry.topics[topic_at].1;
        self.live -= usize::from(offsets.remove(partition));
        if offsets.is_empty() {
            let (name, _) = entry.topics.remove(topic_at);
            if let Some(holders) = self.topic_names.get_mut(&name) {
                *holders -= 1;
                if *holders == 0 {
                    self.topic_names.remove(&name);
                }
            }
        }
        self.drop_if_empty(group);
    }

    fn drop_if_empty(&mut self, group: &Arc<str>) {
        let empty = self.groups.get(group).is_some_and(Group::is_empty);
        if empty && self.group_records(group).next().is_none() {
            self.groups.remove(group);
        }
    }

    /// What `group` committed for `topic` and `partition`.
    #[must_use]
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<OffsetCommitValue> {
        let committed = self.topic(group, topic)?.get(partition)?;
        Some(committed.value)
    }

    /// Everything `group` committed for `topic`, by partition.
    #[must_use]
    pub fn topic(&self, group: &str, topic: &str) -> Option<&TopicOffsets> {
        let topics = &self.groups.get(group)?.topics;
        let at = topics
            .binary_search_by(|(name, _)| name.as_ref().cmp(topic))
            .ok()?;
        Some(&topics[at].1)
    }

    /// The topics `group` has committed for, by name, each with its partitions.
    pub fn topics(&self, group: &str) -> impl Iterator<Item = (&Arc<str>, &TopicOffsets)> {
        self.groups
            .get(group)
            .into_iter()
            .flat_map(|group| group.topics.iter().map(|(name, offsets)| (name, offsets)))
    }

    /// Whether `group` has any committed offset.
    #[must_use]
    pub fn has_offsets(&self, group: &str) -> bool {
        self.groups
            .get(group)
            .is_some_and(|group| !group.topics.is_empty())
    }

    /// The value of the one record of `kind` that `group` has, for kinds whose key is the group and no more.
    #[must_use]
    pub fn group_record(&self, group: &str, kind: i16) -> Option<&[u8]> {
        let (name, _) = self.groups.get_key_value(group)?;
        let record = self
            .records
            .get(&(Arc::clone(name), kind, Box::default()))?;
        Some(&record.value)
    }

    /// What is stored of `group` itself, by kind and the rest of the key, each with its value.
    pub fn group_records(&self, group: &str) -> impl Iterator<Item = (i16, &[u8], &[u8])> {
        let name = self.groups.get_key_value(group).map(|(name, _)| name);
        name.into_iter().flat_map(|name| {
            let first = (Arc::clone(name), i16::MIN, Box::default());
            let on = self.records.range(first..);
            on.take_while(move |((of, ..), _)| of == name)
                .map(|((_, kind, rest), record)| (*kind, rest.as_ref(), record.value.as_ref()))
        })
    }

    /// The kind of each record that is stored of a group itself.
    pub fn record_kinds(&self) -> impl Iterator<Item = i16> {
        self.records.keys().map(|(_, kind, _)| *kind)
    }

    /// No generation up to this one may be given out again.
    #[must_use]
    pub fn generation_mark(&self, group: &str) -> Option<i32> {
        self.groups.get(group)?.generation_mark
    }

    /// Every group with a committed offset, a record of its own or a generation mark, by name.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.keys()
    }

    /// Live keys of the topic: committed offsets and records of groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is nothing in it, marks included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The state as records that rebuild it, with the Kafka offset each was written at, in offset order; marks last.
    /// What a compacted copy of the partition holds.
    #[must_use]
    pub fn live_records(&self) -> Vec<(Option<i64>, Record)> {
        let mut records = Vec::with_capacity(self.live);
        for (group, entry) in &self.groups {
            for (topic, offsets) in &entry.topics {
                for (partition, committed) in offsets.iter() {
                    records.push((
                        Some(committed.record_offset),
                        Record::OffsetCommit {
                            group: Arc::clone(group),
                            topic: Arc::clone(topic),
                            partition,
                            value: Some(committed.value),
                        },
                    ));
                }
            }
            if let Some(generation) = entry.generation_mark {
                records.push((
                    None,
                    Record::GenerationMark {
                        group: Arc::clone(group),
                        generation,
                    },
                ));
            }
        }
        for ((group, kind, rest), record) in &self.records {
            records.push((
                Some(record.record_offset),
                Record::Group {
                    group: Arc::clone(group),
                    kind: *kind,
                    rest: Bytes::copy_from_slice(rest),
                    value: Some(Bytes::copy_from_slice(&record.value)),
                },
            ));
        }
        records.sort_by_key(|(offset, _)| offset.unwrap_or(i64::MAX));
        records
    }
}
