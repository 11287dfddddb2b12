//! Snapshots and trimming: what is kept, what is freed, and power cuts at every change to the disk in between.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::desk::{Desk, config};
use super::disk::{Disk, Faults};
use crate::journal::core::snapshot::{
    LOG_START, LOG_START_PREPARING, SNAPSHOT_PREPARING, snapshot_name,
};
use crate::journal::storage::Storage;
use crate::journal::{compact, reader};
use crate::log::{Chunk, End, LogError};

const PARTITIONS: u32 = 3;
const SCHEDULES: u64 = 200;

fn chunk(end: End, payload: Bytes) -> Chunk {
    Chunk {
        base_offset: end.offset - 1,
        end_offset: end.offset,
        marks: Bytes::new(),
        kafka: payload,
    }
}

fn snapshot(
    desk: &Desk,
    partition: u32,
    upto: End,
    chunks: impl IntoIterator<Item = Chunk>,
) -> Result<(), LogError> {
    let mut chunks = chunks.into_iter().map(Ok);
    compact::snapshot(desk.engine.state(), partition, upto, &mut chunks)
}

/// The last payload of a partition stands for all before it, as with one live key.
fn last(desk: &Desk, partition: u32) -> Result<Option<Bytes>, LogError> {
    let mut last = None;
    reader::scan(desk.engine.state(), partition, 0..u64::MAX, &mut |batch| {
        last = Some(batch.kafka);
        ControlFlow::Continue(())
    })?;
    Ok(last)
}

fn compact_all(desk: &Desk, partition: u32) -> Result<(), LogError> {
    let end = desk.engine.state().partition(partition).unwrap().end();
    match last(desk, partition)? {
        Some(payload) => snapshot(desk, partition, end, [chunk(end, payload)]),
        None => Ok(()),
    }
}

fn segments(disk: &Disk) -> usize {
    let names = disk.list().unwrap();
    names
        .iter()
        .filter(|name| name.ends_with(".segment"))
        .count()
}

fn used() -> (Disk, Desk) {
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
    for partition in 0..PARTITIONS {
        desk.take(partition).unwrap();
        desk.append(partition, vec![partition as u8; 100]).unwrap();
    }
    (disk, desk)
}

#[test]
fn the_files_stay_few_however_much_is_committed() {
    let (disk, mut desk) = used();
    for number in 0..3000_u32 {
        desk.append(0, number.to_be_bytes().repeat(50)).unwrap();
        if number % 100 == 99 {
            for partition in 0..PARTITIONS {
                compact_all(&desk, partition).unwrap();
            }
            assert!(segments(&disk) <= 4, "{:?}", disk.list());
        }
    }
    assert!(disk.list().unwrap().len() < 12, "{:?}", disk.list());
    drop(desk);
    let mut desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
    assert_eq!(desk.corrupt(), []);
    let expected = Bytes::from(2999_u32.to_be_bytes().repeat(50));
    assert_eq!(last(&desk, 0), Ok(Some(expected.clone())));
    let read = reader::read(desk.engine.state(), 0, 0, 10).unwrap();
    assert_eq!((read.batches, read.offsets), (vec![expected], 0..3001));
    assert_eq!(desk.take(0).unwrap().end.position, 3001);
    assert_eq!(desk.append(0, vec![1; 10]), Ok(3001));
}

#[test]
fn a_lost_snapshot_is_the_end_of_its_partition_only() {
    for damage in [0, 1] {
        let (disk, mut desk) = used();
        for _ in 0..200 {
            desk.append(0, vec![7; 400]).unwrap();
        }
        for partition in 0..PARTITIONS {
            compact_all(&desk, partition).unwrap();
        }
        drop(desk);
        let name = snapshot_name(1, 1);
        if damage == 0 {
            disk.take(&name);
        } else {
            disk.tamper(&name, |content| content[50] ^= 1);
        }
        let mut desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
        assert_eq!(desk.corrupt(), [(1, 0)]);
        desk.take(0).unwrap();
        desk.take(2).unwrap();
        assert!(desk.take(1).is_err());
        // Nothing is freed while somebody may look for what was lost.
        desk.append(0, vec![8; 400]).unwrap();
        let mut before = disk.list().unwrap();
        before.retain(|name| name.ends_with(".segment"));
        for _ in 0..200 {
            desk.append(0, vec![9; 400]).unwrap();
        }
        for _ in 0..4 {
            desk.append(0, vec![9; 400]).unwrap();
            compact_all(&desk, 0).unwrap();
        }
        assert!(compact_all(&desk, 1).is_err());
        let of_0 = |name: &&String| name.starts_with("00000-");
        assert_eq!(disk.list().unwrap().iter().filter(of_0).count(), 2);
        assert!(
            before
                .iter()
                .all(|name| disk.list().unwrap().contains(name))
        );
    }
}

