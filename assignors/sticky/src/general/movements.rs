//! What moved from whom to whom while a group is balanced, so that a movement against another of the same topic undoes
//! that one instead: fewer partitions move in the end.
//!
//! Which of several is undone hangs in Java on the order of a hash set of partitions. The choice is the same here, so that a
//! group comes to the same plan whoever leads it.

use std::collections::{BTreeSet, HashMap};

use callboard_assignor::{Group, TopicIndex};

use crate::partitions::{Id, NOBODY, Partitions};

/// A new hash set of Java's has so many buckets, and twice as many whenever three quarters of their number are exceeded.
const BUCKETS: u32 = 16;

/// From whom to whom partitions of a topic moved, over everybody in between.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Way {
    topic: TopicIndex,
    from: u32,
    to: u32,
}

/// The partitions that went one way.
#[derive(Clone, Copy)]
struct Moved {
    number: u32,
    count: u32,
    buckets: u32,
}

/// Where a partition was first, and when it last moved.
#[derive(Clone, Copy)]
struct Origin {
    member: u32,
    moved: u64,
}

/// Places of partitions in the sets of all ways, as Java goes through them: the set's number, the bucket, in one bucket the
/// first to come first.
type Places = BTreeSet<(u32, u32, u64, Id)>;

pub(super) struct Movements<'a> {
    group: &'a Group,
    partitions: &'a Partitions,
    /// By partition; empty before the first movement.
    origins: Vec<Origin>,
    /// Never gone through, so that its order does not matter.
    ways: HashMap<Way, Moved>,
    places: Places,
    sets: u32,
    movements: u64,
}

impl<'a> Movements<'a> {
    pub(super) fn new(group: &'a Group, partitions: &'a Partitions) -> Self {
        Self {
            group,
            partitions,
            origins: Vec::new(),
            ways: HashMap::new(),
            places: Places::new(),
            sets: 0,
            movements: 0,
        }
    }

    /// Which partition to move in place of this one from its owner to `to`: one that went the opposite way before, or
    /// itself.
    pub(super) fn actual(&self, id: Id, owner: u32, to: u32) -> Id {
        let back = Way {
            topic: self.partitions.topic(id),
            from: to,
            to: self.origin(id).map_or(owner, |origin| origin.member),
        };
        let Some(moved) = self.ways.get(&back) else {
            return id;
        };
        let mut places = self.places.range((moved.number, 0, 0, 0)..);
        places.next().map_or(id, |(_, _, _, id)| *id)
    }

    fn origin(&self, id: Id) -> Option<Origin> {
        let origin = self.origins.get(id as usize).copied();
        origin.filter(|origin| origin.member != NOBODY)
    }

    /// A partition moves.
    pub(super) fn note(&mut self, id: Id, from: u32, to: u32) {
        let topic = self.partitions.topic(id);
        let mut way = Way { topic, from, to };
        let nowhere = Origin {
            member: NOBODY,
            moved: 0,
        };
        if let Some(origin) = self.origin(id) {
            way.from = origin.member;
            self.remove(
                Way {
                    topic,
                    from: origin.member,
                    to: from,
                },
                id,
                origin.moved,
            );
            self.origins[id as usize] = nowhere;
        }
        // Back where it came from it never moved.
        if way.from != to {
            self.origins.resize(self.partitions.len(), nowhere);
            self.origins[id as usize] = Origin {
                member: way.from,
                moved: self.movements,
            };
            self.insert(way, id);
            self.movements += 1;
        }
    }

    fn insert(&mut self, way: Way, id: Id) {
        let new = Moved {
            number: self.sets,
            count: 0,
            buckets: BUCKETS,
        };
        let moved = self.ways.entry(way).or_insert(new);
        self.sets += u32::from(moved.count == 0);
        moved.count += 1;
        let moved = *moved;
        let bucket = self.bucket(id, moved.buckets);
        self.places
            .insert((moved.number, bucket, self.movements, id));
        if moved.count > moved.buckets / 4 * 3 {
            self.grow(way, moved);
        }
    }

