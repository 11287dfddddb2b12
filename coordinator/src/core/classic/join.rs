//! JoinGroup: who may become a member, who is one already, and what each gets (spec 2.1, 3.5, 3.6).

use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::group::{Group, Phase};
use super::members::{Member, Parked, Seq};
use super::votes::lists;
use crate::core::effect::{Event, ExitReason, RebalanceReason, Response};
use crate::core::input::RequestId;
use crate::core::step::Step;
use crate::core::timers::{Timer, TimerKind};
use crate::request::JoinGroup;
use crate::response;

/// How long a newcomer's parked JoinGroup is believed in. It cannot heartbeat, and nobody sees that its client is gone
/// (KAFKA-7610).
const NEWCOMER_PATIENCE_MS: u64 = 5 * 60 * 1000;
/// Ids that are given out and not used, of one group. Kafka has no bound; each ends with its session timeout.
pub(in crate::core) const PENDING_MAX: usize = 100_000;

/// What can be told from the request alone.
pub(in crate::core) fn refusal(step: &Step<'_>, join: &JoinGroup) -> Option<ErrorCode> {
    let allowed = step.settings.session_min_ms..=step.settings.session_max_ms;
    if join.group_id.is_empty() {
        Some(ErrorCode::INVALID_GROUP_ID)
    } else if !allowed.contains(&i64::from(join.session_timeout_ms)) {
        Some(ErrorCode::INVALID_SESSION_TIMEOUT)
    } else {
        None
    }
}

impl Group {
    pub(in crate::core) fn join(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        join: Box<JoinGroup>,
        uuid: uuid::Uuid,
    ) {
        if !self.has_room(step, &join.member_id) {
            self.forget_for_lack_of_room(step, &join.member_id);
            return step.refuse_join(id, ErrorCode::GROUP_MAX_SIZE_REACHED, "");
        }
        if !self.supports(&join) {
            return step.refuse_join(id, ErrorCode::INCONSISTENT_GROUP_PROTOCOL, &join.member_id);
        }
        if join.member_id.is_empty() {
            self.join_unknown(step, id, join, uuid);
        } else {
            self.join_known(step, id, *join);
        }
    }

    /// `group.max.size` (spec 3.6). While members come back, places are counted by who has come back.
    fn has_room(&self, step: &Step<'_>, member_id: &str) -> bool {
        let known = self.members.find(member_id);
        let max = step.settings.group_size_max;
        match &self.phase {
            Phase::Empty => true,
            Phase::Preparing { .. } => {
                let waits = known
                    .and_then(|seq| self.members.get(seq))
                    .is_some_and(Member::has_joined);
                waits || self.members.parked_joins() < max
            }
            Phase::Completing(_) | Phase::Stable(_) => known.is_some() || self.members.len() < max,
        }
    }

    /// Who finds no place is no member any more, if it was one. As in Kafka the join phase is not looked at again: its
    /// timer ends it.
    fn forget_for_lack_of_room(&mut self, step: &mut Step<'_>, member_id: &str) {
        self.forget_pending(step, member_id);
        if let Some(seq) = self.members.find(member_id) {
            self.remove_member(step, seq, ExitReason::GroupFull);
        }
    }

    /// KIP-394's rule 8: the founder sets the protocol type; who comes later must share it and a protocol with all.
    fn supports(&self, join: &JoinGroup) -> bool {
        match self.phase {
            Phase::Empty => !join.protocol_type.is_empty() && !join.protocols.is_empty(),
            _ => {
                self.protocol_type.as_deref() == Some(join.protocol_type.as_str())
                    && self.members.share(&join.protocols)
            }
        }
    }

