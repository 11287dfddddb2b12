//! A running consumer, in the hands of its application: what it owns, how far it is, and its end, in order or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use callboard_client::TopicPartition;
use callboard_supervision::SupervisorMsg;
use callboard_supervision::{Addr, JoinHandle};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::committer::CommitterMsg;
use crate::core::membership::{FatalError, Input};
use crate::event::Events;
use crate::membership::MembershipMsg;
use crate::partition::Progress;
use crate::partitions::PartitionsMsg;
use crate::shared::Shared;

/// What an application's question to its own consumer may take before it counts as unanswered.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a consumer could not start or has ended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// What the builder was told does not make a consumer.
    #[error("{0}")]
    Config(String),
    /// The cluster could not be asked.
    #[error(transparent)]
    Client(#[from] callboard_client::ClientError),
    /// The coordinator will not have this member.
    #[error(transparent)]
    Fatal(#[from] FatalError),
    /// One of the consumer's own actors failed more often than its policy allows.
    #[error("the consumer failed: {0}")]
    Failed(String),
}

/// How to end.
#[derive(Clone, Debug)]
pub struct ShutdownOptions {
    /// How long all of it may take; what is left then is cut off. The records in work have the consumer's drain timeout
    /// of this, and three quarters at most: the rest is for the last commit and for leaving the group.
    pub timeout: Duration,
    /// Told to the coordinator's log.
    pub reason: String,
}

impl Default for ShutdownOptions {
    /// 30 s, with the reason Kafka's own consumer gives.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            reason: "the consumer is being closed".to_owned(),
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownReport {
    /// Every record in work was finished, every acknowledged offset is committed, and the member has left in order.
    pub drained: bool,
    /// The committed offset of every partition it owned at the end, where it knows one.
    pub committed: BTreeMap<TopicPartition, i64>,
    /// Partitions that were given up with something unfinished or uncommitted; it comes again at their next owner.
    pub uncommitted: BTreeSet<TopicPartition>,
    /// Records handled, over the consumer's life.
    pub records: u64,
    /// Of them, those handed to a handler of this consumer more than once.
    pub redelivered: u64,
    /// Commits that succeeded.
    pub commits: u64,
    /// Generations this member took part in.
    pub rebalances: u64,
    /// Failures of handlers.
    pub handler_failures: u64,
    /// How long it took.
    pub took: Duration,
}

/// A running consumer. Dropping it ends the consumer at once, without commit and without leaving the group: call
/// [`shutdown`](Self::shutdown).
pub struct ConsumerHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) root: Addr<SupervisorMsg>,
    pub(crate) first_events: std::sync::Mutex<Option<Events>>,
    pub(crate) closed: CancellationToken,
    pub(crate) outcome: watch::Receiver<Option<Result<(), ConsumerError>>>,
    pub(crate) monitor: JoinHandle,
    pub(crate) over: bool,
}

impl fmt::Debug for ConsumerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerHandle")
            .field("group_id", &self.shared.group_id)
            .finish_non_exhaustive()
    }
}

impl ConsumerHandle {
    /// What happens to it. The first caller hears everything from the start, later ones from their call on.
    #[must_use]
    pub fn events(&self) -> Events {
        let first = crate::shared::lock(&self.first_events).take();
        first.unwrap_or_else(|| self.shared.events.subscribe())
    }

    /// The group.
    #[must_use]
    pub fn group_id(&self) -> &str {
        &self.shared.group_id
    }

    /// The member id, empty before the coordinator gave one.
    #[must_use]
    pub fn member_id(&self) -> String {
        self.shared.identity().generation.member_id
    }

    /// The generation, -1 outside of any.
    #[must_use]
    pub fn generation(&self) -> i32 {
        self.shared.identity().generation.id
    }

    /// The partitions consumed or about to be released, and how far each is.
    #[must_use]
    pub fn progress(&self) -> BTreeMap<TopicPartition, Progress> {
        self.shared
            .cells()
            .into_iter()
            .filter_map(|(partition, cell)| Some((partition, cell.progress()?)))
            .collect()
    }

