//! From a client and a few words to a running consumer: checks what it is told, then raises the tree.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use callboard_assignor::Assignor;
use callboard_client::{Client, ClientConfig, ClientError, Role, TopicPartition, check_topic_name};
use callboard_supervision::{Addr, JoinHandle, spawn_linked};
use callboard_supervision::{ChildSpec, Supervisor, SupervisorMsg};
use ractor::ActorCell;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::assigned::{self, Assignment, StartAt, Starts};
use crate::assignment::{AssignorLimits, Assignors};
use crate::committer::{self, Committer};
use crate::core::membership::{FatalError, MembershipConfig};
use crate::event::EventSender;
use crate::fetchers::{self, Fetchers};
use crate::handle::{ConsumerError, ConsumerHandle};
use crate::handler::{Closure, Factory, HandlerError, PartitionContext, PartitionHandler};
use crate::membership::{self, MembershipActor};
use crate::partitions::{self, Partitions};
use crate::policy::HandlerPolicy;
use crate::record::Record;
use crate::shared::Shared;
use crate::stream::RecordStream;

/// The kind of the root actor.
const KIND: &str = "consumer";
/// What starting one of our own actors may take.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Where consumers begin.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerGroup;

impl ConsumerGroup {
    /// A member of a group of the client's cluster. It gets connections of its own and the client's configuration.
    pub fn builder(client: &Client) -> ConsumerGroupBuilder {
        ConsumerGroupBuilder {
            config: client.config().clone(),
            client: client.clone(),
            group_id: String::new(),
            topics: BTreeSet::new(),
            registered: Vec::new(),
            chosen: None,
            policy: HandlerPolicy::default(),
            drain_timeout: Duration::from_secs(30),
            assignor_timeout: None,
            factory: None,
            supervisor: None,
            assigned: None,
        }
    }
}

/// A consumer before it starts.
#[must_use]
pub struct ConsumerGroupBuilder {
    client: Client,
    config: ClientConfig,
    group_id: String,
    topics: BTreeSet<String>,
    registered: Vec<Arc<dyn Assignor>>,
    chosen: Option<Vec<Arc<dyn Assignor>>>,
    policy: HandlerPolicy,
    drain_timeout: Duration,
    assignor_timeout: Option<Duration>,
    factory: Option<Factory>,
    supervisor: Option<ActorCell>,
    assigned: Option<Starts>,
}

impl fmt::Debug for ConsumerGroupBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerGroupBuilder")
            .field("group_id", &self.group_id)
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

impl ConsumerGroupBuilder {
    /// The group (`group.id`). Required.
    pub fn group_id(mut self, group_id: impl Into<String>) -> Self {
        self.group_id = group_id.into();
        self
    }

    /// The topics. At least one is required.
    pub fn topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// These partitions and no others, each from where it says, without a group: in place of
    /// [`group_id`](Self::group_id) and [`topics`](Self::topics). Nothing is committed, nobody else is kept from them, and
    /// what an acknowledgement says is how far they are. Partitions that a topic gets later are not among them.
    pub fn assign(
        mut self,
        partitions: impl IntoIterator<Item = (TopicPartition, StartAt)>,
    ) -> Self {
        self.assigned.get_or_insert_default().extend(partitions);
        self
    }

    /// Another configuration than the client's, for this consumer alone: timeouts, reset policy, static membership.
    pub fn config(mut self, config: ClientConfig) -> Self {
        self.config = config;
        self
    }

    /// Makes an assignor known, to be named in `partition.assignment.strategy`. `range`, `roundrobin`, `sticky` and
    /// `cooperative-sticky` are known.
    pub fn register(mut self, assignor: impl Assignor + 'static) -> Self {
        self.registered.push(Arc::new(assignor));
        self
    }

    /// Exactly these assignors, in order of preference, whatever `partition.assignment.strategy` says.
    pub fn assignors(mut self, assignors: impl IntoIterator<Item = Arc<dyn Assignor>>) -> Self {
        self.chosen = Some(assignors.into_iter().collect());
        self
    }

    /// How long one call into an assignor may take, above zero and at most `max.poll.interval.ms`; half of that by
    /// default. A call for user data has a third of `session.timeout.ms` at most. What takes longer counts as failed, and
    /// the thread it runs on is left behind; while four of a consumer's are, further calls fail at once.
    pub fn assignor_timeout(mut self, timeout: Duration) -> Self {
        self.assignor_timeout = Some(timeout);
        self
    }

