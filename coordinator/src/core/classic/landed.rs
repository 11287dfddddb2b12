//! An append has landed, or failed: what it means for the group that waited for it.

use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::group::{Group, InFlight, Phase, Subscribed, Waiting};
use crate::core::effect::{Effect, Response};
use crate::core::input::{AppendId, GroupRequest};
use crate::core::remap;
use crate::core::step::Step;
use crate::core::timers::TimerKind;
use crate::response;

/// When to try again to end a join phase for which no generation could be reserved.
const RESERVE_RETRY_MS: u64 = 1_000;

impl Group {
    pub(in crate::core) fn landed(
        &mut self,
        step: &mut Step<'_>,
        append_id: AppendId,
        outcome: Result<(), ErrorCode>,
    ) {
        if let Some((coming, generation)) = self.marks.coming
            && coming == append_id
        {
            self.marks.coming = None;
            if outcome.is_ok() {
                self.marks.reserved = self.marks.reserved.max(generation);
                // No mark travels without one.
                self.recorded = true;
            }
        }
        match self.in_flight.take() {
            Some((awaited, change)) if awaited == append_id => match outcome {
                Ok(()) => self.landed_well(step, append_id, change),
                Err(error) => self.failed(step, change, remap(error)),
            },
            other => self.in_flight = other,
        }
    }

    fn landed_well(&mut self, step: &mut Step<'_>, append_id: AppendId, change: InFlight) {
        match change {
            InFlight::Founding(value) => {
                if let Some(value) = value {
                    self.apply(&value);
                }
            }
            InFlight::Plan(value) => {
                self.apply(&value);
                self.plan_landed(step);
            }
            InFlight::Takeover {
                id,
                join,
                member_id,
                seq,
                value,
            } => {
                self.takeover_landed(step, id, &join, seq, member_id);
                // No join phase has ended: what the group reads stays what it was, as in Kafka.
                let subscribed = std::mem::replace(&mut self.subscribed, Subscribed::Unknown);
                self.apply(&value);
                self.subscribed = subscribed;
            }
            InFlight::Emptying { value, leaving } => {
                self.apply(&value);
                if let Some((id, answer)) = leaving {
                    step.answer(id, Response::Leave(answer));
                }
            }
            InFlight::Deleting(id) => {
                step.answer(id, Response::Delete(ErrorCode::NONE));
                self.gone = true;
            }
            InFlight::DeletingOffsets(id, answer) => {
                step.answer(id, Response::DeleteOffsets(answer))
            }
            InFlight::Expiring if matches!(self.phase, Phase::Empty) => {
                // Whether the group ended with its offsets only the index can tell.
                step.effects.push(Effect::Reload {
                    group_id: Arc::clone(&self.id),
                });
                self.in_flight = Some((append_id, InFlight::Expiring));
            }
            InFlight::Expiring => {}
            InFlight::Reserving => self.end_join(step),
        }
    }

    fn failed(&mut self, step: &mut Step<'_>, change: InFlight, error: ErrorCode) {
        match change {
            InFlight::Founding(value) => {
                // There is no such group. Whoever founded it is told why; the others find that out by themselves.
                if let (Some(_), Some(Waiting::Ask(id, GroupRequest::Join { .. }))) =
                    (value, self.waiting.front())
                {
                    step.refuse_join(*id, error, "");
                    self.waiting.pop_front();
                }
                self.gone = true;
            }
            InFlight::Plan(_) => self.plan_failed(step, error),
            InFlight::Takeover { id, .. } => step.refuse_join(id, error, ""),
            InFlight::Emptying { value, leaving } => {
                // Nobody is in it all the same. What is stored tells of members that will not be heard of again.
                self.apply(&value);
                if let Some((id, _)) = leaving {
                    step.answer(id, Response::Leave(response::LeaveGroup::refused(error)));
                }
            }
            InFlight::Deleting(id) => step.answer(id, Response::Delete(error)),
            InFlight::DeletingOffsets(id, _) => {
                step.answer(
                    id,
                    Response::DeleteOffsets(response::OffsetDelete::refused(error)),
                );
            }
            InFlight::Expiring => {}
            InFlight::Reserving => {
                if let Phase::Preparing { timer, .. } = &mut self.phase {
                    step.arm(timer, RESERVE_RETRY_MS, &self.id, || TimerKind::Join);
                }
            }
        }
    }
}
