//! Static members (KIP-345): the next process of an instance takes the place of the one before it (spec 4).

use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::group::{Group, InFlight, State};
use super::members::{Parked, Seq};
use crate::core::effect::{Event, ExitReason, RebalanceReason, Response};
use crate::core::input::RequestId;
use crate::core::step::Step;
use crate::request::JoinGroup;

impl Group {
    /// `join` comes without a member id from an instance whose last process sits at `seq`.
    pub(in crate::core) fn take_over(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        join: Box<JoinGroup>,
        seq: Seq,
        member_id: Arc<str>,
    ) {
        match self.state() {
            State::Stable if self.keeps_protocol(seq, &join) => {
                self.write_takeover(step, id, join, seq, member_id)
            }
            State::Stable => {
                self.replace(step, seq, &join, member_id);
                self.park_join(step, id, seq);
                self.begin_rebalance(step, RebalanceReason::ProtocolChange);
            }
            State::CompletingRebalance => {
                // The leader plans for the old id; the new one would get nothing (KAFKA-9801).
                self.replace(step, seq, &join, member_id);
                self.park_join(step, id, seq);
                self.begin_rebalance(step, RebalanceReason::StaticMemberReplaced);
            }
            State::PreparingRebalance => {
                self.replace(step, seq, &join, member_id);
                self.park_join(step, id, seq);
                self.end_join_if_complete(step);
            }
            State::Empty => {
                debug_assert!(false, "an Empty group has no members");
                step.refuse_join(id, ErrorCode::UNKNOWN_SERVER_ERROR, "");
            }
        }
    }

    /// Whether the members would choose the same protocol with this one's new list.
    fn keeps_protocol(&mut self, seq: Seq, join: &JoinGroup) -> bool {
        let protocols = self.members.adopt(join.protocols.clone());
        let before = self.members.set_protocols(seq, protocols);
        let chosen = self.members.elect_protocol();
        self.members.set_protocols(seq, before);
        chosen == self.protocol_name
    }

    /// In a Stable group nobody else need notice, but the new id must outlive a crash before anyone hears of it
    /// (KAFKA-10284).
    fn write_takeover(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        join: Box<JoinGroup>,
        seq: Seq,
        member_id: Arc<str>,
    ) {
        let protocols = self.members.adopt(join.protocols.clone());
        let mut value = self.to_value(step.wall_ms);
        let Some(member) = self.members.get(seq) else {
            return;
        };
        let old_id = member.id.as_ref();
        if value.leader.as_deref() == Some(old_id) {
            value.leader = Some(member_id.to_string());
        }
        for stored in value
            .members
            .iter_mut()
            .filter(|stored| stored.member_id == old_id)
        {
            stored.member_id = member_id.to_string();
            stored.session_timeout_ms = join.session_timeout_ms;
            stored.rebalance_timeout_ms = join.rebalance_timeout_ms;
            let selected = protocols
                .iter()
                .find(|protocol| Some(&protocol.name) == self.protocol_name.as_ref());
            stored.subscription = selected
                .map(|protocol| protocol.metadata.clone())
                .unwrap_or_default();
        }
        let append_id = self.append(step, &value);
        self.in_flight = Some((
            append_id,
            InFlight::Takeover {
                id,
                join,
                member_id,
                seq,
                value: Box::new(value),
            },
        ));
    }

    /// The takeover is durable: no rebalance, the same generation, the same assignment.
    pub(in crate::core) fn takeover_landed(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        join: &JoinGroup,
        seq: Seq,
        member_id: Arc<str>,
    ) {
        let leader_before = self.leader_id();
        self.replace(step, seq, join, Arc::clone(&member_id));
        if join.can_skip_assignment {
            return self.answer_join(step, id, seq, self.is_leader(seq));
        }
        // A leader of an old version would plan with an empty list: it is told that the process before it leads.
        let answer = self.joined(member_id, leader_before, Arc::from([]), false);
        step.answer(id, Response::Join(answer));
    }

    /// The place goes to the next process; who still waits in the name of the last one is fenced (KAFKA-8500).
    fn replace(&mut self, step: &mut Step<'_>, seq: Seq, join: &JoinGroup, member_id: Arc<str>) {
        let Some(member) = self.members.get(seq) else {
            return;
        };
        let old_id = Arc::clone(&member.id);
        match self.members.park(seq, Parked::Nothing) {
            Parked::Nothing => {}
            Parked::Join { request, .. } => {
                step.refuse_join(request, ErrorCode::FENCED_INSTANCE_ID, &old_id)
            }
            Parked::Sync { request } => step.refuse_sync(request, ErrorCode::FENCED_INSTANCE_ID),
        }
        step.note(Event::MemberExited {
            reason: ExitReason::Fenced,
            member_id: old_id,
        });
        self.members.rename(seq, member_id);
        // As in Kafka the session that begins now is still as long as the last process wanted; the next is the new one's.
        self.restart_session(step, seq);
        let protocols = self.members.adopt(join.protocols.clone());
        self.members.set_protocols(seq, protocols);
        if let Some(member) = self.members.get_mut(seq) {
            member.session_timeout_ms = join.session_timeout_ms;
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        }
    }
}
