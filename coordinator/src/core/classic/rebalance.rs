//! The join phase: how it begins, when it ends, and the generation it ends in (spec 3.2, 3.4).

use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::ErrorCode;

use super::group::{Group, InFlight, InitialDelay, Phase, Syncing};
use super::group_metadata::GroupMetadataValue;
use super::members::{Parked, Seq};
use crate::core::effect::{Effect, Event, ExitReason, RebalanceReason, Response};
use crate::core::input::AppendId;
use crate::core::step::Step;
use crate::core::timers::{Timer, TimerKind};

impl Group {
    /// Something about the members changed: begins a join phase, or looks whether the one that is on can end.
    pub(in crate::core) fn rebalance(&mut self, step: &mut Step<'_>, reason: RebalanceReason) {
        match self.phase {
            Phase::Preparing { .. } => self.end_join_if_complete(step),
            Phase::Empty | Phase::Completing(_) | Phase::Stable(_) => {
                self.begin_rebalance(step, reason)
            }
        }
    }

    /// Not from Preparing.
    pub(in crate::core) fn begin_rebalance(
        &mut self,
        step: &mut Step<'_>,
        reason: RebalanceReason,
    ) {
        step.note(Event::RebalanceStarted {
            reason,
            generation_id: self.generation,
        });
        self.rebalancing_since = step.now;
        if matches!(self.phase, Phase::Completing(_)) {
            self.break_off_syncs(step, ErrorCode::REBALANCE_IN_PROGRESS);
        }
        if let Phase::Completing(syncing) | Phase::Stable(syncing) = &mut self.phase {
            step.timers.clear(&mut syncing.timer);
        }
        let from_empty = matches!(self.phase, Phase::Empty);
        let mut timer = Timer::default();
        if from_empty {
            // More members may be on their way: never ends early.
            let delay_ms = step.settings.initial_delay_ms;
            let remaining_ms = self.members.rebalance_timeout_ms().saturating_sub(delay_ms);
            step.arm(&mut timer, delay_ms, &self.id, || TimerKind::Join);
            let initial = Box::new(InitialDelay {
                delay_ms,
                remaining_ms,
                newcomer: false,
            });
            self.phase = Phase::Preparing {
                initial: Some(initial),
                timer,
            };
        } else if self.all_joined() {
            self.phase = Phase::Preparing {
                initial: None,
                timer,
            };
            self.end_join(step);
        } else {
            step.arm(
                &mut timer,
                self.members.rebalance_timeout_ms(),
                &self.id,
                || TimerKind::Join,
            );
            self.phase = Phase::Preparing {
                initial: None,
                timer,
            };
        }
        self.reserve_ahead(step);
    }

    /// Parked SyncGroups are answered with an error, and nobody keeps an assignment that is only half given out.
    pub(in crate::core) fn break_off_syncs(&mut self, step: &mut Step<'_>, error: ErrorCode) {
        for seq in self.members.seqs() {
            if let Some(member) = self.members.get_mut(seq) {
                member.assignment = Bytes::new();
                if let Parked::Sync { request } = member.parked() {
                    self.members.park(seq, Parked::Nothing);
                    step.refuse_sync(request, error);
                    // Its session may have ended unheeded while it waited: without a new one a member that is gone would
                    // keep its place, a static one for ever.
                    self.restart_session(step, seq);
                }
            }
        }
    }

    /// Ends the join phase if everybody is there. During the initial delay only time ends it.
    pub(in crate::core) fn end_join_if_complete(&mut self, step: &mut Step<'_>) {
        if matches!(self.phase, Phase::Preparing { initial: None, .. }) && self.all_joined() {
            self.end_join(step);
        }
    }

    /// The join timer went off.
    pub(in crate::core) fn join_time_over(&mut self, step: &mut Step<'_>) {
        if let Phase::Preparing {
            initial: Some(initial),
            timer,
        } = &mut self.phase
            && initial.newcomer
            && initial.remaining_ms != 0
        {
            // Once more for whoever comes with the newcomer, within the rebalance timeout.
            let delay_ms = step.settings.initial_delay_ms.min(initial.remaining_ms);
            let remaining_ms = initial.remaining_ms.saturating_sub(initial.delay_ms);
            **initial = InitialDelay {
                delay_ms,
                remaining_ms,
                newcomer: false,
            };
            return step.arm(timer, delay_ms, &self.id, || TimerKind::Join);
        }
        self.end_join(step);
    }

