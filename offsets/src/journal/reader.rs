//! Reads durable batches back. Any thread may; each frame's checksums are checked again, so a disk that forgets is
//! noticed before a client believes it.

use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;
use callboard_supervision::seldom;

use super::core::frame::{self, Header, Look};
use super::core::locator::{Located, Run};
use super::core::segment::SegmentUse;
use super::core::snapshot::{Placed, Snapshot, decode_chunk, snapshot_name};
use super::state::JournalState;
use super::storage::{self, OpenMode, StorageFile};
use crate::log::{BatchId, Chunk, Fetched, LogError, Position, StoredBatch, Visit};

/// Most bytes of one read from the disk, if more than one batch lies in it.
const READ_BYTES_MAX: usize = 256 * 1024;

type Prefix = (Vec<(Header, StoredBatch)>, Option<LogError>);

/// See [`OffsetsLog::scan`](crate::log::OffsetsLog::scan). A corrupt partition gives what lies before the damage, then
/// the error.
pub(crate) fn scan(
    state: &JournalState,
    partition: u32,
    mut range: Range<Position>,
    visit: &mut Visit<'_>,
) -> Result<(), LogError> {
    let _reading = state.reading();
    if range.is_empty() {
        return Ok(());
    }
    let snapshot = snapshot_of(state, partition)?;
    if let Some(snapshot) = snapshot.filter(|snapshot| range.start < snapshot.upto.position) {
        let position = snapshot.upto.position - 1;
        let mut reader = SnapshotReader::new(state, partition, &snapshot);
        for placed in &snapshot.chunks {
            let chunk = reader.chunk(placed)?;
            let batch = StoredBatch {
                position,
                base_offset: chunk.base_offset,
                marks: chunk.marks,
                kafka: chunk.kafka,
            };
            if visit(batch) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        range.start = snapshot.upto.position;
    }
    while !range.is_empty() {
        let Some(run) = next_run(state, partition, &range, READ_BYTES_MAX)? else {
            break;
        };
        let (batches, error) = read_run(state, partition, &run)?;
        for (_, batch) in batches {
            range.start = batch.position + 1;
            if visit(batch) == ControlFlow::Break(()) {
                return Ok(());
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
    }
    Ok(())
}

/// See [`OffsetsLog::read`](crate::log::OffsetsLog::read).
pub(crate) fn read(
    state: &JournalState,
    partition: u32,
    from_offset: i64,
    max_bytes: usize,
) -> Result<Fetched, LogError> {
    let _reading = state.reading();
    let locator = state
        .partition(partition)
        .ok_or(LogError::NoSuchPartition { partition })?;
    let snapshot = locator.snapshot().cloned();
    let offsets = 0..locator.end().offset;
    let start = locator.holding(from_offset);
    let end = locator.end().position;
    if let Some(corruption) = locator.corrupt()
        && from_offset >= offsets.end
    {
        return Err(LogError::Corrupt {
            position: corruption.position,
            reason: corruption.reason.clone(),
        });
    }
    drop(locator);
    let mut batches: Vec<Bytes> = Vec::new();
    let mut bytes = 0;
    let mut next = start.unwrap_or(end);
    if let Some(snapshot) = snapshot.filter(|_| offsets.contains(&from_offset)) {
        // Chunks are in order.
        let behind = |placed: &Placed| placed.end_offset > from_offset;
        let first = snapshot.chunks.partition_point(|placed| !behind(placed));
        let mut reader = SnapshotReader::new(state, partition, &snapshot);
        for placed in &snapshot.chunks[first..] {
            let chunk = reader.chunk(placed)?;
            if chunk.kafka.is_empty() {
                continue;
            }
            if !batches.is_empty() && bytes + chunk.kafka.len() > max_bytes {
                return Ok(Fetched { batches, offsets });
            }
            bytes += chunk.kafka.len();
            batches.push(chunk.kafka);
        }
        if !batches.is_empty() && bytes >= max_bytes {
            return Ok(Fetched { batches, offsets });
        }
    }
    while next < end {
        let wanted = max_bytes.saturating_sub(bytes).min(READ_BYTES_MAX);
        let Some(run) = next_run(state, partition, &(next..end), wanted)? else {
            break;
        };
        let (read, error) = read_run(state, partition, &run)?;
        for (_, batch) in read {
            next = batch.position + 1;
            if batch.kafka.is_empty() {
                continue;
            }
            if !batches.is_empty() && bytes + batch.kafka.len() > max_bytes {
                return Ok(Fetched { batches, offsets });
            }
            bytes += batch.kafka.len();
            batches.push(batch.kafka);
        }
        match error {
            // Whoever asks for what follows gets the error.
            Some(_) if !batches.is_empty() => break,
            Some(error) => return Err(error),
            None if bytes >= max_bytes => break,
            None => {}
        }
    }
    Ok(Fetched { batches, offsets })
}

fn snapshot_of(state: &JournalState, partition: u32) -> Result<Option<Arc<Snapshot>>, LogError> {
    let locator = state
        .partition(partition)
        .ok_or(LogError::NoSuchPartition { partition })?;
    Ok(locator.snapshot().cloned())
}

/// A snapshot's file, opened when it is needed.
struct SnapshotReader<'a> {
    state: &'a JournalState,
    partition: u32,
    position: Position,
    file: Option<Arc<dyn StorageFile>>,
}

impl<'a> SnapshotReader<'a> {
    fn new(state: &'a JournalState, partition: u32, snapshot: &Snapshot) -> Self {
        Self {
            state,
            partition,
            position: snapshot.upto.position,
            file: None,
        }
    }

    fn chunk(&mut self, placed: &Placed) -> Result<Chunk, LogError> {
        let bytes = self.bytes(placed).map_err(|error| LogError::Read {
            reason: error.to_string(),
        })?;
        decode_chunk(&bytes).ok_or_else(|| {
            self.state.metrics.checksum_failures.increment(1);
            let (partition, position, at) = (self.partition, self.position, placed.at);
            seldom!(
                error,
                partition,
                position,
                at,
                "a snapshot of the offsets log does not read back"
            );
            LogError::Corrupt {
                position: 0,
                reason: "its snapshot does not read back".to_owned(),
            }
        })
    }

    fn bytes(&mut self, placed: &Placed) -> io::Result<Bytes> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let name = snapshot_name(self.partition, self.position);
                let storage = self.state.files.storage();
                let file = storage.open(&name, OpenMode::Existing)?;
                Arc::clone(self.file.insert(file))
            }
        };
        storage::read_piece(&*file, placed.at, placed.bytes as usize)
    }
}

