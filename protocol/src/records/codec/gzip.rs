//! gzip (RFC 1952), members one after the other, taken apart as Java does it: what follows a member and is no other one
//! is left alone.

use bytes::{Buf, Bytes};
use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Fault, PIECE_BYTES, grow};

const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// Checksum and length behind a member.
const TRAILER_BYTES: usize = 8;
/// Java looks for another member only where the shortest header and trailer would fit.
const MEMBER_BYTES_MIN: usize = 10 + TRAILER_BYTES;
/// What an inflater keeps of its output, and its tables.
const STATE_BYTES: usize = 64 * 1024;
/// What unfolding takes, whatever the body is.
pub(super) const MEMORY_BYTES: usize = STATE_BYTES + PIECE_BYTES;

const HEADER_CHECKSUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;

/// A body as it unfolds.
pub(super) struct Unfold {
    rest: Bytes,
    inflate: Decompress,
    check: Crc,
}

impl Unfold {
    pub(super) fn new(mut body: Bytes) -> Result<Self, Fault> {
        let header = header_bytes(&body)?;
        body.advance(header);
        Ok(Self {
            rest: body,
            inflate: Decompress::new(false),
            check: Crc::new(),
        })
    }

    pub(super) fn more(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<bool, Fault> {
        let start = out.len();
        let room = grow(out, &self.rest, limit);
        let (taken, made) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(&self.rest, room, FlushDecompress::None)
            .map_err(Fault::malformed)?;
        let taken = between(taken, self.inflate.total_in());
        let made = between(made, self.inflate.total_out());
        self.rest.advance(taken);
        out.truncate(start + made);
        self.check.update(&out[start..]);
        if out.len() > limit {
            return Err(Fault::OverLimit);
        }
        match status {
            Status::StreamEnd => self.next_member(),
            Status::Ok | Status::BufError if taken == 0 && made == 0 => Err(cut()),
            Status::Ok | Status::BufError => Ok(true),
        }
    }

    /// Checks the end of a member. Whether another one follows.
    fn next_member(&mut self) -> Result<bool, Fault> {
        let (trailer, _) = self
            .rest
            .split_first_chunk::<TRAILER_BYTES>()
            .ok_or_else(cut)?;
        let mut expected = [0; TRAILER_BYTES];
        expected[..4].copy_from_slice(&self.check.sum().to_le_bytes());
        expected[4..].copy_from_slice(&self.check.amount().to_le_bytes());
        if *trailer != expected {
            return Err(Fault::malformed("a member's checksum or length differs"));
        }
        self.rest.advance(TRAILER_BYTES);
        if self.rest.len() <= MEMBER_BYTES_MIN {
            return Ok(false);
        }
        let Ok(header) = header_bytes(&self.rest) else {
            return Ok(false);
        };
        self.rest.advance(header);
        self.inflate.reset(false);
        self.check.reset();
        Ok(true)
    }
}

fn between(before: u64, after: u64) -> usize {
    // No more than the slices that were given.
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

/// Bytes of the header at the front.
fn header_bytes(bytes: &[u8]) -> Result<usize, Fault> {
    let (start, mut rest) = bytes.split_first_chunk::<10>().ok_or_else(cut)?;
    if start[..3] != MAGIC {
        return Err(Fault::malformed("no gzip member"));
    }
    let flags = start[3];
    if flags & EXTRA != 0 {
        let (length, tail) = rest.split_first_chunk().ok_or_else(cut)?;
        let length = usize::from(u16::from_le_bytes(*length));
        rest = tail.get(length..).ok_or_else(cut)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & HEADER_CHECKSUM != 0 {
        let (stored, tail) = rest.split_first_chunk().ok_or_else(cut)?;
        let mut check = Crc::new();
        check.update(&bytes[..bytes.len() - rest.len()]);
        if u32::from(u16::from_le_bytes(*stored)) != check.sum() & 0xffff {
            return Err(Fault::malformed("a header's checksum differs"));
        }
        rest = tail;
    }
    Ok(bytes.len() - rest.len())
}

fn cut() -> Fault {
    Fault::malformed("it ends within a member")
}

pub(super) fn compress(body: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut encoder = GzEncoder::new(out, flate2::Compression::default());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish().map(|_| ()))
        .map_err(|error| error.to_string())
}
