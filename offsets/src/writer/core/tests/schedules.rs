//! Random engines: they land, refuse, lose answers and break, and whatever they do an append settles once, in its order,
//! and is said to have landed if and only if it has.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::log::{BatchId, End, LogError, Resolution};
use crate::writer::AppendError;
use crate::writer::core::AppendNumber;
use crate::writer::core::pipeline::{Effect, Pipeline};

/// An engine that knows the rules of the trait and otherwise does as the dice say.
struct Engine {
    end: End,
    kept: Vec<(BatchId, u64)>,
    sent: VecDeque<(AppendNumber, BatchId, End)>,
    question: Option<(End, BatchId)>,
    unresolved: bool,
    full_for: u32,
    random: StdRng,
}

impl Engine {
    /// Answers the oldest append. Those behind one that failed fail too, by their expected end.
    fn answer(&mut self, items: &[u32]) -> Option<(AppendNumber, Result<u64, LogError>)> {
        let (number, id, expected) = self.sent.pop_front()?;
        let retry_after = Duration::from_millis(self.random.random_range(0..2_000));
        if self.unresolved {
            return Some((number, Err(LogError::Unavailable { retry_after })));
        }
        if expected != self.end {
            let actual = self.end.position;
            return Some((number, Err(LogError::WrongEnd { actual })));
        }
        if self.full_for > 0 {
            self.full_for -= 1;
            return Some((number, Err(LogError::Full)));
        }
        let result = match self.random.random_range(0..20) {
            0 => Err(LogError::Unavailable { retry_after }),
            1 => {
                self.full_for = self.random.random_range(0..3);
                Err(LogError::Full)
            }
            2 => Err(LogError::TooLarge { max: 1 }),
            3 => {
                self.unresolved = true;
                if self.random.random() {
                    self.keep(id, number, items);
                }
                Err(LogError::Unknown)
            }
            _ => {
                self.keep(id, number, items);
                Ok(expected.position)
            }
        };
        Some((number, result))
    }

    fn keep(&mut self, id: BatchId, number: AppendNumber, items: &[u32]) {
        self.kept.push((id, number.0));
        self.end.position += 1;
        self.end.offset += i64::from(items[number.0 as usize - 1]);
    }

    fn resolve(&mut self) -> Option<Result<Resolution, LogError>> {
        let (expected, id) = self.question.take()?;
        if self.random.random_ratio(1, 4) {
            return Some(Err(LogError::Unknown));
        }
        self.unresolved = false;
        let there = self.kept.get(expected.position as usize);
        Some(Ok(match there {
            Some((kept, _)) if *kept == id => Resolution::Applied,
            _ => Resolution::NotApplied,
        }))
    }
}

struct World {
    engine: Engine,
    pipeline: Pipeline<u64>,
    /// Topic records of each append, by its number.
    items: Vec<u32>,
    /// What was settled, in order, and whether it was said to have landed.
    settled: Vec<(u64, Result<i64, AppendError>)>,
    now: Duration,
}

impl World {
    fn perform(&mut self, effects: Vec<Effect<u64>>) {
        for effect in effects {
            match effect {
                Effect::Send {
                    number,
                    id,
                    expected,
                } => self.engine.sent.push_back((number, id, expected)),
                Effect::Resolve { expected, id } => self.engine.question = Some((expected, id)),
                Effect::Settle {
                    number,
                    item,
                    outcome,
                } => {
                    assert_eq!(number.0, item, "an append keeps its payload");
                    self.settled.push((item, outcome));
                }
                Effect::End(reason) => panic!("it ended: {reason}"),
            }
        }
    }

    fn step(&mut self) {
        let mut effects = Vec::new();
        match self.engine.random.random_range(0..10) {
            0..4 => {
                let item = self.items.len() as u64 + 1;
                let records = self.engine.random.random_range(0..4);
                if let Ok(number) = self.pipeline.submit(self.now, item, records, &mut effects) {
                    assert_eq!(number.0, item);
                    self.items.push(records);
                }
            }
            4..8 => {
                if let Some((number, result)) = self.engine.answer(&self.items) {
                    self.pipeline.landed(self.now, number, result, &mut effects);
                }
            }
            8 => {
                if let Some(result) = self.engine.resolve() {
                    self.pipeline.resolved(self.now, result, &mut effects);
                }
            }
            _ => {
                self.now += Duration::from_millis(self.engine.random.random_range(0..500));
                self.pipeline.tick(self.now, &mut effects);
            }
        }
        self.perform(effects);
    }

    /// Nothing new comes, time passes, and the engine answers everything.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            if self.pipeline.pending() == 0 {
                return;
            }
            let mut effects = Vec::new();
            if let Some((number, result)) = self.engine.answer(&self.items) {
                self.pipeline.landed(self.now, number, result, &mut effects);
            } else if let Some(result) = self.engine.resolve() {
                self.pipeline.resolved(self.now, result, &mut effects);
            } else if let Some(deadline) = self.pipeline.next_deadline() {
                self.now = self.now.max(deadline);
                self.pipeline.tick(self.now, &mut effects);
            } else {
                panic!("{} appends wait for nothing", self.pipeline.pending());
            }
            self.perform(effects);
        }
        panic!("it does not come to an end");
    }
}

#[test]
fn whatever_the_engine_does_an_append_settles_once_and_truly() {
    let first: u64 = rand::rng().random::<u64>() >> 1;
    for seed in first..first + 300 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let in_flight_max = random.random_range(1..8);
        let mut world = World {
            engine: Engine {
                end: End::default(),
                kept: Vec::new(),
                sent: VecDeque::new(),
                question: None,
                unresolved: false,
                full_for: 0,
                random,
            },
            pipeline: Pipeline::new(End::default(), in_flight_max, 1),
            items: Vec::new(),
            settled: Vec::new(),
            now: Duration::ZERO,
        };
        for _ in 0..400 {
            world.step();
            assert!(world.engine.sent.len() <= in_flight_max);
        }
        world.finish();
        let order: Vec<u64> = world.settled.iter().map(|(item, _)| *item).collect();
        let all: Vec<u64> = (1..=world.items.len() as u64).collect();
        assert_eq!(order, all, "each once, in order");
        let landed: Vec<u64> = world
            .settled
            .iter()
            .filter(|(_, outcome)| outcome.is_ok())
            .map(|(item, _)| *item)
            .collect();
        let kept: Vec<u64> = world
            .engine
            .kept
            .iter()
            .map(|(_, number)| *number)
            .collect();
        assert_eq!(
            landed, kept,
            "what is said to have landed has, and nothing else"
        );
        let mut offset = 0;
        for (item, outcome) in &world.settled {
            if let Ok(base_offset) = outcome {
                assert_eq!(*base_offset, offset, "it landed where it is said to");
                offset += i64::from(world.items[*item as usize - 1]);
            }
        }
    }
}
