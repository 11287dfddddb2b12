//! The client: one picture of the cluster, one pool of connections, typed requests. Cheap to clone; the last clone
//! closes everything. Never retries by itself: callers know what a repeated request would do.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use callboard_protocol::messages::find_coordinator::FindCoordinatorRequest;
use callboard_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse,
};
use callboard_protocol::{ApiKey, ErrorCode, Request};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

use crate::config::{ClientConfig, Role, split_host_port};
use crate::core::cluster::{BrokerAddress, Cluster, PartitionMetadata, TopicMetadata, Update};
use crate::error::ClientError;
use crate::pool::{Address, Link, Pool, Purpose};
use crate::transport::{Connector, Tcp};
use crate::wire::{self, Answer};

/// How long a connection that is being made has before another server is tried beside it. As long as RFC 8305 advises.
const HEAD_START: Duration = Duration::from_millis(250);

/// Versions without a cap.
pub const ANY_VERSION: i16 = i16::MAX;

/// Whom to ask, on which connection, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The broker's node id; negative ids are the bootstrap servers.
    pub node: i32,
    /// Which connection.
    pub purpose: Purpose,
    /// When to give up; the connection is closed then.
    pub timeout: Duration,
}

/// A client of one cluster.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<ClientConfig>,
    pool: Pool,
    cluster: watch::Sender<Arc<Cluster>>,
    /// Topics that every refresh asks for.
    topics: Mutex<BTreeSet<String>>,
    /// Held by the refresh in progress: why the last one failed, if it did; and how many there have been.
    refreshing: tokio::sync::Mutex<Option<ClientError>>,
    refreshes: AtomicU64,
    next_start: AtomicUsize,
    ager: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.pool.cut();
        if let Some(ager) = self.ager.get_mut().unwrap_or_else(PoisonError::into_inner) {
            ager.abort();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("bootstrap_servers", &self.inner.config.bootstrap_servers)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Connects over TCP: reaches one bootstrap server and learns the cluster's brokers from it.
    ///
    /// # Errors
    /// [`ClientError::Config`]; [`ClientError::Connect`] when no bootstrap server can be reached.
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        Self::connect_with(config, Arc::new(Tcp)).await
    }

    /// Connects over streams that `connector` makes.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        config: ClientConfig,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, ClientError> {
        let config = config.settled(Role::Client)?;
        let client = Self::build(config, connector, Arc::default());
        client.refresh().await?;
        Ok(client)
    }

    /// A client of the same cluster with connections of its own, under another configuration: what is cut off or
    /// throttled here does not touch the other.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn fork(&self, config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self::build(
            config.settled(Role::Client)?,
            self.inner.pool.connector(),
            self.cluster(),
        ))
    }

    fn build(config: ClientConfig, connector: Arc<dyn Connector>, cluster: Arc<Cluster>) -> Self {
        let config = Arc::new(config);
        let inner = Arc::new(Inner {
            pool: Pool::new(Arc::clone(&config), connector),
            cluster: watch::Sender::new(cluster),
            topics: Mutex::default(),
            refreshing: tokio::sync::Mutex::new(None),
            refreshes: AtomicU64::new(0),
            next_start: AtomicUsize::new(rand::random_range(0..1024)),
            ager: Mutex::new(None),
            config,
        });
        let ager = tokio::spawn(age(Arc::downgrade(&inner), inner.config.metadata_max_age));
        *inner.ager.lock().unwrap_or_else(PoisonError::into_inner) = Some(ager);
        Self { inner }
    }

    /// The configuration it was made with.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// The cluster as last heard of.
    #[must_use]
    pub fn cluster(&self) -> Arc<Cluster> {
        Arc::clone(&self.inner.cluster.borrow())
    }

    /// Hears of every change of the cluster.
    #[must_use]
    pub fn watch_cluster(&self) -> watch::Receiver<Arc<Cluster>> {
        self.inner.cluster.subscribe()
    }

    /// Sends a request in the highest version that both sides speak, no higher than `cap`, and waits for the answer.
    /// `build` is told the version: some fields exist only at some versions.
    ///
    /// # Errors
    /// [`ClientError`]; errors inside the answer are the caller's to find.
    pub async fn request<R: Request<'static>>(
        &self,
        target: Target,
        cap: i16,
        build: impl FnOnce(i16) -> R,
    ) -> Result<Answer<R>, ClientError> {
        let link = self.link(target.node, target.purpose).await?;
        self.request_on(&link, target.timeout, cap, build).await
    }

    async fn request_on<R: Request<'static>>(
        &self,
        link: &Link,
        timeout: Duration,
        cap: i16,
        build: impl FnOnce(i16) -> R,
    ) -> Result<Answer<R>, ClientError> {
        let version = link.version::<R>(cap)?;
        let request = build(version);
        let client_id = self.inner.config.client_id.as_str();
        let frame = link
            .connection
            .request(|id| wire::encode(&request, version, id, client_id), timeout)
            .await?;
        let answer = Answer::<R>::new(frame, version)?;
        let throttle = throttle(R::KEY, version, answer.body());
        if !throttle.is_zero() {
            debug!(api = R::KEY.name(), ?throttle, "throttled");
            link.connection.mute(throttle);
        }
        Ok(answer)
    }

    /// The target for `node`'s data connection with the usual timeout.
    #[must_use]
    pub fn data(&self, node: i32) -> Target {
        self.target(node, Purpose::Data)
    }

    /// The target for `node`'s coordination connection with the usual timeout.
    #[must_use]
    pub fn coordination(&self, node: i32) -> Target {
        self.target(node, Purpose::Coordination)
    }

    /// The target for requests that `node` may hold back as long as a rebalance takes; the caller says how long that is.
    #[must_use]
    pub fn parked(&self, node: i32) -> Target {
        self.target(node, Purpose::Parked)
    }

    /// The target for a long-polling Fetch of `node`; the broker's wait comes on top of the timeout.
    #[must_use]
    pub fn fetch(&self, node: i32, max_wait: Duration) -> Target {
        let mut target = self.target(node, Purpose::Fetch);
        target.timeout += max_wait;
        target
    }

    fn target(&self, node: i32, purpose: Purpose) -> Target {
        Target {
            node,
            purpose,
            timeout: self.inner.config.request_timeout,
        }
    }

    /// Sends a request to any broker: those known in turn, then the bootstrap servers, until one takes it. A server that
    /// does not answer is not waited for: after a moment the next one is tried beside it.
    ///
    /// # Errors
    /// The last broker's error when none could be reached.
    pub async fn request_any<R: Request<'static>>(
        &self,
        cap: i16,
        build: impl Fn(i16) -> R,
    ) -> Result<Answer<R>, ClientError> {
        let mut last = ClientError::Closed;
        let mut candidates = self.candidates().into_iter();
        let mut connecting = JoinSet::new();
        loop {
            if connecting.is_empty() {
                let Some(node) = candidates.next() else {
                    return Err(last);
                };
                connecting.spawn(self.clone().connect_to(node));
            }
            let link = tokio::select! {
                Some(connected) = connecting.join_next() => match connected {
                    Ok(link) => link,
                    // Aborted with the runtime.
                    Err(_gone) => return Err(ClientError::Closed),
                },
                () = tokio::time::sleep(HEAD_START), if candidates.len() > 0 => {
                    if let Some(node) = candidates.next() {
                        connecting.spawn(self.clone().connect_to(node));
                    }
                    continue;
                }
            };
            let timeout = self.inner.config.request_timeout;
            let answer = match link {
                Ok(link) => self.request_on(&link, timeout, cap, &build).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if error.is_retriable() => last = error,
                Err(error) => return Err(error),
            }
        }
    }

    async fn connect_to(self, node: i32) -> Result<Arc<Link>, ClientError> {
        self.link(node, Purpose::Data).await
    }

    /// Makes sure that later refreshes cover `topics`; refreshes now if one of them is new.
    ///
    /// # Errors
    /// As [`refresh`](Self::refresh).
    pub async fn track(
        &self,
        topics: impl IntoIterator<Item = String>,
    ) -> Result<Arc<Cluster>, ClientError> {
        let added = {
            let mut tracked = self
                .inner
                .topics
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let before = tracked.len();
            tracked.extend(topics);
            tracked.len() > before
        };
        if added {
            self.refresh().await
        } else {
            Ok(self.cluster())
        }
    }

    /// No later refresh asks for `topics`, and nothing is known of them.
    pub fn forget(&self, topics: &BTreeSet<String>) {
        self.inner
            .topics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|topic| !topics.contains(topic));
        self.inner
            .cluster
            .send_modify(|cluster| *cluster = Arc::new(cluster.without(topics)));
    }

    /// Asks for metadata of the brokers and of every topic tracked. Callers that come while one is under way share it.
    ///
    /// # Errors
    /// [`ClientError`] when no broker could be asked.
    pub async fn refresh(&self) -> Result<Arc<Cluster>, ClientError> {
        let seen = self.inner.refreshes.load(Ordering::Acquire);
        let mut last = self.inner.refreshing.lock().await;
        if self.inner.refreshes.load(Ordering::Acquire) > seen + 1 {
            // One began and ended after we asked. It may have failed: then nobody else waits as long for the same.
            return match &*last {
                Some(error) => Err(error.clone()),
                None => Ok(self.cluster()),
            };
        }
        let topics: Vec<String> = self
            .inner
            .topics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect();
        let asked = self.ask_metadata(Some(&topics)).await;
        self.inner.refreshes.fetch_add(1, Ordering::AcqRel);
        *last = asked.as_ref().err().cloned();
        let update = asked?;
        self.inner.cluster.send_if_modified(|cluster| {
            let updated = cluster.updated(update);
            let changed = updated != **cluster;
            if changed {
                *cluster = Arc::new(updated);
            }
            changed
        });
        Ok(self.cluster())
    }

    /// Every topic of the cluster, as of now. Does not touch what is tracked.
    ///
    /// # Errors
    /// As [`refresh`](Self::refresh).
    pub async fn all_topics(&self) -> Result<Cluster, ClientError> {
        let update = self.ask_metadata(None).await?;
        Ok(Cluster::default().updated(update))
    }

    async fn ask_metadata(&self, topics: Option<&[String]>) -> Result<Update, ClientError> {
        let answer = self
            .request_any::<MetadataRequest>(ANY_VERSION, |version| MetadataRequest {
                topics: match topics {
                    // v0 has no null: an empty list is all.
                    None if version == 0 => Some(Vec::new()),
                    None => None,
                    Some(topics) => Some(
                        topics
                            .iter()
                            .map(|name| MetadataRequestTopic {
                                name: Some(name.clone().into()),
                                ..MetadataRequestTopic::default()
                            })
                            .collect(),
                    ),
                },
                allow_auto_topic_creation: if version >= 4 {
                    self.inner.config.allow_auto_create_topics
                } else {
                    true
                },
                ..MetadataRequest::default()
            })
            .await?;
        update(&answer.read()?, topics.is_none())
    }

    /// The node that coordinates `group`. It is asked anew every time; the caller remembers.
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the broker's code, 15 while there is none yet.
    pub async fn find_coordinator(&self, group: &str) -> Result<i32, ClientError> {
        let answer = self
            .request_any::<FindCoordinatorRequest>(ANY_VERSION, |version| {
                let mut request = FindCoordinatorRequest::default();
                if version >= 4 {
                    request.coordinator_keys = vec![group.to_owned().into()];
                } else {
                    request.key = group.to_owned().into();
                }
                request
            })
            .await?;
        let response = answer.read()?;
        let (code, node, host, port) = match response.coordinators.first() {
            Some(found) => (found.error_code, found.node_id, &found.host, found.port),
            None => (
                response.error_code,
                response.node_id,
                &response.host,
                response.port,
            ),
        };
        if code != ErrorCode::NONE.0 {
            return Err(ClientError::kafka(ErrorCode(code)));
        }
        let port = u16::try_from(port).map_err(wire::malformed)?;
        self.inner.cluster.send_if_modified(|cluster| {
            if cluster
                .brokers
                .get(&node)
                .is_some_and(|known| known.host == **host && known.port == port)
            {
                return false;
            }
            let mut changed = (**cluster).clone();
            let known = changed.brokers.get(&node);
            let address = BrokerAddress {
                host: host.to_string(),
                port,
                rack: known.and_then(|known| known.rack.clone()),
            };
            changed.brokers.insert(node, address);
            *cluster = Arc::new(changed);
            true
        });
        Ok(node)
    }

    /// `node` asked for silence on its data connection in an answer whose head does not say so.
    pub(crate) fn throttled(&self, node: i32, throttle: Duration) {
        self.inner.pool.mute(node, Purpose::Data, throttle);
    }

    /// Closes the connection to `node` for `purpose`; what waits on it fails at once.
    pub fn disconnect(&self, node: i32, purpose: Purpose) {
        self.inner.pool.disconnect(node, purpose);
    }

    /// Closes every connection for good, as a crash would. Everything asked from now on is refused.
    pub fn cut(&self) {
        self.inner.pool.cut();
    }

    async fn link(&self, node: i32, purpose: Purpose) -> Result<Arc<Link>, ClientError> {
        let address = self.address(node)?;
        self.inner.pool.link(node, purpose, address).await
    }

    fn address(&self, node: i32) -> Result<Address, ClientError> {
        if let Some(broker) = self.cluster().brokers.get(&node) {
            return Ok((broker.host.clone(), broker.port));
        }
        let place = usize::try_from(-1 - i64::from(node)).ok();
        place
            .and_then(|place| self.inner.config.bootstrap_servers.get(place))
            .and_then(|server| split_host_port(server))
            .map(|(host, port)| (host.to_owned(), port))
            .ok_or(ClientError::UnknownNode(node))
    }

    /// Nodes to ask when any will do: another one first each time, those with an open connection before all, the bootstrap
    /// servers last.
    fn candidates(&self) -> Vec<i32> {
        let start = self.inner.next_start.fetch_add(1, Ordering::Relaxed);
        let mut known: Vec<i32> = self.cluster().brokers.keys().copied().collect();
        let servers = i32::try_from(self.inner.config.bootstrap_servers.len()).unwrap_or(i32::MAX);
        let mut seeds: Vec<i32> = (1..=servers).map(|place| -place).collect();
        for nodes in [&mut known, &mut seeds] {
            if !nodes.is_empty() {
                let by = start % nodes.len();
                nodes.rotate_left(by);
            }
        }
        known.append(&mut seeds);
        // Stable: the order among them stays.
        known.sort_by_key(|node| !self.inner.pool.is_open(*node, Purpose::Data));
        known
    }
}

