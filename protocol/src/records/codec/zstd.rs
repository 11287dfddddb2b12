//! Zstandard frames. Decompressed into a buffer of our own and not as a stream: a stream allocates the window that the
//! frame announces, up to 128 MiB for a few bytes.

use zstd::zstd_safe::{self, DCtx};

use super::Fault;

/// Java's default level.
const LEVEL: i32 = 3;
/// The first guess at the output: so much, or [`GUESS_RATIO`] times the input. Grows by [`GROWTH`] until it is enough:
/// most batches need one try, and a bomb costs a third more than its limit.
const GUESS_BYTES_MIN: usize = 16 * 1024;
const GUESS_RATIO: usize = 6;
const GROWTH: usize = 4;
/// No block is shorter than this, nor decompresses to more than that.
const BLOCK_BYTES_MIN: usize = 3;
const BLOCK_CONTENT_MAX: usize = 128 * 1024;
/// The largest window Java's reader takes, as a power of two.
const WINDOW_LOG_MAX: u8 = 27;
/// What the library answers when the output does not fit; its header promises that the number stays.
const TOO_SMALL: usize = 0_usize.wrapping_sub(70);

pub(super) fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    check_window(body)?;
    let possible = (body.len() / BLOCK_BYTES_MIN + 1).saturating_mul(BLOCK_CONTENT_MAX);
    let most = limit.min(possible);
    let mut context = DCtx::try_create().ok_or_else(|| Fault::malformed("no memory"))?;
    let mut capacity = first_guess(body).min(most);
    loop {
        let mut out = Vec::with_capacity(capacity);
        match context.decompress(&mut out, body) {
            Ok(_) => return Ok(out),
            Err(TOO_SMALL) if capacity < most => {
                capacity = capacity
                    .saturating_mul(GROWTH)
                    .clamp(GUESS_BYTES_MIN.min(most), most);
            }
            Err(TOO_SMALL) if limit < possible => return Err(Fault::OverLimit),
            Err(code) => return Err(Fault::malformed(zstd_safe::get_error_name(code))),
        }
    }
}

fn first_guess(body: &[u8]) -> usize {
    let guess = GUESS_BYTES_MIN.max(body.len().saturating_mul(GUESS_RATIO));
    let announced = zstd_safe::get_frame_content_size(body).unwrap_or(None);
    match announced.map(usize::try_from) {
        // Believed only where it asks for less: what a frame announces costs its sender nothing.
        Some(Ok(announced)) => guess.min(announced),
        _ => guess,
    }
}

/// Refuses the window that Java's reader refuses. Ours has no use for one.
fn check_window(body: &[u8]) -> Result<(), Fault> {
    let &[0x28, 0xb5, 0x2f, 0xfd, descriptor, window, ..] = body else {
        return Ok(());
    };
    let single_segment = descriptor & 0x20 != 0;
    let (log, eighths) = (10 + (window >> 3), window & 7);
    if !single_segment && (log, eighths) > (WINDOW_LOG_MAX, 0) {
        return Err(Fault::malformed("its window is too large"));
    }
    Ok(())
}

pub(super) fn compress(body: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let compressed = zstd::bulk::compress(body, LEVEL).map_err(|error| error.to_string())?;
    out.extend_from_slice(&compressed);
    Ok(())
}
