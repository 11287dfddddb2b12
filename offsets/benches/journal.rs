//! The journal: durable appends by writers that each wait for their answer; one round of fifty partitions against fifty
//! files that are flushed one by one; and reading a log back.
//!
//! The directories are made where temporary files go (`TMPDIR`). On a file system in memory a flush costs nothing and
//! the figures say nothing.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::sync::mpsc::channel;

use bytes::Bytes;
use callboard_offsets::journal::{Journal, JournalConfig};
use callboard_offsets::log::{Batch, BatchId, End, OffsetsLog, Opened};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tokio::time::Instant;

const PARTITIONS: u32 = 50;
const PAYLOAD_BYTES: usize = 1024;

fn batch(expected: End) -> Batch {
    Batch {
        id: BatchId(expected.position.into()),
        expected,
        records: 1,
        marks: Bytes::new(),
        kafka: Bytes::from_static(&[7; PAYLOAD_BYTES]),
    }
}

fn open(journal: &Journal, partition: u32) -> Opened {
    let (sender, receiver) = channel();
    journal.open(
        partition,
        Box::new(move |result| sender.send(result).expect("the receiver waits")),
    );
    receiver.recv().expect("an answer").expect("opened")
}

fn journal() -> (TempDir, Journal) {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&JournalConfig::new(dir.path())).expect("a journal");
    (dir, journal)
}

/// Appends `count` batches one after the other, each when the one before it is durable.
fn write(journal: &Journal, opened: &mut Opened, count: u64) {
    let (sender, receiver) = channel();
    for _ in 0..count {
        let batch = batch(opened.end);
        opened.end = batch.end_after();
        let sender = sender.clone();
        let done = Box::new(move |result: Result<_, _>| {
            sender.send(result).expect("the receiver waits");
        });
        journal.append(opened.lease, batch, done);
        receiver.recv().expect("an answer").expect("landed");
    }
}

/// One iteration: every writer appends once.
fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("durable append of 1 KiB by each writer");
    for writers in [1, 10, 50] {
        group.throughput(Throughput::Elements(writers.into()));
        group.bench_function(BenchmarkId::new("writers", writers), |bencher| {
            let (_dir, journal) = journal();
            let mut opened: Vec<_> = (0..writers)
                .map(|partition| open(&journal, partition))
                .collect();
            bencher.iter_custom(|iterations| {
                let started = Instant::now();
                std::thread::scope(|scope| {
                    for opened in &mut opened {
                        scope.spawn(|| write(&journal, opened, iterations));
                    }
                });
                started.elapsed()
            });
        });
    }
    group.finish();
}

fn rounds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("1 KiB durable in each of 50 partitions");
    group.throughput(Throughput::Elements(u64::from(PARTITIONS)));
    group.bench_function("journal", |bencher| {
        let (_dir, journal) = journal();
        let mut leases: Vec<_> = (0..PARTITIONS)
            .map(|partition| open(&journal, partition))
            .collect();
        let (sender, receiver) = channel();
        bencher.iter(|| {
            for opened in &mut leases {
                let batch = batch(opened.end);
                opened.end = batch.end_after();
                let sender = sender.clone();
                let done = Box::new(move |result: Result<_, _>| {
                    sender.send(result).expect("the receiver waits")
                });
                journal.append(opened.lease, batch, done);
            }
            for _ in 0..PARTITIONS {
                receiver.recv().expect("an answer").expect("landed");
            }
        });
    });
    group.bench_function("50 files", |bencher| {
        let dir = tempfile::tempdir().expect("a directory");
        let file = |partition| {
            let path = dir.path().join(format!("{partition}.log"));
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .expect("a file")
        };
        let mut files: Vec<File> = (0..PARTITIONS).map(file).collect();
        bencher.iter(|| {
            for file in &mut files {
                file.write_all(&[7; PAYLOAD_BYTES]).expect("written");
                file.sync_data().expect("flushed");
            }
        });
    });
    group.finish();
}

fn recovery(criterion: &mut Criterion) {
    const BATCHES: u64 = 64 * 1024;
    let mut group = criterion.benchmark_group("read a log back");
    group.throughput(Throughput::Bytes(BATCHES * PAYLOAD_BYTES as u64));
    group.sample_size(10);
    group.bench_function("64 MiB in frames of 1 KiB", |bencher| {
        let (dir, journal) = journal();
        let opened = open(&journal, 0);
        let (sender, receiver) = channel();
        let mut end = opened.end;
        for _ in 0..BATCHES {
            let batch = batch(end);
            end = batch.end_after();
            let sender = sender.clone();
            let done = Box::new(move |result: Result<_, _>| {
                sender.send(result).expect("the receiver waits")
            });
            journal.append(opened.lease, batch, done);
            if end.position.is_multiple_of(1024) {
                (0..1024).for_each(|_| {
                    receiver.recv().expect("an answer").expect("landed");
                });
            }
        }
        drop(journal);
        bencher.iter(|| {
            let journal = Journal::open(&JournalConfig::new(dir.path())).expect("a journal");
            black_box(journal.offsets(0))
        });
    });
    group.finish();
}

criterion_group!(benches, appends, rounds, recovery);
criterion_main!(benches);
