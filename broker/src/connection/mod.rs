//! One client connection: reads all whole frames a socket read brought, starts what the order allows, hands every
//! coordinator its share in one message, and writes answers in the order of the requests. Owned by the listener's
//! accepting task. Never executes a request itself and never waits for one.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use callboard_protocol::frame::FrameReader;
use callboard_protocol::{ApiKey, header};
use callboard_supervision::BoxFuture;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::handlers;
use crate::metrics::{
    BROKER_IN_FLIGHT_REQUESTS, BROKER_NETWORK_BYTES_TOTAL, BROKER_PROTOCOL_ERRORS_TOTAL,
};
use crate::shared::Shared;
use crate::testing::Fault;
use crate::testing::faults::detour;
use crate::testing::refuse::refuse;

pub(crate) mod budget;
mod core;
pub(crate) mod effects;
mod request;

#[cfg(test)]
mod hang_up_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use request::{Answer, Context, Request, Responder, Work};

use budget::Held;
use core::{Due, Flow, Late, Limits};
pub(crate) use core::{Follow, Ticket};

/// Bytes one read takes from the socket at most. On the stack, for the time of the read only.
const READ_BYTES: usize = 64 * 1024;
/// Answers waiting for a slow reader, in bytes; beyond it no more requests are read.
const UNSENT_BYTES: usize = 1024 * 1024;
/// How long a connection waits for its share of the byte budget before it is closed to break the jam.
const STARVE: Duration = Duration::from_secs(10);

/// Serves one accepted socket until either side closes it.
pub(crate) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Answers are small and awaited: never hold one back for the next.
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| Ok((stream.peer_addr()?, stream.local_addr()?)));
    let (peer, local) = match prepared {
        Ok(addresses) => addresses,
        // The peer was gone before we looked.
        Err(error) => return debug!(%error, "a connection ended as it began"),
    };
    let context = Context {
        advertised: shared.advertised(local),
        client_host: format!("/{}", peer.ip().to_canonical()).into(),
        lane: shared.compute.lane(),
        shared,
    };
    let (reader, writer) = stream.into_split();
    Connection::new(context, reader, writer).run().await;
}

