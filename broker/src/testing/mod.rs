//! A broker for tests: the real one, on a port of its own or in memory, with faults on demand.
//!
//! [`TestBroker::builder`] starts it. Over [loopback](TestBrokerBuilder::start) it is the broker that ships, with its
//! journal, on a free port. [In memory](TestBrokerBuilder::start_in_memory) there are no sockets and no threads of its
//! own: it works under tokio's paused clock, in which a session timeout takes no time. Either has a directory of its own
//! that is removed with it.
//!
//! In memory, [`TestBroker::wires`] makes the streams. With `callboard-client` that is
//!
//! ```text
//! let wires = broker.wires().expect("in memory");
//! let connect = move |_: &str, _: u16| Ok(Box::new(wires.connect()?) as Box<dyn Stream>);
//! let config = ClientConfig::bootstrap(&broker.bootstrap())?;
//! let client = Client::connect_with(config, Arc::new(connect)).await?;
//! ```
//!
//! This module is part of the crate's public interface and keeps its versions' promises.

#[cfg(test)]
mod bench;
pub(crate) mod faults;
mod memory;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use callboard_offsets::memory::MemoryLog;

#[cfg(test)]
pub(crate) use bench::{Bench, Wire};
pub use callboard_protocol::{ApiKey, ErrorCode};
pub use faults::{Fault, NotServed};
pub use memory::Wires;

use crate::{Broker, BrokerConfig, BrokerError, ConfigError, ListenAddress};
use faults::Faults;
use memory::Memory;

/// Segments of a test's logs: little to write before it can begin.
const SEGMENT_BYTES: u64 = 64 * 1024;

/// How to start a [`TestBroker`].
#[derive(Debug)]
pub struct TestBrokerBuilder {
    config: BrokerConfig,
}

impl TestBrokerBuilder {
    /// Sets one of Kafka's keys, as [`BrokerConfig::set`]. Addresses and directories are the test broker's own.
    ///
    /// # Errors
    /// As there.
    pub fn set(mut self, key: &str, value: &str) -> Result<Self, ConfigError> {
        self.config.set(key, value)?;
        Ok(self)
    }

    /// Starts it on a free port of the loopback, with its journal on disk.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start(self) -> Result<TestBroker, BrokerError> {
        let (mut config, directory) = self.prepare()?;
        let faults = Faults::default();
        let broker = Broker::start_with(config.clone(), None, faults.hook()).await?;
        let address = broker.address();
        // Restarts come back where the clients look.
        config.listeners.port = address.port();
        Ok(TestBroker {
            running: Some(Running::Loopback(Box::new(broker))),
            address,
            config,
            faults,
            _directory: directory,
        })
    }

    /// Starts it in memory: offsets in [`MemoryLog`], clients over [`Wires`]. Only records of topics are files.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start_in_memory(self) -> Result<TestBroker, BrokerError> {
        let (config, directory) = self.prepare()?;
        let faults = Faults::default();
        // Memory has no segments that a batch must fit into.
        let log = MemoryLog::new(config.offsets_topic_num_partitions)
            .batch_bytes_max(config.offsets_batch_max_bytes);
        let log = Arc::new(log);
        let started = Memory::start(config.clone(), log, Wires::default(), faults.hook()).await?;
        Ok(TestBroker {
            running: Some(Running::Memory(started)),
            address: SocketAddr::from(memory::ADDRESS),
            config,
            faults,
            _directory: directory,
        })
    }

    fn prepare(self) -> Result<(BrokerConfig, Directory), BrokerError> {
        let directory = Directory::make()?;
        let config = BrokerConfig {
            data_dir: directory.0.join("data"),
            listeners: ListenAddress {
                host: "127.0.0.1".to_owned(),
                port: 0,
            },
            admin_listener: None,
            ..self.config
        };
        Ok((config, directory))
    }
}

