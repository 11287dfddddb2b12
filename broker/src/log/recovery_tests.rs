//! Crashes. A dead process leaves any prefix of its last write; a dead machine may leave a name without the bytes.
//! Each test copies the files as they were at some moment, damages the copy and opens it.

use std::collections::BTreeMap;

use super::super::testing::{NOW, batch, files_of, open, restore, small};
use super::super::{AtLeast, Offsets, PartitionLog};
use super::*;

const OPEN_SEGMENT: &str = "00000000000000000000.log";

type Files = BTreeMap<String, Vec<u8>>;

/// A log of one segment with three batches of two records, not closed; its files and the batches' sizes.
fn three_batches(dir: &Path) -> (Files, usize) {
    let mut log = open(dir);
    let mut size = 0;
    for sequence in [0, 2, 4] {
        let batch = batch(&[NOW, NOW + 1], 100, Some((9, 0, sequence)));
        size = batch.size();
        log.append(&batch, NOW).unwrap();
    }
    (files_of(dir), size)
}

fn end_of(dir: &Path) -> i64 {
    open(dir).reader().offsets().end
}

/// What is there can be read, and the next append goes behind it.
fn works(dir: &Path, end: i64) {
    let mut log = open(dir);
    let sequence = i32::try_from(end).unwrap();
    let appended = log
        .append(&batch(&[NOW], 50, Some((9, 0, sequence))), NOW)
        .unwrap();
    assert_eq!(
        (appended.base_offset, appended.records),
        (end, 1),
        "producer states end where the log ends"
    );
    drop(log);
    let log = open(dir);
    assert_eq!(log.reader().offsets().end, end + 1);
    for offset in 0..=end {
        assert!(
            !log.reader()
                .read(offset, 1, AtLeast::OneBatch)
                .unwrap()
                .records
                .is_empty()
        );
    }
}

#[test]
fn a_file_cut_anywhere_keeps_every_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (files, size) = three_batches(&dir.path().join("a"));
    let copy = dir.path().join("copy");
    for length in 0..=files[OPEN_SEGMENT].len() {
        let mut torn = files.clone();
        torn.get_mut(OPEN_SEGMENT).unwrap().truncate(length);
        restore(&copy, &torn);
        let whole = i64::try_from(length / size * 2).unwrap();
        assert_eq!(end_of(&copy), whole, "cut at {length}");
        assert_eq!(
            std::fs::metadata(copy.join(OPEN_SEGMENT)).unwrap().len(),
            (length / size * size) as u64
        );
        works(&copy, whole);
    }
}

#[test]
fn a_changed_byte_in_the_tail_ends_the_log_before_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (files, size) = three_batches(&dir.path().join("a"));
    let copy = dir.path().join("copy");
    for at in 2 * size..3 * size {
        let mut damaged = files.clone();
        damaged.get_mut(OPEN_SEGMENT).unwrap()[at] ^= 0x40;
        restore(&copy, &damaged);
        let within = at - 2 * size;
        // The leader epoch is not covered by the checksum, nor is the base offset; but that must follow.
        let expected = if (12..16).contains(&within) { 6 } else { 4 };
        assert_eq!(end_of(&copy), expected, "byte {within} of the last batch");
        if expected == 4 {
            works(&copy, 4);
        }
    }
}

#[test]
fn garbage_and_zeros_behind_the_log_are_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (files, size) = three_batches(&dir.path().join("a"));
    let copy = dir.path().join("copy");
    // The body of a next batch without its header is what a kill between the two writes of an append leaves.
    let second = files[OPEN_SEGMENT][size + 61..2 * size].to_vec();
    for tail in [
        vec![0; 1],
        vec![0; 500],
        vec![0xa5; 300],
        [vec![0; 61], second].concat(),
    ] {
        let mut longer = files.clone();
        longer.get_mut(OPEN_SEGMENT).unwrap().extend(&tail);
        restore(&copy, &longer);
        works(&copy, 6);
    }
}

