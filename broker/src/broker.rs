//! The broker as one value: starts the parts in order under one supervisor, and ends them in order.
//!
//! ```text
//! broker (supervisor)
//! ├─ topics … one topic log per partition
//! ├─ coordinators … group coordinators, each with its offsets partition writer
//! ├─ listener … connections, as tasks
//! └─ admin
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use callboard_coordinator::Coordinators;
use callboard_offsets::journal::Journal;
use callboard_supervision::{Addr, SupervisorMsg};
use metrics::gauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::{self, AdminPages, Bounds, Readiness};
use crate::bind::bind;
use crate::compute::Compute;
use crate::data_dir::DataDir;
use crate::effects::Effects;
use crate::hook::Hook;
use crate::listener::{self, ListenerMsg};
use crate::metrics::{BUILD_INFO, Page, Recorder, TopicCounts};
use crate::parts::{Parts, Started};
use crate::root::Root;
use crate::topics::Topics;
use crate::{BrokerConfig, BrokerError};

/// How long connections may take to flush their last answers.
const DRAIN: Duration = Duration::from_secs(2);
/// How long requests that change something may take to end, after their connections.
const EFFECTS: Duration = Duration::from_secs(5);
/// How long one part may take to stop before it is killed.
const STOP_PART: Duration = Duration::from_secs(10);
/// What the coordinators are called under the root.
const COORDINATORS: &str = "coordinators";
/// Parts, for the time all of them may take.
const PARTS: u32 = 4;

/// A running broker. Everything it started ends with [`shutdown`](Self::shutdown); dropping it stops the same parts
/// without waiting for them.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    root: Root,
    /// The listener's present incarnation.
    listener: Arc<Mutex<Option<Addr<ListenerMsg>>>>,
    coordinators: Coordinators,
    topics: Topics,
    journal: Arc<Journal>,
    /// Has the reason once the disk has refused the journal a write.
    poisoned: watch::Receiver<Option<String>>,
    stopping: CancellationToken,
    effects: Effects,
    compute: Compute,
    data: DataDir,
}

