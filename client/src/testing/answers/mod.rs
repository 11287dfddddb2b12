//! The scripted broker's answer to each API.

mod group;
mod log;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::header::RequestHeader;
use callboard_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use callboard_protocol::messages::heartbeat::HeartbeatRequest;
use callboard_protocol::messages::init_producer_id::InitProducerIdResponse;
use callboard_protocol::messages::join_group::JoinGroupRequest;
use callboard_protocol::messages::leave_group::LeaveGroupResponse;
use callboard_protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use callboard_protocol::messages::offset_commit::OffsetCommitRequest;
use callboard_protocol::records::BatchBuilder;
use callboard_protocol::{ApiKey, ErrorCode, Message, Uuid, frame};

use super::{NODE, Shared, World, port_of};
pub(super) use log::fetch;

/// What is offered, with the highest version; versions below the lowest the tables know are never asked for.
const OFFERED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::PRODUCE, 3, 12),
    (ApiKey::FETCH, 4, 17),
    (ApiKey::LIST_OFFSETS, 1, 9),
    (ApiKey::METADATA, 0, 12),
    (ApiKey::OFFSET_COMMIT, 2, 9),
    (ApiKey::OFFSET_FETCH, 8, 9),
    (ApiKey::FIND_COORDINATOR, 4, 6),
    (ApiKey::JOIN_GROUP, 4, 9),
    (ApiKey::HEARTBEAT, 0, 4),
    (ApiKey::LEAVE_GROUP, 3, 5),
    (ApiKey::SYNC_GROUP, 0, 5),
    (ApiKey::API_VERSIONS, 0, 4),
    (ApiKey::INIT_PRODUCER_ID, 0, 4),
];

pub(super) fn push(builder: &mut BatchBuilder, value: &[u8]) {
    builder.push(0, None, Some(value), &[]);
}

pub(super) fn build(builder: BatchBuilder) -> Bytes {
    builder.build().expect("a small batch")
}

/// What a test may want to assert of a request.
pub(super) fn detail(api: ApiKey, version: i16, body: &[u8]) -> String {
    match api {
        ApiKey::JOIN_GROUP => JoinGroupRequest::decode(body, version).map(|join| {
            format!(
                "{:?} {:?}",
                join.member_id,
                join.reason.as_deref().unwrap_or_default()
            )
        }),
        ApiKey::HEARTBEAT => {
            HeartbeatRequest::decode(body, version).map(|beat| format!("{}", beat.generation_id))
        }
        ApiKey::OFFSET_COMMIT => OffsetCommitRequest::decode(body, version).map(|commit| {
            commit
                .topics
                .iter()
                .flat_map(|topic| {
                    topic.partitions.iter().map(move |one| {
                        format!(
                            "{}/{}={}",
                            topic.name, one.partition_index, one.committed_offset
                        )
                    })
                })
                .collect::<Vec<_>>()
                .join(" ")
        }),
        _ => Ok(String::new()),
    }
    .unwrap_or_else(|error| error.to_string())
}

/// Answers one request, all but Fetch.
pub(super) fn answer(
    shared: &Arc<Shared>,
    head: &RequestHeader<'_>,
    body: &[u8],
) -> io::Result<Bytes> {
    let (api, version, id) = (head.api_key, head.api_version, head.correlation_id);
    shared.change(|world| {
        let fault = world.fault(api);
        match api {
            ApiKey::API_VERSIONS => versions(world, version, id),
            ApiKey::METADATA => metadata(world, version, id, body),
            ApiKey::FIND_COORDINATOR => group::find_coordinator(fault, version, id, body),
            ApiKey::JOIN_GROUP => group::join(world, fault, version, id, body),
            ApiKey::SYNC_GROUP => group::sync(world, fault, version, id, body),
            ApiKey::HEARTBEAT => group::heartbeat(world, fault, version, id, body),
            ApiKey::LEAVE_GROUP => {
                world.group.member.clear();
                reply(id, version, &LeaveGroupResponse::default())
            }
            ApiKey::OFFSET_COMMIT => group::commit(world, fault, version, id, body),
            ApiKey::OFFSET_FETCH => group::committed(world, fault, version, id, body),
            ApiKey::LIST_OFFSETS => log::list_offsets(world, fault, version, id, body),
            ApiKey::PRODUCE => log::produce(world, fault, version, id, body),
            ApiKey::INIT_PRODUCER_ID => {
                world.next_producer += 1;
                let answer = InitProducerIdResponse {
                    error_code: fault.0,
                    producer_id: world.next_producer,
                    ..InitProducerIdResponse::default()
                };
                reply(id, version, &answer)
            }
            other => Err(io::Error::other(format!("no script for {}", other.name()))),
        }
    })
}

