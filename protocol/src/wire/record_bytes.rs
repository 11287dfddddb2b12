//! The bytes of record batches inside a message. Decoded they borrow from the frame; to be encoded they may be any
//! number of shared pieces, as they lie in a log, which are handed on without a copy.

use std::fmt;

use bytes::Bytes;

/// Record batches as bytes, undecoded.
#[derive(Clone, Default)]
pub struct RecordBytes<'a>(Pieces<'a>);

#[derive(Clone)]
enum Pieces<'a> {
    Borrowed(&'a [u8]),
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Default for Pieces<'_> {
    fn default() -> Self {
        Self::Borrowed(&[])
    }
}

impl<'a> RecordBytes<'a> {
    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Pieces::Borrowed(bytes) => bytes.len(),
            Pieces::One(bytes) => bytes.len(),
            Pieces::Many(pieces) => pieces.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes as they lie in memory, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (one, many): (&[u8], &[Bytes]) = match &self.0 {
            Pieces::Borrowed(bytes) => (bytes, &[]),
            Pieces::One(bytes) => (bytes, &[]),
            Pieces::Many(pieces) => (&[], pieces),
        };
        std::iter::once(one)
            .chain(many.iter().map(|piece| &**piece))
            .filter(|piece| !piece.is_empty())
    }

    /// A copy.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        for piece in self.pieces() {
            all.extend_from_slice(piece);
        }
        all
    }

    /// The bytes with an owner of their own. Records decoded from `frame` share its memory and keep all of it alive;
    /// anything else is copied, unless it is one shared piece already.
    #[must_use]
    pub fn to_bytes(&self, frame: &Bytes) -> Bytes {
        match &self.0 {
            Pieces::One(bytes) => bytes.clone(),
            Pieces::Borrowed(bytes) if lies_in(bytes, frame) => frame.slice_ref(bytes),
            _ => Bytes::from(self.to_vec()),
        }
    }

    /// The shared pieces, to hand on without a copy; none when the bytes are borrowed.
    pub(crate) fn shared(&self) -> &[Bytes] {
        match &self.0 {
            Pieces::Borrowed(_) => &[],
            Pieces::One(bytes) => std::slice::from_ref(bytes),
            Pieces::Many(pieces) => pieces,
        }
    }

    /// The borrowed bytes, if that is what they are.
    pub(crate) fn borrowed(&self) -> Option<&'a [u8]> {
        match &self.0 {
            Pieces::Borrowed(bytes) => Some(bytes),
            _ => None,
        }
    }
}

fn lies_in(bytes: &[u8], frame: &Bytes) -> bool {
    let (inner, outer) = (bytes.as_ptr_range(), frame.as_ptr_range());
    outer.start <= inner.start && inner.end <= outer.end
}

impl<'a> From<&'a [u8]> for RecordBytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Pieces::Borrowed(bytes))
    }
}

impl From<Bytes> for RecordBytes<'_> {
    fn from(bytes: Bytes) -> Self {
        Self(Pieces::One(bytes))
    }
}

impl From<Vec<u8>> for RecordBytes<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Pieces::One(bytes.into()))
    }
}

impl From<Vec<Bytes>> for RecordBytes<'_> {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self(Pieces::Many(pieces))
    }
}

/// The same bytes, however they are cut.
impl PartialEq for RecordBytes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.pieces().flatten().eq(other.pieces().flatten())
    }
}

impl Eq for RecordBytes<'_> {}

/// Payloads are never logged: only how long they are.
impl fmt::Debug for RecordBytes<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RecordBytes({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_frame_shares_it_and_the_rest_is_copied() {
        let frame = Bytes::from_static(b"header and records");
        let inside = RecordBytes::from(&frame[11..]);
        let shared = inside.to_bytes(&frame);
        assert_eq!(shared, "records");
        assert_eq!(shared.as_ptr(), frame[11..].as_ptr());
        let elsewhere = b"elsewhere".to_vec();
        assert_eq!(RecordBytes::from(&*elsewhere).to_bytes(&frame), "elsewhere");
        assert_eq!(RecordBytes::default().to_bytes(&frame), "");
        let pieces = vec![
            Bytes::from_static(b"rec"),
            Bytes::new(),
            Bytes::from_static(b"ords"),
        ];
        let pieces = RecordBytes::from(pieces);
        assert_eq!(pieces.to_bytes(&frame), "records");
        assert_eq!(pieces, inside);
        assert_eq!(pieces.len(), 7);
    }
}
