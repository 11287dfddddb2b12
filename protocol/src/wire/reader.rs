//! Reads values off a body that anybody may have made. Lengths and counts are held against the bytes that are left
//! before anything is allocated, and what all arrays of a body take together is bounded by the body's own size. What
//! Kafka's readers let pass passes here.

use std::borrow::Cow;

use thiserror::Error;

use super::Layout;
use crate::varint::{self, VarintError};

/// Memory that the arrays of one body may take, as a multiple of its size. An element in memory is larger than on the
/// wire: an empty string is one byte there and 24 here. Names of three letters in the smallest struct there is (a topic
/// of a Metadata request before its ids) come to 8; anything that is used comes to less.
const MEMORY_FACTOR: usize = 8;
/// So much is always allowed: small bodies may be made of nothing but names of one letter.
const MEMORY_FLOOR: usize = 64 * 1024;

/// Bytes are not the message they are read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{reason} (byte {at})")]
pub struct DecodeError {
    /// How many bytes were understood before.
    pub at: usize,
    /// What is wrong with the next.
    pub reason: Malformed,
}

/// What is wrong with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes end before the value does; also a length beyond the end.
    #[error("the bytes end too early")]
    Truncated,
    /// An array announces more elements than the bytes that are left can hold.
    #[error("{count} elements are announced, more than the rest can hold")]
    Count {
        /// The number announced.
        count: usize,
    },
    /// So many all but empty elements that they would take a large multiple of the body's size in memory.
    #[error("the elements would take too much memory")]
    Memory,
    /// Null where this version does not allow it.
    #[error("null where a value must be")]
    Null,
    /// A variable-length integer of more than 5 bytes.
    #[error("a variable-length integer is too long")]
    Varint,
    /// The message has no such version.
    #[error("version {0} is not known")]
    Version(i16),
}

/// A body being read. What is read borrows from it.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
    layout: Layout,
    /// Bytes that elements announced so far take at the very least; valid bodies have at least as many.
    claimed: usize,
    memory_left: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    pub(crate) fn new(bytes: &'a [u8], layout: Layout) -> Self {
        Self {
            rest: bytes,
            total: bytes.len(),
            layout,
            claimed: 0,
            memory_left: bytes
                .len()
                .saturating_mul(MEMORY_FACTOR)
                .saturating_add(MEMORY_FLOOR),
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[cold]
    pub(crate) fn error(&self, reason: Malformed) -> DecodeError {
        DecodeError {
            at: self.total - self.rest.len(),
            reason,
        }
    }

    #[inline]
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(self.error(Malformed::Truncated)),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(length) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(self.error(Malformed::Truncated)),
        }
    }

    /// Takes text. Kafka puts U+FFFD in the place of what is no UTF-8; only then is anything copied.
    pub(crate) fn text(&mut self, length: usize) -> Result<Cow<'a, str>, DecodeError> {
        let bytes = self.take(length)?;
        // Not left to `from_utf8_lossy` alone: that goes character by character.
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        })
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u32, DecodeError> {
        let mut rest = self.rest;
        let value = varint::read_u32(&mut rest).map_err(|reason| self.error(reason.into()))?;
        self.rest = rest;
        Ok(value)
    }

    /// The length of a string; any negative one is null.
    #[inline]
    pub(crate) fn string_length(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.layout.flexible {
            return self.compact_length();
        }
        Ok(usize::try_from(i16::from_be_bytes(self.fixed()?)).ok())
    }

    /// The length of bytes or the count of an array; any negative one is null.
    #[inline]
    pub(crate) fn long_length(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.layout.flexible {
            return self.compact_length();
        }
        Ok(usize::try_from(i32::from_be_bytes(self.fixed()?)).ok())
    }

    /// Length plus one. As in Java the number wraps to a negative one, which is null too.
    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>, DecodeError> {
        let length = self.varint()?.cast_signed().wrapping_sub(1);
        Ok(usize::try_from(length).ok())
    }

    /// Allows an array of `count` elements, each of at least `smallest` bytes here and `size` bytes in memory. Called
    /// before the memory is taken.
    pub(crate) fn claim(
        &mut self,
        count: usize,
        smallest: usize,
        size: usize,
    ) -> Result<(), DecodeError> {
        let refused = Malformed::Count { count };
        let least = count
            .checked_mul(smallest.max(1))
            .ok_or_else(|| self.error(refused))?;
        // Elements of one array inside another would each be held against the same bytes: hence the sum as well.
        self.claimed = self.claimed.saturating_add(least);
        if least > self.rest.len() || self.claimed > self.total {
            return Err(self.error(refused));
        }
        let memory = count.saturating_mul(size);
        self.memory_left = self
            .memory_left
            .checked_sub(memory)
            .ok_or_else(|| self.error(Malformed::Memory))?;
        Ok(())
    }

    /// How many tagged fields follow. Kafka reads a count with the top bit set as none.
    pub(crate) fn tag_count(&mut self) -> Result<u32, DecodeError> {
        let count = self.varint()?;
        if count.cast_signed() < 0 {
            return Ok(0);
        }
        // Tag and size take a byte each.
        if count as usize > self.rest.len() / 2 {
            return Err(self.error(Malformed::Count {
                count: count as usize,
            }));
        }
        Ok(count)
    }

    /// The number and the announced size of a tagged field. Kafka does not hold the size of a tag it knows against
    /// what it then reads.
    pub(crate) fn tag(&mut self) -> Result<(u32, u32), DecodeError> {
        Ok((self.varint()?, self.varint()?))
    }

    /// Skips a tagged field nobody here knows. It is not kept: what is decoded and encoded again has lost it.
    pub(crate) fn skip(&mut self, size: u32) -> Result<(), DecodeError> {
        self.take(size as usize).map(drop)
    }

    /// Skips the tagged fields of something whose tags are all unknown here.
    pub(crate) fn skip_tags(&mut self) -> Result<(), DecodeError> {
        for _ in 0..self.tag_count()? {
            let (_, size) = self.tag()?;
            self.skip(size)?;
        }
        Ok(())
    }
}

impl From<VarintError> for Malformed {
    fn from(error: VarintError) -> Self {
        match error {
            VarintError::Truncated => Self::Truncated,
            VarintError::TooLong => Self::Varint,
        }
    }
}
