//! From the first sign of a rebalance to the assignment that ends it: revoking, joining, planning, syncing, applying.

use std::collections::BTreeSet;
use std::time::Duration;

use callboard_client::TopicPartition;

use super::{
    AfterRevoke, Coordinator, Effect, JoinQuestion, LossCause, Membership, Reason,
    RebalanceProtocol, State, SyncQuestion, Ticket,
};

/// Kafka cuts the reason at this many characters.
const REASON_CHARS_MAX: usize = 255;

/// The commit before a release takes no longer than this.
const COMMIT_TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// How long a revocation may take, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RevokeTimes {
    /// The records in work.
    drain: Duration,
    /// The commit after them.
    commit: Duration,
    /// All of it; then what is not released counts as lost.
    all: Duration,
}

impl Membership {
    /// The group waits for this member, but not longer than the rebalance timeout.
    fn times_to_join(&self) -> RevokeTimes {
        let all = self.config.rebalance_timeout;
        RevokeTimes {
            drain: self.config.drain_timeout.min(all / 2),
            commit: self.config.drain_timeout.min(COMMIT_TIMEOUT_MAX),
            all,
        }
    }

    /// Of the time to leave in, three quarters at most are for the records in work, a sixth for the commit after them, and
    /// what remains for LeaveGroup: a handler that hangs costs its own record, and neither the commit of the other
    /// partitions nor the group's hearing that we have left.
    fn times_to_leave(&self, within: Duration) -> RevokeTimes {
        let join = self.times_to_join();
        RevokeTimes {
            drain: join.drain.min(within * 3 / 4),
            commit: join.commit.min(within / 6),
            all: join.all.min(within * 11 / 12),
        }
    }

    /// Starts the rebalance that was asked for, or goes on with the join that is due.
    pub(super) fn begin_rebalance(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        match &self.state {
            State::Stable => {
                if self.plan_is_outdated() {
                    self.request_rejoin(Reason::MetadataChanged);
                }
                let Some(reason) = self.rejoin.take() else {
                    return;
                };
                self.reason = reason;
                self.rebalance_since = Some(now);
                let giving_up = self.to_give_up();
                if giving_up.is_empty() {
                    self.unjoined(now);
                    self.join_if_due(now, effects);
                } else {
                    let times = self.times_to_join();
                    self.revoke(now, (giving_up, times), AfterRevoke::Join, effects);
                }
            }
            State::Unjoined { .. } => self.join_if_due(now, effects),
            _ => {}
        }
    }

    /// What has to go before JoinGroup.
    fn to_give_up(&self) -> BTreeSet<TopicPartition> {
        match self.config.protocol {
            RebalanceProtocol::Eager => self.owned.clone(),
            RebalanceProtocol::Cooperative => self
                .owned
                .iter()
                .filter(|owned| !self.config.topics.contains(&*owned.topic))
                .cloned()
                .collect(),
        }
    }

    pub(super) fn revoke(
        &mut self,
        now: Duration,
        (partitions, times): (BTreeSet<TopicPartition>, RevokeTimes),
        then: AfterRevoke,
        effects: &mut Vec<Effect>,
    ) {
        let ticket = self.ticket();
        for partition in &partitions {
            self.owned.remove(partition);
        }
        self.state = State::Revoking {
            ticket,
            partitions: partitions.clone(),
            times,
            until: now + times.all,
            then,
        };
        effects.push(Effect::Revoke {
            ticket,
            partitions,
            drain: times.drain,
            commit: times.commit,
        });
    }

    /// [`Input::Revoked`](super::Input::Revoked).
    pub(super) fn revoked(&mut self, now: Duration, answered: Ticket, effects: &mut Vec<Effect>) {
        let State::Revoking { ticket, then, .. } = &self.state else {
            return;
        };
        if *ticket != answered {
            return;
        }
        match then.clone() {
            AfterRevoke::Join => self.unjoined(now),
            AfterRevoke::Apply { assigned } => {
                self.apply(now, assigned, effects);
                self.rejoin = Some(Reason::RevokedForOthers);
            }
            AfterRevoke::Leave { reason } => self.send_leave(reason, effects),
        }
    }

    /// The rebalance timeout is over and the partitions are not released: the coordinator goes on without us, so do we.
    pub(super) fn revocation_overdue(
        &mut self,
        now: Duration,
        ticket: Ticket,
        effects: &mut Vec<Effect>,
    ) {
        if let State::Revoking { partitions, .. } = &mut self.state {
            effects.push(Effect::Lose {
                partitions: std::mem::take(partitions),
                cause: LossCause::RevokeOverdue,
            });
        }
        self.revoked(now, ticket, effects);
    }

    fn join_if_due(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let (State::Unjoined { retry_at }, Coordinator::Known { node }) =
            (&self.state, self.coordinator)
        else {
            return;
        };
        if *retry_at > now {
            return;
        }
        // Eager members own nothing here; a cooperative one says what it keeps.
        debug_assert!(
            self.config.protocol == RebalanceProtocol::Cooperative || self.owned.is_empty()
        );
        let ticket = self.ticket();
        self.state = State::Joining { ticket };
        // Whatever asked for a rebalance meanwhile is served by this one.
        self.rejoin = None;
        self.heartbeat.in_flight = None;
        self.note_reborn();
        let reason: String = self
            .reason
            .to_string()
            .chars()
            .take(REASON_CHARS_MAX)
            .collect();
        effects.push(Effect::Join(
            ticket,
            JoinQuestion {
                node,
                member_id: self.generation.member_id.clone(),
                generation: self.generation.id,
                owned: self.owned.clone(),
                reason,
            },
        ));
    }