#[test]
fn a_damaged_snapshot_costs_nothing_while_the_log_has_what_it_replaced() {
    for trimmed in [false, true] {
        let (disk, mut desk) = used();
        compact_all(&desk, 1).unwrap();
        desk.append(1, vec![5; 100]).unwrap();
        desk.append(1, vec![6; 100]).unwrap();
        compact_all(&desk, 1).unwrap();
        let names = [snapshot_name(1, 1), snapshot_name(1, 3)];
        let there = |name: &String| disk.list().unwrap().contains(name);
        assert!(names.iter().all(there), "the one before is kept");
        if trimmed {
            for _ in 0..200 {
                desk.append(0, vec![7; 400]).unwrap();
            }
            compact_all(&desk, 0).unwrap();
            compact_all(&desk, 2).unwrap();
            assert!(!there(&names[0]), "it is of no use any more");
        }
        drop(desk);
        disk.tamper(&names[1], |content| content[50] ^= 1);
        let mut desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
        if trimmed {
            assert_eq!(desk.corrupt(), [(1, 0)]);
            continue;
        }
        assert_eq!(desk.corrupt(), []);
        assert_eq!(desk.take(1).unwrap().end.position, 3);
        assert_eq!(last(&desk, 1), Ok(Some(vec![6; 100].into())));
        // And with none at all everything is read from the log.
        drop(desk);
        disk.take(&names[0]);
        let mut desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
        assert_eq!(desk.corrupt(), []);
        assert_eq!(desk.take(1).unwrap().end.position, 3);
        // The next takes the damaged one's place.
        compact_all(&desk, 1).unwrap();
        drop(desk);
        let desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
        assert_eq!(last(&desk, 1), Ok(Some(vec![6; 100].into())));
    }
}

#[test]
fn the_log_is_found_by_either_copy_of_its_start() {
    let (disk, mut desk) = used();
    for _ in 0..200 {
        desk.append(0, vec![7; 400]).unwrap();
    }
    for partition in 0..PARTITIONS {
        compact_all(&desk, partition).unwrap();
    }
    drop(desk);
    let length = disk.content(LOG_START).len();
    for at in 0..length {
        let copy = disk.copy();
        copy.tamper(LOG_START, |content| content[at] ^= 1);
        let desk = Desk::open(&copy, &config(PARTITIONS)).unwrap();
        assert_eq!(desk.corrupt(), [], "byte {at}");
        copy.tamper(LOG_START, |content| {
            content[(at + length / 2) % length] ^= 1
        });
        assert!(
            Desk::open(&copy, &config(PARTITIONS)).is_err(),
            "byte {at} of both"
        );
    }
}

/// Whatever goes wrong in its middle, it is as if it had not been asked for, and works when it is asked again.
#[test]
fn a_snapshot_that_fails_leaves_everything_and_stops_nobody() {
    let faults: [fn(&mut Faults, u64); 3] = [
        |faults, step| faults.sync_fails_after = Some(step),
        |faults, step| faults.write_fails_after = Some(step),
        |faults, step| faults.refuse_create = step == 0,
    ];
    for fault in faults {
        let mut failed = 0;
        for step in 0..8 {
            let (disk, mut desk) = used();
            for number in 0..150 {
                desk.append(0, vec![number; 400]).unwrap();
            }
            compact_all(&desk, 1).unwrap();
            compact_all(&desk, 2).unwrap();
            disk.faults(|faults| fault(faults, step));
            let result = compact_all(&desk, 0);
            disk.faults(|faults| *faults = Faults::default());
            failed += u32::from(result.is_err());
            let refused = matches!(result, Ok(()) | Err(LogError::Unavailable { .. }));
            assert!(refused, "{result:?}");
            let left = |name: &str| disk.list().unwrap().contains(&name.to_owned());
            assert!(!left(SNAPSHOT_PREPARING) && !left(LOG_START_PREPARING));
            assert_eq!(last(&desk, 0), Ok(Some(vec![149; 400].into())));
            desk.append(0, vec![200; 400]).unwrap();
            // Asked again for the same: what was not freed is.
            let again = desk.engine.state().partition(0).unwrap().end();
            snapshot(&desk, 0, again, [chunk(again, vec![200; 400].into())]).unwrap();
            assert!(segments(&disk) <= 2, "{:?}", disk.list());
            drop(desk);
            let desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
            assert_eq!(desk.corrupt(), []);
            assert_eq!(last(&desk, 0), Ok(Some(vec![200; 400].into())));
        }
        assert!(failed > 0);
    }
}

