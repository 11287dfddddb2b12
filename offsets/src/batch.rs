//! Between [`Record`]s and the two byte sections of a [`Batch`](crate::log::Batch): one Kafka v2 record batch, uncompressed, as
//! Kafka 4.2.0 writes `__consumer_offsets` by default, and the generation marks. Pure; replay and live share it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::record::Record;
use crate::record::codec::{self, Decoded, RecordError};

/// Where the fields of a v2 batch header lie.
const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const COUNT_AT: usize = 57;
/// Bytes of a v2 batch header.
const HEADER_BYTES: usize = 61;

/// Why stored bytes are no batch of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BatchError {
    /// The Kafka batch is damaged or of a form this crate never writes.
    #[error("record batch: {0}")]
    Batch(&'static str),
    /// A record in it does not parse.
    #[error("record at offset {offset}: {source}")]
    Record {
        /// Its Kafka offset.
        offset: i64,
        /// Why.
        source: RecordError,
    },
    /// The marks do not parse.
    #[error("generation marks: {0}")]
    Marks(RecordError),
}

/// The sections of one append.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) records: u32,
    pub(crate) marks: Bytes,
    pub(crate) kafka: Bytes,
}

/// Encodes records as one batch from `base_offset` on, all with the same timestamp (create time, milliseconds).
pub(crate) fn encode(
    records: &[Record],
    base_offset: i64,
    timestamp_ms: i64,
) -> Result<Encoded, RecordError> {
    let marks = Bytes::from(codec::encode_marks(records)?);
    let mut out = BytesMut::with_capacity(HEADER_BYTES + records.len() * 96);
    out.resize(HEADER_BYTES, 0);
    let mut count: u32 = 0;
    let mut body = Vec::new();
    for record in records {
        let Some((key, value)) = codec::encode(record)? else {
            continue;
        };
        body.clear();
        body.push(0); // record attributes: unused
        put_varint(&mut body, 0); // timestamp delta
        put_varint(&mut body, i64::from(count));
        put_varint(&mut body, key.len() as i64);
        body.extend(&key);
        match value {
            Some(value) => {
                put_varint(&mut body, value.len() as i64);
                body.extend(&value);
            }
            None => put_varint(&mut body, -1),
        }
        put_varint(&mut body, 0); // headers
        let mut prefix = Vec::with_capacity(5);
        put_varint(&mut prefix, body.len() as i64);
        out.extend_from_slice(&prefix);
        out.extend_from_slice(&body);
        count += 1;
    }
    if count == 0 {
        return Ok(Encoded {
            records: 0,
            marks,
            kafka: Bytes::new(),
        });
    }
    let length = i32::try_from(out.len() - LENGTH_AT - 4).map_err(|_| RecordError::TooLong {
        field: "batch",
        bytes: out.len(),
    })?;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.put_i64(base_offset);
    header.put_i32(length);
    header.put_i32(0); // partition leader epoch
    header.put_i8(2); // magic
    header.put_u32(0); // CRC, below
    header.put_i16(0); // attributes: no codec, create time
    header.put_i32(count.cast_signed() - 1);
    header.put_i64(timestamp_ms);
    header.put_i64(timestamp_ms);
    header.put_i64(-1); // producer id
    header.put_i16(-1);
    header.put_i32(-1);
    header.put_i32(count.cast_signed());
    out[..HEADER_BYTES].copy_from_slice(&header);
    let crc = crc32c::crc32c(&out[ATTRIBUTES_AT..]);
    out[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    Ok(Encoded {
        records: count,
        marks,
        kafka: out.freeze(),
    })
}

/// Gives `each` every record of a stored batch with its Kafka offset, then the marks (offset of the batch's end).
/// A type this crate does not know is given as `Err(record_type)`; the caller warns and goes on.
///
/// # Errors
/// [`BatchError`]; what was given before stays given.
pub(crate) fn decode(
    kafka: &[u8],
    marks: &[u8],
    base_offset: i64,
    mut each: impl FnMut(Result<Record, i16>, i64),
) -> Result<(), BatchError> {
    let mut next_offset = base_offset;
    if !kafka.is_empty() {
        next_offset = decode_kafka(kafka, base_offset, &mut each)?;
    }
    for mark in codec::decode_marks(marks).map_err(BatchError::Marks)? {
        each(Ok(mark), next_offset);
    }
    Ok(())
}

fn decode_kafka(
    bytes: &[u8],
    base_offset: i64,
    each: &mut impl FnMut(Result<Record, i16>, i64),
) -> Result<i64, BatchError> {
    let (header, mut body) = bytes
        .split_at_checked(HEADER_BYTES)
        .ok_or(BatchError::Batch("shorter than its header"))?;
    if header[MAGIC_AT] != 2 {
        return Err(BatchError::Batch("not of magic 2"));
    }
    if field::<8>(header, 0) != base_offset.to_be_bytes() {
        return Err(BatchError::Batch("base offset differs from the frame's"));
    }
    if i32::from_be_bytes(field(header, LENGTH_AT)) as usize != bytes.len() - LENGTH_AT - 4 {
        return Err(BatchError::Batch("length differs from the bytes"));
    }
    if u32::from_be_bytes(field(header, CRC_AT)) != crc32c::crc32c(&bytes[ATTRIBUTES_AT..]) {
        return Err(BatchError::Batch("checksum differs"));
    }
    if i16::from_be_bytes(field(header, ATTRIBUTES_AT)) & 0x37 != 0 {
        return Err(BatchError::Batch("compressed, transactional or control"));
    }
    let count = i32::from_be_bytes(field(header, COUNT_AT));
    for _ in 0..count {
        let length = get_length(&mut body)?.ok_or(MALFORMED)?;
        let mut record = take(&mut body, length)?;
        take(&mut record, 1)?;
        get_varint(&mut record)?;
        let offset = base_offset
            .checked_add(get_varint(&mut record)?)
            .ok_or(MALFORMED)?;
        let key = nullable(&mut record)?;
        let value = nullable(&mut record)?;
        let decoded =
            codec::decode(key, value).map_err(|source| BatchError::Record { offset, source })?;
        each(
            match decoded {
                Decoded::Record(record) => Ok(record),
                Decoded::Unknown { record_type } => Err(record_type),
            },
            offset,
        );
    }
    if !body.is_empty() {
        return Err(BatchError::Batch("bytes behind the last record"));
    }
    Ok(base_offset + i64::from(count))
}

const MALFORMED: BatchError = BatchError::Batch("malformed record");

fn field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[at..at + N]);
    out
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], BatchError> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(MALFORMED)?;
    *bytes = rest;
    Ok(taken)
}

fn nullable<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BatchError> {
    match get_length(bytes)? {
        Some(length) => take(bytes, length).map(Some),
        None => Ok(None),
    }
}

fn get_length(bytes: &mut &[u8]) -> Result<Option<usize>, BatchError> {
    match get_varint(bytes)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| MALFORMED),
    }
}

/// Kafka's zigzag varint.
fn get_varint(bytes: &mut &[u8]) -> Result<i64, BatchError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    Err(MALFORMED)
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