#[test]
fn a_log_that_was_closed_is_not_read_again_and_grows_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    three_batches(&path);
    open(&path).close().unwrap();
    let mut closed = files_of(&path);
    // Its index vouches for these bytes: damage in them is not looked for. This is what shows that nobody read them.
    closed.get_mut(OPEN_SEGMENT).unwrap()[100] ^= 1;
    restore(&path, &closed);
    assert_eq!(end_of(&path), 6);
    works(&path, 6);
}

#[test]
fn every_mixture_of_files_around_a_close_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let (before, _) = three_batches(&path);
    open(&path).close().unwrap();
    let after = files_of(&path);
    let mut more = open(&path);
    more.append(&batch(&[NOW], 50, Some((9, 0, 6))), NOW)
        .unwrap();
    drop(more);
    let later = files_of(&path);
    let copy = dir.path().join("copy");
    let names: Vec<&String> = after.keys().collect();
    // Each file by itself is from before the close (or absent), from after it, or from after another append.
    for choice in 0..3_usize.pow(u32::try_from(names.len()).unwrap()) {
        let mut mixed = Files::new();
        for (at, name) in names.iter().enumerate() {
            let source =
                [&before, &after, &later][choice / 3_usize.pow(u32::try_from(at).unwrap()) % 3];
            if let Some(bytes) = source.get(*name) {
                mixed.insert((*name).clone(), bytes.clone());
            }
        }
        restore(&copy, &mixed);
        let end = if mixed[OPEN_SEGMENT] == later[OPEN_SEGMENT] {
            7
        } else {
            6
        };
        assert_eq!(end_of(&copy), end, "choice {choice}");
        works(&copy, end);
    }
}

#[test]
fn every_prefix_of_a_roll_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut log = open(&path);
    for sequence in 0..4 {
        log.append(&batch(&[NOW], 230, Some((9, 0, sequence))), NOW)
            .unwrap();
    }
    drop(log);
    let files = files_of(&path);
    let second = "00000000000000000003.log";
    let steps = ["00000000000000000000.index", PRODUCERS, second];
    let copy = dir.path().join("copy");
    for done in 0..=steps.len() {
        let mut state = files.clone();
        for step in &steps[done..] {
            state.remove(*step);
        }
        for torn in [0, 1, usize::MAX] {
            let mut state = state.clone();
            if let Some(bytes) = state.get_mut(second) {
                bytes.truncate(torn);
            }
            state.insert(format!("{PRODUCERS}.tmp"), vec![1, 2, 3]);
            restore(&copy, &state);
            let end = if done == 3 && torn == usize::MAX {
                4
            } else {
                3
            };
            assert_eq!(end_of(&copy), end, "{done} steps, torn {torn}");
            works(&copy, end);
            assert!(!files_of(&copy).contains_key(&format!("{PRODUCERS}.tmp")));
        }
    }
}

#[test]
fn damage_that_is_no_tail_is_refused_and_not_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut log = open(&path);
    for _ in 0..9 {
        log.append(&batch(&[NOW], 230, None), NOW).unwrap();
    }
    drop(log);
    let files = files_of(&path);
    let copy = dir.path().join("copy");
    let refused = |state: &Files| {
        restore(&copy, state);
        let error = PartitionLog::open(&copy, super::super::testing::small(), NOW).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
        assert!(&files_of(&copy) == state, "nothing was touched");
    };
    let mut hole = files.clone();
    hole.remove("00000000000000000003.log");
    hole.remove("00000000000000000003.index");
    refused(&hole);
    let mut short = files.clone();
    let middle = short.get_mut("00000000000000000003.log").unwrap();
    middle.truncate(middle.len() - 1);
    refused(&short);
    let mut start = files.clone();
    start.insert(LOG_START.to_owned(), b"later".to_vec());
    refused(&start);
}

