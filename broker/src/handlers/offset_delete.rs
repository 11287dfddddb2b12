//! OffsetDelete, version 0 (KIP-496).

use callboard_coordinator::{Call, Reply, request, response};
use callboard_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse,
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use crate::request::{Request, Work};

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<OffsetDeleteRequest<'_>>() else {
        return;
    };
    let topic = |topic: OffsetDeleteRequestTopic<'_>| request::DeleteTopicOffsets {
        topic: topic.name.as_ref().into(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| partition.partition_index)
            .collect(),
    };
    let call = request::OffsetDelete {
        group_id: body.group_id.as_ref().into(),
        topics: body.topics.into_iter().map(topic).collect(),
    };
    let responder = request.responder;
    let reply = Reply::new(move |answer: response::OffsetDelete| {
        responder.send(&OffsetDeleteResponse {
            error_code: answer.error.0,
            topics: answer.topics.iter().map(wire).collect(),
            ..Default::default()
        });
    });
    work.calls.push(Call::OffsetDelete(call, reply));
}

fn wire(topic: &response::DeletedTopicOffsets) -> OffsetDeleteResponseTopic<'_> {
    let partition = |(partition_index, error): &(i32, callboard_protocol::ErrorCode)| {
        OffsetDeleteResponsePartition {
            partition_index: *partition_index,
            error_code: error.0,
            ..Default::default()
        }
    };
    OffsetDeleteResponseTopic {
        name: topic.topic.as_ref().into(),
        partitions: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    }
}
