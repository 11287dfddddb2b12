//! LeaveGroup, versions 0 to 5: several members from 3 (KIP-345), reasons from 5 (KIP-800).

use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};

use super::owned;
use crate::request::{Request, Work};

/// The first version with a list of members and an error for each.
const SEVERAL: i16 = 3;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let version = request.version();
    let Some((body, request)) = request.decode::<LeaveGroupRequest<'_>>() else {
        return;
    };
    let leaving = |member: MemberIdentity<'_>| request::LeavingMember {
        member_id: member.member_id.into_owned(),
        group_instance_id: owned(member.group_instance_id),
        reason: owned(member.reason),
    };
    let members = if version >= SEVERAL {
        body.members.into_iter().map(leaving).collect()
    } else {
        vec![request::LeavingMember {
            member_id: body.member_id.into_owned(),
            group_instance_id: None,
            reason: None,
        }]
    };
    let call = request::LeaveGroup {
        group_id: body.group_id.as_ref().into(),
        members,
    };
    let responder = request.responder;
    let reply =
        Reply::new(move |answer: response::LeaveGroup| responder.send(&wire(&answer, version)));
    work.calls.push(Call::LeaveGroup(call, reply));
}

fn wire(answer: &response::LeaveGroup, version: i16) -> LeaveGroupResponse<'_> {
    if version < SEVERAL {
        return LeaveGroupResponse {
            error_code: answer.lifted_error().0,
            ..Default::default()
        };
    }
    LeaveGroupResponse {
        error_code: answer.error.0,
        members: answer.members.iter().map(left).collect(),
        ..Default::default()
    }
}

fn left(member: &response::LeftMember) -> MemberResponse<'_> {
    MemberResponse {
        member_id: member.member_id.as_str().into(),
        group_instance_id: member.group_instance_id.as_deref().map(Into::into),
        error_code: member.error.0,
        ..Default::default()
    }
}
