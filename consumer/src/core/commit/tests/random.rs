//! A committer among acknowledgements, losses, generations and refusals in any order, from a seed.

use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;

use super::*;

const PARTITIONS: i32 = 3;

const CODES: &[ErrorCode] = &[
    ErrorCode::NONE,
    ErrorCode::NONE,
    ErrorCode::NONE,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode::NOT_COORDINATOR,
    ErrorCode::REBALANCE_IN_PROGRESS,
    ErrorCode::ILLEGAL_GENERATION,
    ErrorCode::UNKNOWN_MEMBER_ID,
    ErrorCode::OFFSET_METADATA_TOO_LARGE,
];

/// The committer and all that it can see, with a broker that remembers.
struct Story {
    core: CommitCore,
    now: Duration,
    generation: Option<i32>,
    next_generation: i32,
    /// Acknowledged so far, of what is owned.
    owned: BTreeMap<TopicPartition, i64>,
    committed: BTreeMap<TopicPartition, i64>,
    in_flight: Option<(i32, Offsets)>,
    /// Generations that were refused.
    refused: BTreeSet<i32>,
    /// Flushes that are not over: until when, and how far each partition was.
    flushes: BTreeMap<u64, (Duration, BTreeMap<TopicPartition, i64>)>,
}

impl Story {
    fn step(&mut self, input: CommitInput) {
        let mut effects = Vec::new();
        self.core.step(self.now, input, &mut effects);
        for effect in effects {
            self.act(effect);
        }
        for (id, (until, _)) in &self.flushes {
            assert!(*until > self.now, "flush {id} is overdue");
        }
    }

    fn act(&mut self, effect: CommitEffect) {
        match effect {
            CommitEffect::ReadProgress => {
                let known = self.owned.keys();
                let known = known.map(|one| (one.clone(), self.committed.get(one).copied()));
                let known = known.collect();
                let offsets = self.owned.iter().map(|(partition, offset)| {
                    let committable = Committable {
                        offset: *offset,
                        leader_epoch: -1,
                    };
                    (partition.clone(), committable)
                });
                let offsets = offsets.collect();
                let generation = self.generation;
                self.step(CommitInput::Known(known));
                self.step(CommitInput::Progress {
                    generation,
                    offsets,
                });
            }
            CommitEffect::Send(offsets) => {
                let generation = self.generation.expect("sent outside of a generation");
                assert!(
                    !self.refused.contains(&generation),
                    "sent again as {generation}"
                );
                assert!(self.in_flight.is_none(), "a second commit in flight");
                for (partition, sent) in &offsets {
                    let acknowledged = self.owned.get(partition).expect("sent and not owned");
                    assert!(sent.offset <= *acknowledged);
                    let committed = self.committed.get(partition).copied();
                    assert!(committed.is_none_or(|committed| committed < sent.offset));
                }
                self.in_flight = Some((generation, offsets));
            }
            CommitEffect::Flushed { id, uncommitted } => {
                let (_, goals) = self.flushes.remove(&id).expect("answered once");
                for (partition, offset) in goals {
                    if !uncommitted.contains(&partition) {
                        let committed = self.committed.get(&partition).copied();
                        assert!(
                            committed >= Some(offset),
                            "{partition} is said to be committed"
                        );
                    }
                }
            }
            CommitEffect::Committed(_)
            | CommitEffect::Refused(_)
            | CommitEffect::RefreshMetadata
            | CommitEffect::TellMembership { .. } => {}
        }
    }

    /// The broker takes what is of the present generation, and what it does not like it refuses.
    fn answer(&mut self, random: &mut StdRng) {
        let Some((generation, offsets)) = self.in_flight.take() else {
            return;
        };
        if random.random_range(0..6) == 0 {
            self.step(CommitInput::Answered(Err(Refusal::Disconnected)));
            return;
        }
        let mut codes = BTreeMap::new();
        let mut void = false;
        for (partition, sent) in offsets {
            let code = CODES[random.random_range(0..CODES.len())];
            void |= Verdict::of(code) == Verdict::WrongGeneration;
            if code == ErrorCode::NONE {
                self.committed.insert(partition.clone(), sent.offset);
            }
            codes.insert(partition, code);
        }
        if void {
            self.refused.insert(generation);
        }
        self.step(CommitInput::Answered(Ok(codes)));
    }

    fn change_generation(&mut self, random: &mut StdRng) {
        self.generation = random.random::<bool>().then(|| {
            self.next_generation += 1;
            self.next_generation
        });
        self.step(CommitInput::Generation(self.generation));
    }

    fn flush(&mut self, id: u64, random: &mut StdRng) {
        let until = self.now + Duration::from_millis(random.random_range(1..20_000));
        self.flushes.insert(id, (until, self.owned.clone()));
        let partitions = (0..PARTITIONS).map(tp).collect();
        self.step(CommitInput::Flush {
            id,
            until,
            partitions,
        });
    }
}

/// Whatever happens: one commit in flight at most, of what is owned and acknowledged, inside of a generation that was not
/// refused; and a flush is answered once, in time, and with the truth.
#[test]
fn random_stories_keep_the_promises_of_a_commit() {
    let seed = std::env::var("CALLBOARD_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("CALLBOARD_SEED={seed}");
    let mut random: StdRng = rand::SeedableRng::seed_from_u64(seed);
    for _ in 0..300 {
        let mut story = Story {
            core: core(),
            now: Duration::ZERO,
            generation: Some(1),
            next_generation: 1,
            owned: (0..PARTITIONS).map(|one| (tp(one), 0)).collect(),
            committed: BTreeMap::new(),
            in_flight: None,
            refused: BTreeSet::new(),
            flushes: BTreeMap::new(),
        };
        for id in 0..200 {
            let partition = tp(random.random_range(0..PARTITIONS));
            match random.random_range(0..9) {
                0..=2 => {
                    if let Some(offset) = story.owned.get_mut(&partition) {
                        *offset += random.random_range(1..10);
                    }
                }
                3 | 4 => story.answer(&mut random),
                5 => story.change_generation(&mut random),
                6 if story.owned.remove(&partition).is_none() => {
                    let begins = story.committed.get(&partition).copied().unwrap_or(0);
                    story.owned.insert(partition, begins);
                }
                6 => {}
                7 => story.flush(id, &mut random),
                _ => {
                    let due = story.core.next_deadline();
                    if let Some(due) = due {
                        story.now = story.now.max(due);
                    }
                    assert!(
                        due.is_some() || story.in_flight.is_some(),
                        "nothing to wait for"
                    );
                    story.step(CommitInput::Tick);
                }
            }
        }
    }
}
