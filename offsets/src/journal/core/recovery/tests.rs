//! Stories of logs read back. A frame is written `(round, sequence, partition, position)`; a round starts at the lowest
//! sequence it has in the story.

use super::*;
use crate::journal::core::frame::Header;
use crate::log::{BatchId, Epoch};

const PARTITIONS: u32 = 4;

/// A log under construction: rounds of frames, each of one record.
#[derive(Default)]
struct Story {
    frames: Vec<Found>,
    positions: [u64; PARTITIONS as usize],
    round: u64,
}

impl Story {
    fn round(mut self, partitions: &[u32]) -> Self {
        let round_start = self.frames.len() as u64;
        for &partition in partitions {
            let previous_partition = self
                .frames
                .last()
                .map_or(NO_PARTITION, |found| found.header.partition);
            let sequence = self.frames.len() as u64;
            let position = &mut self.positions[partition as usize];
            let header = Header {
                kind: Kind::Batch,
                payload_bytes: 0,
                marks_bytes: 0,
                partition,
                round: self.round,
                round_start,
                sequence,
                epoch: Epoch(EPOCHS_PER_INCARNATION + 1),
                position: *position,
                base_offset: (*position).cast_signed(),
                id: BatchId(0),
                records: 1,
                previous_partition,
            };
            *position += 1;
            let at = SEGMENT_HEADER_BYTES + self.frames.len() * 104;
            self.frames.push(Found {
                generation: 1,
                at,
                header,
                whole: true,
            });
        }
        self.round += 1;
        self
    }

    /// The frame's header is gone.
    fn without(&self, sequences: &[u64]) -> Recovered {
        self.play(|found| (!sequences.contains(&found.header.sequence)).then_some(found))
    }

    /// The frame's payload is damaged.
    fn damaged(&self, sequence: u64) -> Recovered {
        self.play(|found| {
            let whole = found.header.sequence != sequence;
            Some(Found { whole, ..found })
        })
    }

    fn play(&self, change: impl Fn(Found) -> Option<Found>) -> Recovered {
        let mut recovery = Recovery::new(PARTITIONS, &LogStart::default(), Snapshots::new());
        for found in self.frames.iter().filter_map(|found| change(*found)) {
            recovery.found(found);
        }
        recovery.finish()
    }
}

/// Positions of each partition's end.
fn ends(recovered: &Recovered) -> Vec<u64> {
    let ends = recovered
        .partitions
        .iter()
        .map(|partition| partition.end().position);
    ends.collect()
}

/// Partitions that refuse and where.
fn corrupt(recovered: &Recovered) -> Vec<(u32, u64)> {
    (0..)
        .zip(&recovered.partitions)
        .filter_map(|(number, partition)| Some((number, partition.corrupt()?.position)))
        .collect()
}

#[test]
fn a_whole_log_is_read_to_its_end() {
    let recovered = Story::default().round(&[0, 1]).round(&[0]).without(&[]);
    assert_eq!(ends(&recovered), [2, 1, 0, 0]);
    assert_eq!(corrupt(&recovered), []);
    let end = Place {
        generation: 1,
        at: SEGMENT_HEADER_BYTES + 3 * 104,
    };
    assert_eq!(recovered.end, end);
    let next = Next {
        sequence: 3,
        round: 2,
        previous_partition: 0,
    };
    assert_eq!(recovered.next, next);
    assert_eq!(recovered.incarnation, 1);
    assert_eq!((recovered.lost, recovered.torn.len()), (0, 0));
}

#[test]
fn an_empty_log_is_an_empty_log() {
    let recovered = Recovery::new(2, &Default::default(), Default::default()).finish();
    assert_eq!(ends(&recovered), [0, 0]);
    assert_eq!(recovered.next.sequence, 0);
}

#[test]
fn later_pages_of_an_unflushed_round_are_its_torn_end() {
    let story = Story::default().round(&[0]).round(&[1, 2, 0]);
    for missing in 1..4 {
        let recovered = story.without(&[missing]);
        assert_eq!(corrupt(&recovered), [], "missing {missing}");
        assert_eq!(recovered.next.sequence, missing);
        assert_eq!(recovered.torn.len() as u64, 3 - missing);
        assert_eq!(recovered.lost, 0);
        let recovered = story.damaged(missing);
        assert_eq!(corrupt(&recovered), [], "damaged {missing}");
        assert_eq!(recovered.torn.len() as u64, 4 - missing);
    }
    let recovered = story.without(&[1]);
    assert_eq!(ends(&recovered), [1, 0, 0, 0]);
    assert_eq!(
        recovered.next.round, 2,
        "the round of what survived is not given again"
    );
}

#[test]
fn a_damaged_payload_before_a_later_round_refuses_the_partition_its_header_names() {
    let story = Story::default().round(&[0, 1, 2]).round(&[0, 2]);
    let recovered = story.damaged(1);
    assert_eq!(corrupt(&recovered), [(1, 0)]);
    assert_eq!(ends(&recovered), [2, 0, 2, 0]);
    assert_eq!(recovered.lost, 1);
    assert_eq!(recovered.torn.len(), 0);
}

#[test]
fn a_lost_frame_before_a_later_round_refuses_the_partition_the_next_frame_names() {
    // Partition 1 never writes again, so no gap shows.
    let story = Story::default().round(&[0, 1, 2]).round(&[0, 2]);
    assert_eq!(corrupt(&story.without(&[1])), [(1, 0)]);
    // The lost frame is the last of its round.
    assert_eq!(corrupt(&story.without(&[2])), [(2, 0)]);
    assert_eq!(ends(&story.without(&[2])), [2, 1, 0, 0]);
}

