//! Damage to the last frames of a log, byte by byte, and to frames that others follow.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::desk::{Desk, config};
use super::disk::Disk;
use crate::journal::OpenError;
use crate::journal::core::scan::{Found, walk};
use crate::journal::core::segment::{SegmentHeader, segment_name};
use crate::log::LogError;

const PARTITIONS: u32 = 4;

/// Frames of the first segment.
fn frames(disk: &Disk) -> Vec<Found> {
    let bytes = disk.content(&segment_name(1));
    let header = SegmentHeader::decode(&bytes).unwrap();
    let mut frames = Vec::new();
    walk(&bytes, header.segment, |found| frames.push(found));
    frames
}

/// Every partition has one batch, each in a round of its own; then come `rounds`. The process is killed.
fn log(rounds: &[&[u32]]) -> Disk {
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
    for partition in 0..PARTITIONS {
        desk.take(partition).unwrap();
        desk.append(partition, format!("first of {partition}"))
            .unwrap();
    }
    for (number, round) in rounds.iter().enumerate() {
        let landed: Vec<_> = round
            .iter()
            .map(|&partition| desk.queue(partition, format!("{number} of {partition}")))
            .collect();
        desk.round();
        for landed in landed {
            landed.try_recv().unwrap().unwrap();
        }
    }
    disk.copy()
}

/// How many batches each partition holds.
fn held(desk: &Desk) -> Vec<usize> {
    (0..PARTITIONS)
        .map(|partition| desk.payloads(partition).0.len())
        .collect()
}

/// Opens the damaged log, appends where it may, and opens it again: the second start must find what the first left.
fn outcome(disk: &Disk) -> (Vec<usize>, Vec<u32>) {
    let mut desk = Desk::open(disk, &config(PARTITIONS)).unwrap();
    let (before, corrupt) = (held(&desk), desk.corrupt());
    for partition in 0..PARTITIONS {
        let opened = desk.take(partition);
        let refuses = corrupt.iter().any(|(number, _)| *number == partition);
        assert_eq!(
            matches!(opened, Err(LogError::Corrupt { .. })),
            refuses,
            "{opened:?}"
        );
        if !refuses {
            desk.append(partition, "later").unwrap();
        }
    }
    drop(desk);
    let desk = Desk::open(&disk.copy(), &config(PARTITIONS)).unwrap();
    assert_eq!(
        desk.corrupt(),
        corrupt,
        "a second start finds the same damage"
    );
    for (partition, (held, before)) in held(&desk).iter().zip(&before).enumerate() {
        let refuses = corrupt
            .iter()
            .any(|(number, _)| *number as usize == partition);
        assert_eq!(*held, before + usize::from(!refuses));
    }
    (before, corrupt.iter().map(|(number, _)| *number).collect())
}

#[test]
fn flips_in_the_last_two_frames_of_two_rounds() {
    let disk = log(&[&[2], &[3]]);
    let frames = frames(&disk);
    let [.., before, last] = &frames[..] else {
        panic!("{frames:?}")
    };
    for frame in [before, last] {
        let padding = frame.at + 104 + frame.header.payload_bytes as usize;
        for at in frame.at..frame.end() {
            let damaged = disk.copy();
            damaged.tamper(&segment_name(1), |bytes| bytes[at] ^= 0x10);
            let expected = if at >= padding {
                (vec![1, 1, 2, 2], vec![])
            } else if frame == last {
                // The end of the log: nothing shows that it had been flushed.
                (vec![1, 1, 2, 1], vec![])
            } else {
                // A later round follows: partition 2 refuses, the others serve.
                (vec![1, 1, 1, 2], vec![2])
            };
            assert_eq!(outcome(&damaged), expected, "byte {at} of {frame:?}");
        }
    }
}

#[test]
fn flips_in_the_last_two_frames_of_one_round() {
    let disk = log(&[&[2, 3]]);
    let frames = frames(&disk);
    let [.., before, last] = &frames[..] else {
        panic!("{frames:?}")
    };
    for frame in [before, last] {
        let padding = frame.at + 104 + frame.header.payload_bytes as usize;
        for at in frame.at..padding {
            let damaged = disk.copy();
            damaged.tamper(&segment_name(1), |bytes| bytes[at] ^= 0x01);
            let expected = if frame == last {
                (vec![1, 1, 2, 1], vec![])
            } else {
                // What survived behind it is of the same round.
                (vec![1, 1, 1, 1], vec![])
            };
            assert_eq!(outcome(&damaged), expected, "byte {at} of {frame:?}");
        }
    }
}

