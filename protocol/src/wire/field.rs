//! The types a field can have: integers, strings, bytes, records, ids, arrays, structs, and what may be null. A struct
//! gets its implementation from its [table](super::table).

use std::borrow::Cow;

use bytes::Bytes;

use super::writer::SHARE_BYTES_MIN;
use super::{DecodeError, EncodeError, Layout, Malformed, Reader, RecordBytes, Unwritable, Writer};
use crate::Uuid;
use crate::varint::size_u32;

/// A value in a message. Nothing to implement by hand outside of this file.
pub trait Field<'a>: Sized {
    /// What a table without a default means.
    #[doc(hidden)]
    fn initial() -> Self;
    /// The least number of bytes one takes.
    #[doc(hidden)]
    fn smallest(at: Layout) -> usize;
    /// Reads one; `null` says whether it may be null in this version.
    #[doc(hidden)]
    fn read(from: &mut Reader<'a>, null: bool) -> Result<Self, DecodeError>;
    /// How many bytes it takes.
    #[doc(hidden)]
    fn size(&self, at: Layout) -> usize;
    /// How many of those are record bytes that are shared, not copied.
    #[doc(hidden)]
    fn shared(&self) -> usize {
        0
    }
    /// Writes it; `name` is for the error.
    #[doc(hidden)]
    fn write(&self, to: &mut Writer, null: bool, name: &'static str) -> Result<(), EncodeError>;
    /// One of random content.
    #[cfg(test)]
    fn random(random: &mut crate::testing::Random, at: Layout, null: bool) -> Self;
    /// As Kafka's own converters print it.
    #[cfg(test)]
    fn json(&self, at: Layout) -> serde_json::Value;
}

/// A value whose length says whether it is there at all.
pub trait Nullable<'a>: Field<'a> {
    /// Reads one or null.
    fn read_or_null(from: &mut Reader<'a>) -> Result<Option<Self>, DecodeError>;
    /// Writes null.
    fn write_null(to: &mut Writer) -> Result<(), Unwritable>;
    /// How many bytes null takes.
    fn null_size(at: Layout) -> usize;
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl<'a> Field<'a> for $type {
            fn initial() -> Self {
                0
            }

            fn smallest(_: Layout) -> usize {
                size_of::<Self>()
            }

            #[inline]
            fn read(from: &mut Reader<'a>, _null: bool) -> Result<Self, DecodeError> {
                from.fixed().map(Self::from_be_bytes)
            }

            fn size(&self, _: Layout) -> usize {
                size_of::<Self>()
            }

            #[inline]
            fn write(&self, to: &mut Writer, _null: bool, _name: &'static str) -> Result<(), EncodeError> {
                to.put(&self.to_be_bytes());
                Ok(())
            }

            #[cfg(test)]
            fn random(random: &mut crate::testing::Random, _: Layout, _: bool) -> Self {
                random.integer() as Self
            }

            #[cfg(test)]
            fn json(&self, _: Layout) -> serde_json::Value {
                (*self).into()
            }
        }
    )*};
}

integers!(i8 i16 i32 i64);

impl<'a> Field<'a> for bool {
    fn initial() -> Self {
        false
    }

    fn smallest(_: Layout) -> usize {
        1
    }

    fn read(from: &mut Reader<'a>, _null: bool) -> Result<Self, DecodeError> {
        from.fixed().map(|[byte]| byte != 0)
    }

    fn size(&self, _: Layout) -> usize {
        1
    }

    fn write(&self, to: &mut Writer, _null: bool, _name: &'static str) -> Result<(), EncodeError> {
        to.put(&[u8::from(*self)]);
        Ok(())
    }

    #[cfg(test)]
    fn random(random: &mut crate::testing::Random, _: Layout, _: bool) -> Self {
        random.integer() & 1 == 1
    }

    #[cfg(test)]
    fn json(&self, _: Layout) -> serde_json::Value {
        (*self).into()
    }
}

impl<'a> Field<'a> for Uuid {
    fn initial() -> Self {
        Self::ZERO
    }

    fn smallest(_: Layout) -> usize {
        16
    }

    fn read(from: &mut Reader<'a>, _null: bool) -> Result<Self, DecodeError> {
        from.fixed().map(Self)
    }

    fn size(&self, _: Layout) -> usize {
        16
    }