/// What has arrived and waits for its turn.
#[derive(Debug)]
enum Arrived {
    Frame {
        bytes: Bytes,
        held: Option<Held>,
    },
    /// Bytes that are no frame, with the metric's word for it. Nothing follows.
    Broken(&'static str),
}

/// What is kept of a started request until its answer leaves.
struct Started {
    at: Instant,
    meters: Option<usize>,
    _held: Option<Held>,
    bytes: usize,
}

pub(crate) struct Connection<R, W> {
    context: Arc<Context>,
    reader: R,
    writer: W,
    frames: FrameReader,
    flow: Flow<Arrived, Answer>,
    /// One for each started request whose answer has not left, in their order.
    started: VecDeque<Started>,
    /// Budget of the bytes read that are not yet a frame.
    partial: Option<Held>,
    /// Bytes are read for which the budget has no room: the wait for it, and when it ends.
    starving: Option<(BoxFuture<Option<Held>>, Instant)>,
    sink: UnboundedSender<(Ticket, Answer)>,
    answers: UnboundedReceiver<(Ticket, Answer)>,
    futures: FuturesUnordered<BoxFuture<()>>,
    unsent: VecDeque<Bytes>,
    meters: Meters,
}

struct Meters {
    bytes_in: Counter,
    bytes_out: Counter,
    in_flight: Gauge,
}

/// What the core calls now.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    pub(crate) fn new(context: Context, reader: R, writer: W) -> Self {
        let (sink, answers) = mpsc::unbounded_channel();
        let config = &context.shared.config;
        let limits = Limits {
            requests: config.connection_max_requests,
            request_bytes: config.connection_max_request_bytes,
            unsent_bytes: UNSENT_BYTES,
            idle: config.connections_max_idle,
            frame: config.frame_timeout,
        };
        Self {
            frames: FrameReader::new(config.socket_request_max_bytes),
            flow: Flow::new(limits, now()),
            partial: context.shared.budget.nothing(),
            context: Arc::new(context),
            reader,
            writer,
            started: VecDeque::new(),
            starving: None,
            sink,
            answers,
            futures: FuturesUnordered::new(),
            unsent: VecDeque::new(),
            meters: Meters {
                bytes_in: counter!(BROKER_NETWORK_BYTES_TOTAL, "direction" => "in"),
                bytes_out: counter!(BROKER_NETWORK_BYTES_TOTAL, "direction" => "out"),
                in_flight: gauge!(BROKER_IN_FLIGHT_REQUESTS),
            },
        }
    }

    /// Runs until the peer or the broker closes it.
    pub(crate) async fn run(mut self) {
        let stopping = self.context.shared.stopping.clone().cancelled_owned();
        let mut stopping = std::pin::pin!(stopping);
        // One timer for the connection's life: moved when it fires early, not at every request.
        let mut timer = std::pin::pin!(tokio::time::sleep(
            self.context.shared.config.connections_max_idle
        ));
        loop {
            self.advance();
            if self.flow.is_done() {
                return;
            }
            if let Some(deadline) = self.flow.frame_deadline().map(Instant::from_std)
                && deadline < timer.deadline()
            {
                timer.as_mut().reset(deadline);
            }
            tokio::select! {
                biased;
                written = write(&mut self.writer, &self.unsent), if !self.unsent.is_empty() => match written {
                    Ok(bytes) => self.written(bytes),
                    Err(error) => return debug!(%error, "a connection broke while it was written"),
                },
                Some((ticket, answer)) = self.answers.recv() => {
                    self.flow.answer(ticket, answer);
                }
                Some(()) = self.futures.next(), if !self.futures.is_empty() => {}
                held = granted(&mut self.starving), if self.starving.is_some() => self.take(held),
                read = read(&mut self.reader, &mut self.frames), if self.flow.may_read() => match read {
                    Ok(0) => self.flow.ended(now()),
                    Ok(bytes) => self.read(bytes),
                    Err(error) => return debug!(%error, "a connection broke while it was read"),
                },
                () = &mut stopping, if self.flow.may_stop() => self.flow.stop(now()),
                () = &mut timer => match self.flow.due(now()) {
                    Due::At(deadline) => timer.as_mut().reset(Instant::from_std(deadline)),
                    Due::Close(late) => return self.too_late(late),
                },
            }
        }
    }

    /// Does everything that can be done without waiting.
    fn advance(&mut self) {
        loop {
            self.collect();
            let mut progress = self.start();
            while let Ok((ticket, answer)) = self.answers.try_recv() {
                self.flow.answer(ticket, answer);
                progress = true;
            }
            self.leave();
            if !progress || self.flow.is_closing() {
                return;
            }
        }
    }

    /// Takes whole frames out of what was read, as many as may be in flight.
    fn collect(&mut self) {
        while self.flow.may_take() {
            match self.frames.pop() {
                Ok(Some(bytes)) => {
                    let size = bytes.len() + 4;
                    let held = self
                        .partial
                        .as_mut()
                        .and_then(|partial| partial.split(size));
                    self.flow.arrived(Arrived::Frame { bytes, held }, now());
                }
                Ok(None) => return,
                Err(error) => {
                    // Once: the reader is not asked again.
                    if self.flow.is_open() {
                        warn!(client = %self.context.client_host, %error, "a frame is larger than allowed");
                        self.flow.arrived(Arrived::Broken("too_large"), now());
                        self.flow.ended(now());
                    }
                    return;
                }
            }
        }
    }

    /// Starts every request that may start. One message goes to each coordinator that has work.
    fn start(&mut self) -> bool {
        let mut work = Work::default();
        let mut any = false;
        while let Some((ticket, arrived)) = self.flow.start() {
            any = true;
            self.meters.in_flight.increment(1.0);
            match arrived {
                Arrived::Frame { bytes, held } => {
                    let (follow, meters) = self.dispatch(ticket, &bytes, &mut work);
                    let size = bytes.len() + 4;
                    // Its bytes are in the budget until it has ended, be the connection gone.
                    let held = match work.effects.pop() {
                        Some(effect) => {
                            self.context.shared.effects.spawn(effect, held);
                            None
                        }
                        None => held,
                    };
                    self.started.push_back(Started {
                        at: Instant::now(),
                        meters,
                        _held: held,
                        bytes: size,
                    });
                    if std::mem::take(&mut work.hold) || follow == Follow::Barrier {
                        // It may be answered already: then its answer is in the channel and lifts the barrier at once.
                        self.flow.raise(ticket, Follow::Barrier);
                    }
                }
                Arrived::Broken(kind) => {
                    self.started.push_back(Started {
                        at: Instant::now(),
                        meters: None,
                        _held: None,
                        bytes: 0,
                    });
                    self.flow.answer(ticket, Answer::Close(kind));
                }
            }
        }
        if !work.calls.is_empty() {
            self.context.shared.coordinators.submit(work.calls);
        }
        self.futures.extend(work.reads);
        any
    }

    /// Reads the header and hands the request to its handler.
    fn dispatch(
        &mut self,
        ticket: Ticket,
        frame: &Bytes,
        work: &mut Work,
    ) -> (Follow, Option<usize>) {
        let (key, version) = match header::peek(frame) {
            Ok(head) => (head.api_key, head.api_version),
            Err(error) => {
                warn!(client = %self.context.client_host, %error, "a request without a header");
                self.flow.answer(ticket, Answer::Close("malformed"));
                return (Follow::AtOnce, None);
            }
        };
        let Some((place, api)) = handlers::find(key) else {
            warn!(client = %self.context.client_host, api_key = key.0, version, "a request of an unknown api");
            self.flow.answer(ticket, Answer::Close("unknown_api"));
            return (Follow::AtOnce, None);
        };
        if !api.serves(version) && key != ApiKey::API_VERSIONS {
            warn!(client = %self.context.client_host, api = key.name(), version, "a request of a version not offered");
            self.flow
                .answer(ticket, Answer::Close("unsupported_version"));
            return (Follow::AtOnce, None);
        }
        let read = if api.serves(version) {
            header::read_request(frame)
        } else {
            header::read_request_start(frame)
        };
        let (header, body) = match read {
            Ok(read) => read,
            Err(error) => {
                warn!(client = %self.context.client_host, api = key.name(), version, %error, "a malformed request header");
                self.flow.answer(ticket, Answer::Close("malformed"));
                return (Follow::AtOnce, None);
            }
        };
        let fault = self.context.shared.faults.take(key);
        let sink = match &fault {
            Some(fault) => detour(fault, &self.sink, work),
            None => self.sink.clone(),
        };
        let request = Request {
            responder: Responder::new(ticket, &header, sink),
            header,
            context: &self.context,
            frame,
            body,
        };
        match fault {
            Some(Fault::Cut) => request.responder.close("fault"),
            Some(Fault::Error(code)) => refuse(request, code),
            Some(Fault::Delay(_) | Fault::LoseAnswer) | None => (api.handle)(request, work),
        }
        (api.follow, Some(place))
    }

    /// Moves the answers whose turn it is to the socket's queue.
    fn leave(&mut self) {
        while let Some(answer) = self.flow.leave() {
            self.meters.in_flight.decrement(1.0);
            let mut request = 0;
            if let Some(started) = self.started.pop_front() {
                request = started.bytes;
                if let Some(place) = started.meters {
                    self.context
                        .shared
                        .api_meters
                        .answered(place, started.at.elapsed());
                }
            }
            let mut bytes = 0;
            match answer {
                Answer::Send(chunks) => {
                    bytes = chunks.iter().map(Bytes::len).sum::<usize>();
                    self.unsent.extend(chunks);
                }
                Answer::Nothing => {}
                Answer::Close(kind) => {
                    counter!(BROKER_PROTOCOL_ERRORS_TOTAL, "kind" => kind).increment(1);
                    self.flow.close(now());
                }
            }
            self.flow.left(request, bytes, now());
        }
    }

    fn read(&mut self, bytes: usize) {
        self.meters.bytes_in.increment(bytes as u64);
        let budget = &self.context.shared.budget;
        let held = budget.try_take(bytes);
        self.flow
            .read(bytes, self.frames.is_begun(), held.is_some(), now());
        match held {
            Some(held) => self.take(Some(held)),
            None => {
                self.starving = Some((
                    Box::pin(budget.clone().take(bytes)),
                    Instant::now() + STARVE,
                ))
            }
        }
    }

    /// Room for what was read. None: there was none in time, and somebody has to give way.
    fn take(&mut self, held: Option<Held>) {
        self.starving = None;
        match (held, &mut self.partial) {
            (Some(held), Some(partial)) => partial.merge(held),
            (Some(held), none) => *none = Some(held),
            (None, _) => {
                warn!(client = %self.context.client_host, "connection closed, requests of all connections take too much memory");
                counter!(BROKER_PROTOCOL_ERRORS_TOTAL, "kind" => "starved").increment(1);
                return self.flow.close(now());
            }
        }
        self.flow.granted(now());
    }

    fn written(&mut self, mut bytes: usize) {
        self.meters.bytes_out.increment(bytes as u64);
        self.flow.written(bytes, now());
        while let Some(first) = self.unsent.front_mut() {
            if bytes < first.len() {
                first.advance(bytes);
                return;
            }
            bytes -= first.len();
            self.unsent.pop_front();
        }
    }

    /// Says why it closes although nobody asked for it.
    fn too_late(&self, late: Late) {
        let client = &self.context.client_host;
        match late {
            Late::Idle => debug!(%client, "idle connection closed"),
            Late::Frame => {
                warn!(%client, "connection closed, a request was begun and did not go on");
                counter!(BROKER_PROTOCOL_ERRORS_TOTAL, "kind" => "frame_timeout").increment(1);
            }
        }
    }
}

