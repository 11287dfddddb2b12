//! Offsets nobody needs any more, and groups without any (KIP-211; spec 5.9). The group says which rule holds for it,
//! the writer finds what the rule names.

use std::collections::BTreeSet;
use std::sync::Arc;

use callboard_offsets::record::OffsetCommitValue;

use super::delete::remove;
use super::{Owner, Reads};
use crate::core::effect::Removal;
use crate::core::input::AppendId;
use crate::core::step::Step;

/// When the committed offsets of a group are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Wall time of the check.
    pub(super) now_ms: i64,
    /// `offsets.retention.minutes`.
    pub(super) retention_ms: i64,
    /// Counted from then, if from then: when the group became Empty. Else from each commit.
    pub(super) since_ms: Option<i64>,
    /// Topics whose offsets stay.
    pub(super) subscribed: BTreeSet<Arc<str>>,
    /// Type of the group's own record, if the group ends when nothing is left.
    pub(super) ends_group: Option<i16>,
}

impl Retention {
    /// Whether this commit for `topic` is over.
    pub(super) fn is_over(&self, topic: &str, value: &OffsetCommitValue) -> bool {
        if self.subscribed.contains(topic) {
            return false;
        }
        match value.expire_timestamp_ms {
            Some(expires_ms) => self.now_ms >= expires_ms,
            None => {
                let since_ms = self.since_ms.unwrap_or(value.commit_timestamp_ms);
                self.now_ms.saturating_sub(since_ms) >= self.retention_ms
            }
        }
    }
}

/// Has what is over removed, if anything can be.
pub(in crate::core) fn expire(owner: &impl Owner, step: &mut Step<'_>) -> Option<AppendId> {
    let retention = retention(owner, step)?;
    Some(remove(owner, step, Removal::Expired(retention)))
}

/// None where nothing is ever over: while members come and go (KAFKA-13636), and where it is not known what they read.
fn retention(owner: &impl Owner, step: &Step<'_>) -> Option<Retention> {
    let rule = |since_ms, subscribed, ends_group| Retention {
        now_ms: step.wall_ms,
        retention_ms: step.settings.retention_ms,
        since_ms,
        subscribed,
        ends_group,
    };
    match owner.reads() {
        _ if owner.is_empty() => {
            let ends_group = Some(owner.kind());
            Some(rule(owner.empty_since_ms(), BTreeSet::new(), ends_group))
        }
        Reads::Topics(topics) if owner.is_settled() => Some(rule(None, topics.clone(), None)),
        _ => None,
    }
}
