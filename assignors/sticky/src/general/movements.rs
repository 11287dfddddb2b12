//! What moved from whom to whom while a group is balanced, so that a movement against another of the same topic undoes
//! that one instead: fewer partitions move in the end.

use std::collections::{BTreeSet, HashMap};

use callboard_assignor::TopicIndex;

use crate::partitions::Id;

/// From whom to whom, over everything in between.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Way {
    from: u32,
    to: u32,
}

#[derive(Default)]
pub(super) struct Movements {
    /// By partition. Never gone through, so that its order does not matter.
    ways: HashMap<Id, Way>,
    moved: HashMap<(TopicIndex, Way), BTreeSet<Id>>,
}

impl Movements {
    /// Which partition to move in place of `id` of `topic`, from its owner to `to`: one that went the opposite way before,
    /// the lowest of them, or itself.
    pub(super) fn actual(&self, topic: TopicIndex, id: Id, owner: u32, to: u32) -> Id {
        let from = self.ways.get(&id).map_or(owner, |way| way.from);
        let back = Way { from: to, to: from };
        let candidates = self.moved.get(&(topic, back));
        candidates.and_then(|ids| ids.first()).map_or(id, |id| *id)
    }

    /// A partition of `topic` moves.
    pub(super) fn note(&mut self, topic: TopicIndex, id: Id, from: u32, to: u32) {
        let mut way = Way { from, to };
        if let Some(before) = self.ways.remove(&id) {
            if let Some(ids) = self.moved.get_mut(&(topic, before)) {
                ids.remove(&id);
            }
            way.from = before.from;
        }
        // Back where it came from it never moved.
        if way.from != way.to {
            self.ways.insert(id, way);
            self.moved.entry((topic, way)).or_default().insert(id);
        }
    }
}