impl<R, W> Drop for Connection<R, W> {
    fn drop(&mut self) {
        // Thousands at most: exact in a double.
        self.meters.in_flight.decrement(self.started.len() as f64);
    }
}

/// Waits for room in the budget, until the deadline.
async fn granted(starving: &mut Option<(BoxFuture<Option<Held>>, Instant)>) -> Option<Held> {
    match starving {
        Some((room, deadline)) => tokio::time::timeout_at(*deadline, room)
            .await
            .unwrap_or(None),
        None => std::future::pending().await,
    }
}

/// One read, through the stack: an idle connection owns no buffer. 0 is the end.
async fn read<R: AsyncRead + Unpin>(reader: &mut R, frames: &mut FrameReader) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut space = [const { MaybeUninit::<u8>::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *reader).poll_read(cx, &mut buffer))?;
        frames.push(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

/// One write of what is queued, at most this many pieces of it.
const WRITE_PIECES: usize = 64;

async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    unsent: &VecDeque<Bytes>,
) -> io::Result<usize> {
    poll_fn(|cx: &mut TaskContext<'_>| {
        let mut pieces = [IoSlice::new(&[]); WRITE_PIECES];
        let count = unsent
            .iter()
            .zip(&mut pieces)
            .map(|(bytes, piece)| *piece = IoSlice::new(bytes))
            .count();
        let written = ready!(Pin::new(&mut *writer).poll_write_vectored(cx, &pieces[..count]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(written))
    })
    .await
}
