//! The assignors of one consumer: which there are, under which rebalance protocol they run, and the only way in which
//! their code is run: on a thread of its own, with a time limit, its panics caught. Owned by membership, across its
//! restarts. Never decides who gets what, and never waits in an actor's mailbox.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_assignor::{AssignError, Assignment, Assignor, Need, PlanError, RebalanceProtocol};
use callboard_assignor_range::RangeAssignor;
use callboard_assignor_round_robin::RoundRobinAssignor;
use callboard_assignor_sticky::{CooperativeStickyAssignor, StickyAssignor};
use metrics::{counter, gauge, histogram};
use tokio::time::Instant;

use crate::handle::ConsumerError;
use crate::metrics::{
    ASSIGNOR_DURATION_SECONDS, ASSIGNOR_FAILURES_TOTAL, ASSIGNOR_THREADS_LEFT_BEHIND,
};
use crate::shared::lock;
use crate::threads::{ThreadError, Threads};

/// Kafka's own assignors by the classes that Java's clients are configured with.
const KAFKAS_CLASSES: [(&str, &str); 4] = [
    ("org.apache.kafka.clients.consumer.RangeAssignor", "range"),
    (
        "org.apache.kafka.clients.consumer.RoundRobinAssignor",
        "roundrobin",
    ),
    ("org.apache.kafka.clients.consumer.StickyAssignor", "sticky"),
    (
        "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        "cooperative-sticky",
    ),
];

/// The assignors a member joins with, in order of preference.
pub(crate) struct Assignors {
    list: Vec<Listed>,
    protocol: RebalanceProtocol,
    threads: Threads,
    limits: AssignorLimits,
    /// What this member was assigned last.
    last: Mutex<Option<Assignment>>,
    /// The user data that each assignor made last, also where nobody waited for it any more.
    known: Arc<Mutex<BTreeMap<String, Option<Vec<u8>>>>>,
    /// Assignors that are making theirs.
    at_work: Arc<Mutex<BTreeSet<String>>>,
}

/// An assignor under the name it gave when it was listed; nothing of it is asked again outside of a thread.
#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) name: String,
    /// The most advanced rebalance protocol that it can work under, whatever this member's own is: in the second bounce of
    /// a change to it, members that use it so are led by ones that do not yet.
    pub(crate) style: RebalanceProtocol,
    pub(crate) needs_lag: bool,
    pub(crate) assignor: Arc<dyn Assignor>,
}

impl Listed {
    fn new(assignor: Arc<dyn Assignor>) -> Self {
        let styles = assignor.protocols().iter().max();
        Self {
            name: assignor.name().to_owned(),
            style: styles.copied().unwrap_or(RebalanceProtocol::Eager),
            needs_lag: assignor.needs().contains(&Need::Lag),
            assignor,
        }
    }
}

/// How long calls into an assignor may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AssignorLimits {
    /// A plan, with the group it is made for and its check; and being told of an assignment.
    plan: Duration,
    /// User data. No heartbeat goes out between the last one and the JoinGroup that carries it.
    user_data: Duration,
}

impl AssignorLimits {
    /// A call may take `timeout`; where nothing is set, half of what the group waits for a member in a rebalance. User
    /// data has a third of the session at most: so long may a member be silent without danger.
    pub(crate) fn new(
        timeout: Option<Duration>,
        rebalance_timeout: Duration,
        session_timeout: Duration,
    ) -> Result<Self, ConsumerError> {
        let plan = timeout.unwrap_or(rebalance_timeout / 2);
        if plan.is_zero() || plan > rebalance_timeout {
            return Err(ConsumerError::Config(format!(
                "the assignor timeout of {plan:?} must be above zero and at most max.poll.interval.ms ({rebalance_timeout:?})"
            )));
        }
        Ok(Self {
            plan,
            user_data: plan.min(session_timeout / 3),
        })
    }
}

