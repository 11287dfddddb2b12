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
            file: None,
        };
        inner.segments.insert(segment.generation, entry);
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
