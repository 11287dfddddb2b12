//! What the coordinators of a node have been told of topics, and which of them still have something of a deleted one.
//! One lock over telling: a coordinator that starts hears of every change that its own first image does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use callboard_protocol::Uuid;
use callboard_supervision::Addr;

use crate::group_coordinator::CoordinatorMsg;
use crate::node::Place;
use crate::{Forgotten, TopicsImage};

/// See the module.
pub(crate) struct Told(RwLock<Inner>);

struct Inner {
    image: Arc<TopicsImage>,
    forgotten: Option<Forgotten>,
    /// By the id of the deleted topic: partitions of `__consumer_offsets` that may have something of it.
    holders: BTreeMap<[u8; 16], BTreeSet<u32>>,
}

impl Told {
    pub(crate) fn new(image: TopicsImage) -> Self {
        Self(RwLock::new(Inner {
            image: Arc::new(image),
            forgotten: None,
            holders: BTreeMap::new(),
        }))
    }

    pub(crate) fn image(&self) -> Arc<TopicsImage> {
        Arc::clone(&self.read().image)
    }

    /// Tells everybody on `board`.
    pub(crate) fn change(&self, board: &[Place], image: TopicsImage, forgotten: Forgotten) {
        let mut told = self.write();
        // Who was told of a topic once has heard it.
        let same = told.forgotten.as_ref();
        let is_same = same.is_some_and(|same| Arc::ptr_eq(same, &forgotten));
        let mut before = std::mem::take(&mut told.holders);
        let mut clean = Vec::new();
        for deleted in &image.deleted {
            let all = || (0..).zip(board).map(|(partition, _)| partition).collect();
            let holders = before.remove(&deleted.id.0).unwrap_or_else(all);
            if holders.is_empty() && !is_same {
                clean.push(deleted.id);
            }
            told.holders.insert(deleted.id.0, holders);
        }
        told.image = Arc::new(image);
        told.forgotten = Some(Arc::clone(&forgotten));
        for place in board {
            place.send(CoordinatorMsg::Topics(Arc::clone(&told.image)));
        }
        // Nobody else's code runs under the lock.
        drop(told);
        clean.into_iter().for_each(|id| forgotten(id));
    }

    /// Puts a new incarnation into its place, with all that it may have missed since it took its image.
    pub(crate) fn publish(&self, place: &Place, address: Addr<CoordinatorMsg>) {
        let told = self.read();
        drop(address.cast(CoordinatorMsg::Topics(Arc::clone(&told.image))));
        place.publish(address);
    }

    /// A coordinator has nothing of this topic any more.
    pub(crate) fn has_forgotten(&self, partition: u32, id: Uuid) {
        let mut told = self.write();
        let Some(holders) = told.holders.get_mut(&id.0) else {
            return;
        };
        let was_last = holders.remove(&partition) && holders.is_empty();
        let forgotten = told.forgotten.clone().filter(|_| was_last);
        drop(told);
        if let Some(forgotten) = forgotten {
            forgotten(id);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