#[test]
fn files_that_a_crash_kept_from_being_deleted_go_at_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut log = open(&path);
    for _ in 0..9 {
        log.append(&batch(&[NOW], 230, None), NOW).unwrap();
    }
    let before = files_of(&path);
    log.delete_records(4).unwrap();
    drop(log);
    let after = files_of(&path);
    let gone: Vec<&String> = before
        .keys()
        .filter(|name| !after.contains_key(*name))
        .collect();
    assert_eq!(gone.len(), 2, "{gone:?}");
    let copy = dir.path().join("copy");
    for kept in 0..=gone.len() {
        let mut state = after.clone();
        for name in &gone[..kept] {
            state.insert((*name).clone(), before[*name].clone());
        }
        restore(&copy, &state);
        assert_eq!(
            open(&copy).reader().offsets(),
            Offsets {
                log_start: 4,
                end: 9
            }
        );
        // It was not closed in order.
        let mut opened = files_of(&copy);
        assert_ne!(
            opened.insert(EPOCHS.to_owned(), after[EPOCHS].clone()),
            None
        );
        assert!(opened == after, "{kept} files kept");
    }
}

#[test]
fn a_start_offset_beyond_the_end_starts_empty_there() {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, _) = three_batches(&dir.path().join("a"));
    files.insert(LOG_START.to_owned(), b"40\n".to_vec());
    let copy = dir.path().join("copy");
    restore(&copy, &files);
    let mut log = open(&copy);
    assert_eq!(
        log.reader().offsets(),
        Offsets {
            log_start: 40,
            end: 40
        }
    );
    assert_eq!(
        log.append(&batch(&[NOW], 1, None), NOW)
            .unwrap()
            .base_offset,
        40
    );
    drop(log);
    assert_eq!(
        open(&copy).reader().offsets(),
        Offsets {
            log_start: 40,
            end: 41
        }
    );
    let names: Vec<String> = files_of(&copy).into_keys().collect();
    assert_eq!(names, ["00000000000000000040.log", EPOCHS, LOG_START]);
}

/// What the log of `dir` says of its epochs, on the disk and in memory.
fn epochs_of(dir: &Path) -> (i32, String) {
    let epoch = open(dir).reader().leader_epoch();
    let checkpoint = std::fs::read_to_string(dir.join(EPOCHS)).unwrap_or_default();
    (epoch, checkpoint)
}

fn append_to(dir: &Path, records: usize) -> PartitionLog {
    let mut log = open(dir);
    log.append(&batch(&vec![NOW; records], 10, None), NOW)
        .unwrap();
    log
}

/// As in Kafka: a `kill -9` raises the epoch and a clean restart does not. A log that nobody writes to loses nothing.
#[test]
fn an_unclean_start_begins_a_leader_epoch_and_a_clean_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for _ in 0..2 {
        assert_eq!(epochs_of(dir), (0, String::new()), "never written to");
    }
    append_to(dir, 3).close().unwrap();
    for _ in 0..2 {
        assert_eq!(
            epochs_of(dir),
            (0, "0\n1\n0 0\n".to_owned()),
            "closed in order"
        );
    }
    drop(append_to(dir, 2));
    assert_eq!(epochs_of(dir), (1, "0\n2\n0 0\n1 5\n".to_owned()));
    // Nothing was appended in epoch 1: it gives way.
    let mut log = append_to(dir, 1);
    assert_eq!(log.reader().leader_epoch(), 2);
    let end = |epoch| {
        let found = log.reader().end_of_epoch(epoch);
        (found.epoch, found.end)
    };
    let ends = [0, 1, 2, 3].map(end);
    assert_eq!(ends, [(0, 5), (0, 5), (2, 6), (-1, -1)]);
    assert_eq!([4, 5].map(|offset| log.reader().epoch_of(offset)), [0, 2]);
    let stored = log.reader().read(5, 1_000, AtLeast::OneBatch).unwrap();
    assert_eq!(stored.records[12..16], [0, 0, 0, 2], "batches carry it");
    log.close().unwrap();
    assert_eq!(epochs_of(dir), (2, "0\n2\n0 0\n2 5\n".to_owned()));
}

