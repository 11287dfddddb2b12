//! Makes segments ready before they are needed: blocks taken, zeros written, header flushed, name durable. After that
//! an append into one changes no metadata, so its flush is one write to the disk, and it cannot run out of space. A file
//! that left the log is used again; only its header is written anew.
//!
//! Owned by the [`Supply`], in a thread of its own when a reserve is kept.

use std::io;
use std::sync::Arc;

use super::core::segment::{
    FileName, PREPARING, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentUse, segment_name,
};
use super::files::Files;
use super::storage::{self, OpenMode, Storage, StorageFile};

mod supply;

pub(crate) use supply::Supply;

/// A segment that is part of the log, durably, and holds no frame.
pub(crate) struct Prepared {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn StorageFile>,
}

/// Why there is no new segment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    /// No room for one. Nothing was changed.
    #[error("no space left")]
    NoSpace,
    /// The system refused (too many open files, a directory that went away). Nothing was changed.
    #[error(transparent)]
    Refused(io::Error),
    /// A flush failed. What is on disk is unknown.
    #[error("flush of a new segment: {0}")]
    Flush(io::Error),
}

impl From<io::Error> for PrepareError {
    fn from(error: io::Error) -> Self {
        if storage::is_no_space(&error) {
            Self::NoSpace
        } else {
            Self::Refused(error)
        }
    }
}

struct FreeFile {
    file: Arc<dyn StorageFile>,
    name: String,
}

/// See the module.
pub(crate) struct Preparer {
    pub(crate) storage: Arc<dyn Storage>,
    /// Where new segments are entered.
    pub(crate) files: Arc<Files>,
    pub(crate) segment_bytes: u64,
    /// Random numbers.
    pub(crate) salt: Box<dyn FnMut() -> u64 + Send>,
}

impl Preparer {
    /// Makes the segment `generation` and puts it into the log.
    pub(crate) fn prepare(&mut self, generation: u32) -> Result<Prepared, PrepareError> {
        let free = self.free_file()?;
        let header = SegmentHeader {
            segment: SegmentUse {
                generation,
                salt: (self.salt)(),
            },
            bytes: self.segment_bytes,
            recycled: free.is_some(),
        };
        let (file, name) = match free {
            Some(FreeFile { file, name }) => {
                storage::write_all(&*file, &header.encode(), 0)?;
                (file, name)
            }
            None => (self.new_file(&header)?, PREPARING.to_owned()),
        };
        file.sync().map_err(PrepareError::Flush)?;
        self.storage.rename(&name, &segment_name(generation))?;
        self.storage.sync().map_err(PrepareError::Flush)?;
        self.files.add(header.segment, header.bytes);
        Ok(Prepared { header, file })
    }

    /// A file that left the log, if there is one of the right size.
    fn free_file(&self) -> Result<Option<FreeFile>, PrepareError> {
        for name in self.storage.list()? {
            if FileName::parse(&name) != FileName::Free {
                continue;
            }
            let file = self.storage.open(&name, OpenMode::Existing)?;
            if file.bytes()? == self.segment_bytes {
                return Ok(Some(FreeFile { file, name }));
            }
            // Made when segments had another size.
            self.storage.remove(&name)?;
        }
        Ok(None)
    }

    fn new_file(&self, header: &SegmentHeader) -> Result<Arc<dyn StorageFile>, PrepareError> {
        let file = self.storage.open(PREPARING, OpenMode::Create)?;
        let fill = || {
            file.allocate(header.bytes)?;
            storage::write_all(&*file, &header.encode(), 0)?;
            storage::write_zeros(&*file, SEGMENT_HEADER_BYTES as u64, header.bytes)
        };
        match fill() {
            Ok(()) => Ok(file),
            Err(error) => {
                // Give back what was taken; if that fails too, the next attempt empties the file.
                let _ = self.storage.remove(PREPARING);
                Err(error.into())
            }
        }
    }
}
