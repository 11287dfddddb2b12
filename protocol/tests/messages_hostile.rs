//! Bodies that nobody should send: every golden body mutated at random, bodies of noise, and the lies that ended other
//! decoders. Nothing panics, and what is allocated stays within a small multiple of the bytes that are there. One test
//! function: allocations are counted for the whole process.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::alloc::System;

use callboard_protocol::consumer_protocol::{Assignment, Subscription, subscribed_topics};
use callboard_protocol::frame::FrameReader;
use callboard_protocol::header;
use callboard_protocol::messages::{
    self, JoinGroupRequest, ListGroupsResponse, OffsetCommitResponse,
};
use callboard_protocol::{ApiKey, Malformed, Message};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MESSAGES: &str = include_str!("../../testdata/kafka-4.2.0/messages.jsonl");
const REQUESTS: &str = include_str!("../../testdata/kafka-4.2.0/requests.json");

const MUTANTS_OF_EACH: usize = 100;
const NOISE_OF_EACH: usize = 100;

/// The most that decoding so many bytes may allocate, all allocations added up: the elements of arrays, at worst 96
/// bytes for 3 (a group of ListGroups without a name), in large bodies 8 for each byte; and strings that are no UTF-8,
/// whose replacement grows to thrice their size.
fn allowed(bytes: usize) -> usize {
    (32 * bytes).min(64 * 1024 + 8 * bytes) + 2 * 3 * bytes
}

#[derive(Deserialize)]
struct Golden {
    message: String,
    version: i16,
    hex: String,
}

fn golden() -> Vec<Golden> {
    #[derive(Deserialize)]
    struct File {
        messages: Vec<Golden>,
    }
    let file: File = serde_json::from_str(REQUESTS).unwrap();
    let lines = MESSAGES.lines();
    let lines = lines.map(|line| serde_json::from_str(line).unwrap());
    file.messages.into_iter().chain(lines).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|one| one.to_digit(16).unwrap()).collect();
    let pairs = digits.chunks(2);
    pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// The most allocated by any decoding, as a share of its bytes.
#[derive(Default)]
struct Worst {
    multiple: f64,
    refused: usize,
    decoded: usize,
}

impl Worst {
    fn hold(&mut self, what: &str, bytes: &[u8], decode: impl FnOnce(&[u8]) -> bool) {
        let region = Region::new(ALLOCATOR);
        let decoded = decode(bytes);
        let allocated = region.change().bytes_allocated;
        assert!(
            allocated <= allowed(bytes.len()),
            "{what}: {allocated} bytes allocated for {bytes:02x?}"
        );
        self.multiple = self
            .multiple
            .max(allocated as f64 / bytes.len().max(1) as f64);
        *(if decoded {
            &mut self.decoded
        } else {
            &mut self.refused
        }) += 1;
    }
}

fn mutate(random: &mut StdRng, bytes: &mut Vec<u8>) {
    // Lengths and counts that lie: nothing, one too many, the edges of the types, a varint that does not end.
    const LIES: [&[u8]; 8] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
        &[0x80, 0x00, 0x00, 0x00],
        &[0x00, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0x7f, 0xff],
        &[0xff, 0xff, 0xff, 0x7f],
    ];
    for _ in 0..random.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let place = random.random_range(0..bytes.len());
        match random.random_range(0..5) {
            0 => bytes[place] = random.random(),
            1 => bytes[place] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(place),
            3 => {
                let lie = LIES[random.random_range(0..LIES.len())];
                bytes.splice(
                    place..(place + lie.len()).min(bytes.len()),
                    lie.iter().copied(),
                );
            }
            _ => {
                let from = random.random_range(0..bytes.len());
                let piece = bytes[from..(from + 16).min(bytes.len())].to_vec();
                bytes.splice(place..place, piece);
            }
        }
    }
}

