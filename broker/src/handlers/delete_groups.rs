//! DeleteGroups, versions 0 to 2. A group that is named many times is deleted and answered once.

use std::sync::Arc;

use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::{lots, once_each};
use crate::request::{Request, Work};

/// Bytes of the shortest result without its group's name.
const RESULT_BYTES: usize = 3;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    if lots::may_be_many(request.frame.len()) {
        // Nothing overtakes its later lots.
        work.hold = true;
        return work.effect(request.elsewhere(many));
    }
    let Some((body, request)) = request.decode::<DeleteGroupsRequest<'_>>() else {
        return;
    };
    let names = body.groups_names.iter();
    let group_ids: Vec<_> = names.map(|group| group.as_ref().into()).collect();
    let responder = request
        .responder
        .charging(group_ids.len() * lots::GROUP_BYTES);
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

fn many(request: Request<'_>) {
    let Some((body, request)) = request.decode::<DeleteGroupsRequest<'_>>() else {
        return;
    };
    let (names, _) = once_each(body.groups_names.iter().map(AsRef::as_ref));
    let bytes = |name: &&str| name.len() + RESULT_BYTES;
    if !request
        .responder
        .may_make(names.iter().map(bytes).sum::<usize>())
    {
        return request.responder.close("answer_too_large");
    }
    let mut errors = Vec::with_capacity(names.len());
    let answered = lots::ask(
        request.services(),
        names.iter().map(|name| Arc::from(*name)),
        |group_ids, reply| Call::DeleteGroups(request::DeleteGroups { group_ids }, reply),
        |answer: response::DeleteGroups| {
            errors.extend(answer.results.iter().map(|result| result.error))
        },
        || true,
    );
    if answered && request.responder.is_wanted() {
        let results = names.into_iter().zip(errors);
        let results = results.map(|(name, error)| DeletableGroupResult {
            group_id: name.into(),
            error_code: error.0,
            ..Default::default()
        });
        request.responder.send(&DeleteGroupsResponse {
            results: results.collect(),
            ..Default::default()
        });
    }
}

fn wire(result: &response::DeletedGroup) -> DeletableGroupResult<'_> {
    DeletableGroupResult {
        group_id: result.group_id.as_ref().into(),
        error_code: result.error.0,
        ..Default::default()
    }
}
