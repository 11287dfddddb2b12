//! Random schedules of appends, rounds, opens, power cuts at any change to the disk and killed processes, compared with
//! a model. Each run prints its seed when it fails: `CALLBOARD_JOURNAL_SEED` runs that one alone.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::desk::{Desk, Landed, config};
use super::disk::Disk;
use crate::log::{Epoch, LogError};

const PARTITIONS: u32 = 5;
const SCHEDULES: u64 = 400;

#[derive(Default)]
struct Model {
    /// Everything that was ever sent at each position since the last start, in order, behind what was found then.
    sent: Vec<Bytes>,
    /// This many are acknowledged.
    acknowledged: usize,
    epoch: Option<Epoch>,
}

struct Simulation {
    disk: Disk,
    random: StdRng,
    models: BTreeMap<u32, Model>,
    serial: u64,
    starts: u32,
    /// Appends that came through a crash without having been acknowledged, and that did not: both must happen.
    survived: usize,
    vanished: usize,
}

impl Simulation {
    fn run(&mut self) {
        for _ in 0..12 {
            let cut = self.random.random_range(0..40);
            self.disk.faults(|faults| {
                faults.power_goes_after = Some(cut);
                faults.short_writes = Some(1500);
            });
            // The power may go while it starts, too.
            if let Ok(mut desk) = Desk::open(&self.disk, &config(PARTITIONS)) {
                self.check(&desk);
                self.work(&mut desk);
            }
            if self.random.random_bool(0.7) {
                self.disk.lose_power(&mut self.random);
            } else {
                self.disk.kill_process();
            }
        }
        let desk = Desk::open(&self.disk, &config(PARTITIONS)).unwrap();
        self.check(&desk);
    }

    /// What was acknowledged is there; what is there was sent, in that order, without a hole.
    fn check(&mut self, desk: &Desk) {
        self.starts += 1;
        assert_eq!(desk.corrupt(), []);
        for partition in 0..PARTITIONS {
            let model = self.models.entry(partition).or_default();
            let (held, error) = desk.payloads(partition);
            assert_eq!(error, None);
            assert!(
                held.len() >= model.acknowledged,
                "partition {partition} lost an acknowledged append"
            );
            assert_eq!(held[..], model.sent[..held.len()], "partition {partition}");
            self.survived += held.len() - model.acknowledged;
            self.vanished += model.sent.len() - held.len();
            model.acknowledged = held.len();
            model.sent = held;
        }
    }

    fn work(&mut self, desk: &mut Desk) {
        for partition in 0..PARTITIONS {
            self.take(desk, partition);
        }
        for _ in 0..self.random.random_range(1..12) {
            let mut landed: Vec<(u32, usize, Landed)> = Vec::new();
            for _ in 0..self.random.random_range(1..8) {
                let partition = self.random.random_range(0..PARTITIONS);
                if self.models[&partition].epoch.is_none() {
                    continue;
                }
                self.serial += 1;
                let length = *[8, 50, 700, 5000]
                    .get(self.random.random_range(0..4))
                    .unwrap();
                let mut payload = vec![self.serial as u8; length];
                payload[..8].copy_from_slice(&self.serial.to_be_bytes());
                let payload = Bytes::from(payload);
                let model = self.models.get_mut(&partition).unwrap();
                landed.push((
                    partition,
                    model.sent.len(),
                    desk.queue(partition, payload.clone()),
                ));
                model.sent.push(payload);
            }
            desk.settle();
            let mut poisoned = false;
            for (partition, position, landed) in landed {
                let model = self.models.get_mut(&partition).unwrap();
                match landed.try_recv().unwrap() {
                    Ok(at) => {
                        assert!(!poisoned, "an append was acknowledged behind a failed one");
                        assert_eq!(at, position as u64);
                        model.acknowledged = position + 1;
                    }
                    Err(LogError::Poisoned { .. }) => poisoned = true,
                    // The power went while a segment was made: nothing of the log was touched.
                    Err(LogError::Unavailable { .. } | LogError::WrongEnd { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            if poisoned {
                return;
            }
            if self
                .models
                .values()
                .any(|model| model.acknowledged != model.sent.len())
            {
                // The writers' ends are wrong now: they would open again. Here the process ends instead.
                return;
            }
            if self.random.random_bool(0.2) {
                let partition = self.random.random_range(0..PARTITIONS);
                self.take(desk, partition);
            }
        }
    }

    fn take(&mut self, desk: &mut Desk, partition: u32) {
        let opened = desk.take(partition);
        let model = self.models.entry(partition).or_default();
        match opened {
            Ok(opened) => {
                assert_eq!(opened.end.position, model.sent.len() as u64);
                assert!(
                    Some(opened.lease.epoch) > model.epoch,
                    "an epoch was given twice"
                );
                model.epoch = Some(opened.lease.epoch);
            }
            Err(error) => assert!(matches!(error, LogError::Poisoned { .. }), "{error:?}"),
        }
    }
}

fn simulate(seed: u64) -> Simulation {
    let mut simulation = Simulation {
        disk: Disk::default(),
        random: StdRng::seed_from_u64(seed),
        models: BTreeMap::new(),
        serial: 0,
        starts: 0,
        survived: 0,
        vanished: 0,
    };
    simulation.run();
    simulation
}

#[test]
fn nothing_acknowledged_is_lost_whatever_a_crash_keeps() {
    let fixed = std::env::var("CALLBOARD_JOURNAL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let (first, count) =
        fixed.map_or_else(|| (rand::random::<u64>() >> 1, SCHEDULES), |seed| (seed, 1));
    let (mut starts, mut survived, mut vanished) = (0, 0, 0);
    for seed in first..first + count {
        let run = std::panic::catch_unwind(|| {
            let simulation = simulate(seed);
            (simulation.starts, simulation.survived, simulation.vanished)
        });
        let counts =
            run.unwrap_or_else(|_| panic!("schedule failed: CALLBOARD_JOURNAL_SEED={seed}"));
        starts += counts.0;
        survived += counts.1;
        vanished += counts.2;
    }
    if fixed.is_none() {
        // The schedules reach what they are for.
        assert!(starts > 1000, "{starts}");
        assert!(survived > 100, "{survived}");
        assert!(vanished > 100, "{vanished}");
    }
}
