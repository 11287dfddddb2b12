//! What most groups do not have: nobody is in most of them, nobody waits for them. Empty it takes one pointer's place.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::group::Waiting;
use super::members::Members;
use crate::core::timers::Timer;

/// Something that can be empty, and has an instance that always is.
pub(in crate::core) trait Empty: Default + 'static {
    fn empty() -> &'static Self;
    fn is_empty(&self) -> bool;
}

/// Reads as `T`; takes memory of its own from the first change until [`trim`](Self::trim) finds it empty.
#[derive(Debug)]
pub(in crate::core) struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> Rare<T> {
    /// To take something out: unlike a change it takes no memory where nothing is.
    pub(in crate::core) fn as_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    pub(in crate::core) fn trim(&mut self) {
        self.0.take_if(|inner| inner.is_empty());
    }

    /// All of it; nothing is left.
    pub(in crate::core) fn take(&mut self) -> T {
        self.0.take().map(|inner| *inner).unwrap_or_default()
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(inner) => inner,
            None => T::empty(),
        }
    }
}

impl<T: Empty> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl Empty for Members {
    fn empty() -> &'static Self {
        static EMPTY: Members = Members::new();
        &EMPTY
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Empty for BTreeMap<Arc<str>, Timer> {
    fn empty() -> &'static Self {
        static EMPTY: BTreeMap<Arc<str>, Timer> = BTreeMap::new();
        &EMPTY
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl Empty for VecDeque<Waiting> {
    fn empty() -> &'static Self {
        static EMPTY: VecDeque<Waiting> = VecDeque::new();
        &EMPTY
    }

    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::group::Group;
    use crate::core::step::{Appends, Settings, Step};
    use crate::core::timers::Timers;
    use crate::core::topics::Topics;
    use crate::{CoordinatorConfig, TopicLookup, TopicsImage};

    struct NoTopics;

    impl TopicLookup for NoTopics {
        fn partitions(&self, _name: &str) -> Option<i32> {
            None
        }
    }

    #[test]
    fn a_group_that_nobody_waits_for_takes_no_memory_in_its_steps() {
        let mut step = Step {
            now: 0,
            wall_ms: 0,
            settings: &Settings::new(&CoordinatorConfig::default()),
            timers: &mut Timers::default(),
            appends: &mut Appends::default(),
            topics: &Topics::new(Arc::new(TopicsImage::of(Arc::new(NoTopics)))),
            effects: &mut Vec::new(),
        };
        let mut group = Group::new("g".into());
        group.forget_pending(&mut step, "m");
        group.go_on(&mut step);
        assert!(group.pending.0.is_none() && group.waiting.0.is_none());
    }
}