    fn grow(&mut self, way: Way, moved: Moved) {
        let buckets = moved.buckets * 2;
        let all = (moved.number, 0, 0, 0)..(moved.number + 1, 0, 0, 0);
        let before: Vec<_> = self.places.range(all).copied().collect();
        for place in before {
            self.places.remove(&place);
            let (number, _, came, id) = place;
            self.places
                .insert((number, self.bucket(id, buckets), came, id));
        }
        self.ways.insert(way, Moved { buckets, ..moved });
    }

    fn remove(&mut self, way: Way, id: Id, came: u64) {
        let Some(moved) = self.ways.get_mut(&way) else {
            return;
        };
        moved.count -= 1;
        let moved = *moved;
        let bucket = self.bucket(id, moved.buckets);
        self.places.remove(&(moved.number, bucket, came, id));
        if moved.count == 0 {
            self.ways.remove(&way);
        }
    }

    /// Java's hash of a partition of a topic, as its hash maps take it.
    fn bucket(&self, id: Id, buckets: u32) -> u32 {
        let partition = self.partitions.at(id);
        let hash = |hash: u32, next: u32| hash.wrapping_mul(31).wrapping_add(next);
        let name = self.group.topic(partition.topic).name();
        let topic = name.encode_utf16().map(u32::from).fold(0, hash);
        let hash = hash(hash(1, partition.number as u32), topic);
        (hash ^ (hash >> 16)) & (buckets - 1)
    }
}

#[cfg(test)]
mod tests {
    use callboard_assignor::{MemberInfo, Partition, TopicInfo};

    use super::*;

    /// Partitions 0, 7, 14 and so on of 64 move; one that did not comes back again and again, and others are taken for it.
    /// Orders are those of Java 17's hash set of Kafka's own `TopicPartition`.
    #[test]
    fn of_several_movements_the_one_is_undone_that_java_comes_to_first() {
        let orders: [&[i32]; 4] = [
            &[0, 14, 7],
            &[0, 63, 49, 28, 14, 13, 56, 7, 42, 35, 6, 21],
            &[49, 14, 13, 7, 42, 35, 6, 0, 63, 28, 56, 20, 21],
            &[
                48, 11, 13, 40, 7, 42, 5, 0, 33, 27, 62, 56, 19, 54, 21, 47, 49, 12, 14, 41, 4, 35,
                6, 63, 34, 28, 61, 55, 26, 20,
            ],
        ];
        let topic = TopicInfo {
            name: "orders-é".to_owned(),
            partitions: 64,
            ..TopicInfo::default()
        };
        let members = ["a", "b"].map(|id| MemberInfo::new(id, ["orders-é"]));
        let group = Group::new([topic], members);
        let partitions = Partitions::new(&group).unwrap();
        let topic = group.topic_index("orders-é").unwrap();
        let id = |number| partitions.id(Partition { topic, number }).unwrap();
        for expected in orders {
            let mut movements = Movements::new(&group, &partitions);
            for place in 0..expected.len() as i32 {
                movements.note(id(place * 7 % 64), 0, 1);
            }
            let mut undone = Vec::new();
            for _one in expected {
                let actual = movements.actual(id(1), 1, 0);
                movements.note(actual, 1, 0);
                undone.push(partitions.at(actual).number);
            }
            assert_eq!(undone, expected);
            assert_eq!(movements.actual(id(1), 1, 0), id(1));
        }
    }

    /// From a over b to c, it is on its way from a to c, and back at a it never moved.
    #[test]
    fn a_way_is_from_the_first_to_the_last() {
        let topic = TopicInfo {
            name: "orders".to_owned(),
            partitions: 2,
            ..TopicInfo::default()
        };
        let members = ["a", "b", "c"].map(|id| MemberInfo::new(id, ["orders"]));
        let group = Group::new([topic], members);
        let partitions = Partitions::new(&group).unwrap();
        let mut movements = Movements::new(&group, &partitions);
        movements.note(0, 0, 1);
        assert_eq!(movements.actual(1, 1, 0), 0);
        movements.note(0, 1, 2);
        assert_eq!(movements.actual(1, 1, 0), 1);
        assert_eq!(movements.actual(1, 2, 0), 0);
        movements.note(0, 2, 0);
        assert_eq!(movements.actual(1, 2, 0), 1);
    }
}
