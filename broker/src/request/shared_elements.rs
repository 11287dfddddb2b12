//! An answer in which one element of its last array stands many times, written once. Kafka answers each naming of a group;
//! so do we, but the bytes are there once and written to the socket as often as they are named.

use bytes::{BufMut, Bytes, BytesMut};
use callboard_protocol::{EncodeError, Message, frame};

/// Elements from this size on are shared; smaller ones cost less as copies.
pub(super) const SHARED_BYTES: usize = 512;
/// Bytes of copies in one piece.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 4;

/// How an answer lies in its bytes whose last field is an array: what is before it, and what is behind it.
pub(super) struct ArrayAtEnd {
    /// The header and the fields before the array.
    before: Bytes,
    /// The tagged fields behind it.
    after: Bytes,
    flexible: bool,
}

impl ArrayAtEnd {
    /// `empty` is the answer whose array has no elements.
    pub(super) fn new<'r, M: Message<'r>>(
        empty: &M,
        correlation_id: i32,
        version: i16,
    ) -> Result<Self, EncodeError> {
        let frame: Bytes = frame::encode_response(correlation_id, empty, version)?;
        let flexible = version >= M::FLEXIBLE_FROM;
        let after = usize::from(flexible);
        let count = if flexible { 1 } else { 4 };
        let end = frame.len() - after;
        Ok(Self {
            before: frame.slice(LENGTH_BYTES..end - count),
            after: frame.slice(end..),
            flexible,
        })
    }

    /// The bytes of the one element of `one`.
    pub(super) fn element<'r, M: Message<'r>>(
        &self,
        one: &M,
        correlation_id: i32,
        version: i16,
    ) -> Result<Bytes, EncodeError> {
        let frame: Bytes = frame::encode_response(correlation_id, one, version)?;
        let count = if self.flexible { 1 } else { 4 };
        let from = LENGTH_BYTES + self.before.len() + count;
        Ok(frame.slice(from..frame.len() - self.after.len()))
    }

    /// The whole frame, in pieces: the elements in the order of `places`.
    pub(super) fn whole(
        &self,
        elements: &[Bytes],
        places: &[usize],
    ) -> Result<Vec<Bytes>, Unwritable> {
        let named = || places.iter().filter_map(|place| elements.get(*place));
        let mut count = BytesMut::new();
        if self.flexible {
            varint(&mut count, places.len() + 1);
        } else {
            count.put_i32(i32::try_from(places.len()).map_err(|_| Unwritable::TooLong)?);
        }
        let size = named().map(Bytes::len).sum::<usize>()
            + self.before.len()
            + count.len()
            + self.after.len();
        let mut piece = BytesMut::new();
        piece.put_i32(i32::try_from(size).map_err(|_| Unwritable::TooLong)?);
        piece.put_slice(&self.before);
        piece.put_slice(&count);
        let mut pieces = Vec::new();
        for element in named() {
            if element.len() < SHARED_BYTES {
                piece.put_slice(element);
            }
            if element.len() >= SHARED_BYTES || piece.len() >= PIECE_BYTES {
                pieces.push(piece.split().freeze());
            }
            if element.len() >= SHARED_BYTES {
                pieces.push(element.clone());
            }
        }
        piece.put_slice(&self.after);
        pieces.push(piece.freeze());
        pieces.retain(|piece| !piece.is_empty());
        Ok(pieces)
    }
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritable {
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the answer is longer than a frame can be")]
    TooLong,
}

fn varint(to: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        to.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use callboard_protocol::messages::describe_groups::{
        DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
    };

    use super::*;

    fn group(at: usize) -> DescribedGroup<'static> {
        let member = DescribedGroupMember {
            member_metadata: bytes::Bytes::from(vec![7; 300 * at]).to_vec().into(),
            ..Default::default()
        };
        DescribedGroup {
            group_id: format!("group {at}").into(),
            members: vec![member],
            ..Default::default()
        }
    }

    /// As if it had been written at once, in every version.
    #[test]
    fn in_pieces_it_is_the_same_bytes() {
        let places: Vec<usize> = (0..200).map(|place| place * 7 % 4).collect();
        for version in DescribeGroupsResponse::VERSIONS {
            let of = |groups: Vec<DescribedGroup<'static>>| DescribeGroupsResponse {
                groups,
                ..Default::default()
            };
            let layout = ArrayAtEnd::new(&of(Vec::new()), 9, version).unwrap();
            let element = |at| layout.element(&of(vec![group(at)]), 9, version).unwrap();
            let elements: Vec<Bytes> = (0..4).map(element).collect();
            let pieces = layout.whole(&elements, &places).unwrap();
            assert!(pieces.len() > 50, "large ones are shared");
            let all = of(places.iter().map(|place| group(*place)).collect());
            let expected: Bytes = frame::encode_response(9, &all, version).unwrap();
            assert!(pieces.concat() == expected, "version {version}");
        }
    }
}
