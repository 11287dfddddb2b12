//! The compactor beside the writers, over the journal in a directory: however much is committed over few live entries, the
//! files stay few and small, and a start reads little.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use callboard_offsets::WallClock;
use callboard_offsets::compaction::{self, CompactionConfig};
use callboard_offsets::index::Index;
use callboard_offsets::journal::{Journal, JournalConfig};
use callboard_offsets::log::OffsetsLog;
use callboard_offsets::memory::MemoryLog;
use callboard_offsets::record::Record;
use callboard_offsets::writer::Writer;
use callboard_supervision::testing::Stage;
use callboard_supervision::{Supervisor, SupervisorMsg};
use tokio::sync::oneshot;

const PARTITIONS: u32 = 3;
const SEGMENT_BYTES: u64 = 128 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);
const CONFIG: CompactionConfig = CompactionConfig {
    enabled: true,
    check_interval: Duration::from_millis(1),
    min_dirty_ratio: 0.5,
    min_bytes: 64 * 1024,
    pinned_bytes: 2 * SEGMENT_BYTES,
};

fn journal(dir: &Path) -> Arc<Journal> {
    let mut config = JournalConfig::new(dir);
    config.partitions = PARTITIONS;
    config.segment_bytes = SEGMENT_BYTES;
    Arc::new(Journal::open(&config).unwrap())
}

/// A compactor under a supervisor of its own.
async fn compactor(stage: &Stage, log: Arc<dyn OffsetsLog>, config: CompactionConfig) {
    let (supervisor, _join) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .unwrap();
    let child = compaction::child(log, PARTITIONS, config);
    let started = supervisor.call(|reply| SupervisorMsg::Start(child, reply), PATIENCE);
    started.await.unwrap().unwrap();
}

async fn start(stage: &Stage, log: Arc<dyn OffsetsLog>, partition: u32) -> (Writer, Index) {
    let (writer, loaded) = common::writer(stage, log, partition, WallClock::system()).await;
    (writer, loaded.unwrap())
}

/// Commits the same offset for every partition of a topic, and waits.
async fn commit(writer: &Writer, entries: i32, offset: i64) {
    let record = |partition| Record::OffsetCommit {
        group: "g".into(),
        topic: "t".into(),
        partition,
        value: Some(common::committed(offset)),
    };
    let (done, answer) = oneshot::channel();
    let records = (0..entries).map(record).collect();
    writer.append("g".into(), records, |outcome| {
        let _ = done.send(outcome);
    });
    assert_eq!(answer.await, Ok(Ok(())));
}

/// Files of the journal, and their bytes.
fn on_disk(dir: &Path) -> (usize, u64) {
    let files = std::fs::read_dir(dir).unwrap();
    // One that is listed may be gone by now.
    let sizes: Vec<u64> = files
        .filter_map(|file| Some(file.unwrap().metadata().ok()?.len()))
        .collect();
    (sizes.len(), sizes.iter().sum())
}

/// Kafka bytes that a start has to read.
fn to_replay(log: &dyn OffsetsLog, partition: u32) -> usize {
    let mut bytes = 0;
    log.scan(partition, 0..u64::MAX, &mut |stored| {
        bytes += stored.kafka.len();
        ControlFlow::Continue(())
    })
    .unwrap();
    bytes
}

#[tokio::test]
async fn a_quarter_of_a_million_commits_over_few_entries_leave_few_bytes() {
    const ENTRIES: i32 = 250;
    const COMMITS: i64 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::new().await;
    let log = journal(dir.path());
    compactor(&stage, Arc::clone(&log) as _, CONFIG).await;
    let mut writers = Vec::new();
    for partition in 0..PARTITIONS {
        let (writer, index) = start(&stage, Arc::clone(&log) as _, partition).await;
        assert!(index.is_empty());
        // The others have little and pin it.
        commit(&writer, 3, 1).await;
        writers.push(writer);
    }
    for offset in 0..COMMITS {
        commit(&writers[0], ENTRIES, offset).await;
        if offset % 100 == 99 {
            // It runs beside the commits, and here it has the time it needs.
            let worth = |partition| {
                let backlog = log.backlog(partition).unwrap();
                backlog.log_bytes > CONFIG.min_bytes || backlog.pinned_bytes > CONFIG.pinned_bytes
            };
            while (0..PARTITIONS).any(worth) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // Segments: in use, in reserve and free; the lock, the start, the snapshots.
            let (files, bytes) = on_disk(dir.path());
            assert!(files <= 20, "{files} files after {offset}");
            assert!(bytes <= 12 * SEGMENT_BYTES, "{bytes} bytes after {offset}");
        }
    }
    stage.finish().await;
    log.close().unwrap();
    drop(writers);
    drop(log);
    let log = journal(dir.path());
    let stage = Stage::new().await;
    for partition in 0..PARTITIONS {
        let (_writer, index) = start(&stage, Arc::clone(&log) as _, partition).await;
        let (entries, last) = match partition {
            0 => (ENTRIES, COMMITS - 1),
            _ => (3, 1),
        };
        assert_eq!(index.len(), entries as usize);
        for entry in 0..entries {
            let value = index.committed("g", "t", entry).unwrap();
            assert_eq!(value.offset, last);
        }
        let read = to_replay(&*log, partition);
        assert!(read < 150 * 1024, "{read} bytes to start");
        assert_eq!(log.offsets(partition).unwrap().start, 0);
    }
    stage.finish().await;
    log.close().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_tried_again_and_stops_no_commit() {
    let stage = Stage::new().await;
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    let config = CompactionConfig {
        check_interval: Duration::from_secs(10),
        min_bytes: 1000,
        ..CONFIG
    };
    compactor(&stage, Arc::clone(&log) as _, config).await;
    let (writer, _) = start(&stage, Arc::clone(&log) as _, 0).await;
    for offset in 0..20 {
        commit(&writer, 10, offset).await;
    }
    let compacted = || log.backlog(0).unwrap().snapshot_bytes > 0;
    log.set_full(true);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(!compacted(), "there is no room");
    log.set_full(false);
    commit(&writer, 10, 20).await;
    assert!(!compacted());
    // It was tried at 10 s and is again at 20 s.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(compacted());
    let (done, index) = oneshot::channel();
    writer.read_all(|index| {
        let _ = done.send(index.clone());
    });
    let index = index.await.unwrap();
    stage.finish().await;
    let stage = Stage::new().await;
    let (_writer, again) = start(&stage, Arc::clone(&log) as _, 0).await;
    assert_eq!(again, index);
    stage.finish().await;
}
