//! The restart policy as a pure core: given the moments at which a child failed, restart it and when, or give up.
//! Owned by a supervising shell. Never reads a clock: `now` is the time since the shell's own origin.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(crate) mod seldom;
#[cfg(test)]
mod tests;

/// How often a child may fail before its supervisor gives up, and how long it waits before each restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Failures within [`window`](Self::window) that are answered with a restart; the next one escalates.
    /// 0 never restarts.
    pub max_restarts: u32,
    /// The time in which failures count together. A failure older than this is forgotten.
    pub window: Duration,
    /// The wait before the first restart; each further failure in the window doubles it. Zero restarts at once.
    pub backoff_initial: Duration,
    /// The longest wait before a restart.
    pub backoff_max: Duration,
}

impl Default for RestartPolicy {
    /// 5 restarts in 60 s, after 50 ms, 100 ms … at most 5 s.
    fn default() -> Self {
        Self {
            max_restarts: 5,
            window: Duration::from_secs(60),
            backoff_initial: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
        }
    }
}

impl RestartPolicy {
    /// The policy of a child that is never restarted.
    #[must_use]
    pub fn never() -> Self {
        Self {
            max_restarts: 0,
            ..Self::default()
        }
    }

    /// The wait before the restart that answers the `failures`-th failure of the window (from 1).
    #[must_use]
    pub fn backoff(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.backoff_initial
            .saturating_mul(1 << doublings)
            .min(self.backoff_max)
    }
}

/// Why a child has to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It panicked, returned an error or was killed.
    Failed,
    /// It could not be started.
    StartFailed,
    /// It stopped by itself although it is meant to live as long as its supervisor.
    Stopped,
}

/// What the supervisor does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start the child again after this wait.
    RestartAfter(Duration),
    /// The budget is used up: the supervisor itself fails, and its own supervisor decides.
    Escalate,
}

#[derive(Debug, Default)]
struct History {
    /// Moments of the failures still inside the window, oldest first. At most `max_restarts + 1`.
    recent: VecDeque<Duration>,
    restarts: u64,
}

/// The failures of every child of one supervisor, each child counted by itself.
#[derive(Debug)]
pub struct RestartCore<K: Ord> {
    children: BTreeMap<K, History>,
}

impl<K: Ord> Default for RestartCore<K> {
    fn default() -> Self {
        Self {
            children: BTreeMap::new(),
        }
    }
}

impl<K: Ord> RestartCore<K> {
    /// Records a failure of `child` at `now` and decides. `now` must not go backwards for one child.
    /// Every kind of failure costs one of the budget.
    pub fn step(
        &mut self,
        child: K,
        policy: &RestartPolicy,
        now: Duration,
        _failure: Failure,
    ) -> Decision {
        let history = self.children.entry(child).or_default();
        while history
            .recent
            .front()
            .is_some_and(|then| now.saturating_sub(*then) >= policy.window)
        {
            history.recent.pop_front();
        }
        history.recent.push_back(now);
        let failures = u32::try_from(history.recent.len()).unwrap_or(u32::MAX);
        if failures > policy.max_restarts {
            return Decision::Escalate;
        }
        history.restarts += 1;
        Decision::RestartAfter(policy.backoff(failures))
    }

    /// Restarts decided for `child` since it was first seen.
    #[must_use]
    pub fn restarts(&self, child: &K) -> u64 {
        self.children
            .get(child)
            .map_or(0, |history| history.restarts)
    }

    /// Forgets a child that is gone for good.
    pub fn forget(&mut self, child: &K) {
        self.children.remove(child);
    }
}
