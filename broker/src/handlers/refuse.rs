//! Answers that are nothing but an error, in the place where each API has its errors. Each line of [`APIS`](super::APIS)
//! names its own. Where an answer has no such place, the connection closes.

use callboard_protocol::ErrorCode;
use callboard_protocol::messages as m;

use crate::request::Request;

/// The refusal of an API whose answers have an error at their top.
macro_rules! top {
    ($name:ident, $response:ident) => {
        pub(super) fn $name(request: Request<'_>, error: ErrorCode) {
            request.responder.send(&m::$response {
                error_code: error.0,
                ..Default::default()
            });
        }
    };
}

/// An answer with the error at each thing that was asked about.
macro_rules! each {
    ($request:ident, $asks:ident by $asked:ident, $response:ident, |$one:ident| $answer:expr) => {
        each!($request, $asks by $asked, $response by $asked, |$one| $answer)
    };
    ($request:ident, $asks:ident by $asked:ident, $response:ident by $told:ident, |$one:ident| $answer:expr) => {{
        let Some((asked, request)) = $request.decode::<m::$asks<'_>>() else {
            return;
        };
        request.responder.send(&m::$response {
            $told: asked.$asked.into_iter().map(|$one| $answer).collect(),
            ..Default::default()
        })
    }};
}

top!(api_versions, ApiVersionsResponse);
top!(describe_cluster, DescribeClusterResponse);
top!(heartbeat, HeartbeatResponse);
top!(init_producer_id, InitProducerIdResponse);
top!(join_group, JoinGroupResponse);
top!(leave_group, LeaveGroupResponse);
top!(list_groups, ListGroupsResponse);
top!(offset_delete, OffsetDeleteResponse);
top!(sync_group, SyncGroupResponse);

pub(super) fn delete_groups(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    each!(
        request,
        DeleteGroupsRequest by groups_names,
        DeleteGroupsResponse by results,
        |group_id| m::delete_groups::DeletableGroupResult {
            group_id,
            error_code,
            ..Default::default()
        }
    );
}

pub(super) fn describe_groups(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    each!(
        request,
        DescribeGroupsRequest by groups,
        DescribeGroupsResponse,
        |group_id| m::describe_groups::DescribedGroup {
            group_id,
            error_code,
            ..Default::default()
        }
    );
}

pub(super) fn create_topics(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    each!(
        request,
        CreateTopicsRequest by topics,
        CreateTopicsResponse,
        |topic| m::create_topics::CreatableTopicResult {
            name: topic.name,
            error_code,
            ..Default::default()
        }
    );
}

pub(super) fn create_partitions(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    each!(
        request,
        CreatePartitionsRequest by topics,
        CreatePartitionsResponse by results,
        |topic| m::create_partitions::CreatePartitionsTopicResult {
            name: topic.name,
            error_code,
            ..Default::default()
        }
    );
}

pub(super) fn delete_topics(request: Request<'_>, error: ErrorCode) {
    use m::delete_topics::DeletableTopicResult;
    let error_code = error.0;
    // The list of names gave way to one of names or ids.
    if request.version() < 6 {
        return each!(
            request,
            DeleteTopicsRequest by topic_names,
            DeleteTopicsResponse by responses,
            |name| DeletableTopicResult {
                name: Some(name),
                error_code,
                ..Default::default()
            }
        );
    }
    each!(
        request,
        DeleteTopicsRequest by topics,
        DeleteTopicsResponse by responses,
        |topic| DeletableTopicResult {
            name: topic.name,
            topic_id: topic.topic_id,
            error_code,
            ..Default::default()
        }
    );
}

pub(super) fn describe_configs(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    each!(
        request,
        DescribeConfigsRequest by resources,
        DescribeConfigsResponse by results,
        |resource| m::describe_configs::DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            error_code,
            ..Default::default()
        }
    );
}

pub(super) fn incremental_alter_configs(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    each!(
        request,
        IncrementalAlterConfigsRequest by resources,
        IncrementalAlterConfigsResponse by responses,
        |resource| m::incremental_alter_configs::AlterConfigsResourceResponse {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            error_code,
            ..Default::default()
        }
    );
}

