//! The topics of one broker: what there is, by name and by id, and one log per partition.
//!
//! [`Topics`] is the handle everybody holds. Looking something up takes one snapshot and no actor; creating and
//! deleting goes to the keeper, which does one thing at a time, durably, and publishes the next snapshot.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

pub use callboard_coordinator::DeletedTopic;
use callboard_protocol::{ErrorCode, Uuid};
use callboard_supervision::{Addr, ChildSpec, RpcReplyPort, StopHow, spawn_linked};
use metrics::gauge;
use tokio::sync::{oneshot, watch};

use crate::error::OtherVersion;
use crate::log::{LogConfig, LogHandle};
use crate::metrics::{BROKER_TOPICS_TO_FORGET, kinds};

mod changes;
mod core;
mod counts;
mod creating;
mod forgetting;
mod from_broker;
mod keeper;
mod lookup;
mod settings;
mod store;

pub use self::core::{Growth, NewTopic, TopicError, check_name};
use self::core::{Limits, approve};
pub(crate) use self::counts::counts;
pub(crate) use self::creating::CREATED_AT_ONCE;
use self::forgetting::Announced;
pub use self::forgetting::TopicsListener;
pub use self::settings::{ConfigChange, ConfigOperation};
pub(crate) use self::settings::{Type, shown};
use keeper::{Keeper, KeeperMsg};

/// What the registry of topics is made with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicsConfig {
    /// The directory of all topics. One process at a time: the data directory's lock sees to that.
    pub dir: PathBuf,
    /// The id of this broker, for manual assignments.
    pub node_id: i32,
    /// Partitions of a topic that does not say how many.
    pub default_partitions: i32,
    /// Most partitions of all topics together.
    pub partitions_max: usize,
    /// Settings of logs whose topic does not say otherwise.
    pub log: LogConfig,
    /// Topics whose records live elsewhere, with their partitions: they have a name and an id here, and no logs.
    pub internal: Vec<(String, i32)>,
}

impl TopicsConfig {
    /// A configuration with Kafka's defaults for everything but the directory.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            node_id: 1,
            default_partitions: 1,
            partitions_max: 20_000,
            log: LogConfig::default(),
            internal: Vec::new(),
        }
    }
}

/// Why the topics cannot be opened or changed on disk. Each reads as one sentence.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopicsError {
    /// The disk refused.
    #[error("cannot {action} {}: {reason}", path.display())]
    Storage {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// What is on disk is not ours, or damaged.
    #[error("{} is not a topic directory of ours: {reason}", path.display())]
    Corrupt {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A description has another form than this version knows.
    #[error("{} is {}", path.display(), OtherVersion(found, known))]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it says it has.
        found: u32,
        /// The version that is read and written here.
        known: u32,
    },
    /// The keeper did not start or ended.
    #[error("the topics are not open: {0}")]
    NotOpen(String),
}

impl TopicsError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Storage {
            action,
            path,
            reason: error.to_string(),
        }
    }

    pub(crate) fn corrupt(path: &Path, reason: String) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            reason,
        }
    }
}

/// One topic as it was at one moment; a topic that is created again is another one, with another id.
#[derive(Clone, Debug)]
pub struct Topic {
    /// The name.
    pub name: Arc<str>,
    /// The id. Never zero, never used again.
    pub id: Uuid,
    /// Number of partitions.
    pub partitions: i32,
    /// Its own settings, by name.
    pub configs: BTreeMap<String, String>,
    /// Whether its records live elsewhere and [`log`](Self::log) has none.
    pub internal: bool,
    logs: Vec<LogHandle>,
}

impl Topic {
    /// The log of a partition; None when there is no such partition here.
    #[must_use]
    pub fn log(&self, partition: i32) -> Option<&LogHandle> {
        usize::try_from(partition)
            .ok()
            .and_then(|at| self.logs.get(at))
    }

    /// Every partition's log in order.
    #[must_use]
    pub fn logs(&self) -> &[LogHandle] {
        &self.logs
    }

    /// The logs from partition `first` on, with whose they are.
    fn logs_from(&self, first: usize) -> impl Iterator<Item = (Uuid, LogHandle)> {
        let logs = self.logs.iter().skip(first);
        logs.map(|log| (self.id, log.clone()))
    }
}

/// All topics at one moment.
#[derive(Clone, Debug, Default)]
pub struct TopicsSnapshot {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: HashMap<[u8; 16], Arc<Topic>>,
}

