//! Which partition goes first, and when one that failed is tried again.

use std::time::Duration;

use crate::compaction::CompactionConfig;
use crate::compaction::core::decide::{Decider, RETRY_MAX};
use crate::log::Backlog;

const CONFIG: CompactionConfig = CompactionConfig {
    enabled: true,
    check_interval: Duration::from_secs(10),
    min_dirty_ratio: 0.5,
    min_bytes: 1000,
    pinned_bytes: 50_000,
};

fn backlog(log_bytes: u64, snapshot_bytes: u64, pinned_bytes: u64) -> Backlog {
    Backlog {
        log_bytes,
        snapshot_bytes,
        pinned_bytes,
        ..Backlog::default()
    }
}

fn pick(decider: &Decider, now: u64, backlogs: &[(u64, u64, u64)]) -> Option<u32> {
    let backlogs: Vec<_> = (0..)
        .zip(backlogs)
        .map(|(partition, (log, snapshot, pinned))| (partition, backlog(*log, *snapshot, *pinned)))
        .collect();
    let picked = decider.next(Duration::from_secs(now), &backlogs);
    picked.map(|(partition, _)| partition)
}

#[test]
fn a_partition_is_dirty_by_bytes_and_by_share() {
    let decider = Decider::new(CONFIG);
    assert_eq!(pick(&decider, 0, &[]), None);
    assert_eq!(pick(&decider, 0, &[(0, 0, 0)]), None);
    assert_eq!(pick(&decider, 0, &[(999, 0, 0)]), None, "too little");
    assert_eq!(pick(&decider, 0, &[(1000, 0, 0)]), Some(0));
    assert_eq!(pick(&decider, 0, &[(1000, 1001, 0)]), None, "mostly clean");
    assert_eq!(pick(&decider, 0, &[(1001, 1001, 0)]), Some(0));
    // The one with the most to give goes first, of equals the first.
    assert_eq!(pick(&decider, 0, &[(1500, 0, 0), (2000, 0, 0)]), Some(1));
    assert_eq!(pick(&decider, 0, &[(1500, 0, 0), (1500, 0, 0)]), Some(0));
    // A ratio of zero does not rewrite what has not changed.
    let mut config = CONFIG;
    (config.min_dirty_ratio, config.min_bytes) = (0.0, 0);
    assert_eq!(pick(&Decider::new(config), 0, &[(0, 500, 0)]), None);
    assert_eq!(pick(&Decider::new(config), 0, &[(1, 500, 0)]), Some(0));
}

#[test]
fn what_pins_too_much_goes_first_however_small() {
    let decider = Decider::new(CONFIG);
    assert_eq!(pick(&decider, 0, &[(1, 0, 50_000)]), None);
    assert_eq!(pick(&decider, 0, &[(9000, 0, 0), (1, 0, 50_001)]), Some(1));
    let both = [(1, 0, 60_000), (1, 0, 70_000)];
    assert_eq!(pick(&decider, 0, &both), Some(1), "the one that pins most");
}

#[test]
fn live_entries_may_pin_as_much_as_they_take() {
    let decider = Decider::new(CONFIG);
    let much = |pinned| [(1, 1_000_000, pinned), (0, 500_000, 0)];
    assert_eq!(pick(&decider, 0, &much(1_500_000)), None);
    assert_eq!(pick(&decider, 0, &much(1_500_001)), Some(0));
}

#[test]
fn what_failed_is_tried_again_later_and_later_and_its_neighbours_go_on() {
    let mut decider = Decider::new(CONFIG);
    let backlogs = [(2000, 0, 0), (1000, 0, 0)];
    let mut now = 100;
    for wait in [10, 20, 40, 80, 160, 320, 600, 600] {
        assert_eq!(pick(&decider, now, &backlogs), Some(0));
        decider.ended(Duration::from_secs(now), 0, false);
        assert_eq!(pick(&decider, now + wait - 1, &backlogs), Some(1));
        now += wait;
    }
    assert_eq!(RETRY_MAX.as_secs(), 600);
    // Whatever it would gain by now.
    assert_eq!(pick(&decider, now, &[(0, 0, 0)]), Some(0));
    decider.ended(Duration::from_secs(now), 0, true);
    assert_eq!(pick(&decider, now, &[(0, 0, 0)]), None);
    decider.ended(Duration::from_secs(now), 0, false);
    assert_eq!(
        pick(&decider, now + 10, &backlogs),
        Some(0),
        "from the start"
    );
}
