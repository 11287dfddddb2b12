//! OffsetFetch, versions 1 to 10.
//!
//! * From 2 null asks for all topics, and there is an error for the group; in 1 it stands at every partition.
//! * 8 asks for several groups (KIP-709), 9 tells who asks (KIP-848), 10 names topics by id.

use std::collections::BTreeMap;

use bytes::Bytes;
use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use super::resolve::{topic_id, topic_name, topic_ref};
use super::{lots, owned};
use crate::request::{Request, Responder, Work};

/// Partitions whose notes are no large answer.
const FEW: usize = 64;
/// Bytes of the shortest answer about a group, beside its name.
const GROUP_BYTES: usize = 5;
/// Bytes of what the answer about a topic is made of and comes to, at least, and about each of its partitions: they take
/// four in the request.
const TOPIC_BYTES: usize =
    size_of::<response::FetchedTopic>() + size_of::<OffsetFetchResponseTopics<'_>>();
const PARTITION_BYTES: usize =
    size_of::<response::FetchedPartition>() + size_of::<OffsetFetchResponsePartitions<'_>>() + 15;
const GROUP_ERROR: i16 = 2;
const SEVERAL: i16 = 8;
const BY_ID: i16 = 10;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let version = request.version();
    if lots::may_be_many(request.frame.len()) {
        return lots::read(request, work, many);
    }
    let Some((body, request)) = request.decode::<OffsetFetchRequest<'_>>() else {
        return;
    };
    let require_stable = body.require_stable;
    let Asked {
        groups,
        places,
        wanted,
    } = Asked::new(body, version);
    let call = request::OffsetFetch {
        groups,
        require_stable,
        answer_by_id: version >= BY_ID,
    };
    let responder = request
        .responder
        .charging(call.groups.len() * lots::GROUP_BYTES);
    let reply = Reply::new(move |answer: response::OffsetFetch| {
        responder.elsewhere(move |responder| send(responder, answer, version, &places, wanted));
    });
    work.calls.push(Call::OffsetFetch(call, reply));
}

fn many(request: Request<'_>) {
    let version = request.version();
    let Some((body, request)) = request.decode::<OffsetFetchRequest<'_>>() else {
        return;
    };
    if !request.responder.may_make(least(&body)) {
        return request.responder.close("answer_too_large");
    }
    let require_stable = body.require_stable;
    let asked = Asked::new(body, version);
    let mut groups = Vec::new();
    let answered = lots::ask(
        request.services(),
        asked.groups,
        |groups, reply| {
            let call = request::OffsetFetch {
                groups,
                require_stable,
                answer_by_id: version >= BY_ID,
            };
            Call::OffsetFetch(call, reply)
        },
        |answer: response::OffsetFetch| groups.extend(answer.groups),
        || request.responder.is_wanted(),
    );
    if answered {
        let answer = response::OffsetFetch { groups };
        send(
            request.responder,
            answer,
            version,
            &asked.places,
            asked.wanted,
        );
    }
}

/// Bytes that the answer takes at least, and what it is made of.
fn least(body: &OffsetFetchRequest<'_>) -> usize {
    let of_topics = |named: &mut dyn Iterator<Item = usize>| -> usize {
        named
            .map(|partitions| TOPIC_BYTES + partitions * PARTITION_BYTES)
            .sum()
    };
    // What is shared because it is large takes a place for each naming.
    let of_group = |group: &OffsetFetchRequestGroup<'_>| {
        let of_group = (group.group_id.len() + GROUP_BYTES).min(size_of::<Bytes>());
        let named = group.topics.iter().flatten();
        of_group + of_topics(&mut named.map(|topic| topic.partition_indexes.len()))
    };
    let of_several: usize = body.groups.iter().map(of_group).sum();
    let of_one = body.topics.iter().flatten();
    of_several + of_topics(&mut of_one.map(|topic| topic.partition_indexes.len()))
}

/// What a request asks for, whatever its version.
struct Asked {
    groups: Vec<request::FetchGroup>,
    /// Of several groups, where each naming has its answer among those.
    places: Vec<usize>,
    /// What is wanted of version 1, should its group have an error.
    wanted: Vec<request::FetchTopic>,
}

impl Asked {
    fn new(body: OffsetFetchRequest<'_>, version: i16) -> Self {
        let mut places = Vec::new();
        if version >= SEVERAL {
            return Self {
                groups: once_all(body.groups, version, &mut places),
                places,
                wanted: Vec::new(),
            };
        }
        let topic = |topic: OffsetFetchRequestTopic<'_>| request::FetchTopic {
            topic: request::TopicRef::Name(topic.name.as_ref().into()),
            partitions: topic.partition_indexes,
        };
        let topics: Option<Vec<_>> = body
            .topics
            .map(|topics| topics.into_iter().map(topic).collect());
        let wanted = match version {
            ..GROUP_ERROR => topics.clone().unwrap_or_default(),
            _ => Vec::new(),
        };
        Self {
            groups: vec![request::FetchGroup {
                group_id: body.group_id.as_ref().into(),
                member_id: None,
                member_epoch: -1,
                topics,
            }],
            places,
            wanted,
        }
    }
}

