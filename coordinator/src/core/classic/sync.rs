//! SyncGroup: the leader's plan is written, then everybody gets its part (spec 2.2, 3.3).

use std::collections::BTreeMap;

use callboard_protocol::ErrorCode;

use super::group::{Group, InFlight, Phase};
use super::members::{Parked, Seq};
use crate::core::effect::{Event, ExitReason, RebalanceReason, Response};
use crate::core::input::RequestId;
use crate::core::step::Step;
use crate::request::SyncGroup;
use crate::response;

/// What can be told from the request alone.
pub(in crate::core) fn refusal(sync: &SyncGroup) -> Option<ErrorCode> {
    if sync.protocol_required && (sync.protocol_type.is_none() || sync.protocol_name.is_none()) {
        Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL)
    } else if sync.group_id.is_empty() {
        Some(ErrorCode::INVALID_GROUP_ID)
    } else {
        None
    }
}

impl Group {
    pub(in crate::core) fn sync(&mut self, step: &mut Step<'_>, id: RequestId, sync: &SyncGroup) {
        let seq = match self.may_sync(sync) {
            Ok(seq) => seq,
            Err(error) => return step.refuse_sync(id, error),
        };
        match &mut self.phase {
            // Nobody is in it, so nobody was identified.
            Phase::Empty => step.refuse_sync(id, ErrorCode::UNKNOWN_MEMBER_ID),
            Phase::Preparing { .. } => step.refuse_sync(id, ErrorCode::REBALANCE_IN_PROGRESS),
            Phase::Completing(syncing) => {
                syncing.missing.remove(&seq);
                self.park_sync(step, id, seq);
                if self.is_leader(seq) {
                    self.write_plan(step, sync);
                }
            }
            Phase::Stable(syncing) => {
                syncing.missing.remove(&seq);
                if syncing.missing.is_empty() {
                    step.timers.clear(&mut syncing.timer);
                }
                // Asking again is no sign of life: only the answer that makes the group Stable begins a session.
                self.answer_sync(step, id, seq);
            }
        }
    }

    /// Who asks, then its generation, then what it takes the protocol to be; the state comes last.
    fn may_sync(&self, sync: &SyncGroup) -> Result<Seq, ErrorCode> {
        let seq = self
            .members
            .identify(&sync.member_id, sync.group_instance_id.as_deref())?;
        let differs = |named: &Option<String>, ours: &Option<std::sync::Arc<str>>| {
            named
                .as_deref()
                .is_some_and(|named| ours.as_deref() != Some(named))
        };
        if sync.generation_id != self.generation {
            Err(ErrorCode::ILLEGAL_GENERATION)
        } else if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol_name, &self.protocol_name)
        {
            Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL)
        } else {
            Ok(seq)
        }
    }

    /// What it supersedes is answered: Kafka never does, and its client hangs.
    fn park_sync(&mut self, step: &mut Step<'_>, id: RequestId, seq: Seq) {
        if let Parked::Sync { request } = self.members.park(seq, Parked::Sync { request: id }) {
            step.refuse_sync(request, ErrorCode::REBALANCE_IN_PROGRESS);
        }
    }

    fn write_plan(&mut self, step: &mut Step<'_>, sync: &SyncGroup) {
        let plan: BTreeMap<_, _> = sync
            .assignments
            .iter()
            .map(|part| (part.member_id.as_str(), &part.assignment))
            .collect();
        let value = self.to_planned_value(step.wall_ms, &plan);
        let append_id = self.append(step, &value);
        self.in_flight = Some((append_id, InFlight::Plan(Box::new(value))));
    }

    /// The plan is durable: everybody who waits gets its part.
    pub(in crate::core) fn plan_landed(&mut self, step: &mut Step<'_>) {
        for seq in self.members.seqs() {
            if let Parked::Sync { request } = self.members.park(seq, Parked::Nothing) {
                self.answer_sync(step, request, seq);
                // Its session may have ended unheeded while it waited.
                self.restart_session(step, seq);
            }
        }
        if let Phase::Stable(syncing) = &mut self.phase
            && syncing.missing.is_empty()
        {
            step.timers.clear(&mut syncing.timer);
        }
        step.note(Event::RebalanceCompleted {
            took_ms: step.now.saturating_sub(self.rebalancing_since),
            generation_id: self.generation,
            members: self.members.len(),
        });
    }

    /// The plan is lost: nobody gets any of it, and everybody comes back.
    pub(in crate::core) fn plan_failed(&mut self, step: &mut Step<'_>, error: ErrorCode) {
        self.break_off_syncs(step, error);
        self.begin_rebalance(step, RebalanceReason::AssignmentWriteError);
    }

    fn answer_sync(&self, step: &mut Step<'_>, id: RequestId, seq: Seq) {
        let Some(member) = self.members.get(seq) else {
            return;
        };
        let answer = response::SyncGroup {
            error: ErrorCode::NONE,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: member.assignment.clone(),
        };
        step.answer(id, Response::Sync(answer));
    }

    /// Members that joined and never fetched their assignment hold partitions nobody works on (KAFKA-12890).
    pub(in crate::core) fn sync_time_over(&mut self, step: &mut Step<'_>) {
        let (Phase::Completing(syncing) | Phase::Stable(syncing)) = &mut self.phase else {
            return;
        };
        let missing = std::mem::take(&mut syncing.missing);
        if missing.is_empty() {
            return;
        }
        for seq in missing {
            self.remove_member(step, seq, ExitReason::RebalanceTimeout);
        }
        self.begin_rebalance(step, RebalanceReason::RebalanceTimeout);
    }
}
