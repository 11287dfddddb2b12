//! One file of a topic log: record batches one after the other, named by the offset of the first. Owned by the
//! partition's log; the file alone is shared with readers, who never see past what was published to them.
//! Never decodes a record.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LogError;
use super::batch::{BatchHeader, HEADER_BYTES, intact, parse_header};
use super::core::codec::IndexFile;
use super::core::{BatchPlace, LogConfig, OpenSegment, SparseIndex};
use super::files;

/// Bytes a walk over headers reads at once. Batches of clients are 16 KiB and more as a rule: then one read a batch.
const WALK_BYTES: usize = 4_096;

/// Magics that a later version may write. Its byte is not covered by the batch's checksum: others are damage.
const LATER_MAGICS: std::ops::RangeInclusive<u8> = 3..=9;

/// One segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    /// The offset after the last record.
    pub(crate) next_offset: i64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<File>,
    /// Bytes of whole batches. The file may be longer while an append is under way.
    pub(crate) size: u64,
    pub(crate) index: SparseIndex,
}

/// What [`Segment::recover`] found at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Whole batches to the last byte.
    Whole,
    /// Bytes after the last whole batch.
    Torn {
        /// How many.
        bytes: u64,
    },
}

/// The file of the segment that begins at `base_offset`.
pub(crate) fn log_path(dir: &Path, base_offset: i64) -> PathBuf {
    dir.join(format!("{base_offset:020}.log"))
}

fn index_path(log: &Path) -> PathBuf {
    log.with_extension("index")
}

impl Segment {
    /// Creates an empty segment. The name is durable once the directory is synced.
    pub(crate) fn create(
        dir: &Path,
        base_offset: i64,
        config: &LogConfig,
    ) -> Result<Self, LogError> {
        let path = log_path(dir, base_offset);
        let file = files::open_or_create(&path).map_err(LogError::io("create", &path))?;
        // Left by a roll that did not finish: it holds nothing that was acknowledged.
        file.set_len(0).map_err(LogError::io("truncate", &path))?;
        files::remove_if_there(&index_path(&path)).map_err(LogError::io("remove", &path))?;
        let index = SparseIndex::new(config.index_interval_bytes);
        Ok(Self {
            base_offset,
            next_offset: base_offset,
            path,
            file: Arc::new(file),
            size: 0,
            index,
        })
    }

    /// Opens a segment with what its index file vouches for; [`recover`](Self::recover) takes in the rest.
    pub(crate) fn open(
        path: PathBuf,
        base_offset: i64,
        config: &LogConfig,
    ) -> Result<Self, LogError> {
        let file = files::open_or_create(&path).map_err(LogError::io("open", &path))?;
        let length = file
            .metadata()
            .map_err(LogError::io("look at", &path))?
            .len();
        let known = std::fs::read(index_path(&path))
            .ok()
            .and_then(|bytes| IndexFile::decode(&bytes));
        // A file that became shorter than its index cannot be trusted to be the same file: read all of it.
        let known = known
            .filter(|known| known.size <= length && known.next_offset >= base_offset)
            .unwrap_or_else(|| IndexFile {
                size: 0,
                next_offset: base_offset,
                index: SparseIndex::new(config.index_interval_bytes),
            });
        let IndexFile {
            size,
            next_offset,
            index,
        } = known;
        Ok(Self {
            base_offset,
            next_offset,
            path,
            file: Arc::new(file),
            size,
            index,
        })
    }

    /// Takes in whole batches from `size` to the end of the file, checking each checksum, and tells what follows them.
    pub(crate) fn recover(&mut self) -> Result<Tail, LogError> {
        let length = self
            .file
            .metadata()
            .map_err(LogError::io("look at", &self.path))?
            .len();
        while let Some(batch) = self.whole_batch_at(self.size, length)? {
            self.publish(&batch);
        }
        if let Some(magic) = self.other_magic_at(self.size, length)? {
            let magic = magic.to_string();
            return Err(LogError::version(&self.path, &magic, "2"));
        }
        let bytes = length - self.size;
        Ok(if bytes == 0 {
            Tail::Whole
        } else {
            Tail::Torn { bytes }
        })
    }

    /// The batch at `position`, if all of it is there, it is intact and it follows what came before.
    fn whole_batch_at(&self, position: u64, length: u64) -> Result<Option<BatchPlace>, LogError> {
        let read = |bytes| {
            files::read_up_to(&self.file, position, bytes).map_err(LogError::io("read", &self.path))
        };
        let Some(header) = parse_header(&read(HEADER_BYTES)?) else {
            return Ok(None);
        };
        let batch = place(&header, position);
        // Before the read allocates: a torn length may say anything.
        if batch.size > length - position
            || batch.base_offset != self.next_offset
            || batch.last_offset < batch.base_offset
        {
            return Ok(None);
        }
        let Ok(size) = usize::try_from(batch.size) else {
            return Ok(None);
        };
        Ok(Some(batch).filter(|_| read(size).is_ok_and(|bytes| intact(&bytes))))
    }

