//! A disk that is full, fails, writes little at a time, or makes the caller wait.

use std::sync::{Arc, Mutex};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::desk::{Desk, batch, config};
use super::disk::Disk;
use crate::journal::OpenError;
use crate::log::{Condition, End, LogError, Resolution};

const SEGMENT: u64 = 16 * 1024;

fn condition(desk: &Desk) -> Condition {
    desk.engine.state().condition()
}

fn is_poisoned<T: std::fmt::Debug>(result: Result<T, LogError>) -> bool {
    matches!(result, Err(LogError::Poisoned { .. }))
}

#[test]
fn a_full_disk_refuses_what_needs_a_segment_and_recovers_without_a_restart() {
    let disk = Disk::default();
    disk.faults(|faults| faults.capacity = Some(2 * SEGMENT));
    let mut desk = Desk::open(&disk, &config(2)).unwrap();
    let lease = desk.take(0).unwrap().lease;
    desk.take(1).unwrap();
    // One of these fills a segment.
    for expected in 0..2 {
        assert_eq!(desk.append(0, vec![0; 7800]), Ok(expected));
    }
    assert_eq!(desk.append(0, vec![0; 7800]), Err(LogError::Full));
    assert_eq!(condition(&desk), Condition::Full);
    // What was sent behind it believes in an end that never came.
    assert_eq!(
        desk.append(0, "behind"),
        Err(LogError::WrongEnd { actual: 2 })
    );
    // Reads go on; so does what still fits.
    assert_eq!(desk.payloads(0).0.len(), 2);
    assert_eq!(desk.append(1, "small"), Ok(0));
    assert_eq!(condition(&desk), Condition::Good);
    // There is space again.
    disk.faults(|faults| faults.capacity = None);
    let end = End {
        position: 2,
        offset: 2,
    };
    let landed = desk.queue_batch(lease, batch(99, end, vec![0; 7800]));
    desk.settle();
    assert_eq!(landed.try_recv().unwrap(), Ok(2));
    drop(desk);
    let desk = Desk::open(&disk, &config(2)).unwrap();
    assert_eq!(desk.payloads(0).0.len(), 3);
    assert_eq!(desk.payloads(1).0, ["small"]);
}

#[test]
fn a_full_disk_does_not_keep_a_process_from_starting() {
    let disk = Disk::default();
    disk.faults(|faults| faults.capacity = Some(SEGMENT));
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    desk.take(0).unwrap();
    while desk.append(0, vec![1; 500]).is_ok() {}
    let held = desk.payloads(0).0.len();
    drop(desk);
    for _ in 0..20 {
        disk.faults(|faults| faults.capacity = Some(SEGMENT));
        let mut desk = Desk::open(&disk, &config(1)).unwrap();
        assert_eq!(desk.payloads(0).0.len(), held);
        desk.take(0).unwrap();
        assert_eq!(desk.append(0, vec![1; 500]), Err(LogError::Full));
    }
}

#[test]
fn no_room_for_the_first_segment_is_said() {
    let disk = Disk::default();
    disk.faults(|faults| faults.capacity = Some(SEGMENT - 1));
    assert!(matches!(
        Desk::open(&disk, &config(1)),
        Err(OpenError::NoSpace)
    ));
    disk.faults(|faults| faults.capacity = None);
    assert!(Desk::open(&disk, &config(1)).is_ok());
}

#[test]
fn a_system_that_refuses_a_new_file_makes_appends_wait() {
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    let lease = desk.take(0).unwrap().lease;
    disk.faults(|faults| faults.refuse_create = true);
    assert_eq!(desk.append(0, vec![0; 7800]), Ok(0));
    assert!(matches!(
        desk.append(0, vec![0; 7800]),
        Err(LogError::Unavailable { .. })
    ));
    disk.faults(|faults| faults.refuse_create = false);
    let end = End {
        position: 1,
        offset: 1,
    };
    let landed = desk.queue_batch(lease, batch(7, end, vec![0; 7800]));
    desk.settle();
    assert_eq!(landed.try_recv().unwrap(), Ok(1));
}

#[test]
fn short_writes_are_gone_on_with() {
    let disk = Disk::default();
    disk.faults(|faults| faults.short_writes = Some(37));
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    desk.take(0).unwrap();
    let payload: Vec<u8> = (0..=255).cycle().take(5000).collect();
    desk.append(0, payload.clone()).unwrap();
    desk.append(0, payload.clone()).unwrap();
    let desk = Desk::open(&disk.copy(), &config(1)).unwrap();
    assert_eq!(
        desk.payloads(0),
        (vec![payload.clone().into(), payload.into()], None)
    );
}

