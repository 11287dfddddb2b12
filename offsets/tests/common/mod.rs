//! An engine's asynchronous calls, waited for; a writer that has loaded, and what it is given.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::mpsc::channel;

use bytes::Bytes;
use callboard_offsets::WallClock;
use callboard_offsets::index::Index;
use callboard_offsets::log::{
    Batch, BatchId, End, Lease, LogError, OffsetsLog, Opened, Position, Resolution, StoredBatch,
};
use callboard_offsets::record::OffsetCommitValue;
use callboard_offsets::writer::{Writer, WriterArgs};
use callboard_supervision::testing::Stage;
use tokio::sync::oneshot;

/// A writer on a stage, with what it has loaded.
pub(crate) async fn writer(
    stage: &Stage,
    log: Arc<dyn OffsetsLog>,
    partition: u32,
    clock: WallClock,
) -> (Writer, Result<Index, LogError>) {
    let (loaded, wait) = oneshot::channel();
    let args = WriterArgs {
        partition,
        log,
        clock,
        loaded: Box::new(|result| {
            loaded.send(result.cloned().map_err(Clone::clone)).unwrap();
        }),
    };
    let writer = Writer::spawn_linked(args, stage.cell()).await.unwrap();
    (writer, wait.await.unwrap())
}

/// A commit of `offset` and nothing else.
pub(crate) fn committed(offset: i64) -> OffsetCommitValue {
    OffsetCommitValue {
        offset,
        leader_epoch: -1,
        metadata: "".into(),
        commit_timestamp_ms: 5,
        expire_timestamp_ms: None,
        topic_id: [0; 16],
    }
}

pub(crate) fn open(log: &dyn OffsetsLog, partition: u32) -> Result<Opened, LogError> {
    let (sender, receiver) = channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    log.open(partition, done);
    receiver.recv().unwrap()
}

pub(crate) fn append(
    log: &dyn OffsetsLog,
    lease: Lease,
    batch: Batch,
) -> Result<Position, LogError> {
    let (sender, receiver) = channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    log.append(lease, batch, done);
    receiver.recv().unwrap()
}

/// Appends one batch each and gives the end behind them.
pub(crate) fn land(log: &dyn OffsetsLog, opened: Opened, payloads: &[&'static str]) -> End {
    let mut end = opened.end;
    for payload in payloads {
        let batch = batch(u128::from(end.position), end, *payload);
        end = batch.end_after();
        append(log, opened.lease, batch).unwrap();
    }
    end
}

pub(crate) fn resolve(
    log: &dyn OffsetsLog,
    lease: Lease,
    position: Position,
    id: u128,
) -> Result<Resolution, LogError> {
    let (sender, receiver) = channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    log.resolve(lease, position, BatchId(id), done);
    receiver.recv().unwrap()
}

pub(crate) fn scan(
    log: &dyn OffsetsLog,
    partition: u32,
    range: Range<Position>,
) -> Result<Vec<StoredBatch>, LogError> {
    let mut batches = Vec::new();
    log.scan(partition, range, &mut |batch| {
        batches.push(batch);
        ControlFlow::Continue(())
    })?;
    Ok(batches)
}

/// Payloads of a whole partition.
pub(crate) fn payloads(log: &dyn OffsetsLog, partition: u32) -> Vec<Bytes> {
    let batches = scan(log, partition, 0..u64::MAX).unwrap();
    batches.into_iter().map(|batch| batch.kafka).collect()
}

/// A batch of one record.
pub(crate) fn batch(id: u128, expected: End, payload: impl Into<Bytes>) -> Batch {
    Batch {
        id: BatchId(id),
        expected,
        records: 1,
        marks: Bytes::new(),
        kafka: payload.into(),
    }
}
