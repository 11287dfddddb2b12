//! Every message there is here: one file an API, each the tables of its request and its answer in Kafka's own words.
//!
//! A field that a version does not have keeps its default when it is read; written, a value other than the default is
//! refused there unless the field is ignorable, as Kafka does. To add an API, add its tables and its two names below.

use crate::{DecodeError, Message};

pub mod api_versions;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sync_group;

pub use api_versions::{ApiVersionsRequest, ApiVersionsResponse};
pub use create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
pub use create_topics::{CreateTopicsRequest, CreateTopicsResponse};
pub use delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
pub use delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
pub use describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
pub use describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
pub use describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
pub use fetch::{FetchRequest, FetchResponse};
pub use find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
pub use heartbeat::{HeartbeatRequest, HeartbeatResponse};
pub use incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
pub use init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
pub use join_group::{JoinGroupRequest, JoinGroupResponse};
pub use leave_group::{LeaveGroupRequest, LeaveGroupResponse};
pub use list_groups::{ListGroupsRequest, ListGroupsResponse};
pub use list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
pub use metadata::{MetadataRequest, MetadataResponse};
pub use offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
pub use offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
pub use offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
pub use offset_for_leader_epoch::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
pub use produce::{ProduceRequest, ProduceResponse};
pub use sync_group::{SyncGroupRequest, SyncGroupResponse};

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

macro_rules! by_name {
    ($($name:ident)*) => {
        /// The names of all messages, as Kafka has them.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// Whether bytes are a body of the message of this name: for tests and fuzzers. None if no message is called so.
        pub fn check(name: &str, bytes: &[u8], version: i16) -> Option<Result<(), DecodeError>> {
            match name {
                $(stringify!($name) => Some($name::decode(bytes, version).map(drop)),)*
                _ => None,
            }
        }
    };
}

each_message!(by_name);

#[cfg(test)]
mod tests;
