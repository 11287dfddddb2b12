//! The order of strings that Kafka's assignors depend on.

use std::cmp::Ordering;

/// Compares as Java's `String.compareTo`: by UTF-16 code units. Differs from Rust's order only where a character beyond
/// U+FFFF meets one from U+E000 to U+FFFF.
#[must_use]
pub fn java_order(left: &str, right: &str) -> Ordering {
    let differing = left
        .bytes()
        .zip(right.bytes())
        .find(|(one, other)| one != other);
    match differing {
        Some((one, other)) => rank(one).cmp(&rank(other)),
        None => left.len().cmp(&right.len()),
    }
}

/// UTF-8 orders as UTF-16 does, but for characters whose first byte is EE or EF (U+E000 to U+FFFF): in UTF-16 they come
/// after the surrogates, which all characters of four bytes begin with.
fn rank(byte: u8) -> u8 {
    match byte {
        0xee | 0xef => byte + 0x10,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surrogate_pair_comes_before_a_private_character() {
        let (pair, private) = ("\u{1F600}", "\u{FFFD}");
        assert_eq!(java_order(pair, private), Ordering::Less);
        assert_eq!(pair.cmp(private), Ordering::Greater);
    }

    #[test]
    fn the_order_is_that_of_code_units() {
        let characters = [
            '\0',
            'a',
            'z',
            '\u{7f}',
            '\u{80}',
            '\u{7ff}',
            '\u{800}',
            '\u{d7ff}',
            '\u{e000}',
            '\u{fffd}',
            '\u{ffff}',
            '\u{10000}',
            '\u{1f600}',
            '\u{10ffff}',
        ];
        let mut texts = vec![String::new()];
        for one in characters {
            texts.push(one.to_string());
            texts.extend(characters.map(|other| format!("{one}{other}")));
        }
        for left in &texts {
            for right in &texts {
                let expected = left.encode_utf16().cmp(right.encode_utf16());
                assert_eq!(java_order(left, right), expected, "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn a_prefix_comes_first_and_numbers_are_text() {
        assert_eq!(java_order("t1", "t10"), Ordering::Less);
        assert_eq!(java_order("t10", "t2"), Ordering::Less);
        assert_eq!(java_order("t", "t"), Ordering::Equal);
    }
}