    fn join_unknown(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        join: Box<JoinGroup>,
        uuid: uuid::Uuid,
    ) {
        if let Some(instance_id) = &join.group_instance_id {
            let member_id: Arc<str> = format!("{instance_id}-{uuid}").into();
            return match self.members.find_instance(instance_id) {
                Some(seq) => self.take_over(step, id, join, seq, member_id),
                None => self.add_member(step, id, *join, member_id),
            };
        }
        let member_id: Arc<str> = format!("{}-{uuid}", join.client_id).into();
        if !join.member_id_required {
            return self.add_member(step, id, *join, member_id);
        }
        if self.pending.len() >= PENDING_MAX {
            return step.refuse_join(id, ErrorCode::GROUP_MAX_SIZE_REACHED, "");
        }
        let mut timer = Timer::default();
        let patience_ms = u64::try_from(join.session_timeout_ms).unwrap_or(0);
        step.arm(&mut timer, patience_ms, &self.id, || {
            TimerKind::Pending(Arc::clone(&member_id))
        });
        step.refuse_join(id, ErrorCode::MEMBER_ID_REQUIRED, &member_id);
        self.pending.insert(member_id, timer);
    }

    fn join_known(&mut self, step: &mut Step<'_>, id: RequestId, join: JoinGroup) {
        if let Some((member_id, _)) = self.pending.get_key_value(join.member_id.as_str()) {
            if join.group_instance_id.is_some() {
                // Static members are never asked for an id; Kafka has no better word for it.
                return step.refuse_join(id, ErrorCode::UNKNOWN_SERVER_ERROR, "");
            }
            let member_id = Arc::clone(member_id);
            return self.add_member(step, id, join, member_id);
        }
        let seq = match self
            .members
            .identify(&join.member_id, join.group_instance_id.as_deref())
        {
            Ok(seq) => seq,
            Err(error) => return step.refuse_join(id, error, &join.member_id),
        };
        let unchanged = self.is_unchanged(seq, &join);
        match self.phase {
            // Nobody is in it, so nobody was identified.
            Phase::Empty => step.refuse_join(id, ErrorCode::UNKNOWN_MEMBER_ID, &join.member_id),
            Phase::Preparing { .. } => {
                self.rejoin(step, id, join, seq, RebalanceReason::SubscriptionChange)
            }
            // The answer was lost on its way: here it is again.
            Phase::Completing(_) if unchanged => self.answer_join(step, id, seq, false),
            Phase::Stable(_) if unchanged && !self.is_leader(seq) => {
                self.answer_join(step, id, seq, false)
            }
            // The leader comes back unchanged when the topics have changed.
            Phase::Stable(_) if unchanged => {
                self.rejoin(step, id, join, seq, RebalanceReason::LeaderRejoin)
            }
            Phase::Completing(_) | Phase::Stable(_) => {
                self.rejoin(step, id, join, seq, RebalanceReason::SubscriptionChange);
            }
        }
    }

    /// Whether the member lists what it listed: names, order and bytes.
    fn is_unchanged(&self, seq: Seq, join: &JoinGroup) -> bool {
        self.members
            .get(seq)
            .is_some_and(|member| lists(member.protocols(), &join.protocols))
    }

