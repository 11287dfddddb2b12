//! Accepts connections, within their caps, and owns their tasks. An actor under the broker's supervisor. A connection
//! is a task and not an actor: nobody ever sends it a message but the answers to its own requests, and a panic in it
//! is caught by the runtime just so. It closes one socket and nothing else.

use std::collections::HashMap;
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use callboard_supervision::{Addr, ChildSpec, Envelope, RpcReplyPort, seldom, spawn_linked};
use metrics::gauge;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::debug;

use crate::connection;
use crate::metrics::kinds::LISTENER as KIND;
use crate::metrics::{BROKER_CONNECTIONS, CONNECTIONS};
use crate::services::Services;
use crate::{BrokerConfig, ConfigError};

pub(crate) mod core;

use core::{Bounds, Places};

/// The wait after an accept that failed: the process is out of descriptors, and trying at once would only spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

pub(crate) enum ListenerMsg {
    /// The accepting task has ended, which it never does by itself.
    AcceptEnded,
    /// Accept no more. Answers when the last connection has closed; how long to wait is the caller's matter, and
    /// stopping the actor aborts those that are left.
    Drain(RpcReplyPort<()>),
}

pub(crate) struct Listener;

pub(crate) struct ListenerArgs {
    socket: TcpListener,
    services: Arc<Services>,
    bounds: Bounds,
}

pub(crate) struct ListenerState {
    /// Aborts the accepting task, and with it every connection, when the actor ends.
    accepting: Aborting,
    drain: mpsc::UnboundedSender<RpcReplyPort<()>>,
}

struct Aborting(AbortHandle);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The child of the broker's supervisor. `socket` is bound already: an address in use is told by `Broker::start`.
/// `publish` gets the address of each incarnation.
pub(crate) fn child(
    socket: TcpListener,
    services: Arc<Services>,
    bounds: Bounds,
    publish: impl Fn(Addr<ListenerMsg>) + Send + Sync + 'static,
) -> ChildSpec {
    let (socket, publish) = (Arc::new(socket), Arc::new(publish));
    ChildSpec::new(KIND, KIND, move |supervisor, _incarnation| {
        let (socket, services, publish) = (
            socket.try_clone(),
            Arc::clone(&services),
            Arc::clone(&publish),
        );
        let bounds = bounds.clone();
        async move {
            let failed = |error: std::io::Error| callboard_supervision::SpawnError {
                kind: KIND,
                reason: error.to_string(),
            };
            let args = ListenerArgs {
                socket: socket.map_err(failed)?,
                services,
                bounds,
            };
            let (address, _join) = spawn_linked(KIND, Listener, args, supervisor).await?;
            let cell = address.actor().get_cell();
            publish(address);
            Ok(cell)
        }
    })
}

