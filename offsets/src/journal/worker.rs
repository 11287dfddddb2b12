//! The sync thread: takes what waits, has the engine do a round, calls the callers back. It ends when the journal is
//! closed and everything that waited is answered; the directory's lock ends with it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use super::OpenError;
use super::engine::Engine;
use super::lock::DirectoryLock;
use super::operation::Operation;
use super::queue::{Queue, give_all};
use super::state::JournalState;
use crate::log::{AppendDone, Batch, Lease};

/// The handle of the thread. Dropping it closes the journal.
pub(crate) struct Worker {
    pub(crate) state: Arc<JournalState>,
    pub(crate) queue: Arc<Queue>,
    thread: ThreadId,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    pub(crate) fn start(
        engine: Engine,
        queued_bytes_max: usize,
        lock: Option<DirectoryLock>,
    ) -> Result<Self, OpenError> {
        let state = Arc::clone(engine.state());
        let queue = Arc::new(Queue::new(queued_bytes_max));
        let run = {
            let queue = Arc::clone(&queue);
            move || {
                // Dropped last: nobody else may have the directory before the engine is gone.
                let _lock = lock;
                run(engine, &queue);
            }
        };
        let handle = std::thread::Builder::new()
            .name("journal-sync".to_owned())
            .spawn(run)
            .map_err(|source| OpenError::Io {
                action: "start the sync thread",
                source,
            })?;
        Ok(Self {
            state,
            queue,
            thread: handle.thread().id(),
            handle: Mutex::new(Some(handle)),
        })
    }

    pub(crate) fn append(&self, lease: Lease, batch: Batch, done: AppendDone) {
        self.queue.append(&self.state, lease, batch, done);
    }

    pub(crate) fn push(&self, operation: Operation) {
        self.queue.push(&self.state, operation);
    }

    /// Closes and waits, unless the caller is the thread itself: an answer may drop the last handle of the journal.
    pub(crate) fn close(&self) {
        self.queue.close();
        if std::thread::current().id() == self.thread {
            return;
        }
        let mut handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handle.take()
            && handle.join().is_err()
        {
            tracing::error!("the sync thread of the offsets log panicked");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.close();
    }
}

fn run(mut engine: Engine, queue: &Queue) {
    let state = Arc::clone(engine.state());
    let mut waiting = VecDeque::new();
    let mut answers = Vec::new();
    while queue.take(&mut waiting) {
        let held = bytes(&waiting);
        let round = catch_unwind(AssertUnwindSafe(|| {
            engine.round(&mut waiting, &mut answers)
        }));
        if round.is_err() {
            // A defect of ours. What it left half done is not known; whoever it swallowed gets no answer, and the
            // others get this one.
            let error = engine.poison("the sync thread panicked");
            for answer in &mut answers {
                answer.poison(&error);
            }
        }
        let answered = held.saturating_sub(bytes(&waiting));
        // Before the answers: who has one may believe that its bytes wait no more.
        queue.release(answered);
        give_all(&mut answers, &state);
    }
    engine.close();
}

fn bytes(waiting: &VecDeque<Operation>) -> usize {
    waiting.iter().map(Operation::bytes).sum()
}
