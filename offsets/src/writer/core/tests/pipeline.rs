//! What goes out, and how it settles, for every way an engine can answer.

use std::time::Duration;

use crate::log::{BatchId, End, Epoch, LogError, Resolution};
use crate::writer::core::AppendNumber;
use crate::writer::core::pipeline::*;

const START: End = End {
    position: 7,
    offset: 100,
};
const RETRY: Duration = Duration::from_millis(200);

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A pipeline under test, with its effects written down as short words.
struct Play {
    pipeline: Pipeline<char>,
}

impl Play {
    fn new(in_flight_max: usize) -> Self {
        Self {
            pipeline: Pipeline::new(START, in_flight_max, 1),
        }
    }

    fn submit(&mut self, now: u64, item: char, records: u32) -> Vec<String> {
        let mut effects = Vec::new();
        match self.pipeline.submit(at(now), item, records, &mut effects) {
            Ok(_) => words(effects),
            Err((item, error)) => vec![format!("refused {item}: {error}")],
        }
    }

    fn landed(&mut self, now: u64, number: u64, result: Result<u64, LogError>) -> Vec<String> {
        let mut effects = Vec::new();
        self.pipeline
            .landed(at(now), AppendNumber(number), result, &mut effects);
        words(effects)
    }

    fn resolved(&mut self, now: u64, result: Result<Resolution, LogError>) -> Vec<String> {
        let mut effects = Vec::new();
        self.pipeline.resolved(at(now), result, &mut effects);
        words(effects)
    }

    fn tick(&mut self, now: u64) -> Vec<String> {
        let mut effects = Vec::new();
        self.pipeline.tick(at(now), &mut effects);
        words(effects)
    }
}

fn words(effects: Vec<Effect<char>>) -> Vec<String> {
    let word = |effect| match effect {
        Effect::Send {
            number, expected, ..
        } => format!(
            "send {} at {}/{}",
            number.0, expected.position, expected.offset
        ),
        Effect::Resolve { expected, id } => {
            assert_ne!(id, BatchId(0));
            format!("resolve {}", expected.position)
        }
        Effect::Settle {
            item,
            outcome: Ok(offset),
            ..
        } => format!("{item} landed at {offset}"),
        Effect::Settle {
            item,
            outcome: Err(error),
            ..
        } => format!("{item} failed: {error}"),
        Effect::End(reason) => format!("end: {reason}"),
    };
    effects.into_iter().map(word).collect()
}

fn unavailable() -> Result<u64, LogError> {
    Err(LogError::Unavailable { retry_after: RETRY })
}

fn wrong_end() -> Result<u64, LogError> {
    Err(LogError::WrongEnd { actual: 7 })
}

#[test]
fn appends_pipeline_and_settle_in_order() {
    let mut play = Play::new(100);
    assert_eq!(play.submit(0, 'a', 2), ["send 1 at 7/100"]);
    // Marks only: a position, but no offset of the topic.
    assert_eq!(play.submit(0, 'b', 0), ["send 2 at 8/102"]);
    assert_eq!(play.submit(0, 'c', 1), ["send 3 at 9/102"]);
    assert_eq!(play.landed(1, 1, Ok(7)), ["a landed at 100"]);
    assert_eq!(play.landed(1, 2, Ok(8)), ["b landed at 102"]);
    assert_eq!(play.landed(1, 3, Ok(9)), ["c landed at 102"]);
    assert_eq!(play.pipeline.pending(), 0);
    assert_eq!(play.pipeline.next_deadline(), None);
}

#[test]
fn an_engine_that_takes_one_gets_one_at_a_time() {
    let mut play = Play::new(1);
    assert_eq!(play.submit(0, 'a', 1), ["send 1 at 7/100"]);
    assert!(play.submit(0, 'b', 1).is_empty());
    assert_eq!(
        play.landed(1, 1, Ok(7)),
        ["a landed at 100", "send 2 at 8/101"]
    );
}

#[test]
fn unavailable_keeps_the_queue_and_sends_it_again_in_order() {
    let mut play = Play::new(100);
    play.submit(0, 'a', 1);
    play.submit(0, 'b', 1);
    assert!(play.landed(10, 1, unavailable()).is_empty());
    // Not sent before all in flight have answered.
    assert!(play.submit(10, 'c', 1).is_empty());
    assert!(play.landed(10, 2, wrong_end()).is_empty());
    assert_eq!(play.pipeline.next_deadline(), Some(at(210)));
    assert!(play.tick(209).is_empty());
    assert_eq!(
        play.tick(210),
        ["send 1 at 7/100", "send 2 at 8/101", "send 3 at 9/102"]
    );
    assert_eq!(play.landed(211, 1, Ok(7)), ["a landed at 100"]);
}

#[test]
fn unavailable_for_longer_than_an_append_may_wait_fails_it() {
    let mut play = Play::new(100);
    play.submit(0, 'a', 1);
    play.landed(4990, 1, unavailable());
    play.submit(4995, 'b', 1);
    assert_eq!(play.pipeline.next_deadline(), Some(at(5000)));
    assert_eq!(
        play.tick(5000),
        ["a failed: the offsets log is not available"]
    );
    assert_eq!(play.tick(5190), ["send 2 at 7/100"]);
}

