//! The other codec there is for Kafka's messages in Rust: what ours writes it reads, what it writes ours reads, and both
//! mean the same, over random values of every version both know. It is trusted with nothing else (see the manifest).

use bytes::BytesMut;
use kafka_protocol::messages as peer;
use kafka_protocol::protocol::{Decodable, Encodable, Message as PeerMessage};

use super::*;
use crate::testing::Random;

/// How often each version of each message is tried.
const ROUNDS: usize = 25;

/// Sends values to and fro; returns how many versions both know.
fn exchange<'a, O, P>(random: &mut Random) -> usize
where
    O: Message<'a> + Reread,
    P: PeerMessage + Decodable + Encodable,
{
    let both = O::VERSIONS.filter(|version| (P::VERSIONS.min..=P::VERSIONS.max).contains(version));
    let mut versions = 0;
    for version in both {
        versions += 1;
        for round in 0..ROUNDS {
            let what = format!("{} v{version}, round {round}", O::NAME);
            let ours = O::random(random, O::layout(version), false);
            let bytes = ours.encode(version).expect(&what);
            assert_eq!(bytes.len(), ours.encoded_size(version), "{what}");
            let mut rest = bytes.clone();
            let theirs = P::decode(&mut rest, version).expect(&what);
            assert!(rest.is_empty(), "{what}: {} bytes left", rest.len());
            let mut again = BytesMut::new();
            theirs.encode(&mut again, version).expect(&what);
            assert_eq!(again, bytes, "{what}");
            assert_eq!(ours.reread(&again, version), Ok(true), "{what}");
        }
    }
    versions
}

macro_rules! exchange_each {
    ($($name:ident)*) => {
        #[test]
        fn both_codecs_read_what_the_other_writes() {
            let mut random = Random::new();
            let mut versions = 0;
            $(versions += exchange::<$name<'_>, peer::$name>(&mut random);)*
            // Most of what is declared: the peer lacks the newest versions of a few.
            assert!(versions > 250, "{versions}");
        }
    };
}

each_message!(exchange_each);
