//! One connection to one broker: requests out in order, answers back in order, each to whoever waits for it.
//! Owned by the pool; its driver task ends with it. A request that is not answered in time ends the connection, since
//! nothing behind it would be answered either.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use callboard_protocol::frame::{FrameError, FrameReader};
use callboard_supervision::seldom;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::ClientError;
use crate::transport::Stream;

/// How much one read may bring.
const READ_BYTES: usize = 64 * 1024;

/// The type and the major version that a TLS alert begins with.
const TLS_ALERT: usize = 0x1503;
/// What an HTTP answer begins with.
const HTTP: usize = 0x4854_5450;

/// A request on its way out.
struct Outgoing {
    correlation_id: i32,
    frame: Bytes,
    answer: oneshot::Sender<Result<Bytes, ClientError>>,
    permit: OwnedSemaphorePermit,
}

/// A request that was sent.
struct Waiting {
    correlation_id: i32,
    answer: oneshot::Sender<Result<Bytes, ClientError>>,
    _permit: OwnedSemaphorePermit,
}

/// What driver and users share.
struct Shared {
    waiting: Mutex<VecDeque<Waiting>>,
    /// Nothing is sent before: the broker throttles us (KIP-219).
    muted_until: Mutex<Option<Instant>>,
    closed: CancellationToken,
}

/// A connection. Dropping it closes it.
pub(crate) struct Connection {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    in_flight: Arc<Semaphore>,
    next_correlation_id: Mutex<i32>,
    shared: Arc<Shared>,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.closed.cancel();
        self.driver.abort();
        fail_all(&self.shared);
    }
}

impl Connection {
    /// Takes over a stream. `in_flight_max` requests may wait for answers at once; more wait to be sent.
    pub(crate) fn new(
        server: String,
        stream: Box<dyn Stream>,
        max_frame_bytes: usize,
        in_flight_max: usize,
    ) -> Self {
        let (outgoing, requests) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            waiting: Mutex::new(VecDeque::new()),
            muted_until: Mutex::new(None),
            closed: CancellationToken::new(),
        });
        let driver = tokio::spawn(drive(
            server,
            stream,
            max_frame_bytes,
            requests,
            Arc::clone(&shared),
        ));
        Self {
            outgoing,
            in_flight: Arc::new(Semaphore::new(in_flight_max)),
            next_correlation_id: Mutex::new(0),
            shared,
            driver,
        }
    }

    /// Sends what `encode` makes for a correlation id and waits for the answer: the frame without its length.
    ///
    /// Dropping the future abandons the answer and nothing else.
    pub(crate) async fn request(
        &self,
        encode: impl FnOnce(i32) -> Result<Bytes, ClientError>,
        timeout: Duration,
    ) -> Result<Bytes, ClientError> {
        let deadline = Instant::now() + timeout;
        let permit = tokio::time::timeout_at(deadline, Arc::clone(&self.in_flight).acquire_owned());
        let permit = match permit.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_closed)) => return Err(ClientError::Disconnected),
            Err(_elapsed) => {
                self.close();
                return Err(ClientError::Timeout);
            }
        };
        let (answer, answered) = oneshot::channel();
        {
            // Held over the send, so that correlation ids leave in order.
            let mut next = self
                .next_correlation_id
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let correlation_id = *next;
            let frame = encode(correlation_id)?;
            *next = correlation_id.wrapping_add(1);
            let outgoing = Outgoing {
                correlation_id,
                frame,
                answer,
                permit,
            };
            self.outgoing
                .send(outgoing)
                .map_err(|_closed| ClientError::Disconnected)?;
        }
        match tokio::time::timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_dropped)) => Err(ClientError::Disconnected),
            Err(_elapsed) => {
                self.close();
                Err(ClientError::Timeout)
            }
        }
    }

    /// Sends nothing for this long: the broker asked for it.
    pub(crate) fn mute(&self, throttle: Duration) {
        let until = Instant::now() + throttle;
        *self
            .shared
            .muted_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Ends it; whatever waits fails at once.
    pub(crate) fn close(&self) {
        self.shared.closed.cancel();
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.shared.closed.is_cancelled() && !self.driver.is_finished()
    }
}

