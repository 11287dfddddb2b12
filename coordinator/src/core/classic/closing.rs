//! The end of a group's coordinator: whom it still owes an answer.

use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::group::{Group, InFlight, Waiting};
use super::members::Parked;
use crate::core::effect::Response;
use crate::core::input::RequestId;
use crate::core::refusal::refused;
use crate::core::step::Step;
use crate::response;

impl Group {
    /// Everybody who waits is told to look for another coordinator.
    pub(in crate::core) fn close(&mut self, step: &mut Step<'_>) {
        let error = ErrorCode::NOT_COORDINATOR;
        for seq in self.members.seqs() {
            let member_id = self.members.get(seq).map(|member| Arc::clone(&member.id));
            match self.members.park(seq, Parked::Nothing) {
                Parked::Nothing => {}
                Parked::Join { request, .. } => {
                    step.refuse_join(request, error, member_id.as_deref().unwrap_or_default())
                }
                Parked::Sync { request } => step.refuse_sync(request, error),
            }
        }
        match self.in_flight.take() {
            Some((_, InFlight::Takeover { id, .. })) => step.refuse_join(id, error, ""),
            Some((
                _,
                InFlight::Emptying {
                    leaving: Some((id, _)),
                    ..
                },
            )) => {
                step.answer(id, Response::Leave(response::LeaveGroup::refused(error)));
            }
            Some((_, InFlight::Deleting(id))) => step.answer(id, Response::Delete(error)),
            Some((_, InFlight::DeletingOffsets(id, _))) => {
                step.answer(
                    id,
                    Response::DeleteOffsets(response::OffsetDelete::refused(error)),
                );
            }
            _ => {}
        }
        for waiting in self.waiting.take() {
            if let Waiting::Ask(id, request) = waiting {
                step.answer(id, refused(&request, &self.id, error));
            }
        }
    }

    /// Every request it has not answered.
    pub(in crate::core) fn owed(&self) -> Vec<RequestId> {
        let parked = self
            .members
            .iter()
            .filter_map(|(_, member)| match member.parked() {
                Parked::Nothing => None,
                Parked::Join { request, .. } | Parked::Sync { request } => Some(request),
            });
        let waiting = self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Ask(id, _) => Some(*id),
            Waiting::Timer(..) | Waiting::Expire => None,
        });
        let in_flight = match &self.in_flight {
            Some((
                _,
                InFlight::Takeover { id, .. }
                | InFlight::Deleting(id)
                | InFlight::DeletingOffsets(id, _),
            )) => Some(*id),
            Some((
                _,
                InFlight::Emptying {
                    leaving: Some((id, _)),
                    ..
                },
            )) => Some(*id),
            _ => None,
        };
        parked.chain(waiting).chain(in_flight).collect()
    }
}
