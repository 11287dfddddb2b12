//! Why bytes are no record batch, by the stage at which it shows.

use super::Compression;

/// What reading or writing a batch can fail with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// No batch of any version is that short.
    #[error("a batch claims a length of {length} bytes")]
    Length {
        /// The length field.
        length: i32,
    },
    /// The version is none that ever was.
    #[error("a batch has magic {magic}")]
    UnknownMagic {
        /// The magic byte.
        magic: i8,
    },
    /// A message set from before Kafka 0.11, which this reader does not decode.
    #[error("message sets of magic {magic} are not supported")]
    OldMessageSet {
        /// 0 or 1.
        magic: i8,
    },
    /// A batch of version 2 that is shorter than its own header.
    #[error("a batch of {size} bytes is shorter than its header")]
    HeaderCut {
        /// Bytes of the batch.
        size: usize,
    },
    /// The checksum does not fit the bytes.
    #[error("the checksum is {stored:#010x}, of the bytes it would be {computed:#010x}")]
    Crc {
        /// The one in the header.
        stored: u32,
        /// The one the bytes have.
        computed: u32,
    },
    /// The attributes name a codec that does not exist.
    #[error("compression type {id} does not exist")]
    UnknownCodec {
        /// The three bits.
        id: u8,
    },
    /// The records do not decompress.
    #[error("cannot decompress {codec}: {reason}")]
    Decompress {
        /// With which codec.
        codec: Compression,
        /// Why, in the codec's words.
        reason: String,
    },
    /// The records decompress to more than the caller allows. Nobody knows how much more: work stopped there.
    #[error("the records decompress to more than {limit} bytes")]
    OverLimit {
        /// The bound.
        limit: usize,
    },
    /// The header announces fewer than no records.
    #[error("a batch claims {count} records")]
    Count {
        /// The count field.
        count: i32,
    },
    /// A record does not parse.
    #[error("record {index} of the batch: {fault}")]
    Record {
        /// Its place in the batch, from 0.
        index: u32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// A batch to be written does not fit the format: over 2 GiB, or offsets that do not ascend within 31 bits.
    #[error("cannot write the batch: {reason}")]
    Unwritable {
        /// What does not fit.
        reason: &'static str,
    },
    /// The codec failed to compress.
    #[error("cannot compress {codec}: {reason}")]
    Compress {
        /// With which codec.
        codec: Compression,
        /// Why, in the codec's words.
        reason: String,
    },
}

/// What is wrong with one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// The batch ends before its last record begins, or within a record's length.
    #[error("the batch ends before it")]
    Missing,
    /// The length is a varint of more than five bytes.
    #[error("its length is a varint of more than five bytes")]
    OverlongLength,
    /// The length is negative or exceeds the bytes that are left.
    #[error("it claims {length} bytes and there are {left}")]
    Length {
        /// The length.
        length: i32,
        /// Bytes left in the batch.
        left: usize,
    },
    /// A field ends outside of the record, or is a varint that is too long.
    #[error("its fields exceed it")]
    Structure,
    /// The number of headers is negative or exceeds the bytes that are left.
    #[error("it claims {count} headers")]
    HeaderCount {
        /// The number.
        count: i32,
    },
    /// A header has no key.
    #[error("a header has no key")]
    HeaderKey,
    /// The record is longer than its fields.
    #[error("{bytes} bytes follow its fields")]
    BytesLeft {
        /// How many.
        bytes: usize,
    },
    /// The batch goes on behind its last record.
    #[error("it is the last one and {bytes} bytes follow")]
    MoreRecords {
        /// How many.
        bytes: usize,
    },
    /// Its offset is beyond the largest there is. Java would wrap it around; here it would reach arithmetic elsewhere.
    #[error("its offset is beyond the largest")]
    OffsetOverflow,
}

/// At which step of reading an error shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Finding the batch's end and reading its header.
    Batch,
    /// Checking its checksum.
    Crc,
    /// Decompressing and reading its records.
    Records,
    /// Writing one.
    Write,
}

impl RecordsError {
    /// At which step it shows.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Length { .. }
            | Self::UnknownMagic { .. }
            | Self::OldMessageSet { .. }
            | Self::HeaderCut { .. } => Stage::Batch,
            Self::Crc { .. } => Stage::Crc,
            Self::UnknownCodec { .. }
            | Self::Decompress { .. }
            | Self::OverLimit { .. }
            | Self::Count { .. }
            | Self::Record { .. } => Stage::Records,
            Self::Unwritable { .. } | Self::Compress { .. } => Stage::Write,
        }
    }
}