#[test]
fn a_full_disk_refuses_it_and_gets_its_bytes_back() {
    let (disk, mut desk) = used();
    for number in 0..150 {
        desk.append(0, vec![number; 400]).unwrap();
    }
    compact_all(&desk, 1).unwrap();
    compact_all(&desk, 2).unwrap();
    let end = desk.engine.state().partition(0).unwrap().end();
    let mut made = 0;
    let mut chunks = (0..3).map(|_| {
        made += 1;
        if made == 3 {
            Err(LogError::Full)
        } else {
            Ok(chunk(end, vec![149; 400].into()))
        }
    });
    // In order, so the second has no place behind the first; and what the chunks say is what is answered.
    let refused = compact::snapshot(desk.engine.state(), 0, end, &mut chunks);
    assert!(
        matches!(refused, Err(LogError::TooLarge { .. })),
        "{refused:?}"
    );
    let mut chunks = [Ok(chunk(end, vec![149; 400].into())), Err(LogError::Full)].into_iter();
    let refused = compact::snapshot(desk.engine.state(), 0, end, &mut chunks);
    assert_eq!(refused, Err(LogError::Full));
    assert!(
        !disk
            .list()
            .unwrap()
            .contains(&SNAPSHOT_PREPARING.to_owned())
    );
    assert_eq!(last(&desk, 0), Ok(Some(vec![149; 400].into())));
    desk.append(0, vec![200; 400]).unwrap();
    // An end of the log, and no other place, is what it may reach up to.
    let beside = End {
        offset: end.offset + 1,
        ..end
    };
    let wrong = snapshot(&desk, 0, beside, []);
    assert_eq!(
        wrong,
        Err(LogError::WrongEnd {
            actual: end.position + 1
        })
    );
}

/// A key in the first byte behind a payload's number: the last payload of a key is alive.
fn key(payload: &Bytes) -> u8 {
    payload[8]
}

/// What is alive of these, with their positions, in order.
fn live(payloads: &[Bytes]) -> Vec<(u64, Bytes)> {
    let mut newest = BTreeMap::new();
    for (position, payload) in (0..).zip(payloads) {
        newest.insert(key(payload), (position, payload.clone()));
    }
    let mut live: Vec<_> = newest.into_values().collect();
    live.sort();
    live
}

#[derive(Default)]
struct Model {
    sent: Vec<Bytes>,
    acknowledged: usize,
}

