//! Which topic a request means: by name in older versions of an API, by id in newer ones.

use std::borrow::Cow;
use std::sync::Arc;

use callboard_coordinator::request::TopicRef;
use callboard_protocol::{ErrorCode, Uuid};

use crate::log::LogHandle;
use crate::topics::{Topic, TopicsSnapshot};

/// The sentence beside an unknown topic or partition.
pub(super) const UNKNOWN: &str = "This server does not host this topic-partition.";

/// How a request names a topic.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    Name(&'a str),
    Id(Uuid),
}

impl<'a> Named<'a> {
    pub(super) fn of(by_id: bool, name: &'a str, id: Uuid) -> Self {
        if by_id {
            Self::Id(id)
        } else {
            Self::Name(name)
        }
    }

    /// The topic, or the error that says there is none of that name or id.
    pub(super) fn find<'s>(&self, topics: &'s TopicsSnapshot) -> Result<&'s Arc<Topic>, ErrorCode> {
        match self {
            Self::Name(name) => topics
                .by_name(name)
                .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            Self::Id(id) => topics.by_id(*id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID),
        }
    }
}

/// Where a partition's records are.
pub(super) enum Source {
    Log(LogHandle),
    /// A partition of `__consumer_offsets`.
    Offsets(u32),
}

impl Source {
    /// Of a topic by its name, if its leader epoch is the one that the client believes in.
    pub(super) fn find(
        topic: &str,
        partition: i32,
        believed: i32,
        topics: &TopicsSnapshot,
    ) -> Result<Self, ErrorCode> {
        let source = Self::of(Named::Name(topic).find(topics)?, partition)?;
        check_leader_epoch(believed, source.leader_epoch())?;
        Ok(source)
    }

    /// Of a partition of this topic.
    pub(super) fn of(topic: &Topic, partition: i32) -> Result<Self, ErrorCode> {
        match topic.log(partition) {
            Some(log) => Ok(Self::Log(log.clone())),
            None if topic.internal && (0..topic.partitions).contains(&partition) => {
                Ok(Self::Offsets(partition.unsigned_abs()))
            }
            None => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        }
    }

    /// The leader epoch now.
    pub(super) fn leader_epoch(&self) -> i32 {
        match self {
            Self::Log(log) => log.leader_epoch(),
            Self::Offsets(_) => OFFSETS_LEADER_EPOCH,
        }
    }
}

/// A topic in a coordinator's words.
pub(super) fn topic_ref(by_id: bool, name: &str, id: Uuid) -> TopicRef {
    if by_id {
        TopicRef::Id(id)
    } else {
        TopicRef::Name(name.into())
    }
}

/// The name in an answer; empty where the request named an id.
pub(super) fn topic_name(topic: &TopicRef) -> Cow<'_, str> {
    match topic {
        TopicRef::Name(name) => Cow::Borrowed(name),
        TopicRef::Id(_) => Cow::Borrowed(""),
    }
}

/// The id in an answer; zero where the request named no id.
pub(super) fn topic_id(topic: &TopicRef) -> Uuid {
    match topic {
        TopicRef::Name(_) => Uuid::ZERO,
        TopicRef::Id(id) => *id,
    }
}

/// What Kafka says to a leader epoch the client believes in (KIP-320); -1 means that the client does not care.
pub(super) fn check_leader_epoch(believed: i32, present: i32) -> Result<(), ErrorCode> {
    match believed {
        -1 => Ok(()),
        older if older < present => Err(ErrorCode::FENCED_LEADER_EPOCH),
        newer if newer > present => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
        _ => Ok(()),
    }
}

/// The leader epoch of a partition of `__consumer_offsets`: its log is the coordinators' own and fences by itself.
pub(super) const OFFSETS_LEADER_EPOCH: i32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leader_epochs() {
        assert_eq!(check_leader_epoch(-1, 3), Ok(()));
        assert_eq!(check_leader_epoch(3, 3), Ok(()));
        let fenced = Err(ErrorCode::FENCED_LEADER_EPOCH);
        assert_eq!(check_leader_epoch(2, 3), fenced);
        assert_eq!(check_leader_epoch(-2, 0), fenced);
        let unknown = Err(ErrorCode::UNKNOWN_LEADER_EPOCH);
        assert_eq!(check_leader_epoch(4, 3), unknown);
    }
}