#[test]
fn full_refuses_everything_and_probes_a_second_later() {
    let mut play = Play::new(100);
    play.submit(0, 'a', 1);
    play.submit(0, 'b', 1);
    assert!(play.landed(0, 1, Err(LogError::Full)).is_empty());
    assert_eq!(
        play.landed(0, 2, wrong_end()),
        [
            "a failed: the offsets log is full",
            "b failed: the offsets log is full"
        ]
    );
    assert_eq!(
        play.submit(999, 'c', 1),
        ["refused c: the offsets log is full"]
    );
    assert_eq!(play.submit(1000, 'd', 1), ["send 3 at 7/100"]);
    assert_eq!(play.landed(1001, 3, Ok(7)), ["d landed at 100"]);
}

#[test]
fn too_large_fails_alone() {
    let mut play = Play::new(100);
    play.submit(0, 'a', 1);
    play.submit(0, 'b', 1);
    play.landed(0, 1, Err(LogError::TooLarge { max: 10 }));
    assert_eq!(
        play.landed(0, 2, wrong_end()),
        [
            "a failed: the records do not fit in a batch of 10 bytes",
            "send 2 at 7/100"
        ]
    );
}

#[test]
fn unknown_is_asked_for_and_what_had_landed_is_not_sent_twice() {
    let mut play = Play::new(100);
    play.submit(0, 'a', 3);
    play.submit(0, 'b', 1);
    play.landed(0, 1, Err(LogError::Unknown));
    assert_eq!(play.landed(0, 2, unavailable()), ["resolve 7"]);
    assert!(play.submit(0, 'c', 1).is_empty());
    assert_eq!(
        play.resolved(0, Ok(Resolution::Applied)),
        ["a landed at 100", "send 2 at 8/103", "send 3 at 9/104"]
    );
}

#[test]
fn unknown_that_did_not_land_is_sent_again() {
    let mut play = Play::new(100);
    play.submit(0, 'a', 1);
    play.submit(0, 'b', 1);
    play.landed(0, 1, Err(LogError::Unknown));
    play.landed(0, 2, Err(LogError::Unknown));
    assert_eq!(
        play.resolved(0, Ok(Resolution::NotApplied)),
        ["send 1 at 7/100", "send 2 at 8/101"]
    );
}

#[test]
fn two_unknown_in_a_row_are_asked_for_one_after_the_other() {
    let mut play = Play::new(100);
    play.submit(0, 'a', 1);
    play.submit(0, 'b', 1);
    play.landed(0, 1, Err(LogError::Unknown));
    play.landed(0, 2, Err(LogError::Unknown));
    assert_eq!(
        play.resolved(0, Ok(Resolution::Applied)),
        ["a landed at 100", "resolve 8"]
    );
    assert_eq!(
        play.resolved(0, Ok(Resolution::NotApplied)),
        ["send 2 at 8/101"]
    );
}

#[test]
fn a_question_that_gets_no_answer_is_asked_again() {
    let mut play = Play::new(100);
    play.submit(0, 'a', 1);
    assert_eq!(play.landed(0, 1, Err(LogError::Unknown)), ["resolve 7"]);
    assert!(play.resolved(0, Err(LogError::Unknown)).is_empty());
    assert_eq!(play.pipeline.next_deadline(), Some(at(1000)));
    assert_eq!(play.tick(1000), ["resolve 7"]);
    assert_eq!(
        play.resolved(1000, Ok(Resolution::Applied)),
        ["a landed at 100"]
    );
}

#[test]
fn fenced_and_poisoned_end_the_writer_and_settle_everything_first() {
    let fenced = LogError::Fenced { current: Epoch(9) };
    let poisoned = LogError::Poisoned {
        reason: "fsync".into(),
    };
    for (error, word, end) in [
        (
            fenced,
            "the partition is not led here",
            "end: fenced by epoch 9",
        ),
        (
            poisoned,
            "the offsets log is poisoned: fsync",
            "end: poisoned: fsync",
        ),
    ] {
        let mut play = Play::new(2);
        for item in ['a', 'b', 'c'] {
            play.submit(0, item, 1);
        }
        play.landed(0, 1, Err(error.clone()));
        assert_eq!(
            play.landed(0, 2, Err(error)),
            [
                format!("a failed: {word}"),
                format!("b failed: {word}"),
                format!("c failed: {word}"),
                end.to_owned()
            ]
        );
        assert_eq!(play.submit(0, 'd', 1), [format!("refused d: {word}")]);
        assert_eq!(play.pipeline.pending(), 0);
    }
}

#[test]
fn an_engine_that_lets_a_later_append_land_is_not_trusted() {
    let mut play = Play::new(100);
    play.submit(0, 'a', 1);
    play.submit(0, 'b', 1);
    play.landed(0, 1, Err(LogError::Full));
    assert_eq!(
        play.landed(0, 2, Ok(8)),
        [
            "a failed: the partition is not led here",
            "b failed: the partition is not led here",
            "end: the engine contradicts itself"
        ]
    );
}

#[test]
fn the_queue_has_an_end() {
    let mut play = Play::new(1);
    for _ in 0..PENDING_MAX {
        play.submit(0, 'x', 1);
    }
    assert_eq!(
        play.submit(0, 'y', 1),
        ["refused y: the offsets log is not available"]
    );
}
