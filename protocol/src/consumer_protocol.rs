//! What members and leaders of consumer groups write into JoinGroup and SyncGroup: Kafka's embedded consumer protocol,
//! versions 0 to 3. The coordinator carries it unread, but for the subscribed topics.

use std::borrow::Cow;
use std::cmp::Ordering;

use bytes::Bytes;

use crate::wire::{DecodeError, Field, Layout, Malformed, Reader, Writer};

/// The version that is written. A newer one is read as far as it is known here.
const VERSION_MAX: i16 = 3;

/// Partitions of topics, in the order of the wire; a topic may stand there more than once.
pub type TopicPartitions = Vec<(String, Vec<i32>)>;

/// What a member wants: the metadata of its protocols in JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Topics.
    pub topics: Vec<String>,
    /// For the assignor.
    pub user_data: Option<Bytes>,
    /// What it holds on to (KIP-429, version 1).
    pub owned_partitions: TopicPartitions,
    /// The generation in which it got that, -1 if none (KIP-792, version 2).
    pub generation_id: i32,
    /// Where it runs (KIP-881, version 3).
    pub rack_id: Option<String>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            user_data: None,
            owned_partitions: Vec::new(),
            generation_id: -1,
            rack_id: None,
        }
    }
}

/// What a member gets: its part of the leader's SyncGroup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Partitions.
    pub partitions: TopicPartitions,
    /// From the assignor.
    pub user_data: Option<Bytes>,
}

impl Subscription {
    /// Writes it as Kafka's consumer does: version 3, topics and partitions in order.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.encode_version(VERSION_MAX)
    }

    /// Writes a version from 0 to 3; what a lower one cannot say is left out.
    #[must_use]
    pub fn encode_version(&self, version: i16) -> Bytes {
        let mut topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        topics.sort_by(|one, other| java_order(one, other));
        let body = tables::Subscription {
            topics: topics.into_iter().map(Cow::Borrowed).collect(),
            user_data: self.user_data.as_deref().map(Cow::Borrowed),
            owned_partitions: grouped(&self.owned_partitions, Grouping::Sorted),
            generation_id: self.generation_id,
            rack_id: self.rack_id.as_deref().map(Cow::Borrowed),
            ..tables::Subscription::default()
        };
        write(&body, version)
    }

    /// Reads any version; of a newer one what is known here.
    ///
    /// # Errors
    /// [`DecodeError`]: a truncated subscription never reads as one that owns less.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let body: tables::Subscription<'_> = read(bytes)?;
        Ok(Self {
            topics: body.topics.into_iter().map(Cow::into_owned).collect(),
            user_data: body.user_data.map(|data| Bytes::copy_from_slice(&data)),
            owned_partitions: owned(body.owned_partitions),
            generation_id: body.generation_id,
            // An empty rack is none.
            rack_id: body
                .rack_id
                .filter(|rack| !rack.is_empty())
                .map(Cow::into_owned),
        })
    }
}

impl Assignment {
    /// Writes it as Kafka's consumer does: version 3, topics in the order in which they come first.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.encode_version(VERSION_MAX)
    }

    /// Writes a version from 0 to 3.
    #[must_use]
    pub fn encode_version(&self, version: i16) -> Bytes {
        let body = tables::Assignment {
            partitions: grouped(&self.partitions, Grouping::AsGiven),
            user_data: self.user_data.as_deref().map(Cow::Borrowed),
            ..tables::Assignment::default()
        };
        write(&body, version)
    }

    /// Reads any version; of a newer one what is known here.
    ///
    /// # Errors
    /// [`DecodeError`] when it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let body: tables::Assignment<'_> = read(bytes)?;
        Ok(Self {
            partitions: owned(body.partitions),
            user_data: body.user_data.map(|data| Bytes::copy_from_slice(&data)),
        })
    }
}

/// The topics of a member's metadata as Kafka's coordinator finds them out: whatever version it claims to be, it begins
/// as version 0 does.
///
/// # Errors
/// [`DecodeError`] when it does not.
pub fn subscribed_topics(metadata: &[u8]) -> Result<Vec<Cow<'_, str>>, DecodeError> {
    let mut reader = Reader::new(metadata, layout(0));
    reader.fixed::<2>()?;
    Ok(tables::Subscription::read(&mut reader, false)?.topics)
}

fn layout(version: i16) -> Layout {
    Layout {
        version,
        flexible: false,
    }
}

fn read<'a, T: Field<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes, layout(0));
    let version = i16::from_be_bytes(reader.fixed()?);
    if version < 0 {
        return Err(reader.error(Malformed::Version(version)));
    }
    T::read(
        &mut Reader::new(reader.rest(), layout(version.min(VERSION_MAX))),
        false,
    )
}

fn write<'a, T: Field<'a>>(body: &T, version: i16) -> Bytes {
    let version = version.clamp(0, VERSION_MAX);
    let mut writer = Writer::contiguous(layout(version), 2 + body.size(layout(version)));
    writer.put(&version.to_be_bytes());
    // Refused is only a name of 32 KiB: no topic has one, and whoever reads this refuses what is cut short.
    if body.write(&mut writer, false, "").is_err() {
        return Bytes::new();
    }
    writer.into_bytes()
}

fn owned(partitions: Vec<tables::TopicPartition<'_>>) -> TopicPartitions {
    partitions
        .into_iter()
        .map(|one| (one.topic.into_owned(), one.partitions))
        .collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grouping {
    /// By topic and partition.
    Sorted,
    /// A topic where it comes first, its partitions as they come.
    AsGiven,
}

/// Each topic once.
fn grouped(partitions: &TopicPartitions, grouping: Grouping) -> Vec<tables::TopicPartition<'_>> {
    let mut groups: Vec<tables::TopicPartition<'_>> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (topic, partitions) in partitions {
        let place = *places.entry(topic.as_str()).or_insert(groups.len());
        if place == groups.len() {
            groups.push(tables::TopicPartition {
                topic: topic.as_str().into(),
                ..Default::default()
            });
        }
        groups[place].partitions.extend(partitions);
    }
    // A topic without partitions has nothing to say.
    groups.retain(|group| !group.partitions.is_empty());
    if grouping == Grouping::Sorted {
        groups.sort_by(|one, other| java_order(&one.topic, &other.topic));
        groups
            .iter_mut()
            .for_each(|group| group.partitions.sort_unstable());
    }
    groups
}

/// Java compares strings by their UTF-16 units.
fn java_order(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

/// The same tables as messages have, without an API.
mod tables {
    #![allow(
        unreachable_pub,
        reason = "the tables' macro makes public structs; these stay in here"
    )]

    table! {
        Subscription {
            topics: [string] (0+),
            user_data: bytes (0+, null 0+, default null),
            owned_partitions: [TopicPartition] (1+, ignorable),
            generation_id: int32 (2+, default -1, ignorable),
            rack_id: string (3+, null 3+, default null, ignorable),
        }
    }
    table! {
        Assignment {
            partitions: [TopicPartition] (0+),
            user_data: bytes (0+, null 0+, default null),
        }
    }
    table! {
        TopicPartition {
            topic: string (0+),
            partitions: [int32] (0+),
        }
    }
}
