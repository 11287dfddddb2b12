//! The fields of Kafka's keys and values, read and written: what every codec of the records of this topic is made of.

use bytes::Bytes;

use super::codec::RecordError;

/// Kafka's strings are at most this long, whatever their length field could say.
const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// A cursor over one key or value. Every length is held against the bytes that are left before anything is copied.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// At the first of these bytes; `what` they are is said by errors.
    #[must_use]
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// [`RecordError::Truncated`], as of all below, if there are not so many.
    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(RecordError::Truncated { what: self.what }),
        }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`RecordError::Truncated`].
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(RecordError::Truncated { what: self.what }),
        }
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// [`RecordError::Truncated`].
    pub fn i16(&mut self) -> Result<i16, RecordError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// [`RecordError::Truncated`].
    pub fn i32(&mut self) -> Result<i32, RecordError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// [`RecordError::Truncated`].
    pub fn i64(&mut self) -> Result<i64, RecordError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// Java's `readUnsignedVarint`: five bytes at most, taken as a signed 32-bit number.
    fn uvarint(&mut self) -> Result<i32, RecordError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value.cast_signed());
            }
        }
        Err(RecordError::Malformed { field: "varint" })
    }

    /// A string with a length of two bytes.
    ///
    /// # Errors
    /// [`RecordError`], also if it is null.
    pub fn string(&mut self, field: &'static str) -> Result<String, RecordError> {
        self.string_at(field, false)
    }

    /// A string, compact in flexible versions.
    ///
    /// # Errors
    /// [`RecordError`], also if it is null.
    pub fn string_at(&mut self, field: &'static str, compact: bool) -> Result<String, RecordError> {
        self.nullable_string_at(field, compact)?
            .ok_or(RecordError::Malformed { field })
    }

    /// A string that may be null.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn nullable_string_at(
        &mut self,
        field: &'static str,
        compact: bool,
    ) -> Result<Option<String>, RecordError> {
        let length = if compact {
            self.uvarint()?.wrapping_sub(1)
        } else {
            i32::from(self.i16()?)
        };
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        if length > STRING_BYTES_MAX {
            return Err(RecordError::Malformed { field });
        }
        // Java turns bad UTF-8 into U+FFFD; so the same group is found under the same name.
        Ok(Some(
            String::from_utf8_lossy(self.take(length)?).into_owned(),
        ))
    }

    /// Bytes with a length of four bytes, or compact.
    ///
    /// # Errors
    /// [`RecordError`], also if they are null.
    pub fn bytes_at(&mut self, field: &'static str, compact: bool) -> Result<Bytes, RecordError> {
        let length = if compact {
            self.uvarint()?.wrapping_sub(1)
        } else {
            self.i32()?
        };
        let length = usize::try_from(length).map_err(|_| RecordError::Malformed { field })?;
        Ok(Bytes::copy_from_slice(self.take(length)?))
    }

    /// The length of an array: no more than bytes are left.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn count(&mut self, field: &'static str, compact: bool) -> Result<usize, RecordError> {
        let count = if compact {
            self.uvarint()?.wrapping_sub(1)
        } else {
            self.i32()?
        };
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= self.rest.len())
            .ok_or(RecordError::Malformed { field })
    }

    /// What was not read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads a tagged section. Repeated and unordered tags are taken, the later one wins, as in Kafka.
    ///
    /// # Errors
    /// [`RecordError`], and what `each` says.
    pub fn tags(
        &mut self,
        mut each: impl FnMut(i32, &'a [u8]) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = usize::try_from(self.uvarint()?).map_err(|_| RecordError::Malformed {
                field: "tagged field",
            })?;
            each(tag, self.take(size)?)?;
        }
        Ok(())
    }
}

/// The length of bytes or of an array.
///
/// # Errors
/// [`RecordError::TooLong`], as of all below.
pub fn length(field: &'static str, length: usize) -> Result<i32, RecordError> {
    i32::try_from(length).map_err(|_| RecordError::TooLong {
        field,
        bytes: length,
    })
}

/// A string with a length of two bytes.
///
/// # Errors
/// [`RecordError::TooLong`].
pub fn put_string(out: &mut Vec<u8>, field: &'static str, text: &str) -> Result<(), RecordError> {
    let length = i16::try_from(text.len()).map_err(|_| RecordError::TooLong {
        field,
        bytes: text.len(),
    })?;
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
    Ok(())
}

/// A string that may be null.
///
/// # Errors
/// [`RecordError::TooLong`].
pub fn put_nullable_string(
    out: &mut Vec<u8>,
    field: &'static str,
    text: Option<&str>,
) -> Result<(), RecordError> {
    match text {
        Some(text) => put_string(out, field, text),
        None => {
            out.extend((-1i16).to_be_bytes());
            Ok(())
        }
    }
}

/// A string of a flexible version.
///
/// # Errors
/// [`RecordError::TooLong`].
pub fn put_compact_string(
    out: &mut Vec<u8>,
    field: &'static str,
    text: &str,
) -> Result<(), RecordError> {
    if text.len() > STRING_BYTES_MAX {
        return Err(RecordError::TooLong {
            field,
            bytes: text.len(),
        });
    }
    let mut rest = text.len() + 1;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend(text.as_bytes());
    Ok(())
}

/// Bytes with a length of four bytes.
///
/// # Errors
/// [`RecordError::TooLong`].
pub fn put_bytes(out: &mut Vec<u8>, field: &'static str, bytes: &[u8]) -> Result<(), RecordError> {
    out.extend(length(field, bytes.len())?.to_be_bytes());
    out.extend(bytes);
    Ok(())
}
