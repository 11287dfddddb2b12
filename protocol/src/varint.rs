//! Variable-length integers: seven bits a byte, low bits first. Unsigned in flexible messages, zigzag in records.
//! Reading never goes past the end and never panics; what Kafka refuses is refused.

use bytes::BufMut;

/// Why the bytes are no variable-length integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VarintError {
    /// The bytes end within it.
    Truncated,
    /// It goes on after 5 bytes (10 for 64 bits).
    TooLong,
}

/// Takes an unsigned integer of at most 5 bytes off the front. Bits above the 32nd are dropped, as Kafka does.
#[inline]
pub(crate) fn read_u32(bytes: &mut &[u8]) -> Result<u32, VarintError> {
    match read_short(bytes) {
        Some(value) => Ok(value),
        // Truncation is what is wanted: the fifth byte may carry three bits too many.
        None => read_long(bytes, 5).map(|value| value as u32),
    }
}

/// Takes a zigzag integer of at most 5 bytes off the front.
#[inline]
pub(crate) fn read_i32(bytes: &mut &[u8]) -> Result<i32, VarintError> {
    let raw = read_u32(bytes)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Takes a zigzag integer of at most 10 bytes off the front.
#[inline]
pub(crate) fn read_i64(bytes: &mut &[u8]) -> Result<i64, VarintError> {
    let raw = match read_short(bytes) {
        Some(value) => u64::from(value),
        None => read_long(bytes, 10)?,
    };
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// One to three bytes, without a loop: nearly all tags and lengths are below 128, and the deltas and value lengths of
/// records below 2^20.
#[inline]
fn read_short(bytes: &mut &[u8]) -> Option<u32> {
    let (value, rest) = match **bytes {
        [a, ref rest @ ..] if a < 0x80 => (u32::from(a), rest),
        [a, b, ref rest @ ..] if b < 0x80 => (u32::from(a & 0x7f) | u32::from(b) << 7, rest),
        [a, b, c, ref rest @ ..] if c < 0x80 => (
            u32::from(a & 0x7f) | u32::from(b & 0x7f) << 7 | u32::from(c) << 14,
            rest,
        ),
        _ => return None,
    };
    *bytes = rest;
    Some(value)
}

#[inline]
fn read_long(bytes: &mut &[u8], most: u32) -> Result<u64, VarintError> {
    let (value, rest) = read_u64_of(bytes, most)?;
    *bytes = rest;
    Ok(value)
}

/// Takes the slice by value: a reference to it would keep every caller's place in memory instead of in registers.
#[inline(never)]
fn read_u64_of(mut bytes: &[u8], most: u32) -> Result<(u64, &[u8]), VarintError> {
    let mut value = 0_u64;
    for place in 0..most {
        let [byte, rest @ ..] = bytes else {
            return Err(VarintError::Truncated);
        };
        bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            return Ok((value, bytes));
        }
    }
    Err(VarintError::TooLong)
}

/// Appends an unsigned integer.
#[inline]
pub(crate) fn write_u32(out: &mut impl BufMut, value: u32) {
    write_u64(out, u64::from(value));
}

/// Appends a zigzag integer.
#[inline]
pub(crate) fn write_i64(out: &mut impl BufMut, value: i64) {
    write_u64(out, zigzag_i64(value));
}

#[inline]
fn write_u64(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        // The low seven bits, and the mark that more follow.
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// How many bytes an unsigned integer takes.
#[inline]
pub(crate) fn size_u32(value: u32) -> usize {
    size_u64(u64::from(value))
}

/// How many bytes a zigzag integer takes.
#[inline]
pub(crate) fn size_i64(value: i64) -> usize {
    size_u64(zigzag_i64(value))
}

#[inline]
fn size_u64(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[inline]
fn zigzag_i64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut values = vec![0_i64, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN];
        values.extend((0..63).flat_map(|bit| [1 << bit, -(1 << bit), (1 << bit) - 1]));
        for value in values {
            let mut out = Vec::new();
            write_i64(&mut out, value);
            assert_eq!(out.len(), size_i64(value), "{value}");
            assert_eq!(read_i64(&mut &out[..]), Ok(value));
            let short = value as i32;
            let mut out = Vec::new();
            write_i64(&mut out, short.into());
            assert_eq!(read_i32(&mut &out[..]), Ok(short));
            let unsigned = value as u32;
            let mut out = Vec::new();
            write_u32(&mut out, unsigned);
            assert_eq!(out.len(), size_u32(unsigned), "{unsigned}");
            assert_eq!(read_u32(&mut &out[..]), Ok(unsigned));
            for cut in 0..out.len() {
                assert_eq!(read_u32(&mut &out[..cut]), Err(VarintError::Truncated));
            }
        }
    }

    #[test]
    fn a_fifth_byte_that_goes_on_is_refused_and_its_high_bits_are_dropped() {
        let mut long: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0x80, 0x01];
        assert_eq!(read_u32(&mut long), Err(VarintError::TooLong));
        assert_eq!(
            read_u32(&mut &[0xff, 0xff, 0xff, 0xff, 0x7f][..]),
            Ok(u32::MAX)
        );
        let mut ten = [0xff; 10];
        assert_eq!(read_i64(&mut &ten[..]), Err(VarintError::TooLong));
        ten[9] = 1;
        assert_eq!(read_i64(&mut &ten[..]), Ok(i64::MIN));
    }
}
