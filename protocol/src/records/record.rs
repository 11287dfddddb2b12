//! One record: borrowed from a body, or sharing its memory. Headers stay undecoded until somebody asks.

use bytes::Bytes;

use super::RecordFault;
use crate::varint::{self, VarintError};

/// A record that borrows from its batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970: the producer's, or the broker's where the batch says so.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: HeaderViews<'a>,
}

/// A record that shares the memory of its batch's body. Keeping one keeps the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970: the producer's, or the broker's where the batch says so.
    pub timestamp: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
}

/// The headers of a [`RecordView`], in order; keys may repeat. Found whole when the record was read, decoded when asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderViews<'a> {
    count: u32,
    bytes: &'a [u8],
}

/// The headers of a [`Record`], in order; keys may repeat. Found whole when the record was read, decoded when asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    count: u32,
    bytes: Bytes,
}

/// One header of a [`RecordView`]; also the iterator's own: see [`HeaderViews`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderView<'a> {
    /// The key, UTF-8 by convention; nobody checks.
    pub key: &'a [u8],
    /// The value.
    pub value: Option<&'a [u8]>,
}

/// One header of a [`Record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The key, UTF-8 by convention; nobody checks.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

/// What the deltas of a batch's records count from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    /// The timestamp of every record, where the broker's clock counts.
    pub(super) append_time: Option<i64>,
}

impl Base {
    /// The offset and the timestamp of the record with these deltas.
    #[inline(always)]
    pub(super) fn place(
        &self,
        offset_delta: i32,
        timestamp_delta: i64,
    ) -> Result<(i64, i64), RecordFault> {
        let offset = self
            .offset
            .checked_add(i64::from(offset_delta))
            .ok_or(RecordFault::OffsetOverflow)?;
        // Wraps as in Java: the writer wraps too, so the extremes come back as they went in.
        let timestamp = self
            .append_time
            .unwrap_or_else(|| self.timestamp.wrapping_add(timestamp_delta));
        Ok((offset, timestamp))
    }
}

/// The length of the record at the front of `rest`.
#[inline(always)]
pub(super) fn length(rest: &mut &[u8]) -> Result<i32, RecordFault> {
    varint::read_i32(rest).map_err(|error| match error {
        VarintError::Truncated => RecordFault::Missing,
        VarintError::TooLong => RecordFault::OverlongLength,
    })
}

impl<'a> RecordView<'a> {
    /// Reads the record at the front of `rest` and moves past it. Inlined into the loop over records, where all of it
    /// stays in registers: it is the hottest code of a consumer.
    #[inline(always)]
    pub(super) fn read(rest: &mut &'a [u8], base: &Base) -> Result<Self, RecordFault> {
        let length = length(rest)?;
        let left = rest.len();
        let Some((mut record, tail)) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
        else {
            return Err(RecordFault::Length { length, left });
        };
        // The record's own attributes: all unused.
        let [_, fields @ ..] = record else {
            return Err(RecordFault::Structure);
        };
        record = fields;
        let timestamp_delta = varint::read_i64(&mut record).map_err(structure)?;
        let offset_delta = varint::read_i32(&mut record).map_err(structure)?;
        let key = nullable(&mut record)?;
        let value = nullable(&mut record)?;
        let headers = HeaderViews::read(record)?;
        *rest = tail;
        let (offset, timestamp) = base.place(offset_delta, timestamp_delta)?;
        Ok(Self {
            offset,
            timestamp,
            key,
            value,
            headers,
        })
    }

    /// The same record, sharing the memory of `body`, which it was read from.
    #[inline(always)]
    pub(super) fn share(&self, body: &Bytes) -> Record {
        Record {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.map(|key| share(body, key)),
            value: self.value.map(|value| share(body, value)),
            headers: match self.headers.count {
                0 => Headers::default(),
                count => Headers {
                    count,
                    bytes: share(body, self.headers.bytes),
                },
            },
        }
    }
}

impl<'a> HeaderViews<'a> {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Decodes them one by one.
    #[must_use]
    pub fn iter(&self) -> HeaderIter<'a> {
        HeaderIter { rest: self.bytes }
    }

    /// Reads what is left of a record: the number of headers, and headers to the record's end. Walks over them, as a
    /// record with a broken header is broken whether or not anybody asks for it; keeps only where they are.
    #[inline(always)]
    fn read(mut record: &'a [u8]) -> Result<Self, RecordFault> {
        let count = varint::read_i32(&mut record).map_err(structure)?;
        let bytes = record;
        if count != 0 {
            record = Self::walk(count, record)?;
        }
        if !record.is_empty() {
            return Err(RecordFault::BytesLeft {
                bytes: record.len(),
            });
        }
        Ok(Self {
            count: count.cast_unsigned(),
            bytes,
        })
    }

    /// Gives back what follows `count` headers.
    fn walk(count: i32, mut record: &'a [u8]) -> Result<&'a [u8], RecordFault> {
        if usize::try_from(count).map_or(true, |count| count > record.len()) {
            return Err(RecordFault::HeaderCount { count });
        }
        for _ in 0..count {
            let length = varint::read_i32(&mut record).map_err(structure)?;
            if length < 0 {
                return Err(RecordFault::HeaderKey);
            }
            take(&mut record, length)?;
            nullable(&mut record)?;
        }
        Ok(record)
    }
}

impl<'a> IntoIterator for HeaderViews<'a> {
    type Item = HeaderView<'a>;
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

impl Headers {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Decodes them one by one.
    pub fn iter(&self) -> impl Iterator<Item = Header> + '_ {
        self.views().iter().map(|header| Header {
            key: share(&self.bytes, header.key),
            value: header.value.map(|value| share(&self.bytes, value)),
        })
    }

    /// The same headers, borrowed.
    #[must_use]
    pub fn views(&self) -> HeaderViews<'_> {
        HeaderViews {
            count: self.count,
            bytes: &self.bytes,
        }
    }
}

/// Decodes the headers of a record.
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = HeaderView<'a>;

    fn next(&mut self) -> Option<HeaderView<'a>> {
        // Walked over when the record was read: it ends where the bytes do, and nothing here fails.
        let length = varint::read_i32(&mut self.rest).ok()?;
        let key = take(&mut self.rest, length).ok()?;
        let value = nullable(&mut self.rest).ok()?;
        Some(HeaderView { key, value })
    }
}

pub(super) fn structure(_error: VarintError) -> RecordFault {
    RecordFault::Structure
}

/// A part of `body` that shares its memory. Cheaper than `slice_ref`, as it is known to be one: had it been cut from
/// elsewhere, `slice` would panic or give wrong bytes, never memory of others.
#[inline(always)]
fn share(body: &Bytes, part: &[u8]) -> Bytes {
    let start = part.as_ptr() as usize - body.as_ptr() as usize;
    body.slice(start..start + part.len())
}

/// Bytes behind their length. Every negative length is null, as in Java.
#[inline(always)]
fn nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordFault> {
    let length = varint::read_i32(rest).map_err(structure)?;
    if length < 0 {
        return Ok(None);
    }
    take(rest, length).map(Some)
}

#[inline(always)]
fn take<'a>(rest: &mut &'a [u8], length: i32) -> Result<&'a [u8], RecordFault> {
    let taken = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length));
    let (taken, tail) = taken.ok_or(RecordFault::Structure)?;
    *rest = tail;
    Ok(taken)
}
