//! What the broker serves: one file an API, each turning a wire request into somebody's noun and the noun of the answer
//! back into the wire. Wire versions stop here. No handler waits, and none decides what a group or a log decides.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use callboard_coordinator::request::Paid;
use callboard_protocol::messages as m;
use callboard_protocol::{ApiKey, ErrorCode, Message};
use tokio::sync::Semaphore;

use crate::request::{Follow, Request, Responder, Work};
use crate::services::Services;

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
mod lots;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod produce;
mod refuse;
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
    /// Answers with an error and does nothing.
    pub(crate) refuse: for<'a> fn(Request<'a>, ErrorCode),
}

impl Api {
    pub(crate) fn serves(&self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

/// An API in all versions of its table, or up to one of them. It has a file of its name, and a refusal.
macro_rules! api {
    ($request:ident, $follow:ident, $name:ident) => {
        api!($request, *m::$request::VERSIONS.end(), $follow, $name)
    };
    ($request:ident, $max:expr, $follow:ident, $name:ident) => {
        Api {
            key: <m::$request<'static> as Message<'static>>::KEY,
            min: *m::$request::VERSIONS.start(),
            max: $max,
            follow: Follow::$follow,
            handle: $name::handle,
            refuse: refuse::$name,
        }
    };
}

/// Everything served, in the order of the keys. ApiVersions tells exactly this.
///
/// Barriers are the requests that can wait for somebody else, and those that change topics: what follows
/// them must see the change.
pub(crate) const APIS: &[Api] = &[
    api!(ProduceRequest, AtOnce, produce),
    api!(FetchRequest, Barrier, fetch),
    api!(ListOffsetsRequest, AtOnce, list_offsets),
    api!(MetadataRequest, Barrier, metadata),
    api!(OffsetCommitRequest, AtOnce, offset_commit),
    api!(OffsetFetchRequest, AtOnce, offset_fetch),
    api!(FindCoordinatorRequest, AtOnce, find_coordinator),
    api!(JoinGroupRequest, Barrier, join_group),
    api!(HeartbeatRequest, AtOnce, heartbeat),
    api!(LeaveGroupRequest, AtOnce, leave_group),
    api!(SyncGroupRequest, Barrier, sync_group),
    api!(DescribeGroupsRequest, AtOnce, describe_groups),
    api!(ListGroupsRequest, AtOnce, list_groups),
    api!(ApiVersionsRequest, AtOnce, api_versions),
    api!(CreateTopicsRequest, Barrier, create_topics),
    api!(DeleteTopicsRequest, Barrier, delete_topics),
    // Version 6 is not offered by Kafka 4.2.0 either: it belongs to two-phase commit.
    api!(InitProducerIdRequest, 5, AtOnce, init_producer_id),
    api!(OffsetForLeaderEpochRequest, AtOnce, offset_for_leader_epoch),
    api!(DescribeConfigsRequest, AtOnce, describe_configs),
    api!(CreatePartitionsRequest, Barrier, create_partitions),
    api!(DeleteGroupsRequest, AtOnce, delete_groups),
    api!(
        IncrementalAlterConfigsRequest,
        Barrier,
        incremental_alter_configs
    ),
    api!(OffsetDeleteRequest, AtOnce, offset_delete),
    api!(DescribeClusterRequest, AtOnce, describe_cluster),
];

/// Who gives the right to make the answer of the request in `frame`, if that may be large: many times the request, so that
/// only the broker's state bounds it, or about many groups. Such an answer is paid for before it is made, and made where
/// nobody waits ([`Responder::elsewhere`]).
///
/// [`Responder::elsewhere`]: crate::request::Responder::elsewhere
pub(crate) fn makers<'a>(frame: &[u8], services: &'a Services) -> Option<&'a Arc<Semaphore>> {
    let head = callboard_protocol::header::peek(frame).ok()?;
    let about_groups = matches!(
        head.api_key,
        ApiKey::DESCRIBE_GROUPS | ApiKey::DELETE_GROUPS | ApiKey::OFFSET_FETCH
    );
    if about_groups && lots::may_be_many(frame.len()) {
        return Some(&services.makers_of_lots);
    }
    let large = match head.api_key {
        ApiKey::LIST_GROUPS | ApiKey::DESCRIBE_GROUPS | ApiKey::DESCRIBE_CONFIGS => true,
        // Who names so much names many; it is not decoded twice to be counted.
        ApiKey::METADATA if lots::may_be_many(frame.len()) => true,
        ApiKey::METADATA => body_of(frame)
            .is_none_or(|body| metadata::has_large_answer(&body, &services.topics.snapshot())),
        ApiKey::CREATE_TOPICS => body_of(frame).is_none_or(create_topics::has_large_answer),
        ApiKey::OFFSET_FETCH => body_of(frame).is_none_or(offset_fetch::has_large_answer),
        _ => false,
    };
    large.then_some(&services.makers)
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

/// What was paid for a request that its group takes in long before it is answered.
fn paid(responder: &mut Responder) -> Paid {
    responder.hand_over().map_or_else(Paid::default, Paid::new)
}

/// The line in [`APIS`] of an API.
pub(crate) fn find(key: ApiKey) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key == key)
}
