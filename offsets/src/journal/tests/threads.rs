//! The journal with its threads, over the disk that fails. Order is made by holding flushes back, never by waiting.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use callboard_supervision::testing::Limit;

use super::desk::{batch, config};
use super::disk::Disk;
use crate::journal::{Journal, JournalConfig};
use crate::log::{Condition, End, Lease, LogError, OffsetsLog, Opened, Position};

fn journal(disk: &Disk, config: &JournalConfig) -> Journal {
    Journal::start(disk.storage(), config, None).unwrap()
}

fn open(journal: &Journal, partition: u32) -> Result<Opened, LogError> {
    let (sender, receiver) = channel();
    journal.open(
        partition,
        Box::new(move |result| sender.send(result).unwrap()),
    );
    receiver.recv().unwrap()
}

fn append(
    journal: &Journal,
    lease: Lease,
    position: u64,
    payload: impl Into<Bytes>,
) -> Receiver<Result<Position, LogError>> {
    let (sender, receiver) = channel();
    let end = End {
        position,
        offset: position.cast_signed(),
    };
    let done = Box::new(move |result| {
        // The test may have stopped listening.
        let _ = sender.send(result);
    });
    journal.append(lease, batch(position.into(), end, payload), done);
    receiver
}

#[test]
fn a_slow_disk_bounds_memory_and_answers_keep_their_order() {
    let _limit = Limit::start();
    let disk = Disk::default();
    let mut config = config(2);
    config.queued_bytes_max = 10_000;
    let journal = journal(&disk, &config);
    let lease = open(&journal, 0).unwrap().lease;
    let held = disk.hold_syncs();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut landed = Vec::new();
    for position in 0..200_u64 {
        let (order, (sender, receiver)) = (Arc::clone(&order), channel());
        let end = End {
            position,
            offset: position.cast_signed(),
        };
        let done = Box::new(move |result| {
            order.lock().unwrap().push(position);
            sender.send(result).unwrap();
        });
        journal.append(lease, batch(1, end, vec![0; 1000]), done);
        landed.push(receiver);
        assert!(journal.health().queued_bytes <= config.queued_bytes_max);
    }
    disk.wait_for_held_sync();
    assert_eq!(journal.health().queued_bytes, 10_000);
    assert!(
        landed[0].try_recv().is_err(),
        "nothing is answered before its flush"
    );
    assert_eq!(journal.offsets(0), Some(0..0), "nor visible");
    drop(held);
    for (position, landed) in (0..).zip(&landed) {
        match landed.recv().unwrap() {
            Ok(at) => assert!(at == position && position < 10),
            // The first one beyond the bound, and those that counted on it.
            Err(LogError::Unavailable { .. }) => assert!(position >= 10),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(*order.lock().unwrap(), (0..200).collect::<Vec<_>>());
    assert_eq!(journal.health().queued_bytes, 0);
    assert_eq!(append(&journal, lease, 10, "on").recv().unwrap(), Ok(10));
}

#[test]
fn what_waits_while_a_round_is_flushed_shares_the_next_flush() {
    let _limit = Limit::start();
    let disk = Disk::default();
    let journal = journal(&disk, &config(1));
    let lease = open(&journal, 0).unwrap().lease;
    let held = disk.hold_syncs();
    let first = append(&journal, lease, 0, "first");
    disk.wait_for_held_sync();
    let before = disk.syncs();
    let rest: Vec<_> = (1..50)
        .map(|position| append(&journal, lease, position, "rest"))
        .collect();
    drop(held);
    assert_eq!(first.recv().unwrap(), Ok(0));
    for landed in rest {
        landed.recv().unwrap().unwrap();
    }
    assert_eq!(disk.syncs() - before, 2);
}

#[test]
fn a_new_lease_waits_for_what_was_appended_before_it_and_fences_what_comes_after() {
    let _limit = Limit::start();
    let disk = Disk::default();
    let journal = journal(&disk, &config(1));
    let old = open(&journal, 0).unwrap().lease;
    let held = disk.hold_syncs();
    let landed = append(&journal, old, 0, "before");
    let (sender, receiver) = channel();
    journal.open(0, Box::new(move |result| sender.send(result).unwrap()));
    let late = append(&journal, old, 1, "after");
    disk.wait_for_held_sync();
    drop(held);
    assert_eq!(landed.recv().unwrap(), Ok(0));
    let opened = receiver.recv().unwrap().unwrap();
    assert_eq!(opened.end.position, 1);
    let fenced = LogError::Fenced {
        current: opened.lease.epoch,
    };
    assert_eq!(late.recv().unwrap(), Err(fenced));
}

#[test]
fn closing_finishes_what_waits_and_refuses_the_rest_in_order() {
    let _limit = Limit::start();
    let disk = Disk::default();
    let journal = Arc::new(journal(&disk, &config(1)));
    let lease = open(&journal, 0).unwrap().lease;
    let held = disk.hold_syncs();
    let first = append(&journal, lease, 0, "first");
    disk.wait_for_held_sync();
    let second = append(&journal, lease, 1, "second");
    let closer = {
        let journal = Arc::clone(&journal);
        std::thread::spawn(move || journal.close())
    };
    // Whatever of the three comes first, the answers come in order and only the waiting ones land.
    drop(held);
    assert_eq!(first.recv().unwrap(), Ok(0));
    assert_eq!(second.recv().unwrap(), Ok(1));
    closer.join().unwrap().unwrap();
    assert_eq!(
        append(&journal, lease, 2, "late").recv().unwrap(),
        Err(LogError::Closed)
    );
    assert_eq!(open(&journal, 0), Err(LogError::Closed));
    assert_eq!(journal.read(0, 0, 100), Err(LogError::Closed));
    assert_eq!(journal.close(), Ok(()));
    let journal = self::journal(&disk, &config(1));
    assert_eq!(journal.offsets(0), Some(0..2));
}

#[test]
fn the_last_handle_may_go_in_an_answer() {
    let _limit = Limit::start();
    let disk = Disk::default();
    let journal = Arc::new(journal(&disk, &config(1)));
    let opened = open(&journal, 0).unwrap();
    let (sender, receiver) = channel();
    let held = Arc::clone(&journal);
    let (dropped, was_dropped) = channel();
    let done = Box::new(move |result: Result<Position, LogError>| {
        was_dropped.recv().unwrap();
        drop(held);
        sender.send(result).unwrap();
    });
    journal.append(opened.lease, batch(1, opened.end, "x"), done);
    drop(journal);
    dropped.send(()).unwrap();
    assert_eq!(receiver.recv().unwrap(), Ok(0));
}

#[test]
fn a_caller_that_panics_harms_nobody_else() {
    let _limit = Limit::start();
    let disk = Disk::default();
    let journal = journal(&disk, &config(1));
    let opened = open(&journal, 0).unwrap();
    let done = Box::new(|_| panic!("on purpose"));
    journal.append(opened.lease, batch(1, opened.end, "x"), done);
    assert_eq!(
        append(&journal, opened.lease, 1, "y").recv().unwrap(),
        Ok(1)
    );
}

#[test]
fn a_failed_flush_poisons_what_waits_too() {
    let _limit = Limit::start();
    let disk = Disk::default();
    let journal = journal(&disk, &config(1));
    let lease = open(&journal, 0).unwrap().lease;
    let held = disk.hold_syncs();
    let first = append(&journal, lease, 0, "first");
    disk.wait_for_held_sync();
    let second = append(&journal, lease, 1, "second");
    disk.faults(|faults| faults.sync_fails_after = Some(0));
    drop(held);
    let poisoned = LogError::Poisoned {
        reason: "fsync: injected".to_owned(),
    };
    assert_eq!(first.recv().unwrap(), Err(poisoned.clone()));
    assert_eq!(second.recv().unwrap(), Err(poisoned.clone()));
    assert_eq!(open(&journal, 0), Err(poisoned.clone()));
    assert_eq!(
        journal.offsets(0),
        Some(0..0),
        "what is not durable is not visible"
    );
    assert!(matches!(
        journal.health().condition,
        Condition::Poisoned { .. }
    ));
    assert_eq!(journal.close(), Err(poisoned));
}

#[test]
fn a_reserve_carries_appends_over_a_full_disk() {
    let _limit = Limit::start();
    let disk = Disk::default();
    let mut config = config(1);
    config.reserve_segments = 2;
    let journal = journal(&disk, &config);
    let lease = open(&journal, 0).unwrap().lease;
    // Three segments at once: the one in use and the reserve.
    disk.faults(|faults| faults.capacity = Some(3 * 16 * 1024));
    let mut position = 0;
    let error = loop {
        match append(&journal, lease, position, vec![0; 1000])
            .recv()
            .unwrap()
        {
            Ok(_) => position += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, LogError::Full);
    assert_eq!(journal.health().condition, Condition::Full);
    assert_eq!(journal.health().log_bytes, 3 * 16 * 1024);
    assert_eq!(position, 7 * 3);
    disk.faults(|faults| faults.capacity = None);
    assert_eq!(
        append(&journal, lease, position, vec![0; 1000])
            .recv()
            .unwrap(),
        Ok(position)
    );
    assert_eq!(journal.health().condition, Condition::Good);
}
