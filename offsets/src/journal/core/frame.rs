//! One frame: a header with its own checksum, the payload (generation marks, then one Kafka record batch) and the
//! payload's checksum. All integers big-endian; a frame starts and ends at a multiple of [`ALIGN`].
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `CBF1` |
//! | 4 | 1 | kind: 1 batch, 2 start of a process, 3 orderly end of one |
//! | 5 | 3 | zero |
//! | 8 | 4 | bytes of the payload |
//! | 12 | 4 | bytes of the marks, the payload's first part |
//! | 16 | 4 | generation of the segment's use |
//! | 20 | 4 | offsets partition; all ones in frames that belong to none |
//! | 24 | 8 | round: one write and one flush |
//! | 32 | 8 | sequence of the round's first frame: everything before it had been flushed |
//! | 40 | 8 | sequence in the whole log, without gaps |
//! | 48 | 8 | epoch |
//! | 56 | 8 | position |
//! | 64 | 8 | base offset |
//! | 72 | 16 | batch id |
//! | 88 | 4 | records |
//! | 92 | 4 | partition of the frame before this one: if that one is damaged, this says whose it was |
//! | 96 | 4 | CRC32C of the segment's salt and bytes 0..96 |
//! | 100 | | payload |
//! | | 4 | CRC32C of the payload, begun with the header's: a payload left from an earlier use never fits a new header |
//! | | 0..7 | zeros |
//!
//! A client chooses bytes of the payload (offset metadata), and a reader that lost its place looks for frames anywhere.
//! The salt, which no client knows, keeps it from writing something that looks like one.

use bytes::BufMut;

use super::segment::SegmentUse;
use crate::log::{BatchId, Epoch, Position};

/// Frames start at multiples of this.
pub(crate) const ALIGN: usize = 8;
/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 100;
/// Bytes of the payload's checksum.
const TRAILER_BYTES: usize = 4;
/// Partition of frames that belong to none.
pub(crate) const NO_PARTITION: u32 = u32::MAX;
/// As the partition of the frame before: it was lost already when this one was written, and nobody knew whose it was.
pub(crate) const UNKNOWN_PARTITION: u32 = u32::MAX - 1;

const MAGIC: [u8; 4] = *b"CBF1";
const HEADER_CRC_AT: usize = 96;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An append.
    Batch,
    /// A process opened the log; its epochs start at the frame's. Written alone and flushed, so it also proves that
    /// everything before it had been flushed.
    Start,
    /// A process closed the log in order. Proves the same.
    Close,
}

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) payload_bytes: u32,
    pub(crate) marks_bytes: u32,
    pub(crate) partition: u32,
    pub(crate) round: u64,
    pub(crate) round_start: u64,
    pub(crate) sequence: u64,
    pub(crate) epoch: Epoch,
    pub(crate) position: Position,
    pub(crate) base_offset: i64,
    pub(crate) id: BatchId,
    pub(crate) records: u32,
    pub(crate) previous_partition: u32,
}

impl Header {
    /// Bytes of the whole frame, padding included.
    pub(crate) fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes as usize)
    }

    /// Kafka offset behind the frame's records.
    pub(crate) fn end_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.records))
    }
}

/// Bytes of a frame with this much payload.
pub(crate) fn frame_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes + TRAILER_BYTES).next_multiple_of(ALIGN)
}

/// What lies at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// No header of this use of the segment.
    Nothing,
    /// A header whose payload is damaged or cut off.
    Damaged(Header),
    /// A whole frame.
    Whole(Header),
}

