//! Reads of one partition, from any task, beside its writer.
//!
//! Why not through the actor: stored batches never change and the files are shared, so a reader needs one short look
//! at the view (segments, end offset) and then reads files on its own. A fetch of a cold megabyte delays no append,
//! and fetches of one partition run side by side. Whoever calls chooses the thread: [`Ahead`] tells what it will cost.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::LogError;
use super::batch::whole_batches;
use super::core::{EpochEnd, Epochs, NO_TIMESTAMP};
use super::files;
use super::search::Search;
use super::segment::{Segment, Walk};

/// The timestamp that asks for the newest record.
pub(crate) const NEWEST: i64 = -3;

/// What of a partition is published: readers see this and nothing else. Locked for writing for a few instructions by
/// the partition's log alone, never across I/O. (The log may hold it for reading while it writes to a file, which stops
/// nobody.)
#[derive(Debug)]
pub(crate) struct View {
    /// Oldest first; the last one is written to.
    pub(crate) segments: Vec<Segment>,
    pub(crate) log_start_offset: i64,
    pub(crate) end_offset: i64,
    pub(crate) epochs: Epochs,
}

/// The first and the next offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// The first offset that can be read.
    pub log_start: i64,
    /// The offset the next record gets. One node: the high watermark and the last stable offset are the same.
    pub end: i64,
}

/// Whether a read may come back empty because its first batch is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLeast {
    /// Nothing beyond the limit.
    Nothing,
    /// The first batch, whatever its size, so that a consumer always gets on.
    OneBatch,
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Whole batches as stored. The first may begin before the offset asked for. Ends at a segment's end at the latest.
    pub records: Bytes,
    /// The partition's offsets at the moment of the read.
    pub offsets: Offsets,
}

/// What a read has before it.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// How many bytes, at most: too many by less than what lies between two entries of the index.
    pub bytes: usize,
    /// Nothing is behind them: what was appended last, and hardly ever to be fetched from the disk.
    pub is_tail: bool,
    /// The partition's offsets now.
    pub offsets: Offsets,
}

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds since 1970; -1 where the question was not about timestamps.
    pub timestamp: i64,
}

/// Reads one partition. Cheap to clone; keeps working while the log is written, rolled and cut.
#[derive(Clone, Debug)]
pub struct LogReader {
    view: Arc<RwLock<View>>,
}

/// A place in a file to read at, taken out of the view.
#[derive(Debug)]
pub(super) struct Span {
    file: Arc<File>,
    pub(super) path: PathBuf,
    /// A batch begins here, at or before what is looked for.
    pub(super) position: u64,
    /// Published bytes end here.
    end: u64,
}

impl Span {
    fn of(segment: &Segment, position: u64) -> Self {
        Self {
            file: Arc::clone(&segment.file),
            path: segment.path.clone(),
            position,
            end: segment.size,
        }
    }

    /// The same file, from another place on.
    pub(super) fn at(&self, position: u64) -> Self {
        Self {
            file: Arc::clone(&self.file),
            path: self.path.clone(),
            position,
            end: self.end,
        }
    }

    pub(super) fn walk(&self) -> Walk<'_> {
        Walk::new(&self.file, &self.path, self.position, self.end)
    }

    pub(super) fn read(&self, position: u64, length: u64) -> Result<Vec<u8>, LogError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        files::read_up_to(&self.file, position, length).map_err(LogError::io("read", &self.path))
    }
}

impl LogReader {
    pub(crate) fn new(view: View) -> Self {
        Self {
            view: Arc::new(RwLock::new(view)),
        }
    }

