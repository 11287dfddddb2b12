//! The 61 bytes before a batch's records.

use super::{Compression, RecordsError};

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;

/// Bytes that the length field does not count: itself and the base offset.
pub(super) const LENGTH_OVERHEAD: usize = 12;
/// Bytes up to and including the magic, whose place no version changed.
const MAGIC_END: usize = 17;
/// The shortest length of any version: what a message of version 0 has besides key and value.
const LENGTH_MIN: i32 = 14;
/// Where the checksum lies and what it covers.
pub(super) const CRC_AT: usize = 17;
pub(super) const COVERED_FROM: usize = 21;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A batch's header as it stands in the bytes: what it claims is checked when the records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset that the records' offset deltas count from.
    pub base_offset: i64,
    /// Bytes of the batch after this field.
    pub length: i32,
    /// The leader epoch the batch was appended in. Not covered by the checksum.
    pub partition_leader_epoch: i32,
    /// CRC32C of everything after this field.
    pub crc: u32,
    /// Codec, timestamp type and the kinds of batch; unused bits are kept.
    pub attributes: i16,
    /// The last record's offset, or that of the last record before compaction, as a delta.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from.
    pub base_timestamp: i64,
    /// The newest timestamp, milliseconds since 1970.
    pub max_timestamp: i64,
    /// The idempotent producer; -1 for none.
    pub producer_id: i64,
    /// Its epoch; -1 for none.
    pub producer_epoch: i16,
    /// The first record's sequence; -1 for none.
    pub base_sequence: i32,
    /// Records in the batch.
    pub count: i32,
}

impl BatchHeader {
    /// The header of the batch at the front of `bytes`; `None` when the bytes end before the batch does.
    ///
    /// # Errors
    /// One of [`Stage::Batch`](super::Stage::Batch).
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, RecordsError> {
        let Some(length) = field(bytes, 8).map(i32::from_be_bytes) else {
            return Ok(None);
        };
        if length < LENGTH_MIN {
            return Err(RecordsError::Length { length });
        }
        if bytes.len() < MAGIC_END {
            return Ok(None);
        }
        let magic = bytes[16].cast_signed();
        if !(0..=2).contains(&magic) {
            return Err(RecordsError::UnknownMagic { magic });
        }
        let size = length as usize + LENGTH_OVERHEAD;
        if size > bytes.len() {
            return Ok(None);
        }
        if magic < 2 {
            return Err(RecordsError::OldMessageSet { magic });
        }
        match bytes.first_chunk() {
            Some(header) if size >= HEADER_BYTES => Ok(Some(Self::read(header))),
            _ => Err(RecordsError::HeaderCut { size }),
        }
    }

    fn read(bytes: &[u8; HEADER_BYTES]) -> Self {
        let at = Fields(bytes);
        Self {
            base_offset: i64::from_be_bytes(at.take::<0, 8>()),
            length: i32::from_be_bytes(at.take::<8, 4>()),
            partition_leader_epoch: i32::from_be_bytes(at.take::<12, 4>()),
            crc: u32::from_be_bytes(at.take::<CRC_AT, 4>()),
            attributes: i16::from_be_bytes(at.take::<COVERED_FROM, 2>()),
            last_offset_delta: i32::from_be_bytes(at.take::<23, 4>()),
            base_timestamp: i64::from_be_bytes(at.take::<27, 8>()),
            max_timestamp: i64::from_be_bytes(at.take::<35, 8>()),
            producer_id: i64::from_be_bytes(at.take::<43, 8>()),
            producer_epoch: i16::from_be_bytes(at.take::<51, 2>()),
            base_sequence: i32::from_be_bytes(at.take::<53, 4>()),
            count: i32::from_be_bytes(at.take::<57, 4>()),
        }
    }

    /// The bytes it was read from: magic 2 and every field.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.length.to_be_bytes());
        out[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        out[16] = 2;
        out[CRC_AT..COVERED_FROM].copy_from_slice(&self.crc.to_be_bytes());
        out[COVERED_FROM..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn size(&self) -> usize {
        // Parsed lengths are not negative.
        usize::try_from(self.length).unwrap_or(0) + LENGTH_OVERHEAD
    }

    /// The offset of the last record, or of the last one before compaction.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// Where to go on after this batch. Also past a batch that compaction left empty.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`RecordsError::UnknownCodec`].
    pub fn compression(&self) -> Result<Compression, RecordsError> {
        Compression::of_bits((self.attributes & CODEC_MASK) as u8)
    }

    /// Whether every record's timestamp is the batch's newest: the broker's clock at the append.
    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether its records are markers of the broker, which no application sees.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
}

/// Fields of the header at places the compiler checks.
struct Fields<'a>(&'a [u8; HEADER_BYTES]);

impl Fields<'_> {
    fn take<const AT: usize, const N: usize>(&self) -> [u8; N] {
        const { assert!(AT + N <= HEADER_BYTES) };
        let mut out = [0; N];
        out.copy_from_slice(&self.0[AT..AT + N]);
        out
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