/// Appends a frame to `out`. The header's lengths are taken from `marks` and `kafka`.
pub(crate) fn encode(
    mut header: Header,
    marks: &[u8],
    kafka: &[u8],
    segment: SegmentUse,
    out: &mut Vec<u8>,
) -> Header {
    // The ledger has checked the batch against a limit far below 4 GiB.
    header.marks_bytes = u32::try_from(marks.len()).unwrap_or(u32::MAX);
    header.payload_bytes = u32::try_from(marks.len() + kafka.len()).unwrap_or(u32::MAX);
    let start = out.len();
    out.put_slice(&MAGIC);
    out.put_u8(match header.kind {
        Kind::Batch => 1,
        Kind::Start => 2,
        Kind::Close => 3,
    });
    out.put_bytes(0, 3);
    out.put_u32(header.payload_bytes);
    out.put_u32(header.marks_bytes);
    out.put_u32(segment.generation);
    out.put_u32(header.partition);
    out.put_u64(header.round);
    out.put_u64(header.round_start);
    out.put_u64(header.sequence);
    out.put_u64(header.epoch.0);
    out.put_u64(header.position);
    out.put_i64(header.base_offset);
    out.put_u128(header.id.0);
    out.put_u32(header.records);
    out.put_u32(header.previous_partition);
    let crc = header_crc(&out[start..], segment);
    out.put_u32(crc);
    out.put_slice(marks);
    out.put_slice(kafka);
    let crc = crc32c::crc32c_append(crc, &out[start + HEADER_BYTES..]);
    out.put_u32(crc);
    out.resize(start + header.frame_bytes(), 0);
    header
}

/// What lies at the start of `bytes`, which reach at most to the end of the segment.
pub(crate) fn look(bytes: &[u8], segment: SegmentUse) -> Look {
    let Some(header) = decode_header(bytes, segment) else {
        return Look::Nothing;
    };
    let payload_end = HEADER_BYTES + header.payload_bytes as usize;
    let Some(trailer) = bytes.get(payload_end..payload_end + TRAILER_BYTES) else {
        return Look::Damaged(header);
    };
    let header_crc = u32::from_be_bytes(field(bytes, HEADER_CRC_AT));
    let crc = crc32c::crc32c_append(header_crc, &bytes[HEADER_BYTES..payload_end]);
    if trailer == crc.to_be_bytes() {
        Look::Whole(header)
    } else {
        Look::Damaged(header)
    }
}

/// Where the marks and the Kafka batch lie in a frame that [`look`] found whole.
pub(crate) fn sections(header: &Header) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
    let marks_end = HEADER_BYTES + header.marks_bytes as usize;
    let end = HEADER_BYTES + header.payload_bytes as usize;
    (HEADER_BYTES..marks_end, marks_end..end)
}

fn decode_header(bytes: &[u8], segment: SegmentUse) -> Option<Header> {
    let header = bytes.get(..HEADER_BYTES)?;
    if header[..4] != MAGIC
        || u32::from_be_bytes(field(header, HEADER_CRC_AT))
            != header_crc(&header[..HEADER_CRC_AT], segment)
        || u32::from_be_bytes(field(header, 16)) != segment.generation
    {
        return None;
    }
    let kind = match header[4] {
        1 => Kind::Batch,
        2 => Kind::Start,
        3 => Kind::Close,
        _ => return None,
    };
    let decoded = Header {
        kind,
        payload_bytes: u32::from_be_bytes(field(header, 8)),
        marks_bytes: u32::from_be_bytes(field(header, 12)),
        partition: u32::from_be_bytes(field(header, 20)),
        round: u64::from_be_bytes(field(header, 24)),
        round_start: u64::from_be_bytes(field(header, 32)),
        sequence: u64::from_be_bytes(field(header, 40)),
        epoch: Epoch(u64::from_be_bytes(field(header, 48))),
        position: u64::from_be_bytes(field(header, 56)),
        base_offset: i64::from_be_bytes(field(header, 64)),
        id: BatchId(u128::from_be_bytes(field(header, 72))),
        records: u32::from_be_bytes(field(header, 88)),
        previous_partition: u32::from_be_bytes(field(header, 92)),
    };
    // A checksum fits by chance once in four thousand million tries; what is sliced by is checked all the same.
    (decoded.marks_bytes <= decoded.payload_bytes && decoded.round_start <= decoded.sequence)
        .then_some(decoded)
}

