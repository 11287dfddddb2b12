//! One request on its way through the broker: what a handler gets of it, and what it leaves. Knows no handler and no
//! connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use callboard_coordinator::Call;
use callboard_protocol::Request as RequestMessage;
use callboard_protocol::header::{self, RequestHeader};
use callboard_supervision::{BoxFuture, seldom};
use tokio::sync::Notify;

use crate::budget::Share;
use crate::compute::Lane;
use crate::config::ListenAddress;
use crate::services::Services;

mod number;
mod responder;
mod shared_elements;

pub(crate) use number::{Follow, RequestNumber};
pub(crate) use responder::{Answer, Maker, Responder};

/// What a connection knows of itself and its broker; the same for all of its requests.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) services: Arc<Services>,
    /// Its share of what answers may take.
    pub(crate) answers: Share,
    /// Told when this connection has to give way to others.
    pub(crate) gives_way: Arc<Notify>,
    /// The address clients of this connection are told to connect to.
    pub(crate) advertised: ListenAddress,
    /// The peer as Kafka renders it: a slash and the address.
    pub(crate) client_host: Arc<str>,
    /// Where this connection's long work on bytes waits for its turn.
    pub(crate) lane: Lane,
}

impl Context {
    /// Of a connection that reached us at `local`.
    pub(crate) fn new(services: Arc<Services>, local: SocketAddr, peer: IpAddr) -> Self {
        let gives_way = Arc::default();
        Self {
            advertised: services.advertised(local),
            client_host: format!("/{}", peer.to_canonical()).into(),
            lane: services.compute.lane(),
            answers: services.answers.share(&gives_way),
            gives_way,
            services,
        }
    }
}

/// What handlers leave to be done, once per read of a connection: calls for coordinators, handed over in one go, and
/// futures. A future ends with an answer. What must keep its place among the connection's requests is done before, not in
/// it. Which kind it is, a handler has to say.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) calls: Vec<Call>,
    /// What follows the request that is just handled waits for its answer.
    pub(crate) hold: bool,
    /// Bytes that an answer may take of what the connection has left.
    pub(crate) response_bytes: usize,
    /// Driven by the connection.
    pub(crate) reads: Vec<BoxFuture<()>>,
    /// Driven by the broker.
    pub(crate) effects: Vec<BoxFuture<()>>,
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
                seldom!(warn,
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

    /// Has `job` handle it on a thread where nobody waits. Once begun it goes on to its end.
    pub(crate) fn elsewhere(
        self,
        job: impl FnOnce(Request<'_>) + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (context, frame) = (Arc::clone(self.context), self.frame.clone());
        let mut responder = self.responder;
        responder.makes_elsewhere();
        let job = move || {
            // It was read before.
            if let Ok((header, body)) = header::read_request(&frame) {
                job(Request {
                    header,
                    context: &context,
                    frame: &frame,
                    body,
                    responder,
                });
            }
        };
        // A panic drops the responder, which closes the connection.
        async move { drop(tokio::task::spawn_blocking(job).await) }
    }

    pub(crate) fn version(&self) -> i16 {
        self.header.api_version
    }

    pub(crate) fn services(&self) -> &'a Arc<Services> {
        &self.context.services
    }
}