    fn write(&self, to: &mut Writer, _null: bool, _name: &'static str) -> Result<(), EncodeError> {
        to.put(&self.0);
        Ok(())
    }

    #[cfg(test)]
    fn random(random: &mut crate::testing::Random, _: Layout, _: bool) -> Self {
        Self(std::array::from_fn(|_| random.integer() as u8))
    }

    #[cfg(test)]
    fn json(&self, _: Layout) -> serde_json::Value {
        self.to_string().into()
    }
}

/// How many bytes the length or count of something takes: `classic` bytes, or a variable-length integer.
fn length_size(length: usize, classic: usize, at: Layout) -> usize {
    if at.flexible {
        // Too long a value is refused when it is written.
        return size_u32(u32::try_from(length).unwrap_or(u32::MAX).saturating_add(1));
    }
    classic
}

/// The parts of [`Field`] and [`Nullable`] that are the same for everything with a length in front.
macro_rules! with_length {
    ($lifetime:lifetime, $type:ty, $length:ident, $classic:literal $(, $generic:ident)?) => {
        fn initial() -> Self {
            Self::default()
        }

        fn smallest(at: Layout) -> usize {
            length_size(0, $classic, at)
        }

        #[inline]
        fn read(from: &mut Reader<$lifetime>, _null: bool) -> Result<Self, DecodeError> {
            Self::read_or_null(from)?.ok_or_else(|| from.error(Malformed::Null))
        }
    };
}

macro_rules! null_with_length {
    ($length:ident, $classic:literal) => {
        fn write_null(to: &mut Writer) -> Result<(), Unwritable> {
            to.$length(None)
        }

        fn null_size(at: Layout) -> usize {
            if at.flexible { 1 } else { $classic }
        }
    };
}

impl<'a> Field<'a> for Cow<'a, str> {
    with_length!('a, Cow<'a, str>, string_length, 2);

    fn size(&self, at: Layout) -> usize {
        length_size(self.len(), 2, at) + self.len()
    }

    fn write(&self, to: &mut Writer, _null: bool, name: &'static str) -> Result<(), EncodeError> {
        to.string_length(Some(self.len()))
            .map_err(|reason| reason.of(name))?;
        to.put(self.as_bytes());
        Ok(())
    }

    #[cfg(test)]
    fn random(random: &mut crate::testing::Random, _: Layout, _: bool) -> Self {
        Cow::Owned(random.string())
    }

    #[cfg(test)]
    fn json(&self, _: Layout) -> serde_json::Value {
        (**self).into()
    }
}

impl<'a> Nullable<'a> for Cow<'a, str> {
    #[inline]
    fn read_or_null(from: &mut Reader<'a>) -> Result<Option<Self>, DecodeError> {
        let Some(length) = from.string_length()? else {
            return Ok(None);
        };
        Ok(Some(from.text(length)?))
    }

    null_with_length!(string_length, 2);
}

impl<'a> Field<'a> for Cow<'a, [u8]> {
    with_length!('a, Cow<'a, [u8]>, long_length, 4);

    fn size(&self, at: Layout) -> usize {
        length_size(self.len(), 4, at) + self.len()
    }

    fn write(&self, to: &mut Writer, _null: bool, name: &'static str) -> Result<(), EncodeError> {
        to.long_length(Some(self.len()))
            .map_err(|reason| reason.of(name))?;
        to.put(self);
        Ok(())
    }

    #[cfg(test)]
    fn random(random: &mut crate::testing::Random, _: Layout, _: bool) -> Self {
        Cow::Owned(random.string().into_bytes())
    }

    #[cfg(test)]
    fn json(&self, _: Layout) -> serde_json::Value {
        crate::testing::base64(self).into()
    }
}

impl<'a> Nullable<'a> for Cow<'a, [u8]> {
    #[inline]
    fn read_or_null(from: &mut Reader<'a>) -> Result<Option<Self>, DecodeError> {
        let Some(length) = from.long_length()? else {
            return Ok(None);
        };
        Ok(Some(Cow::Borrowed(from.take(length)?)))
    }

    null_with_length!(long_length, 4);
}

