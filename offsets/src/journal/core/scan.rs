//! Finds the frames in a segment's bytes. Where no frame lies it looks for the next one at every place one may start,
//! so damage hides nothing but what it damaged.

use super::frame::{self, ALIGN, Header, Look};
use super::segment::{SEGMENT_HEADER_BYTES, SegmentUse};

/// A frame, or the header of one whose payload is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) generation: u32,
    /// Where it starts in its segment.
    pub(crate) at: usize,
    pub(crate) header: Header,
    /// Whether the payload is good.
    pub(crate) whole: bool,
}

impl Found {
    /// Where it ends.
    pub(crate) fn end(&self) -> usize {
        self.at + self.header.frame_bytes()
    }
}

/// Gives `each` what is found in `bytes`, a segment from its first byte, in order.
pub(crate) fn walk(bytes: &[u8], segment: SegmentUse, mut each: impl FnMut(Found)) {
    let mut at = SEGMENT_HEADER_BYTES;
    while at < bytes.len() {
        let (header, whole) = match frame::look(&bytes[at..], segment) {
            Look::Whole(header) => (header, true),
            Look::Damaged(header) => (header, false),
            Look::Nothing => {
                at = next_candidate(bytes, at + ALIGN);
                continue;
            }
        };
        let found = Found {
            generation: segment.generation,
            at,
            header,
            whole,
        };
        each(found);
        at = if whole {
            found.end()
        } else {
            // The header is right, its payload is not: perhaps other frames lie where it ought to be.
            next_candidate(bytes, at + ALIGN)
        };
    }
}

/// Zeros to compare blocks with: one comparison a block, where bytes one by one would make a start take seconds in a
/// build that is not optimized.
const ZEROS: [u8; 4096] = [0; 4096];

/// The next place, from `at` on, whose first bytes are not zero: most of a segment is.
fn next_candidate(bytes: &[u8], at: usize) -> usize {
    let Some(rest) = bytes.get(at..) else {
        return bytes.len();
    };
    let is_zero = |block: &[u8]| *block == ZEROS[..block.len()];
    let Some(block) = rest.chunks(ZEROS.len()).position(|block| !is_zero(block)) else {
        return bytes.len();
    };
    let from = block * ZEROS.len();
    let chunk = rest[from..].chunks(ALIGN).position(|chunk| !is_zero(chunk));
    chunk.map_or(bytes.len(), |chunks| at + from + chunks * ALIGN)
}

/// End of the last byte from `from` on that is not zero; `from` if there is none.
pub(crate) fn end_of_content(bytes: &[u8], from: usize) -> usize {
    let mut rest = bytes.get(from..).unwrap_or_default();
    while let Some((before, block)) = rest.split_last_chunk::<4096>()
        && *block == ZEROS
    {
        rest = before;
    }
    let last = rest.iter().rposition(|&byte| byte != 0);
    last.map_or(from, |last| from + last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::core::frame::{Kind, NO_PARTITION};
    use crate::log::{BatchId, Epoch};

    const USE: SegmentUse = SegmentUse {
        generation: 2,
        salt: 77,
    };

    fn segment(payloads: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
        for (sequence, payload) in (0..).zip(payloads) {
            let header = Header {
                kind: Kind::Batch,
                payload_bytes: 0,
                marks_bytes: 0,
                partition: 1,
                round: sequence,
                round_start: sequence,
                sequence,
                epoch: Epoch(1),
                position: sequence,
                base_offset: 0,
                id: BatchId(0),
                records: 0,
                previous_partition: NO_PARTITION,
            };
            frame::encode(header, &[], payload, USE, &mut bytes);
        }
        bytes.resize(bytes.len() + 500, 0);
        bytes
    }

    fn found(bytes: &[u8]) -> Vec<(u64, bool)> {
        let mut all = Vec::new();
        walk(bytes, USE, |found| {
            all.push((found.header.sequence, found.whole))
        });
        all
    }

    #[test]
    fn frames_are_found_in_order() {
        let bytes = segment(&[b"a", b"bb", b""]);
        assert_eq!(found(&bytes), [(0, true), (1, true), (2, true)]);
        assert_eq!(found(&[]), []);
    }

    #[test]
    fn a_flipped_byte_hides_one_frame_only() {
        let bytes = segment(&[b"first", b"the second", b"third"]);
        let mut second = 0..0;
        walk(&bytes, USE, |found| {
            if found.header.sequence == 1 {
                second = found.at..found.end();
            }
        });
        for at in second {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            let all = found(&damaged);
            let others: Vec<_> = all.iter().filter(|(sequence, _)| *sequence != 1).collect();
            assert_eq!(others, [&(0, true), &(2, true)], "byte {at}");
        }
    }

    #[test]
    fn a_frame_inside_a_payload_is_not_found() {
        // The payload holds a copy of a valid frame of this very segment; a whole frame is stepped over in one piece.
        let inner = segment(&[b"inner"])[SEGMENT_HEADER_BYTES..].to_vec();
        assert_eq!(found(&segment(&[&inner])), [(0, true)]);
    }

    #[test]
    fn random_bytes_are_walked_without_a_find() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = vec![0; 64 * 1024];
        for byte in &mut bytes {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        assert_eq!(found(&bytes), []);
    }

    #[test]
    fn the_end_of_content_is_behind_the_last_byte() {
        assert_eq!(end_of_content(&[0, 1, 0, 0], 0), 2);
        assert_eq!(end_of_content(&[0, 1, 0, 0], 2), 2);
        assert_eq!(end_of_content(&[], 5), 5);
    }
}
