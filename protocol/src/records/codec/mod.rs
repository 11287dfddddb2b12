//! The codecs of a batch's body: a whole body at a time with a bound on what comes out, or piece by piece, without one.

use bytes::Bytes;

use super::RecordsError;

mod gzip;
mod lz4;
mod snappy;
mod zstd;

/// How a batch's records are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy, in the framing Java writes.
    Snappy,
    /// LZ4, as frames of independent blocks.
    Lz4,
    /// Zstandard (since Kafka 2.1).
    Zstd,
}

impl Compression {
    pub(super) fn of_bits(id: u8) -> Result<Self, RecordsError> {
        Ok(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            id => return Err(RecordsError::UnknownCodec { id }),
        })
    }

    pub(super) fn bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Kafka's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The most bytes a batch's records may decompress to. A few hundred bytes can become gigabytes: whoever reads says
/// what is enough. Checked while decompressing, so that not much more than this is ever held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecompressLimit(usize);

impl DecompressLimit {
    /// At most so many bytes.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// The bound.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }
}

/// Why a codec gives up.
#[derive(Debug)]
enum Fault {
    OverLimit,
    Malformed(String),
}

impl Fault {
    fn malformed(reason: impl std::fmt::Display) -> Self {
        Self::Malformed(reason.to_string())
    }

    fn of(self, codec: Compression, limit: usize) -> RecordsError {
        match self {
            Self::OverLimit => RecordsError::OverLimit { limit },
            Self::Malformed(reason) => RecordsError::Decompress { codec, reason },
        }
    }
}

/// Decompresses a whole body.
pub(super) fn decompress(
    codec: Compression,
    body: &Bytes,
    limit: DecompressLimit,
) -> Result<Vec<u8>, RecordsError> {
    let limit = limit.bytes();
    let decompressed = match codec {
        Compression::None => Ok(body.to_vec()),
        Compression::Zstd => zstd::decompress(body, limit),
        codec => whole(codec, body, limit),
    };
    match decompressed {
        Ok(mut out) => {
            // Records keep the whole body alive; what the codec guessed too much must not stay with them.
            if out.capacity() / 2 > out.len() {
                out.shrink_to_fit();
            }
            Ok(out)
        }
        Err(fault) => Err(fault.of(codec, limit)),
    }
}

fn whole(codec: Compression, body: &Bytes, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut unfold = Codec::new(codec, body.clone())?;
    let mut out = Vec::new();
    while unfold.more(&mut out, limit)? {}
    Ok(out)
}

/// Bytes of a piece at most, where the codec does not say; of a short body at least, and this many times its length.
const PIECE_BYTES: usize = 64 * 1024;
const PIECE_BYTES_MIN: usize = 4 * 1024;
const PIECE_RATIO: usize = 8;

/// Room behind what is in `out` for a piece of `body`: one byte more than the limit allows tells what is over from what
/// is just enough.
fn grow<'a>(out: &'a mut Vec<u8>, body: &[u8], limit: usize) -> &'a mut [u8] {
    let start = out.len();
    let piece = body.len().saturating_mul(PIECE_RATIO);
    let left = limit.saturating_sub(start).saturating_add(1);
    out.resize(
        start + piece.clamp(PIECE_BYTES_MIN, PIECE_BYTES).min(left),
        0,
    );
    &mut out[start..]
}

/// A body that unfolds piece by piece. Holds what its codec needs, from the first piece on, and nothing of what has come
/// out.
pub(super) struct Unfold {
    codec: Compression,
    memory: usize,
    state: State,
}

enum State {
    /// Many may wait to be unfolded: until then one holds nothing but the body.
    Folded(Bytes),
    Unfolding(Codec),
}

enum Codec {
    Gzip(gzip::Unfold),
    Snappy(snappy::Unfold),
    Lz4(lz4::Unfold),
    Zstd(zstd::Unfold),
}

impl Unfold {
    pub(super) fn new(codec: Compression, body: Bytes) -> Self {
        Self {
            codec,
            memory: match codec {
                Compression::None => 0,
                Compression::Gzip => gzip::MEMORY_BYTES,
                Compression::Snappy => snappy::memory(&body),
                Compression::Lz4 => lz4::memory(&body),
                Compression::Zstd => zstd::memory(&body),
            },
            state: State::Folded(body),
        }
    }

    /// Bytes it holds once it unfolds, and those of its largest piece: as the body announces them.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Adds the next piece, which may be empty. False when it was the last one. After an error it must not be asked again.
    pub(super) fn more(&mut self, out: &mut Vec<u8>) -> Result<bool, RecordsError> {
        let no_limit = usize::MAX;
        let more = self.state.more(self.codec, out, no_limit);
        more.map_err(|fault| fault.of(self.codec, no_limit))
    }
}

impl State {
    fn more(&mut self, codec: Compression, out: &mut Vec<u8>, limit: usize) -> Result<bool, Fault> {
        match self {
            Self::Folded(body) => {
                let mut unfolding = Codec::new(codec, std::mem::take(body))?;
                let more = unfolding.more(out, limit);
                *self = Self::Unfolding(unfolding);
                more
            }
            Self::Unfolding(unfolding) => unfolding.more(out, limit),
        }
    }
}

impl Codec {
    fn new(codec: Compression, body: Bytes) -> Result<Self, Fault> {
        Ok(match codec {
            Compression::None => return Err(Fault::malformed("nothing to unfold")),
            Compression::Gzip => Self::Gzip(gzip::Unfold::new(body)?),
            Compression::Snappy => Self::Snappy(snappy::Unfold::new(body)),
            Compression::Lz4 => Self::Lz4(lz4::Unfold::new(body)?),
            Compression::Zstd => Self::Zstd(zstd::Unfold::new(body)?),
        })
    }

    fn more(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<bool, Fault> {
        match self {
            Self::Gzip(unfold) => unfold.more(out, limit),
            Self::Snappy(unfold) => unfold.more(out, limit),
            Self::Lz4(unfold) => unfold.more(out, limit),
            Self::Zstd(unfold) => unfold.more(out),
        }
    }
}

/// Compresses a whole body behind what is in `out`.
pub(super) fn compress(
    codec: Compression,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), RecordsError> {
    let compressed = match codec {
        Compression::None => {
            out.extend_from_slice(body);
            Ok(())
        }
        Compression::Gzip => gzip::compress(body, out),
        Compression::Snappy => snappy::compress(body, out),
        Compression::Lz4 => lz4::compress(body, out),
        Compression::Zstd => zstd::compress(body, out),
    };
    compressed.map_err(|reason| RecordsError::Compress { codec, reason })
}
