//! Giving partitions up. Revoked: stop intake, finish the record in work, commit, release, within deadlines.
//! Lost: cancel at once and commit nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use callboard_client::TopicPartition;
use callboard_supervision::Timer;
use metrics::{counter, histogram};
use ractor::ActorCell;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{PartitionsMsg, State};
use crate::committer::CommitterMsg;
use crate::core::membership::{LossCause, Ticket};
use crate::event::Event;
use crate::fetchers::FetchersMsg;
use crate::membership::MembershipMsg;
use crate::metrics::{CONSUMER_REBALANCES_TOTAL, CONSUMER_REVOKE_DRAIN_DURATION_SECONDS};
use crate::partition::Cell;
use crate::partition_handler::HandlerMsg;

/// How much longer than the committer this supervisor waits: it may be just restarting.
const COMMIT_GRACE: Duration = Duration::from_secs(1);

/// What a revocation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its handlers to finish their records.
    Draining,
    /// The committer.
    Committing,
}

/// A revocation under way.
pub(super) struct Release {
    ticket: Ticket,
    partitions: BTreeSet<TopicPartition>,
    /// Those with a handler or records, and the handler.
    leaving: BTreeMap<TopicPartition, (Arc<Cell>, Option<ActorCell>)>,
    /// Whose handlers have not said that they are done.
    draining: BTreeSet<TopicPartition>,
    /// Cut off in the middle of something.
    unfinished: BTreeSet<TopicPartition>,
    /// How long the commit may take.
    commit: Duration,
    phase: Phase,
    since: Instant,
    _timer: Timer,
}

impl State {
    pub(super) fn revoke(
        &mut self,
        ticket: Ticket,
        partitions: BTreeSet<TopicPartition>,
        (drain, commit): (Duration, Duration),
    ) {
        let deadline = Instant::now() + drain;
        let mut release = Release {
            ticket,
            leaving: BTreeMap::new(),
            draining: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            commit,
            phase: Phase::Draining,
            since: Instant::now(),
            _timer: self
                .myself
                .send_after(drain, PartitionsMsg::Overdue(ticket, Phase::Draining)),
            partitions,
        };
        // A leave that overtakes a rebalance asks for partitions which are on their way out: their release goes on
        // under the newer ticket.
        for mut earlier in std::mem::take(&mut self.releases) {
            if earlier.partitions.is_subset(&release.partitions) {
                release.leaving.append(&mut earlier.leaving);
                release.draining.append(&mut earlier.draining);
                release.unfinished.append(&mut earlier.unfinished);
            } else {
                self.releases.push(earlier);
            }
        }
        for partition in &release.partitions {
            self.shared
                .slots
                .fetchers
                .cast(FetchersMsg::Remove(partition.clone()));
            self.paused.remove(partition);
            let Some(seat) = self.seats.remove(partition) else {
                continue;
            };
            let (cell, actor) = (seat.cell, seat.actor);
            if cell.progress().is_none() {
                // Not begun: there is nothing to finish and nothing to commit.
                cell.release();
                continue;
            }
            if cell.revoke() {
                if let Some(handler) = cell.handler() {
                    // One that has just failed is heard of as a supervision event.
                    let _ = handler.cast(HandlerMsg::Drain(deadline));
                }
                release.draining.insert(partition.clone());
            }
            release.leaving.insert(partition.clone(), (cell, actor));
        }
        self.releases.push(release);
        self.commit_if_drained();
    }

    pub(super) fn drained(&mut self, cell: &Arc<Cell>, clean: bool) {
        for release in &mut self.releases {
            let ours = release
                .leaving
                .get(&cell.partition)
                .is_some_and(|(leaving, _)| Arc::ptr_eq(leaving, cell));
            if ours {
                release.draining.remove(&cell.partition);
                if !clean {
                    release.unfinished.insert(cell.partition.clone());
                }
            }
        }
        self.commit_if_drained();
    }

    /// A handler ended before it was asked to. If that was at its last record, what it had acknowledged is committed all
    /// the same.
    pub(super) fn draining_handler_ended(&mut self, cell: &Arc<Cell>, reason: &str) {
        let partition = &cell.partition;
        for release in &mut self.releases {
            let Some((leaving, actor)) = release.leaving.get_mut(partition) else {
                continue;
            };
            if Arc::ptr_eq(leaving, cell) {
                *actor = None;
                if release.draining.remove(partition) {
                    warn!(%partition, reason, "handler failed while its partition was revoked");
                    release.unfinished.insert(partition.clone());
                }
            }
        }
        self.commit_if_drained();
    }

