//! The codecs of a batch's body, each one whole body at a time and each with a bound on what comes out.

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
}

/// Decompresses a whole body.
pub(super) fn decompress(
    codec: Compression,
    body: &[u8],
    limit: DecompressLimit,
) -> Result<Vec<u8>, RecordsError> {
    let limit = limit.bytes();
    let decompressed = match codec {
        Compression::None => Ok(body.to_vec()),
        Compression::Gzip => gzip::decompress(body, limit),
        Compression::Snappy => snappy::decompress(body, limit),
        Compression::Lz4 => lz4::decompress(body, limit),
        Compression::Zstd => zstd::decompress(body, limit),
    };
    match decompressed {
        Ok(mut out) => {
            // Records keep the whole body alive; what the codec guessed too much must not stay with them.
            if out.capacity() / 2 > out.len() {
                out.shrink_to_fit();
            }
            Ok(out)
        }
        Err(Fault::OverLimit) => Err(RecordsError::OverLimit { limit }),
        Err(Fault::Malformed(reason)) => Err(RecordsError::Decompress { codec, reason }),
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
