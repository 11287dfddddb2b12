//! LeaveGroup: members that go, one by one or many at once (spec 2.4).

use callboard_protocol::ErrorCode;

use super::group::{Group, InFlight, Phase};
use crate::core::effect::{ExitReason, RebalanceReason, Response};
use crate::core::input::RequestId;
use crate::core::step::Step;
use crate::request::{LeaveGroup, LeavingMember};
use crate::response;

impl Group {
    pub(in crate::core) fn leave(&mut self, step: &mut Step<'_>, id: RequestId, leave: LeaveGroup) {
        let mut answer = response::LeaveGroup {
            error: ErrorCode::NONE,
            members: Vec::with_capacity(leave.members.len()),
        };
        let mut any = false;
        for member in leave.members {
            let error = self
                .leave_one(step, &member)
                .err()
                .unwrap_or(ErrorCode::NONE);
            any |= error == ErrorCode::NONE;
            let LeavingMember {
                member_id,
                group_instance_id,
                ..
            } = member;
            answer.members.push(response::LeftMember {
                member_id,
                group_instance_id,
                error,
            });
        }
        if any {
            match self.phase {
                Phase::Empty => {}
                Phase::Preparing { .. } => self.end_join_if_complete(step),
                Phase::Completing(_) | Phase::Stable(_) => {
                    self.begin_rebalance(step, RebalanceReason::MemberLeave)
                }
            }
        }
        match &mut self.in_flight {
            // It was the last: the answer is given when that is durable.
            Some((_, InFlight::Emptying { leaving, .. })) => *leaving = Some((id, answer)),
            _ => step.answer(id, Response::Leave(answer)),
        }
    }

    fn leave_one(&mut self, step: &mut Step<'_>, member: &LeavingMember) -> Result<(), ErrorCode> {
        let instance_id = member.group_instance_id.as_deref();
        if member.member_id.is_empty() {
            // An admin names a static member by its instance.
            let seq = instance_id.and_then(|instance_id| self.members.find_instance(instance_id));
            self.remove_member(
                step,
                seq.ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?,
                ExitReason::RemovedByOperator,
            );
            return Ok(());
        }
        // KAFKA-7909: an id that was never used may be given back.
        if self.forget_pending(step, &member.member_id) {
            return Ok(());
        }
        let seq = self.members.identify(&member.member_id, instance_id)?;
        self.remove_member(step, seq, ExitReason::Leave);
        Ok(())
    }
}

/// What a group that does not exist answers.
pub(in crate::core) fn absent(leave: LeaveGroup) -> response::LeaveGroup {
    let unknown = |member: LeavingMember| response::LeftMember {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error: ErrorCode::UNKNOWN_MEMBER_ID,
    };
    response::LeaveGroup {
        error: ErrorCode::NONE,
        members: leave.members.into_iter().map(unknown).collect(),
    }
}