    /// Commits what is acknowledged now, without waiting for the next interval. Returns the partitions that could not be
    /// committed within `timeout`.
    pub async fn commit(&self, timeout: Duration) -> Vec<TopicPartition> {
        let all = || self.shared.cells().into_keys().collect();
        let Some(committer) = self.shared.slots.committer.get() else {
            return all();
        };
        let asked = committer
            .call(
                |reply| CommitterMsg::CommitNow(timeout, reply),
                timeout + CALL_TIMEOUT,
            )
            .await;
        asked.unwrap_or_else(|_gone| all())
    }

    /// Consumes a paused partition again, with a new handler and its failures forgotten. False if it was not paused.
    pub async fn resume(&self, partition: TopicPartition) -> bool {
        let Some(partitions) = self.shared.slots.partitions.get() else {
            return false;
        };
        partitions
            .call(
                |reply| PartitionsMsg::Resume(partition, reply),
                CALL_TIMEOUT,
            )
            .await
            .unwrap_or(false)
    }

    /// Asks the group for a rebalance (KIP-568), where something changed that only the application knows of: what its
    /// assignor sends as user data, for one. `reason` goes to the coordinator's log. Does nothing outside of a group.
    pub fn enforce_rebalance(&self, reason: impl Into<String>) {
        let asked = Input::Rejoin(reason.into());
        self.shared
            .slots
            .membership
            .cast(MembershipMsg::Step(asked));
    }

    /// Waits until the consumer has ended by itself: the coordinator will not have it, or one of its actors failed too
    /// often. Cancel-safe.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn ended(&self) -> Result<(), ConsumerError> {
        let mut outcome = self.outcome.clone();
        // The sender lives in the monitor; without it the consumer was ended from here.
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_closed) => Ok(()),
        }
    }

    /// Ends in order: stop intake, finish the records in work, commit, leave the group, stop every actor.
    pub async fn shutdown(mut self, options: ShutdownOptions) -> ShutdownReport {
        self.over = true;
        let started = Instant::now();
        let deadline = started + options.timeout;
        // What was left behind in earlier rebalances is not of this end.
        drop(self.shared.take_unfinished());
        let owned = self.shared.cells();
        let left = match self.shared.slots.membership.get() {
            Some(membership) => membership
                .call(
                    |reply| MembershipMsg::Leave {
                        reason: options.reason,
                        within: options.timeout,
                        reply,
                    },
                    options.timeout,
                )
                .await
                .is_ok(),
            None => false,
        };
        let mut uncommitted = self.shared.take_unfinished();
        // What membership did not get to release.
        for (partition, cell) in self.shared.cells() {
            cell.release();
            uncommitted.insert(partition);
        }
        let failed = matches!(*self.outcome.borrow(), Some(Err(_)));
        self.monitor.abort();
        let rest = deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(100));
        let stopped = self
            .root
            .call(
                |reply| SupervisorMsg::Shutdown(rest, reply),
                rest + CALL_TIMEOUT,
            )
            .await;
        if stopped.is_err() {
            self.root.actor().get_cell().kill();
        }
        self.closed.cancel();
        self.shared.client.cut();
        let totals = self.shared.totals();
        ShutdownReport {
            drained: left && !failed && uncommitted.is_empty(),
            committed: owned
                .into_iter()
                .filter_map(|(partition, cell)| Some((partition, cell.progress()?.committed?)))
                .collect(),
            uncommitted,
            records: totals.records,
            redelivered: totals.redelivered,
            commits: totals.commits,
            rebalances: totals.rebalances,
            handler_failures: totals.handler_failures,
            took: started.elapsed(),
        }
    }

    /// Ends as a killed process would: connections cut, actors killed, no commit, no LeaveGroup. The group goes on
    /// without this member once its session has ended. For tests and demonstrations.
    pub fn crash(mut self) {
        self.over = true;
        self.end_now();
    }

    fn end_now(&self) {
        self.monitor.abort();
        self.shared.client.cut();
        for cell in self.shared.cells().into_values() {
            cell.release();
        }
        self.root.actor().get_cell().kill();
        self.closed.cancel();
    }
}

impl Drop for ConsumerHandle {
    fn drop(&mut self) {
        if !self.over {
            warn!(group_id = %self.shared.group_id, "consumer dropped without shutdown");
            self.end_now();
        }
    }
}
