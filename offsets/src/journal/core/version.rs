//! The version in a file's first eight bytes: a name, then digits. Each form of this journal has one; what changes a form
//! raises it.

/// The version that a file of this kind says it has, and the one that is written here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) found: String,
    pub(crate) known: &'static str,
}

/// Whether a file of this kind says it has another version than `magic` says.
pub(crate) fn other(bytes: &[u8], magic: &'static [u8; 8]) -> Option<Other> {
    let (name, known) = magic.split_at(magic.iter().position(u8::is_ascii_digit)?);
    let found = bytes.get(..magic.len())?.strip_prefix(name)?;
    let is_other = found != known && found.iter().all(u8::is_ascii_digit);
    is_other.then(|| Other {
        found: String::from_utf8_lossy(found).into_owned(),
        known: str::from_utf8(known).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Other, other};

    #[test]
    fn the_same_name_with_other_digits_is_another_version() {
        assert_eq!(other(b"CBSNAP01 and more", b"CBSNAP01"), None);
        let is = |found: &str, known| {
            Some(Other {
                found: found.to_owned(),
                known,
            })
        };
        assert_eq!(other(b"CBSNAP02", b"CBSNAP01"), is("02", "01"));
        assert_eq!(other(b"CBSEGMT9", b"CBSEGMT1"), is("9", "1"));
        for damaged in [
            &b"CBSNAPx1"[..],
            b"DBSNAP02",
            b"CBSNAP",
            b"\0\0\0\0\0\0\0\0",
            b"",
        ] {
            assert_eq!(other(damaged, b"CBSNAP01"), None, "{damaged:?}");
        }
    }
}
