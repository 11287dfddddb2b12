//! Connections by node and purpose: made when needed, negotiated once, replaced after a wait when they fail.
//! Owned by the client. Data, coordination and what brokers hold back never share a connection, so a
//! heartbeat waits neither behind a fetch nor behind a JoinGroup.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use callboard_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use callboard_protocol::{ApiKey, ErrorCode, Message};
use callboard_supervision::seldom;
use metrics::counter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::config::ClientConfig;
use crate::connection::Connection;
use crate::core::backoff::Backoff;
use crate::error::ClientError;
use crate::metrics::CLIENT_CONNECTIONS_TOTAL;
use crate::transport::Connector;
use crate::wire;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Metadata, Produce, ListOffsets, topics.
    Data,
    /// Fetch: a broker holds it back until there is something to answer, and with it all that is behind it.
    Fetch,
    /// Group membership and offsets.
    Coordination,
    /// JoinGroup and SyncGroup: a coordinator holds them back until the group has formed, and with them all that is behind
    /// them. A heartbeat there would time out and take the connection with it.
    Parked,
}

/// An open connection and what its broker speaks.
pub(crate) struct Link {
    pub(crate) connection: Connection,
    versions: BTreeMap<i16, (i16, i16)>,
}

impl Link {
    /// The highest version of an API that both sides speak, no higher than `cap`.
    pub(crate) fn version<'a, M: Message<'a>>(&self, cap: i16) -> Result<i16, ClientError> {
        let unsupported = ClientError::UnsupportedApi(M::KEY);
        let Some((min, max)) = self.versions.get(&M::KEY.0) else {
            return Err(unsupported);
        };
        let highest = (*max).min(*M::VERSIONS.end()).min(cap);
        if highest < (*min).max(*M::VERSIONS.start()) {
            return Err(unsupported);
        }
        Ok(highest)
    }
}

struct Slot {
    link: Option<(Address, Arc<Link>)>,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Why the last attempt failed, and where it went.
    failed: Option<(Address, ClientError)>,
}

/// A place for a connection. Whoever comes while one is made waits for that attempt and shares what becomes of it.
struct Place {
    slot: tokio::sync::Mutex<Slot>,
    /// How many attempts have ended.
    attempts: AtomicU64,
}

/// Host and port.
pub(crate) type Address = (String, u16);

/// All connections of one client.
pub(crate) struct Pool {
    config: Arc<ClientConfig>,
    connector: Arc<dyn Connector>,
    slots: Mutex<HashMap<(i32, Purpose), Arc<Place>>>,
    /// Open links, to be closed without waiting for a slot that is just connecting.
    open: Mutex<HashMap<(i32, Purpose), Arc<Link>>>,
    closed: CancellationToken,
}

impl Pool {
    pub(crate) fn new(config: Arc<ClientConfig>, connector: Arc<dyn Connector>) -> Self {
        Self {
            config,
            connector,
            slots: Mutex::new(HashMap::new()),
            open: Mutex::new(HashMap::new()),
            closed: CancellationToken::new(),
        }
    }