impl TopicsSnapshot {
    /// The topic of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// The topic of that id.
    #[must_use]
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.by_id.get(&id.0)
    }

    /// Every topic in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// Number of topics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Partitions with logs here.
    fn log_count(&self) -> usize {
        self.iter().map(|topic| topic.logs.len()).sum()
    }

    fn insert(&mut self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.by_name
            .insert(Arc::clone(&topic.name), Arc::clone(&topic));
        self.by_id.insert(topic.id.0, Arc::clone(&topic));
        topic
    }

    fn remove(&mut self, topic: &Topic) {
        self.by_name.remove(&topic.name);
        self.by_id.remove(&topic.id.0);
    }
}

/// A topic that may be created, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; zero where it was only validated.
    pub id: Uuid,
    /// Number of partitions.
    pub partitions: i32,
    /// Its own settings.
    pub configs: BTreeMap<String, String>,
}

/// The topics of one broker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Topics {
    registry: Arc<Registry>,
}

/// What there is, as handles and keeper share it.
#[derive(Debug)]
pub(crate) struct Registry {
    config: TopicsConfig,
    snapshot: RwLock<Arc<TopicsSnapshot>>,
    keeper: RwLock<Option<Addr<KeeperMsg>>>,
    announced: Mutex<Announced>,
    /// Whether every log has been opened, once.
    opened: watch::Sender<bool>,
}

impl Topics {
    /// Topics that are not open yet: start [`child`](Self::child) under a supervisor, then wait for
    /// [`opened`](Self::opened).
    #[must_use]
    pub fn new(config: TopicsConfig) -> Self {
        let registry = Registry {
            config,
            snapshot: RwLock::default(),
            keeper: RwLock::default(),
            announced: Mutex::default(),
            opened: watch::Sender::new(false),
        };
        Self {
            registry: Arc::new(registry),
        }
    }

    /// The child to supervise: the keeper, and under it every log. It fails to start when the directory cannot be read;
    /// it ends in order, logs closed, when it is stopped.
    #[must_use]
    pub fn child(&self) -> ChildSpec {
        let registry = Arc::clone(&self.registry);
        let start = move |supervisor, _incarnation| {
            let registry = Arc::clone(&registry);
            async move {
                let (keeper, _join) =
                    spawn_linked(kinds::TOPICS, Keeper, registry, supervisor).await?;
                Ok(keeper.actor().get_cell())
            }
        };
        ChildSpec::new("topics", kinds::TOPICS, start).stop(StopHow::Drain)
    }

    /// Returns when every log is open, or known to be offline. Never if the child was not started.
    pub async fn opened(&self) {
        let mut opened = self.registry.opened.subscribe();
        // The sender lives in `self`.
        let _ = opened.wait_for(|opened| *opened).await;
    }

    /// From now on `listener` hears of every change before it is seen; of what there is now, and of what was deleted
    /// before and is not forgotten, it hears at once. Where nobody listens a deleted topic's name does not become free.
    pub fn listen(&self, listener: TopicsListener) {
        let mut announced = self.registry.announced();
        announced.listener = Some(listener);
        announced.tell(&self.registry.snapshot(), &self.registry);
    }

    /// All topics as they are now. Take one for a whole request: it does not change under it.
    #[must_use]
    pub fn snapshot(&self) -> Arc<TopicsSnapshot> {
        self.registry.snapshot()
    }

    /// Whether this topic could be created now, and what it would be; creates nothing.
    ///
    /// # Errors
    /// As [`create_topic`](Self::create_topic).
    pub fn validate(&self, topic: &NewTopic) -> Result<CreatedTopic, TopicError> {
        let snapshot = self.snapshot();
        let approved = approve(
            topic,
            |name| snapshot.by_name(name).is_some(),
            snapshot.by_name.keys().map(AsRef::as_ref),
            &self.registry.limits(&snapshot),
        )?;
        Ok(CreatedTopic {
            id: Uuid::ZERO,
            partitions: approved.partitions,
            configs: approved.configs,
        })
    }

    /// Creates a topic. Answers when it is durable, listed and open for appends, or with the error of CreateTopics:
    /// 17 name, 36 exists, 37 partitions, 38 replication factor, 39 assignment, 40 settings, 42 contradictions, 56 disk.
    /// A name of which something is still to be forgotten is waited for, `patience` long: then it is 7, and nothing is
    /// created.
    ///
    /// # Errors
    /// As said.
    pub async fn create_topic(
        &self,
        topic: NewTopic,
        patience: Duration,
    ) -> Result<CreatedTopic, TopicError> {
        let ask = |reply| KeeperMsg::Create {
            topic,
            patience,
            reply,
        };
        self.registry.ask(ask).await
    }