impl<'a> Field<'a> for RecordBytes<'a> {
    with_length!('a, RecordBytes<'a>, long_length, 4);

    fn size(&self, at: Layout) -> usize {
        length_size(self.len(), 4, at) + self.len()
    }

    fn shared(&self) -> usize {
        let lengths = self.shared().iter().map(Bytes::len);
        lengths.filter(|length| *length >= SHARE_BYTES_MIN).sum()
    }

    fn write(&self, to: &mut Writer, _null: bool, name: &'static str) -> Result<(), EncodeError> {
        to.long_length(Some(self.len()))
            .map_err(|reason| reason.of(name))?;
        if let Some(bytes) = self.borrowed() {
            to.put(bytes);
        }
        for piece in self.shared() {
            to.share(piece);
        }
        Ok(())
    }

    #[cfg(test)]
    fn random(random: &mut crate::testing::Random, _: Layout, _: bool) -> Self {
        random.string().into_bytes().into()
    }

    #[cfg(test)]
    fn json(&self, _: Layout) -> serde_json::Value {
        crate::testing::base64(&self.to_vec()).into()
    }
}

impl<'a> Nullable<'a> for RecordBytes<'a> {
    #[inline]
    fn read_or_null(from: &mut Reader<'a>) -> Result<Option<Self>, DecodeError> {
        let Some(length) = from.long_length()? else {
            return Ok(None);
        };
        Ok(Some(from.take(length)?.into()))
    }

    null_with_length!(long_length, 4);
}

impl<'a, T: Field<'a>> Field<'a> for Vec<T> {
    with_length!('a, Vec<T>, long_length, 4);

    fn size(&self, at: Layout) -> usize {
        length_size(self.len(), 4, at) + self.iter().map(|element| element.size(at)).sum::<usize>()
    }

    fn shared(&self) -> usize {
        self.iter().map(T::shared).sum()
    }

    fn write(&self, to: &mut Writer, _null: bool, name: &'static str) -> Result<(), EncodeError> {
        to.long_length(Some(self.len()))
            .map_err(|reason| reason.of(name))?;
        self.iter()
            .try_for_each(|element| element.write(to, false, name))
    }

    #[cfg(test)]
    fn random(random: &mut crate::testing::Random, at: Layout, _: bool) -> Self {
        (0..random.count())
            .map(|_| T::random(random, at, false))
            .collect()
    }

    #[cfg(test)]
    fn json(&self, at: Layout) -> serde_json::Value {
        self.iter().map(|element| element.json(at)).collect()
    }
}

impl<'a, T: Field<'a>> Nullable<'a> for Vec<T> {
    fn read_or_null(from: &mut Reader<'a>) -> Result<Option<Self>, DecodeError> {
        let Some(count) = from.long_length()? else {
            return Ok(None);
        };
        from.claim(count, T::smallest(from.layout()), size_of::<T>())?;
        let mut elements = Self::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(from, false)?);
        }
        Ok(Some(elements))
    }

    null_with_length!(long_length, 4);
}

impl<'a, T: Nullable<'a>> Field<'a> for Option<T> {
    fn initial() -> Self {
        Some(T::initial())
    }

    fn smallest(at: Layout) -> usize {
        T::null_size(at).min(T::smallest(at))
    }

    fn read(from: &mut Reader<'a>, null: bool) -> Result<Self, DecodeError> {
        if null {
            T::read_or_null(from)
        } else {
            T::read(from, false).map(Some)
        }
    }

    fn size(&self, at: Layout) -> usize {
        match self {
            Some(value) => value.size(at),
            None => T::null_size(at),
        }
    }

    fn shared(&self) -> usize {
        self.as_ref().map_or(0, T::shared)
    }

    fn write(&self, to: &mut Writer, null: bool, name: &'static str) -> Result<(), EncodeError> {
        match self {
            Some(value) => value.write(to, false, name),
            None if null => T::write_null(to).map_err(|reason| reason.of(name)),
            None => Err(Unwritable::Null.of(name)),
        }
    }

    #[cfg(test)]
    fn random(random: &mut crate::testing::Random, at: Layout, null: bool) -> Self {
        (!null || random.integer() & 3 != 0).then(|| T::random(random, at, false))
    }

    #[cfg(test)]
    fn json(&self, at: Layout) -> serde_json::Value {
        self.as_ref()
            .map_or(serde_json::Value::Null, |value| value.json(at))
    }
}
