//! What every message can do: be decoded, measured and encoded at a version.

use std::ops::RangeInclusive;

use bytes::Bytes;

use super::{DecodeError, EncodeError, Field, Layout, Malformed, Reader, Unwritable, Writer};
use crate::ApiKey;

/// A request's or an answer's body. Declared in [`messages`](crate::messages), never implemented by hand.
pub trait Message<'a>: Field<'a> + Default {
    /// Its API.
    const KEY: ApiKey;
    /// Its name in Kafka.
    const NAME: &'static str;
    /// The versions in which it can be read and written.
    const VERSIONS: RangeInclusive<i16>;
    /// The first flexible version (KIP-482); beyond all versions if there is none.
    const FLEXIBLE_FROM: i16;

    /// Reads a body. What is decoded borrows from it; bytes behind its end are not looked at, as in Kafka, and tagged
    /// fields that are not known here are skipped and lost.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not a body of this version. No bytes make it panic, or take memory beyond a small
    /// multiple of their own length.
    fn decode(bytes: &'a [u8], version: i16) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, Self::layout(version));
        if !Self::VERSIONS.contains(&version) {
            return Err(reader.error(Malformed::Version(version)));
        }
        Self::read(&mut reader, false)
    }

    /// Writes a body of its own.
    ///
    /// # Errors
    /// [`EncodeError`] when this version cannot say what the message says.
    fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        let layout = Self::layout(version);
        let mut writer = Writer::contiguous(layout, Field::size(self, layout));
        self.encode_into(&mut writer)?;
        Ok(writer.into_bytes())
    }

    /// How many bytes the body takes.
    fn encoded_size(&self, version: i16) -> usize {
        Field::size(self, Self::layout(version))
    }

    /// Appends the body in the writer's layout.
    #[doc(hidden)]
    fn encode_into(&self, writer: &mut Writer) -> Result<(), EncodeError> {
        let version = writer.layout().version;
        if !Self::VERSIONS.contains(&version) {
            return Err(Unwritable::Version(version).of(Self::NAME));
        }
        self.write(writer, false, Self::NAME)
    }

    /// How a version lies in the bytes.
    #[doc(hidden)]
    fn layout(version: i16) -> Layout {
        Layout {
            version,
            flexible: version >= Self::FLEXIBLE_FROM,
        }
    }
}

/// A request, with the answer that belongs to it.
pub trait Request<'a>: Message<'a> {
    /// What it is answered with, in the same version.
    type Response<'r>: Message<'r>;
}
