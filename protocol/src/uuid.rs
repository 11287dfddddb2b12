//! Kafka's 16-byte ids of topics and directories.

use std::fmt;

/// An id of 16 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// No id.
    pub const ZERO: Self = Self([0; 16]);
}

/// URL-safe base64 without padding, as Kafka's tools print ids.
impl fmt::Display for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = u128::from_be_bytes(self.0);
        // 21 digits of six bits, and one for the last two.
        for place in 0..22_u32 {
            let digit = if place < 21 {
                bits >> (122 - 6 * place)
            } else {
                bits << 4
            };
            fmt::Write::write_char(out, char::from(DIGITS[(digit & 63) as usize]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::Uuid;

    #[test]
    fn printed_as_kafka_prints_it() {
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid([0xff; 16]).to_string(), "_____________________w");
        let counting = Uuid(std::array::from_fn(|place| place as u8));
        assert_eq!(counting.to_string(), "AAECAwQFBgcICQoLDA0ODw");
    }
}
