//! Batches in a run of bytes, as a Fetch answer, a Produce request or a log segment has them.

use bytes::Bytes;

use super::codec::{self, DecompressLimit};
use super::header::{BatchHeader, COVERED_FROM, HEADER_BYTES};
use super::iter::{Progress, RecordViews, Records};
use super::record::Base;
use super::scan::Scan;
use super::{Compression, RecordsError};

/// The batches of a run of bytes. A batch that is not there to its end ends the run without an error: a broker cuts
/// its answer where its limit says. After an error there is nothing more, for the next batch has no known place.
#[derive(Clone, Debug)]
pub struct BatchIter {
    rest: Bytes,
    failed: bool,
}

/// One whole batch. Its checksum is the caller's to [`check`](Self::verify_crc).
#[derive(Clone, Debug)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

/// A batch's records, decompressed, not yet parsed.
#[derive(Clone, Debug)]
pub struct BatchBody {
    bytes: Bytes,
    progress: Progress,
}

impl BatchIter {
    /// Batches from the front of `bytes`.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self {
            rest: bytes,
            failed: false,
        }
    }

    /// Bytes that were not given out: at the end, the torn tail.
    #[must_use]
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for BatchIter {
    type Item = Result<Batch, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match BatchHeader::parse(&self.rest) {
            Ok(Some(header)) => {
                let bytes = self.rest.split_to(header.size());
                Some(Ok(Batch { header, bytes }))
            }
            Ok(None) => None,
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

impl Batch {
    /// Its header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether the checksum is that of the bytes. Base offset and leader epoch lie outside of it.
    ///
    /// # Errors
    /// [`RecordsError::Crc`].
    pub fn verify_crc(&self) -> Result<(), RecordsError> {
        let computed = crc32c::crc32c(&self.bytes[COVERED_FROM..]);
        let stored = self.header.crc;
        if stored == computed {
            Ok(())
        } else {
            Err(RecordsError::Crc { stored, computed })
        }
    }

    /// Its records, sharing the memory of the batch, or of one decompressed body.
    ///
    /// # Errors
    /// As [`body`](Self::body); then of each record, when its turn comes.
    pub fn records(&self, limit: DecompressLimit) -> Result<Records, RecordsError> {
        let body = self.body(limit)?;
        Ok(Records::new(body.bytes, body.progress))
    }

    /// Its records one after the other, in slices of work and in little memory: see [`Scan`]. No limit on what they
    /// decompress to.
    ///
    /// # Errors
    /// [`RecordsError::Count`] and [`RecordsError::UnknownCodec`].
    pub fn scan(&self) -> Result<Scan, RecordsError> {
        Scan::new(&self.header, self.bytes.slice(HEADER_BYTES..))
    }

    /// Its records to read in place, which costs about half of sharing them.
    ///
    /// # Errors
    /// [`RecordsError::Count`], [`RecordsError::UnknownCodec`], [`RecordsError::Decompress`] and
    /// [`RecordsError::OverLimit`]. A compressed body is decompressed whole before its first record can be read.
    pub fn body(&self, limit: DecompressLimit) -> Result<BatchBody, RecordsError> {
        let compression = self.header.compression()?;
        let (base, count) = base_and_count(&self.header)?;
        let stored = self.bytes.slice(HEADER_BYTES..);
        let bytes = match compression {
            Compression::None => stored,
            // Nothing to find in it; compaction leaves such batches, and a broker may write no stream at all then.
            _ if count == 0 => Bytes::new(),
            compression => Bytes::from(codec::decompress(compression, &stored, limit)?),
        };
        Ok(BatchBody {
            bytes,
            progress: Progress::new(base, count),
        })
    }
}

/// What the records count from, and how many there are.
pub(super) fn base_and_count(header: &BatchHeader) -> Result<(Base, u32), RecordsError> {
    let count = u32::try_from(header.count).map_err(|_| RecordsError::Count {
        count: header.count,
    })?;
    let base = Base {
        offset: header.base_offset,
        timestamp: header.base_timestamp,
        append_time: header.is_log_append_time().then_some(header.max_timestamp),
    };
    Ok((base, count))
}

impl BatchBody {
    /// The records, borrowed.
    #[must_use]
    pub fn iter(&self) -> RecordViews<'_> {
        RecordViews::new(&self.bytes, self.progress)
    }

    /// Bytes of the decompressed records.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl<'a> IntoIterator for &'a BatchBody {
    type Item = Result<super::RecordView<'a>, RecordsError>;
    type IntoIter = RecordViews<'a>;

    fn into_iter(self) -> RecordViews<'a> {
        self.iter()
    }
}