fn header_crc(header: &[u8], segment: SegmentUse) -> u32 {
    let salt = crc32c::crc32c(&segment.salt.to_be_bytes());
    crc32c::crc32c_append(salt, header)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const USE: SegmentUse = SegmentUse {
        generation: 7,
        salt: 0x0102_0304_0506_0708,
    };

    fn header() -> Header {
        Header {
            kind: Kind::Batch,
            payload_bytes: 10,
            marks_bytes: 3,
            partition: 42,
            round: 9,
            round_start: 0x20,
            sequence: 0x21,
            epoch: Epoch(0x0000_0002_0000_0001),
            position: 5,
            base_offset: 1000,
            id: BatchId(0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f),
            records: 2,
            previous_partition: 41,
        }
    }

    fn frame() -> Vec<u8> {
        let mut out = Vec::new();
        assert_eq!(
            encode(header(), b"abc", b"defghij", USE, &mut out),
            header()
        );
        out
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_bytes_of_a_frame_are_these() {
        let expected = concat!(
            "43424631",
            "01",
            "000000", // magic, kind
            "0000000a",
            "00000003",
            "00000007",
            "0000002a", // payload, marks, generation, partition
            "0000000000000009",
            "0000000000000020",
            "0000000000000021", // round, its start, sequence
            "0000000200000001",
            "0000000000000005",
            "00000000000003e8", // epoch, position, base offset
            "101112131415161718191a1b1c1d1e1f",
            "00000002",
            "00000029", // id, records, previous partition
            "98440e6a",
            "6162636465666768696a",
            "87633b42",
            "000000000000",
        );
        assert_eq!(hex(&frame()), expected);
    }

    #[test]
    fn what_was_written_is_read() {
        let frame = frame();
        assert_eq!(frame.len() % ALIGN, 0);
        assert_eq!(look(&frame, USE), Look::Whole(header()));
        let (marks, kafka) = sections(&header());
        assert_eq!(&frame[marks], b"abc");
        assert_eq!(&frame[kafka], b"defghij");
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let frame = frame();
        let payload_end = HEADER_BYTES + 10 + TRAILER_BYTES;
        for at in 0..payload_end {
            for bit in 0..8 {
                let mut damaged = frame.clone();
                damaged[at] ^= 1 << bit;
                let expected = if at < HEADER_BYTES {
                    Look::Nothing
                } else {
                    Look::Damaged(header())
                };
                assert_eq!(look(&damaged, USE), expected, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn every_cut_is_seen() {
        let frame = frame();
        for length in 0..HEADER_BYTES + 10 + TRAILER_BYTES {
            let expected = if length < HEADER_BYTES {
                Look::Nothing
            } else {
                Look::Damaged(header())
            };
            assert_eq!(look(&frame[..length], USE), expected, "{length} bytes");
        }
    }

    #[test]
    fn a_frame_of_another_use_of_the_segment_is_nothing() {
        let frame = frame();
        let other_generation = SegmentUse {
            generation: 8,
            ..USE
        };
        let other_salt = SegmentUse { salt: 1, ..USE };
        assert_eq!(look(&frame, other_generation), Look::Nothing);
        assert_eq!(look(&frame, other_salt), Look::Nothing);
    }

    #[test]
    fn a_stale_payload_under_a_new_header_does_not_fit() {
        // Both frames have the same payload length, and the crash kept the new header and the old payload.
        let mut old = Vec::new();
        encode(header(), b"old", b"old old", USE, &mut old);
        let newer = Header {
            sequence: 99,
            ..header()
        };
        let mut new = Vec::new();
        encode(newer, b"new", b"new new", USE, &mut new);
        new[HEADER_BYTES..].copy_from_slice(&old[HEADER_BYTES..]);
        assert_eq!(look(&new, USE), Look::Damaged(newer));
    }
}
