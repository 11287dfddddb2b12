//! Where code runs that others wrote and that may never return: plain threads, each with a time limit. The runtime's own
//! threads for blocking work will not do: it waits for them when it shuts down, and a process with an assignor that loops
//! would not end. What is not waited for any more is left behind; a few of those are borne, then nothing more is started.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::shared::lock;

/// How many threads that nobody waits for any more may be alive; beyond, nothing is started.
pub(crate) const LEFT_BEHIND_MAX: usize = 4;

/// Why work brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ThreadError {
    /// It panicked, with these words.
    Panicked(String),
    /// It is not waited for any more; its thread is left behind.
    TookTooLong,
    /// It was not started: so many are left behind already.
    TooManyLeft(usize),
    /// The system has no thread for it.
    NotStarted(String),
}

/// Threads for the work of one consumer.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    left_behind: Arc<Mutex<usize>>,
}

impl Threads {
    /// How many of its threads nobody waits for any more.
    pub(crate) fn left_behind(&self) -> usize {
        *lock(&self.left_behind)
    }

    /// Runs `work` and waits for it, `limit` at most. Whoever drops this future leaves the thread behind too.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ThreadError> {
        let thread = std::thread::Builder::new().name("assignor".to_owned());
        self.run_on(thread, limit, work).await
    }

    async fn run_on<T: Send + 'static>(
        &self,
        thread: std::thread::Builder,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ThreadError> {
        let left = self.left_behind();
        if left >= LEFT_BEHIND_MAX {
            return Err(ThreadError::TooManyLeft(left));
        }
        let (answer, answered) = oneshot::channel();
        let at_work = Arc::new(Mutex::new(AtWork::Awaited));
        let (worker, left_behind) = (Arc::clone(&at_work), Arc::clone(&self.left_behind));
        let spawned = thread.spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(work));
            let was = std::mem::replace(&mut *lock(&worker), AtWork::Over);
            if was == AtWork::LeftBehind {
                *lock(&left_behind) -= 1;
            }
            // Here, since what it threw may do anything when it is dropped.
            let done = done.map_err(|payload| message(&*payload));
            // Nobody may be waiting any more.
            let _ = answer.send(done);
        });
        spawned.map_err(|error| ThreadError::NotStarted(error.to_string()))?;
        // From here on: one that was never started is not left behind.
        let _wait = Wait {
            at_work,
            left_behind: Arc::clone(&self.left_behind),
        };
        let _clock = hold_paused_clock();
        match tokio::time::timeout(limit, answered).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(message))) => Err(ThreadError::Panicked(message)),
            // What it threw panicked in its turn.
            Ok(Err(_gone)) => Err(ThreadError::Panicked("without a message".to_owned())),
            Err(_elapsed) => Err(ThreadError::TookTooLong),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AtWork {
    Awaited,
    LeftBehind,
    Over,
}

/// Somebody waits for a thread.
struct Wait {
    at_work: Arc<Mutex<AtWork>>,
    left_behind: Arc<Mutex<usize>>,
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut at_work = lock(&self.at_work);
        if *at_work == AtWork::Awaited {
            *at_work = AtWork::LeftBehind;
            *lock(&self.left_behind) += 1;
        }
    }
}

/// A paused clock goes on by itself when its runtime is idle, and sees no work on threads that are not the runtime's: the
/// limit would be over at once. It stands still while blocking work is under way, so a waiter for our thread is that
/// until what is returned here is dropped, which a runtime does to its tasks before it waits for blocking work. Only a
/// runtime of one thread has a clock that can be paused.
fn hold_paused_clock() -> Option<std::sync::mpsc::Sender<()>> {
    let runtime = Handle::try_current().ok()?;
    (runtime.runtime_flavor() == RuntimeFlavor::CurrentThread).then(|| {
        let (hold, held) = std::sync::mpsc::channel();
        runtime.spawn_blocking(move || {
            // Nothing is ever sent.
            let _dropped: Result<(), _> = held.recv();
        });
        hold
    })
}

/// What a panic said.
fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use callboard_supervision::testing::Limit;
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_few_threads_are_left_behind_and_then_nothing_is_started() {
        let _limit = Limit::start();
        let threads = Threads::default();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        for left in 1..=LEFT_BEHIND_MAX {
            let held = Arc::clone(&held);
            let work = move || {
                // Until the test lets go.
                let _ = lock(&held).recv();
            };
            assert_eq!(
                threads.run(LIMIT, work).await,
                Err(ThreadError::TookTooLong)
            );
            assert_eq!(threads.left_behind(), left);
        }
        let refused = threads.run(LIMIT, || panic!("it was started")).await;
        assert_eq!(refused, Err::<(), _>(ThreadError::TooManyLeft(4)));

        // Whatever comes back is not left behind any more.
        drop(release);
        while threads.left_behind() > 0 {
            tokio::task::yield_now().await;
        }
        let patient = Duration::from_secs(60);
        assert_eq!(threads.run(patient, || 7).await, Ok(7));
        assert_eq!(threads.left_behind(), 0);
    }

    /// Four of them disabled every assignor for good.
    #[tokio::test]
    async fn a_thread_that_cannot_be_started_is_not_left_behind() {
        let _limit = Limit::start();
        let threads = Threads::default();
        for _ in 0..=LEFT_BEHIND_MAX {
            // More than there are addresses.
            let thread = std::thread::Builder::new().stack_size(1 << 60);
            let refused = threads.run_on(thread, LIMIT, || panic!("it was started"));
            let refused: Result<(), _> = refused.await;
            assert!(
                matches!(refused, Err(ThreadError::NotStarted(_))),
                "{refused:?}"
            );
            assert_eq!(threads.left_behind(), 0);
        }
    }

    #[tokio::test]
    async fn whoever_stops_waiting_leaves_the_thread_behind() {
        let _limit = Limit::start();
        let threads = Threads::default();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (begun, began) = oneshot::channel();
        {
            let running = threads.run(Duration::from_secs(600), move || {
                let _ = begun.send(());
                let _ = held.recv();
            });
            tokio::select! {
                biased;
                _ran = running => panic!("nobody let go"),
                began = began => began.unwrap(),
            }
        }
        assert_eq!(threads.left_behind(), 1);
        drop(release);
        while threads.left_behind() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_stands_still_while_a_thread_works() {
        let _limit = Limit::start();
        let before = Instant::now();
        // Work that takes its time, with a runtime that has nothing else to do.
        let work = || std::thread::sleep(Duration::from_millis(50));
        let ran = Threads::default().run(LIMIT, work).await;
        assert_eq!((ran, before.elapsed()), (Ok(()), Duration::ZERO));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_also_if_what_it_threw_panics_again() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                if !std::thread::panicking() {
                    panic!("and again");
                }
            }
        }
        let _limit = Limit::start();
        let threads = Threads::default();
        let limit = Duration::from_secs(60);
        let ran: Result<(), _> = threads.run(limit, || panic!("oh {}", 1)).await;
        assert_eq!(ran, Err(ThreadError::Panicked("oh 1".to_owned())));
        let ran: Result<(), _> = threads.run(limit, || std::panic::panic_any(Bomb)).await;
        let silent = "without a message".to_owned();
        assert_eq!(ran, Err(ThreadError::Panicked(silent)));
        assert_eq!(threads.left_behind(), 0);
    }
}
