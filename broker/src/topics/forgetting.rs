//! Topics that are deleted and not forgotten: whoever listens for changes may still have something of them. Until nobody
//! has, a deleted topic stays in the store and its name is nobody's; who wants to create it waits here.

use std::sync::{Arc, Weak};
use std::time::Duration;

use callboard_coordinator::{Forgotten, TopicsImage};
use callboard_protocol::{ErrorCode, Uuid};
use callboard_supervision::{Addr, Timer};

use super::creating::Creation;
use super::keeper::KeeperMsg;
use super::{DeletedTopic, Registry, TopicError, TopicsSnapshot};

/// Hears of every change of topics before anybody else can know of it: all there are then, those that are gone and are to
/// be forgotten, and whom to tell when one is: once each, and again when that is somebody else. Must not block.
pub type TopicsListener = Arc<dyn Fn(TopicsImage, Forgotten) + Send + Sync>;

/// What the listener has been told. Only the keeper changes it.
#[derive(Default)]
pub(super) struct Announced {
    pub(super) listener: Option<TopicsListener>,
    pub(super) deleted: Vec<DeletedTopic>,
    /// Whom the listener tells: the same for a keeper's whole life, so that it tells each keeper once.
    forgotten: Option<Forgotten>,
}

impl std::fmt::Debug for Announced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announced")
            .field("deleted", &self.deleted)
            .finish_non_exhaustive()
    }
}

impl Announced {
    pub(super) fn tell(&mut self, snapshot: &Arc<TopicsSnapshot>, registry: &Arc<Registry>) {
        let Some(listener) = &self.listener else {
            return;
        };
        let image = TopicsImage {
            topics: Arc::clone(snapshot) as _,
            deleted: self.deleted.clone(),
        };
        let forgotten = self.forgotten.get_or_insert_with(|| {
            // Weak: the listener lives in what it would keep alive.
            let keeper: Weak<Registry> = Arc::downgrade(registry);
            Arc::new(move |id| {
                // A keeper that is not there now asks again when it is.
                if let Some(registry) = keeper.upgrade() {
                    registry.send(KeeperMsg::Forgotten { id });
                }
            })
        });
        listener(image, Arc::clone(forgotten));
    }

    /// A keeper begins, with what it found to be forgotten. What its predecessor was told may have been lost with it.
    pub(super) fn begin(&mut self, deleted: Vec<DeletedTopic>) {
        self.deleted = deleted;
        self.forgotten = None;
    }

    pub(super) fn waits_for(&self, id: Uuid) -> bool {
        self.deleted.iter().any(|deleted| deleted.id == id)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.deleted.iter().any(|deleted| *deleted.name == *name)
    }

    /// The topic is forgotten; its name, if it was not already.
    pub(super) fn remove(&mut self, id: Uuid) -> Option<Arc<str>> {
        let at = self.deleted.iter().position(|deleted| deleted.id == id)?;
        Some(self.deleted.remove(at).name)
    }
}

/// A creation that waits for its name.
#[derive(Debug)]
struct Waiting {
    number: u64,
    creation: Creation,
    _patience: Timer,
}

/// All of them, in the order they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
    numbers: u64,
}

impl Queue {
    /// Lets a creation wait, for at most `patience`.
    pub(super) fn wait(
        &mut self,
        creation: Creation,
        patience: Duration,
        keeper: &Addr<KeeperMsg>,
    ) {
        self.numbers += 1;
        let number = self.numbers;
        self.waiting.push(Waiting {
            number,
            creation,
            _patience: keeper.send_after(
                patience,
                KeeperMsg::GiveUp {
                    which: Some(number),
                },
            ),
        });
    }

    /// Ends the patience of one, or of all. Nothing was created for it, and nothing will be.
    pub(super) fn give_up(&mut self, which: Option<u64>) {
        let is_over = |one: &mut Waiting| which.is_none_or(|number| one.number == number);
        for one in self.waiting.extract_if(.., is_over) {
            let Creation { topic, reply } = one.creation;
            let message = format!(
                "Topic '{}' was deleted, and offsets committed for it are still being removed.",
                topic.name
            );
            let error = TopicError::new(ErrorCode::REQUEST_TIMED_OUT, message);
            drop(reply.send(Err(error)));
        }
    }

    /// Those who waited for `name`.
    pub(super) fn take(&mut self, name: &str) -> Vec<Creation> {
        let all = std::mem::take(&mut self.waiting);
        let is_free = |one: &Waiting| one.creation.topic.name == name;
        let (free, others): (Vec<_>, _) = all.into_iter().partition(is_free);
        self.waiting = others;
        free.into_iter().map(|one| one.creation).collect()
    }
}
