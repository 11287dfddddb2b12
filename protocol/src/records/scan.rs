//! The records of a batch as they unfold, in slices of work: for whoever checks or searches batches that may decompress
//! to anything. What is held does not grow with what unfolds: the codec's state, one piece of its output, and of the
//! record in work only where in it the reader is.

use bytes::Bytes;

use super::batch::base_and_count;
use super::codec::Unfold;
use super::header::BatchHeader;
use super::iter::{Progress, RecordViews};
use super::record::{Base, length, structure};
use super::{Compression, RecordFault, RecordsError};
use crate::varint;

/// More than the varints of a record between two runs of its bytes take: attributes, two deltas and a length.
const FIELDS_BYTES: usize = 1 + 10 + 5 + 5;

/// Reads records and keeps none. After an error it must not be asked again.
pub struct Scan(Source);

/// What a scan tells of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970: the producer's, or the broker's where the batch says so.
    pub timestamp: i64,
    /// Whether it has a key.
    pub has_key: bool,
}

/// What a scan came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next record.
    Record(Scanned),
    /// The slice is used up; ask again with another.
    Paused,
    /// There are no more records, and nothing was wrong.
    End,
}

enum Source {
    Plain(Plain),
    Folded(Box<Folded>),
}

/// Records that are not compressed: read where they are.
struct Plain {
    body: Bytes,
    read: usize,
    progress: Progress,
}

struct Folded {
    base: Base,
    index: u32,
    count: u32,
    unfold: Unfold,
    /// Whether the codec has given everything.
    ended: bool,
    window: Vec<u8>,
    /// Bytes of the window that are behind the reader.
    read: usize,
    /// Bytes to pass over before the place.
    skip: usize,
    place: Place,
    record: InRecord,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Place {
    Length,
    Fields,
    Value,
    HeaderCount,
    HeaderKey { left: u32 },
    HeaderValue { left: u32 },
    End,
}

/// The record in work.
#[derive(Clone, Copy)]
struct InRecord {
    length: i32,
    /// Bytes of it that are before the reader.
    left: usize,
    seen: Scanned,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scan")
    }
}

impl Scan {
    pub(super) fn new(header: &BatchHeader, stored: Bytes) -> Result<Self, RecordsError> {
        let compression = header.compression()?;
        let (base, count) = base_and_count(header)?;
        // Without records there is nothing to find in the body; see `Batch::body`.
        if compression == Compression::None || count == 0 {
            let body = if compression == Compression::None {
                stored
            } else {
                Bytes::new()
            };
            return Ok(Self(Source::Plain(Plain {
                body,
                read: 0,
                progress: Progress::new(base, count),
            })));
        }
        Ok(Self(Source::Folded(Box::new(Folded {
            base,
            index: 0,
            count,
            unfold: Unfold::new(compression, stored),
            ended: false,
            window: Vec::new(),
            read: 0,
            skip: 0,
            place: Place::Length,
            record: InRecord {
                length: 0,
                left: 0,
                seen: Scanned {
                    offset: 0,
                    timestamp: 0,
                    has_key: false,
                },
            },
        }))))
    }

    /// Bytes it holds at most, besides the batch, once it was asked for a record; before that next to nothing.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.0 {
            Source::Plain(_) => 0,
            Source::Folded(folded) => folded.unfold.memory(),
        }
    }

    /// The next record. `bytes` is what is left of the slice: what is read, after decompression, goes off it.
    ///
    /// # Errors
    /// [`RecordsError::Decompress`] and [`RecordsError::Record`], each where it shows: records before it were given.
    pub fn next(&mut self, bytes: &mut usize) -> Result<Step, RecordsError> {
        match &mut self.0 {
            Source::Plain(plain) => plain.next(bytes),
            Source::Folded(folded) => folded.next(bytes),
        }
    }
}

impl Plain {
    fn next(&mut self, bytes: &mut usize) -> Result<Step, RecordsError> {
        if *bytes == 0 {
            return Ok(Step::Paused);
        }
        let rest = self.body.get(self.read..).unwrap_or_default();
        let mut views = RecordViews::new(rest, self.progress);
        let Some(record) = views.next().transpose()? else {
            return Ok(Step::End);
        };
        let left = views.left(&mut self.progress);
        *bytes = bytes.saturating_sub(rest.len() - left);
        self.read = self.body.len() - left;
        Ok(Step::Record(Scanned {
            offset: record.offset,
            timestamp: record.timestamp,
            has_key: record.key.is_some(),
        }))
    }
}

/// Why the reader stops within a record.
enum Stop {
    Paused,
    Fault(RecordFault),
    Failed(RecordsError),
}

impl From<RecordFault> for Stop {
    fn from(fault: RecordFault) -> Self {
        Self::Fault(fault)
    }
}

impl Folded {
    fn next(&mut self, bytes: &mut usize) -> Result<Step, RecordsError> {
        let step = if self.index == self.count {
            self.end(bytes)
        } else {
            self.record(bytes)
        };
        step.or_else(|stop| match stop {
            Stop::Paused => Ok(Step::Paused),
            Stop::Fault(fault) => Err(RecordsError::Record {
                index: self.index.min(self.count - 1),
                fault,
            }),
            Stop::Failed(error) => Err(error),
        })
    }

    /// Behind the last record there is nothing. One byte is asked for, and so the codec comes to its own end.
    fn end(&mut self, bytes: &mut usize) -> Result<Step, Stop> {
        match self.have(1, bytes)? {
            0 => Ok(Step::End),
            bytes => Err(Stop::Fault(RecordFault::MoreRecords { bytes })),
        }
    }

