//! What the tests of messages share: random values with a seed that is printed, and Kafka's way to print bytes.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A source of values that lean to the edges.
pub struct Random(StdRng);

impl Random {
    /// From `CALLBOARD_SEED`, or anew; printed either way.
    pub(crate) fn new() -> Self {
        let seed = std::env::var("CALLBOARD_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(rand::random);
        println!("CALLBOARD_SEED={seed}");
        Self(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn integer(&mut self) -> i64 {
        match self.0.random_range(0..8) {
            0 => 0,
            1 => -1,
            2 => i64::MAX,
            3 => i64::MIN,
            4 => self.0.random(),
            _ => self.0.random_range(0..100),
        }
    }

    /// How many elements an array has.
    pub(crate) fn count(&mut self) -> usize {
        match self.0.random_range(0..40) {
            0..8 => 0,
            // Counts plus one above 127 take two bytes in flexible versions.
            8 => self.0.random_range(120..135),
            _ => self.0.random_range(1..4),
        }
    }

    pub(crate) fn string(&mut self) -> String {
        let length = match self.0.random_range(0..20) {
            0..4 => 0,
            4 => self.0.random_range(120..135),
            _ => self.0.random_range(1..12),
        };
        let letters = ['a', 'z', '-', '0', '\0', 'ß', 'Ж', '€', '😀'];
        (0..length)
            .map(|_| letters[self.0.random_range(0..letters.len())])
            .collect()
    }
}

/// Plain base64, as Kafka prints bytes.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() {
                '='
            } else {
                digit.into()
            });
        }
    }
    text
}

/// Kafka's name of a field.
pub(crate) fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(1);
        name + &head.to_uppercase() + tail
    })
}

/// Bytes from hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let digits = std::str::from_utf8(pair).unwrap();
            u8::from_str_radix(digits, 16).unwrap()
        })
        .collect()
}