struct Simulation {
    disk: Disk,
    random: StdRng,
    models: Vec<Model>,
    serial: u64,
    compacted: u32,
    cut_short: u32,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self {
            disk: Disk::default(),
            random: StdRng::seed_from_u64(seed),
            models: (0..PARTITIONS).map(|_| Model::default()).collect(),
            serial: 0,
            compacted: 0,
            cut_short: 0,
        }
    }

    fn run(&mut self) {
        for _ in 0..10 {
            let cut = self.random.random_range(0..120);
            self.disk.faults(|faults| {
                faults.power_goes_after = Some(cut);
                faults.short_writes = Some(1500);
            });
            if let Ok(mut desk) = Desk::open(&self.disk, &config(PARTITIONS)) {
                self.check(&desk);
                if (0..PARTITIONS).all(|partition| desk.take(partition).is_ok()) {
                    self.work(&mut desk);
                }
            }
            if self.random.random_bool(0.7) {
                self.disk.lose_power(&mut self.random);
            } else {
                self.disk.kill_process();
            }
        }
        let desk = Desk::open(&self.disk, &config(PARTITIONS)).unwrap();
        self.check(&desk);
        let files = self.disk.list().unwrap();
        assert!(
            !files.iter().any(|name| name.ends_with(".preparing")),
            "{files:?}"
        );
    }

    fn work(&mut self, desk: &mut Desk) {
        for _ in 0..60 {
            let partition = self.random.random_range(0..PARTITIONS);
            if self.random.random_bool(0.2) {
                self.compact(desk, partition);
                continue;
            }
            // Some in one round, of several partitions.
            let mut landed = Vec::new();
            for _ in 0..self.random.random_range(1..5) {
                let partition = self.random.random_range(0..PARTITIONS);
                self.serial += 1;
                let length = [16, 300, 2500][self.random.random_range(0..3)];
                let mut payload = vec![self.serial as u8; length];
                payload[..8].copy_from_slice(&self.serial.to_be_bytes());
                payload[8] = self.random.random_range(0..4);
                let payload = Bytes::from(payload);
                self.models[partition as usize].sent.push(payload.clone());
                landed.push((partition, desk.queue(partition, payload)));
            }
            desk.settle();
            for (partition, landed) in landed {
                if landed.try_recv().unwrap().is_err() {
                    // The writers' ends are wrong now: the process ends.
                    return;
                }
                self.models[partition as usize].acknowledged += 1;
            }
        }
    }

    /// Up to the end, or to some place before it: a late one.
    fn compact(&mut self, desk: &Desk, partition: u32) {
        let model = &self.models[partition as usize];
        let upto = match self.random.random_bool(0.7) {
            true => model.acknowledged,
            false => self.random.random_range(0..=model.acknowledged),
        };
        let chunks = live(&model.sent[..upto])
            .into_iter()
            .map(|(position, payload)| {
                let behind = position + 1;
                chunk(
                    End {
                        position: behind,
                        offset: behind as i64,
                    },
                    payload,
                )
            });
        let end = End {
            position: upto as u64,
            offset: upto as i64,
        };
        match snapshot(desk, partition, end, chunks) {
            Ok(()) => self.compacted += 1,
            Err(_) => self.cut_short += 1,
        }
    }

    /// The end is at or behind what was acknowledged, what is there was sent in that order, and what is alive of it is
    /// what is alive of all that was sent before that end.
    fn check(&mut self, desk: &Desk) {
        assert_eq!(desk.corrupt(), []);
        for partition in 0..PARTITIONS {
            let model = &mut self.models[partition as usize];
            let state = desk.engine.state();
            let end = state.partition(partition).unwrap().end().position as usize;
            assert!(end >= model.acknowledged, "an acknowledged append is lost");
            assert!(end <= model.sent.len());
            let mut held = Vec::new();
            reader::scan(state, partition, 0..u64::MAX, &mut |batch| {
                held.push((batch.base_offset as u64, batch.kafka));
                ControlFlow::Continue(())
            })
            .unwrap();
            assert!(held.is_sorted_by_key(|(position, _)| *position));
            for (position, payload) in &held {
                assert_eq!(*payload, model.sent[*position as usize]);
            }
            let held: Vec<_> = held.into_iter().map(|(_, payload)| payload).collect();
            let alive = |payloads| {
                live(payloads)
                    .into_iter()
                    .map(|(_, payload)| payload)
                    .collect::<Vec<_>>()
            };
            assert_eq!(alive(&held), alive(&model.sent[..end]));
            model.sent.truncate(end);
            model.acknowledged = end;
        }
    }
}

#[test]
fn power_cuts_between_its_steps_lose_nothing() {
    let fixed = std::env::var("CALLBOARD_JOURNAL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let (first, count) =
        fixed.map_or_else(|| (rand::random::<u64>() >> 1, SCHEDULES), |seed| (seed, 1));
    let (mut compacted, mut cut_short) = (0, 0);
    for seed in first..first + count {
        let run = std::panic::catch_unwind(|| {
            let mut simulation = Simulation::new(seed);
            simulation.run();
            (simulation.compacted, simulation.cut_short)
        });
        let counts =
            run.unwrap_or_else(|_| panic!("schedule failed: CALLBOARD_JOURNAL_SEED={seed}"));
        compacted += counts.0;
        cut_short += counts.1;
    }
    if fixed.is_none() {
        // The schedules reach what they are for.
        assert!(compacted > 1000, "{compacted}");
        assert!(cut_short > 100, "{cut_short}");
    }
}
