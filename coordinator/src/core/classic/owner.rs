//! A classic group and its committed offsets: what it says of them, and what waits while they change (spec 2.5 to 2.7,
//! 2.10, 5.9).

use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::group::{Group, InFlight, Phase, Subscribed, Waiting};
use super::group_metadata::GROUP_METADATA;
use super::members::Seq;
use crate::core::effect::Response;
use crate::core::input::{Commit, DeleteOffsets, RequestId, StoredGroup};
use crate::core::offsets::{Owner, Reads, delete, expiry};
use crate::core::step::Step;

impl Owner for Group {
    fn group_id(&self) -> &Arc<str> {
        &self.id
    }

    fn kind(&self) -> i16 {
        GROUP_METADATA
    }

    fn admit(&mut self, step: &mut Step<'_>, commit: &Commit) -> Result<(), ErrorCode> {
        if let Some(seq) = self.may_commit(commit)? {
            // Whoever commits is alive.
            self.restart_session(step, seq);
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        matches!(self.phase, Phase::Empty)
    }

    fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Stable(_))
    }

    /// By the subscriptions of the last completed join. Consumers whose metadata does not parse may read anything.
    fn reads(&self) -> Reads<'_> {
        if !self.is_empty() && !self.is_consumer() {
            return Reads::Untold;
        }
        match &self.subscribed {
            Subscribed::To(topics) => Reads::Topics(topics),
            Subscribed::Unknown if self.is_consumer() => Reads::Anything,
            Subscribed::Unknown => Reads::Nothing,
        }
    }

    fn empty_since_ms(&self) -> Option<i64> {
        let since_ms = Some(self.since_wall_ms);
        since_ms.filter(|since_ms| *since_ms >= 0 && self.protocol_type.is_some())
    }
}

impl Group {
    /// The member that commits; none where a simple consumer may.
    fn may_commit(&self, commit: &Commit) -> Result<Option<Seq>, ErrorCode> {
        let anonymous = commit.generation_id < 0
            && commit.member_id.is_empty()
            && commit.group_instance_id.is_none();
        match self.phase {
            // KAFKA-14201: whatever else it says of itself.
            Phase::Empty if commit.generation_id < 0 => return Ok(None),
            _ if anonymous => return Err(ErrorCode::UNKNOWN_MEMBER_ID),
            _ => {}
        }
        let seq = self
            .members
            .identify(&commit.member_id, commit.group_instance_id.as_deref())?;
        if commit.generation_id != self.generation {
            return Err(ErrorCode::ILLEGAL_GENERATION);
        }
        match self.phase {
            Phase::Completing(_) => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            Phase::Empty | Phase::Preparing { .. } | Phase::Stable(_) => Ok(Some(seq)),
        }
    }

    pub(super) fn delete(&mut self, step: &mut Step<'_>, id: RequestId) {
        match delete::delete(self, step) {
            Ok(append_id) => self.in_flight = Some((append_id, InFlight::Deleting(id))),
            Err(error) => step.answer(id, Response::Delete(error)),
        }
    }

    pub(super) fn delete_offsets(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        delete: DeleteOffsets,
    ) {
        match delete::delete_offsets(self, step, delete) {
            (Some(append_id), answer) => {
                self.in_flight = Some((append_id, InFlight::DeletingOffsets(id, answer)));
            }
            (None, answer) => step.answer(id, Response::DeleteOffsets(answer)),
        }
    }

    pub(in crate::core) fn expire(&mut self, step: &mut Step<'_>) {
        if self.in_flight.is_some() {
            return self.waiting.push_back(Waiting::Expire);
        }
        if let Some(append_id) = expiry::expire(self, step) {
            self.in_flight = Some((append_id, InFlight::Expiring));
        }
    }

    /// What is left of it after the check.
    pub(in crate::core) fn expired(&mut self, stored: &StoredGroup) {
        if matches!(self.in_flight, Some((_, InFlight::Expiring))) {
            self.in_flight = None;
            self.gone = stored.metadata.is_none() && !stored.has_offsets;
        }
    }
}