#[test]
fn the_file_cut_at_every_byte_of_the_last_two_frames() {
    for rounds in [&[&[2_u32][..], &[3]][..], &[&[2, 3]]] {
        let disk = log(rounds);
        let frames = frames(&disk);
        let [.., before, last] = &frames[..] else {
            panic!("{frames:?}")
        };
        let whole =
            |frame: &Found, length| frame.at + 104 + frame.header.payload_bytes as usize <= length;
        for length in before.at..=last.end() {
            let damaged = disk.copy();
            damaged.tamper(&segment_name(1), |bytes| bytes.truncate(length));
            let expected = vec![
                1,
                1,
                1 + usize::from(whole(before, length)),
                1 + usize::from(whole(last, length)),
            ];
            assert_eq!(outcome(&damaged), (expected, vec![]), "{length} bytes");
            assert_eq!(damaged.content(&segment_name(1)).len(), 16 * 1024);
        }
    }
}

#[test]
fn zeroed_pages_of_the_last_round_leave_its_beginning() {
    // Later pages survive and earlier ones do not: one round of frames that are a page each.
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
    for partition in 0..2 {
        desk.take(partition).unwrap();
    }
    for partition in [0, 1] {
        desk.queue(partition, vec![7; 3000]);
    }
    desk.round();
    let all = frames(&disk);
    let [first, second] = [&all[all.len() - 2], &all[all.len() - 1]];
    let damaged = disk.copy();
    damaged.tamper(&segment_name(1), |bytes| {
        bytes[first.at..first.at + 200].fill(0)
    });
    assert_eq!(outcome(&damaged), (vec![0, 0, 0, 0], vec![]));
    let damaged = disk.copy();
    damaged.tamper(&segment_name(1), |bytes| {
        bytes[second.at + 2000..second.at + 2100].fill(0)
    });
    assert_eq!(outcome(&damaged), (vec![1, 0, 0, 0], vec![]));
}

#[test]
fn a_flipped_length_loses_one_frame_only() {
    let disk = log(&[&[1], &[0, 2], &[3]]);
    let frames = frames(&disk);
    let damaged_frame = &frames[frames.len() - 4];
    assert_eq!(damaged_frame.header.partition, 1);
    for at in damaged_frame.at + 8..damaged_frame.at + 16 {
        for bit in 0..8 {
            let damaged = disk.copy();
            damaged.tamper(&segment_name(1), |bytes| bytes[at] ^= 1 << bit);
            assert_eq!(
                outcome(&damaged),
                (vec![2, 1, 2, 2], vec![1]),
                "byte {at} bit {bit}"
            );
        }
    }
}

#[test]
fn a_corrupt_partition_still_gives_what_lies_before_the_damage() {
    let disk = log(&[&[1], &[1], &[0]]);
    let frames = frames(&disk);
    let second_of_1 = frames[frames.len() - 3];
    disk.tamper(&segment_name(1), |bytes| bytes[second_of_1.at + 102] ^= 1);
    let desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
    let (payloads, error) = desk.payloads(1);
    assert_eq!(payloads, ["first of 1"]);
    assert!(
        matches!(error, Some(LogError::Corrupt { position: 1, .. })),
        "{error:?}"
    );
}

#[test]
fn damage_that_appears_while_it_runs_is_seen_by_the_reader() {
    let disk = log(&[&[1]]);
    let frames = frames(&disk);
    let desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
    let last = frames[frames.len() - 1];
    disk.tamper(&segment_name(1), |bytes| bytes[last.at + 102] ^= 1);
    let (payloads, error) = desk.payloads(1);
    assert_eq!(payloads.len(), 1);
    assert!(
        matches!(error, Some(LogError::Corrupt { position: 1, .. })),
        "{error:?}"
    );
}

