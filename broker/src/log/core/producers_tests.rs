//! Transcripts of producers against one partition. Each line is `epoch first..=last -> verdict`; what is New is applied.

use super::*;

struct Story {
    states: ProducerStates,
    end: i64,
}

impl Story {
    fn new() -> Self {
        Self {
            states: ProducerStates::default(),
            end: 0,
        }
    }

    /// Sends a batch, applies it when it is new, and tells the outcome in words.
    fn send(&mut self, epoch: i16, first: i32, last: i32) -> String {
        let records = i64::from(last.wrapping_sub(first) & i32::MAX);
        let batch = ProducerBatch {
            producer_id: 7,
            epoch,
            first_sequence: first,
            last_sequence: last,
            base_offset: self.end,
            last_offset: self.end + records,
            timestamp: 1_000 + self.end,
        };
        match self.states.check(&batch) {
            Verdict::New => {
                self.states.apply(&batch, batch.timestamp);
                self.end = batch.last_offset + 1;
                format!("appended at {}", batch.base_offset)
            }
            Verdict::Duplicate(kept) => format!("duplicate of {}", kept.base_offset),
            Verdict::OutOfOrder { last } => format!("out of order after {last}"),
            Verdict::OldEpoch { current } => format!("old epoch, now {current}"),
        }
    }

    fn tell(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (batch, expected) = line.split_once(" -> ").unwrap();
            let (epoch, sequences) = batch.split_once(' ').unwrap();
            let (first, last) = sequences.split_once("..=").unwrap();
            let outcome = self.send(
                epoch.parse().unwrap(),
                first.parse().unwrap(),
                last.parse().unwrap(),
            );
            assert_eq!(outcome, expected.trim(), "{line}");
        }
    }
}

#[test]
fn sequences_follow_each_other() {
    Story::new().tell(
        "0 0..=2 -> appended at 0
         0 3..=3 -> appended at 3
         0 5..=6 -> out of order after 3
         0 4..=6 -> appended at 4",
    );
}

#[test]
fn one_of_the_last_five_is_a_duplicate_and_older_ones_are_out_of_order() {
    Story::new().tell(
        "0 0..=0 -> appended at 0
         0 1..=1 -> appended at 1
         0 2..=2 -> appended at 2
         0 3..=3 -> appended at 3
         0 4..=4 -> appended at 4
         0 0..=0 -> duplicate of 0
         0 5..=5 -> appended at 5
         0 1..=1 -> duplicate of 1
         0 0..=0 -> out of order after 5",
    );
}

#[test]
fn a_batch_that_overlaps_but_differs_is_no_duplicate() {
    Story::new().tell(
        "0 0..=4 -> appended at 0
         0 0..=3 -> out of order after 4
         0 3..=6 -> out of order after 4",
    );
}

#[test]
fn nothing_known_takes_any_first_sequence() {
    Story::new().tell(
        "3 17..=19 -> appended at 0
         3 20..=20 -> appended at 3
         3 17..=19 -> duplicate of 0",
    );
}

#[test]
fn a_new_epoch_begins_at_zero_and_forgets_the_old_batches() {
    Story::new().tell(
        "0 0..=4 -> appended at 0
         1 5..=6 -> out of order after -1
         1 0..=4 -> appended at 5
         1 0..=4 -> duplicate of 5
         0 5..=5 -> old epoch, now 1",
    );
}

#[test]
fn sequences_wrap_to_zero() {
    Story::new().tell(
        "0 2147483646..=1 -> appended at 0
         0 2..=2 -> appended at 4
         0 2147483646..=1 -> duplicate of 0",
    );
    Story::new().tell(
        "0 2147483640..=2147483647 -> appended at 0
         0 0..=0 -> appended at 8",
    );
}

#[test]
fn idle_producers_are_forgotten() {
    let mut story = Story::new();
    story.tell("0 0..=4 -> appended at 0");
    story.states.expire(1_000 + 99, 100);
    story.tell("0 7..=7 -> out of order after 4");
    story.states.expire(1_000 + 100, 100);
    story.tell("0 7..=7 -> appended at 5");
}

fn first_batch_of(producer_id: i64) -> ProducerBatch {
    ProducerBatch {
        producer_id,
        epoch: 0,
        first_sequence: 0,
        last_sequence: 0,
        base_offset: producer_id,
        last_offset: producer_id,
        timestamp: 0,
    }
}

/// Beyond the bound the one idle longest goes. A hundred thousand newcomers each looked at a hundred thousand others once:
/// that took minutes.
#[test]
fn room_is_made_without_looking_at_everybody() {
    let mut states = ProducerStates::default();
    let most = i64::try_from(PRODUCERS_MAX).unwrap();
    for id in 0..most {
        states.apply(&first_batch_of(id), id);
    }
    // The oldest is heard of again.
    states.apply(&first_batch_of(0), most);
    for id in most..2 * most {
        states.apply(&first_batch_of(id), id + 1);
        assert_eq!(states.iter().len(), PRODUCERS_MAX);
        let idlest = states.iter().map(|(id, _)| id).next();
        let expected = if id < 2 * most - 1 { 0 } else { most };
        assert_eq!(idlest, Some(expected), "after {id}");
    }
    states.expire(2 * most + 99, 100);
    assert_eq!(states.iter().map(|(id, _)| id).next(), Some(2 * most - 1));
    assert_eq!(states.idle.len(), states.states.len());
}
