//! What every connection of one broker shares. Made once by `Broker::start`, read by handlers, never
//! locked as a whole.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use callboard_coordinator::Coordinators;
use callboard_protocol::ApiKey;
use metrics::{Counter, Histogram, counter, histogram};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::compute::Compute;
use crate::config::{BrokerConfig, ListenAddress};
use crate::effects::Effects;
use crate::fetch_sessions::FetchSessions;
use crate::hook::Hook;
use crate::log::ProducerIds;
use crate::metrics::{BROKER_REQUEST_DURATION_SECONDS, BROKER_REQUESTS_TOTAL};
use crate::offsets_topic::OffsetsTopic;
use crate::topics::{CreatedTopic, NewTopic, TopicError, Topics};

/// The one thing handlers reach the broker's parts through.
pub(crate) struct Services {
    pub(crate) config: BrokerConfig,
    pub(crate) cluster_id: Arc<str>,
    pub(crate) coordinators: Coordinators,
    pub(crate) topics: Topics,
    pub(crate) offsets_topic: Arc<OffsetsTopic>,
    pub(crate) producer_ids: ProducerIds,
    /// Bytes of requests.
    pub(crate) budget: Budget,
    pub(crate) compute: Compute,
    /// Bytes of answers.
    pub(crate) answers: Budget,
    /// Large answers that may be made at a time.
    pub(crate) makers: Arc<Semaphore>,
    /// Requests about many groups that are worked on at a time.
    pub(crate) makers_of_lots: Arc<Semaphore>,
    /// Fetches that may read from the disk at a time.
    pub(crate) fetch_reads: Arc<Semaphore>,
    /// What requests change, and outlives their connections.
    pub(crate) effects: Effects,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) api_meters: ApiMeters,
    /// What steps between requests and their handlers. Tests have one.
    pub(crate) hook: Option<Arc<dyn Hook>>,
    /// Cancelled when the broker begins to stop.
    pub(crate) stopping: CancellationToken,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services")
            .field("cluster_id", &self.cluster_id)
            .finish_non_exhaustive()
    }
}

impl Services {
    /// Creates a topic, as [`Topics::create_topic`]. Who waits for its name gives up when the broker stops, or its end would
    /// wait with it.
    pub(crate) async fn create_topic(
        &self,
        topic: NewTopic,
        patience: Duration,
    ) -> Result<CreatedTopic, TopicError> {
        let patience = patience.min(self.config.create_topics_max_wait);
        let mut created = std::pin::pin!(self.topics.create_topic(topic, patience));
        tokio::select! {
            biased;
            created = &mut created => created,
            () = self.stopping.cancelled() => {
                self.topics.give_up();
                created.await
            }
        }
    }

    /// The address to tell a client that reached us at `local`.
    pub(crate) fn advertised(&self, local: SocketAddr) -> ListenAddress {
        let mut address = ListenAddress {
            host: local.ip().to_canonical().to_string(),
            port: local.port(),
        };
        if let Some(told) = &self.config.advertised_listeners {
            // What it leaves open is what we got.
            if !told.host.is_empty() {
                address.host.clone_from(&told.host);
            }
            if told.port != 0 {
                address.port = told.port;
            }
        }
        address
    }
}

/// Handles of the metrics by API, looked up once.
pub(crate) struct ApiMeters(BTreeMap<ApiKey, (Counter, Histogram)>);

impl ApiMeters {
    /// Of the APIs that are served.
    pub(crate) fn new(served: impl Iterator<Item = ApiKey>) -> Self {
        let meters = served.map(|key| {
            let name = key.name();
            let requests = counter!(BROKER_REQUESTS_TOTAL, "api" => name);
            let duration = histogram!(BROKER_REQUEST_DURATION_SECONDS, "api" => name);
            (key, (requests, duration))
        });
        Self(meters.collect())
    }

    /// A request of that API was answered.
    pub(crate) fn answered(&self, key: ApiKey, took: Duration) {
        if let Some((requests, duration)) = self.0.get(&key) {
            requests.increment(1);
            duration.record(took);
        }
    }
}