/// Which broker there is stays told, or a client would have nobody to ask again.
pub(super) fn metadata(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    use m::metadata::{MetadataResponseBroker, MetadataResponseTopic};
    let Some((asked, request)) = request.decode::<m::MetadataRequest<'_>>() else {
        return;
    };
    if asked.topics.is_none() && request.version() < 13 {
        // There is no place for an error that is nobody's.
        return request.responder.close("refused");
    }
    let node_id = request.services().config.node_id;
    let topics = asked.topics.into_iter().flatten();
    request.responder.send(&m::MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id,
            host: (&*request.context.advertised.host).into(),
            port: request.context.advertised.port.into(),
            ..Default::default()
        }],
        controller_id: node_id,
        topics: topics
            .map(|topic| MetadataResponseTopic {
                error_code,
                // Nameless only where null may be told.
                name: topic.name,
                topic_id: topic.topic_id,
                ..Default::default()
            })
            .collect(),
        error_code,
        ..Default::default()
    });
}

/// Codes that a session has as a whole.
const OF_SESSIONS: [ErrorCode; 3] = [
    ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
    ErrorCode::INVALID_FETCH_SESSION_EPOCH,
    ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR,
];

/// The code stands at the partitions that are named. At the top it stands where none is (a session that goes on), or
/// where it is about sessions; versions without sessions have no such place.
pub(super) fn fetch(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    use m::fetch::{FetchableTopicResponse, PartitionData};
    let Some((asked, request)) = request.decode::<m::FetchRequest<'_>>() else {
        return;
    };
    let top = asked.topics.is_empty() || OF_SESSIONS.contains(&ErrorCode(error_code));
    if top && request.version() >= 7 {
        return request.responder.send(&m::FetchResponse {
            error_code,
            ..Default::default()
        });
    }
    let topics = asked
        .topics
        .into_iter()
        .map(|topic| FetchableTopicResponse {
            topic: topic.topic,
            topic_id: topic.topic_id,
            partitions: topic
                .partitions
                .iter()
                .map(|asked| PartitionData {
                    partition_index: asked.partition,
                    error_code,
                    high_watermark: -1,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
    request.responder.send(&m::FetchResponse {
        responses: topics.collect(),
        ..Default::default()
    });
}

pub(super) fn offset_for_leader_epoch(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    use m::offset_for_leader_epoch::{EpochEndOffset, OffsetForLeaderTopicResult};
    each!(
        request,
        OffsetForLeaderEpochRequest by topics,
        OffsetForLeaderEpochResponse,
        |topic| OffsetForLeaderTopicResult {
            topic: topic.topic,
            partitions: topic
                .partitions
                .iter()
                .map(|asked| EpochEndOffset {
                    partition: asked.partition,
                    error_code,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }
    );
}

pub(super) fn find_coordinator(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
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

pub(super) fn offset_fetch(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    use m::offset_fetch::{
        OffsetFetchRequestGroup, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
        OffsetFetchResponseTopic,
    };
    let Some((asked, request)) = request.decode::<m::OffsetFetchRequest<'_>>() else {
        return;
    };
    let each = |group: OffsetFetchRequestGroup<'_>| {
        let group_id = group.group_id.into_owned().into();
        OffsetFetchResponseGroup {
            group_id,
            error_code,
            ..Default::default()
        }
    };
    // Of one group; version 1 has no other place.
    let partition = |partition_index: &i32| OffsetFetchResponsePartition {
        partition_index: *partition_index,
        committed_offset: -1,
        error_code,
        ..Default::default()
    };
    let topics = asked.topics.into_iter().flatten();
    request.responder.send(&m::OffsetFetchResponse {
        error_code: if request.header.api_version < 8 {
            error_code
        } else {
            0
        },
        groups: asked.groups.into_iter().map(each).collect(),
        topics: topics
            .map(|topic| OffsetFetchResponseTopic {
                name: topic.name,
                partitions: topic.partition_indexes.iter().map(partition).collect(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
}

pub(super) fn offset_commit(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
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

pub(super) fn list_offsets(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
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

pub(super) fn produce(request: Request<'_>, error: ErrorCode) {
    let error_code = error.0;
    use m::produce::{PartitionProduceResponse, TopicProduceResponse};
    let Some((asked, request)) = request.decode::<m::ProduceRequest<'_>>() else {
        return;
    };
    if asked.acks == 0 {
        // Kafka's only way to tell who wants no answers.
        return request.responder.close("unacknowledged");
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

#[cfg(test)]
#[path = "refuse_tests.rs"]
mod tests;
