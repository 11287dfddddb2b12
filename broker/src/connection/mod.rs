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

use bytes::{Buf, Bytes};
use callboard_protocol::frame::FrameReader;
use callboard_protocol::{ApiKey, header};
use callboard_supervision::{BoxFuture, seldom};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::debug;

use crate::budget::{Room, SMALL, Share};
use crate::handlers;
use crate::hook::Turn;
use crate::metrics::{
    BROKER_CONNECTIONS_BEHIND_TOTAL, BROKER_IN_FLIGHT_REQUESTS,
    BROKER_LARGE_RESPONSES_DELAYED_TOTAL, BROKER_NETWORK_BYTES_TOTAL, BROKER_PROTOCOL_ERRORS_TOTAL,
};
use crate::request::{Answer, Context, Follow, Maker, Request, RequestNumber, Responder, Work};
use crate::services::Services;

mod core;

#[cfg(test)]
mod answers_tests;
#[cfg(test)]
mod hang_up_tests;
#[cfg(test)]
mod memory_tests;
#[cfg(test)]
pub(crate) mod tests;

use core::{Due, Flow, Late, Limits};

/// Bytes that a read takes at first.
const SMALL_READ_BYTES: usize = 2 * 1024;
/// Bytes it takes then at most. On the stack, for the time of the read only.
const READ_BYTES: usize = 64 * 1024;
/// Answers waiting for a slow reader, in bytes; beyond it no more requests are read.
const UNSENT_BYTES: usize = 1024 * 1024;

/// Serves one accepted socket until either side closes it.
pub(crate) async fn serve(stream: TcpStream, services: Arc<Services>) {
    // Answers are small and awaited: never hold one back for the next.
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| Ok((stream.peer_addr()?, stream.local_addr()?)));
    let (peer, local) = match prepared {
        Ok(addresses) => addresses,
        // The peer was gone before we looked.
        Err(error) => return debug!(%error, "a connection ended as it began"),
    };
    let context = Context::new(services, local, peer.ip());
    let (reader, writer) = stream.into_split();
    Connection::new(context, reader, writer).run().await;
}