/// A broker of a test's own. Dropping it stops it without waiting and removes its files.
pub struct TestBroker {
    /// None only after a restart that failed.
    running: Option<Running>,
    address: SocketAddr,
    config: BrokerConfig,
    faults: Faults,
    /// Behind what writes into it.
    _directory: Directory,
}

enum Running {
    Loopback(Box<Broker>),
    Memory(Memory),
}

impl std::fmt::Debug for TestBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestBroker")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl TestBroker {
    /// Kafka's defaults, but that groups do not wait for more members to come (`group.initial.rebalance.delay.ms` 0)
    /// and that segments are small.
    #[must_use]
    pub fn builder() -> TestBrokerBuilder {
        TestBrokerBuilder {
            config: BrokerConfig {
                group_initial_rebalance_delay: std::time::Duration::ZERO,
                offsets_topic_segment_bytes: SEGMENT_BYTES,
                ..BrokerConfig::default()
            },
        }
    }

    /// What clients are given as `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.address.to_string()
    }

    /// Makes streams to a broker in memory; None over loopback.
    #[must_use]
    pub fn wires(&self) -> Option<Wires> {
        match &self.running {
            Some(Running::Memory(memory)) => Some(memory.wires.clone()),
            Some(Running::Loopback(_)) | None => None,
        }
    }

    /// The next `times` requests of that API go wrong, over all connections. Faults of one API happen in the order in
    /// which they were asked for, and stay over a restart.
    ///
    /// # Errors
    /// [`NotServed`].
    pub fn inject(&self, api: ApiKey, fault: Fault, times: u32) -> Result<(), NotServed> {
        self.faults.add(api, fault, times)
    }

    /// How many requests of that API are still to go wrong.
    #[must_use]
    pub fn faults_left(&self, api: ApiKey) -> u32 {
        self.faults.left(api)
    }

    /// From now on nothing goes wrong any more.
    pub fn heal(&self) {
        self.faults.clear();
    }

    /// Kills the coordinator of that group where it stands, and with it that of every group in the same partition of
    /// `__consumer_offsets`. Its supervisor starts the next one. False when there was none to kill.
    pub fn kill_coordinator(&self, group_id: &str) -> bool {
        let coordinators = match &self.running {
            Some(Running::Loopback(broker)) => broker.coordinators(),
            Some(Running::Memory(memory)) => &memory.services.coordinators,
            None => return false,
        };
        coordinators.kill(coordinators.partition_of(group_id))
    }

    /// Ends the broker and starts it again on what it has stored, at the same address. Over loopback it ends in order; in
    /// memory as a power cut does, in which all that was not durable is lost.
    ///
    /// # Errors
    /// As [`Broker::start`] and [`Broker::shutdown`]. Nothing runs then.
    pub async fn restart_from_disk(&mut self) -> Result<(), BrokerError> {
        let (config, hook) = (self.config.clone(), self.faults.hook());
        self.running = match self.running.take() {
            Some(Running::Loopback(broker)) => {
                broker.shutdown().await?;
                let started = Broker::start_with(config, None, hook).await?;
                Some(Running::Loopback(Box::new(started)))
            }
            Some(Running::Memory(memory)) => {
                let (log, wires) = memory.crash().await;
                let started = Memory::start(config, log, wires, hook).await?;
                Some(Running::Memory(started))
            }
            None => None,
        };
        Ok(())
    }

    /// Ends it and waits for the end.
    ///
    /// # Errors
    /// As [`Broker::shutdown`].
    pub async fn stop(mut self) -> Result<(), BrokerError> {
        match self.running.take() {
            Some(Running::Loopback(broker)) => broker.shutdown().await,
            Some(Running::Memory(memory)) => {
                memory.crash().await;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A directory that is removed with it.
struct Directory(PathBuf);

impl Directory {
    fn make() -> Result<Self, BrokerError> {
        let path = std::env::temp_dir().join(format!("callboard-{}", uuid::Uuid::new_v4()));
        match std::fs::create_dir(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(BrokerError::DataDir {
                path,
                reason: error.to_string(),
            }),
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left is in the system's directory for such.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
