//! DeleteGroups, versions 0 to 2.

use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use crate::request::{Request, Work};

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<DeleteGroupsRequest<'_>>() else {
        return;
    };
    let group_ids = body
        .groups_names
        .iter()
        .map(|group| group.as_ref().into())
        .collect();
    let responder = request.responder.holding(work);
    let reply = Reply::new(move |answer: response::DeleteGroups| {
        let results = answer.results.iter().map(wire).collect();
        responder.send(&DeleteGroupsResponse {
            results,
            ..Default::default()
        });
    });
    work.calls.push(Call::DeleteGroups(
        request::DeleteGroups { group_ids },
        reply,
    ));
}

fn wire(result: &response::DeletedGroup) -> DeletableGroupResult<'_> {
    DeletableGroupResult {
        group_id: result.group_id.as_ref().into(),
        error_code: result.error.0,
        ..Default::default()
    }
}
