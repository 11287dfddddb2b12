//! Topics that come and go. A deleted topic's committed offsets are forgotten, of every group and whatever the group is
//! doing (spec 5.9); the image of topics says which, until nobody has anything of them.
//!
//! A commit is looked up when it comes and stands in line before it is stepped: it is held against the image of then.
//! So whatever reaches the writer behind [`Effect::Forget`] is not for the topic that it forgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use callboard_protocol::{ErrorCode, Uuid};

use super::effect::{Effect, Event};
use super::input::{Commit, CommitTopic};
use super::timers::Millis;
use crate::TopicsImage;
use crate::request::TopicRef;

/// Until what could not be forgotten is tried again: at first, and at most.
const AGAIN_MS_MIN: Millis = 250;
const AGAIN_MS_MAX: Millis = 5_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Topics {
    image: Arc<TopicsImage>,
    /// By the id of the deleted topic.
    deletions: BTreeMap<[u8; 16], Deletion>,
    /// Failures since something was forgotten the last time.
    failures: u32,
    again_at: Option<Millis>,
}

#[derive(Debug)]
struct Deletion {
    name: Arc<str>,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing is under way: what is stored has not been loaded, or the last try failed.
    Due,
    UnderWay,
    Forgotten,
}

impl Topics {
    pub(super) fn new(image: Arc<TopicsImage>) -> Self {
        let mut topics = Self {
            image: Arc::clone(&image),
            deletions: BTreeMap::new(),
            failures: 0,
            again_at: None,
        };
        topics.learn(image);
        topics
    }

    /// Takes an image for what there is now.
    pub(super) fn learn(&mut self, image: Arc<TopicsImage>) {
        let mut before = std::mem::take(&mut self.deletions);
        for deleted in &image.deleted {
            let deletion = before.remove(&deleted.id.0).unwrap_or_else(|| Deletion {
                name: Arc::clone(&deleted.name),
                progress: Progress::Due,
            });
            self.deletions.insert(deleted.id.0, deletion);
        }
        self.image = image;
    }

    /// Has everything forgotten that is due. Only once what is stored has been loaded.
    pub(super) fn forget(&mut self, effects: &mut Vec<Effect>) {
        self.again_at = None;
        for (id, deletion) in &mut self.deletions {
            if deletion.progress == Progress::Due {
                deletion.progress = Progress::UnderWay;
                effects.push(Effect::Forget {
                    id: Uuid(*id),
                    topic: Arc::clone(&deletion.name),
                });
            }
        }
    }

    /// What became of one that was under way.
    pub(super) fn forgot(
        &mut self,
        now: Millis,
        id: Uuid,
        outcome: Result<(), ErrorCode>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(deletion) = self.deletions.get_mut(&id.0) else {
            return;
        };
        match outcome {
            Ok(()) => {
                deletion.progress = Progress::Forgotten;
                self.failures = 0;
                effects.push(Effect::Forgotten { id });
            }
            Err(error) => {
                deletion.progress = Progress::Due;
                let again_ms = AGAIN_MS_MIN
                    .saturating_mul(1 << self.failures.min(16))
                    .min(AGAIN_MS_MAX);
                self.failures = self.failures.saturating_add(1);
                self.again_at
                    .get_or_insert_with(|| now.saturating_add(again_ms));
                effects.push(Effect::Note(Event::NotForgotten {
                    topic: Arc::clone(&deletion.name),
                    error,
                    failures: self.failures,
                }));
            }
        }
    }

    /// When [`forget`](Self::forget) is to be tried again.
    pub(super) fn again_at(&self) -> Option<Millis> {
        self.again_at
    }

    /// Whether nothing is stored for a topic that is gone.
    pub(super) fn are_clean(&self) -> bool {
        let mut all = self.deletions.values();
        all.all(|deletion| deletion.progress == Progress::Forgotten)
    }

    /// NONE if the topic of this part of `commit` is still the one that was looked up.
    pub(super) fn check(&self, commit: &Commit, topic: &CommitTopic) -> ErrorCode {
        if Arc::ptr_eq(&commit.image, &self.image) {
            return ErrorCode::NONE;
        }
        let (then, now) = (&commit.image.topics, &self.image.topics);
        let is_there = now.partitions(&topic.name).is_some();
        if is_there && then.id_of(&topic.name) == now.id_of(&topic.name) {
            return ErrorCode::NONE;
        }
        match topic.topic {
            TopicRef::Name(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            TopicRef::Id(_) => ErrorCode::UNKNOWN_TOPIC_ID,
        }
    }
}
