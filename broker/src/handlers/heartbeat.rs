//! Heartbeat, versions 0 to 4.

use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

use super::owned;
use crate::request::{Request, Work};

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<HeartbeatRequest<'_>>() else {
        return;
    };
    let call = request::Heartbeat {
        group_id: body.group_id.as_ref().into(),
        generation_id: body.generation_id,
        member_id: body.member_id.into_owned(),
        group_instance_id: owned(body.group_instance_id),
    };
    let responder = request.responder;
    let reply = Reply::new(move |answer: response::Heartbeat| {
        responder.send(&HeartbeatResponse {
            error_code: answer.error.0,
            ..Default::default()
        });
    });
    work.calls.push(Call::Heartbeat(call, reply));
}
