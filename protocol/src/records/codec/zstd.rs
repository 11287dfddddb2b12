//! Zstandard frames. A whole body is decompressed into a buffer of our own and not as a stream: a stream allocates the
//! window that the frame announces, up to 128 MiB for a few bytes. Who [unfolds](Unfold) one piece after the other asks
//! for its [memory] first.

use bytes::{Buf, Bytes};
use zstd::zstd_safe::{self, DCtx, DParameter, InBuffer, OutBuffer};

use super::{Fault, grow};

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
/// What a decoder takes beside its window.
const STATE_BYTES: usize = 512 * 1024;
/// What the library answers when the output does not fit; its header promises that the number stays.
const TOO_SMALL: usize = 0_usize.wrapping_sub(70);

pub(super) fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    check_window(body)?;
    let possible = possible(body);
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

/// Refuses the window that Java's reader refuses. A whole body has no use for one.
fn check_window(body: &[u8]) -> Result<(), Fault> {
    match window(body) {
        Some(window) if window > 1 << WINDOW_LOG_MAX => {
            Err(Fault::malformed("its window is too large"))
        }
        _ => Ok(()),
    }
}

/// The window that the frame at the front announces; None where the whole of its content is the window.
fn window(body: &[u8]) -> Option<u64> {
    let &[0x28, 0xb5, 0x2f, 0xfd, descriptor, window, ..] = body else {
        return None;
    };
    let single_segment = descriptor & 0x20 != 0;
    let base = 1_u64 << (10 + (window >> 3));
    (!single_segment).then_some(base + base / 8 * u64::from(window & 7))
}

/// The most bytes that a body can become.
fn possible(body: &[u8]) -> usize {
    (body.len() / BLOCK_BYTES_MIN + 1).saturating_mul(BLOCK_CONTENT_MAX)
}

/// A body as it unfolds.
pub(super) struct Unfold {
    rest: Bytes,
    /// None where the body cannot become as much as the window it announces: then all of it is one piece.
    context: Option<DCtx<'static>>,
}

/// What unfolding takes: the decoder and the window that the body announces. Reads headers alone.
pub(super) fn memory(body: &[u8]) -> usize {
    STATE_BYTES + window_max(body).min(possible(body))
}

impl Unfold {
    pub(super) fn new(body: Bytes) -> Result<Self, Fault> {
        let context = if possible(&body) > window_max(&body) {
            let mut context = DCtx::try_create().ok_or_else(|| Fault::malformed("no memory"))?;
            context
                .set_parameter(DParameter::WindowLogMax(u32::from(WINDOW_LOG_MAX)))
                .map_err(|code| Fault::malformed(zstd_safe::get_error_name(code)))?;
            Some(context)
        } else {
            None
        };
        Ok(Self {
            rest: body,
            context,
        })
    }

    /// A piece; false at the end of the body. Without a limit: who has one takes all of it at once.
    pub(super) fn more(&mut self, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let start = out.len();
        let Some(context) = &mut self.context else {
            out.append(&mut decompress(&self.rest, usize::MAX)?);
            return Ok(false);
        };
        let room = grow(out, &self.rest, usize::MAX);
        let mut input = InBuffer::around(&self.rest);
        let mut output = OutBuffer::around(room);
        let hint = context
            .decompress_stream(&mut output, &mut input)
            .map_err(|code| Fault::malformed(zstd_safe::get_error_name(code)))?;
        let (taken, made) = (input.pos(), output.pos());
        self.rest.advance(taken);
        out.truncate(start + made);
        // Nothing is left to come of a frame, and there is no other.
        if hint == 0 && self.rest.is_empty() {
            return Ok(false);
        }
        if taken == 0 && made == 0 {
            return Err(Fault::malformed("it ends within a frame"));
        }
        Ok(true)
    }
}

/// The largest window that reading `body` as a stream may take.
fn window_max(body: &[u8]) -> usize {
    const MAX: u64 = 1 << WINDOW_LOG_MAX;
    let frame = zstd_safe::find_frame_compressed_size(body);
    let announced = match window(body) {
        // Those of further frames are not looked for.
        _ if !frame.is_ok_and(|size| size == body.len()) => None,
        Some(window) => Some(window),
        None => zstd_safe::get_frame_content_size(body).unwrap_or(None),
    };
    usize::try_from(announced.unwrap_or(MAX).min(MAX)).unwrap_or(usize::MAX)
}

pub(super) fn compress(body: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let compressed = zstd::bulk::compress(body, LEVEL).map_err(|error| error.to_string())?;
    out.extend_from_slice(&compressed);
    Ok(())
}
