//! From calls to the requests of cores: topics are looked up, requests about several groups become one for each group,
//! and their answers find together again. No coordinator is asked for what the topics alone decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callboard_protocol::{ErrorCode, Uuid};

use crate::core::{
    Commit, CommitOutcome, CommitPartition, CommitTopic, DeleteOffsets, Fetch, FetchTopic,
    GroupRequest, Response,
};
use crate::metrics::RequestMeter;
use crate::owed::{Owed, Way};
use crate::request::{self, TopicRef};
use crate::{Call, Reply, TopicsImage, response};

/// One request on its way to a core.
#[derive(Debug)]
pub(crate) enum Asked {
    /// About one group.
    Group {
        group_id: Arc<str>,
        request: GroupRequest,
        owed: Owed,
    },
    /// About all of a coordinator's groups.
    List(request::ListGroups, Owed),
}

/// A ListGroups for all coordinators: see [`list_shares`].
pub(crate) type List = (request::ListGroups, Reply<response::ListGroups>);

/// What one read of a connection comes to, in its order.
pub(crate) struct Router<'a> {
    pub(crate) image: &'a Arc<TopicsImage>,
    /// Makes the unique part of member ids.
    pub(crate) fresh: &'a mut dyn FnMut() -> uuid::Uuid,
    /// Counts the answers.
    pub(crate) meter: &'a RequestMeter,
}

