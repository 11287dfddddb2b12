//! One connection to a broker, one request after the other: for all that is not under load. [`crate::load`] takes the
//! socket over where requests have to be many.

use std::marker::PhantomData;

use bytes::{Bytes, BytesMut};
use callboard_protocol::frame::{self, FrameReader};
use callboard_protocol::header::{self, RequestHeader};
use callboard_protocol::{Message, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};

use crate::error::{BenchError, Doing};

/// Largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How much one read may bring.
const READ_BYTES: usize = 16 << 10;

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    frames: FrameReader,
    read: BytesMut,
}

/// The answer to a request of type `R`; what is read borrows from it.
#[derive(Debug)]
pub(crate) struct Answer<R> {
    /// The frame without its length.
    pub(crate) frame: Bytes,
    version: i16,
    request: PhantomData<fn() -> R>,
}

impl<R: Request<'static>> Answer<R> {
    /// Decodes it.
    pub(crate) fn read(&self) -> Result<R::Response<'_>, BenchError> {
        header::response_body(&self.frame, R::KEY, self.version)
            .and_then(|body| R::Response::decode(body, self.version))
            .map_err(|reason| malformed(R::NAME, reason))
    }
}

/// A whole request with its length.
pub(crate) fn encode<'a, M: Message<'a>>(message: &M, version: i16) -> Result<Bytes, BenchError> {
    let header = RequestHeader {
        api_key: M::KEY,
        api_version: version,
        correlation_id: 0,
        client_id: Some("bench".into()),
    };
    frame::encode_request(&header, message, version).map_err(|reason| malformed(M::NAME, reason))
}

fn malformed(what: &'static str, reason: impl std::fmt::Display) -> BenchError {
    BenchError::Protocol {
        what,
        reason: reason.to_string(),
    }
}

impl Wire {
    /// Connects.
    pub(crate) async fn connect(address: &str) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address)
            .await
            .doing(|| format!("connecting to {address}"))?;
        // As every Kafka client does.
        stream
            .set_nodelay(true)
            .doing(|| "setting TCP_NODELAY".to_owned())?;
        Ok(Self {
            stream,
            frames: FrameReader::new(ANSWER_BYTES_MAX),
            read: BytesMut::new(),
        })
    }

    /// Asks and waits for the answer.
    pub(crate) async fn call<R: Request<'static>>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<Answer<R>, BenchError> {
        self.send(&encode(request, version)?).await?;
        self.answer(version).await
    }

    /// Sends what is encoded already.
    pub(crate) async fn send(&mut self, frame: &[u8]) -> Result<(), BenchError> {
        self.stream
            .write_all(frame)
            .await
            .doing(|| "sending a request".to_owned())
    }

    /// The next answer.
    pub(crate) async fn answer<R: Request<'static>>(
        &mut self,
        version: i16,
    ) -> Result<Answer<R>, BenchError> {
        let frame = timeout(ANSWER_TIMEOUT, self.frame())
            .await
            .map_err(|_elapsed| BenchError::TimedOut(format!("an answer to {}", R::NAME)))??;
        Ok(Answer {
            frame,
            version,
            request: PhantomData,
        })
    }

    async fn frame(&mut self) -> Result<Bytes, BenchError> {
        loop {
            let frame = self
                .frames
                .pop()
                .map_err(|error| malformed("an answer", error))?;
            if let Some(frame) = frame {
                return Ok(frame);
            }
            self.read.reserve(READ_BYTES);
            let bytes = self
                .stream
                .read_buf(&mut self.read)
                .await
                .doing(|| "reading an answer".to_owned())?;
            if bytes == 0 {
                return Err(malformed("an answer", "the broker closed the connection"));
            }
            self.frames.push(&self.read);
            self.read.clear();
        }
    }

    /// The socket, when no answer is awaited.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// The other way round.
    pub(crate) fn from_stream(stream: TcpStream) -> Self {
        Self {
            stream,
            frames: FrameReader::new(ANSWER_BYTES_MAX),
            read: BytesMut::new(),
        }
    }
}

/// A frame as it stands in the stream.
pub(crate) fn with_length(frame: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(4 + frame.len());
    bytes.extend_from_slice(&(frame.len() as u32).to_be_bytes());
    bytes.extend_from_slice(frame);
    bytes.freeze()
}
