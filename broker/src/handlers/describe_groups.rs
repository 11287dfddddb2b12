//! DescribeGroups, versions 0 to 6. A group that is named many times is described once and answered each time. Only from 6 on a group that does not exist is an error (KIP-1043); before, it is
//! Dead.

use std::sync::Arc;

use bytes::Bytes;
use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::{lots, once_each, operations};
use crate::request::{Request, Responder, Work};

const KNOWS_NOT_FOUND: i16 = 6;
/// Bytes of the shortest answer about a group, beside its name.
const GROUP_BYTES: usize = 12;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    if lots::may_be_many(request.frame.len()) {
        return lots::read(request, work, many);
    }
    let version = request.version();
    let Some((body, request)) = request.decode::<DescribeGroupsRequest<'_>>() else {
        return;
    };
    let asked = body.include_authorized_operations;
    let (group_ids, places) = once_each(body.groups.iter().map(AsRef::as_ref));
    let group_ids: Vec<_> = group_ids.into_iter().map(Into::into).collect();
    let responder = request
        .responder
        .charging(group_ids.len() * lots::GROUP_BYTES);
    let reply = Reply::new(move |answer: response::DescribeGroups| {
        responder.elsewhere(move |responder| {
            send(responder, &answer.groups, &places, asked, version);
        });
    });
    work.calls.push(Call::DescribeGroups(
        request::DescribeGroups { group_ids },
        reply,
    ));
}

fn many(request: Request<'_>) {
    let version = request.version();
    let Some((body, request)) = request.decode::<DescribeGroupsRequest<'_>>() else {
        return;
    };
    // Each naming is answered, in more bytes than this, and each group is told once at least.
    let namings = body.groups.len() * size_of::<Bytes>();
    if !request.responder.may_make(namings) {
        return request.responder.close("answer_too_large");
    }
    let (group_ids, places) = once_each(body.groups.iter().map(AsRef::as_ref));
    let once = group_ids.iter().map(|name| name.len() + GROUP_BYTES);
    if !request.responder.may_make(namings + once.sum::<usize>()) {
        return request.responder.close("answer_too_large");
    }
    let mut groups = Vec::new();
    let answered = lots::ask(
        request.services(),
        group_ids.into_iter().map(Arc::from),
        |group_ids, reply| Call::DescribeGroups(request::DescribeGroups { group_ids }, reply),
        |answer: response::DescribeGroups| groups.extend(answer.groups),
        || request.responder.is_wanted(),
    );
    if answered {
        let asked = body.include_authorized_operations;
        send(request.responder, &groups, &places, asked, version);
    }
}

fn send(
    responder: Responder,
    groups: &[response::DescribedGroup],
    places: &[usize],
    asked: bool,
    version: i16,
) {
    responder.send_shared(groups, places, |groups| DescribeGroupsResponse {
        groups: groups
            .iter()
            .map(|group| wire(group, asked, version))
            .collect(),
        ..Default::default()
    });
}

fn wire(
    group: &response::DescribedGroup,
    operations_asked: bool,
    version: i16,
) -> DescribedGroup<'_> {
    let absent = group.error == ErrorCode::GROUP_ID_NOT_FOUND;
    let error = if absent && version < KNOWS_NOT_FOUND {
        ErrorCode::NONE
    } else {
        group.error
    };
    let message = (absent && version >= KNOWS_NOT_FOUND)
        .then(|| format!("Group {} not found.", group.group_id));
    DescribedGroup {
        error_code: error.0,
        error_message: message.map(Into::into),
        group_id: group.group_id.as_ref().into(),
        group_state: group.state.into(),
        protocol_type: group.protocol_type.as_ref().into(),
        protocol_data: group.protocol_name.as_ref().into(),
        members: group.members.iter().map(member).collect(),
        authorized_operations: operations::if_asked(
            operations_asked && error == ErrorCode::NONE,
            operations::GROUP,
        ),
        ..Default::default()
    }
}

fn member(member: &response::DescribedMember) -> DescribedGroupMember<'_> {
    DescribedGroupMember {
        member_id: member.member_id.as_ref().into(),
        group_instance_id: member.group_instance_id.as_deref().map(Into::into),
        client_id: member.client_id.as_ref().into(),
        client_host: member.client_host.as_ref().into(),
        member_metadata: member.metadata.as_ref().into(),
        member_assignment: member.assignment.as_ref().into(),
        ..Default::default()
    }
}
