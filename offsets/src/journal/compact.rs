//! Snapshots, and the trimming they allow. Runs on the caller's thread, one at a time; appends go on meanwhile.
//!
//! The order is what makes a crash harmless: the snapshot is durable under its own name before the locator forgets what it
//! replaces; where the log starts is durable before the first segment leaves it, and the snapshot before goes last. A crash
//! in between leaves frames that a snapshot has already, segments before the start, or a snapshot too many: all are passed
//! over when the log is read back.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use callboard_supervision::seldom;

use super::core::segment::{FileName, free_name, segment_name};
use super::core::snapshot::{
    Encoder, LOG_START, LOG_START_PREPARING, LogStart, SNAPSHOT_PREPARING, Snapshot, parse_name,
    snapshot_name,
};
use super::queue::RETRY_AFTER;
use super::state::JournalState;
use super::storage::{self, OpenMode, Storage, StorageFile};
use crate::log::{Backlog, Chunks, Condition, End, LogError};

/// Files out of the log that are kept to be used again; more are given back to the file system.
const FREE_FILES_MAX: usize = 2;
/// A snapshot is written in pieces of about this size.
const WRITE_BYTES: usize = 256 * 1024;
/// And flushed every so many bytes: one flush of it all would stand in the way of the journal's own.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;

/// See [`OffsetsLog::snapshot`](crate::log::OffsetsLog::snapshot). The caller holds the compaction lock.
pub(crate) fn snapshot(
    state: &JournalState,
    partition: u32,
    upto: End,
    chunks: &mut Chunks<'_>,
) -> Result<(), LogError> {
    if let Condition::Poisoned { reason } = state.condition() {
        return Err(LogError::Poisoned { reason });
    }
    if replaces_something(state, partition, upto)? {
        let snapshot = write(state, partition, upto, chunks)?;
        state.compacted(partition, Arc::new(snapshot));
    }
    trim(state).map_err(refused)
}

/// Whether a snapshot up to there is newer than the one there is.
fn replaces_something(state: &JournalState, partition: u32, upto: End) -> Result<bool, LogError> {
    let locator = state
        .partition(partition)
        .ok_or(LogError::NoSuchPartition { partition })?;
    if let Some(corruption) = locator.corrupt() {
        return Err(LogError::Corrupt {
            position: corruption.position,
            reason: corruption.reason.clone(),
        });
    }
    if upto.position <= locator.first() {
        return Ok(false);
    }
    if locator.end_at(upto.position) == Some(upto) {
        return Ok(true);
    }
    Err(LogError::WrongEnd {
        actual: locator.end().position,
    })
}

/// Writes a snapshot; it is durable under its name when this returns, or there is none.
fn write(
    state: &JournalState,
    partition: u32,
    upto: End,
    chunks: &mut Chunks<'_>,
) -> Result<Snapshot, LogError> {
    let storage = &**state.files.storage();
    let name = snapshot_name(partition, upto.position);
    let publish = || {
        storage.rename(SNAPSHOT_PREPARING, &name)?;
        storage.sync()
    };
    let written = fill(state, partition, upto, chunks)
        .and_then(|snapshot| publish().map_err(refused).map(|()| snapshot));
    if written.is_err() {
        // On a full disk it stands in the way. What cannot be removed now is written over by the next one.
        let _ = storage.remove(SNAPSHOT_PREPARING);
        let _ = storage.remove(&name);
    }
    written
}

fn fill(
    state: &JournalState,
    partition: u32,
    upto: End,
    chunks: &mut Chunks<'_>,
) -> Result<Snapshot, LogError> {
    let storage = state.files.storage();
    let file = storage
        .open(SNAPSHOT_PREPARING, OpenMode::Create)
        .map_err(refused)?;
    let mut pieces = Pieces {
        file: &*file,
        buffer: Vec::with_capacity(WRITE_BYTES),
        at: 0,
        synced: 0,
    };
    let too_large = || LogError::TooLarge {
        max: u32::MAX as usize,
    };
    let mut encoder = Encoder::new(partition, upto, &mut pieces.buffer);
    for chunk in chunks {
        if state.is_closing() {
            return Err(LogError::Closed);
        }
        encoder
            .chunk(&chunk?, &mut pieces.buffer)
            .ok_or_else(too_large)?;
        pieces.go_on().map_err(refused)?;
    }
    let snapshot = encoder.finish(&mut pieces.buffer).ok_or_else(too_large)?;
    pieces.finish().map_err(refused)?;
    Ok(snapshot)
}

/// A file that is written from front to back.
struct Pieces<'a> {
    file: &'a dyn StorageFile,
    buffer: Vec<u8>,
    at: u64,
    synced: u64,
}