/// What has arrived and waits for its turn.
#[derive(Debug)]
enum Arrived {
    Frame {
        bytes: Bytes,
        held: Room,
        /// Its answer may be large: who gives the right to make it.
        makers: Option<Arc<Semaphore>>,
    },
    /// Bytes that are no frame, with the metric's word for it. Nothing follows.
    Broken(&'static str),
}

/// What is kept of a started request until its answer leaves.
struct Started {
    at: Instant,
    api: Option<ApiKey>,
    bytes: usize,
}

/// A piece of an answer on its way to the socket.
struct Unsent {
    bytes: Bytes,
    /// With the last piece of an answer: what was paid for all of it.
    room: Option<Room>,
}

pub(crate) struct Connection<R, W> {
    context: Arc<Context>,
    reader: R,
    writer: W,
    frames: FrameReader,
    flow: Flow<Arrived, Answer>,
    /// One for each started request whose answer has not left, in their order.
    started: VecDeque<Started>,
    /// Its share of what requests may take.
    requests: Share,
    /// What was taken for the bytes read that are not yet a frame.
    partial: Room,
    /// Bytes are read for which there is no room: the wait for it.
    starving: Option<BoxFuture<Room>>,
    /// The next request may have a large answer: the right to make one, and the wait for it.
    maker: Option<OwnedSemaphorePermit>,
    wants_maker: Option<BoxFuture<Option<OwnedSemaphorePermit>>>,
    sink: UnboundedSender<(RequestNumber, Answer)>,
    answers: UnboundedReceiver<(RequestNumber, Answer)>,
    futures: FuturesUnordered<BoxFuture<()>>,
    unsent: VecDeque<Unsent>,
    /// Whether it was seen to be behind.
    behind: bool,
    meters: Meters,
}

struct Meters {
    bytes_in: Counter,
    bytes_out: Counter,
    in_flight: Gauge,
    behind: Counter,
    /// By others that make large answers.
    delayed: Counter,
}

/// What the core calls now.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    pub(crate) fn new(context: Context, reader: R, writer: W) -> Self {
        let (sink, answers) = mpsc::unbounded_channel();
        let config = &context.services.config;
        let limits = Limits {
            requests: config.connection_max_requests,
            request_bytes: config.connection_max_request_bytes,
            unsent_bytes: UNSENT_BYTES,
            response_bytes: config.connection_max_response_bytes,
            idle: config.connections_max_idle,
            frame: config.frame_timeout,
        };
        let requests = context.services.budget.share(&context.gives_way);
        Self {
            frames: FrameReader::new(config.socket_request_max_bytes),
            flow: Flow::new(limits, now()),
            partial: requests.force(0),
            requests,
            maker: None,
            wants_maker: None,
            behind: false,
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
                behind: counter!(BROKER_CONNECTIONS_BEHIND_TOTAL),
                delayed: counter!(BROKER_LARGE_RESPONSES_DELAYED_TOTAL),
            },
        }
    }

    /// Runs until the peer or the broker closes it.
    pub(crate) async fn run(mut self) {
        let stopping = self.context.services.stopping.clone().cancelled_owned();
        let mut stopping = std::pin::pin!(stopping);
        let gives_way = Arc::clone(&self.context.gives_way).notified_owned();
        let mut gives_way = std::pin::pin!(gives_way);
        // One timer for the connection's life: moved when it fires early, not at every request.
        let mut timer = std::pin::pin!(tokio::time::sleep(
            self.context.services.config.connections_max_idle
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
                Some((number, answer)) = self.answers.recv() => {
                    self.flow.answer(number, answer);
                }
                Some(()) = self.futures.next(), if !self.futures.is_empty() => {}
                room = granted(&mut self.starving), if self.starving.is_some() => {
                    self.starving = None;
                    self.partial.merge(room);
                    self.flow.granted(now());
                }
                maker = granted(&mut self.wants_maker), if self.wants_maker.is_some() => {
                    self.wants_maker = None;
                    self.maker = maker;
                }
                () = &mut gives_way => return self.gave_way(),
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
            while let Ok((number, answer)) = self.answers.try_recv() {
                self.flow.answer(number, answer);
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
                    let held = self.partial.split(bytes.len() + 4);
                    let makers = handlers::makers(&bytes, &self.context.services).cloned();
                    let frame = Arrived::Frame {
                        bytes,
                        held,
                        makers,
                    };
                    self.flow.arrived(frame, now());
                }
                Ok(None) => return,
                Err(error) => {
                    // Once: the reader is not asked again.
                    if self.flow.is_open() {
                        seldom!(warn, client = %self.context.client_host, %error, "a frame is larger than allowed");
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
        while self.may_start()
            && let Some((number, arrived)) = self.flow.start()
        {
            any = true;
            self.meters.in_flight.increment(1.0);
            match arrived {
                Arrived::Frame {
                    bytes,
                    held,
                    makers,
                } => {
                    work.response_bytes = self.flow.response_bytes_left();
                    if makers.is_some() {
                        self.flow.promise(number);
                    }
                    let (follow, api) = self.dispatch(number, &bytes, held.busy(), &mut work);
                    // A request that reached no handler makes no answer.
                    self.maker = None;
                    let size = bytes.len() + 4;
                    self.started.push_back(Started {
                        at: Instant::now(),
                        api,
                        bytes: size,
                    });
                    if std::mem::take(&mut work.hold) || follow == Follow::Barrier {
                        // It may be answered already: then its answer is in the channel and lifts the barrier at once.
                        self.flow.raise(number, Follow::Barrier);
                    }
                }
                Arrived::Broken(kind) => {
                    self.started.push_back(Started {
                        at: Instant::now(),
                        api: None,
                        bytes: 0,
                    });
                    self.flow.answer(number, Answer::Close(kind));
                }
            }
        }
        if !work.calls.is_empty() {
            self.context.services.coordinators.submit(work.calls);
        }
        // Not before: what they ask of coordinators is behind the calls of the requests before theirs.
        for effect in work.effects {
            self.context.services.effects.spawn(effect);
        }
        self.futures.extend(work.reads);
        any
    }

    /// Whether the next request may start. One with a large answer waits for the right to make it, and what is behind it
    /// waits with it.
    fn may_start(&mut self) -> bool {
        let crowded = || self.context.answers.is_crowded();
        let makers = match self.flow.next(crowded) {
            Some(Arrived::Frame { makers, .. }) => makers.as_ref(),
            Some(Arrived::Broken(_)) => None,
            None => {
                let behind = self.flow.is_behind();
                if behind && !self.behind {
                    self.meters.behind.increment(1);
                }
                self.behind = behind;
                // Others make their answers meanwhile.
                (self.maker, self.wants_maker) = (None, None);
                return false;
            }
        };
        let Some(makers) = makers.filter(|_| self.maker.is_none()) else {
            return true;
        };
        match Arc::clone(makers).try_acquire_owned() {
            Ok(maker) => self.maker = Some(maker),
            Err(_) if self.wants_maker.is_none() => {
                self.meters.delayed.increment(1);
                let makers = Arc::clone(makers);
                self.wants_maker = Some(Box::pin(async move { makers.acquire_owned().await.ok() }));
            }
            Err(_) => {}
        }
        self.maker.is_some()
    }

    /// Reads the header and hands the request to its handler.
    fn dispatch(
        &mut self,
        number: RequestNumber,
        frame: &Bytes,
        held: Room,
        work: &mut Work,
    ) -> (Follow, Option<ApiKey>) {
        let (key, version) = match header::peek(frame) {
            Ok(head) => (head.api_key, head.api_version),
            Err(error) => {
                seldom!(warn, client = %self.context.client_host, %error, "a request without a header");
                self.flow.answer(number, Answer::Close("malformed"));
                return (Follow::AtOnce, None);
            }
        };
        let Some(api) = handlers::find(key) else {
            seldom!(warn, client = %self.context.client_host, api_key = key.0, version, "a request of an unknown api");
            self.flow.answer(number, Answer::Close("unknown_api"));
            return (Follow::AtOnce, None);
        };
        if !api.serves(version) && key != ApiKey::API_VERSIONS {
            seldom!(warn, client = %self.context.client_host, api = key.name(), version, "a request of a version not offered");
            self.flow
                .answer(number, Answer::Close("unsupported_version"));
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
                seldom!(warn, client = %self.context.client_host, api = key.name(), version, %error, "a malformed request header");
                self.flow.answer(number, Answer::Close("malformed"));
                return (Follow::AtOnce, None);
            }
        };
        let sink = self.sink.clone();
        let maker = self.maker.take();
        let maker = maker.map(|permit| Maker::new(&self.context, permit));
        let request = |sink| Request {
            responder: Responder::new(number, &header, sink, maker, held),
            header,
            context: &self.context,
            frame,
            body,
        };
        let hook = self.context.services.hook.as_ref();
        match hook.map_or(Turn::Handle, |hook| hook.turn(key)) {
            Turn::Handle => (api.handle)(request(sink), work),
            Turn::HoldBack(until) => {
                let sink = held_back(until, sink, work);
                (api.handle)(request(sink), work);
            }
            Turn::Refuse(code) => (api.refuse)(request(sink), code),
            Turn::Close(kind) => request(sink).responder.close(kind),
        }
        (api.follow, Some(key))
    }

    /// Moves the answers whose turn it is to the socket's queue.
    fn leave(&mut self) {
        while let Some(answer) = self.flow.leave() {
            self.meters.in_flight.decrement(1.0);
            let mut request = 0;
            if let Some(started) = self.started.pop_front() {
                request = started.bytes;
                if let Some(api) = started.api {
                    self.context
                        .services
                        .api_meters
                        .answered(api, started.at.elapsed());
                }
            }
            let (mut bytes, mut charged) = (0, 0);
            match answer {
                Answer::Send { chunks, room } => {
                    bytes = chunks.iter().map(Bytes::len).sum::<usize>();
                    let room = match room {
                        Some(room) => room.ready(),
                        None => self.context.answers.force(bytes),
                    };
                    charged = room.bytes();
                    let pieces = chunks.into_iter();
                    self.unsent
                        .extend(pieces.map(|bytes| Unsent { bytes, room: None }));
                    if let Some(last) = self.unsent.back_mut() {
                        last.room = Some(room);
                    }
                }
                Answer::Nothing => {}
                Answer::Close(kind) => {
                    counter!(BROKER_PROTOCOL_ERRORS_TOTAL, "kind" => kind).increment(1);
                    self.flow.close(now());
                }
            }
            self.flow.left(request, bytes, charged, now());
        }
    }

    fn read(&mut self, bytes: usize) {
        self.meters.bytes_in.increment(bytes as u64);
        // What they are part of, not what one read brought.
        let small = self.frames.announced().max(self.partial.bytes() + bytes) <= SMALL;
        let room = self.requests.try_take(bytes, small);
        self.flow
            .read(bytes, self.frames.is_begun(), room.is_some(), now());
        match room {
            Some(room) => self.partial.merge(room),
            None => self.starving = Some(Box::pin(self.requests.take(bytes, small))),
        }
    }

    fn written(&mut self, bytes: usize) {
        self.meters.bytes_out.increment(bytes as u64);
        let (mut left, mut charged) = (bytes, 0);
        while let Some(first) = self.unsent.front_mut() {
            if left < first.bytes.len() {
                first.bytes.advance(left);
                // What is given back has moved; this is not given back yet.
                self.context.answers.moved(left);
                break;
            }
            left -= first.bytes.len();
            let sent = self.unsent.pop_front();
            charged += sent
                .and_then(|sent| sent.room)
                .map_or(0, |room| room.bytes());
        }
        self.flow.written(bytes, charged, now());
    }

    /// Others find no room, and this connection holds most and moves least.
    fn gave_way(&self) {
        let client = &self.context.client_host;
        seldom!(warn, %client, request_bytes = self.flow.held(), response_bytes = self.flow.charged(), "connection closed, it holds memory that others wait for and does not go on");
        counter!(BROKER_PROTOCOL_ERRORS_TOTAL, "kind" => "pressure").increment(1);
    }

    /// Says why it closes although nobody asked for it.
    fn too_late(&self, late: Late) {
        let client = &self.context.client_host;
        match late {
            Late::Idle => debug!(%client, "idle connection closed"),
            Late::Frame => {
                seldom!(warn, %client, "connection closed, a request was begun and did not go on");
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

/// Waits for what is waited for, if it is.
async fn granted<T>(wait: &mut Option<BoxFuture<T>>) -> T {
    match wait {
        Some(wait) => wait.await,
        None => std::future::pending().await,
    }
}

type Sink = UnboundedSender<(RequestNumber, Answer)>;

/// Where a request's answer goes that is held back.
fn held_back(until: BoxFuture<Result<(), &'static str>>, sink: Sink, work: &mut Work) -> Sink {
    let (before, mut answers) = mpsc::unbounded_channel();
    work.read(async move {
        // Every responder sends one answer, at the latest when it is dropped.
        let Some((number, answer)) = answers.recv().await else {
            return;
        };
        let answer = match until.await {
            Ok(()) => answer,
            Err(kind) => Answer::Close(kind),
        };
        // The connection may be gone.
        let _ = sink.send((number, answer));
    });
    before
}

/// One read, through the stack: an idle connection owns no buffer. 0 is the end. Most requests are small, and a socket that
/// has nothing is asked at every turn: the large buffer is touched only when the small one was filled.
async fn read<R: AsyncRead + Unpin>(reader: &mut R, frames: &mut FrameReader) -> io::Result<usize> {
    poll_fn(|cx| {
        let bytes = ready!(poll_into::<SMALL_READ_BYTES, R>(reader, frames, cx))?;
        if bytes < SMALL_READ_BYTES {
            return Poll::Ready(Ok(bytes));
        }
        let more = match poll_into::<READ_BYTES, R>(reader, frames, cx) {
            Poll::Ready(more) => more?,
            Poll::Pending => 0,
        };
        Poll::Ready(Ok(bytes + more))
    })
    .await
}

/// Not inlined: its buffer is in no other frame.
#[inline(never)]
fn poll_into<const BYTES: usize, R: AsyncRead + Unpin>(
    reader: &mut R,
    frames: &mut FrameReader,
    cx: &mut TaskContext<'_>,
) -> Poll<io::Result<usize>> {
    let mut space = [const { MaybeUninit::<u8>::uninit() }; BYTES];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(reader).poll_read(cx, &mut buffer))?;
    frames.push(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}

/// One write of what is queued, at most this many pieces of it.
const WRITE_PIECES: usize = 64;

async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    unsent: &VecDeque<Unsent>,
) -> io::Result<usize> {
    poll_fn(|cx: &mut TaskContext<'_>| {
        let mut pieces = [IoSlice::new(&[]); WRITE_PIECES];
        let count = unsent
            .iter()
            .zip(&mut pieces)
            .map(|(unsent, piece)| *piece = IoSlice::new(&unsent.bytes))
            .count();
        let written = ready!(Pin::new(&mut *writer).poll_write_vectored(cx, &pieces[..count]))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(written))
    })
    .await
}
