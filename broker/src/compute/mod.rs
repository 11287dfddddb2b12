//! Work on bytes that costs more than a few hundred microseconds: it runs on threads of its own, a bounded number of
//! them, and never on those that serve connections and coordinators.
//!
//! * Every connection has a [`Lane`]. Its jobs run one after the other, in the order they came, and lanes take turns a
//!   slice at a time: whoever sends bombs waits for them himself.
//! * The queue has a bound, `callboard.compute.queue.max`. Who finds it [full](Compute::is_full) puts his job in all the
//!   same and starts nothing more until it is done: pressure, and no error.
//! * When the broker ends, the pool is [closed](Compute::close): no job goes on, each is dropped.
//! * A job that panics is dropped; whoever waits for it hears by its replies being dropped.
//!
//! The threads come from the runtime's blocking pool while there is work and go back when there is none: a paused clock
//! waits for them, and a runtime that ends does too.

mod core;
pub(crate) mod metrics;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use callboard_supervision::{BoxFuture, seldom};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::core::{LaneId, Queue, Turn};
use self::metrics::{
    BROKER_COMPUTE_MEMORY_BYTES, BROKER_COMPUTE_PANICS_TOTAL, BROKER_COMPUTE_QUEUE_JOBS,
    BROKER_COMPUTE_WAIT_SECONDS,
};

/// Bytes of a slice: two to five milliseconds of the slowest codec.
const SLICE_BYTES: usize = 1024 * 1024;

/// Whether a job wants another slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It does.
    Unfinished,
    /// It does not.
    Done,
}

/// Work in slices.
pub(crate) trait Job: Send {
    /// Goes on for about `bytes` bytes of what it reads or makes.
    fn step(&mut self, bytes: usize) -> Progress;

    /// Bytes it holds between its slices once it has begun, at most.
    fn memory(&self) -> usize {
        0
    }
}

/// A closure is a job of one slice.
struct Once<F>(Option<F>);

impl<F: FnOnce() + Send> Job for Once<F> {
    fn step(&mut self, _bytes: usize) -> Progress {
        if let Some(work) = self.0.take() {
            work();
        }
        Progress::Done
    }
}

/// The pool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Compute {
    pool: Arc<Pool>,
}

/// Jobs of one origin, in order.
#[derive(Debug)]
pub(crate) struct Lane {
    id: LaneId,
    /// Those that have not ended.
    jobs: Arc<AtomicUsize>,
}

impl Lane {
    /// Whether every job that was given has ended: then what is done without the pool keeps the order as well.
    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.load(Ordering::Acquire) == 0
    }
}

struct Pool {
    state: Mutex<State>,
    threads_max: usize,
    queue_max: usize,
    lanes: AtomicU64,
    runtime: Handle,
    depth: Gauge,
    memory: Gauge,
    waited: Histogram,
    panics: Counter,
}

struct State {
    queue: Queue<Queued>,
    threads: usize,
    /// No job begins or goes on.
    closed: bool,
}

/// A job on its way.
struct Queued {
    job: Box<dyn Job>,
    /// When it came; None once it has begun.
    since: Option<Instant>,
    of_lane: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Compute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compute")
            .field("threads_max", &self.pool.threads_max)
            .field("queue_max", &self.pool.queue_max)
            .finish_non_exhaustive()
    }
}

/// Threads of a machine with many processors: the runtime's that may wait are for others too.
const THREADS_MAX: usize = 128;

impl Compute {
    /// A pool of at most `threads` threads, 0 for one less than the machine has processors and at least one, with
    /// `queue_max` jobs at a time, of which those that have begun hold `memory_max` bytes between their slices. Call it
    /// within the runtime whose blocking pool it may use.
    pub(crate) fn new(threads: usize, queue_max: usize, memory_max: usize) -> Self {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads_max = match threads {
            0 => processors().saturating_sub(1).clamp(1, THREADS_MAX),
            threads => threads,
        };
        Self {
            pool: Arc::new(Pool {
                state: Mutex::new(State {
                    queue: Queue::new(memory_max),
                    threads: 0,
                    closed: false,
                }),
                threads_max,
                queue_max,
                lanes: AtomicU64::new(0),
                runtime: Handle::current(),
                depth: gauge!(BROKER_COMPUTE_QUEUE_JOBS),
                memory: gauge!(BROKER_COMPUTE_MEMORY_BYTES),
                waited: histogram!(BROKER_COMPUTE_WAIT_SECONDS),
                panics: counter!(BROKER_COMPUTE_PANICS_TOTAL),
            }),
        }
    }

