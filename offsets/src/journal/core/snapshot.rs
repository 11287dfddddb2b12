//! The bytes of a partition's snapshot, and of the note that says where the log starts. All integers big-endian.
//!
//! A snapshot: magic `CBSNAP01`, partition (4), position and offset it reaches up to (8, 8), CRC32C (4) of that; then each
//! chunk: its base and end offset (8, 8), bytes of its marks and of its Kafka batch (4, 4), both sections, and CRC32C (4)
//! of everything from the chunk's start; at last the number of chunks (4), and a CRC32C (4) of the first 28 bytes, all
//! chunks' checksums and that number. It is written from front to back, however large it is, and read a chunk at a time.
//!
//! The start, twice, for a whole log hangs on it: magic `CBSTART1`, first segment (4), sequence of its first frame (8),
//! incarnation (8), a count (4), and that many partitions (4) with the position (8) their snapshots must at least reach;
//! CRC32C (4) of it all.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use super::segment::FIRST_GENERATION;
use super::version;
use crate::log::{Chunk, End, Position};

/// A snapshot that is being written.
pub(crate) const SNAPSHOT_PREPARING: &str = "snapshot.preparing";
/// Where the log starts; not there as long as nothing was trimmed.
pub(crate) const LOG_START: &str = "log.start";
/// A new one that is being written.
pub(crate) const LOG_START_PREPARING: &str = "log.start.preparing";

const SNAPSHOT_SUFFIX: &str = ".snapshot";
const SNAPSHOT_MAGIC: [u8; 8] = *b"CBSNAP01";
const START_MAGIC: [u8; 8] = *b"CBSTART1";
const SNAPSHOT_HEADER_BYTES: usize = 32;
const CHUNK_HEADER_BYTES: usize = 24;
const CRC_BYTES: usize = 4;
const TRAILER_BYTES: usize = 8;

/// Snapshots by partition.
pub(crate) type Snapshots = BTreeMap<u32, Arc<Snapshot>>;

/// Name of the snapshot of `partition` that reaches up to `position`.
pub(crate) fn snapshot_name(partition: u32, position: Position) -> String {
    format!("{partition:05}-{position:020}{SNAPSHOT_SUFFIX}")
}

/// Partition and position in a snapshot's name.
pub(crate) fn parse_name(name: &str) -> Option<(u32, Position)> {
    let (partition, position) = name.strip_suffix(SNAPSHOT_SUFFIX)?.split_once('-')?;
    let named = (partition.parse().ok()?, position.parse().ok()?);
    (snapshot_name(named.0, named.1) == name).then_some(named)
}

/// A durable snapshot; its bytes stay on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) upto: End,
    pub(crate) bytes: u64,
    pub(crate) chunks: Vec<Placed>,
}

/// A chunk in a snapshot's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) end_offset: i64,
    pub(crate) at: u64,
    pub(crate) bytes: u32,
}

/// Makes a snapshot's bytes, a piece at a time.
pub(crate) struct Encoder {
    upto: End,
    written: u64,
    crc: u32,
    chunks: Vec<Placed>,
}

impl Encoder {
    /// Begins, and adds the first bytes to `out`.
    pub(crate) fn new(partition: u32, upto: End, out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.put_slice(&SNAPSHOT_MAGIC);
        out.put_u32(partition);
        out.put_u64(upto.position);
        out.put_i64(upto.offset);
        let crc = crc32c::crc32c(&out[start..]);
        out.put_u32(crc);
        Self {
            upto,
            written: (out.len() - start) as u64,
            crc,
            chunks: Vec::new(),
        }
    }

    /// Adds a chunk to `out`. `None` if it does not belong behind the ones before it, or is too large to be said.
    pub(crate) fn chunk(&mut self, chunk: &Chunk, out: &mut Vec<u8>) -> Option<()> {
        let before = self.chunks.last().map_or(0, |placed| placed.end_offset);
        in_order(before, chunk.base_offset, chunk.end_offset, self.upto)?;
        let start = out.len();
        out.put_i64(chunk.base_offset);
        out.put_i64(chunk.end_offset);
        out.put_u32(u32::try_from(chunk.marks.len()).ok()?);
        out.put_u32(u32::try_from(chunk.kafka.len()).ok()?);
        out.put_slice(&chunk.marks);
        out.put_slice(&chunk.kafka);
        let crc = crc32c::crc32c(&out[start..]);
        out.put_u32(crc);
        self.crc = crc32c::crc32c_append(self.crc, &crc.to_be_bytes());
        let bytes = out.len() - start;
        self.chunks.push(Placed {
            end_offset: chunk.end_offset,
            at: self.written,
            bytes: u32::try_from(bytes).ok()?,
        });
        self.written += bytes as u64;
        Some(())
    }

