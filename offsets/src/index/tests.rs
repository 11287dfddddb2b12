//! The index against a plain map of the topic's keys, which is what it stands for.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Index;
use crate::record::{GroupMetadataValue, OffsetCommitValue, Record};

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

fn metadata(generation: i32) -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation,
        protocol_name: None,
        leader: None,
        current_state_timestamp_ms: 5,
        members: Vec::new(),
    }
}

fn offset_record(topic: &str, partition: i32, value: Option<OffsetCommitValue>) -> Record {
    Record::OffsetCommit {
        group: "g".into(),
        topic: topic.into(),
        partition,
        value,
    }
}

fn group_record(value: Option<GroupMetadataValue>) -> Record {
    Record::GroupMetadata {
        group: "g".into(),
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
    index.apply(&group_record(Some(metadata(9))), 0);
    index.apply(&mark, 1);
    index.apply(&offset_record("t", 0, Some(commit(1))), 1);
    index.apply(&group_record(None), 2);
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
            let key = group.to_string();
            if alive {
                model.insert(key, offset)
            } else {
                model.remove(&key)
            };
            Record::GroupMetadata {
                group,
                value: alive.then(|| metadata(offset as i32)),
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
            Record::GroupMetadata { group, value } => {
                assert_eq!(i64::from(value.unwrap().generation), offset);
                seen.insert(group.to_string(), offset);
            }
            Record::GenerationMark { .. } => unreachable!("none was applied"),
        }
    }
    assert_eq!(seen, model);
}
