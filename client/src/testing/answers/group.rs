//! The group's side: one member, and peers that never speak.

use std::io;

use bytes::Bytes;
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use callboard_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use callboard_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember,
};
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use callboard_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use callboard_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

use super::{parse, reply};
use crate::testing::{NODE, World};

pub(super) fn find_coordinator(
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
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

pub(super) fn join(
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

pub(super) fn sync(
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

pub(super) fn heartbeat(
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

pub(super) fn commit(
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
            let code = match code {
                ErrorCode::NONE if !world.topics.contains_key(&*topic.name) => {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                }
                code => code,
            };
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

pub(super) fn committed(
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
                                error_code: match world.denied.contains(&key.0) {
                                    true => ErrorCode::TOPIC_AUTHORIZATION_FAILED.0,
                                    false => ErrorCode::NONE.0,
                                },
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