/// Difference: `epochs-of-quiet-logs`.
#[test]
fn a_log_that_nobody_wrote_to_keeps_its_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    append_to(dir, 3).close().unwrap();
    for _ in 0..3 {
        let log = open(dir);
        assert!(log.reader().read(0, 1_000, AtLeast::OneBatch).is_ok());
        assert_eq!(log.reader().leader_epoch(), 0);
        // Not closed.
        drop(log);
    }
    // The first append makes the difference.
    drop(append_to(dir, 1));
    assert_eq!(open(dir).reader().leader_epoch(), 1);
}

/// Offsets that were lost are given out again in another epoch, wherever the file ends.
#[test]
fn a_lost_tail_ends_its_epoch_where_the_log_ends_now() {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, size) = three_batches(&dir.path().join("a"));
    let copy = dir.path().join("copy");
    for batches in 0..=3 {
        let mut torn = files.clone();
        torn.get_mut(OPEN_SEGMENT).unwrap().truncate(batches * size);
        restore(&copy, &torn);
        let end = i64::try_from(batches * 2).unwrap();
        let log = append_to(&copy, 1);
        let of = |epoch| {
            let found = log.reader().end_of_epoch(epoch);
            (found.epoch, found.end)
        };
        assert_eq!([of(0), of(1)], [(0, end), (1, end + 1)]);
    }
    // An epoch that was lost as a whole is not used again, and a mark of another end is no mark.
    files.insert(EPOCHS.to_owned(), b"0\n2\n0 0\n7 6\n".to_vec());
    files.insert(CLEAN_SHUTDOWN.to_owned(), b"5\n".to_vec());
    restore(&copy, &files);
    assert_eq!(epochs_of(&copy), (8, "0\n2\n0 0\n8 6\n".to_owned()));
}

/// The tail was lost up to where the log was closed before: no byte shows it, but the mark is gone.
#[test]
fn the_mark_of_a_clean_end_goes_before_the_first_append() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    append_to(&path, 3).close().unwrap();
    let closed = files_of(&path);
    assert_eq!(closed[CLEAN_SHUTDOWN], b"version=1\n3\n");
    drop(append_to(&path, 2));
    let mut lost = files_of(&path);
    lost.insert(OPEN_SEGMENT.to_owned(), closed[OPEN_SEGMENT].clone());
    let copy = dir.path().join("copy");
    restore(&copy, &lost);
    assert_eq!(epochs_of(&copy).0, 1);
    // A machine that dies keeps the mark for longer than the first append? It is gone before that is written.
    assert!(!lost.contains_key(CLEAN_SHUTDOWN));
}

/// A mark of another end stayed, and a log that grew to just there and was killed passed for one that was closed in order.
#[test]
fn a_mark_of_another_end_is_gone_before_the_log_grows_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut files, size) = three_batches(&dir.path().join("a"));
    files.get_mut(OPEN_SEGMENT).unwrap().truncate(2 * size);
    files.insert(CLEAN_SHUTDOWN.to_owned(), b"version=1\n6\n".to_vec());
    let copy = dir.path().join("copy");
    restore(&copy, &files);
    let log = append_to(&copy, 2);
    assert_eq!(log.reader().offsets().end, 6);
    drop(log);
    assert_eq!(epochs_of(&copy), (2, "0\n3\n0 0\n1 4\n2 6\n".to_owned()));
}

/// The epoch was shown before the disk had it: the second try found it and wrote none.
#[test]
fn the_first_epoch_is_on_disk_also_where_the_first_try_failed() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let in_the_way = dir.path().join(format!("{EPOCHS}.tmp"));
    std::fs::create_dir(&in_the_way).unwrap();
    let first = batch(&[NOW], 10, None);
    let refused = log.append(&first, NOW).unwrap_err();
    assert!(matches!(refused, LogError::Storage { .. }), "{refused}");
    std::fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(log.append(&first, NOW).unwrap().base_offset, 0);
    let checkpoint = std::fs::read_to_string(dir.path().join(EPOCHS)).unwrap();
    assert_eq!(checkpoint, "0\n1\n0 0\n");
}

