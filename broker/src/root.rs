//! The supervisor of all parts of a broker, as its owner holds it.

use std::time::Duration;

use callboard_supervision::{Addr, ChildSpec, JoinHandle, Supervisor, SupervisorMsg};

use crate::BrokerError;
use crate::metrics::kinds;

/// How long one part may take to start. What takes longer (recovery) happens behind its start.
const START_PART: Duration = Duration::from_secs(60);

/// The supervisor of all parts, and its end.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) address: Addr<SupervisorMsg>,
    pub(crate) ended: JoinHandle,
}

impl Root {
    /// A supervisor without parts.
    pub(crate) async fn start() -> Result<Self, BrokerError> {
        let started = Supervisor::spawn(kinds::BROKER).await;
        let (address, ended) = started.map_err(|error| not_started(&error))?;
        Ok(Self { address, ended })
    }

    /// Starts a part and keeps it.
    pub(crate) async fn adopt(&self, child: ChildSpec) -> Result<(), BrokerError> {
        let started = self
            .address
            .call(|reply| SupervisorMsg::Start(child, reply), START_PART)
            .await;
        match started {
            Ok(Ok(_cell)) => Ok(()),
            Ok(Err(error)) => Err(not_started(&error)),
            Err(error) => Err(not_started(&error)),
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Its children end with it. After a shutdown it has ended already.
        self.address.actor().stop(None);
    }
}

pub(crate) fn not_started(error: &dyn std::fmt::Display) -> BrokerError {
    BrokerError::Start {
        reason: error.to_string(),
    }
}
