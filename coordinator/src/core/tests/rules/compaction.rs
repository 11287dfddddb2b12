//! Hard case 33: a log in whatever stage of compaction loads, and to the same groups (KAFKA-17306, KAFKA-19862).

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use callboard_offsets::index::Index;
use callboard_offsets::record::{OffsetCommitValue, Record};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::house::TestTopics;
use super::super::kit::config;
use super::super::tale::stable;
use crate::TopicsImage;
use crate::core::{Groups, Input, Now, State, StoredGroup};

const RUNS: u64 = 300;

/// Lives of three groups: members that come and go, a static restart, offsets that are deleted, a group that is deleted
/// and founded again, and one that ends with its offsets.
fn history() -> Vec<Record> {
    let (house, _) = stable(&["A", "B/i"]).plays(
        "
        0 > C commit c~A gen=1 t/0=1 t/1=1 u/0=1
        0 > D join instance=i
        0 > E commit c~A gen=1 t/0=2
        0 > F forget u/0
        0 > G commit t/0=1 t/1=1 group=h
        0 > H delete group=h
        0 > I commit t/1=2 group=h
        0 > J join v3 group=k
        500 > K leave c~J group=k
        500 > M join v3 group=k
        1000 > N sync c~M gen=2 group=k plan=c~M:m
        1000 > O commit c~M gen=2 t/0=5 group=k
        1000 > P leave c~M group=k
        1000 > Q delete group=k
        1000 > R join v3 group=k
        1500 > S sync c~R gen=1 group=k plan=c~R:r
        1500 > T join group=l
        1500 > check
        ",
    );
    house.log
}

/// What the cleaner may have left: of a key everything from some point on, and not even the last if that is a tombstone
/// and all before it is gone.
fn compacted(log: &[Record], rng: &mut StdRng) -> Vec<Record> {
    let mut of_key: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (place, record) in log.iter().enumerate() {
        let key = match record {
            Record::OffsetCommit {
                group,
                topic,
                partition,
                ..
            } => (Arc::clone(group), Some((Arc::clone(topic), *partition))),
            other => (Arc::clone(other.group()), None),
        };
        of_key.entry(key).or_default().push(place);
    }
    let mut kept: Vec<usize> = Vec::new();
    for places in of_key.values() {
        let last = places.len() - 1;
        let ends = matches!(
            log[places[last]],
            Record::OffsetCommit { value: None, .. } | Record::Group { value: None, .. }
        );
        // Cleaned up to here; a tombstone lives longer than what it removes.
        let from = rng.random_range(0..=last + usize::from(ends));
        kept.extend(&places[from..]);
    }
    kept.sort_unstable();
    kept.into_iter().map(|place| log[place].clone()).collect()
}

fn replayed(log: &[Record]) -> Index {
    let mut index = Index::default();
    for (offset, record) in log.iter().enumerate() {
        index.apply(record, i64::try_from(offset).unwrap());
    }
    index
}

fn committed(index: &Index, group_id: &str) -> Vec<(Arc<str>, i32, OffsetCommitValue)> {
    let mut all = Vec::new();
    for (topic, offsets) in index.topics(group_id) {
        for (partition, committed) in offsets.iter() {
            all.push((Arc::clone(topic), partition, committed.value));
        }
    }
    all
}

#[test]
fn s10_33_a_log_loads_in_every_stage_of_compaction() {
    let log = history();
    let whole = StoredGroup::read_all(&replayed(&log)).unwrap();
    assert_eq!(whole.len(), 3, "{whole:?}");
    let first = RandomState::new().hash_one("compaction") >> 1;
    for seed in first..first + RUNS {
        let left = compacted(&log, &mut StdRng::seed_from_u64(seed));
        let index = replayed(&left);
        let stored = StoredGroup::read_all(&index).unwrap();
        assert_eq!(stored, whole, "seed {seed}");
        for group in &whole {
            assert_eq!(
                committed(&index, &group.group_id),
                committed(&replayed(&log), &group.group_id),
                "seed {seed}"
            );
        }
        let topics = TopicsImage::of(Arc::new(TestTopics::default()));
        let mut groups = Groups::new(&config(), Arc::new(topics));
        groups.step(Now::default(), Input::Loaded(stored), &mut Vec::new());
        let census = groups.census();
        assert_eq!(census.groups_in(State::Stable), 2, "seed {seed}");
        assert_eq!(census.groups_in(State::Empty), 1, "seed {seed}");
    }
}
