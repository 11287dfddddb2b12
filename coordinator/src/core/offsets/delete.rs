//! DeleteGroups and OffsetDelete (spec 2.7, 2.10). What there is to delete is found by the writer, behind the commits
//! that were sent before.

use std::sync::Arc;

use callboard_protocol::ErrorCode;

use crate::core::classic::group::{Group, InFlight, Phase, Subscribed};
use crate::core::effect::{Effect, Removal, Response};
use crate::core::input::{DeleteOffsets, RequestId, Ticket};
use crate::core::step::Step;
use crate::response::{DeletedTopicOffsets, OffsetDelete};

impl Group {
    pub(in crate::core) fn delete(&mut self, step: &mut Step<'_>, id: RequestId) {
        if !matches!(self.phase, Phase::Empty) {
            return step.answer(id, Response::Delete(ErrorCode::NON_EMPTY_GROUP));
        }
        let ticket = self.remove(step, Removal::Group);
        self.in_flight = Some((ticket, InFlight::Deleting(id)));
    }

    pub(in crate::core) fn delete_offsets(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        delete: DeleteOffsets,
    ) {
        if !matches!(self.phase, Phase::Empty) && !self.is_consumer() {
            // What such members read is not known: nothing can be said to be free.
            let refused = OffsetDelete::refused(ErrorCode::NON_EMPTY_GROUP);
            return step.answer(id, Response::DeleteOffsets(refused));
        }
        let mut doomed = Vec::new();
        let mut topics = delete.topics;
        for DeletedTopicOffsets { topic, partitions } in &mut topics {
            let subscribed = self.is_subscribed(topic);
            for (partition, error) in partitions {
                match *error {
                    ErrorCode::NONE if subscribed => *error = ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
                    ErrorCode::NONE => doomed.push((Arc::clone(topic), *partition)),
                    _ => {}
                }
            }
        }
        let answer = OffsetDelete {
            error: ErrorCode::NONE,
            topics,
        };
        if doomed.is_empty() {
            return step.answer(id, Response::DeleteOffsets(answer));
        }
        let ticket = self.remove(step, Removal::Offsets(doomed));
        self.in_flight = Some((ticket, InFlight::DeletingOffsets(id, answer)));
    }

    /// By the subscriptions of the last completed join. Consumers whose metadata does not parse may read anything.
    pub(in crate::core) fn is_subscribed(&self, topic: &str) -> bool {
        match &self.subscribed {
            Subscribed::To(topics) => topics.contains(topic),
            Subscribed::Unknown => self.is_consumer(),
        }
    }

    pub(in crate::core) fn remove(&self, step: &mut Step<'_>, removal: Removal) -> Ticket {
        let ticket = step.tickets.give(&self.id);
        step.effects.push(Effect::Remove {
            ticket,
            group_id: Arc::clone(&self.id),
            removal,
        });
        ticket
    }
}
