//! The scripted broker's answer to each API.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_protocol::header::RequestHeader;
use callboard_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use callboard_protocol::messages::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use callboard_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use callboard_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use callboard_protocol::messages::init_producer_id::InitProducerIdResponse;
use callboard_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember,
};
use callboard_protocol::messages::leave_group::LeaveGroupResponse;
use callboard_protocol::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use callboard_protocol::messages::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use callboard_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use callboard_protocol::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use callboard_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use callboard_protocol::records::{BatchBuilder, BatchIter};
use callboard_protocol::{ApiKey, ErrorCode, Message, Uuid, frame};

use super::{NODE, Shared, World};

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
            ApiKey::FIND_COORDINATOR => find_coordinator(fault, version, id, body),
            ApiKey::JOIN_GROUP => join(world, fault, version, id, body),
            ApiKey::SYNC_GROUP => sync(world, fault, version, id, body),
            ApiKey::HEARTBEAT => heartbeat(world, fault, version, id, body),
            ApiKey::LEAVE_GROUP => {
                world.group.member.clear();
                reply(id, version, &LeaveGroupResponse::default())
            }
            ApiKey::OFFSET_COMMIT => commit(world, fault, version, id, body),
            ApiKey::OFFSET_FETCH => committed(world, fault, version, id, body),
            ApiKey::LIST_OFFSETS => list_offsets(world, fault, version, id, body),
            ApiKey::PRODUCE => produce(world, fault, version, id, body),
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

/// The id of the n-th topic by name.
fn topic_id(world: &World, topic: &str) -> Uuid {
    let place = world
        .topics
        .keys()
        .position(|name| name == topic)
        .unwrap_or(0);
    Uuid([u8::try_from(place + 1).unwrap_or(u8::MAX); 16])
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
                    .map(|(partition, _)| MetadataResponsePartition {
                        partition_index: partition,
                        leader_id: NODE,
                        leader_epoch: 0,
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
    let answer = MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: NODE,
            host: "scripted".into(),
            port: 9092,
            ..MetadataResponseBroker::default()
        }],
        controller_id: NODE,
        topics,
        ..MetadataResponse::default()
    };
    reply(id, version, &answer)
}

fn find_coordinator(fault: ErrorCode, version: i16, id: i32, body: &[u8]) -> io::Result<Bytes> {
    let request: FindCoordinatorRequest<'_> = parse(body, version)?;
    let answer = FindCoordinatorResponse {
        coordinators: request
            .coordinator_keys
            .iter()
            .map(|key| Coordinator {
                key: key.to_string().into(),
                node_id: NODE,
                host: "scripted".into(),
                port: 9092,
                error_code: fault.0,
                ..Coordinator::default()
            })
            .collect(),
        ..FindCoordinatorResponse::default()
    };
    reply(id, version, &answer)
}

fn join(
    world: &mut World,
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
    let request: JoinGroupRequest<'_> = parse(body, version)?;
    let group = &mut world.group;
    let mut answer = JoinGroupResponse {
        error_code: fault.0,
        generation_id: -1,
        protocol_name: (version < 7).then(|| "".into()),
        ..JoinGroupResponse::default()
    };
    if fault != ErrorCode::NONE {
        return reply(id, version, &answer);
    }
    if request.member_id.is_empty() {
        group.next_member += 1;
        group.member = format!("member-{}", group.next_member);
        answer.error_code = ErrorCode::MEMBER_ID_REQUIRED.0;
        answer.member_id = group.member.clone().into();
        return reply(id, version, &answer);
    }
    if *request.member_id != *group.member {
        answer.error_code = ErrorCode::UNKNOWN_MEMBER_ID.0;
        return reply(id, version, &answer);
    }
    group.generation += 1;
    answer.generation_id = group.generation;
    answer.protocol_type = (version >= 7).then(|| "consumer".into());
    answer.protocol_name = request
        .protocols
        .first()
        .map(|first| first.name.to_string().into());
    answer.leader = group.member.clone().into();
    answer.member_id = group.member.clone().into();
    let ours = request
        .protocols
        .first()
        .map(|first| first.metadata.to_vec())
        .unwrap_or_default();
    let peers = group.peers.iter();
    answer.members = peers
        .map(|(peer, metadata)| (peer.clone(), metadata.to_vec()))
        .chain([(group.member.clone(), ours)])
        .map(|(member_id, metadata)| JoinGroupResponseMember {
            member_id: member_id.into(),
            metadata: metadata.into(),
            ..JoinGroupResponseMember::default()
        })
        .collect();
    reply(id, version, &answer)
}

/// The error of a request under this membership.
fn fence(world: &World, member: &str, generation: i32) -> ErrorCode {
    if member != world.group.member || member.is_empty() {
        ErrorCode::UNKNOWN_MEMBER_ID
    } else if generation != world.group.generation {
        ErrorCode::ILLEGAL_GENERATION
    } else {
        ErrorCode::NONE
    }
}