#[test]
fn epochs_are_told_by_the_batches_where_the_checkpoint_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    for _ in 0..2 {
        drop(append_to(&path, 2));
    }
    append_to(&path, 2).close().unwrap();
    let good = files_of(&path);
    let copy = dir.path().join("copy");
    for checkpoint in [None, Some(&b""[..]), Some(b"0\n1\n"), Some(b"\xff")] {
        let mut damaged = good.clone();
        damaged.remove(EPOCHS);
        damaged.extend(checkpoint.map(|bytes| (EPOCHS.to_owned(), bytes.to_vec())));
        restore(&copy, &damaged);
        let log = open(&copy);
        let epochs = log.reader().view().epochs.encode();
        assert_eq!(epochs, "0\n3\n0 0\n1 2\n2 4\n", "{checkpoint:?}");
    }
}

#[test]
fn a_checkpoint_of_another_version_keeps_the_log_closed() {
    let dir = tempfile::tempdir().unwrap();
    append_to(dir.path(), 2).close().unwrap();
    std::fs::write(dir.path().join(EPOCHS), "1\n0\n").unwrap();
    let refused = PartitionLog::open(dir.path(), small(), NOW).unwrap_err();
    assert!(refused.to_string().contains(EPOCHS), "{refused}");
}

#[test]
fn epochs_before_the_log_start_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(append_to(dir, 2));
    let mut log = append_to(dir, 2);
    log.delete_records(1).unwrap();
    let end = log.reader().end_of_epoch(0);
    assert_eq!((end.epoch, end.end), (0, 2));
    log.delete_records(3).unwrap();
    let end = log.reader().end_of_epoch(0);
    assert_eq!(
        (end.epoch, end.end),
        (0, 3),
        "the first there is begins here"
    );
    log.close().unwrap();
    assert_eq!(epochs_of(dir), (1, "0\n1\n1 3\n".to_owned()));
}

/// The log start was written and its epochs were not, in a log that was closed in order before.
#[test]
fn epochs_before_a_log_start_are_forgotten_also_where_the_checkpoint_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    drop(append_to(dir, 2));
    append_to(dir, 2).close().unwrap();
    let before = std::fs::read_to_string(dir.join(EPOCHS)).unwrap();
    open(dir).delete_records(3).unwrap();
    std::fs::write(dir.join(EPOCHS), before).unwrap();
    let log = open(dir);
    let end = log.reader().end_of_epoch(0);
    assert_eq!((log.reader().leader_epoch(), end.epoch, end.end), (1, 0, 3));
}

/// Opening is refused for the version of that file, and changes nothing.
fn refused_for_version(dir: &Path, name: &str) {
    let before = files_of(dir);
    let refused = PartitionLog::open(dir, small(), NOW).unwrap_err();
    assert!(matches!(refused, LogError::Version { .. }), "{refused}");
    let refused = refused.to_string();
    assert!(refused.contains(name), "{refused}");
    assert!(
        refused.contains("start the callboard that wrote it"),
        "{refused}"
    );
    assert_eq!(files_of(dir), before);
}

#[test]
fn what_a_later_version_wrote_is_refused_and_not_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (files, size) = three_batches(&dir.path().join("a"));
    let copy = dir.path().join("copy");
    let mut later = files.clone();
    later.get_mut(OPEN_SEGMENT).unwrap()[size + 16] = 3;
    restore(&copy, &later);
    refused_for_version(&copy, OPEN_SEGMENT);

    let mut later = files.clone();
    later.insert(LOG_START.to_owned(), b"version=2\n1\n".to_vec());
    restore(&copy, &later);
    refused_for_version(&copy, LOG_START);

    restore(&copy, &files);
    open(&copy).close().unwrap();
    let mut later = files_of(&copy);
    let producers = later.get_mut(PRODUCERS).unwrap();
    producers[7] = 2;
    let body = producers.len() - 4;
    let crc = crc32c::crc32c(&producers[..body]).to_be_bytes();
    producers[body..].copy_from_slice(&crc);
    restore(&copy, &later);
    refused_for_version(&copy, PRODUCERS);
}
