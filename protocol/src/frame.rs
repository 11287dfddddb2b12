//! Frames: a length of four bytes and so many bytes. [`FrameReader`] cuts a stream into them; [`encode_request`] and
//! [`encode_response`] make them whole.

use bytes::Bytes;
use thiserror::Error;

use crate::header::{self, RequestHeader};
use crate::wire::{EncodeError, Field, Message, Unwritable, Writer};

/// Bytes of the length in front of every frame.
const LENGTH_BYTES: usize = 4;

/// A stream that is not, or no longer, one of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// More than is allowed. Nothing was allocated for it.
    #[error("a frame of {bytes} bytes, the most allowed is {most}")]
    TooLarge {
        /// The length announced.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// A length below zero.
    #[error("a frame of {0} bytes")]
    Negative(i32),
}

/// Cuts what arrives into frames. Each frame has memory of its own, so keeping one keeps no other; it grows with the
/// bytes that have arrived, never ahead of them by more than as much again. Without a begun frame it owns no memory.
#[derive(Debug)]
pub struct FrameReader {
    most: usize,
    length: [u8; LENGTH_BYTES],
    /// How many bytes of the length are there.
    length_bytes: usize,
    /// The frame after its length, as far as it is there.
    begun: Option<Begun>,
    whole: std::collections::VecDeque<Bytes>,
    failed: Option<FrameError>,
}

#[derive(Debug)]
struct Begun {
    bytes: Vec<u8>,
    wanted: usize,
}

impl FrameReader {
    /// For frames of at most `most` bytes, their length not counted.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            length: [0; LENGTH_BYTES],
            length_bytes: 0,
            begun: None,
            whole: std::collections::VecDeque::new(),
            failed: None,
        }
    }

    /// Takes bytes as they came from the stream. After a failure everything is ignored.
    pub fn push(&mut self, bytes: impl AsRef<[u8]>) {
        let mut rest = bytes.as_ref();
        while self.failed.is_none() && (!rest.is_empty() || self.is_complete()) {
            rest = match self.begun.take() {
                Some(begun) => self.fill(begun, rest),
                None => self.begin(rest),
            };
        }
    }

    /// The next whole frame without its length, in order.
    ///
    /// # Errors
    /// [`FrameError`], for good, once all frames before it are taken.
    pub fn pop(&mut self) -> Result<Option<Bytes>, FrameError> {
        match (self.whole.pop_front(), self.failed) {
            (Some(frame), _) => Ok(Some(frame)),
            (None, Some(failed)) => Err(failed),
            (None, None) => Ok(None),
        }
    }

    /// Whether a frame is begun and not whole.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.length_bytes > 0 || self.begun.is_some()
    }

    /// How long the begun frame will be; 0 while that is not known.
    #[must_use]
    pub fn announced(&self) -> usize {
        self.begun.as_ref().map_or(0, |begun| begun.wanted)
    }

    /// A frame that wants no bytes is whole as soon as its length is.
    fn is_complete(&self) -> bool {
        self.begun
            .as_ref()
            .is_some_and(|begun| begun.wanted == begun.bytes.len())
    }

    /// Reads on at the length; returns what follows.
    fn begin<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(bytes.len().min(LENGTH_BYTES - self.length_bytes));
        self.length[self.length_bytes..self.length_bytes + taken.len()].copy_from_slice(taken);
        self.length_bytes += taken.len();
        if self.length_bytes < LENGTH_BYTES {
            return rest;
        }
        self.length_bytes = 0;
        let announced = i32::from_be_bytes(self.length);
        match usize::try_from(announced) {
            Ok(bytes) if bytes > self.most => {
                self.failed = Some(FrameError::TooLarge {
                    bytes,
                    most: self.most,
                })
            }
            Ok(wanted) => {
                self.begun = Some(Begun {
                    bytes: Vec::new(),
                    wanted,
                })
            }
            Err(_) => self.failed = Some(FrameError::Negative(announced)),
        }
        rest
    }

    /// Reads on within a frame; returns what follows.
    fn fill<'a>(&mut self, mut begun: Begun, bytes: &'a [u8]) -> &'a [u8] {
        let missing = begun.wanted - begun.bytes.len();
        let (taken, rest) = bytes.split_at(bytes.len().min(missing));
        if begun.bytes.capacity() - begun.bytes.len() < taken.len() {
            // Doubling, but neither ahead of what has arrived nor beyond what is wanted: at the end the buffer is the
            // frame and nothing more.
            begun
                .bytes
                .reserve_exact(missing.min(taken.len().max(begun.bytes.len())));
        }
        begun.bytes.extend_from_slice(taken);
        if begun.bytes.len() == begun.wanted {
            self.whole.push_back(Bytes::from(begun.bytes));
        } else {
            self.begun = Some(begun);
        }
        rest
    }
}

