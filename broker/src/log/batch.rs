//! Record batches at the edge of the log: what may be appended, how it is stamped, how a stored one is recognised.
//! All knowledge of the bytes comes from the protocol's record reader; nothing here decodes a record itself.

use std::sync::Arc;

use bytes::Bytes;
use callboard_protocol::ErrorCode;
use callboard_protocol::records::{
    Batch, BatchIter, Compression, RecordFault, RecordsError, Scan, Scanned, Step,
};

use super::core::{ProducerBatch, StampedBy};
use super::{FoundOffset, LogError};

/// Bytes of a batch before its records.
pub(crate) const HEADER_BYTES: usize = 61;

/// What the log needs of a batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    /// Bytes of the whole batch.
    pub(crate) size: u64,
    pub(crate) leader_epoch: i32,
    pub(crate) max_timestamp: i64,
    pub(crate) attributes: i16,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
}

/// The attribute bits of the codec.
const CODEC: i16 = 7;
/// The attribute bit of timestamps that are the broker's.
const APPEND_TIME: i16 = 1 << 3;
/// The attribute bit of transactional batches.
const TRANSACTIONAL: i16 = 1 << 4;

impl BatchHeader {
    /// Whether the records are compressed, with whatever codec.
    pub(crate) fn is_compressed(&self) -> bool {
        self.attributes & CODEC != 0
    }

    /// The batch as the idempotence check sees it; None without a producer id.
    pub(crate) fn producer(&self) -> Option<ProducerBatch> {
        (self.producer_id >= 0).then(|| ProducerBatch {
            producer_id: self.producer_id,
            epoch: self.producer_epoch,
            first_sequence: self.base_sequence,
            last_sequence: last_sequence(self.base_sequence, self.last_offset - self.base_offset),
            base_offset: self.base_offset,
            last_offset: self.last_offset,
            timestamp: self.max_timestamp,
        })
    }
}

/// One batch of a producer that may be appended: whole, intact, every record readable. Shares the bytes of its request.
#[derive(Clone, Debug)]
pub struct ValidBatch {
    bytes: Bytes,
    header: BatchHeader,
    record_count: u32,
    /// Of the records themselves: a header may lie.
    timestamps: Timestamps,
    /// Whether a record has no key.
    keyless: bool,
}

/// The oldest and the newest timestamp of a batch's records, milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timestamps {
    min: i64,
    max: i64,
}

/// What the broker writes into a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) base_offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) stamped_by: StampedBy,
    /// The newest timestamp: of the records, or the broker's clock.
    pub(crate) newest: i64,
}

impl ValidBatch {
    /// Checks what a producer sent, reading every record, however much there is to unfold: `BatchCheck` does it in slices.
    ///
    /// # Errors
    /// [`LogError::Invalid`] with the code Kafka 4.2.0 answers.
    pub fn check(bytes: Bytes) -> Result<Self, LogError> {
        let mut check = BatchCheck::new(bytes)?;
        loop {
            if let Some(valid) = check.step(&mut { usize::MAX })? {
                return Ok(valid);
            }
        }
    }

    /// Bytes of the batch.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Records of the batch, at least one.
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    pub(crate) fn min_timestamp(&self) -> i64 {
        self.timestamps.min
    }

    pub(crate) fn max_timestamp(&self) -> i64 {
        self.timestamps.max
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.header.attributes & TRANSACTIONAL != 0
    }

    /// Whether a record has no key, and so no place in a compacted topic.
    pub(crate) fn has_keyless_record(&self) -> bool {
        self.keyless
    }

    /// Whether the producer claims that its timestamps are the broker's.
    pub(crate) fn claims_append_time(&self) -> bool {
        self.header.attributes & APPEND_TIME != 0
    }

    /// The batch as the idempotence check sees it, if it gets `base_offset`.
    pub(crate) fn producer(&self, base_offset: i64, newest: i64) -> Option<ProducerBatch> {
        let last_offset = base_offset + i64::from(self.record_count) - 1;
        BatchHeader {
            base_offset,
            last_offset,
            max_timestamp: newest,
            ..self.header
        }
        .producer()
    }

