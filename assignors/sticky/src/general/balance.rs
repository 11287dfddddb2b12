//! Moves partitions from loaded members to less loaded ones until none can move any more.

use callboard_assignor::{Group, TopicIndex};

use super::Owners;
use super::load::Load;
use super::movements::Movements;
use super::unassigned::places;
use crate::partitions::{Id, NOBODY, Partitions};

/// How many times in a row the partitions may be gone through without the loads coming closer to each other. Undoing
/// movements can do so for a while; that it ends is proved by nothing but this.
const FRUITLESS_MAX: u32 = 16;

pub(super) struct Balance<'a> {
    group: &'a Group,
    partitions: &'a Partitions,
    /// Of topics that more than one member subscribes to, in order; the others cannot move.
    movable: Vec<Id>,
    /// By member: whether it subscribes to one of these.
    takes_part: Vec<bool>,
    /// By partition: who had it before, empty where nobody is known to.
    previous: Vec<u32>,
    movements: Movements<'a>,
}

impl<'a> Balance<'a> {
    pub(super) fn new(
        group: &'a Group,
        partitions: &'a Partitions,
        topics: &[TopicIndex],
        previous: Vec<u32>,
    ) -> Self {
        let shared = topics
            .iter()
            .filter(|topic| group.subscribers(**topic).len() > 1);
        let mut takes_part = vec![false; group.member_indices().len()];
        let mut movable = Vec::new();
        for topic in shared {
            movable.extend(partitions.of(*topic));
            for place in places(group.subscribers(*topic)) {
                takes_part[place as usize] = true;
            }
        }
        Self {
            group,
            partitions,
            movable,
            takes_part,
            previous,
            movements: Movements::new(group, partitions),
        }
    }

    /// Where members keep all they own, what was `added` moves first, so that less of the rest does. Not better in the end
    /// than before is not worth moving for, unless everything is `fresh`.
    pub(super) fn run(mut self, owners: &mut Owners, added: Option<Vec<Id>>, fresh: bool) {
        if self.is_level(owners) {
            return;
        }
        let before = owners.clone();
        if let Some(mut added) = added {
            added.retain(|id| self.group.subscribers(self.partitions.topic(*id)).len() > 1);
            self.settle(owners, &added);
        }
        let movable = std::mem::take(&mut self.movable);
        let moved = self.settle(owners, &movable);
        if moved && !fresh && self.spread(owners) >= self.spread(&before) {
            *owners = before;
        }
    }

    /// Whether no member that takes part has two more than another.
    fn is_level(&self, owners: &Owners) -> bool {
        let counts = || self.counts(owners);
        counts().max().unwrap_or(0) <= counts().min().unwrap_or(0).saturating_add(1)
    }

    fn counts(&self, owners: &Owners) -> impl Iterator<Item = u32> {
        let counts = owners.counts.iter().zip(&self.takes_part);
        counts.filter(|(_, takes)| **takes).map(|(count, _)| *count)
    }

    /// The sum of the differences of every two members that take part.
    fn spread(&self, owners: &Owners) -> u128 {
        let mut counts: Vec<u32> = self.counts(owners).collect();
        counts.sort_unstable();
        let (mut spread, mut below) = (0, 0);
        for (place, count) in counts.into_iter().enumerate() {
            let count = u128::from(count);
            spread += count * place as u128 - below;
            below += count;
        }
        spread
    }

    /// Goes through these partitions until none of them moves. Whether any did.
    fn settle(&mut self, owners: &mut Owners, ids: &[Id]) -> bool {
        let mut moved = false;
        let mut best = u128::MAX;
        let mut fruitless = 0;
        while fruitless < FRUITLESS_MAX && !self.is_level(owners) && self.pass(owners, ids) {
            moved = true;
            let counts = owners.counts.iter();
            let squares = counts.map(|count| u128::from(*count).pow(2)).sum();
            fruitless = if squares < best { 0 } else { fruitless + 1 };
            best = best.min(squares);
        }
        moved
    }

    fn pass(&mut self, owners: &mut Owners, ids: &[Id]) -> bool {
        let mut moved = false;
        let partitions = self.partitions;
        let topic = |id: &Id| partitions.topic(*id);
        for ids in ids.chunk_by(|one, other| topic(one) == topic(other)) {
            moved |= self.pass_topic(owners, topic(&ids[0]), ids);
        }
        moved
    }

    fn pass_topic(&mut self, owners: &mut Owners, topic: TopicIndex, ids: &[Id]) -> bool {
        let mut moved = false;
        let subscribers = self.group.subscribers(topic);
        let mut load = Load::new(places(subscribers), &owners.counts);
        for id in ids {
            let owner = owners.of[*id as usize];
            let Some((least, least_loaded)) = load.least(&owners.counts) else {
                break;
            };
            let count = owners.counts[owner as usize];
            if count <= least + 1 {
                continue;
            }
            let to = self
                .previous_owner(topic, *id)
                .filter(|previous| count > owners.counts[*previous as usize] + 1)
                .unwrap_or(least_loaded);
            let id = self.movements.actual(*id, owner, to);
            let from = std::mem::replace(&mut owners.of[id as usize], to);
            self.movements.note(id, from, to);
            owners.counts[from as usize] -= 1;
            owners.counts[to as usize] += 1;
            load.changed(from, &owners.counts);
            load.changed(to, &owners.counts);
            moved = true;
        }
        moved
    }

    /// Who had it before, if it still subscribes to it.
    fn previous_owner(&self, topic: TopicIndex, id: Id) -> Option<u32> {
        let previous = *self.previous.get(id as usize)?;
        let subscribers = self.group.subscribers(topic);
        let subscribes = subscribers
            .binary_search_by_key(&previous, |one| one.position() as u32)
            .is_ok();
        (previous != NOBODY && subscribes).then_some(previous)
    }
}