/// What a frame can be written into: one contiguous [`Bytes`], or a `Vec<Bytes>` of pieces to be sent one after the
/// other, in which long record bytes are shared and not copied.
pub trait Pieces: sealed::Sealed + Sized {
    #[doc(hidden)]
    const SHARED: bool;
    #[doc(hidden)]
    fn written(writer: Writer) -> Self;
}

impl Pieces for Bytes {
    const SHARED: bool = false;

    fn written(writer: Writer) -> Self {
        writer.into_bytes()
    }
}

impl Pieces for Vec<Bytes> {
    const SHARED: bool = true;

    fn written(writer: Writer) -> Self {
        writer.into_pieces()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for bytes::Bytes {}
    impl Sealed for Vec<bytes::Bytes> {}
}

/// A whole request with its length, in one piece. The header goes out as it is; the body is written in `version`.
///
/// # Errors
/// [`EncodeError`] when this version cannot say what the message says, or nothing can.
pub fn encode_request<'a, M: Message<'a>>(
    header: &RequestHeader<'_>,
    message: &M,
    version: i16,
) -> Result<Bytes, EncodeError> {
    let tagged = M::KEY.tagged_request_header(version);
    let mut writer = open::<Bytes, M>(message, version, header::request_size(header, tagged))?;
    header::write_request(&mut writer, header, tagged)?;
    message.encode_into(&mut writer)?;
    Ok(writer.into_bytes())
}

/// A whole answer with its length; see [`Pieces`] for what into.
///
/// # Errors
/// [`EncodeError`] when this version cannot say what the message says, or nothing can.
pub fn encode_response<'a, M: Message<'a>, P: Pieces>(
    correlation_id: i32,
    message: &M,
    version: i16,
) -> Result<P, EncodeError> {
    let mut writer = open::<P, M>(message, version, header::response_size(M::KEY, version))?;
    header::write_response(&mut writer, correlation_id, M::KEY, version);
    message.encode_into(&mut writer)?;
    Ok(P::written(writer))
}

/// A writer with room for everything, the length already in it.
fn open<'a, P: Pieces, M: Message<'a>>(
    message: &M,
    version: i16,
    header: usize,
) -> Result<Writer, EncodeError> {
    let size = header + message.encoded_size(version);
    let length = i32::try_from(size).map_err(|_| Unwritable::TooLong(size).of(M::NAME))?;
    let layout = M::layout(version);
    let mut writer = if P::SHARED {
        Writer::pieces(layout, LENGTH_BYTES + size, Field::shared(message))
    } else {
        Writer::contiguous(layout, LENGTH_BYTES + size)
    };
    writer.put(&length.to_be_bytes());
    Ok(writer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Apache Kafka 4.2.0 allocates what a frame announces before its bytes are there: a few hundred connections that send
    /// four bytes each took it from 260 MB to 914 MB.
    #[test]
    fn what_is_announced_is_not_allocated_before_it_arrives() {
        const MOST: usize = 100 * 1024 * 1024;
        let mut frames = FrameReader::new(MOST);
        frames.push(u32::try_from(MOST).unwrap().to_be_bytes());
        let allocated = |frames: &FrameReader| {
            let begun = frames.begun.as_ref().unwrap();
            (begun.bytes.len(), begun.bytes.capacity())
        };
        assert_eq!(allocated(&frames), (0, 0));
        for _ in 0..1_000 {
            frames.push([7; 1_000]);
            let (arrived, capacity) = allocated(&frames);
            assert!(capacity <= 2 * arrived, "{capacity} for {arrived}");
        }
    }
}
