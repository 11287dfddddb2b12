//! The journal in a real directory: starts and ends of processes, the lock, the files it leaves.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use callboard_offsets::journal::{Journal, JournalConfig, OpenError};
use callboard_offsets::log::{Durability, LogError, OffsetsLog};
use callboard_supervision::testing::Limit;
use common::{append, batch, land, open, payloads};
use tempfile::TempDir;

fn config(dir: &TempDir) -> JournalConfig {
    let mut config = JournalConfig::new(dir.path().join("offsets"));
    config.segment_bytes = 64 * 1024;
    config
}

fn files(config: &JournalConfig) -> BTreeSet<String> {
    let entries = std::fs::read_dir(&config.dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn what_was_appended_is_there_after_every_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir);
    let mut expected: Vec<Bytes> = Vec::new();
    let mut last_epoch = None;
    for start in 0..30_u32 {
        let journal = Journal::open(&config).unwrap();
        assert_eq!(payloads(&journal, 7), expected);
        let opened = open(&journal, 7).unwrap();
        assert!(
            Some(opened.lease.epoch) > last_epoch,
            "epochs rise over restarts"
        );
        last_epoch = Some(opened.lease.epoch);
        let mut end = opened.end;
        assert_eq!(end.position, expected.len() as u64);
        for number in 0..3 {
            let payload = Bytes::from(format!("{start} {number} ").repeat(300));
            let batch = batch(1, end, payload.clone());
            end = batch.end_after();
            append(&journal, opened.lease, batch).unwrap();
            expected.push(payload);
        }
        if start % 2 == 0 {
            journal.close().unwrap();
        }
    }
    let journal = Journal::open(&config).unwrap();
    assert_eq!(journal.offsets(7), Some(0..90));
    assert!(
        files(&config)
            .iter()
            .filter(|name| name.ends_with(".segment"))
            .count()
            >= 3
    );
    assert!(journal.health().log_bytes >= 3 * 64 * 1024);
}

#[test]
fn segments_are_whole_files_with_their_blocks_taken() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir);
    let journal = Journal::open(&config).unwrap();
    // Closing waits for the segment that is being made.
    journal.close().unwrap();
    for name in files(&config) {
        if name != "lock" {
            let metadata = std::fs::metadata(config.dir.join(&name)).unwrap();
            assert_eq!(metadata.len(), 64 * 1024, "{name}");
            let blocks = std::os::unix::fs::MetadataExt::blocks(&metadata);
            assert!(blocks * 512 >= 64 * 1024, "{name} has {blocks} blocks");
        }
    }
}

#[test]
fn a_second_journal_on_the_directory_is_refused_with_the_pid() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir);
    let journal = Arc::new(Journal::open(&config).unwrap());
    let error = Journal::open(&config).unwrap_err();
    assert!(
        matches!(&error, OpenError::InUse { pid, .. } if *pid == Some(std::process::id())),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .ends_with(&format!("is in use by process {}", std::process::id()))
    );
    // Closed is enough; it need not be dropped.
    journal.close().unwrap();
    drop(Journal::open(&config).unwrap());
    drop(Journal::open(&config).unwrap());
}

const CHILD: &str = "CALLBOARD_TEST_JOURNAL_DIR";

/// Not a test of its own: the other process of the next test. Without the variable it has nothing to do.
#[test]
fn child_holds_a_directory() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let mut config = JournalConfig::new(dir);
    config.segment_bytes = 64 * 1024;
    let journal = Journal::open(&config).unwrap();
    let opened = open(&journal, 0).unwrap();
    land(&journal, opened, &["from the child"]);
    println!("held");
    std::io::stdout().flush().unwrap();
    // Until it is killed, or its parent is gone.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn another_process_is_named_and_when_it_is_killed_its_appends_are_there() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let config = config(&dir);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_holds_a_directory", "--nocapture"])
        .env(CHILD, &config.dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let held = lines.map(Result::unwrap).any(|line| line.ends_with("held"));
    assert!(held, "the child ended early");
    let error = Journal::open(&config).unwrap_err();
    assert!(
        matches!(error, OpenError::InUse { pid, .. } if pid == Some(child.id())),
        "{error}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    let journal = Journal::open(&config).unwrap();
    assert_eq!(payloads(&journal, 0), ["from the child"]);
}

#[test]
fn without_flushes_it_says_so_and_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir);
    config.durability = Durability::LocalMemory;
    let journal = Journal::open(&config).unwrap();
    assert_eq!(journal.capabilities().durability, Durability::LocalMemory);
    let opened = open(&journal, 0).unwrap();
    land(&journal, opened, &["a", "b"]);
    assert!(journal.health().sync_p99.is_zero());
    drop(journal);
    assert_eq!(payloads(&Journal::open(&config).unwrap(), 0), ["a", "b"]);
}

#[test]
fn a_directory_that_cannot_be_used_is_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Journal::open(&JournalConfig::new(&file))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot create the directory: "),
        "{error}"
    );
    let mut config = config(&dir);
    config.partitions = 0;
    assert!(matches!(
        Journal::open(&config),
        Err(OpenError::Config {
            key: "partitions",
            ..
        })
    ));
    assert!(
        !config.dir.exists(),
        "a wrong configuration touches nothing"
    );
}

#[test]
fn a_closed_journal_answers_closed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(&config(&dir)).unwrap();
    let opened = open(&journal, 0).unwrap();
    journal.close().unwrap();
    assert_eq!(
        append(&journal, opened.lease, batch(1, opened.end, "x")),
        Err(LogError::Closed)
    );
    assert_eq!(open(&journal, 0), Err(LogError::Closed));
    let scanned = journal.scan(0, 0..1, &mut |_| std::ops::ControlFlow::Continue(()));
    assert_eq!(scanned, Err(LogError::Closed));
}

#[test]
fn a_long_log_is_read_through_few_open_files() {
    // More segments than are kept open at a time.
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&dir);
    config.segment_bytes = 16 * 1024;
    let journal = Journal::open(&config).unwrap();
    let opened = open(&journal, 0).unwrap();
    let mut end = opened.end;
    for number in 0..50_u8 {
        let batch = batch(1, end, vec![number; 7000]);
        end = batch.end_after();
        append(&journal, opened.lease, batch).unwrap();
    }
    for _ in 0..2 {
        for (number, payload) in (0_u8..).zip(payloads(&journal, 0)) {
            assert_eq!(payload, vec![number; 7000]);
        }
    }
    let fetched = journal.read(0, 10, 20_000).unwrap();
    assert_eq!(fetched.batches, [vec![10; 7000], vec![11; 7000]]);
    assert_eq!(fetched.offsets, 0..50);
}
