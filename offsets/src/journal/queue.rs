//! What waits for the sync thread. Bounded by bytes: what comes beyond is refused, but keeps its place in the order of
//! answers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use callboard_supervision::seldom;

use super::operation::{Answer, Operation};
use super::state::JournalState;
use crate::log::{AppendDone, Batch, Lease, LogError};

/// What a refused append is told to wait before it tries again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    operations: VecDeque<Operation>,
    /// Of everything not yet answered, in the round being written too.
    bytes: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// What waits is still done; nothing new is taken.
    Closing,
    /// The thread is gone.
    Closed,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            inner: Mutex::default(),
            wake: Condvar::new(),
            bytes_max,
        }
    }

    /// Takes an append, or a refusal in its place.
    pub(crate) fn append(
        &self,
        state: &JournalState,
        lease: Lease,
        batch: Batch,
        done: AppendDone,
    ) {
        let inner = self.lock();
        // One batch is always taken: the limit is about many.
        let fits = inner.bytes == 0 || inner.bytes.saturating_add(batch.len()) <= self.bytes_max;
        let operation = if inner.phase == Phase::Open && !fits {
            let error = LogError::Unavailable {
                retry_after: RETRY_AFTER,
            };
            Operation::Refused(error, done)
        } else {
            Operation::Append(lease, batch, done)
        };
        self.put(inner, state, operation);
    }

    /// Takes anything else.
    pub(crate) fn push(&self, state: &JournalState, operation: Operation) {
        self.put(self.lock(), state, operation);
    }

    fn put(&self, mut inner: MutexGuard<'_, Inner>, state: &JournalState, operation: Operation) {
        match (inner.phase, operation) {
            (Phase::Open, operation) => {
                inner.bytes += operation.bytes();
                inner.operations.push_back(operation);
                drop(inner);
                self.wake.notify_one();
            }
            (Phase::Closing, Operation::Append(_, _, done)) => {
                // Behind those of its partition that are still being done.
                inner
                    .operations
                    .push_back(Operation::Refused(LogError::Closed, done));
            }
            (_, operation) => {
                drop(inner);
                operation.fail(&LogError::Closed).give(state);
            }
        }
    }

    /// Adds everything that waits to `waiting`. Blocks until there is something, unless `waiting` has something already;
    /// `false` when there is nothing left and never will be.
    pub(crate) fn take(&self, waiting: &mut VecDeque<Operation>) -> bool {
        let mut inner = self.lock();
        while waiting.is_empty() && inner.operations.is_empty() {
            if inner.phase != Phase::Open {
                inner.phase = Phase::Closed;
                return false;
            }
            inner = self
                .wake
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
        waiting.append(&mut inner.operations);
        true
    }

    /// This many bytes have been answered.
    pub(crate) fn release(&self, bytes: usize) {
        let mut inner = self.lock();
        inner.bytes = inner.bytes.saturating_sub(bytes);
    }

    /// Bytes that wait for their flush.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Takes nothing more.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        if inner.phase == Phase::Open {
            inner.phase = Phase::Closing;
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Whether nothing more is taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().phase != Phase::Open
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls back, in order. A caller that panics harms nobody but itself.
pub(crate) fn give_all(answers: &mut Vec<Answer>, state: &JournalState) {
    for answer in answers.drain(..) {
        let given = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| answer.give(state)));
        if given.is_err() {
            seldom!(error, "a caller of the offsets log panicked in its answer");
        }
    }
}
