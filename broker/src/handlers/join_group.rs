//! JoinGroup, versions 0 to 9. The answer may take as long as the rebalance does.
//!
//! * 0 has no rebalance timeout: the session timeout stands for it.
//! * 4 made members ask for their id first (KIP-394), 5 brought static members (KIP-345), 7 the protocol type in the
//!   answer, 8 the reason (KIP-800), 9 skip_assignment (KIP-814).

use bytes::Bytes;
use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};

use super::{owned, paid};
use crate::request::{Request, Work};

const REBALANCE_TIMEOUT: i16 = 1;
const MEMBER_ID_REQUIRED: i16 = 4;
const NULL_PROTOCOL_NAME: i16 = 7;
const SKIP_ASSIGNMENT: i16 = 9;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let version = request.version();
    let Some((body, request)) = request.decode::<JoinGroupRequest<'_>>() else {
        return;
    };
    let protocol = |protocol: JoinGroupRequestProtocol<'_>| request::JoinProtocol {
        name: protocol.name.into_owned(),
        // Copied: it outlives the request, and a slice would pin the whole frame.
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    };
    let mut responder = request.responder;
    let call = request::JoinGroup {
        group_id: body.group_id.as_ref().into(),
        member_id: body.member_id.into_owned(),
        group_instance_id: owned(body.group_instance_id),
        client_id: request
            .header
            .client_id
            .as_deref()
            .unwrap_or_default()
            .to_owned(),
        client_host: request.context.client_host.clone(),
        session_timeout_ms: body.session_timeout_ms,
        rebalance_timeout_ms: if version < REBALANCE_TIMEOUT {
            body.session_timeout_ms
        } else {
            body.rebalance_timeout_ms
        },
        protocol_type: body.protocol_type.into_owned(),
        protocols: body.protocols.into_iter().map(protocol).collect(),
        reason: owned(body.reason),
        member_id_required: version >= MEMBER_ID_REQUIRED,
        can_skip_assignment: version >= SKIP_ASSIGNMENT,
        paid: paid(&mut responder),
    };
    let reply =
        Reply::new(move |answer: response::JoinGroup| responder.send(&wire(&answer, version)));
    work.calls.push(Call::JoinGroup(call, reply));
}

fn wire(answer: &response::JoinGroup, version: i16) -> JoinGroupResponse<'_> {
    let protocol_name = answer.protocol_name.as_deref();
    JoinGroupResponse {
        error_code: answer.error.0,
        generation_id: answer.generation_id,
        protocol_type: answer.protocol_type.as_deref().map(Into::into),
        protocol_name: match version {
            NULL_PROTOCOL_NAME.. => protocol_name.map(Into::into),
            _ => Some(protocol_name.unwrap_or_default().into()),
        },
        leader: answer.leader.as_ref().into(),
        skip_assignment: answer.skip_assignment && version >= SKIP_ASSIGNMENT,
        member_id: answer.member_id.as_ref().into(),
        members: answer.members.iter().map(member).collect(),
        ..Default::default()
    }
}

fn member(member: &response::JoinMember) -> JoinGroupResponseMember<'_> {
    JoinGroupResponseMember {
        member_id: member.member_id.as_ref().into(),
        group_instance_id: member.group_instance_id.as_deref().map(Into::into),
        metadata: member.metadata.as_ref().into(),
        ..Default::default()
    }
}