    /// The group is formed: sync, from the leader with assignments.
    pub(super) fn sync(
        &mut self,
        assignments: Vec<(String, bytes::Bytes)>,
        effects: &mut Vec<Effect>,
    ) {
        let ticket = self.ticket();
        let Coordinator::Known { node } = self.coordinator else {
            // Lost meanwhile. Once it is found again the join starts over.
            self.unjoined(Duration::ZERO);
            return;
        };
        self.state = State::Syncing { ticket };
        effects.push(Effect::Sync(
            ticket,
            SyncQuestion {
                node,
                generation: self.generation.clone(),
                assignments,
            },
        ));
    }

    /// SyncGroup succeeded with `assigned`.
    pub(super) fn take_assignment(
        &mut self,
        now: Duration,
        assigned: BTreeSet<TopicPartition>,
        effects: &mut Vec<Effect>,
    ) {
        self.void.clear();
        if assigned
            .iter()
            .any(|one| !self.config.topics.contains(&*one.topic))
        {
            // Computed over a subscription that we have changed since. The next may be too.
            self.reason = Reason::AssignmentMismatch;
            let wait = self.join_backoff.next_wait();
            self.unjoined(now + wait);
            return;
        }
        self.join_backoff.reset();
        let moved: BTreeSet<_> = self.owned.difference(&assigned).cloned().collect();
        if moved.is_empty() {
            self.apply(now, assigned, effects);
        } else {
            debug_assert_eq!(self.config.protocol, RebalanceProtocol::Cooperative);
            let times = self.times_to_join();
            self.revoke(
                now,
                (moved, times),
                AfterRevoke::Apply { assigned },
                effects,
            );
        }
    }

    /// Says again what whoever holds the partitions should know.
    pub(super) fn repeat(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        match &self.state {
            State::Revoking {
                ticket,
                partitions,
                times,
                until,
                ..
            } => effects.push(Effect::Revoke {
                ticket: *ticket,
                partitions: partitions.clone(),
                drain: times.drain.min(until.saturating_sub(now) / 2),
                commit: times.commit,
            }),
            State::Stable => {
                let owned = self.owned.clone();
                self.apply(now, owned, effects);
            }
            _ => {}
        }
    }

    pub(super) fn apply(
        &mut self,
        now: Duration,
        assigned: BTreeSet<TopicPartition>,
        effects: &mut Vec<Effect>,
    ) {
        let added: BTreeSet<_> = assigned.difference(&self.owned).cloned().collect();
        let reborn = self.take_reborn(&added);
        self.owned = assigned.clone();
        self.state = State::Stable;
        let since = self.rebalance_since.take().unwrap_or(now);
        effects.push(Effect::Assign {
            generation: self.generation.clone(),
            owned: assigned,
            added,
            reborn,
            leader: self.leader,
            reason: self.reason.clone(),
            took: now.saturating_sub(since),
        });
    }

    /// [`Input::Leave`](super::Input::Leave): gives up what is owned in order, then leaves.
    pub(super) fn leave(
        &mut self,
        now: Duration,
        reason: String,
        within: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let mut all = self.owned.clone();
        match &self.state {
            State::Leaving { .. } | State::Ended => return,
            // What is on its way out goes on under the times of the leave, which may be shorter; what an assignment gave in
            // the same breath is never taken on.
            State::Revoking { partitions, .. } => all.extend(partitions.iter().cloned()),
            State::Idle
            | State::Unjoined { .. }
            | State::Joining { .. }
            | State::Planning { .. }
            | State::Syncing { .. }
            | State::Stable => {}
        }
        if all.is_empty() {
            self.send_leave(reason, effects);
        } else {
            // Cooperative: the commit of what is given up must not wait behind the request either.
            self.abandon_parked(effects);
            let times = self.times_to_leave(within);
            self.revoke(now, (all, times), AfterRevoke::Leave { reason }, effects);
        }
    }

    /// LeaveGroup for a dynamic member the coordinator may know; a static one stays until its session ends.
    pub(super) fn send_leave(&mut self, reason: String, effects: &mut Vec<Effect>) {
        let ticket = self.ticket();
        let member_id = self.generation.member_id.clone();
        match self.coordinator {
            Coordinator::Known { node }
                if self.config.instance_id.is_none() && !member_id.is_empty() =>
            {
                self.abandon_parked(effects);
                self.state = State::Leaving { ticket };
                effects.push(Effect::Leave {
                    ticket,
                    node,
                    member_id,
                    reason,
                });
            }
            _ => {
                self.state = State::Ended;
                effects.push(Effect::Stopped);
            }
        }
    }

    /// A broker reads no further on a connection with a parked request: what comes next needs a fresh one.
    fn abandon_parked(&self, effects: &mut Vec<Effect>) {
        if let (State::Joining { .. } | State::Syncing { .. }, Coordinator::Known { node }) =
            (&self.state, self.coordinator)
        {
            effects.push(Effect::Disconnect(node));
        }
    }

    /// [`Input::Left`](super::Input::Left): errors of LeaveGroup are of no use to anybody.
    pub(super) fn left(&mut self, answered: Ticket, effects: &mut Vec<Effect>) {
        if self.state == (State::Leaving { ticket: answered }) {
            self.state = State::Ended;
            effects.push(Effect::Stopped);
        }
    }
}
