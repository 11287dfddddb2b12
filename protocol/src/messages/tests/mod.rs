//! All messages at once: against bodies Kafka wrote, and against another codec.

mod golden;
mod peer;

use super::*;
use crate::{DecodeError, Message};

/// Calls `what! { … }` with the names of all messages.
macro_rules! each_message {
    ($what:ident) => {
        $what! {
            ProduceRequest ProduceResponse
            FetchRequest FetchResponse
            ListOffsetsRequest ListOffsetsResponse
            MetadataRequest MetadataResponse
            OffsetCommitRequest OffsetCommitResponse
            OffsetFetchRequest OffsetFetchResponse
            FindCoordinatorRequest FindCoordinatorResponse
            JoinGroupRequest JoinGroupResponse
            HeartbeatRequest HeartbeatResponse
            LeaveGroupRequest LeaveGroupResponse
            SyncGroupRequest SyncGroupResponse
            DescribeGroupsRequest DescribeGroupsResponse
            ListGroupsRequest ListGroupsResponse
            ApiVersionsRequest ApiVersionsResponse
            CreateTopicsRequest CreateTopicsResponse
            DeleteTopicsRequest DeleteTopicsResponse
            InitProducerIdRequest InitProducerIdResponse
            OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse
            DescribeConfigsRequest DescribeConfigsResponse
            CreatePartitionsRequest CreatePartitionsResponse
            DeleteGroupsRequest DeleteGroupsResponse
            IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse
            OffsetDeleteRequest OffsetDeleteResponse
            DescribeClusterRequest DescribeClusterResponse
        }
    };
}
pub(crate) use each_message;

/// Comparing with what is decoded from bytes that live shorter than the value.
trait Reread {
    /// Whether these bytes are read as this very value.
    fn reread(&self, bytes: &[u8], version: i16) -> Result<bool, DecodeError>;
}

macro_rules! reread {
    ($($name:ident)*) => {
        $(impl Reread for $name<'_> {
            fn reread(&self, bytes: &[u8], version: i16) -> Result<bool, DecodeError> {
                $name::decode(bytes, version).map(|read| read == *self)
            }
        })*
    };
}

each_message!(reread);
