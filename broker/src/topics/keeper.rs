//! The keeper of topics, child of the broker's root: the one who creates, changes and deletes, one at a time, durably
//! before anybody sees it. Its child is the supervisor of all topic logs.
//!
//! ```text
//! topics (this)
//! └─ topic_logs (supervisor)
//!    └─ topic_log × partition
//! ```
//!
//! It awaits the disk and its own child within a message: changes queue behind each other anyway, and neither the disk nor
//! the supervisor ever waits for it. What may take long is cut up (many creations, `creating`) or done beside it (the end
//! of a deleted topic's logs and files).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use callboard_protocol::{ErrorCode, Uuid};
use callboard_supervision::{
    Addr, ChildSpec, Envelope, RestartPolicy, RpcReplyPort, Supervisor, SupervisorMsg, Timer,
    seldom, spawn_linked,
};
use futures_util::{StreamExt, TryStreamExt};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::changes::{configuring, growing};
use super::creating::{Creation, Creations};
use super::forgetting::Queue;
use super::settings::overlay;
use super::store::{Found, Store, StoredTopic};
use super::{
    ConfigChange, CreatedTopic, DeletedTopic, Growth, NewTopic, Registry, Topic, TopicError,
    TopicsError, TopicsSnapshot,
};
use crate::log::{LogError, LogHandle, TopicLog};
use crate::metrics::kinds;

/// How long one call to the supervisor of the logs may take: it starts or stops one actor.
const CALL: Duration = Duration::from_secs(10);
/// How long the recovery of one log may take before the broker serves without it.
const OPEN: Duration = Duration::from_secs(600);
/// How long all logs together may take to close.
const CLOSE: Duration = Duration::from_secs(8);
/// When to try again to write that a deleted topic is forgotten.
const AGAIN: Duration = Duration::from_secs(5);
/// Logs that are opened or closed at a time.
const AT_A_TIME: usize = 32;
/// How long a log of a deleted topic may take to stop before it is killed. Their supervisor does nothing else meanwhile:
/// all that may stop at a time must not keep a start for as long as a call may take.
const STOP: Duration = Duration::from_millis(250);
/// Logs of deleted topics that are stopped at a time.
const STOPS_AT_A_TIME: usize = 16;

/// Messages of the keeper. Who waits may be gone: what was asked for is done all the same.
#[derive(Debug)]
pub(crate) enum KeeperMsg {
    /// Create a topic. Answers when it is durable, listed and open.
    Create {
        /// What to create.
        topic: NewTopic,
        /// How long it may wait for its name.
        patience: Duration,
        /// Who waits.
        reply: RpcReplyPort<Result<CreatedTopic, TopicError>>,
    },
    /// Give a topic more partitions. Answers when they are durable, listed and open.
    Grow {
        /// Its name.
        name: String,
        /// How many, and where.
        growth: Growth,
        /// Who waits.
        reply: RpcReplyPort<Result<(), TopicError>>,
    },
    /// Change a topic's settings. Answers when they are durable and in force.
    Configure {
        /// Its name.
        name: String,
        /// In this order.
        changes: Vec<ConfigChange>,
        /// Who waits.
        reply: RpcReplyPort<Result<(), TopicError>>,
    },
    /// Delete a topic. Answers when it is durably gone and no longer listed.
    Delete {
        /// Its name.
        name: String,
        /// Who waits.
        reply: RpcReplyPort<Result<DeletedTopic, TopicError>>,
    },
    /// Go on creating what was asked for.
    GoOnCreating,
    /// Nobody has anything of a deleted topic any more.
    Forgotten {
        /// Its id.
        id: Uuid,
    },
    /// The patience of creations that wait for their names is over.
    GiveUp {
        /// Which; all of them without.
        which: Option<u64>,
    },
}

/// The actor.
#[derive(Debug)]
pub(crate) struct Keeper;