/// Why a call into an assignor brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RunError {
    #[error("assignor {assignor} panicked: {message}")]
    Panicked { assignor: String, message: String },
    #[error("assignor {assignor} took longer than {limit:?}")]
    TookTooLong { assignor: String, limit: Duration },
    #[error("assignor {assignor} was not run: {left} earlier runs have not ended yet")]
    TooManyLeft { assignor: String, left: usize },
    #[error("assignor {assignor} is at work on its last user data")]
    AtWork { assignor: String },
    #[error("assignor {assignor} was not run: no thread, {error}")]
    NoThread { assignor: String, error: String },
    #[error("assignor {assignor} has no plan: {error}")]
    Refused {
        assignor: String,
        error: AssignError,
    },
    #[error("assignor {assignor} made an invalid plan: {error}")]
    Invalid { assignor: String, error: PlanError },
    #[error("the subscription of {member_id} cannot be read: {error}")]
    Subscription { member_id: String, error: String },
}

impl RunError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Panicked { .. } => "panic",
            Self::TookTooLong { .. } => "timeout",
            Self::TooManyLeft { .. } | Self::AtWork { .. } | Self::NoThread { .. } => "not_run",
            Self::Refused { .. } => "error",
            Self::Invalid { .. } => "invalid",
            Self::Subscription { .. } => "subscription",
        }
    }
}

impl Assignors {
    /// Exactly these.
    pub(crate) fn new(
        list: Vec<Arc<dyn Assignor>>,
        limits: AssignorLimits,
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
            list: list.into_iter().map(Listed::new).collect(),
            threads: Threads::default(),
            limits,
            last: Mutex::new(None),
            known: Arc::default(),
            at_work: Arc::default(),
        })
    }

    /// Those that `strategy` names, by name or by Kafka's class, among Kafka's own and the ones `registered`.
    pub(crate) fn named(
        strategy: &[String],
        registered: Vec<Arc<dyn Assignor>>,
        limits: AssignorLimits,
    ) -> Result<Self, ConsumerError> {
        let mut known = registered;
        known.push(Arc::new(RangeAssignor));
        known.push(Arc::new(RoundRobinAssignor));
        known.push(Arc::new(StickyAssignor));
        known.push(Arc::new(CooperativeStickyAssignor));
        let mut list = Vec::new();
        for name in strategy {
            let of_class = KAFKAS_CLASSES.iter().find(|(class, _)| class == name);
            let short = of_class.map_or(name.as_str(), |(_, short)| short);
            // The first counts: an application may bring its own `range`.
            let Some(assignor) = known.iter().find(|assignor| assignor.name() == short) else {
                let names: Vec<_> = known.iter().map(|assignor| assignor.name()).collect();
                return Err(ConsumerError::Config(format!(
                    "partition.assignment.strategy={name}: no such assignor, known are {}",
                    names.join(", ")
                )));
            };
            list.push(Arc::clone(assignor));
        }
        Self::new(list, limits)
    }

    /// The rebalance protocol of this member.
    pub(crate) fn protocol(&self) -> RebalanceProtocol {
        self.protocol
    }

    /// All, in order of preference.
    pub(crate) fn all(&self) -> &[Listed] {
        &self.list
    }

    /// The one the group chose.
    pub(crate) fn get(&self, name: &str) -> Option<&Listed> {
        self.list.iter().find(|listed| listed.name == name)
    }

    /// What goes into the subscription besides what every assignor gets, made anew. Where that fails, what the assignor
    /// made last stands, or it has nothing to say.
    pub(crate) async fn user_data(
        &self,
        listed: &Listed,
        topics: &BTreeSet<String>,
    ) -> (Option<Vec<u8>>, Result<(), RunError>) {
        let Listed { name, assignor, .. } = listed;
        let made = match AtWork::begin(&self.at_work, name) {
            Some(at_work) => {
                let (topics, last) = (topics.clone(), lock(&self.last).clone());
                let (assignor, known) = (Arc::clone(assignor), Arc::clone(&self.known));
                let limit = self.limits.user_data;
                self.run_within(limit, name, move || {
                    let made = assignor.user_data(&topics, last.as_ref());
                    lock(&known).insert(at_work.assignor.clone(), made.clone());
                    Ok(made)
                })
                .await
            }
            None => {
                let assignor = name.clone();
                let error = RunError::AtWork { assignor };
                count_failure(name, &error);
                Err(error)
            }
        };
        match made {
            Ok(made) => (made, Ok(())),
            Err(error) => (lock(&self.known).get(name).cloned().flatten(), Err(error)),
        }
    }

    /// Tells the assignor what this member was assigned.
    pub(crate) async fn assigned(
        &self,
        name: &str,
        assignment: Assignment,
    ) -> Result<(), RunError> {
        *lock(&self.last) = Some(assignment.clone());
        let Some(listed) = self.get(name) else {
            return Ok(());
        };
        let assignor = Arc::clone(&listed.assignor);
        self.run(name, move || {
            assignor.on_assignment(&assignment);
            Ok(())
        })
        .await
    }

    /// Runs `work`, which calls the assignor of this name or is about its plan, on a thread of its own. What takes too
    /// long is not waited for; its thread ends when the work does, and does not keep the process from ending.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
    ) -> Result<T, RunError> {
        self.run_within(self.limits.plan, name, work).await
    }

    /// How long a plan may take, with what has to be asked for it.
    pub(crate) fn plan_limit(&self) -> Duration {
        self.limits.plan
    }

    /// The same with a limit of its own.
    pub(crate) async fn run_within<T: Send + 'static>(
        &self,
        limit: Duration,
        name: &str,
        work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
    ) -> Result<T, RunError> {
        let started = Instant::now();
        let assignor = name.to_owned();
        let done = match self.threads.run(limit, work).await {
            Ok(done) => done,
            Err(ThreadError::Panicked(message)) => Err(RunError::Panicked { assignor, message }),
            Err(ThreadError::TookTooLong) => Err(RunError::TookTooLong { assignor, limit }),
            Err(ThreadError::TooManyLeft(left)) => Err(RunError::TooManyLeft { assignor, left }),
            Err(ThreadError::NotStarted(error)) => Err(RunError::NoThread { assignor, error }),
        };
        histogram!(ASSIGNOR_DURATION_SECONDS, "assignor" => name.to_owned())
            .record(started.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "a gauge of a few threads")]
        gauge!(ASSIGNOR_THREADS_LEFT_BEHIND, "assignor" => name.to_owned())
            .set(self.threads.left_behind() as f64);
        done.inspect_err(|error| count_failure(name, error))
    }
}

