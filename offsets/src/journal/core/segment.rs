//! A segment: one preallocated file of the log, used again and again. Its first 4 KiB say which use this is; frames
//! follow. The header is written twice, because a whole segment hangs on it, and is flushed before the file takes its
//! place in the log: a bad one is damage, never a torn write.

use bytes::BufMut;

use super::version;

/// Where frames begin.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;
/// Kept free of appends at the end of a segment: a start on a full disk must find room for its frame.
pub(crate) const CONTROL_ROOM_BYTES: usize = 4096;
/// Smallest segment.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 16 * 1024;
/// Largest segment. A segment is read back in one piece, and places in it are kept in 32 bits.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Number of the log's first segment.
pub(crate) const FIRST_GENERATION: u32 = 1;

/// Its last digit is the version of the segment and of every frame in it.
const MAGIC: [u8; 8] = *b"CBSEGMT1";
const COPY_AT: usize = SEGMENT_HEADER_BYTES / 2;
/// Bytes of one copy of the header, checksum included.
const COPY_BYTES: usize = 36;

/// One use of a segment's file. Frames are bound to it by their checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentUse {
    /// Place in the log: segments are used in this order, each number once.
    pub(crate) generation: u32,
    /// Random. What lies in the file from before cannot pass as this use's.
    pub(crate) salt: u64,
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) segment: SegmentUse,
    /// Size of the file.
    pub(crate) bytes: u64,
    /// Whether frames of an earlier use may lie behind the ones of this.
    pub(crate) recycled: bool,
}

impl SegmentHeader {
    /// The file's first bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        for until in [COPY_AT, SEGMENT_HEADER_BYTES] {
            let start = out.len();
            out.put_slice(&MAGIC);
            out.put_u64(self.bytes);
            out.put_u64(self.segment.salt);
            out.put_u32(self.segment.generation);
            out.put_u32(u32::from(self.recycled));
            let crc = crc32c::crc32c(&out[start..]);
            out.put_u32(crc);
            out.resize(until, 0);
        }
        out
    }

    /// Reads either copy.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        [0, COPY_AT]
            .iter()
            .find_map(|&at| Self::decode_copy(bytes.get(at..at + COPY_BYTES)?))
    }

    /// The version of a header that [`decode`](Self::decode) cannot read, if that is why.
    pub(crate) fn other_version(bytes: &[u8]) -> Option<version::Other> {
        version::other(bytes, &MAGIC)
    }

    fn decode_copy(copy: &[u8]) -> Option<Self> {
        let (body, crc) = copy.split_at_checked(COPY_BYTES - 4)?;
        if crc != crc32c::crc32c(body).to_be_bytes() || body[..8] != MAGIC {
            return None;
        }
        let (bytes, salt) = (word(body, 8)?, word(body, 16)?);
        let generation = u32::from_be_bytes(body[24..28].try_into().ok()?);
        let header = Self {
            segment: SegmentUse { generation, salt },
            bytes,
            recycled: body[28..] != [0; 4],
        };
        (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX)
            .contains(&bytes)
            .then_some(header)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// What a file's name says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    /// In the log.
    Segment(u32),
    /// Out of the log, ready to be used again.
    Free,
    /// Not ours to touch (the lock, a snapshot, a stranger's).
    Other,
}

impl FileName {
    pub(crate) fn parse(name: &str) -> Self {
        if name.ends_with(FREE_SUFFIX) {
            return Self::Free;
        }
        name.strip_suffix(SEGMENT_SUFFIX)
            .filter(|number| number.len() == 10)
            .and_then(|number| number.parse().ok())
            .map_or(Self::Other, Self::Segment)
    }
}

const SEGMENT_SUFFIX: &str = ".segment";
const FREE_SUFFIX: &str = ".free";
/// A segment that is being made.
pub(crate) const PREPARING: &str = "segment.preparing";

/// Name of a segment in the log.
pub(crate) fn segment_name(generation: u32) -> String {
    format!("{generation:010}{SEGMENT_SUFFIX}")
}

/// Name of a segment's file once it has left the log.
pub(crate) fn free_name(generation: u32) -> String {
    format!("{generation:010}{FREE_SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        segment: SegmentUse {
            generation: 3,
            salt: 0x1122_3344_5566_7788,
        },
        bytes: 65536,
        recycled: true,
    };

    #[test]
    fn the_bytes_of_a_segment_header_are_these() {
        let bytes = HEADER.encode();
        assert_eq!(bytes.len(), SEGMENT_HEADER_BYTES);
        let hex: String = bytes[..COPY_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "43425345474d5431000000000001000011223344556677880000000300000001be8075ed"
        );
        assert_eq!(bytes[..COPY_AT], bytes[COPY_AT..]);
    }

    #[test]
    fn one_copy_is_enough_and_none_is_not() {
        let bytes = HEADER.encode();
        for at in 0..COPY_BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&damaged), Some(HEADER), "byte {at}");
            damaged[COPY_AT + at] ^= 1;
            assert_eq!(SegmentHeader::decode(&damaged), None, "byte {at} of both");
        }
        assert_eq!(SegmentHeader::decode(&bytes[..COPY_BYTES - 1]), None);
        assert_eq!(SegmentHeader::decode(&[]), None);
    }

    #[test]
    fn names_are_parsed() {
        assert_eq!(segment_name(7), "0000000007.segment");
        assert_eq!(FileName::parse("0000000007.segment"), FileName::Segment(7));
        assert_eq!(FileName::parse("x.free"), FileName::Free);
        for other in ["lock", "7.segment", "99999999999.segment", PREPARING, ""] {
            assert_eq!(FileName::parse(other), FileName::Other, "{other}");
        }
    }
}