    /// A new member waits for the join phase to end, and begins one if none is on.
    fn add_member(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        join: JoinGroup,
        member_id: Arc<str>,
    ) {
        self.forget_pending(step, &member_id);
        if let Phase::Preparing {
            initial: Some(initial),
            ..
        } = &mut self.phase
        {
            initial.newcomer = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.into());
        }
        let protocols = self.members.adopt(join.protocols);
        let instance_id = join.group_instance_id.map(Arc::from);
        let mut member = Member::new(member_id, instance_id, protocols);
        member.client_id = join.client_id.into();
        member.client_host = join.client_host;
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        let seq = self.members.insert(member);
        self.leader.get_or_insert(seq);
        self.members.park(
            seq,
            Parked::Join {
                request: id,
                newcomer: true,
            },
        );
        if let Some(member) = self.members.get_mut(seq) {
            step.arm(&mut member.session, NEWCOMER_PATIENCE_MS, &self.id, || {
                TimerKind::Member(seq)
            });
        }
        self.rebalance(step, RebalanceReason::MemberJoin);
    }

    /// A member is back with what it wants now, and waits for the others.
    fn rejoin(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        join: JoinGroup,
        seq: Seq,
        reason: RebalanceReason,
    ) {
        let protocols = self.members.adopt(join.protocols);
        self.members.set_protocols(seq, protocols);
        if let Some(member) = self.members.get_mut(seq) {
            member.session_timeout_ms = join.session_timeout_ms;
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        }
        self.park_join(step, id, seq);
        self.rebalance(step, reason);
    }

    /// Parks a JoinGroup of a member. What it supersedes is answered: Kafka never does, and its client hangs.
    pub(in crate::core) fn park_join(&mut self, step: &mut Step<'_>, id: RequestId, seq: Seq) {
        let Some(member) = self.members.get(seq) else {
            return;
        };
        let (parked, member_id) = (member.parked(), Arc::clone(&member.id));
        let newcomer = matches!(parked, Parked::Join { newcomer: true, .. });
        match self.members.park(
            seq,
            Parked::Join {
                request: id,
                newcomer,
            },
        ) {
            Parked::Nothing => {}
            Parked::Join { request, .. } => {
                step.refuse_join(request, ErrorCode::REBALANCE_IN_PROGRESS, &member_id)
            }
            Parked::Sync { request } => step.refuse_sync(request, ErrorCode::REBALANCE_IN_PROGRESS),
        }
    }

    /// The current generation, for one member.
    pub(in crate::core) fn answer_join(
        &self,
        step: &mut Step<'_>,
        id: RequestId,
        seq: Seq,
        skip_assignment: bool,
    ) {
        let Some(member) = self.members.get(seq) else {
            return;
        };
        let members = if self.is_leader(seq) {
            self.list_members()
        } else {
            Arc::from([])
        };
        let answer = self.joined(
            Arc::clone(&member.id),
            self.leader_id(),
            members,
            skip_assignment,
        );
        step.answer(id, Response::Join(answer));
    }

    pub(in crate::core) fn joined(
        &self,
        member_id: Arc<str>,
        leader: Arc<str>,
        members: Arc<[response::JoinMember]>,
        skip_assignment: bool,
    ) -> response::JoinGroup {
        response::JoinGroup {
            error: ErrorCode::NONE,
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            // A protocol may have the empty name; Kafka's answer then names none.
            protocol_name: self.protocol_name.clone().filter(|name| !name.is_empty()),
            leader,
            skip_assignment,
            member_id,
            members,
        }
    }

    /// Everybody, for the leader, each with its metadata for the selected protocol.
    pub(in crate::core) fn list_members(&self) -> Arc<[response::JoinMember]> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let list = |(_, member): (Seq, &Member)| response::JoinMember {
            member_id: Arc::clone(&member.id),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(list).collect()
    }

    pub(in crate::core) fn forget_pending(&mut self, step: &mut Step<'_>, member_id: &str) -> bool {
        let pending = self.pending.as_mut();
        let Some(mut timer) = pending.and_then(|pending| pending.remove(member_id)) else {
            return false;
        };
        step.timers.clear(&mut timer);
        true
    }

    /// Takes a member out. Who waits under its name is told that it is not known; what follows is the caller's.
    pub(in crate::core) fn remove_member(
        &mut self,
        step: &mut Step<'_>,
        seq: Seq,
        reason: ExitReason,
    ) {
        let Some(mut member) = self.members.remove(seq) else {
            return;
        };
        step.timers.clear(&mut member.session);
        match member.parked() {
            Parked::Nothing => {}
            Parked::Join { request, .. } => {
                step.refuse_join(request, ErrorCode::UNKNOWN_MEMBER_ID, "")
            }
            Parked::Sync { request } => step.refuse_sync(request, ErrorCode::UNKNOWN_MEMBER_ID),
        }
        if self.is_leader(seq) {
            self.leader = self.members.iter().next().map(|(next, _)| next);
        }
        if let Phase::Completing(syncing) | Phase::Stable(syncing) = &mut self.phase {
            syncing.missing.remove(&seq);
        }
        step.note(Event::MemberExited {
            reason,
            member_id: member.id,
        });
    }
}
