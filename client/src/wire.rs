//! From typed requests to frames and back. Owned by nobody; no state.

use std::marker::PhantomData;

use bytes::Bytes;
use callboard_protocol::{Message, Request, frame, header};

use crate::error::ClientError;

/// The answer to a request of type `R`: its bytes, decoded when read. What is read borrows from here.
pub struct Answer<R> {
    frame: Bytes,
    /// Where the body begins.
    body: usize,
    version: i16,
    request: PhantomData<fn() -> R>,
}

impl<R: Request<'static>> Answer<R> {
    pub(crate) fn new(frame: Bytes, version: i16) -> Result<Self, ClientError> {
        let body = header::response_body(&frame, R::KEY, version).map_err(malformed)?;
        let body = frame.len() - body.len();
        Ok(Self {
            frame,
            body,
            version,
            request: PhantomData,
        })
    }

    /// Decodes it.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when it is not what Kafka answers to `R`.
    pub fn read(&self) -> Result<R::Response<'_>, ClientError> {
        R::Response::decode(&self.frame[self.body..], self.version).map_err(malformed)
    }

    /// The version it was asked and answered in.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The whole frame. A slice of it shares the memory: this is how record batches are kept without copying.
    #[must_use]
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.frame[self.body..]
    }
}

/// A whole request frame with its length.
pub(crate) fn encode<'a, M: Message<'a>>(
    message: &M,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Bytes, ClientError> {
    let header = header::RequestHeader {
        api_key: M::KEY,
        api_version: version,
        correlation_id,
        client_id: Some(client_id.into()),
    };
    frame::encode_request(&header, message, version).map_err(|reason| ClientError::Encode {
        api: M::KEY,
        reason: reason.to_string(),
    })
}

pub(crate) fn malformed(reason: impl std::fmt::Display) -> ClientError {
    ClientError::Protocol(reason.to_string())
}
