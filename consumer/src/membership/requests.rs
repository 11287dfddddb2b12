//! The coordinator's requests, one function each: a question of the core in, Kafka's messages out, the answer back as
//! the core's nouns. No decisions here.

use std::time::Duration;

use bytes::Bytes;
use callboard_client::ANY_VERSION;
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::heartbeat::HeartbeatRequest;
use callboard_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use callboard_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use callboard_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::member;
use crate::assignment::Assignors;
use crate::committer::refusal;
use crate::core::membership::{
    Generation, JoinAnswer, JoinMember, JoinQuestion, Refusal, SyncAnswer, SyncQuestion,
};
use crate::shared::Shared;

/// The protocol type of consumers.
const PROTOCOL_TYPE: &str = "consumer";

/// A JoinGroup is parked for up to the rebalance timeout; its answer may take this much longer.
const JOIN_GRACE: Duration = Duration::from_secs(5);

pub(super) async fn find_coordinator(shared: &Shared) -> Result<i32, Refusal> {
    shared
        .client
        .find_coordinator(&shared.group_id)
        .await
        .map_err(|error| refusal(&error))
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn check(code: i16) -> Result<(), Refusal> {
    match ErrorCode(code) {
        ErrorCode::NONE => Ok(()),
        code => Err(Refusal::Code(code)),
    }
}

/// JoinGroup, with a subscription for each assignor. A refusal may come with the member id to use.
pub(super) async fn join(
    shared: &Shared,
    assignors: &Assignors,
    question: JoinQuestion,
) -> Result<JoinAnswer, (Refusal, String)> {
    let config = shared.client.config();
    // Before the request, so that none that is under way waits for an assignor.
    let protocols = member::subscriptions(shared, assignors, &question).await;
    let mut target = shared.client.parked(question.node);
    target.timeout = config
        .request_timeout
        .max(config.max_poll_interval + JOIN_GRACE);
    let asked = shared
        .client
        .request::<JoinGroupRequest>(target, ANY_VERSION, |version| JoinGroupRequest {
            group_id: shared.group_id.to_string().into(),
            session_timeout_ms: millis(config.session_timeout),
            rebalance_timeout_ms: millis(config.max_poll_interval),
            member_id: question.member_id.into(),
            group_instance_id: config.group_instance_id.clone().map(Into::into),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: protocols
                .into_iter()
                .map(|(name, metadata)| JoinGroupRequestProtocol {
                    name: name.into(),
                    metadata: metadata.to_vec().into(),
                    ..JoinGroupRequestProtocol::default()
                })
                .collect(),
            reason: (version >= 8).then(|| question.reason.into()),
            ..JoinGroupRequest::default()
        })
        .await;
    let failed = |error| (refusal(&error), String::new());
    let answer = asked.map_err(failed)?;
    let response = answer.read().map_err(failed)?;
    check(response.error_code).map_err(|code| (code, response.member_id.to_string()))?;
    Ok(JoinAnswer {
        generation: response.generation_id,
        protocol_type: response.protocol_type.as_ref().map(ToString::to_string),
        protocol: response
            .protocol_name
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        leader: response.leader.to_string(),
        member_id: response.member_id.to_string(),
        skip_assignment: response.skip_assignment,
        members: response
            .members
            .iter()
            .map(|member| JoinMember {
                member_id: member.member_id.to_string(),
                instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
                metadata: Bytes::copy_from_slice(&member.metadata),
            })
            .collect(),
    })
}

/// SyncGroup. What is assigned is told to the assignor before it is told to the core.
pub(super) async fn sync(
    shared: &Shared,
    assignors: &Assignors,
    question: SyncQuestion,
) -> Result<SyncAnswer, Refusal> {
    let config = shared.client.config();
    let generation = question.generation.clone();
    let mut target = shared.client.parked(question.node);
    // A follower's SyncGroup is parked until the leader's arrives.
    target.timeout = config
        .request_timeout
        .max(config.max_poll_interval + JOIN_GRACE);
    let asked = shared
        .client
        .request::<SyncGroupRequest>(target, ANY_VERSION, |version| SyncGroupRequest {
            group_id: shared.group_id.to_string().into(),
            generation_id: question.generation.id,
            member_id: question.generation.member_id.into(),
            group_instance_id: config.group_instance_id.clone().map(Into::into),
            protocol_type: (version >= 5).then(|| PROTOCOL_TYPE.into()),
            protocol_name: (version >= 5).then(|| question.generation.protocol.into()),
            assignments: question
                .assignments
                .into_iter()
                .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                    member_id: member_id.into(),
                    assignment: assignment.to_vec().into(),
                    ..SyncGroupRequestAssignment::default()
                })
                .collect(),
            ..SyncGroupRequest::default()
        })
        .await;
    let answer = asked.map_err(|error| refusal(&error))?;
    let response = answer.read().map_err(|error| refusal(&error))?;
    check(response.error_code)?;
    Ok(SyncAnswer {
        protocol: response.protocol_name.as_ref().map(ToString::to_string),
        assigned: member::assigned(shared, assignors, &generation, &response.assignment).await,
    })
}

pub(super) async fn heartbeat(
    shared: &Shared,
    node: i32,
    generation: Generation,
) -> Result<(), Refusal> {
    let instance_id = shared.client.config().group_instance_id.clone();
    let mut target = shared.client.coordination(node);
    // One that takes as long as the session is of no use any more.
    target.timeout = target.timeout.min(shared.client.config().session_timeout);
    let asked = shared
        .client
        .request::<HeartbeatRequest>(target, ANY_VERSION, |version| HeartbeatRequest {
            group_id: shared.group_id.to_string().into(),
            generation_id: generation.id,
            member_id: generation.member_id.into(),
            group_instance_id: instance_id.filter(|_| version >= 3).map(Into::into),
            ..HeartbeatRequest::default()
        })
        .await;
    let answer = asked.map_err(|error| refusal(&error))?;
    let response = answer.read().map_err(|error| refusal(&error))?;
    check(response.error_code)
}

/// LeaveGroup, once: an error tells nobody anything, and the session ends by itself.
pub(super) async fn leave(shared: &Shared, node: i32, member_id: String, reason: String) {
    let asked = shared
        .client
        .request::<LeaveGroupRequest>(shared.client.coordination(node), ANY_VERSION, |version| {
            let mut request = LeaveGroupRequest {
                group_id: shared.group_id.to_string().into(),
                ..LeaveGroupRequest::default()
            };
            if version >= 3 {
                request.members = vec![MemberIdentity {
                    member_id: member_id.into(),
                    reason: (version >= 5).then(|| reason.into()),
                    ..MemberIdentity::default()
                }];
            } else {
                request.member_id = member_id.into();
            }
            request
        })
        .await;
    if let Err(error) = asked {
        tracing::debug!(%error, "cannot leave the group in order");
    }
}