async fn drive(
    server: String,
    stream: Box<dyn Stream>,
    max_frame_bytes: usize,
    requests: mpsc::UnboundedReceiver<Outgoing>,
    shared: Arc<Shared>,
) {
    let (reader, writer) = tokio::io::split(stream);
    let ended = tokio::select! {
        () = shared.closed.cancelled() => Ok(()),
        ended = write_requests(writer, requests, &shared) => ended.map_err(Ended::from),
        ended = read_answers(reader, max_frame_bytes, &shared) => ended,
    };
    match ended {
        Ok(()) => {}
        Err(Ended::Io(reason)) => debug!(%server, %reason, "connection ended"),
        Err(Ended::Astray(what)) => seldom!(error, %server, what, "connection closed"),
        // It comes again with every connection to where it comes from.
        Err(Ended::Wrong(error)) => {
            seldom!(error, %server, %error, "connection closed");
            let asked = shared
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            if let Some(asked) = asked {
                // Whoever waited may have stopped waiting.
                let _ = asked.answer.send(Err(error));
            }
        }
    }
    shared.closed.cancel();
    fail_all(&shared);
}

/// Why a connection ends by itself.
enum Ended {
    /// It broke, or the broker closed it.
    Io(io::Error),
    /// Whose answer came cannot be told.
    Astray(&'static str),
    /// What came is no answer, or more than is accepted: nothing else will come to who asked.
    Wrong(ClientError),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FrameError> for Ended {
    fn from(error: FrameError) -> Self {
        Self::Wrong(match error {
            // Read as a length, each of these is far above any limit.
            FrameError::TooLarge { bytes, .. } if bytes >> 16 == TLS_ALERT => {
                ClientError::Protocol("it answers in TLS".to_owned())
            }
            FrameError::TooLarge { bytes, .. } if bytes == HTTP => {
                ClientError::Protocol("it answers in HTTP".to_owned())
            }
            FrameError::TooLarge { bytes, most } => {
                ClientError::AnswerTooLarge { bytes, max: most }
            }
            other => ClientError::Protocol(other.to_string()),
        })
    }
}

fn fail_all(shared: &Shared) {
    let waiting = std::mem::take(
        &mut *shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner),
    );
    for one in waiting {
        // Whoever waited may have stopped waiting.
        let _ = one.answer.send(Err(ClientError::Disconnected));
    }
}

async fn write_requests(
    mut writer: WriteHalf<Box<dyn Stream>>,
    mut requests: mpsc::UnboundedReceiver<Outgoing>,
    shared: &Shared,
) -> io::Result<()> {
    while let Some(request) = requests.recv().await {
        if shared.closed.is_cancelled() {
            return Ok(());
        }
        let muted = shared
            .muted_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(until) = muted {
            tokio::time::sleep_until(until).await;
        }
        shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(Waiting {
                correlation_id: request.correlation_id,
                answer: request.answer,
                _permit: request.permit,
            });
        writer.write_all(&request.frame).await?;
        writer.flush().await?;
    }
    Ok(())
}

async fn read_answers(
    mut reader: ReadHalf<Box<dyn Stream>>,
    max_frame_bytes: usize,
    shared: &Shared,
) -> Result<(), Ended> {
    let mut frames = FrameReader::new(max_frame_bytes);
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        buffer.reserve(READ_BYTES);
        if reader.read_buf(&mut buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        frames.push(buffer.split().freeze());
        while let Some(frame) = frames.pop()? {
            answer(frame, shared)?;
        }
    }
}

/// Gives an answer to the oldest request, whose it must be: brokers answer a connection in order.
fn answer(frame: Bytes, shared: &Shared) -> Result<(), Ended> {
    let waiting = shared
        .waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop_front();
    let Some(waiting) = waiting else {
        return Err(Ended::Astray("an answer nobody asked for"));
    };
    let correlation_id = frame.first_chunk().map(|bytes| i32::from_be_bytes(*bytes));
    if correlation_id != Some(waiting.correlation_id) {
        let _ = waiting.answer.send(Err(ClientError::Disconnected));
        return Err(Ended::Astray("an answer to another request"));
    }
    let _ = waiting.answer.send(Ok(frame));
    Ok(())
}
