//! The admin port's own connections: counted and bounded, so that who asks it can neither take the broker's places nor
//! its descriptors. Under the HTTP server; reads no byte.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use metrics::{Gauge, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use crate::metrics::{ADMIN_CONNECTIONS, BROKER_ADMIN_CONNECTIONS};

/// The wait after an accept that failed, as out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A socket that closes what is more than it may have.
pub(super) struct Bounded {
    socket: TcpListener,
    most: usize,
    open: Arc<Open>,
}

struct Open {
    count: AtomicUsize,
    gauge: Gauge,
}

impl Bounded {
    pub(super) fn new(socket: TcpListener, most: usize) -> Self {
        Self {
            socket,
            most,
            open: Arc::new(Open {
                count: AtomicUsize::new(0),
                gauge: gauge!(BROKER_ADMIN_CONNECTIONS),
            }),
        }
    }
}

impl Listener for Bounded {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) if self.open.count.load(Ordering::Relaxed) < self.most => {
                    ADMIN_CONNECTIONS.with(&["accepted"]).increment(1);
                    return (Placed::new(stream, &self.open), peer);
                }
                Ok((_, peer)) => {
                    ADMIN_CONNECTIONS.with(&["refused_limit"]).increment(1);
                    debug!(%peer, "connection to the admin port refused, too many are open");
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection to the admin port");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A connection in its place, which is free when it is dropped.
pub(super) struct Placed {
    stream: TcpStream,
    open: Arc<Open>,
}

impl Placed {
    fn new(stream: TcpStream, open: &Arc<Open>) -> Self {
        open.count.fetch_add(1, Ordering::Relaxed);
        open.gauge.increment(1.0);
        Self {
            stream,
            open: Arc::clone(open),
        }
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        self.open.count.fetch_sub(1, Ordering::Relaxed);
        self.open.gauge.decrement(1.0);
    }
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