    /// The header as it is stored. Offset and leader epoch lie outside of the checksum; where the timestamps change,
    /// it is computed anew, as Kafka does. The records are stored as they came.
    pub(crate) fn stamped_header(&self, stamp: &Stamp) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&self.bytes[..HEADER_BYTES]);
        header[0..8].copy_from_slice(&stamp.base_offset.to_be_bytes());
        header[12..16].copy_from_slice(&stamp.leader_epoch.to_be_bytes());
        let attributes = match stamp.stamped_by {
            StampedBy::Producer => self.header.attributes,
            StampedBy::Broker => self.header.attributes | APPEND_TIME,
        };
        if attributes != self.header.attributes || stamp.newest != self.header.max_timestamp {
            header[21..23].copy_from_slice(&attributes.to_be_bytes());
            header[35..43].copy_from_slice(&stamp.newest.to_be_bytes());
            let crc = crc32c::crc32c_append(crc32c::crc32c(&header[21..]), self.body());
            header[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        header
    }

    /// What follows the header.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..]
    }
}

fn last_sequence(first: i32, delta: i64) -> i32 {
    // Sequences count in 31 bits: after 2^31-1 comes 0.
    i32::try_from((i64::from(first) + delta) & i64::from(i32::MAX)).unwrap_or(0)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// The header at the front of `bytes`; None when that is no batch of version 2.
pub(crate) fn parse_header(bytes: &[u8]) -> Option<BatchHeader> {
    bytes.get(..HEADER_BYTES)?;
    let length = i32::from_be_bytes(field(bytes, 8)?);
    let size = u64::try_from(length).ok()? + 12;
    if size < HEADER_BYTES as u64 || bytes[16] != 2 {
        return None;
    }
    let base_offset = i64::from_be_bytes(field(bytes, 0)?);
    Some(BatchHeader {
        base_offset,
        last_offset: base_offset.checked_add(i64::from(i32::from_be_bytes(field(bytes, 23)?)))?,
        size,
        leader_epoch: i32::from_be_bytes(field(bytes, 12)?),
        attributes: i16::from_be_bytes(field(bytes, 21)?),
        max_timestamp: i64::from_be_bytes(field(bytes, 35)?),
        producer_id: i64::from_be_bytes(field(bytes, 43)?),
        producer_epoch: i16::from_be_bytes(field(bytes, 51)?),
        base_sequence: i32::from_be_bytes(field(bytes, 53)?),
    })
}

/// Whether the checksum of one whole batch is right.
pub(crate) fn intact(batch: &[u8]) -> bool {
    let crc = field(batch, 17).map(u32::from_be_bytes);
    batch
        .get(21..)
        .is_some_and(|covered| Some(crc32c::crc32c(covered)) == crc)
}

/// How many of the bytes are whole batches. Stored bytes: what they say of their lengths was checked when they came.
pub(crate) fn whole_batches(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(length) = field(bytes, end + 8).map(i32::from_be_bytes) {
        let next = usize::try_from(length)
            .ok()
            .and_then(|length| end.checked_add(length)?.checked_add(12));
        match next {
            Some(next) if next <= bytes.len() && length > 0 => end = next,
            _ => break,
        }
    }
    end
}

/// The first record of a stored batch that is not older than `timestamp` and not before `from`. What a batch must not
/// be is told in words: it passed [`ValidBatch::check`] when it came.
pub(crate) fn first_record_at_or_after(
    batch: Bytes,
    timestamp: i64,
    from: i64,
) -> Result<Option<FoundOffset>, String> {
    RecordSearch::new(batch, timestamp, from)?.run()
}

/// What a slice of a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sought {
    /// There is more to look at.
    Paused,
    Found(FoundOffset),
    Nothing,
}

/// [`first_record_at_or_after`] in slices of work: a batch may unfold to gigabytes.
#[derive(Debug)]
pub(crate) struct RecordSearch {
    scan: Scan,
    timestamp: i64,
    from: i64,
}