#[test]
fn several_lost_frames_are_explained_by_gaps() {
    let story = Story::default().round(&[0, 1, 2]).round(&[1, 0, 3]);
    // 0 and 1: the next frame names partition 1, and a gap shows in partition 0.
    assert_eq!(corrupt(&story.without(&[0, 1])), [(0, 0), (1, 0)]);
    assert_eq!(ends(&story.without(&[0, 1])), [0, 0, 1, 1]);
}

#[test]
fn lost_frames_that_nothing_explains_refuse_whoever_may_have_had_them() {
    // 0 is partition 3's only frame; what follows names partition 1 as the last lost one.
    let story = Story::default().round(&[3, 1, 2]).round(&[2]);
    let recovered = story.without(&[0, 1]);
    assert_eq!(corrupt(&recovered), [(0, 0), (1, 0), (3, 0)]);
    assert_eq!(ends(&recovered), [0, 0, 2, 0], "partition 2 proves itself");
}

#[test]
fn a_lost_frame_of_no_partition_is_missed_by_none() {
    let mut story = Story::default().round(&[0]).round(&[1]).round(&[0]);
    story.frames[1].header.kind = Kind::Start;
    story.frames[1].header.partition = NO_PARTITION;
    story.frames[2].header.previous_partition = NO_PARTITION;
    assert_eq!(corrupt(&story.without(&[1])), []);
}

#[test]
fn damage_then_a_torn_end() {
    // Round 0 is damaged, round 1 shows it, and round 1 itself is torn at its first frame.
    let story = Story::default().round(&[0, 1]).round(&[2, 3]);
    let recovered = story.without(&[1, 2]);
    assert_eq!(ends(&recovered), [1, 0, 0, 0]);
    assert_eq!(recovered.torn.len(), 1);
    assert_eq!(recovered.next.sequence, 2);
    // Whose frame 1 was only the torn frame 2 knew: everybody is in doubt but who proves itself later.
    assert_eq!(corrupt(&recovered), [(0, 1), (1, 0), (2, 0), (3, 0)]);
    assert_eq!(recovered.next.previous_partition, UNKNOWN_PARTITION);
    assert_eq!(
        recovered.end.at,
        SEGMENT_HEADER_BYTES + 3 * 104,
        "the damaged place is not written over"
    );
}

#[test]
fn what_is_unknown_stays_unknown_at_the_next_start() {
    let first = Story::default().round(&[0, 1]).round(&[2, 3]);
    let before = first.without(&[1, 2]);
    let mut recovery = Recovery::new(PARTITIONS, &LogStart::default(), Snapshots::new());
    recovery.found(first.frames[0]);
    let mut start = first.frames[3];
    start.header.kind = Kind::Start;
    start.header.partition = NO_PARTITION;
    start.header.sequence = before.next.sequence;
    start.header.round_start = before.next.sequence;
    start.header.previous_partition = before.next.previous_partition;
    recovery.found(start);
    assert_eq!(corrupt(&recovery.finish()), corrupt(&before));
}

#[test]
fn a_log_whose_first_frames_are_gone_is_damaged() {
    let story = Story::default().round(&[0]).round(&[1]).round(&[1]);
    let recovered = story.without(&[0]);
    assert_eq!(corrupt(&recovered), [(0, 0)]);
}

#[test]
fn an_offset_that_does_not_follow_refuses() {
    let mut story = Story::default().round(&[0]).round(&[0]).round(&[1]);
    story.frames[1].header.base_offset = 7;
    assert_eq!(corrupt(&story.without(&[])), [(0, 1)]);
}

#[test]
fn a_repeated_frame_takes_nothing() {
    let mut story = Story::default().round(&[0]).round(&[0]);
    story.frames.push(story.frames[0]);
    let recovered = story.without(&[]);
    assert_eq!(ends(&recovered), [2, 0, 0, 0]);
    assert_eq!(recovered.lost, 1);
}

#[test]
fn a_partition_beyond_those_asked_for_is_told() {
    let mut story = Story::default().round(&[0]);
    story.frames[0].header.partition = 9;
    assert_eq!(story.without(&[]).beyond, Some(9));
}

#[test]
fn any_subset_of_frames_is_read_without_a_lie() {
    // Every subset of a small log: a partition that is served holds a prefix of what it had, and holds everything that
    // a surviving later round shows to have been flushed.
    let story = Story::default()
        .round(&[0, 1])
        .round(&[1, 2, 0])
        .round(&[2])
        .round(&[0, 3]);
    let total = story.frames.len();
    for subset in 0_u32..1 << total {
        let missing: Vec<u64> = (0..total as u64)
            .filter(|bit| subset & (1 << bit) == 0)
            .collect();
        let recovered = story.without(&missing);
        let flushed = story
            .frames
            .iter()
            .filter(|found| !missing.contains(&found.header.sequence))
            .map(|found| found.header.round_start)
            .max()
            .unwrap_or(0);
        for (number, partition) in (0..).zip(&recovered.partitions) {
            if partition.corrupt().is_some() {
                continue;
            }
            let had = |until: u64| {
                let of_it = story
                    .frames
                    .iter()
                    .filter(|found| found.header.partition == number);
                of_it.filter(|found| found.header.sequence < until).count() as u64
            };
            let held = partition.end().position;
            assert!(
                held >= had(flushed),
                "subset {subset:b} partition {number} lost a flushed frame"
            );
            let first_missing = missing.iter().find(|sequence| **sequence >= flushed);
            let until = first_missing.copied().unwrap_or(total as u64);
            assert_eq!(held, had(until), "subset {subset:b} partition {number}");
        }
    }
}
