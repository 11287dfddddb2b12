//! What compaction costs and saves: a million commits over ten thousand live entries, with it and without it; then how
//! long a start takes and what lies on the disk. One run of each: read the ratios.
//!
//! `cargo bench -p callboard-offsets --bench compaction`
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use callboard_offsets::WallClock;
use callboard_offsets::compaction::{self, CompactionConfig};
use callboard_offsets::journal::{Journal, JournalConfig};
use callboard_offsets::log::OffsetsLog;
use callboard_offsets::record::{OffsetCommitValue, Record};
use callboard_offsets::writer::{Writer, WriterArgs};
use callboard_supervision::testing::Stage;
use callboard_supervision::{Supervisor, SupervisorMsg};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

const PARTITIONS: u32 = 10;
const COMMITS: u32 = 1_000_000;
const ENTRIES: u32 = 10_000;
const IN_FLIGHT: u32 = 1000;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    // Told so by `cargo bench`, and not by `cargo test`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (with, without) = runtime.block_on(async { (run(true).await, run(false).await) });
    let ratio = |one: f64, other: f64| one / other;
    println!(
        "commits/s with : without  {:.2}",
        ratio(with.commits_per_s, without.commits_per_s)
    );
    println!(
        "start without : with      {:.1}",
        ratio(without.start_s, with.start_s)
    );
    println!(
        "bytes without : with      {:.1}",
        ratio(without.mib, with.mib)
    );
}

struct Run {
    commits_per_s: f64,
    start_s: f64,
    mib: f64,
}

async fn run(compacted: bool) -> Run {
    let dir = tempfile::tempdir().expect("a directory");
    let stage = Stage::new().await;
    let (log, writers) = start(&stage, dir.path()).await;
    let config = CompactionConfig {
        // All the time, or as good as.
        check_interval: Duration::from_millis(100),
        ..CompactionConfig::default()
    };
    if compacted {
        compactor(&stage, &log, config).await;
    }
    let started = Instant::now();
    let permits = Arc::new(Semaphore::new(IN_FLIGHT as usize));
    for number in 0..COMMITS {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("open");
        let entry = number % ENTRIES;
        let writer = &writers[(entry % PARTITIONS) as usize];
        writer.append(
            "group".into(),
            vec![commit(entry, number)],
            move |outcome| {
                outcome.expect("committed");
                drop(permit);
            },
        );
    }
    drop(permits.acquire_many(IN_FLIGHT).await.expect("open"));
    let commits_per_s = f64::from(COMMITS) / started.elapsed().as_secs_f64();
    let worth = |partition| {
        let backlog = log.backlog(partition).expect("whole");
        backlog.log_bytes > config.min_bytes && backlog.log_bytes > backlog.snapshot_bytes
    };
    while compacted && (0..PARTITIONS).any(worth) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stage.finish().await;
    let mib = log.health().log_bytes as f64 / f64::from(1 << 20);
    log.close().expect("closed");
    drop((writers, log));

    let stage = Stage::new().await;
    let started = Instant::now();
    let (log, writers) = start(&stage, dir.path()).await;
    let start_s = started.elapsed().as_secs_f64();
    stage.finish().await;
    drop((writers, log));
    let name = if compacted {
        "compacted"
    } else {
        "not compacted"
    };
    println!("{name}: {commits_per_s:.0} commits/s, {mib:.0} MiB, started in {start_s:.3} s");
    Run {
        commits_per_s,
        start_s,
        mib,
    }
}

/// Opens the journal and loads every partition.
async fn start(stage: &Stage, dir: &Path) -> (Arc<Journal>, Vec<Writer>) {
    let mut config = JournalConfig::new(dir);
    config.partitions = PARTITIONS;
    let log = Arc::new(Journal::open(&config).expect("a journal"));
    let (mut writers, mut loading) = (Vec::new(), Vec::new());
    for partition in 0..PARTITIONS {
        let (loaded, wait) = oneshot::channel();
        let args = WriterArgs {
            partition,
            log: Arc::clone(&log) as _,
            clock: WallClock::system(),
            loaded: Box::new(|index| {
                let _ = loaded.send(index.is_ok());
            }),
        };
        writers.push(
            Writer::spawn_linked(args, stage.cell())
                .await
                .expect("started"),
        );
        loading.push(wait);
    }
    for wait in loading {
        assert!(wait.await.expect("an answer"), "loaded");
    }
    (log, writers)
}

async fn compactor(stage: &Stage, log: &Arc<Journal>, config: CompactionConfig) {
    let (supervisor, _join) = Supervisor::spawn_linked("supervisor", stage.cell())
        .await
        .expect("started");
    let child = compaction::child(Arc::clone(log) as _, PARTITIONS, config);
    let started = supervisor.call(|reply| SupervisorMsg::Start(child, reply), PATIENCE);
    started.await.expect("an answer").expect("started");
}

fn commit(entry: u32, offset: u32) -> Record {
    Record::OffsetCommit {
        group: "group".into(),
        topic: "topic".into(),
        partition: entry.cast_signed(),
        value: Some(OffsetCommitValue {
            offset: offset.into(),
            leader_epoch: -1,
            metadata: "".into(),
            commit_timestamp_ms: 1_700_000_000_000,
            expire_timestamp_ms: None,
            topic_id: [0; 16],
        }),
    }
}