    /// Ends the join phase with whoever is there.
    pub(in crate::core) fn end_join(&mut self, step: &mut Step<'_>) {
        let Phase::Preparing { initial, timer } = &mut self.phase else {
            return;
        };
        *initial = None;
        step.timers.clear(timer);
        let late: Vec<Seq> = self
            .members
            .iter()
            .filter(|(_, member)| !member.has_joined() && member.instance_id.is_none())
            .map(|(seq, _)| seq)
            .collect();
        for seq in late {
            self.remove_member(step, seq, ExitReason::RebalanceTimeout);
        }
        if self.members.is_empty() {
            return self.become_empty(step);
        }
        if !self.elect_leader() {
            // Static members keep their places until their sessions end, and none of them has come.
            let timeout_ms = self.members.rebalance_timeout_ms();
            if let Phase::Preparing { timer, .. } = &mut self.phase {
                step.arm(timer, timeout_ms, &self.id, || TimerKind::Join);
            }
            return;
        }
        if self.next_generation() > self.marks.reserved {
            return self.reserve_now(step);
        }
        self.begin_generation(step);
    }

    /// The leader stays if it has joined; else whoever joined first takes over. Whether there is one.
    fn elect_leader(&mut self) -> bool {
        let joined = |seq: Seq| {
            self.members
                .get(seq)
                .is_some_and(super::members::Member::has_joined)
        };
        if self.leader.is_some_and(joined) {
            return true;
        }
        match self.members.iter().find(|(_, member)| member.has_joined()) {
            Some((seq, _)) => {
                self.leader = Some(seq);
                true
            }
            None => false,
        }
    }

    fn begin_generation(&mut self, step: &mut Step<'_>) {
        self.generation = self.next_generation();
        self.protocol_name = self.members.elect_protocol();
        self.note_subscriptions();
        let mut timer = Timer::default();
        step.arm(
            &mut timer,
            self.members.rebalance_timeout_ms(),
            &self.id,
            || TimerKind::Sync,
        );
        let seqs = self.members.seqs();
        self.phase = Phase::Completing(Box::new(Syncing {
            missing: seqs.iter().copied().collect(),
            timer,
        }));
        let everybody = self.list_members();
        let leader_id = self.leader_id();
        for seq in seqs {
            if let Parked::Join { request, .. } = self.members.park(seq, Parked::Nothing)
                && let Some(member) = self.members.get(seq)
            {
                let members = if self.is_leader(seq) {
                    Arc::clone(&everybody)
                } else {
                    Arc::from([])
                };
                let answer = self.joined(
                    Arc::clone(&member.id),
                    Arc::clone(&leader_id),
                    members,
                    false,
                );
                step.answer(request, Response::Join(answer));
            }
            self.restart_session(step, seq);
        }
    }

    /// Nobody is left. The group stays, one generation later, when that is written.
    fn become_empty(&mut self, step: &mut Step<'_>) {
        let mut value = self.to_value(step.wall_ms);
        value.generation = self.next_generation();
        value.protocol_name = None;
        let append_id = self.append(step, &value);
        self.in_flight = Some((
            append_id,
            InFlight::Emptying {
                value: Box::new(value),
                leaving: None,
            },
        ));
    }

    /// The next generation there can be.
    pub(in crate::core) fn next_generation(&self) -> i32 {
        // After two thousand million rebalances it begins anew.
        self.generation
            .max(self.marks.floor)
            .checked_add(1)
            .unwrap_or(1)
    }

    /// All generations that are reserved are given out, and no plan was written meanwhile: wait for more.
    fn reserve_now(&mut self, step: &mut Step<'_>) {
        if let Some((append_id, _)) = self.marks.coming {
            self.in_flight = Some((append_id, InFlight::Reserving));
            return;
        }
        let append_id = self.append_mark(step);
        self.in_flight = Some((append_id, InFlight::Reserving));
    }

    /// Reserves generations before they are needed, if none did with a plan. Nobody waits for it.
    fn reserve_ahead(&mut self, step: &mut Step<'_>) {
        if self.marks.coming.is_none() && self.is_mark_low() {
            self.append_mark(step);
        }
    }

    fn append_mark(&mut self, step: &mut Step<'_>) -> AppendId {
        let generation = self.mark_to_reserve();
        let append_id = step.appends.give(&self.id);
        let mark = self.mark_record(generation);
        if self.recorded {
            step.effects.push(Effect::Append {
                append_id,
                group_id: Arc::clone(&self.id),
                records: vec![mark],
            });
        } else {
            // Simple consumers' groups are no more than their offsets, and a mark without a group is lost with them.
            let value = GroupMetadataValue {
                protocol_name: None,
                leader: None,
                members: Vec::new(),
                ..self.to_value(step.wall_ms)
            };
            self.append_with(step, append_id, &value, vec![mark]);
        }
        self.marks.coming = Some((append_id, generation));
        append_id
    }
}
