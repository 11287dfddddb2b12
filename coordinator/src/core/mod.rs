//! The rules of the group coordinator, with nothing else: no clock, no log, no randomness, no actor. Time, member ids and
//! what became of an append are inputs; answers and appends are effects.
//!
//! * [`Groups`] is every group of one offsets partition; [`Groups::step`] is the one entry.
//! * A request that changes what is stored appends first. The change is seen, and the request answered, when the append
//!   comes back [`Durable`](Input::Durable); what else is asked about that group waits in order. Commits alone do not
//!   wait for each other: they go to the writer one behind the other, and the writer keeps them in order.
//! * The committed offsets live in the writer's index: [`fetch`] and [`Removal::records`] read it there.

mod classic;
mod effect;
mod groups;
mod input;
mod offsets;
mod refusal;
mod step;
#[cfg(test)]
mod tests;
mod timers;
mod topics;

pub use classic::group::State;
pub use classic::group_metadata::{GROUP_METADATA, GroupMetadataValue, MemberValue};
pub use effect::{CommitOutcome, Effect, Event, ExitReason, RebalanceReason, Removal, Response};
pub use groups::{Census, Groups};
pub use input::{
    AppendId, Commit, CommitPartition, CommitTopic, DeleteOffsets, Fetch, FetchTopic, GroupRequest,
    Input, Now, RequestId, StoredGroup, Unreadable,
};
pub use offsets::expiry::Retention;
pub use offsets::fetch::fetch;
pub(crate) use offsets::fetch::{Committed, tombstones};
pub use refusal::remap;
