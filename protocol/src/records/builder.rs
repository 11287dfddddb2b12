//! Writes one batch. Owned by whoever gathers records: a producer, the log of committed offsets, a test.

use bytes::Bytes;

use super::codec;
use super::header::{BatchHeader, COVERED_FROM, CRC_AT, HEADER_BYTES, LENGTH_OVERHEAD};
use super::{Compression, RecordsError};
use crate::varint;

/// A header to be written.
type HeaderPair = (String, Option<Bytes>);

/// Gathers records and writes them as one batch, with one checksum, compressed as a whole.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    base_offset: i64,
    leader_epoch: i32,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    next_delta: i64,
    count: u32,
    /// Room for the header, then the records.
    out: Vec<u8>,
    unwritable: Option<&'static str>,
}

impl BatchBuilder {
    /// A batch whose first record gets `base_offset`; producers write 0 and the broker replaces it.
    #[must_use]
    pub fn new(base_offset: i64, compression: Compression) -> Self {
        Self {
            compression,
            base_offset,
            leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            base_timestamp: 0,
            max_timestamp: 0,
            next_delta: 0,
            count: 0,
            out: vec![0; HEADER_BYTES],
            unwritable: None,
        }
    }

    /// The idempotent producer, its epoch, and the first record's sequence (KIP-98).
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// The partition leader epoch; producers leave it to the broker.
    #[must_use]
    pub fn leader_epoch(mut self, epoch: i32) -> Self {
        self.leader_epoch = epoch;
        self
    }

    /// Adds a record with the next offset. What does not fit the format is reported by [`build`](Self::build).
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderPair],
    ) {
        self.push_delta(self.next_delta, timestamp, key, value, headers);
    }

    /// Adds a record with an offset of its own, above the last one: a snapshot leaves gaps.
    pub fn push_at(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) {
        match offset.checked_sub(self.base_offset) {
            Some(delta) if delta >= self.next_delta => {
                self.push_delta(delta, timestamp, key, value, &[]);
            }
            _ => self.unwritable = Some("offsets do not ascend"),
        }
    }

    fn push_delta(
        &mut self,
        delta: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderPair],
    ) {
        if delta > i64::from(i32::MAX) {
            self.unwritable = Some("its offsets span more than 31 bits");
            return;
        }
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        // Wraps as the reader does: only timestamps that no clock gives are so far apart.
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let length = 1
            + varint::size_i64(timestamp_delta)
            + varint::size_i64(delta)
            + nullable_size(key)
            + nullable_size(value)
            + varint::size_i64(headers.len() as i64)
            + headers
                .iter()
                .map(|(key, value)| {
                    nullable_size(Some(key.as_bytes())) + nullable_size(value.as_deref())
                })
                .sum::<usize>();
        if length > i32::MAX as usize - self.out.len() {
            // Nothing of it is written: a batch that cannot be built must not grow without end.
            self.unwritable = Some("it exceeds 2 GiB");
            return;
        }
        let out = &mut self.out;
        out.reserve(length + varint::size_i64(length as i64));
        varint::write_i64(out, length as i64);
        out.push(0);
        varint::write_i64(out, timestamp_delta);
        varint::write_i64(out, delta);
        put_nullable(out, key);
        put_nullable(out, value);
        varint::write_i64(out, headers.len() as i64);
        for (key, value) in headers {
            put_nullable(out, Some(key.as_bytes()));
            put_nullable(out, value.as_deref());
        }
        self.next_delta = delta + 1;
        self.count += 1;
    }

    /// Records so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes of the batch so far, if it were not compressed.
    #[must_use]
    pub fn size(&self) -> usize {
        self.out.len()
    }

    /// The batch. Without a record there is none and no bytes come out.
    ///
    /// # Errors
    /// [`RecordsError::Unwritable`] and [`RecordsError::Compress`].
    pub fn build(self) -> Result<Bytes, RecordsError> {
        if let Some(reason) = self.unwritable {
            return Err(RecordsError::Unwritable { reason });
        }
        if self.count == 0 {
            return Ok(Bytes::new());
        }
        let mut out = match self.compression {
            Compression::None => self.out,
            compression => {
                let mut out = vec![0; HEADER_BYTES];
                codec::compress(compression, &self.out[HEADER_BYTES..], &mut out)?;
                out
            }
        };
        let too_large = |_| RecordsError::Unwritable {
            reason: "it exceeds 2 GiB",
        };
        let header = BatchHeader {
            base_offset: self.base_offset,
            length: i32::try_from(out.len() - LENGTH_OVERHEAD).map_err(too_large)?,
            partition_leader_epoch: self.leader_epoch,
            crc: 0,
            attributes: self.compression.bits(),
            last_offset_delta: i32::try_from(self.next_delta - 1).map_err(too_large)?,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            count: i32::try_from(self.count).map_err(too_large)?,
        };
        out[..HEADER_BYTES].copy_from_slice(&header.to_bytes());
        let crc = crc32c::crc32c(&out[COVERED_FROM..]);
        out[CRC_AT..COVERED_FROM].copy_from_slice(&crc.to_be_bytes());
        Ok(Bytes::from(out))
    }
}

fn nullable_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| {
        varint::size_i64(bytes.len() as i64) + bytes.len()
    })
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            varint::write_i64(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => varint::write_i64(out, -1),
    }
}