    /// Adds the last bytes to `out`. `None` if there are too many chunks to be counted.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Option<Snapshot> {
        let count = u32::try_from(self.chunks.len()).ok()?.to_be_bytes();
        out.put_slice(&count);
        out.put_u32(crc32c::crc32c_append(self.crc, &count));
        Some(Snapshot {
            upto: self.upto,
            bytes: self.written + TRAILER_BYTES as u64,
            chunks: self.chunks,
        })
    }
}

/// Whether a chunk has its place behind `before`.
fn in_order(before: i64, base_offset: i64, end_offset: i64, upto: End) -> Option<()> {
    (before <= base_offset && base_offset <= end_offset && end_offset <= upto.offset).then_some(())
}

/// Reads a snapshot whose file has `size` bytes by `read`, which gives up to so many bytes from a place on. Holds one chunk
/// at a time, and never asks for more than the file has. `None` if it is damaged, cut off, or another one than `named`.
///
/// # Errors
/// Those of `read`.
pub(crate) fn decode(
    named: (u32, Position),
    size: u64,
    mut read: impl FnMut(u64, usize) -> io::Result<Bytes>,
) -> io::Result<Option<Snapshot>> {
    let header = read(0, SNAPSHOT_HEADER_BYTES)?;
    let Some((upto, mut crc)) = decode_header(named, &header) else {
        return Ok(None);
    };
    let Some(trailer_at) = size.checked_sub(TRAILER_BYTES as u64) else {
        return Ok(None);
    };
    let mut at = SNAPSHOT_HEADER_BYTES as u64;
    let mut chunks: Vec<Placed> = Vec::new();
    while at < trailer_at {
        let left = trailer_at - at;
        let Some(bytes) =
            chunk_bytes(&read(at, CHUNK_HEADER_BYTES)?).filter(|bytes| *bytes as u64 <= left)
        else {
            return Ok(None);
        };
        let chunk_at = read(at, bytes)?;
        let before = chunks.last().map_or(0, |placed| placed.end_offset);
        let good = decode_chunk(&chunk_at)
            .filter(|chunk| in_order(before, chunk.base_offset, chunk.end_offset, upto).is_some());
        let (Some(chunk), Some(chunk_crc), Ok(length)) = (
            good,
            chunk_at.last_chunk::<CRC_BYTES>(),
            u32::try_from(bytes),
        ) else {
            return Ok(None);
        };
        crc = crc32c::crc32c_append(crc, chunk_crc);
        chunks.push(Placed {
            end_offset: chunk.end_offset,
            at,
            bytes: length,
        });
        at += bytes as u64;
    }
    let trailer = read(trailer_at, TRAILER_BYTES)?;
    let mut expected = Vec::with_capacity(TRAILER_BYTES);
    // Each chunk has some bytes of a file: there are not that many.
    let count = u32::try_from(chunks.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    expected.put_slice(&count);
    expected.put_u32(crc32c::crc32c_append(crc, &count));
    let whole = at == trailer_at && trailer == expected;
    Ok(whole.then_some(Snapshot {
        upto,
        bytes: size,
        chunks,
    }))
}

/// The version of a snapshot that [`decode`] cannot read, if that is why. Its header must be whole: a snapshot that rots
/// is passed over, and does not pass for a later version's.
///
/// # Errors
/// Those of `read`.
pub(crate) fn other_version(
    mut read: impl FnMut(u64, usize) -> io::Result<Bytes>,
) -> io::Result<Option<version::Other>> {
    let header = read(0, SNAPSHOT_HEADER_BYTES)?;
    let whole = header
        .split_last_chunk::<CRC_BYTES>()
        .is_some_and(|(body, crc)| crc32c::crc32c(body).to_be_bytes() == *crc);
    Ok(version::other(&header, &SNAPSHOT_MAGIC).filter(|_| whole))
}

/// How far a snapshot reaches, and its header's checksum.
fn decode_header(named: (u32, Position), header: &[u8]) -> Option<(End, u32)> {
    let (body, crc) = header.split_last_chunk::<CRC_BYTES>()?;
    let mut fields = body.strip_prefix(&SNAPSHOT_MAGIC[..])?;
    let partition = fields.try_get_u32().ok()?;
    let upto = End {
        position: fields.try_get_u64().ok()?,
        offset: fields.try_get_i64().ok()?,
    };
    let computed = crc32c::crc32c(body);
    let good = computed.to_be_bytes() == *crc
        && (partition, upto.position) == named
        && upto.position > 0
        && upto.offset >= 0;
    good.then_some((upto, computed))
}

/// Bytes of the chunk that begins with these, all of it.
fn chunk_bytes(header: &[u8]) -> Option<usize> {
    let mut lengths = header.get(CHUNK_HEADER_BYTES - 8..CHUNK_HEADER_BYTES)?;
    let (marks, kafka) = (lengths.get_u32() as usize, lengths.get_u32() as usize);
    let sections = marks.checked_add(kafka)?;
    sections.checked_add(CHUNK_HEADER_BYTES + CRC_BYTES)
}

/// The chunk that these bytes are, if nothing is missing, damaged or left over.
pub(crate) fn decode_chunk(bytes: &Bytes) -> Option<Chunk> {
    if chunk_bytes(bytes)? != bytes.len() {
        return None;
    }
    let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    if crc32c::crc32c(body).to_be_bytes() != *crc {
        return None;
    }
    let mut fields = body;
    let (base_offset, end_offset) = (fields.get_i64(), fields.get_i64());
    let marks_end = CHUNK_HEADER_BYTES + fields.get_u32() as usize;
    Some(Chunk {
        base_offset,
        end_offset,
        marks: bytes.slice(CHUNK_HEADER_BYTES..marks_end),
        kafka: bytes.slice(marks_end..body.len()),
    })
}

/// Where the log starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogStart {
    pub(crate) generation: u32,
    pub(crate) sequence: u64,
    /// Highest incarnation known when it was written: its own frame may be gone.
    pub(crate) incarnation: u64,
    /// Partitions whose frames were trimmed: without a snapshot at least this far they are not whole.
    pub(crate) snapshots: BTreeMap<u32, Position>,
}