fn sync(
    world: &mut World,
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
    let request: SyncGroupRequest<'_> = parse(body, version)?;
    let code = match fault {
        ErrorCode::NONE => fence(world, &request.member_id, request.generation_id),
        fault => fault,
    };
    let assigned = &mut world.group.assignments;
    if code == ErrorCode::NONE && !request.assignments.is_empty() {
        let given = request.assignments.iter();
        *assigned = given
            .map(|one| {
                let bytes = Bytes::copy_from_slice(&one.assignment);
                (one.member_id.to_string(), bytes)
            })
            .collect();
    }
    let assignment = match assigned.get(&*request.member_id) {
        Some(ours) if code == ErrorCode::NONE => ours.to_vec(),
        _ => Vec::new(),
    };
    let answer = SyncGroupResponse {
        error_code: code.0,
        protocol_type: request
            .protocol_type
            .as_ref()
            .map(|text| text.to_string().into()),
        protocol_name: request
            .protocol_name
            .as_ref()
            .map(|text| text.to_string().into()),
        assignment: assignment.into(),
        ..SyncGroupResponse::default()
    };
    reply(id, version, &answer)
}

fn heartbeat(
    world: &World,
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
    let request: HeartbeatRequest<'_> = parse(body, version)?;
    let code = match fault {
        ErrorCode::NONE => fence(world, &request.member_id, request.generation_id),
        fault => fault,
    };
    let answer = HeartbeatResponse {
        error_code: code.0,
        ..HeartbeatResponse::default()
    };
    reply(id, version, &answer)
}

fn commit(
    world: &mut World,
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
    let request: OffsetCommitRequest<'_> = parse(body, version)?;
    let code = match fault {
        ErrorCode::NONE => fence(
            world,
            &request.member_id,
            request.generation_id_or_member_epoch,
        ),
        fault => fault,
    };
    let mut topics = Vec::new();
    for topic in &request.topics {
        let mut partitions = Vec::new();
        for one in &topic.partitions {
            if code == ErrorCode::NONE {
                let (name, partition) = (topic.name.to_string(), one.partition_index);
                let new = one.committed_offset;
                let committed = &mut world.group.committed;
                if let Some(old) = committed.insert((name, partition), new)
                    && old > new
                {
                    let rewind = format!("{}/{partition}: {old} -> {new}", topic.name);
                    world.group.rewinds.push(rewind);
                }
            }
            partitions.push(OffsetCommitResponsePartition {
                partition_index: one.partition_index,
                error_code: code.0,
                ..OffsetCommitResponsePartition::default()
            });
        }
        topics.push(OffsetCommitResponseTopic {
            name: topic.name.to_string().into(),
            partitions,
            ..OffsetCommitResponseTopic::default()
        });
    }
    let answer = OffsetCommitResponse {
        topics,
        ..OffsetCommitResponse::default()
    };
    reply(id, version, &answer)
}

fn committed(
    world: &World,
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
    let request: OffsetFetchRequest<'_> = parse(body, version)?;
    let groups = request
        .groups
        .iter()
        .map(|group| OffsetFetchResponseGroup {
            group_id: group.group_id.to_string().into(),
            error_code: fault.0,
            topics: group
                .topics
                .iter()
                .flatten()
                .map(|topic| OffsetFetchResponseTopics {
                    name: topic.name.to_string().into(),
                    partitions: topic
                        .partition_indexes
                        .iter()
                        .map(|partition| {
                            let key = (topic.name.to_string(), *partition);
                            OffsetFetchResponsePartitions {
                                partition_index: *partition,
                                committed_offset: world
                                    .group
                                    .committed
                                    .get(&key)
                                    .copied()
                                    .unwrap_or(-1),
                                committed_leader_epoch: -1,
                                ..OffsetFetchResponsePartitions::default()
                            }
                        })
                        .collect(),
                    ..OffsetFetchResponseTopics::default()
                })
                .collect(),
            ..OffsetFetchResponseGroup::default()
        })
        .collect();
    let answer = OffsetFetchResponse {
        groups,
        ..OffsetFetchResponse::default()
    };
    reply(id, version, &answer)
}

fn list_offsets(
    world: &World,
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
    let request: ListOffsetsRequest<'_> = parse(body, version)?;
    let topics = request
        .topics
        .iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: topic.name.to_string().into(),
            partitions: topic
                .partitions
                .iter()
                .map(|one| {
                    let log = world
                        .topics
                        .get(&*topic.name)
                        .and_then(|logs| logs.get(usize::try_from(one.partition_index).ok()?));
                    let first = |log: &super::Log| {
                        log.batches.first().map_or(log.next, |(base, _, _)| *base)
                    };
                    let offset = log.map_or(-1, |log| {
                        if one.timestamp == -2 {
                            first(log)
                        } else {
                            log.next
                        }
                    });
                    ListOffsetsPartitionResponse {
                        partition_index: one.partition_index,
                        error_code: fault.0,
                        offset,
                        leader_epoch: 0,
                        ..ListOffsetsPartitionResponse::default()
                    }
                })
                .collect(),
            ..ListOffsetsTopicResponse::default()
        })
        .collect();
    let answer = ListOffsetsResponse {
        topics,
        ..ListOffsetsResponse::default()
    };
    reply(id, version, &answer)
}

