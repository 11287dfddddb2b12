//! The broker without a socket: its parts over the in-memory engine, and connections over in-memory streams. Nothing of
//! it leaves the runtime but the files of topic logs, on the runtime's blocking threads, for which a paused clock waits.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callboard_offsets::WallClock;
use callboard_offsets::memory::MemoryLog;
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::data_dir::DataDir;
use crate::hook::Hook;
use crate::parts::Parts;
use crate::request::Context;
use crate::root::Root;
use crate::services::Services;
use crate::{BrokerConfig, BrokerError};

/// Where clients are told that the broker is. Nothing listens there.
pub(super) const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 9092);
/// Where clients come from.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What a stream holds before its writer waits.
const STREAM_BYTES: usize = 256 * 1024;
/// How often it is looked whether the groups are loaded.
const LOADED_CHECK: Duration = Duration::from_millis(1);

/// Makes streams to a broker in memory, the next incarnations of it too. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Wires(Arc<Mutex<Served>>);

#[derive(Debug, Default)]
struct Served {
    /// None while the broker is down.
    services: Option<Arc<Services>>,
    connections: JoinSet<()>,
}

impl Wires {
    /// A new connection. Call it inside the runtime.
    ///
    /// # Errors
    /// Refused while the broker is down.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        let mut served = self.lock();
        let Some(services) = served.services.clone() else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let context = Context::new(services, ADDRESS.into(), LOOPBACK);
        let (ours, theirs) = tokio::io::duplex(STREAM_BYTES);
        let (reader, writer) = tokio::io::split(theirs);
        while served.connections.try_join_next().is_some() {}
        let connection = Connection::new(context, reader, writer);
        served.connections.spawn(connection.run());
        Ok(ours)
    }

    /// Serves `services` from now on; None: nothing, and what was connected is cut.
    fn serve(&self, services: Option<Arc<Services>>) {
        let mut served = self.lock();
        // Dropping them cuts them.
        served.connections = JoinSet::new();
        served.services = services;
    }

    fn lock(&self) -> MutexGuard<'_, Served> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Memory {
    pub(super) wires: Wires,
    log: Arc<MemoryLog>,
    root: Root,
    pub(super) services: Arc<Services>,
    _data: DataDir,
}

impl Memory {
    pub(super) async fn start(
        config: BrokerConfig,
        log: Arc<MemoryLog>,
        wires: Wires,
        hook: Option<Arc<dyn Hook>>,
    ) -> Result<Self, BrokerError> {
        config.validate()?;
        let data = DataDir::open(&config)?;
        let mut root = Root::start().await?;
        // What is stored as time moves with the runtime's clock, paused or not.
        let (wall, begin) = (WallClock::system().now_ms(), Instant::now());
        let clock = WallClock::new(move || {
            wall.saturating_add(i64::try_from(begin.elapsed().as_millis()).unwrap_or(i64::MAX))
        });
        let parts = Parts::new(config, &data, hook);
        let engine = Arc::clone(&log) as _;
        let services = parts.start_on(&mut root, engine, clock).await?;
        while !services.coordinators.ready() {
            tokio::time::sleep(LOADED_CHECK).await;
        }
        wires.serve(Some(Arc::clone(&services)));
        Ok(Self {
            wires,
            log,
            root,
            services,
            _data: data,
        })
    }

    /// Ends it as a power cut does: what was not durable is gone. The log for the next one.
    pub(super) async fn crash(mut self) -> (Arc<MemoryLog>, Wires) {
        self.wires.serve(None);
        self.root.address.actor().stop(None);
        let _ = (&mut self.root.ended).await;
        self.log.crash();
        (Arc::clone(&self.log), self.wires.clone())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.wires.serve(None);
    }
}