/// Its state.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) registry: Arc<Registry>,
    pub(super) store: Store,
    /// What was on disk at the start, until it is opened.
    found: Option<Found>,
    supervisor: Option<Addr<SupervisorMsg>>,
    pub(super) myself: Addr<KeeperMsg>,
    pub(super) creations: Creations,
    waiting: Queue,
    /// Deleted topics whose end could not be written, by id, each to be tried again.
    again: BTreeMap<[u8; 16], Timer>,
    /// Files of deleted topics on their way out, and how many logs of theirs may be stopped at a time.
    sweeps: JoinSet<()>,
    turns: Arc<Semaphore>,
}

#[ractor::async_trait]
impl Actor for Keeper {
    type Msg = Envelope<KeeperMsg>;
    type State = State;
    type Arguments = Arc<Registry>;

    /// Reads the list of topics here and not later: a directory that cannot be used keeps the broker from starting.
    /// One small file a topic.
    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        registry: Arc<Registry>,
    ) -> Result<State, ActorProcessingErr> {
        let config = registry.config.clone();
        let (store, found) = tokio::task::spawn_blocking(move || open(&config)).await??;
        let myself = Addr::new(myself, kinds::TOPICS);
        *registry
            .keeper
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(myself.clone());
        Ok(State {
            registry,
            store,
            found: Some(found),
            supervisor: None,
            myself,
            waiting: Queue::default(),
            again: BTreeMap::new(),
            creations: Creations::default(),
            sweeps: JoinSet::new(),
            turns: Arc::new(Semaphore::new(STOPS_AT_A_TIME)),
        })
    }

    /// Opens every log. Recovery may take its time; messages wait meanwhile.
    async fn post_start(
        &self,
        myself: ActorRef<Self::Msg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (supervisor, _join) =
            Supervisor::spawn_linked(kinds::TOPIC_LOGS, myself.get_cell()).await?;
        state.supervisor = Some(supervisor);
        let earlier = state.registry.snapshot();
        let mut snapshot = TopicsSnapshot::default();
        let Some(Found { topics, deleted }) = state.found.take() else {
            return Err("opened twice".into());
        };
        for stored in topics {
            snapshot.insert(state.topic_of(stored, &earlier));
        }
        let logs = snapshot.iter().flat_map(|topic| topic.logs_from(0));
        state.open_logs(logs.collect()).await?;
        info!(
            topics = snapshot.len(),
            partitions = snapshot.log_count(),
            to_be_forgotten = deleted.len(),
            "topics open"
        );
        let deleted = deleted.into_iter().filter_map(|topic| {
            Some(DeletedTopic {
                id: topic.id()?,
                name: topic.name.into(),
            })
        });
        let deleted = deleted.collect();
        state
            .registry
            .publish(snapshot, |announced| announced.begin(deleted));
        state.registry.opened.send_replace(true);
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            KeeperMsg::Create {
                topic,
                patience,
                reply,
            } => {
                let creation = Creation { topic, reply };
                if state.registry.announced().has(&creation.topic.name) {
                    state.waiting.wait(creation, patience, &state.myself);
                } else {
                    state.enqueue(creation);
                }
            }
            KeeperMsg::GoOnCreating => state.go_on_creating().await?,
            KeeperMsg::Forgotten { id } => state.forgotten(id).await?,
            KeeperMsg::GiveUp { which } => state.waiting.give_up(which),
            KeeperMsg::Grow {
                name,
                growth,
                reply,
            } => {
                state.create_first(&name).await?;
                let outcome = state.grow(&name, &growth).await?;
                drop(reply.send(outcome));
            }
            KeeperMsg::Configure {
                name,
                changes,
                reply,
            } => {
                state.create_first(&name).await?;
                let outcome = state.configure(&name, &changes).await?;
                drop(reply.send(outcome));
            }
            KeeperMsg::Delete { name, reply } => {
                state.create_first(&name).await?;
                state.delete(&name, reply).await?;
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, reason) if state.is_supervisor(cell.get_id()) => {
                Err(format!("the topic logs failed: {reason}").into())
            }
            SupervisionEvent::ActorTerminated(cell, _, _) if state.is_supervisor(cell.get_id()) => {
                Err("the topic logs ended".into())
            }
            SupervisionEvent::ActorFailed(..)
            | SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }

    /// Closes every log in order: the next start reads nothing again. What a kill leaves out of this, recovery does.
    async fn post_stop(
        &self,
        _: ActorRef<Self::Msg>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let logs: Vec<LogHandle> = state
            .registry
            .snapshot()
            .iter()
            .flat_map(|topic| topic.logs.clone())
            .collect();
        let closing = futures_util::stream::iter(logs)
            .for_each_concurrent(AT_A_TIME, |log| async move { log.close(CLOSE).await });
        if tokio::time::timeout(CLOSE, closing).await.is_err() {
            warn!("not every topic log closed in time; the next start reads their tails again");
        }
        if let Some(supervisor) = state.supervisor.take() {
            // It ends with us in any case.
            let _ = supervisor
                .call(|reply| SupervisorMsg::Shutdown(CLOSE, reply), CLOSE)
                .await;
        }
        Ok(())
    }
}