impl Router<'_> {
    /// Adds what `call` asks of groups to `routed`. Gives it back if it asks every coordinator.
    pub(crate) fn route(&mut self, call: Call, routed: &mut Vec<Asked>) -> Option<List> {
        let (group_id, request, way) = match call {
            Call::JoinGroup(join, reply) => {
                let uuid = if join.member_id.is_empty() {
                    (self.fresh)()
                } else {
                    uuid::Uuid::nil()
                };
                let group_id = Arc::clone(&join.group_id);
                (
                    group_id,
                    GroupRequest::Join {
                        join: Box::new(join),
                        uuid,
                    },
                    Way::Join(reply),
                )
            }
            Call::SyncGroup(sync, reply) => (
                Arc::clone(&sync.group_id),
                GroupRequest::Sync(sync),
                Way::Sync(reply),
            ),
            Call::Heartbeat(heartbeat, reply) => (
                Arc::clone(&heartbeat.group_id),
                GroupRequest::Heartbeat(heartbeat),
                Way::Heartbeat(reply),
            ),
            Call::LeaveGroup(leave, reply) => (
                Arc::clone(&leave.group_id),
                GroupRequest::Leave(leave),
                Way::Leave(reply),
            ),
            Call::OffsetCommit(commit, reply) => self.commit(commit, reply)?,
            Call::OffsetDelete(delete, reply) => self.delete_offsets(delete, reply),
            Call::OffsetFetch(fetch, reply) => {
                self.fetch(fetch, reply, routed);
                return None;
            }
            Call::DescribeGroups(describe, reply) => {
                self.describe(describe, reply, routed);
                return None;
            }
            Call::DeleteGroups(delete, reply) => {
                self.delete(delete, reply, routed);
                return None;
            }
            Call::ListGroups(list, reply) => return Some((list, reply)),
        };
        routed.push(self.asked(group_id, request, way));
        None
    }

    fn asked(&self, group_id: Arc<str>, request: GroupRequest, way: Way) -> Asked {
        Asked::Group {
            owed: Owed::new(Some(Arc::clone(&group_id)), way, self.meter),
            group_id,
            request,
        }
    }

    /// None if it is answered: nothing was asked, or nothing of it can be committed. As in Kafka such a request makes no
    /// group, and hears nothing of one.
    fn commit(
        &self,
        commit: request::OffsetCommit,
        reply: Reply<response::OffsetCommit>,
    ) -> Option<(Arc<str>, GroupRequest, Way)> {
        let mut good = 0;
        let named = commit
            .topics
            .into_iter()
            .filter(|topic| !topic.partitions.is_empty());
        let mut topics: Vec<CommitTopic> = named
            .map(|topic| self.commit_topic(topic, &mut good))
            .collect();
        if partitions_of(&topics).any(|partition| partition.error != ErrorCode::NONE) {
            topics = name_once(topics, |topic| {
                let key = (Arc::clone(&topic.name), topic.id.0);
                (key, &mut topic.partitions)
            });
        }
        let topics: Arc<[CommitTopic]> = topics.into();
        if good == 0 {
            let errors = partitions_of(&topics).map(|partition| partition.error);
            let outcome = CommitOutcome::Each(errors.collect());
            let way = Way::Commit(Arc::clone(&topics), reply);
            Owed::new(Some(commit.group_id), way, self.meter).answer(Response::Commit(outcome));
            return None;
        }
        let request = Commit {
            generation_id: commit.generation_id,
            member_id: commit.member_id,
            group_instance_id: commit.group_instance_id,
            retention_time_ms: commit.retention_time_ms,
            knows_group_id_not_found: commit.knows_group_id_not_found,
            image: Arc::clone(self.image),
            topics: Arc::clone(&topics),
        };
        Some((
            commit.group_id,
            GroupRequest::Commit(request),
            Way::Commit(topics, reply),
        ))
    }

    fn commit_topic(&self, topic: request::CommitTopic, good: &mut usize) -> CommitTopic {
        let (name, id) = match &topic.topic {
            // A record carries the id only when the request did, as Kafka's does: who reads the topic sees the same bytes.
            TopicRef::Name(name) => (Some(Arc::clone(name)), Uuid::ZERO),
            TopicRef::Id(id) => (self.image.topics.name_of(*id), *id),
        };
        let count = name
            .as_ref()
            .and_then(|name| self.image.topics.partitions(name));
        // Most have none, and it is one for all of the topic.
        let no_note: Arc<str> = Arc::from("");
        let partition = |partition: request::CommitPartition| {
            let error = match &name {
                None => ErrorCode::UNKNOWN_TOPIC_ID,
                Some(_) => partition_error(count, partition.partition),
            };
            *good += usize::from(error == ErrorCode::NONE);
            CommitPartition {
                partition: partition.partition,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: match partition.metadata {
                    Some(note) if !note.is_empty() => note.into(),
                    _ => Arc::clone(&no_note),
                },
                error,
            }
        };
        let partitions = topic.partitions.into_iter().map(partition).collect();
        CommitTopic {
            topic: topic.topic,
            name: name.unwrap_or_else(|| Arc::from("")),
            id,
            partitions,
        }
    }

    fn delete_offsets(
        &self,
        delete: request::OffsetDelete,
        reply: Reply<response::OffsetDelete>,
    ) -> (Arc<str>, GroupRequest, Way) {
        let check = |topic: request::DeleteTopicOffsets| {
            let count = self.image.topics.partitions(&topic.topic);
            let checked = topic
                .partitions
                .into_iter()
                .map(|partition| (partition, partition_error(count, partition)));
            response::DeletedTopicOffsets {
                topic: topic.topic,
                partitions: checked.collect(),
            }
        };
        let named = delete.topics.into_iter().map(check);
        let mut topics: Vec<_> = named.filter(|topic| !topic.partitions.is_empty()).collect();
        let refused = |topic: &response::DeletedTopicOffsets| {
            let mut errors = topic.partitions.iter().map(|(_, error)| *error);
            errors.any(|error| error != ErrorCode::NONE)
        };
        if topics.iter().any(refused) {
            topics = name_once(topics, |topic| {
                (Arc::clone(&topic.topic), &mut topic.partitions)
            });
        }
        (
            delete.group_id,
            GroupRequest::DeleteOffsets(DeleteOffsets { topics }),
            Way::DeleteOffsets(reply),
        )
    }

    fn fetch(
        &self,
        fetch: request::OffsetFetch,
        reply: Reply<response::OffsetFetch>,
        routed: &mut Vec<Asked>,
    ) {
        let whole = Reply::new(|groups| reply.send(response::OffsetFetch { groups }));
        let parts = whole.in_parts(fetch.groups.len());
        for (group, part) in fetch.groups.into_iter().zip(parts) {
            let asked = |topic: request::FetchTopic| {
                let name = match &topic.topic {
                    TopicRef::Name(name) => Some(Arc::clone(name)),
                    TopicRef::Id(id) => self.image.topics.name_of(*id),
                };
                FetchTopic {
                    topic: topic.topic,
                    name,
                    partitions: topic.partitions,
                }
            };
            let topics = group
                .topics
                .map(|topics| topics.into_iter().map(asked).collect());
            let request = GroupRequest::Fetch(Fetch {
                topics,
                answer_by_id: fetch.answer_by_id,
            });
            routed.push(self.asked(group.group_id, request, Way::Fetch(part)));
        }
    }

    fn describe(
        &self,
        describe: request::DescribeGroups,
        reply: Reply<response::DescribeGroups>,
        routed: &mut Vec<Asked>,
    ) {
        let whole = Reply::new(|groups| reply.send(response::DescribeGroups { groups }));
        let parts = whole.in_parts(describe.group_ids.len());
        for (group_id, part) in describe.group_ids.into_iter().zip(parts) {
            routed.push(self.asked(group_id, GroupRequest::Describe, Way::Describe(part)));
        }
    }

    fn delete(
        &self,
        delete: request::DeleteGroups,
        reply: Reply<response::DeleteGroups>,
        routed: &mut Vec<Asked>,
    ) {
        let mut seen = BTreeSet::new();
        let mut group_ids = delete.group_ids;
        group_ids.retain(|group_id| seen.insert(Arc::clone(group_id)));
        let named = group_ids.clone();
        let whole = Reply::new(|errors: Vec<ErrorCode>| {
            let results = named
                .into_iter()
                .zip(errors)
                .map(|(group_id, error)| response::DeletedGroup { group_id, error });
            reply.send(response::DeleteGroups {
                results: results.collect(),
            });
        });
        let parts = whole.in_parts(group_ids.len());
        for (group_id, part) in group_ids.into_iter().zip(parts) {
            routed.push(self.asked(group_id, GroupRequest::Delete, Way::Delete(part)));
        }
    }
}

