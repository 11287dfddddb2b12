//! The version in a file's first eight bytes: a name, then digits. Each form of this journal has one; what changes a form
//! raises it.

/// The version that a file of this kind says it has, if it is another than `magic` says.
pub(crate) fn other(bytes: &[u8], magic: [u8; 8]) -> Option<String> {
    let name = magic.iter().take_while(|byte| !byte.is_ascii_digit());
    let (name, version) = bytes.get(..magic.len())?.split_at(name.count());
    let ours = magic.starts_with(name) && version.iter().all(u8::is_ascii_digit);
    (ours && !magic.ends_with(version)).then(|| String::from_utf8_lossy(version).into_owned())
}

#[cfg(test)]
mod tests {
    use super::other;

    #[test]
    fn the_same_name_with_other_digits_is_another_version() {
        assert_eq!(other(b"CBSNAP01 and more", *b"CBSNAP01"), None);
        assert_eq!(other(b"CBSNAP02", *b"CBSNAP01").as_deref(), Some("02"));
        assert_eq!(other(b"CBSEGMT9", *b"CBSEGMT1").as_deref(), Some("9"));
        for damaged in [
            &b"CBSNAPx1"[..],
            b"DBSNAP02",
            b"CBSNAP",
            b"\0\0\0\0\0\0\0\0",
            b"",
        ] {
            assert_eq!(other(damaged, *b"CBSNAP01"), None, "{damaged:?}");
        }
    }
}
