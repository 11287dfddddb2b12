//! What the writer's index says to an OffsetFetch, and what of it a removal means. Pure functions over the index; the
//! writer runs them behind the group's appends.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use callboard_offsets::index::{Index, TopicOffsets};
use callboard_offsets::record::{OffsetCommitValue, Record};
use callboard_protocol::{ErrorCode, Uuid};

use crate::TopicLookup;
use crate::core::effect::Removal;
use crate::core::input::{Fetch, FetchTopic};
use crate::request::TopicRef;
use crate::response::{FetchedGroup, FetchedPartition, FetchedTopic};

/// Partitions that are looked up where nobody else can meanwhile.
const FEW: usize = 1024;

/// The answer to a fetch. A group that does not exist has committed nothing.
#[must_use]
pub fn fetch(
    index: &Index,
    group_id: &Arc<str>,
    fetch: &Fetch,
    lookup: &dyn TopicLookup,
) -> FetchedGroup {
    let committed = |topic: &str, partition| index.committed(group_id, topic, partition);
    let topics = match &fetch.topics {
        Some(topics) => topics.iter().map(|topic| asked(topic, committed)).collect(),
        None => all(index, group_id, fetch.answer_by_id, lookup),
    };
    fetched(group_id, topics)
}

fn fetched(group_id: &Arc<str>, topics: Vec<FetchedTopic>) -> FetchedGroup {
    FetchedGroup {
        group_id: Arc::clone(group_id),
        error: ErrorCode::NONE,
        topics,
    }
}

/// What a group has committed at one moment, to look up in it what is asked: how much that is only its client bounds, and
/// the index is its writer's.
#[derive(Debug)]
pub(crate) struct Committed(BTreeMap<Arc<str>, TopicOffsets>);

impl Committed {
    /// A copy, if many partitions are asked for by name.
    pub(crate) fn of(index: &Index, group_id: &str, fetch: &Fetch) -> Option<Self> {
        let mut left = FEW;
        let named = fetch.topics.as_ref()?;
        let few = named.iter().all(|topic| {
            let names = topic.partitions.len() + 1;
            left.checked_sub(names).map(|less| left = less).is_some()
        });
        let topics = index.topics(group_id);
        (!few).then(|| {
            let copied = topics.map(|(name, offsets)| (Arc::clone(name), offsets.clone()));
            Self(copied.collect())
        })
    }

    /// What [`fetch`] would have answered.
    pub(crate) fn fetch(&self, group_id: &Arc<str>, fetch: &Fetch) -> FetchedGroup {
        let committed = |topic: &str, partition| Some(self.0.get(topic)?.get(partition)?.value);
        let topics = fetch.topics.iter().flatten();
        fetched(
            group_id,
            topics.map(|topic| asked(topic, committed)).collect(),
        )
    }
}

fn asked(
    asked: &FetchTopic,
    committed: impl Fn(&str, i32) -> Option<OffsetCommitValue>,
) -> FetchedTopic {
    let partition = |partition: i32| {
        let Some(name) = &asked.name else {
            return FetchedPartition::nothing(partition, ErrorCode::UNKNOWN_TOPIC_ID);
        };
        match committed(name, partition).filter(|value| is_of(value, &asked.topic)) {
            Some(value) => found(partition, value),
            None => FetchedPartition::nothing(partition, ErrorCode::NONE),
        }
    };
    FetchedTopic {
        topic: asked.topic.clone(),
        partitions: asked
            .partitions
            .iter()
            .map(|asked| partition(*asked))
            .collect(),
    }
}

fn all(index: &Index, group_id: &str, by_id: bool, lookup: &dyn TopicLookup) -> Vec<FetchedTopic> {
    let of_topic = |(name, offsets): (&Arc<str>, &TopicOffsets)| {
        let topic = if by_id {
            TopicRef::Id(lookup.id_of(name)?)
        } else {
            TopicRef::Name(Arc::clone(name))
        };
        let committed = offsets
            .iter()
            .filter(|(_, committed)| is_of(&committed.value, &topic));
        let partitions: Vec<_> = committed
            .map(|(partition, committed)| found(partition, committed.value))
            .collect();
        Some(FetchedTopic { topic, partitions }).filter(|topic| !topic.partitions.is_empty())
    };
    index.topics(group_id).filter_map(of_topic).collect()
}

/// Whether what is committed is for this topic, and not for an earlier one of the same name.
fn is_of(value: &OffsetCommitValue, topic: &TopicRef) -> bool {
    match topic {
        TopicRef::Name(_) => true,
        TopicRef::Id(id) => value.topic_id == Uuid::ZERO.0 || value.topic_id == id.0,
    }
}

fn found(partition: i32, value: OffsetCommitValue) -> FetchedPartition {
    FetchedPartition {
        partition,
        committed_offset: value.offset,
        committed_leader_epoch: value.leader_epoch,
        metadata: value.metadata,
        error: ErrorCode::NONE,
    }
}

/// The tombstones of what a group has committed for a topic.
pub(crate) fn tombstones(
    group_id: &Arc<str>,
    topic: &Arc<str>,
    offsets: &TopicOffsets,
) -> impl Iterator<Item = Record> {
    let partitions = offsets.partitions();
    partitions.map(move |partition| tombstone(group_id, topic, partition))
}

fn tombstone(group_id: &Arc<str>, topic: &Arc<str>, partition: i32) -> Record {
    Record::OffsetCommit {
        group: Arc::clone(group_id),
        topic: Arc::clone(topic),
        partition,
        value: None,
    }
}

impl Removal {
    /// The tombstones it comes to. None where there is nothing to remove.
    #[must_use]
    pub fn records(&self, group_id: &Arc<str>, index: &Index) -> Vec<Record> {
        let end_of_group = |kind| {
            let stored = index.group_record(group_id, kind);
            stored.map(|_| Record::Group {
                group: Arc::clone(group_id),
                kind,
                rest: Bytes::new(),
                value: None,
            })
        };
        match self {
            Self::Group { kind } => {
                let topics = index.topics(group_id);
                let offsets = topics.flat_map(|(topic, of)| tombstones(group_id, topic, of));
                offsets.chain(end_of_group(*kind)).collect()
            }
            Self::Offsets(doomed) => {
                let committed = doomed
                    .iter()
                    .filter(|(topic, at)| index.committed(group_id, topic, *at).is_some());
                committed
                    .map(|(topic, partition)| tombstone(group_id, topic, *partition))
                    .collect()
            }
            Self::Expired(retention) => {
                let mut records = Vec::new();
                let mut left = false;
                for (topic, offsets) in index.topics(group_id) {
                    for (partition, committed) in offsets.iter() {
                        if retention.is_over(topic, &committed.value) {
                            records.push(tombstone(group_id, topic, partition));
                        } else {
                            left = true;
                        }
                    }
                }
                if let Some(kind) = retention.ends_group
                    && !left
                {
                    records.extend(end_of_group(kind));
                }
                records
            }
        }
    }
}
