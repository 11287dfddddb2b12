//! The demo is the main job: it has to come to its end, and its end has to be a good one.

use std::time::Duration;

use crate::support::{Process, get};

/// Between two lines; unoptimised and beside other tests it takes its time.
const PATIENCE: Duration = Duration::from_secs(90);

/// Metrics the demo has to leave behind, of every crate that counts.
const METRICS: [&str; 14] = [
    "coordinator_groups",
    "group_rebalances_total",
    "group_commits_total",
    "offsets_fsync_duration_seconds",
    "offsets_batch_records",
    "consumer_records_total",
    "consumer_lag_records",
    "consumer_commit_duration_seconds",
    "producer_request_duration_seconds",
    "actor_restarts_total",
    "actor_mailbox_messages",
    "actor_mailbox_wait_seconds",
    "broker_request_duration_seconds",
    "build_info",
];

#[test]
fn the_demo_shows_what_it_claims_and_can_be_kept() {
    let demo = Process::start(&["demo", "--keep"]);
    let told = demo.lines_until("The broker stays until", PATIENCE);
    for part in [
        "80,789 rows in 12 partitions",
        "(stage fright)",
        "is delivered again, attempt 2",
        "kill -9",
        "reason session_timeout",
        "dora joins",
        "the table equals the direct computation",
        "the group ends at lag 0",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    assert!(!told.contains("FAIL"), "{told}");
    let (_, rest) = told.split_once("series at http://").unwrap();
    let (admin, _) = rest.split_once('/').unwrap();
    check_metrics(&get(admin, "/metrics"));
    demo.signal("INT");
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.errors.is_empty(), "{}", ended.errors);
}

/// Every metric has a help text, every histogram buckets, and none is missing.
fn check_metrics(scrape: &str) {
    let types = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    for (name, kind) in types.filter_map(|line| line.split_once(' ')) {
        assert!(
            scrape.contains(&format!("# HELP {name} ")),
            "{name} has no help text"
        );
        assert_ne!(kind, "summary", "{name} has no buckets");
    }
    for name in METRICS {
        assert!(
            scrape.contains(&format!("# TYPE callboard_{name} ")),
            "{name} is missing"
        );
    }
}

#[test]
fn a_demo_that_is_ended_early_leaves_nothing_behind() {
    let demo = Process::start(&["demo"]);
    let told = demo.lines_until("generation 1: owns", PATIENCE);
    let (_, rest) = told.split_once("data in ").unwrap();
    let (directory, _) = rest.split_once('\n').unwrap();
    assert!(std::path::Path::new(directory).exists());
    demo.signal("TERM");
    let ended = demo.end();
    assert_eq!(
        ended.code,
        Some(1),
        "a demo that was not shown is no success"
    );
    assert!(
        ended.errors.contains("SIGTERM ended the demo"),
        "{}",
        ended.errors
    );
    assert!(
        !std::path::Path::new(directory).exists(),
        "{directory} is still there"
    );
}