/// Appends until something fails; returns what was acknowledged. After a failure nothing else may be.
fn run_until_it_fails(desk: &mut Desk) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for number in 0..40_u64 {
        if let Err(error) = desk.take(0) {
            assert!(matches!(error, LogError::Poisoned { .. }), "{error:?}");
            return acknowledged;
        }
        let landed = [(); 3].map(|()| desk.queue(0, vec![number as u8; 900]));
        desk.settle();
        for landed in landed {
            match landed.try_recv().unwrap() {
                Ok(position) => acknowledged.push(position),
                // A write into a segment that was being made: nothing of the log was touched, the next try is good.
                Err(LogError::Unavailable { .. } | LogError::WrongEnd { .. }) => {}
                Err(error) => {
                    assert!(matches!(error, LogError::Poisoned { .. }), "{error:?}");
                    assert!(is_poisoned(desk.append(0, "after")));
                    assert!(is_poisoned(desk.take(0)));
                    assert!(matches!(condition(desk), Condition::Poisoned { .. }));
                }
            }
        }
    }
    acknowledged
}

#[test]
fn whichever_flush_or_write_fails_nothing_is_acknowledged_afterwards_and_the_next_start_is_clean() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut failed = 0;
    for after in 0..60 {
        for flush in [true, false] {
            let disk = Disk::default();
            let mut desk = Desk::open(&disk, &config(1)).unwrap();
            disk.faults(|faults| {
                if flush {
                    faults.sync_fails_after = Some(after);
                } else {
                    faults.write_fails_after = Some(after);
                }
            });
            let acknowledged = run_until_it_fails(&mut desk);
            failed += usize::from(matches!(condition(&desk), Condition::Poisoned { .. }));
            drop(desk);
            disk.lose_power(&mut random);
            let mut desk = Desk::open(&disk, &config(1)).unwrap();
            assert_eq!(desk.corrupt(), [], "seed {seed} after {after}");
            let held = desk.payloads(0).0.len();
            assert!(
                held >= acknowledged.len(),
                "seed {seed} after {after}: {held}"
            );
            desk.take(0).unwrap();
            assert_eq!(desk.append(0, "on"), Ok(held as u64));
        }
    }
    assert!(failed > 90, "only {failed} runs met their fault");
}

#[test]
fn the_hook_is_called_once_with_the_first_reason() {
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let hook = |name: &'static str| {
        let calls = Arc::clone(&calls);
        Box::new(move |reason: &str| calls.lock().unwrap().push(format!("{name}: {reason}")))
    };
    desk.engine.state().on_poisoned(hook("before"));
    desk.take(0).unwrap();
    assert!(calls.lock().unwrap().is_empty());
    disk.faults(|faults| faults.sync_fails_after = Some(0));
    assert!(is_poisoned(desk.append(0, "a")));
    assert!(is_poisoned(desk.append(0, "b")));
    desk.engine.state().on_poisoned(hook("after"));
    assert_eq!(
        *calls.lock().unwrap(),
        ["before: fsync: injected", "after: fsync: injected"]
    );
}

#[test]
fn a_lost_answer_is_found_again_by_its_id() {
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    let opened = desk.take(0).unwrap();
    let landed = desk.queue_batch(opened.lease, batch(77, opened.end, "mine"));
    desk.settle();
    landed.try_recv().unwrap().unwrap();
    assert_eq!(desk.resolve(opened.lease, 0, 77), Ok(Resolution::Applied));
    assert_eq!(
        desk.resolve(opened.lease, 0, 78),
        Ok(Resolution::NotApplied)
    );
    assert_eq!(
        desk.resolve(opened.lease, 1, 77),
        Ok(Resolution::NotApplied)
    );
    let newer = desk.take(0).unwrap().lease;
    let fenced = LogError::Fenced {
        current: newer.epoch,
    };
    assert_eq!(desk.resolve(opened.lease, 0, 77), Err(fenced));
    drop(desk);
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    let lease = desk.take(0).unwrap().lease;
    assert_eq!(desk.resolve(lease, 0, 77), Ok(Resolution::Applied));
}

#[test]
fn a_round_takes_no_more_than_its_bytes_and_rounds_share_a_flush() {
    let disk = Disk::default();
    let mut config = config(1);
    config.segment_bytes = 1024 * 1024;
    config.round_bytes_max = 4 * (1000 + 104);
    let mut desk = Desk::open(&disk, &config).unwrap();
    desk.take(0).unwrap();
    let before = disk.syncs();
    let landed: Vec<_> = (0..10).map(|_| desk.queue(0, vec![0; 1000])).collect();
    desk.settle();
    for (position, landed) in (0..).zip(landed) {
        assert_eq!(landed.try_recv().unwrap(), Ok(position));
    }
    assert_eq!(disk.syncs() - before, 3);
    // One batch larger than a round is a round.
    assert_eq!(desk.append(0, vec![0; 20_000]), Ok(10));
}