impl RecordSearch {
    pub(crate) fn new(batch: Bytes, timestamp: i64, from: i64) -> Result<Self, String> {
        let batch = only_batch(batch).map_err(|error| error.to_string())?;
        Ok(Self {
            scan: batch.scan().map_err(|error| error.to_string())?,
            timestamp,
            from,
        })
    }

    /// Bytes it holds between its slices.
    pub(crate) fn memory(&self) -> usize {
        self.scan.memory()
    }

    /// Goes on until `bytes` are used up.
    pub(crate) fn step(&mut self, bytes: &mut usize) -> Result<Sought, String> {
        loop {
            match self.scan.next(bytes).map_err(|error| error.to_string())? {
                Step::Record(record)
                    if record.timestamp >= self.timestamp && record.offset >= self.from =>
                {
                    return Ok(Sought::Found(FoundOffset {
                        offset: record.offset,
                        timestamp: record.timestamp,
                    }));
                }
                Step::Record(_) => {}
                Step::Paused => return Ok(Sought::Paused),
                Step::End => return Ok(Sought::Nothing),
            }
        }
    }

    /// All of it in one go.
    pub(crate) fn run(&mut self) -> Result<Option<FoundOffset>, String> {
        loop {
            match self.step(&mut { usize::MAX })? {
                Sought::Paused => {}
                Sought::Found(found) => return Ok(Some(found)),
                Sought::Nothing => return Ok(None),
            }
        }
    }
}

/// What only the records themselves tell.
#[derive(Clone, Copy, Debug)]
struct Seen {
    timestamps: Timestamps,
    keyless: bool,
}

/// A batch that is being checked, in slices of work. Its records are looked at as they unfold and none is kept.
#[derive(Debug)]
pub(crate) struct BatchCheck {
    batch: Batch,
    /// What the codec says counts when everything before is right.
    scan: Result<Scan, RecordsError>,
    /// Whether the header was looked at.
    begun: bool,
    /// Records so far.
    count: i64,
    seen: Option<Seen>,
}

impl BatchCheck {
    /// Finds the batch in what a producer sent for a partition.
    ///
    /// # Errors
    /// [`LogError::NotOneBatch`].
    pub(crate) fn new(bytes: Bytes) -> Result<Self, LogError> {
        let batch = only_batch(bytes)?;
        Ok(Self {
            scan: batch.scan(),
            batch,
            begun: false,
            count: 0,
            seen: None,
        })
    }

    /// Whether the records are compressed: then nobody knows how much they are.
    pub(crate) fn is_compressed(&self) -> bool {
        let codec = self.batch.header().compression();
        codec.is_ok_and(|codec| codec != Compression::None)
    }

    /// Bytes of the batch.
    pub(crate) fn size(&self) -> usize {
        self.batch.bytes().len()
    }

    /// Bytes it holds between its slices.
    pub(crate) fn memory(&self) -> usize {
        self.scan.as_ref().map_or(0, Scan::memory)
    }

    /// Goes on until `bytes` are used up. The batch, once all of it is right.
    ///
    /// # Errors
    /// [`LogError::Invalid`] with the code Kafka 4.2.0 answers.
    pub(crate) fn step(&mut self, bytes: &mut usize) -> Result<Option<ValidBatch>, LogError> {
        if !self.begun {
            *bytes = bytes.saturating_sub(self.batch.bytes().len());
            check_header(&self.batch)?;
            self.begun = true;
        }
        let compressed = self.is_compressed();
        let scan = self.scan.as_mut().map_err(|error| refused(error))?;
        loop {
            match scan.next(bytes).map_err(|error| refused(&error))? {
                Step::Record(record) => {
                    // Kafka writes such a batch anew, and here batches are stored as they came.
                    if compressed && record.offset != self.count {
                        let (index, offset) = (self.count, record.offset);
                        let reason =
                            format!("record {index} of a compressed batch has offset {offset}");
                        return Err(invalid(ErrorCode::INVALID_RECORD, reason));
                    }
                    self.count += 1;
                    Seen::add(&mut self.seen, &record);
                }
                Step::Paused => return Ok(None),
                Step::End => return self.valid().map(Some),
            }
        }
    }