fn reply<'a, M: Message<'a>>(correlation_id: i32, version: i16, message: &M) -> io::Result<Bytes> {
    frame::encode_response(correlation_id, message, version).map_err(io::Error::other)
}

fn parse<'a, M: Message<'a>>(body: &'a [u8], version: i16) -> io::Result<M> {
    M::decode(body, version).map_err(io::Error::other)
}

fn versions(world: &World, version: i16, id: i32) -> io::Result<Bytes> {
    let max = |api: ApiKey, max: i16| world.max_versions.get(&api.0).copied().unwrap_or(max);
    let known = max(ApiKey::API_VERSIONS, 4);
    let (code, layout) = if version > known {
        (ErrorCode::UNSUPPORTED_VERSION, 0)
    } else {
        (ErrorCode::NONE, version)
    };
    let answer = ApiVersionsResponse {
        error_code: code.0,
        api_keys: OFFERED
            .iter()
            .map(|(api, min, highest)| ApiVersion {
                api_key: api.0,
                min_version: *min,
                max_version: max(*api, *highest),
                ..ApiVersion::default()
            })
            .collect(),
        ..ApiVersionsResponse::default()
    };
    reply(id, layout, &answer)
}

/// The id of a topic, none if it is not there.
fn topic_id(world: &World, topic: &str) -> Uuid {
    let number = world.topic_ids.get(topic);
    number.map_or(Uuid::ZERO, |number| Uuid([*number; 16]))
}

fn metadata(world: &World, version: i16, id: i32, body: &[u8]) -> io::Result<Bytes> {
    let request: MetadataRequest<'_> = parse(body, version)?;
    let names: Vec<String> = match request.topics {
        Some(topics) => topics
            .iter()
            .map(|topic| topic.name.as_deref().unwrap_or_default().to_owned())
            .collect(),
        None => world.topics.keys().cloned().collect(),
    };
    let topics = names
        .into_iter()
        .map(|name| match world.topics.get(&name) {
            Some(logs) => MetadataResponseTopic {
                topic_id: topic_id(world, &name),
                name: Some(name.into()),
                partitions: (0..)
                    .zip(logs)
                    .map(|(partition, log)| MetadataResponsePartition {
                        partition_index: partition,
                        error_code: if log.leaderless {
                            ErrorCode::LEADER_NOT_AVAILABLE.0
                        } else {
                            ErrorCode::NONE.0
                        },
                        leader_id: if log.leaderless {
                            -1
                        } else {
                            log.leader.unwrap_or(NODE)
                        },
                        leader_epoch: log.leader_epoch,
                        ..MetadataResponsePartition::default()
                    })
                    .collect(),
                ..MetadataResponseTopic::default()
            },
            None => MetadataResponseTopic {
                error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
                name: Some(name.into()),
                ..MetadataResponseTopic::default()
            },
        })
        .collect();
    let leaders = world.topics.values().flatten();
    let nodes: BTreeSet<i32> = leaders.filter_map(|log| log.leader).chain([NODE]).collect();
    let answer = MetadataResponse {
        brokers: nodes
            .into_iter()
            .map(|node| MetadataResponseBroker {
                node_id: node,
                host: "scripted".into(),
                port: port_of(node).into(),
                ..MetadataResponseBroker::default()
            })
            .collect(),
        controller_id: NODE,
        topics,
        ..MetadataResponse::default()
    };
    reply(id, version, &answer)
}