    fn record(&mut self, bytes: &mut usize) -> Result<Step, Stop> {
        loop {
            self.pass(bytes)?;
            if !matches!(self.place, Place::End) {
                self.place = self.read_place(bytes)?;
                continue;
            }
            let InRecord { left, seen, .. } = self.record;
            if left > 0 {
                return Err(RecordFault::BytesLeft { bytes: left }.into());
            }
            self.place = Place::Length;
            self.index += 1;
            return Ok(Step::Record(seen));
        }
    }

    /// Passes over what is to be skipped.
    fn pass(&mut self, bytes: &mut usize) -> Result<(), Stop> {
        while self.skip > 0 {
            let have = self.have(1, bytes)?;
            if have == 0 {
                return Err(self.ends_early());
            }
            let passed = self.skip.min(have);
            self.skip -= passed;
            self.take(passed);
        }
        Ok(())
    }

    /// Reads what the place says. Tells the next place, behind what is to be skipped.
    fn read_place(&mut self, bytes: &mut usize) -> Result<Place, Stop> {
        if matches!(self.place, Place::Length) {
            self.read_length(bytes)?;
            return Ok(Place::Fields);
        }
        let wanted = FIELDS_BYTES.min(self.record.left);
        if self.have(wanted, bytes)? < wanted {
            return Err(self.ends_early());
        }
        let window = &self.window[self.read..];
        let all = &window[..window.len().min(self.record.left)];
        let mut fields = all;
        let (next, skip) = match self.place {
            Place::Length | Place::Fields => {
                let key = self.record.seen.read(&mut fields, &self.base)?;
                (Place::Value, key)
            }
            Place::Value => (Place::HeaderCount, read_i32(&mut fields)?),
            Place::HeaderCount => {
                let count = read_i32(&mut fields)?;
                let left = self.record.left - (all.len() - fields.len());
                let headers = u32::try_from(count).ok();
                let headers = headers.filter(|count| *count as usize <= left);
                let headers = headers.ok_or(RecordFault::HeaderCount { count })?;
                (header(headers), -1)
            }
            Place::HeaderKey { left } => {
                let length = read_i32(&mut fields)?;
                if length < 0 {
                    return Err(RecordFault::HeaderKey.into());
                }
                (Place::HeaderValue { left }, length)
            }
            Place::HeaderValue { left } => (header(left - 1), read_i32(&mut fields)?),
            Place::End => (Place::End, -1),
        };
        let read = all.len() - fields.len();
        self.take(read);
        // Every negative length is null, as in Java.
        self.skip = usize::try_from(skip).unwrap_or(0);
        if self.skip > self.record.left {
            return Err(RecordFault::Structure.into());
        }
        Ok(next)
    }

    fn read_length(&mut self, bytes: &mut usize) -> Result<(), Stop> {
        self.have(5, bytes)?;
        let window = &self.window[self.read..];
        let mut rest = window;
        let length = length(&mut rest)?;
        let (read, left) = (window.len() - rest.len(), rest.len());
        let bytes = usize::try_from(length).map_err(|_| RecordFault::Length { length, left })?;
        self.read += read;
        self.record.length = length;
        self.record.left = bytes;
        Ok(())
    }

    /// Sees that so many bytes are in the window, if there are. Tells how many there are.
    fn have(&mut self, wanted: usize, bytes: &mut usize) -> Result<usize, Stop> {
        while self.window.len() - self.read < wanted && !self.ended {
            if *bytes == 0 {
                return Err(Stop::Paused);
            }
            self.window.drain(..self.read);
            self.read = 0;
            let before = self.window.len();
            self.ended = !self.unfold.more(&mut self.window).map_err(Stop::Failed)?;
            // A piece may be empty and costs something all the same.
            *bytes = bytes.saturating_sub((self.window.len() - before).max(1024));
        }
        Ok(self.window.len() - self.read)
    }

    fn take(&mut self, bytes: usize) {
        self.read += bytes;
        self.record.left -= bytes;
    }

    /// The body ends within the record.
    fn ends_early(&self) -> Stop {
        let InRecord { length, left, .. } = self.record;
        let missing = left - (self.window.len() - self.read);
        let claimed = usize::try_from(length).unwrap_or(0);
        Stop::Fault(RecordFault::Length {
            length,
            left: claimed - missing,
        })
    }
}

impl Scanned {
    /// Reads the fields before the key. The key's length.
    fn read(&mut self, fields: &mut &[u8], base: &Base) -> Result<i32, RecordFault> {
        // The record's own attributes: all unused.
        let [_, rest @ ..] = *fields else {
            return Err(RecordFault::Structure);
        };
        *fields = rest;
        let timestamp_delta = varint::read_i64(fields).map_err(structure)?;
        let offset_delta = read_i32(fields)?;
        let key = read_i32(fields)?;
        (self.offset, self.timestamp) = base.place(offset_delta, timestamp_delta)?;
        self.has_key = key >= 0;
        Ok(key)
    }
}

/// Where the next of so many headers begins.
fn header(left: u32) -> Place {
    match left {
        0 => Place::End,
        left => Place::HeaderKey { left },
    }
}

fn read_i32(fields: &mut &[u8]) -> Result<i32, RecordFault> {
    varint::read_i32(fields).map_err(structure)
}
