//! The classic group: one phase machine, and a file for each thing that can be asked of it or happen to it.

mod closing;
pub(super) mod describe;
pub(super) mod group;
pub(super) mod group_metadata;
mod heartbeat;
mod image;
pub(super) mod join;
mod landed;
pub(super) mod leave;
pub(super) mod members;
mod owner;
mod rare;
mod rebalance;
mod static_member;
mod subscription;
pub(super) mod sync;
mod votes;