    /// What happens when a handler fails.
    pub fn policy(mut self, policy: HandlerPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long a record in work may take when its partition is given up; at most half of `max.poll.interval.ms` is
    /// used. 30 s by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Links the consumer to an actor of the application's, which hears of its end and ends it with its own.
    pub fn supervisor(mut self, supervisor: ActorCell) -> Self {
        self.supervisor = Some(supervisor);
        self
    }

    /// Makes the handler of each assigned partition.
    pub fn handler<H: PartitionHandler>(
        mut self,
        factory: impl Fn(&TopicPartition) -> H + Send + Sync + 'static,
    ) -> Self {
        self.factory = Some(Arc::new(move |partition| Box::new(factory(partition))));
        self
    }

    /// Handles each record with a closure; `Ok` acknowledges it.
    pub fn handle<F, Fut, E>(mut self, run: F) -> Self
    where
        F: Fn(Record, PartitionContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<HandlerError> + 'static,
    {
        self.factory = Some(Closure::factory(run));
        self
    }

    /// Starts the consumer. It joins in the background; [`ConsumerHandle::events`] tells how it goes.
    ///
    /// # Errors
    /// [`ConsumerError::Config`] when something required is missing or two settings exclude each other.
    pub async fn start(mut self) -> Result<ConsumerHandle, ConsumerError> {
        let factory = self
            .factory
            .take()
            .ok_or_else(|| ConsumerError::Config("a consumer needs a handler".to_owned()))?;
        self.raise(factory, CancellationToken::new(), false).await
    }

    /// Starts the consumer with one stream of all its records instead of handlers.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_stream(self) -> Result<(ConsumerHandle, RecordStream), ConsumerError> {
        if self.factory.is_some() {
            return Err(ConsumerError::Config(
                "a consumer has handlers or a stream, not both".to_owned(),
            ));
        }
        let closed = CancellationToken::new();
        let (stream, factory) = RecordStream::new(closed.clone());
        let handle = self.raise(factory, closed, true).await?;
        Ok((handle, stream))
    }

    /// The topics that it needs to know of.
    fn checked_topics(&self) -> Result<BTreeSet<String>, ConsumerError> {
        let refused = |why: &str| Err(ConsumerError::Config(why.to_owned()));
        match &self.assigned {
            Some(_) if !self.group_id.is_empty() || !self.topics.is_empty() => {
                refused("a consumer has partitions assigned, or a group and topics, not both")
            }
            Some(starts) if starts.is_empty() => refused("no partition is assigned"),
            Some(starts) => {
                let topics = starts.keys().map(|partition| partition.topic.to_string());
                Ok(topics.collect())
            }
            None if self.group_id.is_empty() => refused("a consumer needs a group id"),
            None if self.topics.is_empty() => refused("a consumer needs a topic"),
            None => Ok(self.topics.clone()),
        }
    }

    async fn raise(
        self,
        factory: Factory,
        closed: CancellationToken,
        is_stream: bool,
    ) -> Result<ConsumerHandle, ConsumerError> {
        let topics = self.checked_topics()?;
        for topic in &topics {
            check_topic_name(topic)?;
        }
        let config = self
            .config
            .settled(Role::Consumer)
            .map_err(ClientError::from)?;
        let strategy = &config.partition_assignment_strategy;
        let rebalance_timeout = config.max_poll_interval;
        let limits = AssignorLimits::new(
            self.assignor_timeout,
            rebalance_timeout,
            config.session_timeout,
        )?;
        let assignors = match self.chosen {
            Some(chosen) => Assignors::new(chosen, limits)?,
            None => Assignors::named(strategy, self.registered, limits)?,
        };
        let membership = MembershipConfig {
            instance_id: config.group_instance_id.clone(),
            topics: topics.clone(),
            session_timeout: config.session_timeout,
            rebalance_timeout,
            heartbeat_interval: config.heartbeat_interval,
            retry_backoff: config.retry_backoff,
            retry_backoff_max: config.retry_backoff_max,
            drain_timeout: self.drain_timeout,
            protocol: assignors.protocol(),
            seed: rand::random(),
        };
        let client = self.client.fork(config)?;
        let (events, first_events) = EventSender::new();
        let shared = Arc::new(Shared::new(
            client,
            self.group_id.into(),
            crate::shared::Settings {
                topics: topics.clone(),
                policy: self.policy,
                factory,
                is_stream,
                drain_timeout: self.drain_timeout,
                assigned: self.assigned,
            },
            events,
        ));
        // A topic that is not there yet is asked for again whenever metadata is.
        shared.client.track(topics).await?;
        let spawned = match self.supervisor {
            Some(supervisor) => Supervisor::spawn_linked(KIND, supervisor).await,
            None => Supervisor::spawn(KIND).await,
        };
        let (root, root_join) =
            spawned.map_err(|error| ConsumerError::Failed(error.to_string()))?;
        let member_ended = Arc::new(watch::Sender::new(None));
        let driver = if shared.settings.assigned.is_some() {
            assignment_spec(&shared, &member_ended)
        } else {
            membership_spec(&shared, membership, Arc::new(assignors), &member_ended)
        };
        let specs = [
            partitions_spec(&shared),
            fetchers_spec(&shared),
            committer_spec(&shared),
            driver,
        ];
        for spec in specs {
            start_child(&root, spec).await?;
        }
        let (outcome_sender, outcome) = watch::channel(None);
        let monitor = tokio::spawn(monitor(
            root.clone(),
            root_join,
            member_ended.subscribe(),
            outcome_sender,
            closed.clone(),
        ));
        Ok(ConsumerHandle {
            shared,
            root,
            first_events: std::sync::Mutex::new(Some(first_events)),
            closed,
            outcome,
            monitor,
            over: false,
        })
    }
}

async fn start_child(root: &Addr<SupervisorMsg>, spec: ChildSpec) -> Result<(), ConsumerError> {
    let started = root
        .call(|reply| SupervisorMsg::Start(spec, reply), START_TIMEOUT)
        .await;
    match started {
        Ok(Ok(_cell)) => Ok(()),
        Ok(Err(error)) => Err(ConsumerError::Failed(error.to_string())),
        Err(error) => Err(ConsumerError::Failed(error.to_string())),
    }
}

fn partitions_spec(shared: &Arc<Shared>) -> ChildSpec {
    let shared = Arc::clone(shared);
    ChildSpec::new(
        partitions::KIND,
        partitions::KIND,
        move |supervisor, incarnation| {
            let shared = Arc::clone(&shared);
            async move {
                let (address, _join) = spawn_linked(
                    partitions::KIND,
                    Partitions,
                    Arc::clone(&shared),
                    supervisor,
                )
                .await?;
                let cell = address.actor().get_cell();
                if incarnation > 0 {
                    // Whatever membership asked of the last incarnation, it asks of this one again.
                    shared
                        .slots
                        .membership
                        .cast(membership::MembershipMsg::Step(
                            crate::core::membership::Input::PartitionsRestarted,
                        ));
                }
                Ok(cell)
            }
        },
    )
}

fn fetchers_spec(shared: &Arc<Shared>) -> ChildSpec {
    let shared = Arc::clone(shared);
    ChildSpec::new(
        fetchers::KIND,
        fetchers::KIND,
        move |supervisor, _incarnation| {
            let shared = Arc::clone(&shared);
            async move {
                let (address, _join) =
                    spawn_linked(fetchers::KIND, Fetchers, shared, supervisor).await?;
                Ok(address.actor().get_cell())
            }
        },
    )
}

fn committer_spec(shared: &Arc<Shared>) -> ChildSpec {
    let shared = Arc::clone(shared);
    ChildSpec::new(
        committer::KIND,
        committer::KIND,
        move |supervisor, _incarnation| {
            let shared = Arc::clone(&shared);
            async move {
                let (address, _join) =
                    spawn_linked(committer::KIND, Committer, shared, supervisor).await?;
                Ok(address.actor().get_cell())
            }
        },
    )
}

type MemberEnded = Option<Result<(), FatalError>>;

fn membership_spec(
    shared: &Arc<Shared>,
    config: MembershipConfig,
    assignors: Arc<Assignors>,
    ended: &Arc<watch::Sender<MemberEnded>>,
) -> ChildSpec {
    let (shared, ended) = (Arc::clone(shared), Arc::clone(ended));
    ChildSpec::new(
        membership::KIND,
        membership::KIND,
        move |supervisor, incarnation| {
            let args = membership::Args {
                shared: Arc::clone(&shared),
                config: config.clone(),
                assignors: Arc::clone(&assignors),
                ended: Arc::clone(&ended),
                incarnation,
            };
            async move {
                let (address, _join) =
                    spawn_linked(membership::KIND, MembershipActor, args, supervisor).await?;
                Ok(address.actor().get_cell())
            }
        },
    )
}

/// Stands where membership does for a member.
fn assignment_spec(shared: &Arc<Shared>, ended: &Arc<watch::Sender<MemberEnded>>) -> ChildSpec {
    let (shared, ended) = (Arc::clone(shared), Arc::clone(ended));
    ChildSpec::new(
        assigned::KIND,
        assigned::KIND,
        move |supervisor, _incarnation| {
            let args = assigned::Args {
                shared: Arc::clone(&shared),
                ended: Arc::clone(&ended),
            };
            async move {
                let (address, _join) =
                    spawn_linked(assigned::KIND, Assignment, args, supervisor).await?;
                Ok(address.actor().get_cell())
            }
        },
    )
}

/// Waits for an end that the application did not ask for, ends the rest, and says why.
async fn monitor(
    root: Addr<SupervisorMsg>,
    root_join: JoinHandle,
    mut member: watch::Receiver<MemberEnded>,
    outcome: watch::Sender<Option<Result<(), ConsumerError>>>,
    closed: CancellationToken,
) {
    let result = tokio::select! {
        _ended = root_join => Err(ConsumerError::Failed("one of its actors used up its restarts".to_owned())),
        ended = member.wait_for(Option::is_some) => {
            let ended = ended.map(|ended| ended.clone());
            match ended {
                Ok(Some(Err(fatal))) => Err(fatal.into()),
                Ok(_) | Err(_) => Ok(()),
            }
        }
    };
    if result.is_err() {
        // The rest ends too; an answer adds nothing.
        let _ = root
            .call(
                |reply| SupervisorMsg::Shutdown(START_TIMEOUT, reply),
                2 * START_TIMEOUT,
            )
            .await;
        closed.cancel();
    }
    outcome.send_replace(Some(result));
}
