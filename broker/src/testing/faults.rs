//! Faults that wait for their requests. Owned by a test broker and asked by its connections; they outlive its restarts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callboard_protocol::{ApiKey, ErrorCode};

use crate::handlers::APIS;
use crate::hook::{Hook, Turn};

/// Why a connection closes, for the metric.
const KIND: &str = "fault";

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is answered with this code at every place of the answer that has one, and nothing is done. Where there is none
    /// (Produce without acks, all topics' Metadata before version 13) the connection closes.
    Error(ErrorCode),
    /// It is done at once, and its answer is held back for so long.
    Delay(Duration),
    /// The connection closes in its place, and nothing is done.
    Cut,
    /// It is done, and the connection closes in place of its answer: the client cannot know.
    LoseAnswer,
}

/// A fault was asked for of an API that this broker does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this broker does not serve {} (key {}), so nothing can go wrong with it", .0.name(), .0.0)]
pub struct NotServed(pub ApiKey);

/// Cheap to clone; clones are the same faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whether there may be any: all that a broker without faults looks at.
    armed: AtomicBool,
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    api: ApiKey,
    fault: Fault,
    left: u32,
}

impl Faults {
    /// What a broker asks them through.
    pub(crate) fn hook(&self) -> Option<Arc<dyn Hook>> {
        Some(Arc::new(self.clone()))
    }

    pub(crate) fn add(&self, api: ApiKey, fault: Fault, times: u32) -> Result<(), NotServed> {
        if !APIS.iter().any(|served| served.key == api) {
            return Err(NotServed(api));
        }
        if times > 0 {
            let left = times;
            self.lock().push(Waiting { api, fault, left });
            self.0.armed.store(true, Ordering::Release);
        }
        Ok(())
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// How many requests of the API are still to go wrong.
    pub(crate) fn left(&self, api: ApiKey) -> u32 {
        let waiting = self.lock();
        let of_api = waiting.iter().filter(|waiting| waiting.api == api);
        of_api.fold(0, |sum, waiting| sum.saturating_add(waiting.left))
    }

    /// What goes wrong with the request of that API that has just come.
    fn take(&self, api: ApiKey) -> Option<Fault> {
        if !self.0.armed.load(Ordering::Acquire) {
            return None;
        }
        let mut all = self.lock();
        let place = all.iter().position(|waiting| waiting.api == api)?;
        let waiting = all.get_mut(place)?;
        let fault = waiting.fault;
        waiting.left -= 1;
        if waiting.left == 0 {
            all.remove(place);
        }
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        let waiting = &self.0.waiting;
        waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hook for Faults {
    fn turn(&self, api: ApiKey) -> Turn {
        match self.take(api) {
            None => Turn::Handle,
            Some(Fault::Error(code)) => Turn::Refuse(code),
            Some(Fault::Cut) => Turn::Close(KIND),
            Some(Fault::LoseAnswer) => Turn::HoldBack(Box::pin(async { Err(KIND) })),
            Some(Fault::Delay(time)) => Turn::HoldBack(Box::pin(async move {
                tokio::time::sleep(time).await;
                Ok(())
            })),
        }
    }
}
