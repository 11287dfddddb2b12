//! What a member owns, as assignors tell it in their user data: Java's sticky assignor (KIP-54, the generation by KIP-341)
//! and the four bytes of its cooperative one.

use crate::assignor::{Assignment, Assignor, Need, RebalanceProtocol};
use crate::group::MemberInfo;

/// What a member owned, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Topics and partition numbers, in the order of the bytes.
    pub partitions: Vec<(String, Vec<i32>)>,
    /// The generation in which it got them, -1 if it does not say.
    pub generation: i32,
}

impl Default for Ownership {
    fn default() -> Self {
        Self {
            partitions: Vec::new(),
            generation: -1,
        }
    }
}

impl Ownership {
    /// The user data of Java's `sticky`, version 1: an array of topics with their partitions, then the generation.
    #[must_use]
    pub fn encode(last: &Assignment) -> Vec<u8> {
        let topics = || last.partitions.iter().filter(|(_, some)| !some.is_empty());
        let mut bytes = Vec::new();
        put(&mut bytes, topics().count());
        for (topic, numbers) in topics() {
            // No name of a topic is longer; Kafka's limit is 249.
            let length = i16::try_from(topic.len()).unwrap_or(i16::MAX);
            bytes.extend(length.to_be_bytes());
            bytes.extend(&topic.as_bytes()[..length as usize]);
            put(&mut bytes, numbers.len());
            bytes.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        }
        bytes.extend(last.generation.to_be_bytes());
        bytes
    }

    /// Reads version 1, else version 0, which has no generation. Bytes that are neither, and none at all, own nothing in
    /// no generation, as in Java. What comes after the end is not looked at.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let mut reader = Reader(bytes);
        let Some(partitions) = reader.partitions() else {
            return Self::default();
        };
        Self {
            partitions,
            generation: reader.int().unwrap_or(-1),
        }
    }
}

/// The generation in the user data of Java's `cooperative-sticky`: its first four bytes, -1 if there are fewer.
#[must_use]
pub fn decode_generation(bytes: &[u8]) -> i32 {
    Reader(bytes).int().unwrap_or(-1)
}

/// Fills in what a member owns, from wherever `assignor` has members say it. An eager one believes user data alone, as
/// Java's `sticky` does: who joins eagerly has given up what its subscription could name. A cooperative one believes the
/// subscription, and user data for the generation where the subscription is too old to have one (KIP-792).
pub(crate) fn recall(assignor: &dyn Assignor, member: &mut MemberInfo) {
    if !assignor.needs().contains(&Need::Owned) {
        return;
    }
    let bytes = member.user_data.as_deref().unwrap_or_default();
    if assignor
        .protocols()
        .contains(&RebalanceProtocol::Cooperative)
    {
        if member.generation < 0 {
            member.generation = decode_generation(bytes);
        }
    } else {
        let said = Ownership::decode(bytes);
        member.owned = said.partitions;
        member.generation = said.generation;
    }
}

fn put(bytes: &mut Vec<u8>, count: usize) {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    bytes.extend(count.to_be_bytes());
}

/// Bytes from another process. Allocates no more than a few times what is there: every element takes bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn partitions(&mut self) -> Option<Vec<(String, Vec<i32>)>> {
        let mut partitions = Vec::new();
        for _topic in 0..self.count()? {
            let length = usize::try_from(i16::from_be_bytes(self.fixed()?)).ok()?;
            let name = self.take(length)?;
            let count = self.count()?;
            let numbers = self.take(count.checked_mul(size_of::<i32>())?)?;
            let numbers = numbers.as_chunks().0.iter();
            partitions.push((
                String::from_utf8_lossy(name).into_owned(),
                numbers.map(|one| i32::from_be_bytes(*one)).collect(),
            ));
        }
        Some(partitions)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.int()?).ok()
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.fixed()?))
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    fn foo(generation: i32) -> Ownership {
        Ownership {
            partitions: vec![("foo".to_owned(), vec![0, 1])],
            generation,
        }
    }

    const VERSION_0: &str = "000000010003666f6f000000020000000000000001";
    const VERSION_1: &str = "000000010003666f6f00000002000000000000000100000005";

    #[test]
    fn user_data_is_that_of_java() {
        let last = Assignment {
            partitions: foo(5).partitions.into_iter().collect(),
            generation: 5,
            user_data: None,
        };
        assert_eq!(Ownership::encode(&last), bytes(VERSION_1));
        assert_eq!(Ownership::decode(&bytes(VERSION_1)), foo(5));
        assert_eq!(Ownership::decode(&bytes(VERSION_0)), foo(-1));
        assert_eq!(decode_generation(&bytes("00000005")), 5);
    }

    #[test]
    fn bytes_that_end_early_or_lie_own_nothing() {
        let whole = bytes(VERSION_0);
        for cut in 0..whole.len() {
            assert_eq!(
                Ownership::decode(&whole[..cut]),
                Ownership::default(),
                "{cut}"
            );
        }
        for hex in [
            "7fffffff",
            "ffffffff",
            "000000010003666f6f7fffffff00000000",
            "00000001ffff",
            "000000010003666f6fffffffff",
        ] {
            assert_eq!(
                Ownership::decode(&bytes(hex)),
                Ownership::default(),
                "{hex}"
            );
        }
        assert_eq!(decode_generation(&bytes("000005")), -1);
    }
}
