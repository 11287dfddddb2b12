//! What requests change, and takes longer than the request is looked at: it has begun or is promised, so it goes on to its
//! end although its client hangs up. Owned by the broker, whose shutdown waits for it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use callboard_supervision::{BoxFuture, seldom};
use futures_util::FutureExt;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// The effects in work. Their number is bounded by the bytes of their requests, which their responders hold. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects(TaskTracker);

impl Effects {
    /// Starts one.
    pub(crate) fn spawn(&self, effect: BoxFuture<()>) {
        self.0.spawn(async move {
            // Its responder closes the connection.
            if AssertUnwindSafe(effect).catch_unwind().await.is_err() {
                seldom!(error, "a request that changes something panicked");
            }
        });
    }

    /// Whether there is none.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until all have ended, for so long.
    pub(crate) async fn ended(&self, patience: Duration) {
        self.0.close();
        if tokio::time::timeout(patience, self.0.wait()).await.is_err() {
            warn!(
                left = self.0.len(),
                "requests that change something did not end in time"
            );
        }
    }
}
