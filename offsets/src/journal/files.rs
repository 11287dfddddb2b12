//! The log's segment files: opened when somebody reads them, a limited number at a time. Shared by the sync thread and
//! all readers.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::core::segment::{SegmentUse, segment_name};
use super::storage::{OpenMode, Storage, StorageFile};

/// Segment files kept open for reading.
const OPEN_FILES_MAX: usize = 32;

/// See the module.
pub(crate) struct Files {
    storage: Arc<dyn Storage>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    segments: BTreeMap<u32, Segment>,
    /// Of all segments.
    bytes: u64,
    /// Files that are open here.
    opened: usize,
}

struct Segment {
    segment: SegmentUse,
    bytes: u64,
    /// Sequence of its first frame, once it has one.
    first_sequence: Option<u64>,
    file: Option<Arc<dyn StorageFile>>,
}

impl Files {
    /// None known yet.
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            inner: Mutex::default(),
        }
    }

    /// A segment has become part of the log.
    pub(crate) fn add(&self, segment: SegmentUse, bytes: u64) {
        let mut inner = self.lock();
        inner.bytes += bytes;
        let entry = Segment {
            segment,
            bytes,
            first_sequence: None,
            file: None,
        };
        inner.segments.insert(segment.generation, entry);
    }

    /// The first frame of a segment has this sequence.
    pub(crate) fn begins(&self, generation: u32, sequence: u64) {
        if let Some(segment) = self.lock().segments.get_mut(&generation) {
            segment.first_sequence.get_or_insert(sequence);
        }
    }

    /// Sequence of a segment's first frame.
    pub(crate) fn first_sequence(&self, generation: u32) -> Option<u64> {
        self.lock().segments.get(&generation)?.first_sequence
    }

    /// The first segment.
    pub(crate) fn first(&self) -> Option<u32> {
        self.lock().segments.keys().next().copied()
    }

    /// Segments before this one.
    pub(crate) fn before(&self, generation: u32) -> Vec<u32> {
        let inner = self.lock();
        inner
            .segments
            .range(..generation)
            .map(|(number, _)| *number)
            .collect()
    }

    /// Bytes of the segments from one on, up to, not including, another.
    pub(crate) fn bytes_between(&self, from: u32, until: u32) -> u64 {
        if from >= until {
            return 0;
        }
        let inner = self.lock();
        let segments = inner.segments.range(from..until);
        segments.map(|(_, segment)| segment.bytes).sum()
    }

    /// A segment has left the log.
    pub(crate) fn forget(&self, generation: u32) {
        let mut inner = self.lock();
        if let Some(segment) = inner.segments.remove(&generation) {
            inner.bytes = inner.bytes.saturating_sub(segment.bytes);
            inner.opened -= usize::from(segment.file.is_some());
        }
    }

    /// Where the files are.
    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Bytes of all segments of the log.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// A segment's file and its use.
    pub(crate) fn get(&self, generation: u32) -> io::Result<(Arc<dyn StorageFile>, SegmentUse)> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let segment = inner
            .segments
            .get_mut(&generation)
            .ok_or(io::ErrorKind::NotFound)?;
        let in_use = segment.segment;
        if let Some(file) = &segment.file {
            return Ok((Arc::clone(file), in_use));
        }
        let file = self
            .storage
            .open(&segment_name(generation), OpenMode::Existing)?;
        segment.file = Some(Arc::clone(&file));
        inner.opened += 1;
        if inner.opened > OPEN_FILES_MAX {
            // The oldest is the one least likely to be asked for again: readers go forward.
            let mut others = inner.segments.iter_mut();
            if let Some((_, oldest)) =
                others.find(|(number, segment)| **number != generation && segment.file.is_some())
            {
                oldest.file = None;
                inner.opened -= 1;
            }
        }
        Ok((file, in_use))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
