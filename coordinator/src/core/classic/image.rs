//! What of a group is stored, and how what is stored becomes the group: after a restart and after every append alike.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use callboard_offsets::record::Record;

use super::group::{Group, Marks, Phase, Subscribed};
use super::group_metadata::{GroupMetadataValue, MemberValue, record};
use super::members::Member;
use super::subscription;
use super::votes::Protocol;
use crate::core::effect::Effect;
use crate::core::input::{AppendId, StoredGroup};
use crate::core::step::Step;

/// Generations reserved at a time: what a crash can make the next generation jump.
const RESERVE: i32 = 16;
/// More are reserved when fewer than this are left.
const RESERVE_LOW: i32 = 8;

impl Group {
    /// The group as it would be stored now.
    pub(in crate::core) fn to_value(&self, wall_ms: i64) -> GroupMetadataValue {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let member = |member: &Member| MemberValue {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.as_deref().map(str::to_owned),
            client_id: member.client_id.to_string(),
            client_host: member.client_host.to_string(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: member.assignment.clone(),
        };
        GroupMetadataValue {
            protocol_type: self.protocol_type.as_deref().unwrap_or_default().to_owned(),
            generation: self.generation,
            protocol_name: self.protocol_name.as_deref().map(str::to_owned),
            leader: self
                .leader
                .and_then(|seq| self.members.get(seq))
                .map(|leader| leader.id.to_string()),
            current_state_timestamp_ms: wall_ms,
            members: self.members.iter().map(|(_, one)| member(one)).collect(),
        }
    }

    /// The same with the leader's plan: who is not in it gets nothing, and ids that are no members' are not looked at.
    pub(in crate::core) fn to_planned_value(
        &self,
        wall_ms: i64,
        plan: &BTreeMap<&str, &Bytes>,
    ) -> GroupMetadataValue {
        let mut value = self.to_value(wall_ms);
        for member in &mut value.members {
            member.assignment = plan
                .get(member.member_id.as_str())
                .map(|part| (*part).clone())
                .unwrap_or_default();
        }
        value
    }

    /// Takes a stored value in: the one way in which what is persisted changes, live and in replay. Members that are
    /// there stay as they are but for what is stored of them; deadlines and phase-bound things are the caller's.
    pub(in crate::core) fn apply(&mut self, value: &GroupMetadataValue) {
        // The value of a founding has no type: nobody has joined yet.
        if !value.protocol_type.is_empty() {
            self.protocol_type = Some(Arc::from(value.protocol_type.as_str()));
        }
        self.protocol_name = value.protocol_name.as_deref().map(Arc::from);
        self.recorded = true;
        self.generation = value.generation;
        self.since_wall_ms = value.current_state_timestamp_ms;
        for stored in &value.members {
            let seq = match self.members.find(&stored.member_id) {
                Some(seq) => seq,
                None => {
                    let member = self.stored_member(stored);
                    self.members.insert(member)
                }
            };
            if let Some(member) = self.members.get_mut(seq) {
                member.assignment = stored.assignment.clone();
            }
        }
        self.leader = value
            .leader
            .as_deref()
            .and_then(|leader| self.members.find(leader));
        if self.leader.is_none() {
            self.leader = self.members.iter().next().map(|(seq, _)| seq);
        }
        self.note_subscriptions();
        match &mut self.phase {
            _ if value.members.is_empty() => self.phase = Phase::Empty,
            Phase::Completing(syncing) | Phase::Stable(syncing) => {
                self.phase = Phase::Stable(std::mem::take(syncing))
            }
            Phase::Empty | Phase::Preparing { .. } => self.phase = Phase::Stable(Box::default()),
        }
    }

    /// A member of which nothing is known but what was stored: of its protocols the selected one.
    fn stored_member(&self, stored: &MemberValue) -> Member {
        let protocol = self.protocol_name.as_ref().map(|name| Protocol {
            name: Arc::clone(name),
            metadata: stored.subscription.clone(),
        });
        let instance_id = stored.group_instance_id.as_deref().map(Arc::from);
        let mut member = Member::new(
            stored.member_id.as_str().into(),
            instance_id,
            protocol.into_iter().collect(),
        );
        member.client_id = stored.client_id.as_str().into();
        member.client_host = stored.client_host.as_str().into();
        member.session_timeout_ms = stored.session_timeout_ms;
        // Version 0 of the value had none.
        member.rebalance_timeout_ms = match stored.rebalance_timeout_ms {
            -1 => stored.session_timeout_ms,
            timeout_ms => timeout_ms,
        };
        member
    }

    /// A group that was stored, as its coordinator begins: members with a session that begins now. None if nothing is.
    pub(in crate::core) fn restore(step: &mut Step<'_>, stored: StoredGroup) -> Option<Self> {
        if stored.metadata.is_none() && !stored.has_offsets {
            return None;
        }
        let mut group = Self::new(stored.group_id);
        let mark = stored.generation_mark.unwrap_or(0);
        group.marks = Marks {
            floor: mark,
            reserved: mark,
            coming: None,
        };
        if let Some(value) = &stored.metadata {
            group.apply(value);
        }
        for seq in group.members.seqs() {
            group.restart_session(step, seq);
        }
        Some(group)
    }

    /// What the members read, by their metadata of the selected protocol.
    pub(in crate::core) fn note_subscriptions(&mut self) {
        self.subscribed = Subscribed::Unknown;
        if self.protocol_type.is_none() {
            // Nobody has joined yet: of the first that does nothing is known until its generation begins.
        } else if self.members.is_empty() {
            self.subscribed = Subscribed::To(std::collections::BTreeSet::new());
        } else if self.is_consumer()
            && let Some(protocol) = &self.protocol_name
        {
            let metadata = self
                .members
                .iter()
                .map(|(_, member)| member.metadata(protocol));
            if let Some(topics) = subscription::topics(metadata) {
                self.subscribed = Subscribed::To(topics);
            }
        }
    }

    /// Appends a value, with a mark if generations are running low.
    pub(in crate::core) fn append(
        &mut self,
        step: &mut Step<'_>,
        value: &GroupMetadataValue,
    ) -> AppendId {
        let append_id = step.appends.give(&self.id);
        let mut marks = Vec::new();
        if self.is_mark_low() {
            let generation = self.mark_to_reserve();
            marks.push(self.mark_record(generation));
            self.marks.coming = Some((append_id, generation));
        }
        self.append_with(step, append_id, value, marks);
        append_id
    }

    /// Appends a value, and these marks with it.
    pub(in crate::core) fn append_with(
        &self,
        step: &mut Step<'_>,
        append_id: AppendId,
        value: &GroupMetadataValue,
        marks: Vec<Record>,
    ) {
        let group_id = Arc::clone(&self.id);
        step.effects.push(match value.encode() {
            Ok(value) => {
                let mut records = vec![record(&group_id, value.into())];
                records.extend(marks);
                Effect::Append {
                    append_id,
                    group_id,
                    records,
                }
            }
            Err(error) => Effect::Unwritable {
                append_id,
                group_id,
                error,
            },
        });
    }

    pub(in crate::core) fn is_mark_low(&self) -> bool {
        self.marks.reserved.saturating_sub(self.next_generation()) < RESERVE_LOW
    }

    pub(in crate::core) fn mark_to_reserve(&self) -> i32 {
        self.next_generation().saturating_add(RESERVE - 1)
    }

    pub(in crate::core) fn mark_record(&self, generation: i32) -> Record {
        Record::GenerationMark {
            group: Arc::clone(&self.id),
            generation,
        }
    }
}
