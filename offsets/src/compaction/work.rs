//! One compaction, on a thread that may block: reads the durable log twice, once to find what is alive and once to copy
//! it. Nothing but live keys, then live offsets, then one chunk is held in memory.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use callboard_protocol::records::{DecompressLimit, Record as Stored};

use super::core::rewrite::{Filling, marks_chunk};
use super::core::survivors::{Live, Survivors};
use crate::batch::{self, BatchError};
use crate::log::{Chunk, End, LogError, OffsetsLog};

/// Bytes copied at once.
const READ_BYTES: usize = 256 * 1024;

/// Compacts `partition` up to `upto`, a durable end of it. Gives up with `Closed` once `cancelled`.
///
/// # Errors
/// What the log says, or that something in it is no batch of ours: then nothing is dropped.
pub(crate) fn compact(
    log: &dyn OffsetsLog,
    partition: u32,
    upto: End,
    cancelled: &AtomicBool,
) -> Result<(), LogError> {
    let Live { offsets, marks } = find(log, partition, upto, cancelled)?;
    let mut copy = Copy {
        log,
        partition,
        upto,
        cancelled,
        offsets,
        next: 0,
        found: VecDeque::new(),
        found_until: 0,
    };
    let mut marks = &marks[..];
    let mut chunks = std::iter::from_fn(|| {
        if cancelled.load(Ordering::Relaxed) {
            return Some(Err(LogError::Closed));
        }
        if let Some(chunk) = copy.chunk().transpose() {
            return Some(chunk);
        }
        match marks_chunk(marks, upto.offset) {
            Ok(Some((chunk, rest))) => {
                marks = rest;
                Some(Ok(chunk))
            }
            Ok(None) => None,
            Err(error) => Some(Err(damaged(upto, &BatchError::Marks(error)))),
        }
    });
    log.snapshot(partition, upto, &mut chunks)
}

fn find(
    log: &dyn OffsetsLog,
    partition: u32,
    upto: End,
    cancelled: &AtomicBool,
) -> Result<Live, LogError> {
    let mut survivors = Survivors::default();
    let mut stopped = None;
    log.scan(partition, 0..upto.position, &mut |stored| {
        if cancelled.load(Ordering::Relaxed) {
            stopped = Some(LogError::Closed);
            return ControlFlow::Break(());
        }
        match survivors.see(&stored.kafka, &stored.marks) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                stopped = Some(LogError::Corrupt {
                    position: stored.position,
                    reason: error.to_string(),
                });
                ControlFlow::Break(())
            }
        }
    })?;
    match stopped {
        Some(error) => Err(error),
        None => Ok(survivors.finish()),
    }
}

/// Copies the records at `offsets`, all of them.
struct Copy<'a> {
    log: &'a dyn OffsetsLog,
    partition: u32,
    upto: End,
    cancelled: &'a AtomicBool,
    offsets: Vec<i64>,
    /// The next of them that goes into a chunk.
    next: usize,
    /// Read, and not yet in a chunk.
    found: VecDeque<Stored>,
    /// The next of them that is not read.
    found_until: usize,
}

impl Copy<'_> {
    /// The next chunk, if there is one.
    fn chunk(&mut self) -> Result<Option<Chunk>, LogError> {
        let mut filling: Option<Filling> = None;
        while self.next < self.offsets.len() {
            if self.found.is_empty() {
                if self.cancelled.load(Ordering::Relaxed) {
                    return Err(LogError::Closed);
                }
                self.read()?;
            }
            let Some(record) = self.found.front() else {
                break;
            };
            match &mut filling {
                None => filling = Some(Filling::new(record)),
                Some(filling) if filling.takes(record) => filling.push(record),
                Some(_) => break,
            }
            self.found.pop_front();
            self.next += 1;
        }
        let chunk = filling.map(Filling::finish).transpose();
        chunk.map_err(|error| damaged(self.upto, &error.into()))
    }

    /// Reads the next records, at least one.
    fn read(&mut self) -> Result<(), LogError> {
        let Some(&wanted) = self.offsets.get(self.found_until) else {
            return Ok(());
        };
        let fetched = self.log.read(self.partition, wanted, READ_BYTES)?;
        for kafka in fetched.batches {
            self.pick(&kafka)
                .map_err(|error| damaged(self.upto, &error))?;
        }
        if self.found.is_empty() {
            return Err(self.gone(wanted));
        }
        Ok(())
    }

    fn pick(&mut self, kafka: &bytes::Bytes) -> Result<(), BatchError> {
        // Nothing is compressed, so nothing grows.
        for record in batch::open(kafka)?.records(DecompressLimit::new(0))? {
            let record = record?;
            match self.offsets.get(self.found_until) {
                None => break,
                Some(&wanted) if record.offset < wanted => {}
                Some(&wanted) if record.offset > wanted => {
                    return Err(BatchError::Foreign("a record has gone from it"));
                }
                Some(_) => {
                    self.found.push_back(record);
                    self.found_until += 1;
                }
            }
        }
        Ok(())
    }

    fn gone(&self, offset: i64) -> LogError {
        LogError::Corrupt {
            position: self.upto.position,
            reason: format!("the record at offset {offset} does not read back"),
        }
    }
}

fn damaged(upto: End, error: &BatchError) -> LogError {
    LogError::Corrupt {
        position: upto.position,
        reason: error.to_string(),
    }
}