impl Pieces<'_> {
    fn go_on(&mut self) -> io::Result<()> {
        if self.buffer.len() >= WRITE_BYTES {
            self.write()?;
        }
        if self.at - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.at;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.write()?;
        self.file.sync()
    }

    fn write(&mut self) -> io::Result<()> {
        storage::write_all(self.file, &self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Frees the segments and the snapshots that nobody needs.
fn trim(state: &JournalState) -> io::Result<()> {
    let files = &state.files;
    let Some(oldest) = oldest_needed(state) else {
        return drop_snapshots(state);
    };
    let gone = files.before(oldest);
    if let Some(sequence) = files.first_sequence(oldest).filter(|_| !gone.is_empty()) {
        let start = LogStart {
            generation: oldest,
            sequence,
            incarnation: state.incarnation(),
            snapshots: needed(state, oldest),
        };
        announce(&**files.storage(), &start)?;
        for generation in gone {
            free(state, generation)?;
            files.forget(generation);
        }
    }
    state.metrics.log_size.set(state.log_bytes() as f64);
    drop_snapshots(state)
}

/// The oldest segment that somebody needs. `None` if all of them are.
fn oldest_needed(state: &JournalState) -> Option<u32> {
    // Asked first: what lands while the partitions are asked lies there or behind.
    let mut oldest = state.active();
    for number in 0..state.partition_count() {
        let locator = state.partition(number)?;
        if locator.corrupt().is_some() {
            // What it lost is known by what is there still.
            return None;
        }
        oldest = oldest.min(locator.oldest().unwrap_or(oldest));
    }
    Some(oldest)
}

/// What the partitions' snapshots must at least reach when the log begins with the segment `oldest`.
fn needed(state: &JournalState, oldest: u32) -> BTreeMap<u32, u64> {
    let needed = |number| {
        let locator = state.partition(number)?;
        let snapshot = locator.snapshot()?.upto.position;
        let fallback = locator
            .fallback()
            .filter(|fallback| fallback.oldest >= oldest);
        let position = fallback.map_or(snapshot, |fallback| fallback.position);
        (position > 0).then_some((number, position))
    };
    (0..state.partition_count()).filter_map(needed).collect()
}

/// Makes durable where the log starts.
fn announce(storage: &dyn Storage, start: &LogStart) -> io::Result<()> {
    let write = || {
        let file = storage.open(LOG_START_PREPARING, OpenMode::Create)?;
        storage::write_all(&*file, &start.encode(), 0)?;
        file.sync()
    };
    if let Err(error) = write() {
        // Nothing rests on it yet.
        let _ = storage.remove(LOG_START_PREPARING);
        return Err(error);
    }
    storage.rename(LOG_START_PREPARING, LOG_START)?;
    storage.sync()
}

/// Takes a segment's file out of the log.
fn free(state: &JournalState, generation: u32) -> io::Result<()> {
    let storage = state.files.storage();
    let is_free = |name: &&String| FileName::parse(name) == FileName::Free;
    let name = segment_name(generation);
    let done = if storage.list()?.iter().filter(is_free).count() < FREE_FILES_MAX {
        storage.rename(&name, &free_name(generation))
    } else {
        storage.remove(&name)
    };
    match done {
        // An attempt before this one came as far.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes the snapshots that are neither the last of their partition nor what is left to fall back on.
fn drop_snapshots(state: &JournalState) -> io::Result<()> {
    let oldest = state.files.first().unwrap_or(0);
    let storage = state.files.storage();
    for name in storage.list()? {
        let Some((partition, position)) = parse_name(&name) else {
            continue;
        };
        let useless = state.partition(partition).is_some_and(|locator| {
            let fallback = locator
                .fallback()
                .filter(|fallback| fallback.oldest >= oldest && fallback.position == position);
            // One behind the last is damaged, or not known to be durable: the next takes its place.
            locator.corrupt().is_none() && position < locator.first() && fallback.is_none()
        });
        if useless {
            storage.remove(&name)?;
        }
    }
    Ok(())
}

/// See [`OffsetsLog::backlog`](crate::log::OffsetsLog::backlog).
pub(crate) fn backlog(state: &JournalState, partition: u32) -> Option<Backlog> {
    let active = state.active();
    let locator = state.partition(partition)?;
    if locator.corrupt().is_some() {
        return None;
    }
    let oldest = locator.oldest();
    Some(Backlog {
        end: locator.end(),
        log_bytes: locator.bytes(),
        snapshot_bytes: locator.snapshot().map_or(0, |snapshot| snapshot.bytes),
        pinned_bytes: oldest.map_or(0, |oldest| state.files.bytes_between(oldest, active)),
    })
}

fn refused(error: io::Error) -> LogError {
    if storage::is_no_space(&error) {
        return LogError::Full;
    }
    seldom!(warn, %error, "cannot compact a partition of the offsets log");
    LogError::Unavailable {
        retry_after: RETRY_AFTER,
    }
}
