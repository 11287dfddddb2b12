//! What the broker serves: one file an API, each turning a wire request into somebody's noun and the noun of the answer
//! back into the wire. Wire versions stop here. No handler waits, and none decides what a group or a log decides.

use std::borrow::Cow;
use std::collections::BTreeMap;

use callboard_protocol::ApiKey;
use callboard_protocol::Message;
use callboard_protocol::messages as m;

use crate::request::{Follow, Request, Work};

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
pub(crate) mod refuse;
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

/// Whether the request in `frame` may have an answer of many times its own size, which only the broker's state bounds. Such
/// an answer is paid for before it is made, and made where nobody waits ([`Responder::elsewhere`]).
///
/// [`Responder::elsewhere`]: crate::request::Responder::elsewhere
pub(crate) fn has_large_answer(frame: &[u8]) -> bool {
    let Ok(head) = callboard_protocol::header::peek(frame) else {
        return false;
    };
    match head.api_key {
        ApiKey::LIST_GROUPS | ApiKey::DESCRIBE_GROUPS | ApiKey::DESCRIBE_CONFIGS => true,
        ApiKey::METADATA => body_of(frame).is_none_or(metadata::has_large_answer),
        ApiKey::OFFSET_FETCH => body_of(frame).is_none_or(offset_fetch::has_large_answer),
        _ => false,
    }
}

/// None if it is malformed.
fn body_of<'a, R: callboard_protocol::Request<'a>>(frame: &'a [u8]) -> Option<R> {
    let (header, body) = callboard_protocol::header::read_request(frame).ok()?;
    R::decode(body, header.api_version).ok()
}

/// Each of `all` once, in the order in which they come first, and the place there of each.
fn once_each<T: Ord + Copy>(all: impl Iterator<Item = T>) -> (Vec<T>, Vec<usize>) {
    let mut known = BTreeMap::new();
    let mut once = Vec::new();
    let places = all.map(|one| {
        *known.entry(one).or_insert_with(|| {
            once.push(one);
            once.len() - 1
        })
    });
    let places = places.collect();
    (once, places)
}

/// A string of the wire that outlives its request.
fn owned(text: Option<Cow<'_, str>>) -> Option<String> {
    text.map(Cow::into_owned)
}

/// The place in [`APIS`] of an API, and its line.
pub(crate) fn find(key: ApiKey) -> Option<(usize, &'static Api)> {
    APIS.iter().enumerate().find(|(_, api)| api.key == key)
}
