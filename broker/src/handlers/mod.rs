//! What the broker serves: one file an API, each turning a wire request into somebody's noun and the noun of the answer
//! back into the wire. Wire versions stop here. No handler waits, and none decides what a group or a log decides.

use std::borrow::Cow;

use callboard_protocol::ApiKey;
use callboard_protocol::Message;
use callboard_protocol::messages as m;

use crate::connection::{Follow, Request, Work};

mod api_versions;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
pub(crate) mod internal;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod produce;
mod resolve;
mod sync_group;

/// One API that is served.
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    /// Lowest version served.
    pub(crate) min: i16,
    /// Highest version served.
    pub(crate) max: i16,
    /// Whether what follows on the connection waits for the answer.
    pub(crate) follow: Follow,
    pub(crate) handle: for<'a> fn(Request<'a>, &mut Work),
}

impl Api {
    pub(crate) fn serves(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

/// An API in all versions of its table.
macro_rules! api {
    ($request:ty, $follow:ident, $handle:path) => {
        api!($request, *<$request>::VERSIONS.end(), $follow, $handle)
    };
    ($request:ty, $max:expr, $follow:ident, $handle:path) => {
        Api {
            key: <$request as Message<'static>>::KEY,
            min: *<$request>::VERSIONS.start(),
            max: $max,
            follow: Follow::$follow,
            handle: $handle,
        }
    };
}

/// Everything served, in the order of the keys. ApiVersions tells exactly this.
///
/// Barriers are the requests that can wait for somebody else, and those that change topics: what follows
/// them must see the change.
pub(crate) const APIS: &[Api] = &[
    api!(m::ProduceRequest<'static>, AtOnce, produce::handle),
    api!(m::FetchRequest<'static>, Barrier, fetch::handle),
    api!(m::ListOffsetsRequest<'static>, AtOnce, list_offsets::handle),
    api!(m::MetadataRequest<'static>, Barrier, metadata::handle),
    api!(
        m::OffsetCommitRequest<'static>,
        AtOnce,
        offset_commit::handle
    ),
    api!(m::OffsetFetchRequest<'static>, AtOnce, offset_fetch::handle),
    api!(
        m::FindCoordinatorRequest<'static>,
        AtOnce,
        find_coordinator::handle
    ),
    api!(m::JoinGroupRequest<'static>, Barrier, join_group::handle),
    api!(m::HeartbeatRequest<'static>, AtOnce, heartbeat::handle),
    api!(m::LeaveGroupRequest<'static>, AtOnce, leave_group::handle),
    api!(m::SyncGroupRequest<'static>, Barrier, sync_group::handle),
    api!(
        m::DescribeGroupsRequest<'static>,
        AtOnce,
        describe_groups::handle
    ),
    api!(m::ListGroupsRequest<'static>, AtOnce, list_groups::handle),
    api!(m::ApiVersionsRequest<'static>, AtOnce, api_versions::handle),
    api!(
        m::CreateTopicsRequest<'static>,
        Barrier,
        create_topics::handle
    ),
    api!(
        m::DeleteTopicsRequest<'static>,
        Barrier,
        delete_topics::handle
    ),
    // Version 6 is not offered by Kafka 4.2.0 either: it belongs to two-phase commit.
    api!(
        m::InitProducerIdRequest<'static>,
        5,
        AtOnce,
        init_producer_id::handle
    ),
    api!(
        m::OffsetForLeaderEpochRequest<'static>,
        AtOnce,
        offset_for_leader_epoch::handle
    ),
    api!(
        m::DescribeConfigsRequest<'static>,
        AtOnce,
        describe_configs::handle
    ),
    api!(
        m::CreatePartitionsRequest<'static>,
        Barrier,
        create_partitions::handle
    ),
    api!(
        m::DeleteGroupsRequest<'static>,
        AtOnce,
        delete_groups::handle
    ),
    api!(
        m::IncrementalAlterConfigsRequest<'static>,
        Barrier,
        incremental_alter_configs::handle
    ),
    api!(
        m::OffsetDeleteRequest<'static>,
        AtOnce,
        offset_delete::handle
    ),
    api!(
        m::DescribeClusterRequest<'static>,
        AtOnce,
        describe_cluster::handle
    ),
];

/// A string of the wire that outlives its request.
fn owned(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(Cow::into_owned)
}

/// The place in [`APIS`] of an API, and its line.
pub(crate) fn find(key: ApiKey) -> Option<(usize, &'static Api)> {
    APIS.iter().enumerate().find(|(_, api)| api.key == key)
}