fn open(config: &super::TopicsConfig) -> Result<(Store, Found), TopicsError> {
    let (store, mut found) = Store::open(&config.dir)?;
    for (name, partitions) in &config.internal {
        match found.topics.iter().find(|topic| topic.name == *name) {
            Some(topic) if topic.internal && topic.partitions == *partitions => {}
            Some(_) => {
                let reason = format!(
                    "topic {name:?} was made with another number of partitions or is not internal"
                );
                return Err(TopicsError::corrupt(&config.dir, reason));
            }
            None => {
                let topic = StoredTopic::internal(new_id(|_| false), name.clone(), *partitions);
                store.create(&topic)?;
                found.topics.push(topic);
            }
        }
    }
    Ok((store, found))
}

/// A random id as Kafka makes them: not one of the reserved ones (zero and one), and its text does not begin with a
/// dash, which command lines take for an option.
pub(super) fn new_id(taken: impl Fn(Uuid) -> bool) -> Uuid {
    loop {
        let random = uuid::Uuid::new_v4();
        let id = Uuid(*random.as_bytes());
        // The text is URL-safe base64, where the digit 62 is the dash.
        if random.as_u128() > 1 && id.0[0] >> 2 != 62 && !taken(id) {
            return id;
        }
    }
}

impl State {
    fn is_supervisor(&self, id: ractor::ActorId) -> bool {
        self.supervisor
            .as_ref()
            .is_some_and(|supervisor| supervisor.actor().get_id() == id)
    }

    /// The topic with handles of its logs; with those it had before, if this keeper is a restarted one, so that who
    /// waits on them goes on waiting, and their files are not opened twice.
    pub(super) fn topic_of(&self, stored: StoredTopic, earlier: &TopicsSnapshot) -> Topic {
        let id = stored.id().unwrap_or(Uuid::ZERO);
        let name: Arc<str> = stored.name.into();
        let config = overlay(&self.registry.config.log, &stored.configs);
        let count = if stored.internal {
            0
        } else {
            stored.partitions
        };
        let before = earlier.by_id(id);
        let log = |at| match before.and_then(|topic| topic.log(at)) {
            Some(log) => {
                log.configure(config.clone());
                log.clone()
            }
            None => LogHandle::new(
                Arc::clone(&name),
                at,
                self.store.partition_dir(id, at),
                config.clone(),
            ),
        };
        let logs = (0..count).map(log).collect();
        Topic {
            name,
            id,
            partitions: stored.partitions,
            configs: stored.configs,
            internal: stored.internal,
            logs,
        }
    }

    /// Starts and opens logs, some at a time.
    pub(super) async fn open_logs(
        &mut self,
        logs: Vec<(Uuid, LogHandle)>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(supervisor) = &self.supervisor else {
            return Err("no supervisor of topic logs".into());
        };
        let open = |(id, log): (Uuid, LogHandle)| {
            let supervisor = supervisor.clone();
            async move {
                let child = log_child(id, &log);
                supervisor
                    .call(|reply| SupervisorMsg::Start(child, reply), CALL)
                    .await??;
                // A log that does not open says so itself, and its neighbours are served.
                drop(log.opened(OPEN).await);
                Ok::<_, ActorProcessingErr>(())
            }
        };
        futures_util::stream::iter(logs.into_iter().map(open))
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
    }

