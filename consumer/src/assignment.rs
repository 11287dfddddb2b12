//! The assignors of one consumer: which there are, under which rebalance protocol they run, and the only way in which
//! their code is run: on a thread of its own, with a time limit, its panics caught. Owned by membership, across its
//! restarts. Never decides who gets what, and never waits in an actor's mailbox.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_assignor::{AssignError, Assignment, Assignor, RebalanceProtocol};
use callboard_assignor_range::RangeAssignor;
use callboard_assignor_round_robin::RoundRobinAssignor;
use metrics::{counter, histogram};
use tokio::time::Instant;
use tracing::warn;

use crate::handle::ConsumerError;
use crate::metrics::{ASSIGNOR_DURATION_SECONDS, ASSIGNOR_FAILURES_TOTAL};
use crate::shared::lock;

/// The assignors a member joins with, in order of preference.
pub(crate) struct Assignors {
    list: Vec<Arc<dyn Assignor>>,
    protocol: RebalanceProtocol,
    /// How long a call into an assignor may take.
    time_limit: Duration,
    /// What this member was assigned last.
    last: Mutex<Option<Assignment>>,
}

/// Why a call into an assignor brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RunError {
    #[error("assignor {assignor} panicked: {message}")]
    Panicked { assignor: String, message: String },
    #[error("assignor {assignor} took longer than {limit:?}")]
    TookTooLong { assignor: String, limit: Duration },
    #[error("assignor {assignor} has no plan: {error}")]
    Refused {
        assignor: String,
        error: AssignError,
    },
}

impl RunError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Panicked { .. } => "panic",
            Self::TookTooLong { .. } => "timeout",
            Self::Refused { .. } => "error",
        }
    }
}

impl Assignors {
    /// Exactly these. A rebalance waits for nobody longer than `rebalance_timeout`; half of that is left to an assignor.
    pub(crate) fn new(
        list: Vec<Arc<dyn Assignor>>,
        rebalance_timeout: Duration,
    ) -> Result<Self, ConsumerError> {
        let mut names = BTreeSet::new();
        for assignor in &list {
            let name = assignor.name();
            if name.is_empty() || !names.insert(name.to_owned()) {
                return Err(ConsumerError::Config(format!(
                    "assignor names must be unique and not empty, {name:?} is not"
                )));
            }
        }
        Ok(Self {
            protocol: common_protocol(&list)?,
            list,
            time_limit: rebalance_timeout / 2,
            last: Mutex::new(None),
        })
    }

    /// Those that `strategy` names, among Kafka's own and the ones `registered`.
    pub(crate) fn named(
        strategy: &[String],
        registered: Vec<Arc<dyn Assignor>>,
        rebalance_timeout: Duration,
    ) -> Result<Self, ConsumerError> {
        let mut known = registered;
        known.push(Arc::new(RangeAssignor));
        known.push(Arc::new(RoundRobinAssignor));
        let mut list = Vec::new();
        for name in strategy {
            // The first counts: an application may bring its own `range`.
            let Some(assignor) = known.iter().find(|assignor| assignor.name() == name) else {
                let names: Vec<_> = known.iter().map(|assignor| assignor.name()).collect();
                return Err(ConsumerError::Config(format!(
                    "partition.assignment.strategy={name}: no such assignor, known are {}",
                    names.join(", ")
                )));
            };
            list.push(Arc::clone(assignor));
        }
        Self::new(list, rebalance_timeout)
    }

    /// The rebalance protocol of this member.
    pub(crate) fn protocol(&self) -> RebalanceProtocol {
        self.protocol
    }

    /// All, in order of preference.
    pub(crate) fn all(&self) -> &[Arc<dyn Assignor>] {
        &self.list
    }

