//! Names, units, help and buckets of what a consumer counts.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Records acknowledged, by group and topic.
pub const CONSUMER_RECORDS_TOTAL: &str = "callboard_consumer_records_total";
/// Their bytes of keys, values and headers.
pub const CONSUMER_BYTES_TOTAL: &str = "callboard_consumer_bytes_total";
/// Time in the application's handler, per record.
pub const CONSUMER_PROCESS_DURATION_SECONDS: &str = "callboard_consumer_process_duration_seconds";
/// Failures of handlers, by action: retry, skip, pause.
pub const CONSUMER_PROCESS_FAILURES_TOTAL: &str = "callboard_consumer_process_failures_total";
/// Records handed to a handler again, by cause: `actor_restart`, rebalance.
pub const CONSUMER_REDELIVERIES_TOTAL: &str = "callboard_consumer_redeliveries_total";
/// Commits, by result: ok, retried, refused.
pub const CONSUMER_COMMITS_TOTAL: &str = "callboard_consumer_commits_total";
/// From sending a commit to its answer.
pub const CONSUMER_COMMIT_DURATION_SECONDS: &str = "callboard_consumer_commit_duration_seconds";
/// Changes of ownership, by kind: assigned, revoked, lost.
pub const CONSUMER_REBALANCES_TOTAL: &str = "callboard_consumer_rebalances_total";
/// From the start of a revocation to the release of its partitions.
pub const CONSUMER_REVOKE_DRAIN_DURATION_SECONDS: &str =
    "callboard_consumer_revoke_drain_duration_seconds";
/// Partitions owned.
pub const CONSUMER_ASSIGNED_PARTITIONS: &str = "callboard_consumer_assigned_partitions";
/// Partitions owned and not consumed, by cause: handler, records, unacknowledged.
pub const CONSUMER_PAUSED_PARTITIONS: &str = "callboard_consumer_paused_partitions";
/// Bytes of batches fetched and not worked off.
pub const CONSUMER_BUFFERED_BYTES: &str = "callboard_consumer_buffered_bytes";
/// Records between the last acknowledged one and the end of the partition. Zero once it is not ours any more.
pub const CONSUMER_LAG_RECORDS: &str = "callboard_consumer_lag_records";
/// When the coordinator last answered a heartbeat.
pub const CONSUMER_LAST_HEARTBEAT_TIMESTAMP_SECONDS: &str =
    "callboard_consumer_last_heartbeat_timestamp_seconds";
/// Times that the coordinator was lost, by Kafka's error name; counted once until it is found again.
pub const CONSUMER_COORDINATOR_LOST_TOTAL: &str = "callboard_consumer_coordinator_lost_total";
/// Times that a topic subscribed to was found missing; counted once until it comes.
pub const CONSUMER_TOPICS_MISSED_TOTAL: &str = "callboard_consumer_topics_missed_total";
/// Members that ended and do not come back, by Kafka's error name.
pub const CONSUMER_FATAL_TOTAL: &str = "callboard_consumer_fatal_total";
/// Heartbeats that failed, by Kafka's error name.
pub const CONSUMER_HEARTBEAT_FAILURES_TOTAL: &str = "callboard_consumer_heartbeat_failures_total";
/// Errors in Fetch answers, by Kafka's error name.
pub const CONSUMER_FETCH_ERRORS_TOTAL: &str = "callboard_consumer_fetch_errors_total";
/// Calls into an assignor.
pub const ASSIGNOR_DURATION_SECONDS: &str = "callboard_assignor_duration_seconds";
/// Calls that brought nothing, by kind: panic, timeout, `not_run`, invalid, error, subscription.
pub const ASSIGNOR_FAILURES_TOTAL: &str = "callboard_assignor_failures_total";
/// Partitions whose lag an assignor needed for its plan and was not known in time, or at all.
pub const ASSIGNOR_LAG_UNKNOWN_TOTAL: &str = "callboard_assignor_lag_unknown_total";
/// Threads with a call into an assignor that nobody waits for any more.
pub const ASSIGNOR_THREADS_LEFT_BEHIND: &str = "callboard_assignor_threads_left_behind";