    /// `Err` only when the actors under this one do not answer: then everything is started anew, from the disk.
    async fn grow(
        &mut self,
        name: &str,
        growth: &Growth,
    ) -> Result<Result<(), TopicError>, ActorProcessingErr> {
        let snapshot = self.registry.snapshot();
        let topic = match growing(name, growth, &snapshot, &self.registry.limits(&snapshot)) {
            Ok(topic) => topic,
            Err(refused) => return Ok(Err(refused)),
        };
        let present = topic.logs.len();
        let stored = StoredTopic::new(
            topic.id,
            name.to_owned(),
            growth.partitions,
            topic.configs.clone(),
        );
        let changed = match self.change(stored, &snapshot).await? {
            Ok(topic) => topic,
            Err(error) => return Ok(Err(error)),
        };
        self.open_logs(changed.logs_from(present).collect()).await?;
        self.replace(&snapshot, changed);
        info!(
            topic = name,
            partitions = growth.partitions,
            "topic has more partitions"
        );
        Ok(Ok(()))
    }

    /// `Err` as for [`grow`](Self::grow).
    async fn configure(
        &mut self,
        name: &str,
        changes: &[ConfigChange],
    ) -> Result<Result<(), TopicError>, ActorProcessingErr> {
        let snapshot = self.registry.snapshot();
        let (topic, configs) =
            match configuring(name, changes, &snapshot, &self.registry.config.log) {
                Ok(changed) => changed,
                Err(refused) => return Ok(Err(refused)),
            };
        let stored = StoredTopic::new(topic.id, name.to_owned(), topic.partitions, configs);
        let changed = match self.change(stored, &snapshot).await? {
            Ok(topic) => topic,
            Err(error) => return Ok(Err(error)),
        };
        self.replace(&snapshot, changed);
        info!(topic = name, "topic has other settings");
        Ok(Ok(()))
    }

    /// Makes a change durable, and then the topic as it is after it.
    async fn change(
        &mut self,
        stored: StoredTopic,
        snapshot: &TopicsSnapshot,
    ) -> Result<Result<Topic, TopicError>, ActorProcessingErr> {
        let writing = stored.clone();
        let written = self.on_disk(move |store| store.change(&writing)).await?;
        Ok(match written {
            Ok(()) => Ok(self.topic_of(stored, snapshot)),
            Err(error) => Err(storage(&error)),
        })
    }

    fn replace(&self, snapshot: &TopicsSnapshot, changed: Topic) {
        let mut next = snapshot.clone();
        next.insert(changed);
        self.registry.publish(next, |_| {});
    }

    async fn delete(
        &mut self,
        name: &str,
        reply: RpcReplyPort<Result<DeletedTopic, TopicError>>,
    ) -> Result<(), ActorProcessingErr> {
        let snapshot = self.registry.snapshot();
        let Some(topic) = snapshot.by_name(name) else {
            let error = TopicError::new(
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                "This server does not host this topic-partition.",
            );
            drop(reply.send(Err(error)));
            return Ok(());
        };
        if topic.internal {
            drop(reply.send(Err(TopicError::new(
                ErrorCode::INVALID_REQUEST,
                format!("Topic '{name}' is internal."),
            ))));
            return Ok(());
        }
        let id = topic.id;
        for log in &topic.logs {
            log.set_deleting(true);
        }
        if let Err(error) = self.on_disk(move |store| store.delete(id)).await?? {
            for log in &topic.logs {
                log.set_deleting(false);
            }
            drop(reply.send(Err(storage(&error))));
            return Ok(());
        }
        let mut next = TopicsSnapshot::clone(&snapshot);
        next.remove(topic);
        let deleted = DeletedTopic {
            id,
            name: Arc::clone(&topic.name),
        };
        self.registry
            .publish(next, |announced| announced.deleted.push(deleted.clone()));
        for log in &topic.logs {
            log.mark_deleted();
        }
        info!(topic = name, "topic deleted");
        drop(reply.send(Ok(deleted)));
        self.sweep(topic);
        Ok(())
    }

