//! OffsetCommit, versions 2 to 10. The answer comes when the offsets are durable.
//!
//! * Up to 4 a client may say how long it wants them kept; from 6 it tells leader epochs, from 7 its instance id
//!   (KIP-345); 9 knows that a group may not exist (KIP-848); 10 names topics by id.

use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::owned;
use super::resolve::{topic_id, topic_name, topic_ref};
use crate::request::{Request, Work};

const KNOWS_NOT_FOUND: i16 = 9;
const BY_ID: i16 = 10;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let version = request.version();
    let Some((body, request)) = request.decode::<OffsetCommitRequest<'_>>() else {
        return;
    };
    let partition = |partition: OffsetCommitRequestPartition<'_>| request::CommitPartition {
        partition: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: owned(partition.committed_metadata),
    };
    let topic = |topic: OffsetCommitRequestTopic<'_>| request::CommitTopic {
        topic: topic_ref(version >= BY_ID, &topic.name, topic.topic_id),
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    let call = request::OffsetCommit {
        group_id: body.group_id.as_ref().into(),
        generation_id: body.generation_id_or_member_epoch,
        member_id: body.member_id.into_owned(),
        group_instance_id: owned(body.group_instance_id),
        retention_time_ms: Some(body.retention_time_ms).filter(|ms| *ms != -1),
        knows_group_id_not_found: version >= KNOWS_NOT_FOUND,
        topics: body.topics.into_iter().map(topic).collect(),
    };
    let responder = request.responder;
    let reply = Reply::new(move |answer: response::OffsetCommit| responder.send(&wire(&answer)));
    work.calls.push(Call::OffsetCommit(call, reply));
}

fn wire(answer: &response::OffsetCommit) -> OffsetCommitResponse<'_> {
    OffsetCommitResponse {
        topics: answer.topics.iter().map(topic).collect(),
        ..Default::default()
    }
}

fn topic(topic: &response::CommittedTopic) -> OffsetCommitResponseTopic<'_> {
    let partition = |(partition_index, error): &(i32, ErrorCode)| OffsetCommitResponsePartition {
        partition_index: *partition_index,
        error_code: error.0,
        ..Default::default()
    };
    OffsetCommitResponseTopic {
        name: topic_name(&topic.topic),
        topic_id: topic_id(&topic.topic),
        partitions: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    }
}