impl Default for LogStart {
    fn default() -> Self {
        Self {
            generation: FIRST_GENERATION,
            sequence: 0,
            incarnation: 0,
            snapshots: BTreeMap::new(),
        }
    }
}

impl LogStart {
    /// The file's bytes: two copies.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let copy = self.encode_copy();
        [&copy[..], &copy[..]].concat()
    }

    fn encode_copy(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_slice(&START_MAGIC);
        out.put_u32(self.generation);
        out.put_u64(self.sequence);
        out.put_u64(self.incarnation);
        // At most 10,000 partitions.
        out.put_u32(u32::try_from(self.snapshots.len()).unwrap_or(u32::MAX));
        for (partition, position) in &self.snapshots {
            out.put_u32(*partition);
            out.put_u64(*position);
        }
        let crc = crc32c::crc32c(&out);
        out.put_u32(crc);
        out
    }

    /// The version of a file that [`decode`](Self::decode) cannot read, if that is why.
    pub(crate) fn other_version(bytes: &[u8]) -> Option<version::Other> {
        version::other(bytes, &START_MAGIC)
    }

    /// Reads either copy.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        Self::decode_copy(first).or_else(|| Self::decode_copy(second))
    }

    fn decode_copy(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
        if crc32c::crc32c(body).to_be_bytes() != *crc {
            return None;
        }
        let mut fields = body.strip_prefix(&START_MAGIC[..])?;
        let (generation, sequence) = (fields.try_get_u32().ok()?, fields.try_get_u64().ok()?);
        let incarnation = fields.try_get_u64().ok()?;
        let mut snapshots = BTreeMap::new();
        for _ in 0..fields.try_get_u32().ok()? {
            snapshots.insert(fields.try_get_u32().ok()?, fields.try_get_u64().ok()?);
        }
        fields.is_empty().then_some(Self {
            generation,
            sequence,
            incarnation,
            snapshots,
        })
    }
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
