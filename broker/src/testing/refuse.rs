//! Answers that are nothing but an error, in the place where each API has its errors.

use callboard_protocol::messages as m;
use callboard_protocol::{ApiKey, ErrorCode};

use crate::connection::Request;

/// The APIs there is such an answer for.
pub(crate) const APIS: &[ApiKey] = &[
    ApiKey::PRODUCE,
    ApiKey::FETCH,
    ApiKey::LIST_OFFSETS,
    ApiKey::OFFSET_COMMIT,
    ApiKey::OFFSET_FETCH,
    ApiKey::FIND_COORDINATOR,
    ApiKey::JOIN_GROUP,
    ApiKey::HEARTBEAT,
    ApiKey::LEAVE_GROUP,
    ApiKey::SYNC_GROUP,
    ApiKey::LIST_GROUPS,
    ApiKey::INIT_PRODUCER_ID,
];

/// An answer with nothing but an error at its top.
macro_rules! top {
    ($request:ident, $response:ident, $code:ident) => {
        $request.responder.send(&m::$response {
            error_code: $code,
            ..Default::default()
        })
    };
}

/// Answers with the error.
pub(crate) fn refuse(request: Request<'_>, code: ErrorCode) {
    let code = code.0;
    match request.header.api_key {
        ApiKey::FETCH => top!(request, FetchResponse, code),
        ApiKey::JOIN_GROUP => top!(request, JoinGroupResponse, code),
        ApiKey::SYNC_GROUP => top!(request, SyncGroupResponse, code),
        ApiKey::HEARTBEAT => top!(request, HeartbeatResponse, code),
        ApiKey::LEAVE_GROUP => top!(request, LeaveGroupResponse, code),
        ApiKey::LIST_GROUPS => top!(request, ListGroupsResponse, code),
        ApiKey::INIT_PRODUCER_ID => top!(request, InitProducerIdResponse, code),
        ApiKey::FIND_COORDINATOR => find_coordinator(request, code),
        ApiKey::OFFSET_FETCH => offset_fetch(request, code),
        ApiKey::OFFSET_COMMIT => offset_commit(request, code),
        ApiKey::LIST_OFFSETS => list_offsets(request, code),
        ApiKey::PRODUCE => produce(request, code),
        _ => request.responder.close("fault"),
    }
}

fn find_coordinator(request: Request<'_>, error_code: i16) {
    let Some((asked, request)) = request.decode::<m::FindCoordinatorRequest<'_>>() else {
        return;
    };
    let old = request.version() < 4;
    let each = |key| m::find_coordinator::Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code,
        ..Default::default()
    };
    request.responder.send(&m::FindCoordinatorResponse {
        error_code: if old { error_code } else { 0 },
        node_id: if old { -1 } else { 0 },
        port: if old { -1 } else { 0 },
        coordinators: asked.coordinator_keys.into_iter().map(each).collect(),
        ..Default::default()
    });
}

fn offset_fetch(request: Request<'_>, error_code: i16) {
    let Some((asked, request)) = request.decode::<m::OffsetFetchRequest<'_>>() else {
        return;
    };
    let each = |group: m::offset_fetch::OffsetFetchRequestGroup<'_>| {
        let group_id = group.group_id.into_owned().into();
        m::offset_fetch::OffsetFetchResponseGroup {
            group_id,
            error_code,
            ..Default::default()
        }
    };
    request.responder.send(&m::OffsetFetchResponse {
        error_code: if request.header.api_version < 8 {
            error_code
        } else {
            0
        },
        groups: asked.groups.into_iter().map(each).collect(),
        ..Default::default()
    });
}

fn offset_commit(request: Request<'_>, error_code: i16) {
    use m::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
    let Some((asked, request)) = request.decode::<m::OffsetCommitRequest<'_>>() else {
        return;
    };
    let topics = asked
        .topics
        .into_iter()
        .map(|topic| OffsetCommitResponseTopic {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: topic
                .partitions
                .iter()
                .map(|partition| OffsetCommitResponsePartition {
                    partition_index: partition.partition_index,
                    error_code,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
    request.responder.send(&m::OffsetCommitResponse {
        topics: topics.collect(),
        ..Default::default()
    });
}

fn list_offsets(request: Request<'_>, error_code: i16) {
    use m::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
    let Some((asked, request)) = request.decode::<m::ListOffsetsRequest<'_>>() else {
        return;
    };
    let topics = asked
        .topics
        .into_iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: topic.name,
            partitions: topic
                .partitions
                .iter()
                .map(|partition| ListOffsetsPartitionResponse {
                    partition_index: partition.partition_index,
                    error_code,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
    request.responder.send(&m::ListOffsetsResponse {
        topics: topics.collect(),
        ..Default::default()
    });
}

fn produce(request: Request<'_>, error_code: i16) {
    use m::produce::{PartitionProduceResponse, TopicProduceResponse};
    let Some((asked, request)) = request.decode::<m::ProduceRequest<'_>>() else {
        return;
    };
    if asked.acks == 0 {
        // Kafka's only way to tell who wants no answers.
        return request.responder.close("fault");
    }
    let topics = asked
        .topic_data
        .into_iter()
        .map(|topic| TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses: topic
                .partition_data
                .iter()
                .map(|partition| PartitionProduceResponse {
                    index: partition.index,
                    error_code,
                    base_offset: -1,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
    request.responder.send(&m::ProduceResponse {
        responses: topics.collect(),
        ..Default::default()
    });
}