    pub(crate) fn view(&self) -> RwLockReadGuard<'_, View> {
        // A view is changed by assignments that cannot panic half way.
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offsets now.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.view().offsets()
    }

    /// The leader epoch in which records are appended now.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.view().epochs.latest()
    }

    /// The leader epoch of the record at `offset`.
    #[must_use]
    pub fn epoch_of(&self, offset: i64) -> i32 {
        self.view().epochs.of(offset)
    }

    /// Where a leader epoch ends, as OffsetForLeaderEpoch answers it: see [`EpochEnd`].
    #[must_use]
    pub fn end_of_epoch(&self, epoch: i32) -> EpochEnd {
        let view = self.view();
        view.epochs.end_of(epoch, view.end_offset)
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.view()
            .segments
            .iter()
            .map(|segment| segment.size)
            .sum()
    }

    /// Whole batches from the one that holds `from`, at most `max_bytes` of them. Empty at the end of the log, and
    /// where the first batch alone is larger and `at_least` allows that.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] outside of log start and end; [`LogError::Storage`] and [`LogError::Corrupt`]
    /// from the file.
    pub fn read(&self, from: i64, max_bytes: usize, at_least: AtLeast) -> Result<Chunk, LogError> {
        let (span, offsets) = {
            let view = self.view();
            (view.span_of(from)?, view.offsets())
        };
        let empty = Chunk {
            records: Bytes::new(),
            offsets,
        };
        let Some(span) = span else {
            return Ok(empty);
        };
        let mut walk = span.walk();
        let first = loop {
            match walk.next()? {
                Some((_, batch)) if batch.last_offset >= from => break batch,
                Some(_) => {}
                // Only the view's end is behind the last batch of a segment, and that was looked at.
                None => return Ok(empty),
            }
        };
        let max_bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        let allowed = match at_least {
            AtLeast::OneBatch => max_bytes.max(first.size),
            AtLeast::Nothing if first.size > max_bytes => return Ok(empty),
            AtLeast::Nothing => max_bytes,
        };
        let mut bytes = span.read(first.position, allowed.min(span.end - first.position))?;
        bytes.truncate(whole_batches(&bytes));
        Ok(Chunk {
            records: Bytes::from(bytes),
            offsets,
        })
    }

    /// What a [`read`](Self::read) from there has before it. Reads no file.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] outside of log start and end.
    pub fn ahead(&self, from: i64) -> Result<Ahead, LogError> {
        let view = self.view();
        let span = view.span_of(from)?;
        let bytes = span.map_or(0, |span| span.end.saturating_sub(span.position));
        let last = view.segments.last();
        Ok(Ahead {
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            is_tail: last.is_none_or(|last| from >= last.base_offset),
            offsets: view.offsets(),
        })
    }

    /// What ListOffsets answers for `timestamp`: -1 the end, -2 and -4 the start, -3 the first record with the newest
    /// timestamp, -5 and -6 nothing (there is no tiered storage), anything else the first record that is not older.
    /// None when there is no such record.
    ///
    /// # Errors
    /// [`LogError::Storage`] and [`LogError::Corrupt`] from the file.
    pub fn offset_for(&self, timestamp: i64) -> Result<Option<FoundOffset>, LogError> {
        let Offsets { log_start, end } = self.offsets();
        let edge = |offset| {
            Ok(Some(FoundOffset {
                offset,
                timestamp: NO_TIMESTAMP,
            }))
        };
        match timestamp {
            -1 => edge(end),
            -2 | -4 => edge(log_start),
            -5 | -6 => Ok(None),
            _ => self.search(timestamp).run(),
        }
    }

    /// Begins what [`offset_for`](Self::offset_for) does for -3 and for timestamps. Reads no file.
    #[must_use]
    pub(crate) fn search(&self, timestamp: i64) -> Search {
        let view = self.view();
        if timestamp == NEWEST {
            let filled = view.segments.iter().filter(|segment| segment.size > 0);
            // The first of equals: `max_by_key` would give the last.
            let newest = filled.rev().max_by_key(|segment| segment.index.newest);
            let of = |segment: &Segment| Span::of(segment, segment.index.newest_position);
            return Search {
                timestamp: newest.map_or(NO_TIMESTAMP, |segment| segment.index.newest),
                from: i64::MIN,
                spans: newest.map(of).into_iter().collect(),
            };
        }
        let start = view.log_start_offset;
        let live = view
            .segments
            .iter()
            .filter(|segment| segment.next_offset > start);
        let near = live.filter_map(|segment| {
            let position = segment.index.position_of_time(timestamp)?;
            let position = position.max(segment.index.position_of(start));
            Some(Span::of(segment, position))
        });
        // One segment is enough as a rule; more when the newest records of one lie below the log start offset.
        Search {
            timestamp,
            from: start,
            spans: near.collect(),
        }
    }
}

impl View {
    pub(crate) fn offsets(&self) -> Offsets {
        Offsets {
            log_start: self.log_start_offset,
            end: self.end_offset,
        }
    }

    /// Where to look for `from`; None at the end of the log.
    fn span_of(&self, from: i64) -> Result<Option<Span>, LogError> {
        if from < self.log_start_offset || from > self.end_offset {
            return Err(LogError::OffsetOutOfRange {
                asked: from,
                start: self.log_start_offset,
                end: self.end_offset,
            });
        }
        let at = self
            .segments
            .partition_point(|segment| segment.next_offset <= from);
        Ok(self
            .segments
            .get(at)
            .map(|segment| Span::of(segment, segment.index.position_of(from))))
    }
}
