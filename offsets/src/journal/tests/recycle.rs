//! Segments that were used before: their old frames are all valid, of the same partitions and positions, and lie where
//! the new ones end.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::desk::{Desk, config};
use super::disk::Disk;
use crate::journal::core::segment::{SegmentHeader, segment_name};
use crate::journal::storage::Storage;

/// A log over three segments, and their files once more as free ones, as trimming will leave them.
fn used_log() -> (Disk, Vec<Bytes>) {
    let disk = Disk::default();
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    desk.take(0).unwrap();
    let mut payloads = Vec::new();
    for number in 0..60_u8 {
        let payload = Bytes::from(vec![number; 400]);
        desk.append(0, payload.clone()).unwrap();
        payloads.push(payload);
    }
    drop(desk);
    for generation in [1, 2, 3] {
        let content = disk.content(&segment_name(generation));
        disk.put(&format!("{generation}.free"), content);
    }
    (disk, payloads)
}

fn free_files(disk: &Disk) -> usize {
    let names = disk.list().unwrap();
    names.iter().filter(|name| name.ends_with(".free")).count()
}

fn newest(disk: &Disk) -> String {
    let names = disk.list().unwrap().into_iter();
    names
        .filter(|name| name.ends_with(".segment"))
        .max()
        .unwrap()
}

#[test]
fn free_files_are_used_again_and_their_old_frames_never_show() {
    let (disk, mut payloads) = used_log();
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut round = 0_u32;
    while free_files(&disk) > 0 || round < 30 {
        round += 1;
        let mut desk = Desk::open(&disk, &config(1)).unwrap();
        assert_eq!(desk.corrupt(), [], "seed {seed}");
        assert_eq!(desk.payloads(0), (payloads.clone(), None), "seed {seed}");
        desk.take(0).unwrap();
        for _ in 0..random.random_range(0..5) {
            // The same sizes as the old frames, so that old and new ones line up.
            let payload = Bytes::from(vec![100 + round as u8; 400]);
            desk.append(0, payload.clone()).unwrap();
            payloads.push(payload);
        }
        drop(desk);
        if random.random_bool(0.5) {
            disk.lose_power(&mut random);
        }
    }
}

#[test]
fn a_recycled_segment_says_so() {
    let (disk, _) = used_log();
    let mut desk = Desk::open(&disk, &config(1)).unwrap();
    desk.take(0).unwrap();
    while free_files(&disk) == 3 {
        desk.append(0, vec![0; 400]).unwrap();
    }
    let content = disk.content(&newest(&disk));
    assert!(SegmentHeader::decode(&content).unwrap().recycled);
    assert!(
        !SegmentHeader::decode(&disk.content(&segment_name(1)))
            .unwrap()
            .recycled
    );
}

#[test]
fn free_files_of_another_size_are_given_back() {
    let (disk, _) = used_log();
    let mut config = config(1);
    config.segment_bytes = 32 * 1024;
    let mut desk = Desk::open(&disk, &config).unwrap();
    desk.take(0).unwrap();
    for _ in 0..30 {
        desk.append(0, vec![0; 1000]).unwrap();
    }
    assert_eq!(free_files(&disk), 0);
    assert_eq!(disk.content(&newest(&disk)).len(), 32 * 1024);
    // Both sizes are one log.
    drop(desk);
    let desk = Desk::open(&disk, &config).unwrap();
    assert_eq!(desk.payloads(0).0.len(), 90);
}

#[test]
fn an_unfinished_segment_is_swept_away() {
    let (disk, payloads) = used_log();
    disk.put("segment.preparing", vec![1; 100]);
    let desk = Desk::open(&disk, &config(1)).unwrap();
    assert!(
        !disk
            .list()
            .unwrap()
            .contains(&"segment.preparing".to_owned())
    );
    assert_eq!(desk.payloads(0).0, payloads);
}

#[test]
fn files_of_others_are_left_alone() {
    let (disk, payloads) = used_log();
    for name in ["lock", "0.snapshot", "notes.txt", "1.segment"] {
        disk.put(name, vec![1; 100]);
    }
    let desk = Desk::open(&disk, &config(1)).unwrap();
    assert_eq!(desk.payloads(0).0, payloads);
    for name in ["lock", "0.snapshot", "notes.txt", "1.segment"] {
        assert_eq!(disk.content(name), vec![1; 100]);
    }
}
