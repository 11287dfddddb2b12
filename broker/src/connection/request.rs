//! One request on its way through the broker: what a handler gets, and the one way in which it answers.

use std::sync::Arc;

use bytes::Bytes;
use callboard_coordinator::Call;
use callboard_protocol::header::RequestHeader;
use callboard_protocol::{ApiKey, Message, Request as RequestMessage, frame};
use callboard_supervision::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{error, warn};

use super::core::Ticket;
use crate::compute::Lane;
use crate::config::ListenAddress;
use crate::shared::Shared;

/// What a connection knows of itself and its broker; the same for all of its requests.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    /// The address clients of this connection are told to connect to.
    pub(crate) advertised: ListenAddress,
    /// The peer as Kafka renders it: a slash and the address.
    pub(crate) client_host: Arc<str>,
    /// Where this connection's long work on bytes waits for its turn.
    pub(crate) lane: Lane,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Answer {
    /// These bytes, in this order.
    Send(Vec<Bytes>),
    /// Nothing is sent (Produce with acks 0).
    Nothing,
    /// The connection closes after the answers before this one. The reason is a value of the metric's `kind`.
    Close(&'static str),
}

/// What handlers leave to be done, once per read of a connection: calls for coordinators, handed over in one go, and
/// futures. A future ends with an answer. What must keep its place among the connection's requests is done before, not in
/// it. Which kind it is, a handler has to say.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) calls: Vec<Call>,
    /// What follows the request that is just handled waits for its answer.
    pub(crate) hold: bool,
    /// Driven by the connection.
    pub(super) reads: Vec<BoxFuture<()>>,
    /// Driven by the broker.
    pub(super) effects: Vec<BoxFuture<()>>,
}

impl Work {
    /// `future` changes nothing: it ends with the connection that asked.
    pub(crate) fn read(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.reads.push(Box::pin(future));
    }

    /// `future` changes something: it goes on to its end whatever becomes of the connection that asked.
    pub(crate) fn effect(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.effects.push(Box::pin(future));
    }
}

/// A request whose header is read and whose API and version are served.
pub(crate) struct Request<'a> {
    pub(crate) header: RequestHeader<'a>,
    pub(crate) context: &'a Arc<Context>,
    /// The whole frame; `body` and what is decoded of it borrow from it.
    pub(crate) frame: &'a Bytes,
    pub(crate) body: &'a [u8],
    pub(crate) responder: Responder,
}

impl<'a> Request<'a> {
    /// Decodes the body. None when it is malformed: then the connection closes, as Kafka's does.
    pub(crate) fn decode<R: RequestMessage<'a>>(self) -> Option<(R, Self)> {
        match R::decode(self.body, self.header.api_version) {
            Ok(body) => Some((body, self)),
            Err(reason) => {
                warn!(
                    client = %self.context.client_host,
                    api = self.header.api_key.name(),
                    version = self.header.api_version,
                    %reason,
                    "a malformed request"
                );
                self.responder.close("malformed");
                None
            }
        }
    }

    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }

    pub(crate) fn shared(&self) -> &'a Arc<Shared> {
        &self.context.shared
    }
}

/// Answers one request, once. Dropped unanswered it closes the connection: every request has an end.
#[derive(Debug)]
pub(crate) struct Responder {
    ticket: Ticket,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    /// None once answered.
    sink: Option<UnboundedSender<(Ticket, Answer)>>,
}

impl Responder {
    pub(crate) fn new(
        ticket: Ticket,
        header: &RequestHeader<'_>,
        sink: UnboundedSender<(Ticket, Answer)>,
    ) -> Self {
        Self {
            ticket,
            api: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            sink: Some(sink),
        }
    }

    /// Sends a message in the version of the request.
    pub(crate) fn send<'r>(self, message: &impl Message<'r>) {
        let version = self.version;
        self.send_as(message, version);
    }

    /// Sends a message in another version than the request's (the ApiVersions fallback).
    pub(crate) fn send_as<'r>(mut self, message: &impl Message<'r>, version: i16) {
        let answer = match frame::encode_response(self.correlation_id, message, version) {
            Ok(bytes) => Answer::Send(bytes),
            Err(reason) => {
                error!(api = self.api.name(), version, %reason, "an answer cannot be encoded");
                Answer::Close("internal")
            }
        };
        self.finish(answer);
    }

    /// Ends the request without an answer.
    pub(crate) fn nothing(mut self) {
        self.finish(Answer::Nothing);
    }

    /// Closes the connection when it is this request's turn.
    pub(crate) fn close(mut self, kind: &'static str) {
        self.finish(Answer::Close(kind));
    }

    fn finish(&mut self, answer: Answer) {
        if let Some(sink) = self.sink.take() {
            // The connection may be gone; then nobody waits for the answer.
            let _ = sink.send((self.ticket, answer));
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.finish(Answer::Close("internal"));
    }
}