    /// Ends the patience of all who wait for their topic's name.
    pub(crate) fn give_up(&self) {
        self.registry.send(KeeperMsg::GiveUp { which: None });
    }

    /// Gives a topic more partitions. Answers when they are durable, listed and open for appends, or with the error of
    /// CreatePartitions: 3 unknown, 37 no increase or too many, 39 assignment, 42 internal, 56 disk. With
    /// `validate_only` it only says whether that could be.
    ///
    /// # Errors
    /// As said.
    pub async fn grow_topic(
        &self,
        name: &str,
        growth: Growth,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        if validate_only {
            let snapshot = self.snapshot();
            return changes::growing(name, &growth, &snapshot, &self.registry.limits(&snapshot))
                .map(drop);
        }
        let ask = |reply| KeeperMsg::Grow {
            name: name.to_owned(),
            growth,
            reply,
        };
        self.registry.ask(ask).await
    }

    /// Changes a topic's own settings, all or none. Answers when they are durable and in force, or with the error of
    /// IncrementalAlterConfigs: 3 unknown, 40 settings, 42 contradictions or internal, 56 disk. With `validate_only` it
    /// only says whether that could be.
    ///
    /// # Errors
    /// As said.
    pub async fn configure_topic(
        &self,
        name: &str,
        changes: Vec<ConfigChange>,
        validate_only: bool,
    ) -> Result<(), TopicError> {
        if validate_only {
            let defaults = &self.registry.config.log;
            return changes::configuring(name, &changes, &self.snapshot(), defaults).map(drop);
        }
        let ask = |reply| KeeperMsg::Configure {
            name: name.to_owned(),
            changes,
            reply,
        };
        self.registry.ask(ask).await
    }

    /// Deletes a topic. Answers when it is durably gone and no longer listed: 3 unknown, 42 internal, 56 disk. Its
    /// files are removed afterwards, and whoever listens forgets it.
    ///
    /// # Errors
    /// As said.
    pub async fn delete_topic(&self, name: &str) -> Result<DeletedTopic, TopicError> {
        let ask = |reply| KeeperMsg::Delete {
            name: name.to_owned(),
            reply,
        };
        self.registry.ask(ask).await
    }
}

impl Registry {
    fn send(&self, message: KeeperMsg) {
        // Without a keeper, or with one that has just ended, the message is dropped, and its reply with it.
        if let Some(keeper) = self.keeper() {
            drop(keeper.cast(message));
        }
    }

    /// What the keeper answers, however long that takes it.
    async fn ask<T>(
        &self,
        message: impl FnOnce(RpcReplyPort<Result<T, TopicError>>) -> KeeperMsg,
    ) -> Result<T, TopicError> {
        let (reply, answered) = oneshot::channel();
        self.send(message(reply.into()));
        answered.await.unwrap_or_else(|_| {
            Err(TopicError::new(
                ErrorCode::UNKNOWN_SERVER_ERROR,
                "the broker is stopping or failed at it; look whether it happened",
            ))
        })
    }

    fn keeper(&self) -> Option<Addr<KeeperMsg>> {
        self.keeper
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn announced(&self) -> std::sync::MutexGuard<'_, Announced> {
        self.announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn snapshot(&self) -> Arc<TopicsSnapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets everybody see what there is now, first of all whoever listens: nobody can commit to a topic of which the
    /// coordinators have not heard. `change` is what becomes of deleted topics with it.
    fn publish(
        self: &Arc<Self>,
        snapshot: impl Into<Arc<TopicsSnapshot>>,
        change: impl FnOnce(&mut Announced),
    ) {
        let snapshot = snapshot.into();
        let mut announced = self.announced();
        change(&mut announced);
        gauge!(BROKER_TOPICS_TO_FORGET).set(announced.deleted.len() as f64);
        announced.tell(&snapshot, self);
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    fn limits(&self, snapshot: &TopicsSnapshot) -> Limits {
        Limits {
            node_id: self.config.node_id,
            default_partitions: self.config.default_partitions,
            partitions_left: self
                .config
                .partitions_max
                .saturating_sub(snapshot.log_count()),
        }
    }
}

#[cfg(test)]
mod tests;
