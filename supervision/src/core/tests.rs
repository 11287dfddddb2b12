//! The restart policy, failure by failure.

use super::*;
use proptest::prelude::*;

const fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn policy() -> RestartPolicy {
    RestartPolicy {
        max_restarts: 3,
        window: at(1_000),
        backoff_initial: at(10),
        backoff_max: at(35),
    }
}

#[test]
fn the_wait_doubles_with_each_failure_up_to_its_bound() {
    let mut core = RestartCore::default();
    let decisions: Vec<_> = (0..3)
        .map(|n| core.step("a", &policy(), at(n), Failure::Failed))
        .collect();
    assert_eq!(
        decisions,
        [10, 20, 35].map(|ms| Decision::RestartAfter(at(ms)))
    );
    assert_eq!(core.restarts(&"a"), 3);
}

#[test]
fn the_failure_after_the_last_restart_escalates() {
    let mut core = RestartCore::default();
    for n in 0..3 {
        core.step("a", &policy(), at(n), Failure::StartFailed);
    }
    assert_eq!(
        core.step("a", &policy(), at(999), Failure::Failed),
        Decision::Escalate
    );
}

#[test]
fn a_failure_as_old_as_the_window_no_longer_counts() {
    let mut core = RestartCore::default();
    for n in 0..3 {
        core.step("a", &policy(), at(n), Failure::Failed);
    }
    // The first three have left the window: the wait starts over.
    assert_eq!(
        core.step("a", &policy(), at(1_002), Failure::Failed),
        Decision::RestartAfter(at(10))
    );
}

#[test]
fn each_child_has_its_own_budget() {
    let mut core = RestartCore::default();
    for n in 0..4 {
        core.step("a", &policy(), at(n), Failure::Failed);
    }
    assert_eq!(
        core.step("b", &policy(), at(4), Failure::Failed),
        Decision::RestartAfter(at(10))
    );
}

#[test]
fn a_forgotten_child_starts_afresh() {
    let mut core = RestartCore::default();
    for n in 0..3 {
        core.step("a", &policy(), at(n), Failure::Failed);
    }
    core.forget(&"a");
    assert_eq!(
        core.step("a", &policy(), at(4), Failure::Failed),
        Decision::RestartAfter(at(10))
    );
    assert_eq!(core.restarts(&"a"), 1);
}

#[test]
fn never_means_the_first_failure_escalates() {
    let mut core = RestartCore::default();
    assert_eq!(
        core.step(1, &RestartPolicy::never(), at(0), Failure::Failed),
        Decision::Escalate
    );
}

proptest! {
    /// Whatever the moments are: within any window of the policy there are at most `max_restarts` restarts.
    #[test]
    fn no_window_holds_more_restarts_than_allowed(gaps in prop::collection::vec(0u64..700, 1..60)) {
        let (mut core, mut now, mut restarted) = (RestartCore::default(), Duration::ZERO, Vec::new());
        for gap in gaps {
            now += at(gap);
            if let Decision::RestartAfter(wait) = core.step((), &policy(), now, Failure::Failed) {
                prop_assert!(wait <= policy().backoff_max);
                restarted.push(now);
            }
        }
        for window in restarted.windows(4) {
            prop_assert!(window[3] - window[0] >= policy().window);
        }
    }
}
