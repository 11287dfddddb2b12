//! Heartbeat, and what happens when none comes (spec 2.3, 3.8).

use callboard_protocol::ErrorCode;

use super::group::{Group, Phase};
use super::members::{Parked, Seq};
use crate::core::effect::{ExitReason, RebalanceReason, Response};
use crate::core::input::RequestId;
use crate::core::step::Step;
use crate::request::Heartbeat;

impl Group {
    pub(in crate::core) fn heartbeat(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        heartbeat: &Heartbeat,
    ) {
        let error = match self
            .members
            .identify(&heartbeat.member_id, heartbeat.group_instance_id.as_deref())
        {
            Err(error) => error,
            Ok(_) if heartbeat.generation_id != self.generation => ErrorCode::ILLEGAL_GENERATION,
            Ok(seq) => {
                self.restart_session(step, seq);
                match self.phase {
                    Phase::Preparing { .. } => ErrorCode::REBALANCE_IN_PROGRESS,
                    // Nothing to do but to wait for the plan: no reason to join again.
                    Phase::Empty | Phase::Completing(_) | Phase::Stable(_) => ErrorCode::NONE,
                }
            }
        };
        step.answer(id, Response::Heartbeat(error));
    }

    /// A member was silent for its session timeout, or a newcomer waited for longer than anybody does.
    pub(in crate::core) fn session_over(&mut self, step: &mut Step<'_>, seq: Seq) {
        let Some(member) = self.members.get(seq) else {
            return;
        };
        match member.parked() {
            // It cannot speak while it waits; its session begins anew with the answer.
            Parked::Join {
                newcomer: false, ..
            }
            | Parked::Sync { .. } => return,
            Parked::Join { newcomer: true, .. } | Parked::Nothing => {}
        }
        self.remove_member(step, seq, ExitReason::SessionTimeout);
        match self.phase {
            Phase::Empty => {}
            Phase::Preparing { .. } => self.end_join_if_all_joined(step),
            Phase::Completing(_) | Phase::Stable(_) => {
                self.begin_rebalance(step, RebalanceReason::SessionTimeout)
            }
        }
    }

    /// An id was given out and nobody came with it.
    pub(in crate::core) fn pending_over(&mut self, step: &mut Step<'_>, member_id: &str) {
        self.forget_pending(step, member_id);
        self.end_join_if_all_joined(step);
    }

    /// Somebody the others waited for is gone for good. Unlike a LeaveGroup this cuts even the initial delay short, as in
    /// Kafka.
    fn end_join_if_all_joined(&mut self, step: &mut Step<'_>) {
        if matches!(self.phase, Phase::Preparing { .. }) && self.all_joined() {
            self.end_join(step);
        }
    }
}
