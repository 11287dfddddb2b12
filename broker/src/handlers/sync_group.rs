//! SyncGroup, versions 0 to 5: static members from 3 (KIP-345), protocol type and name from 5 (KIP-559).

use bytes::Bytes;
use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};

use super::{owned, paid};
use crate::request::{Request, Work};

const PROTOCOL_REQUIRED: i16 = 5;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let version = request.version();
    let Some((body, request)) = request.decode::<SyncGroupRequest<'_>>() else {
        return;
    };
    let assignment = |part: SyncGroupRequestAssignment<'_>| request::SyncAssignment {
        member_id: part.member_id.into_owned(),
        // Copied: it outlives the request, and a slice would pin the whole frame.
        assignment: Bytes::copy_from_slice(&part.assignment),
    };
    let mut responder = request.responder;
    let call = request::SyncGroup {
        group_id: body.group_id.as_ref().into(),
        generation_id: body.generation_id,
        member_id: body.member_id.into_owned(),
        group_instance_id: owned(body.group_instance_id),
        protocol_type: owned(body.protocol_type),
        protocol_name: owned(body.protocol_name),
        protocol_required: version >= PROTOCOL_REQUIRED,
        assignments: body.assignments.into_iter().map(assignment).collect(),
        paid: paid(&mut responder),
    };
    let reply = Reply::new(move |answer: response::SyncGroup| {
        responder.send(&SyncGroupResponse {
            error_code: answer.error.0,
            protocol_type: answer.protocol_type.as_deref().map(Into::into),
            protocol_name: answer.protocol_name.as_deref().map(Into::into),
            assignment: answer.assignment.as_ref().into(),
            ..Default::default()
        });
    });
    work.calls.push(Call::SyncGroup(call, reply));
}
