//! The admin port's own connections: counted and bounded, so that who asks it can neither take the broker's places nor
//! its descriptors, and who asks nothing cannot keep the places from who does. Under the HTTP server; reads no byte.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use callboard_supervision::seldom;
use metrics::{Gauge, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};
use tracing::debug;

use crate::metrics::{ADMIN_CONNECTIONS, BROKER_ADMIN_CONNECTIONS};

/// The wait after an accept that failed, as out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How many connections there may be, and for how long they may hold a place without an answer.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// Connections at a time.
    pub(crate) most: usize,
    /// From the accept, or from the last byte of an answer, to the next byte of one. Bytes that come do not count: one
    /// at a time they would hold a place for ever.
    pub(crate) idle: Duration,
}

/// A socket that gives a newcomer the place of who has been without an answer longest, if there is no other.
pub(super) struct Bounded {
    socket: TcpListener,
    bounds: Bounds,
    open: Arc<Open>,
    next: u64,
}

struct Open {
    places: Mutex<BTreeMap<u64, Place>>,
    gauge: Gauge,
}

struct Place {
    /// The accept, or the last byte of an answer.
    since: Instant,
    /// Dropped with the place; the connection sees it and ends.
    _kept: oneshot::Sender<()>,
}

impl Open {
    fn places(&self) -> MutexGuard<'_, BTreeMap<u64, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody had to go so that there are fewer than `most`.
    fn make_room(&self, most: usize) -> bool {
        let mut places = self.places();
        if places.len() < most {
            return false;
        }
        let longest = places.iter().min_by_key(|(_, place)| place.since);
        let longest = longest.map(|(id, _)| *id);
        longest.is_some_and(|id| places.remove(&id).is_some())
    }
}

impl Bounded {
    pub(super) fn new(socket: TcpListener, bounds: Bounds) -> Self {
        Self {
            socket,
            bounds,
            open: Arc::new(Open {
                places: Mutex::default(),
                gauge: gauge!(BROKER_ADMIN_CONNECTIONS),
            }),
            next: 0,
        }
    }
}

impl Listener for Bounded {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => {
                    if self.open.make_room(self.bounds.most) {
                        ADMIN_CONNECTIONS.with(&["closed_limit"]).increment(1);
                    }
                    ADMIN_CONNECTIONS.with(&["accepted"]).increment(1);
                    self.next += 1;
                    let idle = self.bounds.idle;
                    return (Placed::new(stream, peer, self.next, idle, &self.open), peer);
                }
                Err(error) => {
                    seldom!(warn, %error, "cannot accept a connection to the admin port");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A connection in its place, which is free when it is dropped. Without an answer for too long, or without its place,
/// every read and write fails, on which the server drops it.
pub(super) struct Placed {
    stream: TcpStream,
    peer: SocketAddr,
    id: u64,
    idle: Duration,
    late: Pin<Box<Sleep>>,
    lost: oneshot::Receiver<()>,
    ended: bool,
    open: Arc<Open>,
}

impl Placed {
    fn new(stream: TcpStream, peer: SocketAddr, id: u64, idle: Duration, open: &Arc<Open>) -> Self {
        let (kept, lost) = oneshot::channel();
        let since = Instant::now();
        open.places().insert(id, Place { since, _kept: kept });
        open.gauge.increment(1.0);
        Self {
            stream,
            peer,
            id,
            idle,
            late: Box::pin(tokio::time::sleep(idle)),
            lost,
            ended: false,
            open: Arc::clone(open),
        }
    }

    /// Fails if the connection may not go on; else the task is woken when that is so.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.ended {
            if Pin::new(&mut self.lost).poll(cx).is_ready() {
                self.ended = true;
                debug!(peer = %self.peer, "connection to the admin port closed, a newcomer has its place");
            } else if self.late.as_mut().poll(cx).is_ready() {
                self.ended = true;
                ADMIN_CONNECTIONS.with(&["closed_idle"]).increment(1);
                debug!(peer = %self.peer, "connection to the admin port closed, no answer for too long");
            }
        }
        if self.ended {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn answered(&mut self) {
        let now = Instant::now();
        self.late.as_mut().reset(now + self.idle);
        if let Some(place) = self.open.places().get_mut(&self.id) {
            place.since = now;
        }
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        self.open.places().remove(&self.id);
        self.open.gauge.decrement(1.0);
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.answered();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