fn partitions_of(topics: &[CommitTopic]) -> impl Iterator<Item = &CommitPartition> {
    topics.iter().flat_map(|topic| &topic.partitions)
}

/// Entries of the same topic become one. Kafka puts an answer together so once anything is refused before the group is
/// asked; else a topic that was named twice is answered twice.
fn name_once<T, K: Ord, P>(topics: Vec<T>, parts: impl Fn(&mut T) -> (K, &mut Vec<P>)) -> Vec<T> {
    let mut places = BTreeMap::new();
    let mut once: Vec<T> = Vec::with_capacity(topics.len());
    for mut topic in topics {
        let (key, more) = parts(&mut topic);
        let place = *places.entry(key).or_insert(once.len());
        match once.get_mut(place) {
            Some(first) => parts(first).1.append(more),
            None => once.push(topic),
        }
    }
    once
}

fn partition_error(count: Option<i32>, partition: i32) -> ErrorCode {
    match count {
        Some(count) if (0..count).contains(&partition) => ErrorCode::NONE,
        _ => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    }
}

/// What each of so many coordinators owes to a ListGroups: its share. The answer is the lists of all, in order of the group ids;
/// the first error instead of any list, but for a partition that is not served (spec 2.9).
pub(crate) fn list_shares(
    reply: Reply<response::ListGroups>,
    coordinators: usize,
    meter: &RequestMeter,
) -> Vec<Owed> {
    let whole = Reply::new(|shares: Vec<response::ListGroups>| {
        // As in Kafka a partition that is not served here has no groups, and hides nobody else's.
        let failed = shares
            .iter()
            .find(|share| !matches!(share.error, ErrorCode::NONE | ErrorCode::NOT_COORDINATOR));
        let error = failed.map_or(ErrorCode::NONE, |share| share.error);
        let mut groups = Vec::new();
        if error == ErrorCode::NONE {
            groups.extend(shares.into_iter().flat_map(|share| share.groups));
            groups.sort_by(|one, other| one.group_id.cmp(&other.group_id));
        }
        reply.send(response::ListGroups { error, groups });
    });
    let shares = whole.in_parts(coordinators).into_iter();
    shares
        .map(|share| Owed::new(None, Way::List(share), meter))
        .collect()
}