    /// A lane of its own for a connection.
    pub(crate) fn lane(&self) -> Lane {
        Lane {
            id: LaneId(self.pool.lanes.fetch_add(1, Ordering::Relaxed)),
            jobs: Arc::default(),
        }
    }

    /// Whether there is as much to do as may wait. Who has put in more starts nothing further until that is done.
    pub(crate) fn is_full(&self) -> bool {
        self.pool.state().queue.jobs() >= self.pool.queue_max
    }

    /// Runs `job` behind all others of the lane.
    pub(crate) fn submit(&self, lane: &Lane, job: impl Job + 'static) {
        lane.jobs.fetch_add(1, Ordering::AcqRel);
        let memory = job.memory();
        let queued = Queued {
            job: Box::new(job),
            since: Some(Instant::now()),
            of_lane: Arc::clone(&lane.jobs),
        };
        self.pool.depth.increment(1.0);
        let starts = {
            let mut state = self.pool.state();
            if state.closed {
                drop(state);
                return self.pool.end(queued);
            }
            state.queue.push(lane.id, queued, memory);
            let starts = state.threads < self.pool.threads_max;
            state.threads += usize::from(starts);
            starts
        };
        if starts {
            self.pool.start();
        }
    }

    /// Drops all jobs, those in work at the end of their slice, and those that come from now on: a runtime that ends waits
    /// for none. Who waits for one hears of it as of a panic.
    pub(crate) fn close(&self) {
        let forgotten = {
            let mut state = self.pool.state();
            state.closed = true;
            state.queue.forget()
        };
        for queued in forgotten {
            self.pool.end(queued);
        }
    }

    /// Runs `work`, which takes milliseconds and not seconds, behind all other jobs of the lane. None when it panicked
    /// or the broker is gone. The work is done whether or not anybody waits.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        lane: &Lane,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> BoxFuture<Option<T>> {
        let (done, result) = oneshot::channel();
        self.submit(
            lane,
            // Who asked may have gone.
            Once(Some(move || drop(done.send(work())))),
        );
        Box::pin(async move { result.await.ok() })
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        // No job runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread that is counted already.
    fn start(self: &Arc<Self>) {
        let pool = Arc::clone(self);
        self.runtime.spawn_blocking(move || pool.work());
    }

    /// One thread: a slice after the other, until there is nothing to do.
    fn work(self: &Arc<Self>) {
        let mut had: Option<(Turn<Queued>, Progress)> = None;
        loop {
            let (ended, next, starts) = {
                let mut state = self.state();
                let ended = match had.take() {
                    Some((turn, Progress::Unfinished)) if !state.closed => {
                        state.queue.back(turn);
                        None
                    }
                    Some((turn, _)) => Some(state.queue.done(turn)),
                    None => None,
                };
                let next = state.queue.take();
                self.memory.set(state.queue.memory() as f64);
                // Under the same lock as the look: whoever submits now sees that a thread is missing.
                state.threads -= usize::from(next.is_none());
                // Those that found no room have gone home, and what ends gives room for several.
                let starts =
                    next.is_some() && state.queue.has_turn() && state.threads < self.threads_max;
                state.threads += usize::from(starts);
                (ended, next, starts)
            };
            if starts {
                self.start();
            }
            if let Some(ended) = ended {
                self.end(ended);
            }
            match next {
                Some(turn) => had = Some(self.slice(turn)),
                None => return,
            }
        }
    }

    fn slice(&self, mut turn: Turn<Queued>) -> (Turn<Queued>, Progress) {
        if let Some(since) = turn.job.since.take() {
            self.waited.record(since.elapsed());
        }
        let job = &mut turn.job.job;
        let stepped = catch_unwind(AssertUnwindSafe(|| job.step(SLICE_BYTES)));
        let progress = stepped.unwrap_or_else(|_panic| {
            self.panicked();
            Progress::Done
        });
        (turn, progress)
    }

    fn panicked(&self) {
        seldom!(error, "work on bytes panicked and was given up");
        self.panics.increment(1);
    }

    fn end(&self, queued: Queued) {
        let Queued { job, of_lane, .. } = queued;
        // Its replies first, which are others' code, so that an idle lane has nothing on the way any more.
        if catch_unwind(AssertUnwindSafe(|| drop(job))).is_err() {
            self.panicked();
        }
        of_lane.fetch_sub(1, Ordering::AcqRel);
        self.depth.decrement(1.0);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.depth.decrement(self.state().queue.jobs() as f64);
    }
}

#[cfg(test)]
mod tests;
