//! gzip (RFC 1952), members one after the other.

use std::io::{Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::Fault;

pub(super) fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    // One byte more than allowed tells what is over from what is just enough.
    let bound = (limit as u64).saturating_add(1);
    MultiGzDecoder::new(body)
        .take(bound)
        .read_to_end(&mut out)
        .map_err(Fault::malformed)?;
    if out.len() > limit {
        return Err(Fault::OverLimit);
    }
    Ok(out)
}

pub(super) fn compress(body: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let mut encoder = GzEncoder::new(out, flate2::Compression::default());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish().map(|_| ()))
        .map_err(|error| error.to_string())
}
