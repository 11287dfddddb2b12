//! Bytes of requests in memory, over all connections. Every connection takes from it what it has read and gives it
//! back with the answer. Owned by the broker; never waits on a connection's behalf longer than that connection asks.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that may be held at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    bytes: Arc<Semaphore>,
}

/// Bytes taken from the budget; dropping gives them back.
pub(crate) type Held = OwnedSemaphorePermit;

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Takes `bytes` if they are there. Nobody overtakes who waits in [`take`](Self::take).
    pub(crate) fn try_take(&self, bytes: usize) -> Option<Held> {
        Arc::clone(&self.bytes)
            .try_acquire_many_owned(u32::try_from(bytes).ok()?)
            .ok()
    }

    /// Waits for `bytes`, first come first served.
    pub(crate) async fn take(self, bytes: usize) -> Option<Held> {
        self.bytes
            .acquire_many_owned(u32::try_from(bytes).ok()?)
            .await
            .ok()
    }

    /// None of it, to merge into.
    pub(crate) fn nothing(&self) -> Option<Held> {
        self.try_take(0)
    }

    /// Bytes still free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.bytes.available_permits()
    }
}
