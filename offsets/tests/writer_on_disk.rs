//! The writer over the journal in a directory: what was answered is there when the process starts again.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod common;

use std::path::Path;
use std::sync::Arc;

use callboard_offsets::WallClock;
use callboard_offsets::index::Index;
use callboard_offsets::journal::{Journal, JournalConfig};
use callboard_offsets::record::Record;
use callboard_offsets::writer::Writer;
use callboard_supervision::testing::Stage;
use tokio::sync::oneshot;

const PARTITIONS: u32 = 3;

fn journal(dir: &Path) -> Arc<Journal> {
    let mut config = JournalConfig::new(dir);
    config.partitions = PARTITIONS;
    // Small enough for every round to cross several.
    config.segment_bytes = 32 * 1024;
    Arc::new(Journal::open(&config).unwrap())
}

async fn start(stage: &Stage, log: &Arc<Journal>, partition: u32) -> (Writer, Index) {
    let clock = WallClock::system();
    let (writer, loaded) = common::writer(stage, Arc::clone(log) as _, partition, clock).await;
    (writer, loaded.unwrap())
}

fn commit(partition: i32, offset: i64) -> Vec<Record> {
    let commit = Record::OffsetCommit {
        group: "g".into(),
        topic: "t".into(),
        partition,
        value: Some(common::committed(offset)),
    };
    let mark = Record::GenerationMark {
        group: "g".into(),
        generation: offset as i32,
    };
    vec![commit, mark]
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = vec![Index::default(); PARTITIONS as usize];
    for round in 0..4 {
        let stage = Stage::new().await;
        let log = journal(dir.path());
        let mut answers = Vec::new();
        let mut writers = Vec::new();
        for partition in 0..PARTITIONS {
            let (writer, index) = start(&stage, &log, partition).await;
            assert_eq!(index, expected[partition as usize], "round {round}");
            for at in 0..200 {
                let (done, answer) = oneshot::channel();
                let records = commit(at % 7, i64::from(round * 1000 + at));
                writer.append("g".into(), records, |outcome| done.send(outcome).unwrap());
                answers.push(answer);
            }
            writers.push(writer);
        }
        for answer in answers {
            assert_eq!(answer.await, Ok(Ok(())));
        }
        for (writer, expected) in writers.iter().zip(&mut expected) {
            let (done, index) = oneshot::channel();
            writer.read_all(|index| done.send(index.clone()).unwrap());
            *expected = index.await.unwrap();
            assert_eq!(expected.len(), 7);
        }
        stage.finish().await;
        log.close().unwrap();
    }
}
