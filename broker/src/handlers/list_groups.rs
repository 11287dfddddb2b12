//! ListGroups, versions 0 to 5: by state from 4 (KIP-518), by type from 5 (KIP-848).

use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::messages::list_groups::{
    ListGroupsRequest, ListGroupsResponse, ListedGroup,
};

use crate::request::{Request, Work};

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<ListGroupsRequest<'_>>() else {
        return;
    };
    let call = request::ListGroups {
        states: body
            .states_filter
            .into_iter()
            .map(std::borrow::Cow::into_owned)
            .collect(),
        types: body
            .types_filter
            .into_iter()
            .map(std::borrow::Cow::into_owned)
            .collect(),
    };
    let responder = request.responder;
    let reply = Reply::new(move |answer: response::ListGroups| {
        responder.elsewhere(move |responder| {
            responder.send(&ListGroupsResponse {
                error_code: answer.error.0,
                groups: answer.groups.iter().map(wire).collect(),
                ..Default::default()
            });
        });
    });
    work.calls.push(Call::ListGroups(call, reply));
}

fn wire(group: &response::ListedGroup) -> ListedGroup<'_> {
    ListedGroup {
        group_id: group.group_id.as_ref().into(),
        protocol_type: group.protocol_type.as_ref().into(),
        group_state: group.state.into(),
        group_type: group.group_type.into(),
        ..Default::default()
    }
}