    /// The one the group chose.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<dyn Assignor>> {
        let found = self.list.iter().find(|assignor| assignor.name() == name);
        found.map(Arc::clone)
    }

    /// What goes into the subscription besides what every assignor gets. An assignor that fails here has nothing to say.
    pub(crate) async fn user_data(
        &self,
        assignor: &Arc<dyn Assignor>,
        topics: &BTreeSet<String>,
    ) -> Option<Vec<u8>> {
        let (topics, last) = (topics.clone(), lock(&self.last).clone());
        let asked = self.run(assignor, move |assignor| {
            Ok(assignor.user_data(&topics, last.as_ref()))
        });
        match asked.await {
            Ok(user_data) => user_data,
            Err(error) => {
                warn!(%error, "joining without user data");
                None
            }
        }
    }

    /// Tells the assignor what this member was assigned.
    pub(crate) async fn assigned(&self, name: &str, assignment: Assignment) {
        *lock(&self.last) = Some(assignment.clone());
        let Some(assignor) = self.get(name) else {
            return;
        };
        let told = self.run(&assignor, move |assignor| {
            assignor.on_assignment(&assignment);
            Ok(())
        });
        if let Err(error) = told.await {
            warn!(%error, "assigned all the same");
        }
    }

    /// Runs `work` with an assignor. What takes too long is not waited for; its thread ends when the assignor returns.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        assignor: &Arc<dyn Assignor>,
        work: impl FnOnce(&dyn Assignor) -> Result<T, AssignError> + Send + 'static,
    ) -> Result<T, RunError> {
        let name = || assignor.name().to_owned();
        let started = Instant::now();
        let worker = Arc::clone(assignor);
        let running = tokio::task::spawn_blocking(move || work(&*worker));
        let done = match tokio::time::timeout(self.time_limit, running).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(error))) => Err(RunError::Refused {
                assignor: name(),
                error,
            }),
            Ok(Err(panicked)) => Err(RunError::Panicked {
                assignor: name(),
                message: panicked
                    .try_into_panic()
                    .map_or_else(|error| error.to_string(), |payload| message(&*payload)),
            }),
            Err(_elapsed) => Err(RunError::TookTooLong {
                assignor: name(),
                limit: self.time_limit,
            }),
        };
        histogram!(ASSIGNOR_DURATION_SECONDS, "assignor" => name()).record(started.elapsed());
        if let Err(error) = &done {
            failed(assignor.name(), error.kind());
        }
        done
    }
}

/// Counts a run without a usable plan.
pub(crate) fn failed(assignor: &str, kind: &'static str) {
    counter!(ASSIGNOR_FAILURES_TOTAL, "assignor" => assignor.to_owned(), "kind" => kind)
        .increment(1);
}

/// What a panic said.
fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

/// The most advanced rebalance protocol that all have in common: whichever of them the group chooses, the members have
/// given up the right partitions before.
fn common_protocol(list: &[Arc<dyn Assignor>]) -> Result<RebalanceProtocol, ConsumerError> {
    let [first, others @ ..] = list else {
        return Err(ConsumerError::Config(
            "a consumer needs an assignor".to_owned(),
        ));
    };
    let in_common = |protocol: &&RebalanceProtocol| {
        let knows = |other: &Arc<dyn Assignor>| other.protocols().contains(protocol);
        others.iter().all(knows)
    };
    first
        .protocols()
        .iter()
        .filter(in_common)
        .max()
        .copied()
        .ok_or_else(|| {
            let names: Vec<_> = list.iter().map(|assignor| assignor.name()).collect();
            ConsumerError::Config(format!(
                "the assignors {} have no rebalance protocol in common",
                names.join(", ")
            ))
        })
}

#[cfg(test)]
mod tests {
    use callboard_assignor::{Group, Plan};

    use callboard_supervision::testing::Limit;

    use super::*;

    const REBALANCE_TIMEOUT: Duration = Duration::from_secs(60);

    /// An assignor by its words alone.
    struct Named(&'static str, &'static [RebalanceProtocol]);

    impl Assignor for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn protocols(&self) -> &[RebalanceProtocol] {
            self.1
        }

        fn user_data(
            &self,
            topics: &BTreeSet<String>,
            last: Option<&Assignment>,
        ) -> Option<Vec<u8>> {
            assert!(!topics.is_empty(), "no topics");
            last.map(|last| last.generation.to_be_bytes().to_vec())
        }

