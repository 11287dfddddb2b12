//! The order of strings that Kafka's assignors depend on.

use std::cmp::Ordering;

/// Compares as Java's `String.compareTo`: by UTF-16 code units. Differs from Rust's order only where a character beyond
/// U+FFFF meets one from U+E000 to U+FFFF.
#[must_use]
pub fn java_order(left: &str, right: &str) -> Ordering {
    left.encode_utf16().cmp(right.encode_utf16())
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
    fn a_prefix_comes_first_and_numbers_are_text() {
        assert_eq!(java_order("t1", "t10"), Ordering::Less);
        assert_eq!(java_order("t10", "t2"), Ordering::Less);
        assert_eq!(java_order("t", "t"), Ordering::Equal);
    }
}
