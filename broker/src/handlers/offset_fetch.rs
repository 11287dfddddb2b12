//! OffsetFetch, versions 1 to 10.
//!
//! * From 2 null asks for all topics, and there is an error for the group; in 1 it stands at every partition.
//! * 8 asks for several groups (KIP-709), 9 tells who asks (KIP-848), 10 names topics by id.

use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

use super::owned;
use super::resolve::{topic_id, topic_name, topic_ref};
use crate::connection::{Request, Work};

const GROUP_ERROR: i16 = 2;
const SEVERAL: i16 = 8;
const BY_ID: i16 = 10;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let version = request.version();
    let Some((body, request)) = request.decode::<OffsetFetchRequest<'_>>() else {
        return;
    };
    let groups = if version >= SEVERAL {
        body.groups
            .into_iter()
            .map(|group| one_of_several(group, version))
            .collect()
    } else {
        let topic = |topic: OffsetFetchRequestTopic<'_>| request::FetchTopic {
            topic: request::TopicRef::Name(topic.name.as_ref().into()),
            partitions: topic.partition_indexes,
        };
        vec![request::FetchGroup {
            group_id: body.group_id.as_ref().into(),
            member_id: None,
            member_epoch: -1,
            topics: body
                .topics
                .map(|topics| topics.into_iter().map(topic).collect()),
        }]
    };
    // What is wanted of version 1, should its group have an error.
    let wanted = match version {
        ..GROUP_ERROR => groups
            .first()
            .and_then(|group| group.topics.clone())
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    let call = request::OffsetFetch {
        groups,
        require_stable: body.require_stable,
        answer_by_id: version >= BY_ID,
    };
    let responder = request.responder;
    let reply = Reply::new(move |mut answer: response::OffsetFetch| {
        if version >= SEVERAL {
            return responder.send(&several(&answer));
        }
        if let Some(group) = answer
            .groups
            .first_mut()
            .filter(|group| version < GROUP_ERROR && group.error != ErrorCode::NONE)
        {
            at_every_partition(group, wanted);
        }
        responder.send(&single(&answer));
    });
    work.calls.push(Call::OffsetFetch(call, reply));
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
    let partition = |partition: &response::FetchedPartition| OffsetFetchResponsePartition {
        partition_index: partition.partition,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: Some(partition.metadata.to_string().into()),
        error_code: partition.error.0,
        ..Default::default()
    };
    OffsetFetchResponseTopic {
        name: topic_name(&topic.topic),
        partitions: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    }
}

fn several(answer: &response::OffsetFetch) -> OffsetFetchResponse<'_> {
    OffsetFetchResponse {
        groups: answer.groups.iter().map(group_of_several).collect(),
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
    let partition = |partition: &response::FetchedPartition| OffsetFetchResponsePartitions {
        partition_index: partition.partition,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: Some(partition.metadata.to_string().into()),
        error_code: partition.error.0,
        ..Default::default()
    };
    OffsetFetchResponseTopics {
        name: topic_name(&topic.topic),
        topic_id: topic_id(&topic.topic),
        partitions: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    }
}