/// Counts a run that brought nothing.
fn count_failure(assignor: &str, error: &RunError) {
    counter!(ASSIGNOR_FAILURES_TOTAL, "assignor" => assignor.to_owned(), "kind" => error.kind())
        .increment(1);
}

/// An assignor is making user data, until this is dropped: by the thread that does it.
struct AtWork {
    assignor: String,
    at_work: Arc<Mutex<BTreeSet<String>>>,
}

impl AtWork {
    /// `None` if it is making some already: one thread of each is enough to leave behind.
    fn begin(at_work: &Arc<Mutex<BTreeSet<String>>>, assignor: &str) -> Option<Self> {
        lock(at_work).insert(assignor.to_owned()).then(|| Self {
            assignor: assignor.to_owned(),
            at_work: Arc::clone(at_work),
        })
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        lock(&self.at_work).remove(&self.assignor);
    }
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
            let named = |assignor: &Arc<dyn Assignor>| {
                let styles = assignor.protocols().iter().map(|style| match style {
                    RebalanceProtocol::Eager => "eager",
                    RebalanceProtocol::Cooperative => "cooperative",
                });
                let styles: Vec<_> = styles.collect();
                format!("{} ({})", assignor.name(), styles.join(" or "))
            };
            let names: Vec<_> = list.iter().map(named).collect();
            ConsumerError::Config(format!(
                "the assignors {} have no rebalance protocol in common; a member uses one for all that it offers",
                names.join(", ")
            ))
        })
}

#[cfg(test)]
mod tests {
    use callboard_assignor::{Group, Plan};
    use callboard_client::ClientConfig;

    use callboard_supervision::testing::Limit;

    use super::*;

    const REBALANCE_TIMEOUT: Duration = Duration::from_secs(60);
    const SESSION_TIMEOUT: Duration = Duration::from_secs(45);