    fn commit_if_drained(&mut self) {
        for release in &mut self.releases {
            if release.draining.is_empty() && release.phase == Phase::Draining {
                release.phase = Phase::Committing;
                let timeout = release.commit;
                let overdue = PartitionsMsg::Overdue(release.ticket, Phase::Committing);
                release._timer = self.myself.send_after(timeout + COMMIT_GRACE, overdue);
                self.shared.slots.committer.cast(CommitterMsg::Flush {
                    ticket: release.ticket,
                    timeout,
                    partitions: release.leaving.keys().cloned().collect(),
                });
            }
        }
    }

    pub(super) fn overdue(&mut self, ticket: Ticket, phase: Phase) {
        // Handlers stop waiting at the instant at which this supervisor does: it may be in the next phase when it hears
        // that the one before took too long.
        let Some(release) = self
            .releases
            .iter_mut()
            .find(|release| release.ticket == ticket && release.phase == phase)
        else {
            return;
        };
        match phase {
            Phase::Committing => {
                // The committer did not answer. What is acknowledged and not committed comes again at the next owner.
                let uncommitted = release.leaving.keys().cloned().collect();
                self.flushed(ticket, uncommitted);
            }
            Phase::Draining => {
                warn!(partitions = ?release.draining, "handlers did not finish their records in time");
                release.unfinished.append(&mut release.draining);
                self.commit_if_drained();
            }
        }
    }

    pub(super) fn flushed(&mut self, ticket: Ticket, uncommitted: Vec<TopicPartition>) {
        let Some(at) = self
            .releases
            .iter()
            .position(|release| release.ticket == ticket)
        else {
            return;
        };
        let mut release = self.releases.remove(at);
        release.unfinished.extend(uncommitted);
        for (partition, (cell, actor)) in release.leaving {
            cell.release();
            self.seen.insert(partition, cell.seen());
            self.shared.let_go(&cell);
            if let Some(actor) = actor {
                self.dismiss(&cell, actor);
            }
        }
        let group = || self.shared.group_id.to_string();
        histogram!(CONSUMER_REVOKE_DRAIN_DURATION_SECONDS, "group" => group())
            .record(release.since.elapsed());
        counter!(CONSUMER_REBALANCES_TOTAL, "group" => group(), "kind" => "revoked").increment(1);
        info!(partitions = release.partitions.len(), "partitions revoked");
        self.shared
            .note_unfinished(release.unfinished.iter().cloned());
        self.shared.events.send(Event::Revoked {
            partitions: release.partitions.into_iter().collect(),
            unfinished: release.unfinished.into_iter().collect(),
        });
        self.shared
            .slots
            .membership
            .cast(MembershipMsg::Revoked(ticket));
    }

    pub(super) fn lose(&mut self, partitions: BTreeSet<TopicPartition>, cause: LossCause) {
        for partition in &partitions {
            self.shared
                .slots
                .fetchers
                .cast(FetchersMsg::Remove(partition.clone()));
            self.paused.remove(partition);
            let (cell, actor) = match self.seats.remove(partition) {
                Some(seat) => (seat.cell, seat.actor),
                None => match self.lost_in_release(partition) {
                    Some(found) => found,
                    None => continue,
                },
            };
            let handler = cell.forget_handler();
            cell.release();
            self.seen.insert(partition.clone(), cell.seen());
            self.shared.let_go(&cell);
            if let Some(handler) = handler {
                // A handler that has just failed has nothing to say about a loss.
                let _ = handler.cast(HandlerMsg::Lost);
            }
            if let Some(actor) = actor {
                self.see_off(&cell, actor);
            }
        }
        self.releases
            .retain(|release| !release.partitions.is_empty());
        let group = self.shared.group_id.to_string();
        counter!(CONSUMER_REBALANCES_TOTAL, "group" => group, "kind" => "lost").increment(1);
        warn!(partitions = partitions.len(), %cause, "partitions lost");
        self.shared.note_unfinished(partitions.iter().cloned());
        self.shared.events.send(Event::Lost {
            partitions: partitions.into_iter().collect(),
            cause: cause.to_string(),
        });
        // What is lost is not waited for: with the last of them the others of a revocation are ready.
        self.commit_if_drained();
    }

    /// Nothing of what this actor has is ours any more, wherever it stands.
    pub(super) fn lose_all(&mut self, cause: LossCause) {
        let mut all: BTreeSet<_> = self.seats.keys().cloned().collect();
        for release in &self.releases {
            all.extend(release.partitions.iter().cloned());
        }
        self.lose(all, cause);
    }

    /// Takes a partition out of the revocation it was in: there is nothing left to give up in order.
    fn lost_in_release(
        &mut self,
        partition: &TopicPartition,
    ) -> Option<(Arc<Cell>, Option<ActorCell>)> {
        let mut found = None;
        for release in &mut self.releases {
            release.partitions.remove(partition);
            release.draining.remove(partition);
            found = found.or(release.leaving.remove(partition));
        }
        found
    }
}
