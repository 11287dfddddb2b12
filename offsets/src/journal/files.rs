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
    segments: Mutex<BTreeMap<u32, Segment>>,
}

struct Segment {
    segment: SegmentUse,
    bytes: u64,
    file: Option<Arc<dyn StorageFile>>,
}

impl Files {
    /// None known yet.
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            segments: Mutex::default(),
        }
    }

    /// A segment has become part of the log.
    pub(crate) fn add(&self, segment: SegmentUse, bytes: u64) {
        let entry = Segment {
            segment,
            bytes,
            file: None,
        };
        self.lock().insert(segment.generation, entry);
    }

    /// Bytes of all segments of the log.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().values().map(|segment| segment.bytes).sum()
    }

    /// A segment's file and its use.
    pub(crate) fn get(&self, generation: u32) -> io::Result<(Arc<dyn StorageFile>, SegmentUse)> {
        let mut segments = self.lock();
        let opened = segments
            .values()
            .filter(|segment| segment.file.is_some())
            .count();
        let segment = segments
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
        if opened >= OPEN_FILES_MAX {
            // The oldest is the one least likely to be asked for again: readers go forward.
            let oldest = segments
                .iter_mut()
                .find(|(number, segment)| **number != generation && segment.file.is_some());
            if let Some((_, segment)) = oldest {
                segment.file = None;
            }
        }
        Ok((file, in_use))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
