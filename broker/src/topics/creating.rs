//! Creations, some at a time: their descriptions are written side by side, made durable by one flush of the directory,
//! opened side by side and shown at once. Between two lots the keeper does what else it is asked for.

use std::collections::{BTreeSet, VecDeque};

use callboard_supervision::RpcReplyPort;
use ractor::ActorProcessingErr;
use tracing::info;

use super::core::{Approved, approve};
use super::keeper::{KeeperMsg, State, new_id, storage};
use super::store::StoredTopic;
use super::{CreatedTopic, NewTopic, TopicError, TopicsSnapshot};

/// Topics created before others get their turn; whoever wants more asks for so many at a time.
pub(crate) const CREATED_AT_ONCE: usize = 64;

/// A topic that somebody waits for.
#[derive(Debug)]
pub(super) struct Creation {
    pub(super) topic: NewTopic,
    pub(super) reply: RpcReplyPort<Result<CreatedTopic, TopicError>>,
}

/// Creations in the order they were asked for, and whether the keeper has told itself to go on with them.
#[derive(Debug, Default)]
pub(super) struct Creations {
    queue: VecDeque<Creation>,
    goes_on: bool,
}

impl State {
    pub(super) fn enqueue(&mut self, creation: Creation) {
        self.creations.queue.push_back(creation);
        self.see_to_it();
    }

    fn see_to_it(&mut self) {
        if !self.creations.queue.is_empty() && !self.creations.goes_on {
            self.creations.goes_on = self.myself.cast(KeeperMsg::GoOnCreating).is_ok();
        }
    }

    pub(super) async fn go_on_creating(&mut self) -> Result<(), ActorProcessingErr> {
        self.creations.goes_on = false;
        let count = self.creations.queue.len().min(CREATED_AT_ONCE);
        let lot = self.creations.queue.drain(..count).collect();
        self.create(lot).await?;
        self.see_to_it();
        Ok(())
    }

    /// What was asked for first about this name comes first.
    pub(super) async fn create_first(&mut self, name: &str) -> Result<(), ActorProcessingErr> {
        if !self
            .creations
            .queue
            .iter()
            .any(|one| one.topic.name == name)
        {
            return Ok(());
        }
        let all = std::mem::take(&mut self.creations.queue);
        let (lot, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|one| one.topic.name == name);
        self.creations.queue = others.into();
        self.create(lot).await
    }

    /// `Err` only when the actors under this one do not answer, or the disk cannot be brought back to what is answered:
    /// then everything is started anew, from the disk.
    async fn create(&mut self, lot: Vec<Creation>) -> Result<(), ActorProcessingErr> {
        let snapshot = self.registry.snapshot();
        let (stored, replies) = self.approve(lot, &snapshot);
        if stored.is_empty() {
            return Ok(());
        }
        let prepare = |topic: &StoredTopic| {
            let (store, topic) = (self.store.clone(), topic.clone());
            tokio::task::spawn_blocking(move || store.prepare(&topic))
        };
        let preparing: Vec<_> = stored.iter().map(prepare).collect();
        let mut written = Vec::with_capacity(stored.len());
        for prepared in preparing {
            written.push(prepared.await?);
        }
        let (named, outcomes) = self
            .on_disk(move |store| {
                let outcomes = store.name_all(&stored, written)?;
                Ok((stored, outcomes))
            })
            .await??;
        let (mut topics, mut made) = (Vec::new(), Vec::new());
        for ((stored, outcome), reply) in named.into_iter().zip(outcomes).zip(replies) {
            match outcome {
                Ok(()) => {
                    topics.push(self.topic_of(stored, &snapshot));
                    made.push(reply);
                }
                Err(error) => drop(reply.send(Err(storage(&error)))),
            }
        }
        let logs = topics.iter().flat_map(|topic| topic.logs_from(0));
        self.open_logs(logs.collect()).await?;
        let mut next = TopicsSnapshot::clone(&snapshot);
        let topics: Vec<_> = topics.into_iter().map(|topic| next.insert(topic)).collect();
        self.registry.publish(next, |_| {});
        for (topic, reply) in topics.into_iter().zip(made) {
            info!(topic = %topic.name, partitions = topic.partitions, "topic created");
            drop(reply.send(Ok(CreatedTopic {
                id: topic.id,
                partitions: topic.partitions,
                configs: topic.configs.clone(),
            })));
        }
        Ok(())
    }

    /// Those of a lot that may be created, and who waits for each. The others are answered.
    fn approve(
        &self,
        lot: Vec<Creation>,
        snapshot: &TopicsSnapshot,
    ) -> (
        Vec<StoredTopic>,
        Vec<RpcReplyPort<Result<CreatedTopic, TopicError>>>,
    ) {
        let mut limits = self.registry.limits(snapshot);
        let mut names: BTreeSet<String> = BTreeSet::new();
        let (mut stored, mut replies) = (Vec::new(), Vec::new());
        for Creation { topic, reply } in lot {
            let exists = |name: &str| snapshot.by_name(name).is_some() || names.contains(name);
            let of_lot = names.iter().map(String::as_str);
            let existing = snapshot.by_name.keys().map(AsRef::as_ref).chain(of_lot);
            match approve(&topic, exists, existing, &limits) {
                Err(refused) => drop(reply.send(Err(refused))),
                Ok(Approved {
                    name,
                    partitions,
                    configs,
                }) => {
                    let count = usize::try_from(partitions).unwrap_or(0);
                    limits.partitions_left = limits.partitions_left.saturating_sub(count);
                    let id = new_id(|id| snapshot.by_id(id).is_some());
                    names.insert(name.clone());
                    stored.push(StoredTopic::new(id, name, partitions, configs));
                    replies.push(reply);
                }
            }
        }
        (stored, replies)
    }
}