    fn limits() -> AssignorLimits {
        AssignorLimits::new(None, REBALANCE_TIMEOUT, SESSION_TIMEOUT).unwrap()
    }

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
        Assignors::new(list, limits()).map_err(|error| error.to_string())
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
            Err(
                "the assignors a (eager), b (cooperative) have no rebalance protocol in common; a member uses one for all \
                 that it offers"
                    .to_owned()
            )
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
            let named = Assignors::named(&strategy, vec![Arc::clone(&own)], limits());
            named
                .map(|named| -> Vec<String> {
                    named.all().iter().map(|one| one.name.clone()).collect()
                })
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            named(&["roundrobin", "mine", "range"]).unwrap(),
            ["roundrobin", "mine", "range"]
        );
        assert_eq!(
            named(&["uniform"]).unwrap_err(),
            "partition.assignment.strategy=uniform: no such assignor, known are mine, range, roundrobin, sticky, \
             cooperative-sticky"
        );
        let classes = KAFKAS_CLASSES.map(|(class, _)| class);
        let names = KAFKAS_CLASSES.map(|(_, name)| name);
        assert_eq!(named(&classes).unwrap(), names);
        assert_eq!(
            named(&[names[0], classes[0]]).unwrap_err(),
            "assignor names must be unique and not empty, \"range\" is not"
        );
    }

    /// Java's default among them, which therefore stays eager until `range` is taken off the list.
    #[test]
    fn kafkas_own_are_cooperative_where_all_of_a_list_are() {
        use RebalanceProtocol::{Cooperative, Eager};
        let default = ClientConfig::default().partition_assignment_strategy;
        assert_eq!(default, ["range", "cooperative-sticky"]);
        let protocol = |strategy: &[String]| {
            let named = Assignors::named(strategy, Vec::new(), limits());
            named.unwrap().protocol()
        };
        assert_eq!(protocol(&default), Eager);
        assert_eq!(protocol(&default[1..]), Cooperative);
        assert_eq!(protocol(&["sticky".to_owned()]), Eager);
    }

    #[tokio::test]
    async fn a_panic_of_an_assignor_is_an_error_and_joins_without_user_data() {
        let _limit = Limit::start();
        let assignors = assignors(&[("a", EAGER)]).unwrap();
        let listed = assignors.get("a").unwrap();
        let no_topics = BTreeSet::new();
        let (made, said) = assignors.user_data(listed, &no_topics).await;
        assert_eq!(made, None);
        assert_eq!(
            said.unwrap_err().to_string(),
            "assignor a panicked: no topics"
        );
        let ran: Result<(), _> = assignors.run("a", || panic!("oh")).await;
        assert_eq!(ran.unwrap_err().to_string(), "assignor a panicked: oh");
    }

    #[tokio::test]
    async fn user_data_is_made_from_the_last_assignment() {
        let _limit = Limit::start();
        let assignors = assignors(&[("a", EAGER)]).unwrap();
        let listed = assignors.get("a").unwrap();
        let topics = BTreeSet::from(["orders".to_owned()]);
        let made = assignors.user_data(listed, &topics).await;
        assert_eq!(made, (None, Ok(())));
        let assignment = Assignment {
            generation: 5,
            ..Assignment::default()
        };
        assignors.assigned("a", assignment).await.unwrap();
        let made = assignors.user_data(listed, &topics).await;
        assert_eq!(made, (Some(vec![0, 0, 0, 5]), Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn an_assignor_that_takes_too_long_is_not_waited_for() {
        let _limit = Limit::start();
        let assignors = assignors(&[("a", EAGER)]).unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let running = assignors.run("a", move || {
            // Until the test lets go.
            let _ = held.recv();
            Ok(())
        });
        tokio::pin!(running);
        // A thread at work holds the paused clock, so it is moved by hand.
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

    #[test]
    fn user_data_never_takes_so_long_that_the_session_ends() {
        let seconds = Duration::from_secs;
        let limits = |timeout, rebalance, session| {
            AssignorLimits::new(timeout, seconds(rebalance), seconds(session))
                .map(|limits| (limits.plan.as_secs(), limits.user_data.as_secs()))
                .ok()
        };
        assert_eq!(limits(None, 300, 45), Some((150, 15)));
        assert_eq!(limits(Some(seconds(10)), 300, 45), Some((10, 10)));
        assert_eq!(limits(Some(seconds(300)), 300, 45), Some((300, 15)));
        assert_eq!(limits(Some(seconds(301)), 300, 45), None);
        assert_eq!(limits(Some(seconds(0)), 300, 45), None);
    }
}
