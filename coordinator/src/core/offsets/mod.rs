//! Committed offsets of groups: committed, fetched, deleted, and over when nobody needs them any more. What is done to
//! them is the same for groups of every kind; what a kind has to say of its own is [`Owner`].

pub(super) mod commit;
pub(super) mod delete;
pub(super) mod expiry;
pub(super) mod fetch;

use std::collections::BTreeSet;
use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::input::Commit;
use super::step::Step;

/// A group, to its committed offsets: all that they ask of it.
pub(super) trait Owner {
    /// Its name.
    fn group_id(&self) -> &Arc<str>;

    /// Type of its own record, if one is stored. The key is the name and no more.
    fn kind(&self) -> i16;

    /// Fences a commit: whether this member may commit in this generation, or somebody without one. A member that may has
    /// been heard.
    fn admit(&mut self, step: &mut Step<'_>, commit: &Commit) -> Result<(), ErrorCode>;

    /// Whether nobody is in it.
    fn is_empty(&self) -> bool;

    /// Whether there are members and none of them is about to come or go.
    fn is_settled(&self) -> bool;

    /// What its members read, as far as it is known.
    fn reads(&self) -> Reads<'_>;

    /// Wall time since when nobody is in it, if commits are over by that and not each by its own time.
    fn empty_since_ms(&self) -> Option<i64>;
}

/// What the members of a group read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads<'a> {
    /// Nothing.
    Nothing,
    /// These topics.
    Topics(&'a BTreeSet<Arc<str>>),
    /// They subscribe to topics, and it is not known to which: perhaps to any.
    Anything,
    /// They are no consumers, and their own business.
    Untold,
}

impl Reads<'_> {
    /// Whether somebody may read `topic`.
    fn may_be(&self, topic: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Topics(topics) => topics.contains(topic),
            Self::Anything | Self::Untold => true,
        }
    }
}
