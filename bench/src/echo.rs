//! The limit a broker is held against: a server that takes frames apart, answers each with as many bytes as a Heartbeat
//! is answered with, and does nothing else. It has the same runtime as the broker, so what differs is the broker's.

use std::io::Write as _;

use callboard_protocol::frame;
use callboard_protocol::messages::heartbeat::HeartbeatResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::error::{BenchError, Doing};

/// How much one read may bring, as in the broker.
const READ_BYTES: usize = 64 << 10;
/// Version of the Heartbeat that is answered.
const VERSION: i16 = 4;

/// Serves until it is killed.
pub(crate) async fn run() -> Result<(), BenchError> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .doing(|| "listening".to_owned())?;
    let address = listener.local_addr().doing(|| "listening".to_owned())?;
    // On stdout, for whoever started it.
    writeln!(std::io::stdout(), "ready listen={address}").doing(|| "saying so".to_owned())?;
    loop {
        let (stream, _) = listener
            .accept()
            .await
            .doing(|| "accepting a connection".to_owned())?;
        // Ends with its connection; this process has no other end than being killed.
        tokio::spawn(serve(stream));
    }
}

async fn serve(mut stream: TcpStream) {
    let answer =
        frame::encode_response::<_, bytes::Bytes>(0, &HeartbeatResponse::default(), VERSION);
    let (Ok(answer), Ok(())) = (answer, stream.set_nodelay(true)) else {
        return;
    };
    let mut read = vec![0; READ_BYTES];
    let mut filled = 0;
    let mut out = Vec::new();
    while let Ok(bytes @ 1..) = stream.read(&mut read[filled..]).await {
        filled += bytes;
        let mut at = 0;
        out.clear();
        while let Some(frame) = next(&read[at..filled]) {
            let begin = out.len();
            out.extend_from_slice(&answer);
            // The correlation id stands behind length, API and version, and comes back behind the length.
            out[begin + 4..begin + 8].copy_from_slice(&frame[8..12]);
            at += frame.len();
        }
        read.copy_within(at..filled, 0);
        filled -= at;
        // A frame that does not fit is nothing a benchmark sends.
        if filled == read.len() || stream.write_all(&out).await.is_err() {
            return;
        }
    }
}

/// The first whole frame, with its length.
fn next(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    let frame = bytes.get(..4usize.checked_add(length as usize)?)?;
    (frame.len() >= 12).then_some(frame)
}