/// Name of the append at a position, if there is one.
pub(crate) fn batch_id(
    state: &JournalState,
    partition: u32,
    position: Position,
) -> Result<Option<BatchId>, LogError> {
    let one = position..position.saturating_add(1);
    let Some(run) = next_run(state, partition, &one, 0)? else {
        return Ok(None);
    };
    match read_run(state, partition, &run)? {
        (_, Some(error)) => Err(error),
        (batches, None) => Ok(batches.first().map(|(header, _)| header.id)),
    }
}

fn next_run(
    state: &JournalState,
    partition: u32,
    range: &Range<Position>,
    bytes_max: usize,
) -> Result<Option<Run>, LogError> {
    let locator = state
        .partition(partition)
        .ok_or(LogError::NoSuchPartition { partition })?;
    if let Some(run) = locator.run(range.clone(), bytes_max) {
        return Ok(Some(run));
    }
    match locator.corrupt() {
        Some(corruption) if range.end > corruption.position => Err(LogError::Corrupt {
            position: corruption.position,
            reason: corruption.reason.clone(),
        }),
        _ => Ok(None),
    }
}

/// The batches of a run up to the first that is damaged, and the error about that.
fn read_run(state: &JournalState, partition: u32, run: &Run) -> Result<Prefix, LogError> {
    let failed = |error: std::io::Error| LogError::Read {
        reason: error.to_string(),
    };
    let (file, segment) = state.files.get(run.generation).map_err(failed)?;
    let mut bytes = vec![0; run.bytes];
    let filled = storage::read_up_to(&*file, &mut bytes, run.at).map_err(failed)?;
    bytes.truncate(filled);
    let bytes = Bytes::from(bytes);
    let mut batches = Vec::with_capacity(run.batches.len());
    for (position, located) in (run.first..).zip(&run.batches) {
        let start = (u64::from(located.at) - run.at) as usize;
        let frame = bytes.slice(start.min(filled)..);
        let Some(stored) = decode(partition, position, located, &frame, segment) else {
            state.metrics.checksum_failures.increment(1);
            let (segment, at) = (located.generation, located.at);
            seldom!(
                error,
                partition,
                position,
                segment,
                at,
                "a frame of the offsets log does not read back"
            );
            let error = LogError::Corrupt {
                position,
                reason: "its frame does not read back".to_owned(),
            };
            return Ok((batches, Some(error)));
        };
        batches.push(stored);
    }
    Ok((batches, None))
}

fn decode(
    partition: u32,
    position: Position,
    located: &Located,
    frame: &Bytes,
    segment: SegmentUse,
) -> Option<(Header, StoredBatch)> {
    let Look::Whole(header) = frame::look(frame, segment) else {
        return None;
    };
    let same = header.partition == partition
        && header.position == position
        && header.base_offset == located.base_offset
        && header.frame_bytes() == located.bytes as usize;
    let (marks, kafka) = frame::sections(&header);
    let batch = StoredBatch {
        position,
        base_offset: header.base_offset,
        marks: frame.slice(marks),
        kafka: frame.slice(kafka),
    };
    same.then_some((header, batch))
}