#[test]
fn hostile_bytes_give_errors_and_bounded_memory() {
    let seed = std::env::var("CALLBOARD_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("CALLBOARD_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut worst = Worst::default();
    mutants_of_golden_bodies(&mut random, &mut worst);
    noise(&mut random, &mut worst);
    headers_and_blobs(&mut random, &mut worst);
    println!(
        "{} decoded, {} refused, at most {:.1} bytes for each",
        worst.decoded, worst.refused, worst.multiple
    );
    a_join_group_that_announces_378_gigabytes();
    arrays_within_arrays_that_claim_the_same_bytes();
    empty_elements_by_the_million();
    a_frame_that_never_comes();
}

fn mutants_of_golden_bodies(random: &mut StdRng, worst: &mut Worst) {
    for golden in golden() {
        if !messages::NAMES.contains(&golden.message.as_str()) {
            continue;
        }
        let decode = |bytes: &[u8]| {
            let decoded = messages::check(&golden.message, bytes, golden.version);
            decoded.is_some_and(|decoded| decoded.is_ok())
        };
        let what = format!("{} v{}", golden.message, golden.version);
        let bytes = unhex(&golden.hex);
        for cut in 0..=bytes.len() {
            worst.hold(&what, &bytes[..cut], decode);
        }
        for _ in 0..MUTANTS_OF_EACH {
            let mut mutant = bytes.clone();
            mutate(random, &mut mutant);
            worst.hold(&what, &mutant, decode);
        }
    }
}

fn noise(random: &mut StdRng, worst: &mut Worst) {
    for name in messages::NAMES {
        for _ in 0..NOISE_OF_EACH {
            // Small bytes are counts and lengths that fit: the noise that gets furthest.
            let most = [2, 4, 16, 255][random.random_range(0..4)];
            let length = random.random_range(0..4096);
            let bytes: Vec<u8> = (0..length).map(|_| random.random_range(0..=most)).collect();
            let version = random.random_range(-1..20);
            worst.hold(name, &bytes, |bytes| {
                messages::check(name, bytes, version).is_some_and(|decoded| decoded.is_ok())
            });
        }
    }
}

fn headers_and_blobs(random: &mut StdRng, worst: &mut Worst) {
    let subscription = Subscription {
        topics: vec!["orders".to_owned(), "bills".to_owned()],
        owned_partitions: vec![("orders".to_owned(), vec![0, 1, 2])],
        rack_id: Some("a".to_owned()),
        ..Subscription::default()
    };
    let assignment = Assignment {
        partitions: subscription.owned_partitions.clone(),
        ..Assignment::default()
    };
    let header = [0, 11, 0, 9, 0, 0, 0, 7, 0, 1, 97, 1, 99, 3, 1, 2, 3];
    let seeds = [
        subscription.encode().to_vec(),
        assignment.encode().to_vec(),
        header.to_vec(),
    ];
    for seed in seeds {
        for _ in 0..5_000 {
            let mut bytes = seed.clone();
            mutate(random, &mut bytes);
            worst.hold("subscription", &bytes, |bytes| {
                Subscription::decode(bytes).is_ok()
            });
            worst.hold("assignment", &bytes, |bytes| {
                Assignment::decode(bytes).is_ok()
            });
            worst.hold("topics", &bytes, |bytes| subscribed_topics(bytes).is_ok());
            worst.hold("request header", &bytes, |bytes| {
                header::read_request(bytes).is_ok()
            });
            let key = ApiKey(random.random_range(0..20));
            let body = |bytes: &[u8]| header::response_body(bytes, key, 9).is_ok();
            worst.hold("response header", &bytes, body);
        }
    }
}

/// 26 bytes; the codec crate that is common asks the allocator for them all, and the process ends.
fn a_join_group_that_announces_378_gigabytes() {
    let mut body = vec![2, b'g', 0, 0, 0, 10, 0, 0, 0, 10, 1, 0, 9];
    body.extend_from_slice(b"consumer");
    body.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x07]);
    assert_eq!(body.len(), 26);
    let region = Region::new(ALLOCATOR);
    let error = JoinGroupRequest::decode(&body, 9).unwrap_err();
    assert_eq!(region.change().bytes_allocated, 0);
    let count = i32::MAX as usize - 1;
    assert_eq!(error.reason, Malformed::Count { count });
    assert_eq!(error.at, 26);
}

/// Topics and the partitions of the first claim more than there is, though either alone could be there.
fn arrays_within_arrays_that_claim_the_same_bytes() {
    let mut body = vec![0, 0, 0, 0];
    body.extend_from_slice(&5_000_i32.to_be_bytes());
    // A topic without a name, and its partitions.
    body.extend_from_slice(&[0, 0]);
    body.extend_from_slice(&18_000_i32.to_be_bytes());
    body.resize(130_000, 0);
    let region = Region::new(ALLOCATOR);
    let error = OffsetCommitResponse::decode(&body, 3).unwrap_err();
    assert_eq!(error.reason, Malformed::Count { count: 18_000 });
    assert!(region.change().bytes_allocated < allowed(body.len()));
}

/// They are all there, so that no count lies; only what they would take is too much.
fn empty_elements_by_the_million() {
    let mut body = vec![0; 4];
    body.extend_from_slice(&[0, 0]);
    // 1,000,000 groups and one, each of two empty strings and no tags.
    body.extend_from_slice(&[0xc1, 0x84, 0x3d]);
    body.resize(body.len() + 3_000_000, 1);
    let region = Region::new(ALLOCATOR);
    let error = ListGroupsResponse::decode(&body, 3).unwrap_err();
    assert_eq!(error.reason, Malformed::Memory);
    assert_eq!(region.change().bytes_allocated, 0);
}

fn a_frame_that_never_comes() {
    let mut frames = FrameReader::new(usize::MAX);
    let region = Region::new(ALLOCATOR);
    frames.push([0x7f, 0xff, 0xff, 0xff]);
    frames.push([1; 100]);
    assert_eq!(frames.pop(), Ok(None));
    assert_eq!(region.change().bytes_allocated, 100);
    for _ in 0..1000 {
        frames.push([1; 1000]);
    }
    // What doubling has thrown away on the way counts too.
    assert!(region.change().bytes_allocated < 4 * 1_000_100);
}