#[ractor::async_trait]
impl Actor for Listener {
    type Msg = Envelope<ListenerMsg>;
    type State = ListenerState;
    type Arguments = ListenerArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: ListenerArgs,
    ) -> Result<Self::State, ActorProcessingErr> {
        let socket = tokio::net::TcpListener::from_std(args.socket)?;
        let (drain, drained) = mpsc::unbounded_channel();
        let accepting = Accepting::new(args.services, args.bounds, drained);
        let myself = Addr::new(myself, KIND);
        let task = tokio::spawn(async move {
            let ended = Ended(myself);
            accepting.run(socket).await;
            drop(ended);
        });
        Ok(ListenerState {
            accepting: Aborting(task.abort_handle()),
            drain,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            ListenerMsg::AcceptEnded => Err("the accepting task ended".into()),
            ListenerMsg::Drain(reply) => {
                debug_assert!(!state.accepting.0.is_finished());
                // If the task is gone its connections are too, and dropping the port says so.
                let _ = state.drain.send(reply);
                Ok(())
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Self::Msg>,
        _children_it_has_none_of: SupervisionEvent,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// The bounds that the configuration asks for; looks names up, once, as Kafka does.
///
/// # Errors
/// [`ConfigError::Invalid`] for an override that is none, or whose name has no address.
pub(crate) async fn bounds(config: &BrokerConfig) -> Result<Bounds, ConfigError> {
    let invalid = |value: String, reason: String| ConfigError::Invalid {
        key: "max.connections.per.ip.overrides".to_owned(),
        value,
        reason,
    };
    let text = config.max_connections_per_ip_overrides.as_deref();
    let parsed = core::parse_overrides(text.unwrap_or_default())
        .map_err(|entry| invalid(entry, "must be HOST:COUNT,HOST:COUNT".to_owned()))?;
    let mut overrides = HashMap::new();
    for (host, count) in parsed {
        let found = tokio::net::lookup_host((host.as_str(), 0)).await;
        let found = found.map_err(|error| {
            let reason = format!("the host has no address: {error}");
            invalid(host.clone(), reason)
        })?;
        overrides.extend(found.map(|address| (address.ip().to_canonical(), count)));
    }
    Ok(Bounds {
        all: config.max_connections,
        per_ip: config.max_connections_per_ip,
        overrides,
    })
}

/// Tells the actor that its task ended, by return or by panic. An abort comes from the actor's own end and is heard by
/// nobody.
struct Ended(Addr<ListenerMsg>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.cast(ListenerMsg::AcceptEnded);
    }
}

/// The accepting task's own state.
struct Accepting {
    services: Arc<Services>,
    connections: JoinSet<()>,
    /// Who each task serves.
    peers: HashMap<Id, IpAddr>,
    places: Places,
    drain: mpsc::UnboundedReceiver<RpcReplyPort<()>>,
    waiting_for_drain: Vec<RpcReplyPort<()>>,
}

impl Accepting {
    fn new(
        services: Arc<Services>,
        bounds: Bounds,
        drain: mpsc::UnboundedReceiver<RpcReplyPort<()>>,
    ) -> Self {
        Self {
            services,
            connections: JoinSet::new(),
            peers: HashMap::new(),
            places: Places::new(bounds),
            drain,
            waiting_for_drain: Vec::new(),
        }
    }

    async fn run(mut self, socket: tokio::net::TcpListener) {
        let mut socket = Some(socket);
        // The series is there before the first client is.
        self.count();
        loop {
            if self.connections.is_empty() && socket.is_none() {
                for reply in self.waiting_for_drain.drain(..) {
                    let _ = reply.send(());
                }
            }
            tokio::select! {
                Some(ended) = self.connections.join_next_with_id() => self.closed(ended),
                Some(reply) = self.drain.recv() => {
                    socket = None;
                    self.waiting_for_drain.push(reply);
                }
                accepted = accept(socket.as_ref()) => match accepted {
                    Ok((stream, peer)) => self.accepted(stream, peer.ip()),
                    Err(error) => {
                        seldom!(warn, %error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
    }

    fn accepted(&mut self, stream: TcpStream, ip: IpAddr) {
        if !self.places.take(ip) {
            CONNECTIONS.with(&["refused_limit"]).increment(1);
            debug!(%ip, "connection refused, too many are open");
            return;
        }
        CONNECTIONS.with(&["accepted"]).increment(1);
        let task = self
            .connections
            .spawn(connection::serve(stream, Arc::clone(&self.services)));
        self.peers.insert(task.id(), ip);
        self.count();
    }

    fn closed(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(failed) => failed.id(),
        };
        let ip = self.peers.remove(&id);
        if let Err(failed) = ended {
            seldom!(error, ?ip, error = %failed, "a connection panicked and was closed");
        }
        if let Some(ip) = ip {
            self.places.leave(ip);
        }
        self.count();
    }

    fn count(&self) {
        // Thousands at most: exact in a double.
        gauge!(BROKER_CONNECTIONS).set(u32::try_from(self.connections.len()).unwrap_or(u32::MAX));
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        gauge!(BROKER_CONNECTIONS).set(0.0);
    }
}

/// Accepts, or waits for ever once there is no socket any more.
async fn accept(
    socket: Option<&tokio::net::TcpListener>,
) -> std::io::Result<(TcpStream, std::net::SocketAddr)> {
    match socket {
        Some(socket) => socket.accept().await,
        None => std::future::pending().await,
    }
}
