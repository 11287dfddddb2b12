//! Snappy: blocks in the framing of snappy-java (as Java writes it), or one bare block (as some clients do).

use bytes::{Buf, Bytes};

use super::Fault;

/// What the framing begins with.
const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// The version that is written, and the oldest that can read it.
const VERSION: i32 = 1;
/// Magic and the two versions.
const FRAMING_BYTES: usize = 16;
/// Uncompressed bytes of a block as Java cuts them.
const BLOCK_BYTES: usize = 32 * 1024;
/// No block decompresses to more than this times its length: an element of 3 bytes copies 64. A longer announcement is
/// a lie and nothing is allocated for it.
const RATIO_MAX: usize = 22;

/// A body as it unfolds, a block at a time.
pub(super) struct Unfold {
    rest: Bytes,
    framed: bool,
}

/// What unfolding takes: blocks are cut as their writer likes.
pub(super) fn memory(body: &[u8]) -> usize {
    body.len().saturating_mul(RATIO_MAX)
}

impl Unfold {
    pub(super) fn new(body: Bytes) -> Self {
        Self {
            framed: body.starts_with(MAGIC),
            rest: body,
        }
    }

    /// One block; false at the end of the body.
    pub(super) fn more(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<bool, Fault> {
        if !self.framed {
            block(&self.rest, limit, out)?;
            return Ok(false);
        }
        // Also in the middle: two streams written one behind the other.
        while self.rest.starts_with(MAGIC) {
            let (framing, _) = self
                .rest
                .split_first_chunk::<FRAMING_BYTES>()
                .ok_or_else(|| cut("framing"))?;
            let version = i32::from_be_bytes([framing[8], framing[9], framing[10], framing[11]]);
            if version < VERSION {
                return Err(Fault::malformed(format_args!("framing version {version}")));
            }
            self.rest.advance(FRAMING_BYTES);
        }
        if self.rest.is_empty() {
            return Ok(false);
        }
        let (size, tail) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| cut("block length"))?;
        let (compressed, tail) = usize::try_from(i32::from_be_bytes(*size))
            .ok()
            .and_then(|size| tail.split_at_checked(size))
            .ok_or_else(|| cut("block"))?;
        block(compressed, limit, out)?;
        let left = tail.len();
        self.rest.advance(self.rest.len() - left);
        Ok(left > 0)
    }
}

fn cut(what: &str) -> Fault {
    Fault::malformed(format_args!("it ends within a {what}"))
}

fn block(compressed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let size = snap::raw::decompress_len(compressed).map_err(Fault::malformed)?;
    if size > compressed.len().saturating_mul(RATIO_MAX) {
        return Err(Fault::malformed(format_args!(
            "{} bytes cannot become {size}",
            compressed.len()
        )));
    }
    let start = out.len();
    if size > limit - start {
        return Err(Fault::OverLimit);
    }
    out.resize(start + size, 0);
    let written = snap::raw::Decoder::new()
        .decompress(compressed, &mut out[start..])
        .map_err(Fault::malformed)?;
    out.truncate(start + written);
    Ok(())
}

pub(super) fn compress(body: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in body.chunks(BLOCK_BYTES) {
        let start = out.len();
        out.resize(start + 4 + snap::raw::max_compress_len(block.len()), 0);
        let written = encoder
            .compress(block, &mut out[start + 4..])
            .map_err(|error| error.to_string())?;
        let size = i32::try_from(written).map_err(|error| error.to_string())?;
        out[start..start + 4].copy_from_slice(&size.to_be_bytes());
        out.truncate(start + 4 + written);
    }
    Ok(())
}
