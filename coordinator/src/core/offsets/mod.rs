//! Committed offsets of groups: committed, fetched, deleted, and over when nobody needs them any more.

pub(super) mod commit;
mod delete;
pub(super) mod expiry;
pub(super) mod fetch;