    pub(crate) fn connector(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.connector)
    }

    /// An open connection to `node`, made now if there is none. Waits out the reconnect backoff.
    pub(crate) async fn link(
        &self,
        node: i32,
        purpose: Purpose,
        address: Address,
    ) -> Result<Arc<Link>, ClientError> {
        let place = self.place(node, purpose);
        let seen = place.attempts.load(Ordering::Acquire);
        let connecting = async {
            let mut slot = place.slot.lock().await;
            if place.attempts.load(Ordering::Acquire) != seen
                && let Some((to, error)) = &slot.failed
                && *to == address
            {
                return Err(error.clone());
            }
            let link = self.link_in(&mut slot, (node, purpose), address).await;
            place.attempts.fetch_add(1, Ordering::AcqRel);
            link
        };
        tokio::select! {
            biased;
            () = self.closed.cancelled() => Err(ClientError::Closed),
            link = connecting => link,
        }
    }

    async fn link_in(
        &self,
        slot: &mut Slot,
        place: (i32, Purpose),
        address: Address,
    ) -> Result<Arc<Link>, ClientError> {
        if let Some((known, link)) = &slot.link {
            if link.connection.is_open() && *known == address {
                return Ok(Arc::clone(link));
            }
            slot.link = None;
            slot.not_before = Some(Instant::now() + slot.backoff.next_wait());
        }
        if let Some(not_before) = slot.not_before {
            tokio::time::sleep_until(not_before).await;
        }
        match self.connect(&address).await {
            Ok(link) => {
                let link = Arc::new(link);
                slot.backoff.reset();
                slot.not_before = None;
                if slot.failed.take().is_some() && place.0 >= 0 {
                    seldom!(info, node = place.0, purpose = ?place.1, "a broker is reached again");
                }
                slot.link = Some((address, Arc::clone(&link)));
                self.open
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(place, Arc::clone(&link));
                counter!(CLIENT_CONNECTIONS_TOTAL, "result" => "ok").increment(1);
                Ok(link)
            }
            Err(error) => {
                slot.not_before = Some(Instant::now() + slot.backoff.next_wait());
                // A bootstrap server is told by whoever connects; of a broker nobody else may tell.
                if slot.failed.is_none() && place.0 >= 0 {
                    seldom!(warn, node = place.0, purpose = ?place.1, %error, "a broker cannot be reached, trying again");
                }
                slot.failed = Some((address, error.clone()));
                counter!(CLIENT_CONNECTIONS_TOTAL, "result" => "failed").increment(1);
                Err(error)
            }
        }
    }

    /// Closes the connection to `node` for `purpose`, if there is one; what waits on it fails at once.
    pub(crate) fn disconnect(&self, node: i32, purpose: Purpose) {
        let link = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(node, purpose));
        if let Some(link) = link {
            link.connection.close();
        }
    }

    /// Sends nothing to `node` for this long.
    pub(crate) fn mute(&self, node: i32, purpose: Purpose, throttle: Duration) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = open.get(&(node, purpose)) {
            link.connection.mute(throttle);
        }
    }

    /// Closes everything for good.
    pub(crate) fn cut(&self) {
        self.closed.cancel();
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for link in open.into_values() {
            link.connection.close();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Whether there is an open connection to `node` for `purpose`.
    pub(crate) fn is_open(&self, node: i32, purpose: Purpose) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&(node, purpose))
            .is_some_and(|link| link.connection.is_open())
    }

    fn place(&self, node: i32, purpose: Purpose) -> Arc<Place> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let place = slots.entry((node, purpose)).or_insert_with(|| {
            let backoff = Backoff::new(
                self.config.reconnect_backoff,
                self.config.reconnect_backoff_max,
                rand::random(),
            );
            Arc::new(Place {
                slot: tokio::sync::Mutex::new(Slot {
                    link: None,
                    backoff,
                    not_before: None,
                    failed: None,
                }),
                attempts: AtomicU64::new(0),
            })
        });
        Arc::clone(place)
    }

    async fn connect(&self, (host, port): &Address) -> Result<Link, ClientError> {
        let limit = self.config.socket_connection_setup_timeout;
        let refused = |reason: io::Error| ClientError::Connect {
            server: format!("{host}:{port}"),
            reason: Arc::new(reason),
        };
        let setup = async {
            let stream = self.connector.connect(host, *port).await.map_err(refused)?;
            let connection = Connection::new(
                format!("{host}:{port}"),
                stream,
                self.config.receive_message_max_bytes,
                self.config.max_in_flight_requests,
            );
            let versions = negotiate(&connection, &self.config.client_id, limit)
                .await
                .map_err(|error| match error {
                    ClientError::Timeout => refused(io::ErrorKind::TimedOut.into()),
                    ClientError::Disconnected => refused(io::Error::other(
                        "it closes the connection before it says what it speaks",
                    )),
                    error => error,
                })?;
            Ok(Link {
                connection,
                versions,
            })
        };
        match tokio::time::timeout(limit, setup).await {
            Ok(link) => link,
            Err(_elapsed) => Err(refused(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Asks what the broker speaks. One that does not know our version of the question answers in the layout of v0 with
/// UNSUPPORTED_VERSION and, from Kafka 2.4 on, the versions of this API that it does know.
async fn negotiate(
    connection: &Connection,
    client_id: &str,
    limit: Duration,
) -> Result<BTreeMap<i16, (i16, i16)>, ClientError> {
    let mut version = *ApiVersionsRequest::VERSIONS.end();
    loop {
        let frame = connection
            .request(
                |correlation_id| {
                    let request = ApiVersionsRequest {
                        client_software_name: "callboard".into(),
                        client_software_version: env!("CARGO_PKG_VERSION").into(),
                        ..ApiVersionsRequest::default()
                    };
                    wire::encode(&request, version, correlation_id, client_id)
                },
                limit,
            )
            .await?;
        let (code, ranges) = read_versions(&frame, version)?;
        if code == ErrorCode::NONE {
            return Ok(ranges);
        }
        if code != ErrorCode::UNSUPPORTED_VERSION || version == 0 {
            return Err(ClientError::kafka(code));
        }
        version = ranges
            .get(&ApiKey::API_VERSIONS.0)
            .map_or(0, |(_, max)| (*max).clamp(0, version - 1));
        debug!(version, "broker does not know our version of ApiVersions");
    }
}

type Ranges = BTreeMap<i16, (i16, i16)>;

fn read_versions(frame: &Bytes, version: i16) -> Result<(ErrorCode, Ranges), ClientError> {
    // ApiVersions is answered behind response header 0 at every version: only the correlation id.
    let body = frame.get(4..).unwrap_or_default();
    let code = body.first_chunk().map(|bytes| i16::from_be_bytes(*bytes));
    let layout = if code == Some(ErrorCode::UNSUPPORTED_VERSION.0) {
        0
    } else {
        version
    };
    let answer = ApiVersionsResponse::decode(body, layout).map_err(wire::malformed)?;
    let ranges = answer
        .api_keys
        .iter()
        .map(|api| (api.api_key, (api.min_version, api.max_version)))
        .collect();
    Ok((ErrorCode(answer.error_code), ranges))
}
