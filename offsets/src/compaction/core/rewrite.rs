//! Makes chunks of a snapshot: records with their own offsets, timestamps and bytes in batches of a limited size, then
//! generation marks. Pure.

use bytes::Bytes;
use callboard_protocol::records::{BatchBuilder, Compression, Record as Stored, RecordsError};

use crate::batch::LEADER_EPOCH;
use crate::log::Chunk;
use crate::record::Record;
use crate::record::codec::{self, RecordError};

/// Bytes of a chunk; a record that is larger has one of its own. Whoever fetches gets whole chunks.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;
/// Marks of a chunk. A group's name has at most 32 KiB, and few have more than some dozens of bytes.
const CHUNK_MARKS: usize = 1000;
/// Offsets of a batch count from its first in 31 bits.
const SPAN_MAX: i64 = i32::MAX as i64;

/// A chunk that is being filled with records, ascending.
#[derive(Debug)]
pub(crate) struct Filling {
    base_offset: i64,
    end_offset: i64,
    batch: BatchBuilder,
}

impl Filling {
    /// With its first record.
    pub(crate) fn new(first: &Stored) -> Self {
        let mut filling = Self {
            base_offset: first.offset,
            end_offset: first.offset,
            batch: BatchBuilder::new(first.offset, Compression::None).leader_epoch(LEADER_EPOCH),
        };
        filling.push(first);
        filling
    }

    /// Whether one more belongs into it.
    pub(crate) fn takes(&self, record: &Stored) -> bool {
        let bytes = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
        let size = self.batch.size() + bytes(&record.key) + bytes(&record.value);
        size <= CHUNK_BYTES && record.offset - self.base_offset <= SPAN_MAX
    }

    /// Adds it.
    pub(crate) fn push(&mut self, record: &Stored) {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        self.batch
            .push_at(record.offset, record.timestamp, key, value);
        self.end_offset = record.offset + 1;
    }

    /// The chunk.
    ///
    /// # Errors
    /// If it has no bytes.
    pub(crate) fn finish(self) -> Result<Chunk, RecordsError> {
        Ok(Chunk {
            base_offset: self.base_offset,
            end_offset: self.end_offset,
            marks: Bytes::new(),
            kafka: self.batch.build()?,
        })
    }
}

/// The first of these marks as a chunk behind all records, and the others. `None` if there are none.
///
/// # Errors
/// If one has no bytes.
pub(crate) fn marks_chunk(
    marks: &[Record],
    end_offset: i64,
) -> Result<Option<(Chunk, &[Record])>, RecordError> {
    if marks.is_empty() {
        return Ok(None);
    }
    let (these, rest) = marks.split_at(marks.len().min(CHUNK_MARKS));
    let chunk = Chunk {
        base_offset: end_offset,
        end_offset,
        marks: codec::encode_marks(these)?.into(),
        kafka: Bytes::new(),
    };
    Ok(Some((chunk, rest)))
}