/// Everything of a group, or many partitions, of which each may have a long note.
pub(super) fn has_large_answer(body: OffsetFetchRequest<'_>) -> bool {
    let of_several = body.groups.iter().map(|group| match &group.topics {
        Some(topics) => topics
            .iter()
            .map(|topic| topic.partition_indexes.len())
            .sum(),
        None => usize::MAX,
    });
    let of_one = match &body.topics {
        Some(topics) => topics
            .iter()
            .map(|topic| topic.partition_indexes.len())
            .sum(),
        None if body.groups.is_empty() => usize::MAX,
        None => 0,
    };
    of_several.fold(of_one, usize::saturating_add) > FEW
}

/// Groups of which everything is asked are asked once, however often they are named.
fn once_all(
    groups: Vec<OffsetFetchRequestGroup<'_>>,
    version: i16,
    places: &mut Vec<usize>,
) -> Vec<request::FetchGroup> {
    let mut known = BTreeMap::new();
    let mut once = Vec::with_capacity(groups.len());
    for group in groups {
        let all = group.topics.is_none().then(|| group.group_id.clone());
        let place = match all {
            Some(group_id) => *known.entry(group_id).or_insert(once.len()),
            None => once.len(),
        };
        places.push(place);
        if place == once.len() {
            once.push(one_of_several(group, version));
        }
    }
    once
}

fn send(
    responder: Responder,
    mut answer: response::OffsetFetch,
    version: i16,
    places: &[usize],
    wanted: Vec<request::FetchTopic>,
) {
    if places.len() > answer.groups.len() {
        return responder.send_shared(&answer.groups, places, several);
    }
    if version >= SEVERAL {
        return responder.send(&several(&answer.groups));
    }
    if let Some(group) = answer
        .groups
        .first_mut()
        .filter(|group| version < GROUP_ERROR && group.error != ErrorCode::NONE)
    {
        at_every_partition(group, wanted);
    }
    responder.send(&single(&answer));
}

fn one_of_several(group: OffsetFetchRequestGroup<'_>, version: i16) -> request::FetchGroup {
    let topic = |topic: OffsetFetchRequestTopics<'_>| request::FetchTopic {
        topic: topic_ref(version >= BY_ID, &topic.name, topic.topic_id),
        partitions: topic.partition_indexes,
    };
    request::FetchGroup {
        group_id: group.group_id.as_ref().into(),
        member_id: owned(group.member_id),
        member_epoch: group.member_epoch,
        topics: group
            .topics
            .map(|topics| topics.into_iter().map(topic).collect()),
    }
}

/// Puts the group's error where version 1 can say it.
fn at_every_partition(group: &mut response::FetchedGroup, wanted: Vec<request::FetchTopic>) {
    let error = group.error;
    let topic = |topic: request::FetchTopic| response::FetchedTopic {
        topic: topic.topic,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| response::FetchedPartition::nothing(partition, error))
            .collect(),
    };
    group.topics = wanted.into_iter().map(topic).collect();
}

fn single(answer: &response::OffsetFetch) -> OffsetFetchResponse<'_> {
    let Some(group) = answer.groups.first() else {
        return OffsetFetchResponse {
            error_code: ErrorCode::UNKNOWN_SERVER_ERROR.0,
            ..Default::default()
        };
    };
    OffsetFetchResponse {
        topics: group.topics.iter().map(topic_of_one).collect(),
        error_code: group.error.0,
        ..Default::default()
    }
}

fn topic_of_one(topic: &response::FetchedTopic) -> OffsetFetchResponseTopic<'_> {
    OffsetFetchResponseTopic {
        name: topic_name(&topic.topic),
        partitions: topic.partitions.iter().map(partition_of_one).collect(),
        ..Default::default()
    }
}

fn partition_of_one(partition: &response::FetchedPartition) -> OffsetFetchResponsePartition<'_> {
    OffsetFetchResponsePartition {
        partition_index: partition.partition,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: Some(partition.metadata.as_ref().into()),
        error_code: partition.error.0,
        ..Default::default()
    }
}

fn several(groups: &[response::FetchedGroup]) -> OffsetFetchResponse<'_> {
    OffsetFetchResponse {
        groups: groups.iter().map(group_of_several).collect(),
        ..Default::default()
    }
}

fn group_of_several(group: &response::FetchedGroup) -> OffsetFetchResponseGroup<'_> {
    OffsetFetchResponseGroup {
        group_id: group.group_id.as_ref().into(),
        topics: group.topics.iter().map(topic_of_several).collect(),
        error_code: group.error.0,
        ..Default::default()
    }
}

fn topic_of_several(topic: &response::FetchedTopic) -> OffsetFetchResponseTopics<'_> {
    OffsetFetchResponseTopics {
        name: topic_name(&topic.topic),
        topic_id: topic_id(&topic.topic),
        partitions: topic.partitions.iter().map(partition_of_several).collect(),
        ..Default::default()
    }
}

fn partition_of_several(
    partition: &response::FetchedPartition,
) -> OffsetFetchResponsePartitions<'_> {
    OffsetFetchResponsePartitions {
        partition_index: partition.partition,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: Some(partition.metadata.as_ref().into()),
        error_code: partition.error.0,
        ..Default::default()
    }
}