const FAST: &[f64] = &[
    0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0, 10.0,
];
const NETWORK: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];
const SLOW: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 150.0,
];

/// Histogram buckets by name.
pub const BUCKETS: &[(&str, &[f64])] = &[
    (CONSUMER_PROCESS_DURATION_SECONDS, FAST),
    (CONSUMER_COMMIT_DURATION_SECONDS, NETWORK),
    (CONSUMER_REVOKE_DRAIN_DURATION_SECONDS, SLOW),
    (ASSIGNOR_DURATION_SECONDS, FAST),
];

/// Registers help and units with the recorder in place.
pub fn describe() {
    let counters = [
        (
            CONSUMER_RECORDS_TOTAL,
            "Records that handlers are done with or have deferred",
        ),
        (
            CONSUMER_PROCESS_FAILURES_TOTAL,
            "Failures of handlers, by what was done about them",
        ),
        (
            CONSUMER_REDELIVERIES_TOTAL,
            "Records handed to a handler again, by cause",
        ),
        (CONSUMER_COMMITS_TOTAL, "Offset commits, by result"),
        (CONSUMER_REBALANCES_TOTAL, "Changes of ownership, by kind"),
        (
            CONSUMER_HEARTBEAT_FAILURES_TOTAL,
            "Heartbeats that failed, by Kafka error name",
        ),
        (
            CONSUMER_COORDINATOR_LOST_TOTAL,
            "Times that the coordinator was lost, by Kafka error name",
        ),
        (
            CONSUMER_TOPICS_MISSED_TOTAL,
            "Times that a subscribed topic was found missing",
        ),
        (
            CONSUMER_FATAL_TOTAL,
            "Members that ended for good, by Kafka error name",
        ),
        (
            CONSUMER_FETCH_ERRORS_TOTAL,
            "Errors in Fetch answers, by Kafka error name",
        ),
        (
            ASSIGNOR_FAILURES_TOTAL,
            "Calls into an assignor that brought nothing, by kind",
        ),
        (
            ASSIGNOR_LAG_UNKNOWN_TOTAL,
            "Partitions whose lag was not known for a plan that needs it",
        ),
    ];
    for (name, help) in counters {
        describe_counter!(name, Unit::Count, help);
    }
    describe_counter!(
        CONSUMER_BYTES_TOTAL,
        Unit::Bytes,
        "Bytes of keys, values and headers of those records"
    );
    let seconds = [
        (
            CONSUMER_PROCESS_DURATION_SECONDS,
            "Time in the handler per record",
        ),
        (
            CONSUMER_COMMIT_DURATION_SECONDS,
            "From sending a commit to its answer",
        ),
        (
            CONSUMER_REVOKE_DRAIN_DURATION_SECONDS,
            "From the start of a revocation to its end",
        ),
        (ASSIGNOR_DURATION_SECONDS, "Time of a call into an assignor"),
    ];
    for (name, help) in seconds {
        describe_histogram!(name, Unit::Seconds, help);
    }
    let gauges = [
        (
            CONSUMER_ASSIGNED_PARTITIONS,
            Unit::Count,
            "Partitions owned",
        ),
        (
            CONSUMER_PAUSED_PARTITIONS,
            Unit::Count,
            "Partitions owned and not consumed, by cause",
        ),
        (
            ASSIGNOR_THREADS_LEFT_BEHIND,
            Unit::Count,
            "Threads with a call into an assignor that nobody waits for",
        ),
        (
            CONSUMER_BUFFERED_BYTES,
            Unit::Bytes,
            "Bytes fetched and not worked off",
        ),
        (
            CONSUMER_LAG_RECORDS,
            Unit::Count,
            "Records behind the end of the partition",
        ),
        (
            CONSUMER_LAST_HEARTBEAT_TIMESTAMP_SECONDS,
            Unit::Seconds,
            "When the coordinator last answered a heartbeat, seconds since 1970",
        ),
    ];
    for (name, unit, help) in gauges {
        describe_gauge!(name, unit, help);
    }
}
