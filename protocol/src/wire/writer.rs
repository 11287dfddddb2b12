//! Writes values. Long record bytes are not copied: they become pieces of the result as they are, so that a Fetch
//! answer costs its headers and no more. Refuses what Kafka's writers refuse.

use bytes::Bytes;
use thiserror::Error;

use super::Layout;
use crate::varint;

/// Shared bytes shorter than this are copied: another piece of the result costs more than the copy.
pub(crate) const SHARE_BYTES_MIN: usize = 512;

/// A message cannot be written at the version asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct EncodeError {
    /// The field; or the message, when it is not about one.
    pub field: &'static str,
    /// What stands in the way.
    pub reason: Unwritable,
}

/// Why a value cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// Null where this version does not allow it.
    #[error("null where a value must be")]
    Null,
    /// Longer than the length field can say.
    #[error("{0} bytes or elements are too long")]
    TooLong(usize),
    /// A value other than the default that this version cannot carry and a reader would miss.
    #[error("version {0} cannot carry a value here")]
    NotInVersion(i16),
    /// The message has no such version.
    #[error("there is no version {0}")]
    Version(i16),
}

impl Unwritable {
    /// In this field.
    pub(crate) fn of(self, field: &'static str) -> EncodeError {
        EncodeError {
            field,
            reason: self,
        }
    }
}

/// Bytes being written.
#[derive(Debug)]
pub struct Writer {
    layout: Layout,
    /// All that is copied, in one allocation.
    copied: Vec<u8>,
    /// What is shared, and how many of the copied bytes stand before it.
    shared: Vec<(usize, Bytes)>,
    /// Whether pieces may be shared.
    share: bool,
}

impl Writer {
    /// Into one piece of about `size` bytes; everything is copied.
    pub(crate) fn contiguous(layout: Layout, size: usize) -> Self {
        Self {
            layout,
            shared: Vec::new(),
            copied: Vec::with_capacity(size),
            share: false,
        }
    }

    /// Into pieces; long record bytes are shared. `size` is what they all come to, `shared` what of it is shared.
    pub(crate) fn pieces(layout: Layout, size: usize, shared: usize) -> Self {
        Self {
            layout,
            shared: Vec::new(),
            copied: Vec::with_capacity(size.saturating_sub(shared)),
            share: true,
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    /// Appends bytes that somebody else owns too.
    pub(crate) fn share(&mut self, bytes: &Bytes) {
        if !self.share || bytes.len() < SHARE_BYTES_MIN {
            return self.put(bytes);
        }
        self.shared.push((self.copied.len(), bytes.clone()));
    }

    #[inline]
    pub(crate) fn varint(&mut self, value: u32) {
        varint::write_u32(&mut self.copied, value);
    }

    /// The length of a string, or null.
    #[inline]
    pub(crate) fn string_length(&mut self, length: Option<usize>) -> Result<(), Unwritable> {
        if self.layout.flexible {
            return self.compact_length(length, i16::MAX.unsigned_abs().into());
        }
        let wire = match length {
            Some(length) => i16::try_from(length).map_err(|_| Unwritable::TooLong(length))?,
            None => -1,
        };
        self.put(&wire.to_be_bytes());
        Ok(())
    }

    /// The length of bytes or the count of an array, or null.
    #[inline]
    pub(crate) fn long_length(&mut self, length: Option<usize>) -> Result<(), Unwritable> {
        if self.layout.flexible {
            return self.compact_length(length, (i32::MAX - 1) as usize);
        }
        let wire = match length {
            Some(length) => i32::try_from(length).map_err(|_| Unwritable::TooLong(length))?,
            None => -1,
        };
        self.put(&wire.to_be_bytes());
        Ok(())
    }

    #[inline]
    fn compact_length(&mut self, length: Option<usize>, most: usize) -> Result<(), Unwritable> {
        match length {
            Some(length) if length > most => return Err(Unwritable::TooLong(length)),
            Some(length) => self.varint(length as u32 + 1),
            None => self.varint(0),
        }
        Ok(())
    }

    /// What a [`contiguous`](Self::contiguous) writer has written.
    pub(crate) fn into_bytes(self) -> Bytes {
        debug_assert!(self.shared.is_empty(), "pieces would be lost");
        self.copied.into()
    }

    /// All pieces, in order.
    pub(crate) fn into_pieces(self) -> Vec<Bytes> {
        let mut copied = Bytes::from(self.copied);
        let mut pieces = Vec::with_capacity(2 * self.shared.len() + 1);
        let mut before = 0;
        for (place, bytes) in self.shared {
            if place > before {
                pieces.push(copied.split_to(place - before));
                before = place;
            }
            pieces.push(bytes);
        }
        if !copied.is_empty() {
            pieces.push(copied);
        }
        pieces
    }
}