    fn valid(&self) -> Result<ValidBatch, LogError> {
        let batch = &self.batch;
        let seen = self
            .seen
            .ok_or_else(|| invalid(ErrorCode::INVALID_RECORD, "no records"))?;
        let header = parse_header(batch.bytes())
            .ok_or_else(|| invalid(ErrorCode::CORRUPT_MESSAGE, "no batch of version 2"))?;
        Ok(ValidBatch {
            record_count: batch.header().count.unsigned_abs(),
            bytes: batch.bytes().clone(),
            header,
            timestamps: seen.timestamps,
            keyless: seen.keyless,
        })
    }
}

impl Seen {
    fn add(seen: &mut Option<Self>, record: &Scanned) {
        let at = record.timestamp;
        let seen = seen.get_or_insert(Self {
            timestamps: Timestamps { min: at, max: at },
            keyless: false,
        });
        seen.timestamps.min = seen.timestamps.min.min(at);
        seen.timestamps.max = seen.timestamps.max.max(at);
        seen.keyless |= !record.has_key;
    }
}

/// What Kafka checks before it looks at a record.
fn check_header(batch: &Batch) -> Result<(), LogError> {
    let claimed = batch.header();
    if claimed.base_offset != 0 {
        let reason = format!("the base offset is {} and not 0", claimed.base_offset);
        return Err(invalid(ErrorCode::INVALID_RECORD, reason));
    }
    batch.verify_crc().map_err(|error| refused(&error))?;
    if claimed.is_control() {
        let reason = "producers cannot write control records";
        return Err(invalid(ErrorCode::INVALID_RECORD, reason));
    }
    if claimed.count <= 0 || claimed.last_offset_delta != claimed.count - 1 {
        let reason = format!(
            "{} records and a last offset delta of {}",
            claimed.count, claimed.last_offset_delta
        );
        return Err(invalid(ErrorCode::INVALID_RECORD, reason));
    }
    if claimed.producer_id >= 0 && claimed.base_sequence < 0 {
        let reason = "a producer id without a sequence";
        return Err(invalid(ErrorCode::INVALID_RECORD, reason));
    }
    Ok(())
}

/// The one batch a producer may send for a partition. Bytes behind it that are no whole batch are left out, as by Kafka.
fn only_batch(bytes: Bytes) -> Result<Batch, LogError> {
    let not_one = |code, reason: &dyn std::fmt::Display| LogError::NotOneBatch {
        code,
        reason: reason.to_string().into(),
    };
    let mut batches = BatchIter::new(bytes);
    match (batches.next(), batches.next()) {
        (Some(Ok(first)), None) => Ok(first),
        (None, _) => Err(not_one(ErrorCode::INVALID_RECORD, &"no whole batch")),
        (_, Some(Ok(_))) => Err(not_one(ErrorCode::INVALID_RECORD, &"more than one batch")),
        (Some(Err(error)), _) | (_, Some(Err(error))) => Err(not_one(code_of(&error), &error)),
    }
}

/// The code Kafka 4.2.0 answers to what its reader stumbles over; not every one of them is what one would expect.
fn code_of(error: &RecordsError) -> ErrorCode {
    match error {
        RecordsError::Length { .. }
        | RecordsError::UnknownMagic { .. }
        | RecordsError::HeaderCut { .. }
        | RecordsError::Crc { .. } => ErrorCode::CORRUPT_MESSAGE,
        RecordsError::UnknownCodec { .. }
        | RecordsError::Decompress { .. }
        | RecordsError::Record {
            fault: RecordFault::OverlongLength,
            ..
        } => ErrorCode::UNKNOWN_SERVER_ERROR,
        _ => ErrorCode::INVALID_RECORD,
    }
}

fn refused(error: &RecordsError) -> LogError {
    invalid(code_of(error), error.to_string())
}

fn invalid(code: ErrorCode, reason: impl Into<Arc<str>>) -> LogError {
    LogError::Invalid {
        code,
        reason: reason.into(),
    }
}
