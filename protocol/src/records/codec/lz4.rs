//! LZ4 frames, as far as Kafka goes: version 1, independent blocks, no dictionary, one frame. The frame is taken apart
//! here because a general reader allocates the block size that is announced, and takes what Java refuses.

use std::hash::Hasher;
use std::io::Write;

use bytes::Bytes;
use lz4_flex::block::{DecompressError, decompress_into};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use super::Fault;

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// Set in a block's size when its bytes are not compressed.
const STORED: u32 = 1 << 31;
/// No block decompresses to more than this times its length: a length byte stands for 255 at most.
const RATIO_MAX: usize = 255;

/// What the frame's descriptor says of its blocks.
struct Descriptor {
    block_bytes_max: usize,
    block_checksums: bool,
    content_checksum: bool,
}

/// A body as it unfolds, a block at a time.
pub(super) struct Unfold {
    rest: Bytes,
    descriptor: Descriptor,
}

/// What unfolding takes: a block, as the frame announces it. Nothing where that is no frame, and so does not unfold.
pub(super) fn memory(mut body: &[u8]) -> usize {
    let block_bytes_max = descriptor(&mut body).map_or(0, |frame| frame.block_bytes_max);
    block_bytes_max.min(body.len().saturating_mul(RATIO_MAX))
}

impl Unfold {
    pub(super) fn new(body: Bytes) -> Result<Self, Fault> {
        let mut rest = body.as_ref();
        let descriptor = descriptor(&mut rest)?;
        Ok(Self {
            rest: body.slice(body.len() - rest.len()..),
            descriptor,
        })
    }

    /// One block; false at the end of the frame. What follows it is left alone, as by Java.
    pub(super) fn more(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<bool, Fault> {
        let all = self.rest.clone();
        let mut rest = all.as_ref();
        let size = u32::from_le_bytes(take(&mut rest)?);
        let length = (size & !STORED) as usize;
        if length == 0 {
            if self.descriptor.content_checksum {
                // It has to be there. Java does not compare it, so no broker has: what is stored with a wrong one is read.
                take::<4>(&mut rest)?;
            }
            return Ok(false);
        }
        let most = self.descriptor.block_bytes_max;
        if length > most {
            return Err(Fault::malformed("a block exceeds the frame's block size"));
        }
        let (block, tail) = rest.split_at_checked(length).ok_or_else(cut)?;
        rest = tail;
        if self.descriptor.block_checksums && hash(block) != u32::from_le_bytes(take(&mut rest)?) {
            return Err(Fault::malformed("a block's checksum differs"));
        }
        let start = out.len();
        if size & STORED == 0 {
            inflate(block, most, limit, out)?;
        } else if block.len() > limit - start {
            return Err(Fault::OverLimit);
        } else {
            out.extend_from_slice(block);
        }
        self.rest = all.slice(all.len() - rest.len()..);
        Ok(true)
    }
}

fn descriptor(rest: &mut &[u8]) -> Result<Descriptor, Fault> {
    if take::<4>(rest)? != MAGIC {
        return Err(Fault::malformed("no LZ4 frame"));
    }
    let start = *rest;
    let [flags, block] = take(rest)?;
    // Version 1, blocks independent; the lowest bits are reserved and the dictionary's.
    if flags & 0b1110_0011 != 0b0110_0000 {
        return Err(Fault::malformed(format_args!("frame flags {flags:#010b}")));
    }
    let block_bytes_max = match block {
        0x40 => 64 * 1024,
        0x50 => 256 * 1024,
        0x60 => 1024 * 1024,
        0x70 => 4 * 1024 * 1024,
        _ => return Err(Fault::malformed(format_args!("block size {block:#04x}"))),
    };
    if flags & 0b1000 != 0 {
        // The content's size. Java does not look at it either.
        take::<8>(rest)?;
    }
    let hashed = &start[..start.len() - rest.len()];
    let [check] = take(rest)?;
    if check != (hash(hashed) >> 8) as u8 {
        return Err(Fault::malformed("the descriptor's checksum differs"));
    }
    Ok(Descriptor {
        block_bytes_max,
        block_checksums: flags & 0b1_0000 != 0,
        content_checksum: flags & 0b100 != 0,
    })
}

fn inflate(block: &[u8], max: usize, limit: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    let possible = max.min(block.len().saturating_mul(RATIO_MAX));
    let allowed = possible.min(limit - start);
    out.resize(start + allowed, 0);
    match decompress_into(block, &mut out[start..]) {
        Ok(written) => {
            out.truncate(start + written);
            Ok(())
        }
        Err(DecompressError::OutputTooSmall { .. }) if allowed < possible => Err(Fault::OverLimit),
        Err(error) => Err(Fault::malformed(error)),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, tail) = rest.split_first_chunk().ok_or_else(cut)?;
    *rest = tail;
    Ok(*taken)
}

fn cut() -> Fault {
    Fault::malformed("it ends within the frame")
}

fn hash(bytes: &[u8]) -> u32 {
    let mut hasher = XxHash32::with_seed(0);
    hasher.write(bytes);
    // The hasher widens its 32 bits.
    hasher.finish() as u32
}

pub(super) fn compress(body: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(body).map_err(|error| error.to_string())?;
    encoder
        .finish()
        .map(|_| ())
        .map_err(|error| error.to_string())
}
