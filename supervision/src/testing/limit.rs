//! The longest that a test may take. A test that waits for what never comes would hold up whoever waits for the tests, and
//! nothing says which one it is; a paused clock does not help where no timer is armed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

/// Far beyond any test, also beside another build on the same cores.
const LIMIT: Duration = Duration::from_secs(600);
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Running {
    next: u64,
    /// Tests at work: the name of each one's thread, which is the test's, and when it has to be over.
    tests: BTreeMap<u64, (String, Instant)>,
}

static RUNNING: Mutex<Running> = Mutex::new(Running {
    next: 0,
    tests: BTreeMap::new(),
});
static WATCHER: Once = Once::new();

/// Held by a test that waits for something: when it is still there after ten minutes of real time, the process is aborted
/// with the test's name. A [`Stage`](super::Stage) holds one.
#[derive(Debug)]
#[must_use = "the limit ends where this is dropped"]
pub struct Limit(u64);

impl Limit {
    /// Counts from now.
    pub fn start() -> Self {
        WATCHER.call_once(|| drop(std::thread::spawn(watch)));
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.next += 1;
        let id = running.next;
        running.tests.insert(id, (name, now() + LIMIT));
        Self(id)
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.tests.remove(&self.0);
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "real time, whatever the test's clock does"
)]
fn now() -> Instant {
    Instant::now()
}

/// Tests whose time is over.
fn overdue(running: &Running, now: Instant) -> Vec<&str> {
    let late = running.tests.values().filter(|(_, end)| *end <= now);
    late.map(|(name, _)| name.as_str()).collect()
}

fn watch() {
    loop {
        std::thread::sleep(LOOK);
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let late = overdue(&running, now());
        if !late.is_empty() {
            let late = late.join(", ");
            // Not by a macro: the harness keeps what those print to itself until the test ends.
            let _ = writeln!(std::io::stderr(), "waits for more than {LIMIT:?}: {late}");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_waits_for_ever_is_named() {
        let limit = Limit::start();
        let this = "testing::limit::tests::a_test_that_waits_for_ever_is_named";
        let named = |after| {
            let running = RUNNING.lock().unwrap();
            overdue(&running, now() + after).contains(&this)
        };
        let name = std::thread::current().name().map(str::to_owned);
        // Alone it runs on the main thread, under that one's name.
        if name.as_deref() == Some(this) {
            assert!(!named(LIMIT / 2));
            assert!(named(LIMIT));
        }
        drop(limit);
        assert!(!named(LIMIT));
    }
}