    /// The magic of the batch at `position`, if all of it is there and intact but of another version than ours: not a torn
    /// end, and not to be cut off.
    fn other_magic_at(&self, position: u64, length: u64) -> Result<Option<u8>, LogError> {
        let read = |bytes| {
            files::read_up_to(&self.file, position, bytes).map_err(LogError::io("read", &self.path))
        };
        let mut header = read(HEADER_BYTES)?;
        let Some(magic) = header
            .get(16)
            .copied()
            .filter(|magic| LATER_MAGICS.contains(magic))
        else {
            return Ok(None);
        };
        header[16] = 2;
        let size = parse_header(&header)
            .filter(|header| header.base_offset == self.next_offset)
            .and_then(|header| usize::try_from(header.size).ok())
            .filter(|size| *size as u64 <= length - position);
        let whole = match size {
            Some(size) => intact(&read(size)?),
            None => false,
        };
        Ok(Some(magic).filter(|_| whole))
    }

    /// Cuts off what is not published.
    pub(crate) fn truncate(&self) -> Result<(), LogError> {
        self.file
            .set_len(self.size)
            .map_err(LogError::io("truncate", &self.path))
    }

    /// Writes a batch behind the last one. Nobody sees it before [`publish`](Self::publish).
    pub(crate) fn write(&self, header: &[u8], body: &[u8]) -> Result<(), LogError> {
        let body_at = self.size + header.len() as u64;
        // Two writes spare copying the body next to its new header; the order does not matter to recovery.
        self.file
            .write_all_at(body, body_at)
            .and_then(|()| self.file.write_all_at(header, self.size))
            .map_err(LogError::io("write", &self.path))
    }

    /// Makes the batch behind the last one part of the segment.
    pub(crate) fn publish(&mut self, batch: &BatchPlace) {
        debug_assert_eq!(batch.position, self.size);
        debug_assert_eq!(batch.base_offset, self.next_offset);
        self.index.add(batch);
        self.size += batch.size;
        self.next_offset = batch.last_offset + 1;
    }

    /// What [`must_roll`](super::core::must_roll) decides on.
    pub(crate) fn facts(&self) -> OpenSegment {
        OpenSegment {
            base_offset: self.base_offset,
            size: self.size,
            first_timestamp: self.index.first_timestamp,
        }
    }

    /// Writes the index file for the bytes there are. They must be on disk: the next open trusts them unread.
    pub(crate) fn save_index(&self) -> Result<(), LogError> {
        let path = index_path(&self.path);
        let file = IndexFile {
            size: self.size,
            next_offset: self.next_offset,
            index: self.index.clone(),
        };
        files::replace(&path, &file.encode()).map_err(LogError::io("write", &path))
    }

    /// Removes the files. Readers that have the file open keep reading it.
    pub(crate) fn remove(&self) -> Result<(), LogError> {
        let index = index_path(&self.path);
        files::remove_if_there(&index).map_err(LogError::io("remove", &index))?;
        files::remove_if_there(&self.path).map_err(LogError::io("remove", &self.path))
    }
}

/// Where a batch lies, by its header.
pub(crate) fn place(header: &BatchHeader, position: u64) -> BatchPlace {
    BatchPlace {
        base_offset: header.base_offset,
        last_offset: header.last_offset,
        position,
        size: header.size,
        max_timestamp: header.max_timestamp,
    }
}

/// Walks over the headers of published batches, a small read at a time, never over their records.
pub(crate) struct Walk<'a> {
    file: &'a File,
    path: &'a Path,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Walk<'a> {
    /// From a batch's first byte at `position` to `end`.
    pub(crate) fn new(file: &'a File, path: &'a Path, position: u64, end: u64) -> Self {
        Self {
            file,
            path,
            position,
            end,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// The next batch and where it lies.
    pub(crate) fn next(&mut self) -> Result<Option<(BatchHeader, BatchPlace)>, LogError> {
        if self.position >= self.end {
            return Ok(None);
        }
        let corrupt = |reason| LogError::corrupt(self.path, self.position, reason);
        let mut skip = usize::try_from(self.position - self.window_at).unwrap_or(usize::MAX);
        if self.window.len().saturating_sub(skip) < HEADER_BYTES {
            self.window = files::read_up_to(self.file, self.position, WALK_BYTES)
                .map_err(LogError::io("read", self.path))?;
            self.window_at = self.position;
            skip = 0;
        }
        let header = parse_header(&self.window[skip..])
            .ok_or_else(|| corrupt("no batch header where one must be"))?;
        let batch = place(&header, self.position);
        if batch.size > self.end - self.position {
            return Err(corrupt("a batch reaches past the end of the log"));
        }
        self.position += batch.size;
        Ok(Some((header, batch)))
    }
}