impl Broker {
    /// Starts a broker and returns once it serves. It counts into the process's recorder, where there is one, through the
    /// `metrics` facade, and installs none.
    ///
    /// # Errors
    /// [`BrokerError`], each one sentence: a setting, the data directory (in use, with the pid; unwritable; of another
    /// shape), an address, or a part that did not come up. Nothing keeps running then.
    pub async fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        Self::start_with(config, None, None).await
    }

    /// The same with a recorder that the admin port shows as `/metrics`; made by [`install`](crate::metrics::install)
    /// before. The caller drives its upkeep.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_recorded(
        config: BrokerConfig,
        recorder: Recorder,
    ) -> Result<Self, BrokerError> {
        Self::start_with(config, Some(recorder), None).await
    }

    /// The same with something between requests and their handlers.
    pub(crate) async fn start_with(
        config: BrokerConfig,
        recorder: Option<Recorder>,
        hook: Option<Arc<dyn Hook>>,
    ) -> Result<Self, BrokerError> {
        config.validate()?;
        let bounds = listener::bounds(&config).await?;
        gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let data = DataDir::open(&config)?;
        let (socket, address) = bind(&config.listeners, config.socket_listen_backlog).await?;
        let admin_socket = match &config.admin_listener {
            Some(address) => Some(bind(address, config.socket_listen_backlog).await?),
            None => None,
        };
        let mut root = Root::start().await?;
        let Started {
            services,
            topics,
            journal,
            poisoned,
        } = Parts::new(config, &data, hook).start(&mut root).await?;
        let broker = Self {
            address,
            admin_address: admin_socket.as_ref().map(|(_, address)| *address),
            root,
            listener: Arc::default(),
            coordinators: services.coordinators.clone(),
            topics: services.topics.clone(),
            journal,
            poisoned,
            stopping: services.stopping.clone(),
            effects: services.effects.clone(),
            compute: services.compute.clone(),
            data,
        };
        let published = Arc::clone(&broker.listener);
        let publish = move |address| {
            *published.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
        };
        let listener = listener::child(socket, Arc::clone(&services), bounds, publish);
        broker.root.adopt(listener).await?;
        if let Some((socket, _)) = admin_socket {
            let ready = readiness(&broker);
            let bounds = Bounds {
                most: services.config.admin_max_connections,
                idle: services.config.admin_idle_timeout,
            };
            let topics = broker.topics.clone();
            let count = Arc::new(move || crate::topics::counts(&topics.snapshot()));
            let metrics = Arc::new(Page::new(
                recorder,
                count,
                services.config.metrics_max_series,
            ));
            let pages = AdminPages {
                metrics,
                ready,
                bounds,
            };
            broker.root.adopt(admin::child(socket, pages)).await?;
        }
        info!(listen = %address, cluster_id = services.cluster_id.as_ref(), topics, "broker started");
        Ok(broker)
    }

    pub(crate) fn coordinators(&self) -> &Coordinators {
        &self.coordinators
    }

    /// What the logs of each topic have counted, by name: the series with a topic for a label, which no recorder has. For
    /// programs that show their metrics themselves.
    #[must_use]
    pub fn topic_counts(&self) -> Vec<TopicCounts> {
        crate::topics::counts(&self.topics.snapshot())
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/metrics` is served, if it is.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// Waits until the broker has failed for good: a part used up its restarts, or the disk under the offsets refused a
    /// write that may not be asked for twice. It serves nobody then; drop it.
    pub async fn failed(&mut self) -> BrokerError {
        let poisoned = &mut self.poisoned;
        let reason = tokio::select! {
            // Without a sender the journal is closed, and so is everything else.
            Ok(reason) = poisoned.wait_for(Option::is_some) => {
                let reason = reason.as_deref().unwrap_or_default();
                format!("the journal of offsets cannot be written: {reason}")
            }
            // Says Ok whatever the reason; the log has it.
            _ = &mut self.root.ended => "a part used up its restarts".to_owned(),
        };
        error!(%reason, "the broker failed");
        BrokerError::Failed { reason }
    }

    /// Ends the broker in order: no more requests are read, what is in work is answered, then part after part stops.
    ///
    /// # Errors
    /// [`BrokerError::Failed`] when a part did not stop in time and was killed. What was acknowledged is safe all the
    /// same.
    pub async fn shutdown(mut self) -> Result<(), BrokerError> {
        info!("broker is stopping");
        self.stopping.cancel();
        // The coordinators first: they answer who waits for other members, and so connections come to their end.
        let coordinators = self.root.address.call(
            |reply| SupervisorMsg::Stop(COORDINATORS.to_owned(), STOP_PART, reply),
            STOP_PART * PARTS,
        );
        let (coordinators, ()) = tokio::join!(coordinators, self.drain());
        if let Err(error) = coordinators {
            warn!(%error, "the coordinators did not stop in order");
        }
        // Nobody is there any more who waits for it, and what it has in work may take minutes.
        self.compute.close();
        // Before the topics, which they change.
        self.effects.ended(EFFECTS).await;
        let stopped = self
            .root
            .address
            .call(
                |reply| SupervisorMsg::Shutdown(STOP_PART, reply),
                STOP_PART * PARTS,
            )
            .await;
        if let Err(error) = stopped {
            return Err(BrokerError::Failed {
                reason: format!("it did not stop in order: {error}"),
            });
        }
        let _ = (&mut self.root.ended).await;
        let journal = Arc::clone(&self.journal);
        let closed = tokio::task::spawn_blocking(move || journal.close()).await;
        let failed = |error: &dyn std::fmt::Display| BrokerError::Failed {
            reason: format!("the journal of offsets did not close: {error}"),
        };
        closed
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        info!("broker stopped");
        Ok(())
    }

    /// Waits for the connections to end, for a while.
    async fn drain(&self) {
        let listener = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(listener) = listener
            && let Err(error) = listener.call(ListenerMsg::Drain, DRAIN).await
        {
            warn!(%error, "not every connection ended in time");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.compute.close();
    }
}

/// What `/readyz` asks.
fn readiness(broker: &Broker) -> Readiness {
    let coordinators = broker.coordinators.clone();
    let poisoned = broker.poisoned.clone();
    Arc::new(move || match &*poisoned.borrow() {
        Some(reason) => Err(format!(
            "the journal of offsets cannot be written: {reason}"
        )),
        None if coordinators.ready() => Ok(()),
        None => Err("the groups are being loaded".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use callboard_supervision::testing::Limit;

    use super::*;

    async fn start(dir: &Path) -> Broker {
        let mut config = BrokerConfig {
            data_dir: dir.join("data"),
            admin_listener: None,
            ..BrokerConfig::default()
        };
        config.set("listeners", "127.0.0.1:0").unwrap();
        Broker::start(config).await.unwrap()
    }

    #[tokio::test]
    async fn a_journal_that_cannot_be_written_ends_the_broker() {
        let _limit = Limit::start();
        let dir = tempfile::tempdir().unwrap();
        let mut broker = start(dir.path()).await;
        let (tell, poisoned) = watch::channel(None);
        broker.poisoned = poisoned;
        tell.send(Some("no such device".to_owned())).unwrap();
        let failed = broker.failed().await.to_string();
        assert!(failed.starts_with("the broker failed: "), "{failed}");
        assert!(failed.ends_with("no such device"), "{failed}");
        assert!(readiness(&broker)().unwrap_err().contains("no such device"));
        broker.shutdown().await.unwrap();
    }

    /// Until it is dropped.
    struct Endless(#[expect(dead_code, reason = "counted")] Arc<()>);

    impl crate::compute::Job for Endless {
        fn step(&mut self, _bytes: usize) -> crate::compute::Progress {
            crate::compute::Progress::Unfinished
        }
    }

    #[tokio::test]
    async fn work_on_bytes_does_not_hold_up_the_end() {
        let _limit = Limit::start();
        let dir = tempfile::tempdir().unwrap();
        let broker = start(dir.path()).await;
        let alive = Arc::new(());
        let compute = broker.compute.clone();
        let lanes = [compute.lane(), compute.lane()];
        for lane in &lanes {
            compute.submit(lane, Endless(Arc::clone(&alive)));
        }
        broker.shutdown().await.unwrap();
        while lanes.iter().any(|lane| !lane.is_idle()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[tokio::test]
    async fn parts_that_end_end_the_broker() {
        let _limit = Limit::start();
        let dir = tempfile::tempdir().unwrap();
        let mut broker = start(dir.path()).await;
        broker.root.address.actor().stop(None);
        assert!(matches!(broker.failed().await, BrokerError::Failed { .. }));
        // There is nothing to stop in order any more, and that is said.
        assert!(broker.shutdown().await.is_err());
    }

    #[tokio::test]
    async fn a_broker_that_is_dropped_gives_everything_back() {
        let _limit = Limit::start();
        let dir = tempfile::tempdir().unwrap();
        let broker = start(dir.path()).await;
        let address = broker.address();
        let ended = broker.root.address.actor().clone();
        drop(broker);
        ended.wait(None).await.unwrap();
        // The listener's socket goes with the last of its tasks.
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}
