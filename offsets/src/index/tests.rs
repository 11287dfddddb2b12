//! The index against a plain map of the topic's keys, which is what it stands for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Index;
use crate::record::{OffsetCommitValue, Record};

fn commit(offset: i64) -> OffsetCommitValue {
    OffsetCommitValue {
        offset,
        leader_epoch: 3,
        metadata: "note".into(),
        commit_timestamp_ms: 5,
        expire_timestamp_ms: None,
        topic_id: [1; 16],
    }
}

/// Opaque: any bytes do.
fn value(number: i64) -> Bytes {
    number.to_be_bytes().to_vec().into()
}

fn offset_record(topic: &str, partition: i32, value: Option<OffsetCommitValue>) -> Record {
    Record::OffsetCommit {
        group: "g".into(),
        topic: topic.into(),
        partition,
        value,
    }
}

fn group_record(kind: i16, rest: &'static str, value: Option<Bytes>) -> Record {
    Record::Group {
        group: "g".into(),
        kind,
        rest: rest.into(),
        value,
    }
}

#[test]
fn a_value_with_an_expiry_is_seen_as_it_is_written() {
    let mut index = Index::default();
    let value = OffsetCommitValue {
        expire_timestamp_ms: Some(9),
        ..commit(1)
    };
    index.apply(&offset_record("t", 0, Some(value)), 0);
    let seen = index.committed("g", "t", 0).unwrap();
    assert_eq!((seen.leader_epoch, seen.topic_id), (-1, [0; 16]));
}

#[test]
fn the_end_of_a_group_ends_its_generations_and_leaves_its_offsets_to_their_own_tombstones() {
    let mut index = Index::default();
    let mark = Record::GenerationMark {
        group: "g".into(),
        generation: 9,
    };
    index.apply(&group_record(2, "", Some(value(9))), 0);
    index.apply(&mark, 1);
    index.apply(&offset_record("t", 0, Some(commit(1))), 1);
    index.apply(&group_record(2, "", None), 2);
    assert_eq!(index.generation_mark("g"), None);
    assert!(index.has_offsets("g"));
    index.apply(&offset_record("t", 0, None), 3);
    assert!(index.is_empty());
    assert_eq!(
        index,
        Index::default(),
        "nothing is left behind, no name either"
    );
}

#[test]
fn a_groups_records_are_kept_by_their_keys_whatever_their_kind() {
    let mut index = Index::default();
    let mark = Record::GenerationMark {
        group: "g".into(),
        generation: 9,
    };
    for (kind, rest, number) in [(5, "m2", 1), (2, "", 2), (5, "m1", 3), (5, "m2", 4)] {
        index.apply(&group_record(kind, rest, Some(value(number))), number);
    }
    index.apply(&mark, 5);
    assert_eq!(index.group_record("g", 2), Some(value(2).as_ref()));
    assert_eq!(index.group_record("g", 5), None);
    assert_eq!(index.group_records("h").count(), 0);
    let all: Vec<_> = index.group_records("g").collect();
    let (one, two, four) = (value(3), value(2), value(4));
    assert_eq!(
        all,
        [
            (2, &b""[..], two.as_ref()),
            (5, b"m1", one.as_ref()),
            (5, b"m2", four.as_ref())
        ]
    );
    assert!(index.record_kinds().eq([2, 5, 5]));
    // A member that goes does not end the generations.
    index.apply(&group_record(5, "m1", None), 6);
    assert_eq!(index.generation_mark("g"), Some(9));
    index.apply(&group_record(2, "", None), 7);
    assert_eq!(index.generation_mark("g"), None);
    assert_eq!((index.len(), index.groups().count()), (1, 1));
    index.apply(&group_record(5, "m2", None), 8);
    assert_eq!(index, Index::default());
}

#[test]
fn a_mark_never_goes_down() {
    let mut index = Index::default();
    for generation in [5, 9, 7] {
        let mark = Record::GenerationMark {
            group: "g".into(),
            generation,
        };
        index.apply(&mark, 0);
    }
    assert_eq!(index.generation_mark("g"), Some(9));
    assert_eq!(index.len(), 0, "a mark is no key of the topic");
}

#[test]
fn a_topics_name_is_kept_once() {
    let mut index = Index::default();
    for group in ["g", "h"] {
        let record = Record::OffsetCommit {
            group: group.into(),
            topic: "t".into(),
            partition: 0,
            value: Some(commit(1)),
        };
        index.apply(&record, 0);
    }
    let name = |group| Arc::clone(index.topics(group).next().unwrap().0);
    assert!(Arc::ptr_eq(&name("g"), &name("h")));
}

/// The keys of the topic, as text.
type Model = BTreeMap<String, i64>;

#[test]
fn whatever_is_applied_it_holds_what_the_topics_keys_hold() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut index = Index::default();
    let mut model = Model::new();
    for offset in 0..20_000 {
        let group: Arc<str> = format!("g{}", random.random_range(0..5)).into();
        let alive = random.random_bool(0.5);
        let record = if random.random_bool(0.8) {
            let topic = format!("t{}", random.random_range(0..4));
            let partition = random.random_range(0..4);
            let key = format!("{group}/{topic}/{partition}");
            if alive {
                model.insert(key, offset)
            } else {
                model.remove(&key)
            };
            Record::OffsetCommit {
                group,
                topic: topic.into(),
                partition,
                value: alive.then(|| commit(offset)),
            }
        } else {
            let kind = random.random_range(2..5);
            let rest = ["", "m", "n"][random.random_range(0..3)];
            let key = format!("{group} {kind} {rest}");
            if alive {
                model.insert(key, offset)
            } else {
                model.remove(&key)
            };
            Record::Group {
                group,
                kind,
                rest: rest.into(),
                value: alive.then(|| value(offset)),
            }
        };
        index.apply(&record, offset);
        assert_eq!(index.len(), model.len());
    }
    let mut seen = Model::new();
    for (offset, record) in index.live_records() {
        let offset = offset.unwrap();
        match record {
            Record::OffsetCommit {
                group,
                topic,
                partition,
                value,
            } => {
                assert_eq!(value.unwrap().offset, offset);
                seen.insert(format!("{group}/{topic}/{partition}"), offset);
            }
            Record::Group {
                group,
                kind,
                rest,
                value: written,
            } => {
                assert_eq!(written, Some(value(offset)));
                let rest = std::str::from_utf8(&rest).unwrap();
                seen.insert(format!("{group} {kind} {rest}"), offset);
            }
            Record::GenerationMark { .. } => unreachable!("none was applied"),
        }
    }
    assert_eq!(seen, model);
    for group in index.groups() {
        for (kind, rest, written) in index.group_records(group) {
            let rest = std::str::from_utf8(rest).unwrap();
            let offset = seen.remove(&format!("{group} {kind} {rest}")).unwrap();
            assert_eq!(written, value(offset));
        }
    }
    assert!(seen.keys().all(|key| !key.contains(' ')), "{seen:?}");
}
