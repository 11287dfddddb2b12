//! What every coordinator of one node shares, and the board on which each publishes where it is reached.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use callboard_offsets::WallClock;
use callboard_offsets::log::OffsetsLog;
use callboard_supervision::Addr;

use crate::CoordinatorConfig;
use crate::group_coordinator::CoordinatorMsg;
use crate::metrics::{PartitionState, RequestMeter};
use crate::told::Told;

/// See the module. Made once, never changed but for the board and what was told of topics.
pub(crate) struct Node {
    pub(crate) config: CoordinatorConfig,
    pub(crate) log: Arc<dyn OffsetsLog>,
    pub(crate) clock: WallClock,
    pub(crate) meter: RequestMeter,
    pub(crate) told: Told,
    /// By partition of `__consumer_offsets`.
    pub(crate) board: Vec<Place>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("partitions", &self.board.len())
            .finish_non_exhaustive()
    }
}

/// The place of one coordinator: its present incarnation's address, and what it is up to.
#[derive(Default)]
pub(crate) struct Place {
    address: Mutex<Option<Addr<CoordinatorMsg>>>,
    state: AtomicU8,
}

const LOADING: u8 = 0;
const ACTIVE: u8 = 1;
const FAILED: u8 = 2;

impl Place {
    pub(crate) fn publish(&self, address: Addr<CoordinatorMsg>) {
        *self.lock() = Some(address);
    }

    pub(crate) fn address(&self) -> Option<Addr<CoordinatorMsg>> {
        self.lock().clone()
    }

    /// Sends to the present incarnation. Without one the message is dropped, and with it what is owed, which says
    /// that the coordinator is not available.
    pub(crate) fn send(&self, message: CoordinatorMsg) {
        let address = self.address();
        if let Some(address) = address {
            drop(address.cast(message));
        }
    }

    pub(crate) fn set(&self, state: PartitionState) {
        let state = match state {
            PartitionState::Loading => LOADING,
            PartitionState::Active => ACTIVE,
            PartitionState::Failed => FAILED,
        };
        self.state.store(state, Ordering::Release);
    }

    pub(crate) fn is_loading(&self) -> bool {
        self.state.load(Ordering::Acquire) == LOADING
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Addr<CoordinatorMsg>>> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