    /// Whoever listens has forgotten a topic: its name is free, durably, and who waited for it goes on. Hearing it again
    /// costs nothing.
    async fn forgotten(&mut self, id: Uuid) -> Result<(), ActorProcessingErr> {
        self.again.remove(&id.0);
        if !self.registry.announced().waits_for(id) {
            return Ok(());
        }
        if let Err(error) = self.on_disk(move |store| store.forgotten(id)).await? {
            seldom!(warn, %error, "a deleted topic is forgotten and cannot be ended; its name is not free");
            let again = KeeperMsg::Forgotten { id };
            let timer = self.myself.send_after(AGAIN, again);
            self.again.insert(id.0, timer);
            return Ok(());
        }
        let mut free = None;
        self.registry
            .publish(self.registry.snapshot(), |announced| {
                free = announced.remove(id);
            });
        let Some(name) = free else {
            return Ok(());
        };
        debug!(topic = %name, "what was committed for a deleted topic is gone");
        if self.registry.announced().has(&name) {
            // A version that did not wait deleted two of this name.
            return Ok(());
        }
        for creation in self.waiting.take(&name) {
            self.enqueue(creation);
        }
        Ok(())
    }

    /// Ends the logs of a deleted topic and removes its files, where nobody waits for it. What a kill leaves of them is
    /// removed at the next start.
    fn sweep(&mut self, topic: &Topic) {
        while self.sweeps.try_join_next().is_some() {}
        let Some(supervisor) = self.supervisor.clone() else {
            return;
        };
        let (store, turns, id) = (self.store.clone(), Arc::clone(&self.turns), topic.id);
        let partitions: Vec<i32> = topic.logs.iter().map(LogHandle::partition).collect();
        let name = Arc::clone(&topic.name);
        self.sweeps.spawn(async move {
            for partition in partitions {
                let Ok(_turn) = turns.acquire().await else {
                    return;
                };
                let id = child_id(id, partition);
                // Its own end takes everything with it, the supervisor's takes this.
                let _ = supervisor
                    .call(|reply| SupervisorMsg::Stop(id, STOP, reply), CALL)
                    .await;
            }
            let swept = tokio::task::spawn_blocking(move || store.sweep(id)).await;
            if let Ok(Err(error)) = swept {
                seldom!(warn, topic = %name, %error, "the files of a deleted topic stay until the next start");
            }
        });
    }

    pub(super) async fn on_disk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Store) -> Result<T, TopicsError> + Send + 'static,
    ) -> Result<Result<T, TopicsError>, ActorProcessingErr> {
        let store = self.store.clone();
        Ok(tokio::task::spawn_blocking(move || work(&store)).await?)
    }
}

pub(super) fn storage(error: &TopicsError) -> TopicError {
    seldom!(warn, %error, "a topic could not be changed on disk");
    TopicError::new(ErrorCode::KAFKA_STORAGE_ERROR, error.to_string())
}

fn child_id(id: Uuid, partition: i32) -> String {
    format!("{:032x}/{partition}", u128::from_be_bytes(id.0))
}

/// The child of one partition. A log that panics is opened again from its files; one that does so too often goes offline,
/// and the others serve.
fn log_child(id: Uuid, log: &LogHandle) -> ChildSpec {
    let hosted = Arc::clone(log.hosted());
    let start = move |supervisor, _incarnation| {
        let hosted = Arc::clone(&hosted);
        async move {
            let (address, _join) =
                spawn_linked(kinds::TOPIC_LOG, TopicLog, hosted, supervisor).await?;
            Ok(address.actor().get_cell())
        }
    };
    let ill = Arc::clone(log.hosted());
    ChildSpec::new(child_id(id, log.partition()), kinds::TOPIC_LOG, start)
        .policy(RestartPolicy::default())
        .give_up(move || ill.give_up(LogError::Failed))
}