        fn assign(&self, _group: &Group) -> Result<Plan, AssignError> {
            Err(AssignError::new("not today"))
        }
    }

    const EAGER: &[RebalanceProtocol] = &[RebalanceProtocol::Eager];
    const COOPERATIVE: &[RebalanceProtocol] = &[RebalanceProtocol::Cooperative];
    const BOTH: &[RebalanceProtocol] = &[RebalanceProtocol::Cooperative, RebalanceProtocol::Eager];

    fn assignors(
        list: &[(&'static str, &'static [RebalanceProtocol])],
    ) -> Result<Assignors, String> {
        let list = list
            .iter()
            .map(|(name, protocols)| -> Arc<dyn Assignor> { Arc::new(Named(name, protocols)) })
            .collect();
        Assignors::new(list, REBALANCE_TIMEOUT).map_err(|error| error.to_string())
    }

    #[test]
    fn the_most_advanced_protocol_that_all_know_is_used() {
        let protocol = |list: &[_]| assignors(list).map(|assignors| assignors.protocol());
        assert_eq!(protocol(&[("a", BOTH)]), Ok(RebalanceProtocol::Cooperative));
        assert_eq!(
            protocol(&[("a", BOTH), ("b", EAGER)]),
            Ok(RebalanceProtocol::Eager)
        );
        assert_eq!(
            protocol(&[("a", EAGER), ("b", COOPERATIVE)]),
            Err("the assignors a, b have no rebalance protocol in common".to_owned())
        );
        assert_eq!(
            protocol(&[]),
            Err("a consumer needs an assignor".to_owned())
        );
        assert!(protocol(&[("a", EAGER), ("a", EAGER)]).is_err());
    }

    #[test]
    fn the_strategy_names_assignors_in_order() {
        let own: Arc<dyn Assignor> = Arc::new(Named("mine", EAGER));
        let named = |strategy: &[&str]| {
            let strategy: Vec<String> = strategy.iter().map(|&name| name.to_owned()).collect();
            let named = Assignors::named(&strategy, vec![Arc::clone(&own)], REBALANCE_TIMEOUT);
            named
                .map(|named| -> Vec<String> {
                    named
                        .all()
                        .iter()
                        .map(|one| one.name().to_owned())
                        .collect()
                })
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            named(&["roundrobin", "mine", "range"]).unwrap(),
            ["roundrobin", "mine", "range"]
        );
        assert_eq!(
            named(&["sticky"]).unwrap_err(),
            "partition.assignment.strategy=sticky: no such assignor, known are mine, range, roundrobin"
        );
    }

    #[tokio::test]
    async fn a_panic_of_an_assignor_is_an_error_and_joins_without_user_data() {
        let _limit = Limit::start();
        let assignors = assignors(&[("a", EAGER)]).unwrap();
        let assignor = assignors.get("a").unwrap();
        let no_topics = BTreeSet::new();
        assert_eq!(assignors.user_data(&assignor, &no_topics).await, None);
        let ran: Result<(), _> = assignors.run(&assignor, |_| panic!("oh")).await;
        assert_eq!(ran.unwrap_err().to_string(), "assignor a panicked: oh");
    }

    #[tokio::test]
    async fn user_data_is_made_from_the_last_assignment() {
        let _limit = Limit::start();
        let assignors = assignors(&[("a", EAGER)]).unwrap();
        let assignor = assignors.get("a").unwrap();
        let topics = BTreeSet::from(["orders".to_owned()]);
        assert_eq!(assignors.user_data(&assignor, &topics).await, None);
        let assignment = Assignment {
            generation: 5,
            ..Assignment::default()
        };
        assignors.assigned("a", assignment).await;
        assert_eq!(
            assignors.user_data(&assignor, &topics).await,
            Some(vec![0, 0, 0, 5])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_assignor_that_takes_too_long_is_not_waited_for() {
        let _limit = Limit::start();
        let assignors = assignors(&[("a", EAGER)]).unwrap();
        let assignor = assignors.get("a").unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let running = assignors.run(&assignor, move |_| {
            // Until the test lets go.
            let _ = held.recv();
            Ok(())
        });
        tokio::pin!(running);
        // A blocking thread at work holds the paused clock, so it is moved by hand.
        let ran = loop {
            tokio::select! {
                biased;
                ran = &mut running => break ran,
                () = tokio::time::advance(REBALANCE_TIMEOUT / 4) => {}
            }
        };
        assert!(matches!(ran, Err(RunError::TookTooLong { .. })));
        drop(release);
    }
}
