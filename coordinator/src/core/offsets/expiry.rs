//! Offsets nobody needs any more, and groups without any (KIP-211; spec 5.9). The group says which rule holds for it,
//! the writer finds what the rule names.

use std::collections::BTreeSet;
use std::sync::Arc;

use callboard_offsets::record::OffsetCommitValue;

use crate::core::classic::group::{Group, InFlight, Phase, Subscribed, Waiting};
use crate::core::effect::Removal;
use crate::core::input::StoredGroup;
use crate::core::step::Step;

/// When the committed offsets of a group are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Wall time of the check.
    pub(in crate::core) now_ms: i64,
    /// `offsets.retention.minutes`.
    pub(in crate::core) retention_ms: i64,
    /// Counted from then, if from then: when the group became Empty. Else from each commit.
    pub(in crate::core) since_ms: Option<i64>,
    /// Topics whose offsets stay.
    pub(in crate::core) subscribed: BTreeSet<Arc<str>>,
    /// Whether the group ends if nothing is left.
    pub(in crate::core) ends_group: bool,
}

impl Retention {
    /// Whether this commit for `topic` is over.
    pub(in crate::core) fn is_over(&self, topic: &str, value: &OffsetCommitValue) -> bool {
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

impl Group {
    pub(in crate::core) fn expire(&mut self, step: &mut Step<'_>) {
        if self.in_flight.is_some() {
            return self.waiting.push_back(Waiting::Expire);
        }
        if let Some(retention) = self.retention(step) {
            let ticket = self.remove(step, Removal::Expired(retention));
            self.in_flight = Some((ticket, InFlight::Expiring));
        }
    }

    /// What is left of it after the check.
    pub(in crate::core) fn expired(&mut self, stored: &StoredGroup) {
        if matches!(self.in_flight, Some((_, InFlight::Expiring))) {
            self.in_flight = None;
            self.gone = stored.metadata.is_none() && !stored.has_offsets;
        }
    }

    /// None where nothing is ever over: while members come and go (KAFKA-13636), and where it is not known what they read.
    fn retention(&self, step: &Step<'_>) -> Option<Retention> {
        let rule = |since_ms, subscribed, ends_group| Retention {
            now_ms: step.wall_ms,
            retention_ms: step.settings.retention_ms,
            since_ms,
            subscribed,
            ends_group,
        };
        match (&self.phase, &self.subscribed) {
            (Phase::Empty, _) => {
                let since_ms = Some(self.since_wall_ms)
                    .filter(|since_ms| *since_ms >= 0 && self.protocol_type.is_some());
                Some(rule(since_ms, BTreeSet::new(), true))
            }
            (Phase::Stable(_), Subscribed::To(topics)) if self.is_consumer() => {
                Some(rule(None, topics.clone(), false))
            }
            _ => None,
        }
    }
}
