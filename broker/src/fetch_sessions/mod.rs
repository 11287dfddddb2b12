//! Fetch sessions of one broker: the rules of [`core`] behind a lock that is held for no wait, with the clock, random ids
//! and metrics.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callboard_protocol::ErrorCode;
use metrics::{Counter, Gauge, counter, gauge};
use tokio::time::Instant;

use crate::metrics::{
    BROKER_FETCH_SESSION_EVICTIONS_TOTAL, BROKER_FETCH_SESSION_PARTITIONS, BROKER_FETCH_SESSIONS,
};

mod core;

use self::core::Sessions;
pub(crate) use self::core::{Asked, Found, Mode, PartitionKey, Told, TopicKey, Wanted};

/// The sessions.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    sessions: Mutex<Sessions>,
    started: Instant,
    meters: Meters,
}

#[derive(Debug)]
struct Meters {
    sessions: Gauge,
    partitions: Gauge,
    evictions: Counter,
}

impl FetchSessions {
    /// Room for `slots` sessions.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            sessions: Mutex::new(Sessions::new(slots)),
            started: Instant::now(),
            meters: Meters {
                sessions: gauge!(BROKER_FETCH_SESSIONS),
                partitions: gauge!(BROKER_FETCH_SESSION_PARTITIONS),
                evictions: counter!(BROKER_FETCH_SESSION_EVICTIONS_TOTAL),
            },
        }
    }

    /// A request comes: how it is served, and which partitions are.
    pub(crate) fn open(&self, asked: Asked) -> Result<(Mode, Vec<Wanted>), ErrorCode> {
        if asked.id == 0 && asked.epoch == -1 {
            // Most clients have no sessions: they need no lock.
            return Ok((Mode::Without, core::once(asked.wanted)));
        }
        let now = self.now();
        let mut sessions = self.lock();
        let opened = sessions.open(now, asked);
        self.count(&sessions);
        opened
    }

    /// The request was served: what its answer carries.
    pub(crate) fn tell(
        &self,
        mode: Mode,
        served: &[Wanted],
        found: &[Found],
    ) -> Result<Told, ErrorCode> {
        let now = self.now();
        let mut sessions = self.lock();
        let told = sessions.tell(now, mode, served, found, random);
        self.count(&sessions);
        told
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "bounded far below what a float holds"
    )]
    fn count(&self, sessions: &Sessions) {
        self.meters.sessions.set(sessions.len() as f64);
        self.meters.partitions.set(sessions.partitions() as f64);
        self.meters.evictions.absolute(sessions.evictions());
    }
}

fn random() -> i32 {
    let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
    i32::from_be_bytes([a, b, c, d])
}
