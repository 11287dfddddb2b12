//! An engine without its thread: the test decides what waits and when a round runs, so every run is the same.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;

use super::disk::Disk;
use crate::journal::engine::Engine;
use crate::journal::operation::Operation;
use crate::journal::queue::give_all;
use crate::journal::{JournalConfig, OpenError, open, reader};
use crate::log::{Batch, BatchId, End, Lease, LogError, Opened, Position, Resolution, StoredBatch};

/// Small segments and no reserve: whatever needs a segment makes it at once.
pub(crate) fn config(partitions: u32) -> JournalConfig {
    let mut config = JournalConfig::new("unused");
    config.partitions = partitions;
    config.segment_bytes = 16 * 1024;
    config.reserve_segments = 0;
    config
}

pub(crate) type Landed = Receiver<Result<Position, LogError>>;

/// See the module.
pub(crate) struct Desk {
    pub(crate) engine: Engine,
    waiting: VecDeque<Operation>,
    leases: BTreeMap<u32, (Lease, End)>,
    next_id: u128,
}

impl Desk {
    pub(crate) fn open(disk: &Disk, config: &JournalConfig) -> Result<Self, OpenError> {
        // Salts of one process are all different; those of two processes too.
        let mut salt = disk.syncs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let salts = Box::new(move || {
            salt = salt.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            salt
        });
        Ok(Self {
            engine: open::open(&disk.storage(), config, salts)?,
            waiting: VecDeque::new(),
            leases: BTreeMap::new(),
            next_id: 1,
        })
    }

    /// One round over what waits.
    pub(crate) fn round(&mut self) {
        let mut answers = Vec::new();
        self.engine.round(&mut self.waiting, &mut answers);
        give_all(&mut answers, &self.engine.state().clone());
    }

    /// Rounds until nothing waits.
    pub(crate) fn settle(&mut self) {
        while !self.waiting.is_empty() {
            self.round();
        }
    }

    pub(crate) fn take(&mut self, partition: u32) -> Result<Opened, LogError> {
        let (sender, receiver) = channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        self.waiting.push_back(Operation::Open(partition, done));
        self.settle();
        let opened = receiver.try_recv().unwrap();
        if let Ok(Opened { lease, end }) = opened {
            self.leases.insert(partition, (lease, end));
        }
        opened
    }

    /// Queues an append of one record behind those queued before, under the newest lease.
    pub(crate) fn queue(&mut self, partition: u32, payload: impl Into<Bytes>) -> Landed {
        let (lease, end) = self.leases[&partition];
        let batch = batch(self.next_id, end, payload);
        self.next_id += 1;
        self.leases.insert(partition, (lease, batch.end_after()));
        self.queue_batch(lease, batch)
    }

    pub(crate) fn queue_batch(&mut self, lease: Lease, batch: Batch) -> Landed {
        let (sender, receiver) = channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        self.waiting
            .push_back(Operation::Append(lease, batch, done));
        receiver
    }

    /// Appends in a round of its own.
    pub(crate) fn append(
        &mut self,
        partition: u32,
        payload: impl Into<Bytes>,
    ) -> Result<Position, LogError> {
        let landed = self.queue(partition, payload);
        self.settle();
        landed.try_recv().unwrap()
    }

    pub(crate) fn resolve(
        &mut self,
        lease: Lease,
        position: Position,
        id: u128,
    ) -> Result<Resolution, LogError> {
        let (sender, receiver) = channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        let operation = Operation::Resolve(lease, position, BatchId(id), done);
        self.waiting.push_back(operation);
        self.settle();
        receiver.try_recv().unwrap()
    }

    /// Payloads a partition holds, and the error that ended them.
    pub(crate) fn payloads(&self, partition: u32) -> (Vec<Bytes>, Option<LogError>) {
        let mut payloads = Vec::new();
        let mut visit = |batch: StoredBatch| {
            assert_eq!(batch.position, payloads.len() as u64);
            payloads.push(batch.kafka);
            ControlFlow::Continue(())
        };
        let result = reader::scan(self.engine.state(), partition, 0..u64::MAX, &mut visit);
        (payloads, result.err())
    }

    /// Partitions that refuse, and where.
    pub(crate) fn corrupt(&self) -> Vec<(u32, Position)> {
        let state = self.engine.state();
        let corrupt = |number| Some((number, state.partition(number)?.corrupt()?.position));
        (0..state.partition_count()).filter_map(corrupt).collect()
    }
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
