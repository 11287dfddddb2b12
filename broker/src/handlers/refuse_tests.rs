//! An error that was asked for is what the client reads, of every API in every version.

use callboard_protocol::ApiKey;
use callboard_protocol::messages::{
    create_partitions, create_topics, delete_topics, describe_configs, incremental_alter_configs,
    list_offsets, metadata, offset_commit, offset_for_leader_epoch,
};

use super::*;
use crate::handlers::APIS;
use crate::testing::{Bench, Fault, Wire};

const CODE: ErrorCode = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;

/// Asks in every version and gives what `code` finds in the answers.
macro_rules! refused {
    ($bench:ident, $wire:ident, $seen:ident, $request:ty, |$version:ident| $ask:expr, |$answer:ident| $code:expr) => {{
        let key = <$request as callboard_protocol::Message<'static>>::KEY;
        let api = APIS.iter().find(|api| api.key == key).unwrap();
        for $version in api.min..=api.max {
            let code = Fault::Error(CODE);
            $bench.faults.add(key, code, 1).unwrap();
            let request: $request = $ask;
            let told = $wire.ask(&request, $version).await;
            let $answer = told.read();
            assert_eq!($code, CODE.0, "{} {}", key.name(), $version);
        }
        $seen.push(key);
    }};
}

/// Those that are refused as a whole.
async fn refused_whole(bench: &mut Bench, wire: &mut Wire) -> Vec<ApiKey> {
    let mut seen = Vec::new();
    macro_rules! whole {
        ($($request:ident),*) => {
            $(refused!(bench, wire, seen, m::$request<'static>, |version| Default::default(), |answer| answer.error_code);)*
        };
    }
    whole!(
        ApiVersionsRequest,
        DescribeClusterRequest,
        HeartbeatRequest,
        InitProducerIdRequest,
        JoinGroupRequest,
        LeaveGroupRequest,
        ListGroupsRequest,
        OffsetDeleteRequest,
        SyncGroupRequest
    );
    seen
}

/// Those that are refused name by name.
async fn refused_by_name(bench: &mut Bench, wire: &mut Wire) -> Vec<ApiKey> {
    let mut seen = Vec::new();
    refused!(
        bench,
        wire,
        seen,
        m::DescribeGroupsRequest<'static>,
        |version| m::DescribeGroupsRequest {
            groups: vec!["g".into()],
            ..Default::default()
        },
        |answer| answer.groups[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::DeleteGroupsRequest<'static>,
        |version| m::DeleteGroupsRequest {
            groups_names: vec!["g".into()],
            ..Default::default()
        },
        |answer| answer.results[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::CreateTopicsRequest<'static>,
        |version| m::CreateTopicsRequest {
            topics: vec![create_topics::CreatableTopic {
                name: "t".into(),
                ..Default::default()
            }],
            ..Default::default()
        },
        |answer| answer.topics[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::CreatePartitionsRequest<'static>,
        |version| m::CreatePartitionsRequest {
            topics: vec![create_partitions::CreatePartitionsTopic {
                name: "t".into(),
                ..Default::default()
            }],
            ..Default::default()
        },
        |answer| answer.results[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::DeleteTopicsRequest<'static>,
        |version| if version < 6 {
            m::DeleteTopicsRequest {
                topic_names: vec!["t".into()],
                ..Default::default()
            }
        } else {
            let topic = delete_topics::DeleteTopicState {
                name: Some("t".into()),
                ..Default::default()
            };
            m::DeleteTopicsRequest {
                topics: vec![topic],
                ..Default::default()
            }
        },
        |answer| answer.responses[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::DescribeConfigsRequest<'static>,
        |version| m::DescribeConfigsRequest {
            resources: vec![describe_configs::DescribeConfigsResource::default()],
            ..Default::default()
        },
        |answer| answer.results[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::IncrementalAlterConfigsRequest<'static>,
        |version| m::IncrementalAlterConfigsRequest {
            resources: vec![incremental_alter_configs::AlterConfigsResource::default()],
            ..Default::default()
        },
        |answer| answer.responses[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::FindCoordinatorRequest<'static>,
        |version| if version < 4 {
            m::FindCoordinatorRequest {
                key: "g".into(),
                ..Default::default()
            }
        } else {
            m::FindCoordinatorRequest {
                coordinator_keys: vec!["g".into()],
                ..Default::default()
            }
        },
        |answer| answer
            .coordinators
            .first()
            .map_or(answer.error_code, |first| first.error_code)
    );
    refused!(
        bench,
        wire,
        seen,
        m::OffsetFetchRequest<'static>,
        |version| if version < 8 {
            m::OffsetFetchRequest {
                group_id: "g".into(),
                topics: Some(vec![m::offset_fetch::OffsetFetchRequestTopic {
                    partition_indexes: vec![0],
                    ..Default::default()
                }]),
                ..Default::default()
            }
        } else {
            let group = m::offset_fetch::OffsetFetchRequestGroup {
                group_id: "g".into(),
                ..Default::default()
            };
            m::OffsetFetchRequest {
                groups: vec![group],
                ..Default::default()
            }
        },
        |answer| match answer.groups.first() {
            Some(group) => group.error_code,
            None => answer.topics[0].partitions[0].error_code,
        }
    );
    refused!(
        bench,
        wire,
        seen,
        m::MetadataRequest<'static>,
        |version| m::MetadataRequest {
            topics: Some(vec![metadata::MetadataRequestTopic {
                name: Some("t".into()),
                ..Default::default()
            }]),
            ..Default::default()
        },
        |answer| {
            assert_eq!(answer.brokers.len(), 1, "somebody can be asked again");
            answer.topics[0].error_code
        }
    );
    seen
}

/// Those that are refused partition by partition.
async fn refused_by_partition(bench: &mut Bench, wire: &mut Wire) -> Vec<ApiKey> {
    let mut seen = Vec::new();
    refused!(
        bench,
        wire,
        seen,
        m::OffsetForLeaderEpochRequest<'static>,
        |version| m::OffsetForLeaderEpochRequest {
            topics: vec![offset_for_leader_epoch::OffsetForLeaderTopic {
                partitions: vec![Default::default()],
                ..Default::default()
            }],
            ..Default::default()
        },
        |answer| answer.topics[0].partitions[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::OffsetCommitRequest<'static>,
        |version| m::OffsetCommitRequest {
            topics: vec![offset_commit::OffsetCommitRequestTopic {
                partitions: vec![Default::default()],
                ..Default::default()
            }],
            ..Default::default()
        },
        |answer| answer.topics[0].partitions[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::ListOffsetsRequest<'static>,
        |version| m::ListOffsetsRequest {
            topics: vec![list_offsets::ListOffsetsTopic {
                partitions: vec![Default::default()],
                ..Default::default()
            }],
            ..Default::default()
        },
        |answer| answer.topics[0].partitions[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::FetchRequest<'static>,
        |version| m::FetchRequest {
            topics: vec![m::fetch::FetchTopic {
                partitions: vec![Default::default()],
                ..Default::default()
            }],
            ..Default::default()
        },
        |answer| answer.responses[0].partitions[0].error_code
    );
    refused!(
        bench,
        wire,
        seen,
        m::ProduceRequest<'static>,
        |version| m::ProduceRequest {
            acks: 1,
            topic_data: vec![m::produce::TopicProduceData {
                partition_data: vec![Default::default()],
                ..Default::default()
            }],
            ..Default::default()
        },
        |answer| answer.responses[0].partition_responses[0].error_code
    );
    seen
}

#[tokio::test]
async fn every_api_says_the_error_in_every_version() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    let mut seen = refused_whole(&mut bench, &mut wire).await;
    seen.extend(refused_by_name(&mut bench, &mut wire).await);
    seen.extend(refused_by_partition(&mut bench, &mut wire).await);
    seen.sort_by_key(|key| key.0);
    let mut all: Vec<ApiKey> = APIS.iter().map(|api| api.key).collect();
    all.sort_by_key(|key| key.0);
    assert_eq!(seen, all);
    bench.stop().await;
}

#[tokio::test]
async fn a_fetch_that_names_nothing_is_refused_as_a_whole() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    let code = Fault::Error(CODE);
    bench.faults.add(ApiKey::FETCH, code, 1).unwrap();
    let told = wire.ask(&m::FetchRequest::default(), 7).await;
    assert_eq!(told.read().error_code, CODE.0);
    bench.stop().await;
}