fn produce(
    world: &mut World,
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
    let request: ProduceRequest<'_> = parse(body, version)?;
    let mut responses = Vec::new();
    for topic in &request.topic_data {
        let mut partition_responses = Vec::new();
        for data in &topic.partition_data {
            let records = data
                .records
                .as_ref()
                .map(|records| records.to_vec())
                .unwrap_or_default();
            let (code, base_offset) = match fault {
                ErrorCode::NONE => append(world, &topic.name, data.index, records.into()),
                fault => (fault, -1),
            };
            partition_responses.push(PartitionProduceResponse {
                index: data.index,
                error_code: code.0,
                base_offset,
                ..PartitionProduceResponse::default()
            });
        }
        responses.push(TopicProduceResponse {
            name: topic.name.to_string().into(),
            partition_responses,
            ..TopicProduceResponse::default()
        });
    }
    let answer = ProduceResponse {
        responses,
        ..ProduceResponse::default()
    };
    reply(id, version, &answer)
}

/// Appends a producer's batch if its sequence is the next one. The batch keeps the offsets the producer wrote.
fn append(world: &mut World, topic: &str, partition: i32, batch: Bytes) -> (ErrorCode, i64) {
    let log = world
        .topics
        .get_mut(topic)
        .and_then(|logs| logs.get_mut(usize::try_from(partition).ok()?));
    let Some(log) = log else {
        return (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1);
    };
    let Some(Ok(first)) = BatchIter::new(batch.clone()).next() else {
        return (ErrorCode::CORRUPT_MESSAGE, -1);
    };
    let header = first.header();
    let count = header.last_offset_delta + 1;
    if header.producer_id >= 0 {
        let expected = match log.producer {
            Some((id, next)) if id == header.producer_id => next,
            _ => 0,
        };
        if header.base_sequence < expected {
            return (ErrorCode::DUPLICATE_SEQUENCE_NUMBER, -1);
        }
        if header.base_sequence > expected {
            return (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
        }
        log.producer = Some((header.producer_id, expected + count));
    }
    let base = log.next;
    log.next += i64::from(count);
    log.batches.push((base, log.next, batch));
    (ErrorCode::NONE, base)
}

/// Whatever there is from the offsets asked for; if that is nothing, what comes within the wait.
/// Answers a Fetch; one that finds nothing waits.
pub(super) async fn fetch(
    shared: &Arc<Shared>,
    head: &RequestHeader<'_>,
    body: &[u8],
) -> io::Result<Bytes> {
    let (version, id) = (head.api_version, head.correlation_id);
    let request: FetchRequest<'_> = parse(body, version)?;
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let (answer, ready) = {
            let mut world = shared.world();
            let fault = world.fault(ApiKey::FETCH);
            fetch_now(&world, fault, &request, version)
        };
        if ready || tokio::time::Instant::now() >= deadline {
            return reply(id, version, &answer);
        }
        tokio::select! {
            () = &mut changed => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

fn fetch_now(
    world: &World,
    fault: ErrorCode,
    request: &FetchRequest<'_>,
    version: i16,
) -> (FetchResponse<'static>, bool) {
    let mut ready = false;
    let mut responses = Vec::new();
    for topic in &request.topics {
        let name = if version >= 13 {
            world
                .topics
                .keys()
                .find(|name| topic_id(world, name) == topic.topic_id)
                .cloned()
                .unwrap_or_default()
        } else {
            topic.topic.to_string()
        };
        let mut partitions = Vec::new();
        for one in &topic.partitions {
            let log = world
                .topics
                .get(&name)
                .and_then(|logs| logs.get(usize::try_from(one.partition).ok()?));
            let mut data = PartitionData {
                partition_index: one.partition,
                error_code: fault.0,
                preferred_read_replica: -1,
                aborted_transactions: None,
                ..PartitionData::default()
            };
            ready |= fault != ErrorCode::NONE;
            if let Some(log) = log.filter(|_| fault == ErrorCode::NONE) {
                data.high_watermark = log.next;
                let first = log.batches.first().map_or(log.next, |(base, _, _)| *base);
                if one.fetch_offset < first || one.fetch_offset > log.next {
                    data.error_code = ErrorCode::OFFSET_OUT_OF_RANGE.0;
                    ready = true;
                } else {
                    let bytes: Vec<u8> = log
                        .batches
                        .iter()
                        .filter(|(_, next, _)| *next > one.fetch_offset)
                        .flat_map(|(_, _, bytes)| bytes.iter().copied())
                        .collect();
                    ready |= !bytes.is_empty();
                    data.records = Some(Bytes::from(bytes).into());
                }
            }
            partitions.push(data);
        }
        responses.push(FetchableTopicResponse {
            topic: if version >= 13 {
                "".into()
            } else {
                name.into()
            },
            topic_id: if version >= 13 {
                topic.topic_id
            } else {
                Uuid::ZERO
            },
            partitions,
            ..FetchableTopicResponse::default()
        });
    }
    let answer = FetchResponse {
        responses,
        ..FetchResponse::default()
    };
    (answer, ready)
}