/// Refreshes when nothing else has for `max_age`. Ends with the client.
async fn age(client: Weak<Inner>, max_age: Duration) {
    loop {
        tokio::time::sleep(max_age).await;
        let Some(inner) = client.upgrade() else {
            return;
        };
        if inner.pool.is_closed() {
            return;
        }
        if let Err(error) = (Client { inner }).refresh().await {
            debug!(%error, "periodic metadata refresh failed");
        }
    }
}

/// The cluster in a metadata answer.
fn update(response: &MetadataResponse<'_>, complete: bool) -> Result<Update, ClientError> {
    if response.error_code != ErrorCode::NONE.0 {
        return Err(ClientError::kafka(ErrorCode(response.error_code)));
    }
    let mut brokers = std::collections::BTreeMap::new();
    for broker in &response.brokers {
        let address = BrokerAddress {
            host: broker.host.to_string(),
            port: u16::try_from(broker.port).map_err(wire::malformed)?,
            rack: broker.rack.as_ref().map(ToString::to_string),
        };
        brokers.insert(broker.node_id, address);
    }
    let mut topics = Vec::new();
    for topic in &response.topics {
        let name: Arc<str> = Arc::from(topic.name.as_deref().unwrap_or_default());
        if topic.error_code != ErrorCode::NONE.0 {
            topics.push((name, Err(ErrorCode(topic.error_code))));
            continue;
        }
        let mut partitions: Vec<_> = topic.partitions.iter().collect();
        partitions.sort_by_key(|partition| partition.partition_index);
        let partitions = partitions
            .into_iter()
            .map(|partition| PartitionMetadata {
                leader: (partition.leader_id >= 0).then_some(partition.leader_id),
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes.clone(),
            })
            .collect();
        let found = TopicMetadata {
            id: topic.topic_id,
            internal: topic.is_internal,
            partitions,
        };
        topics.push((name, Ok(found)));
    }
    Ok(Update {
        id: response.cluster_id.as_ref().map(ToString::to_string),
        controller: (response.controller_id >= 0).then_some(response.controller_id),
        brokers,
        topics,
        complete,
    })
}

/// How long the broker wants silence (KIP-219). Most answers begin with it from some version on; Produce and
/// ApiVersions have it at their end, where only decoding finds it.
fn throttle(api: ApiKey, version: i16, body: &[u8]) -> Duration {
    let since = match api {
        ApiKey::FETCH => 4,
        ApiKey::METADATA | ApiKey::OFFSET_COMMIT | ApiKey::OFFSET_FETCH => 3,
        ApiKey::LIST_OFFSETS
        | ApiKey::JOIN_GROUP
        | ApiKey::CREATE_TOPICS
        | ApiKey::DESCRIBE_CONFIGS => 2,
        ApiKey::FIND_COORDINATOR
        | ApiKey::HEARTBEAT
        | ApiKey::LEAVE_GROUP
        | ApiKey::SYNC_GROUP
        | ApiKey::CREATE_PARTITIONS
        | ApiKey::DELETE_TOPICS => 1,
        ApiKey::INIT_PRODUCER_ID | ApiKey::INCREMENTAL_ALTER_CONFIGS => 0,
        _ => return Duration::ZERO,
    };
    let millis = body
        .first_chunk()
        .map_or(0, |bytes| i32::from_be_bytes(*bytes));
    if version < since {
        return Duration::ZERO;
    }
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