#[test]
fn after_an_orderly_end_damage_to_the_last_frame_is_no_torn_end() {
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
    desk.take(0).unwrap();
    desk.append(0, "only").unwrap();
    let last = *frames(&disk).last().unwrap();
    desk.engine.close();
    drop(desk);
    disk.tamper(&segment_name(1), |bytes| bytes[last.at + 102] ^= 1);
    let desk = Desk::open(&disk, &config(PARTITIONS)).unwrap();
    assert_eq!(desk.corrupt(), [(0, 0)]);
}

fn refused(disk: &Disk) -> String {
    match Desk::open(disk, &config(PARTITIONS)) {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_segment_that_is_gone_or_unreadable_refuses_the_whole_log() {
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    desk.take(0).unwrap();
    for _ in 0..4 {
        desk.append(0, vec![1; 6000]).unwrap();
    }
    drop(desk);
    let missing = disk.copy();
    missing.take(&segment_name(2));
    assert_eq!(
        refused(&missing),
        "the offsets log is damaged: 0000000002.segment: it is missing, and later segments are there"
    );
    let unreadable = disk.copy();
    unreadable.tamper(&segment_name(2), |bytes| bytes[..4096].fill(0xff));
    assert!(refused(&unreadable).ends_with("0000000002.segment: its header is damaged"));
    let twice = disk.copy();
    twice.put(&segment_name(3), disk.content(&segment_name(2)));
    assert!(refused(&twice).ends_with("0000000003.segment: its header is another segment's"));
}

#[test]
fn fewer_partitions_than_the_log_holds_are_refused() {
    let disk = log(&[]);
    assert!(matches!(
        Desk::open(&disk, &config(2)),
        Err(OpenError::Partitions {
            found: 3,
            configured: 2
        })
    ));
    let desk = Desk::open(&disk, &config(9)).unwrap();
    assert_eq!(desk.engine.state().partition_count(), 9);
}

#[test]
fn random_bytes_in_the_middle_never_panic_and_never_lie() {
    let disk = log(&[&[0, 1, 2, 3], &[0], &[1, 2], &[3]]);
    let used = frames(&disk).last().unwrap().end();
    // A start behind it, which stays whole, says that all of it had been flushed.
    drop(Desk::open(&disk, &config(PARTITIONS)).unwrap());
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for run in 0..300 {
        let damaged = disk.copy();
        damaged.tamper(&segment_name(1), |bytes| {
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(4096..used);
                bytes[at] = random.random();
            }
        });
        let desk = Desk::open(&damaged, &config(PARTITIONS)).unwrap();
        let corrupt = desk.corrupt();
        for partition in 0..PARTITIONS {
            let (payloads, error) = desk.payloads(partition);
            let refuses = corrupt.iter().any(|(number, _)| *number == partition);
            assert_eq!(error.is_some(), refuses, "seed {seed} run {run}");
            if let Some(first) = payloads.first() {
                assert_eq!(
                    *first,
                    format!("first of {partition}"),
                    "seed {seed} run {run}"
                );
            }
            assert!(
                refuses || payloads.len() == 3,
                "seed {seed} run {run} partition {partition}: {payloads:?}"
            );
        }
    }
}

#[test]
fn what_a_start_cuts_off_in_a_later_segment_stays_cut_when_the_power_goes() {
    // The first segment is full but for a start's frame; a round of two frames is torn in the second.
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    desk.take(0).unwrap();
    desk.append(0, vec![1; 7800]).unwrap();
    let torn = [desk.queue(0, vec![2; 2000]), desk.queue(0, vec![3; 2000])];
    desk.round();
    assert!(torn.iter().all(|landed| landed.try_recv().unwrap().is_ok()));
    drop(desk);
    disk.tamper(&segment_name(2), |bytes| bytes[4096..4200].fill(0));
    for seed in 0..40 {
        let disk = disk.copy();
        drop(Desk::open(&disk, &config(1)).unwrap());
        disk.lose_power(&mut StdRng::seed_from_u64(seed));
        let desk = Desk::open(&disk, &config(1)).unwrap();
        assert_eq!(desk.corrupt(), [], "seed {seed}");
        assert_eq!(desk.payloads(0).0.len(), 1, "seed {seed}");
    }
}
