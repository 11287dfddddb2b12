//! Names of the broker's metrics, their help, units and buckets, and a Prometheus recorder for those who want one.

pub(crate) mod kinds;
mod logs;
mod page;
mod recorder;
mod topics;

use callboard_supervision::metrics::CounterFamily;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub use logs::{
    BROKER_APPENDED_BYTES_TOTAL, BROKER_APPENDED_RECORDS_TOTAL, BROKER_FETCHED_BYTES_TOTAL,
    BROKER_LOG_SIZE_BYTES, BROKER_LOG_TRUNCATED_BYTES_TOTAL, BROKER_OFFLINE_PARTITIONS,
};
pub(crate) use page::Page;
pub use recorder::{Buckets, Recorder, install};
pub use topics::TopicCounts;

/// Constant 1, labelled with the version.
pub const BUILD_INFO: &str = "callboard_build_info";
/// Series with a topic for a label in the last scrape.
pub const METRICS_SERIES: &str = "callboard_metrics_series";
/// Series left out of scrapes because there are more than `callboard.metrics.max.series`, by metric.
pub const METRICS_SERIES_DROPPED_TOTAL: &str = "callboard_metrics_series_dropped_total";
/// Open connections.
pub const BROKER_CONNECTIONS: &str = "callboard_broker_connections";
/// Connections by what became of them at accept: `accepted`, `refused_limit`.
pub const BROKER_CONNECTIONS_TOTAL: &str = "callboard_broker_connections_total";
/// Open connections to the admin port.
pub const BROKER_ADMIN_CONNECTIONS: &str = "callboard_broker_admin_connections";
/// Connections to the admin port: `accepted`; of these, without an answer for too long: `closed_idle`, and closed for a
/// newcomer: `closed_limit`.
pub const BROKER_ADMIN_CONNECTIONS_TOTAL: &str = "callboard_broker_admin_connections_total";
/// Requests answered, by API.
pub const BROKER_REQUESTS_TOTAL: &str = "callboard_broker_requests_total";
/// From the last byte of a request to its answer, deliberate waits included.
pub const BROKER_REQUEST_DURATION_SECONDS: &str = "callboard_broker_request_duration_seconds";
/// Requests read and not yet answered.
pub const BROKER_IN_FLIGHT_REQUESTS: &str = "callboard_broker_in_flight_requests";
/// Bytes that went through sockets, by direction.
pub const BROKER_NETWORK_BYTES_TOTAL: &str = "callboard_broker_network_bytes_total";
/// Connections closed for what they sent, by kind.
pub const BROKER_PROTOCOL_ERRORS_TOTAL: &str = "callboard_broker_protocol_errors_total";
/// Bytes that connections hold, by what of: `requests`, `responses`.
pub const BROKER_BUDGET_BYTES: &str = "callboard_broker_budget_bytes";
/// The most of them there may be, by what of.
pub const BROKER_BUDGET_LIMIT_BYTES: &str = "callboard_broker_budget_limit_bytes";
/// Times that a connection started nothing more because its client does not take its answers.
pub const BROKER_CONNECTIONS_BEHIND_TOTAL: &str = "callboard_broker_connections_behind_total";
/// Fetches that waited for others to read from the disk.
pub const BROKER_FETCH_READS_DELAYED_TOTAL: &str = "callboard_broker_fetch_reads_delayed_total";
/// Requests that waited for others' large answers.
pub const BROKER_LARGE_RESPONSES_DELAYED_TOTAL: &str =
    "callboard_broker_large_responses_delayed_total";
/// Fetch sessions there are (KIP-227).
pub const BROKER_FETCH_SESSIONS: &str = "callboard_broker_fetch_sessions";
/// Partitions that all fetch sessions remember.
pub const BROKER_FETCH_SESSION_PARTITIONS: &str = "callboard_broker_fetch_session_partitions";
/// Fetch sessions that made room for others.
pub const BROKER_FETCH_SESSION_EVICTIONS_TOTAL: &str =
    "callboard_broker_fetch_session_evictions_total";

/// Topics that are deleted, and for which offsets are still committed.
pub const BROKER_TOPICS_TO_FORGET: &str = "callboard_broker_topics_to_forget";

/// Bucket bounds of this crate's histograms, in seconds.
pub const BUCKETS: &[(&str, &[f64])] = &[(
    BROKER_REQUEST_DURATION_SECONDS,
    &[
        0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
    ],
)];

pub(crate) const CONNECTIONS: CounterFamily = CounterFamily::new(
    BROKER_CONNECTIONS_TOTAL,
    Unit::Count,
    "Connections by what became of them when they were accepted.",
    &[("result", &["accepted", "refused_limit"])],
);
pub(crate) const ADMIN_CONNECTIONS: CounterFamily = CounterFamily::new(
    BROKER_ADMIN_CONNECTIONS_TOTAL,
    Unit::Count,
    "Connections to the admin port by what became of them when they were accepted.",
    &[("result", &["accepted", "closed_idle", "closed_limit"])],
);
pub(crate) const NETWORK_BYTES: CounterFamily = CounterFamily::new(
    BROKER_NETWORK_BYTES_TOTAL,
    Unit::Bytes,
    "Bytes that went through client connections, by direction.",
    &[("direction", &["in", "out"])],
);
pub(crate) const FETCH_SESSION_EVICTIONS: CounterFamily = CounterFamily::new(
    BROKER_FETCH_SESSION_EVICTIONS_TOTAL,
    Unit::Count,
    "Fetch sessions that made room for others.",
    &[],
);
pub(crate) const FETCH_READS_DELAYED: CounterFamily = CounterFamily::new(
    BROKER_FETCH_READS_DELAYED_TOTAL,
    Unit::Count,
    "Fetches that waited for others to read from the disk (callboard.fetch.reads.max).",
    &[],
);
pub(crate) const LARGE_RESPONSES_DELAYED: CounterFamily = CounterFamily::new(
    BROKER_LARGE_RESPONSES_DELAYED_TOTAL,
    Unit::Count,
    "Requests that waited for others' large answers (callboard.large.responses.max, callboard.large.group.requests.max).",
    &[],
);
pub(crate) const CONNECTIONS_BEHIND: CounterFamily = CounterFamily::new(
    BROKER_CONNECTIONS_BEHIND_TOTAL,
    Unit::Count,
    "Times that a connection started nothing more because its client does not take its answers (callboard.connection.max.response.bytes).",
    &[],
);
pub(crate) const PROTOCOL_ERRORS: CounterFamily = CounterFamily::new(
    BROKER_PROTOCOL_ERRORS_TOTAL,
    Unit::Count,
    "Connections closed for what they sent: malformed, unsupported_version, unknown_api, too_large, pressure (it held most and moved least while others found no room), frame_timeout (a request that was begun and did not go on), answer_too_large, unacknowledged (a Produce without acks that failed), refused (an error that its answer has no place for), internal.",
    &[(
        "kind",
        &[
            "malformed",
            "unsupported_version",
            "unknown_api",
            "too_large",
            "pressure",
            "frame_timeout",
            "answer_too_large",
            "unacknowledged",
            "refused",
            "internal",
        ],
    )],
);
pub(crate) const LOG_TRUNCATED_BYTES: CounterFamily = CounterFamily::new(
    BROKER_LOG_TRUNCATED_BYTES_TOTAL,
    Unit::Bytes,
    "Bytes of torn tails cut off topic logs when they were opened.",
    &[],
);

pub(crate) const SERIES_DROPPED: CounterFamily = CounterFamily::new(
    METRICS_SERIES_DROPPED_TOTAL,
    Unit::Count,
    "Series left out of scrapes because there are more than callboard.metrics.max.series, by metric.",
    &[(
        "metric",
        &[
            BROKER_APPENDED_RECORDS_TOTAL,
            BROKER_APPENDED_BYTES_TOTAL,
            BROKER_FETCHED_BYTES_TOTAL,
            BROKER_LOG_SIZE_BYTES,
        ],
    )],
);

/// The counters of this crate, but for those by topic, which are collected at the scrape, and
/// [`BROKER_REQUESTS_TOTAL`], whose labels are the APIs served. A broker makes all their series when it starts.
pub const COUNTERS: &[CounterFamily] = &[
    CONNECTIONS,
    ADMIN_CONNECTIONS,
    NETWORK_BYTES,
    FETCH_SESSION_EVICTIONS,
    CONNECTIONS_BEHIND,
    FETCH_READS_DELAYED,
    LARGE_RESPONSES_DELAYED,
    PROTOCOL_ERRORS,
    LOG_TRUNCATED_BYTES,
    SERIES_DROPPED,
];

/// The kinds of actors in a broker.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    let own = [
        kinds::BROKER,
        kinds::LISTENER,
        kinds::ADMIN,
        kinds::TOPICS,
        kinds::TOPIC_LOGS,
        kinds::TOPIC_LOG,
    ];
    own.into_iter()
        .chain(callboard_coordinator::metrics::KINDS.iter().copied())
}

/// Makes every counter that a broker can come to count, at 0.
pub(crate) fn declare() {
    for family in COUNTERS {
        family.declare();
    }
    for kind in kinds() {
        callboard_supervision::metrics::declare(kind);
    }
}

/// Registers help texts and units of all that a broker counts with the recorder in place, this crate's and those of the
/// crates below it. [`install`] has done so; for programs with a recorder of their own.
pub fn describe() {
    crate::compute::metrics::describe();
    for family in COUNTERS {
        family.describe();
    }
    logs::describe();
    callboard_coordinator::metrics::describe();
    callboard_offsets::metrics::describe();
    callboard_supervision::metrics::describe();
    describe_gauge!(
        BUILD_INFO,
        Unit::Count,
        "Constant 1, labelled with the version."
    );
    describe_gauge!(
        BROKER_ADMIN_CONNECTIONS,
        Unit::Count,
        "Open connections to the admin port."
    );
    describe_gauge!(
        METRICS_SERIES,
        Unit::Count,
        "Series with a topic for a label in the last scrape."
    );
    describe_gauge!(BROKER_CONNECTIONS, Unit::Count, "Open connections.");
    describe_counter!(
        BROKER_REQUESTS_TOTAL,
        Unit::Count,
        "Requests answered, by API."
    );
    describe_histogram!(
        BROKER_REQUEST_DURATION_SECONDS,
        Unit::Seconds,
        "Time from a whole request to its answer, deliberate waits of joins and fetches included."
    );
    describe_gauge!(
        BROKER_IN_FLIGHT_REQUESTS,
        Unit::Count,
        "Requests read and not yet answered."
    );
    describe_gauge!(
        BROKER_BUDGET_BYTES,
        Unit::Bytes,
        "Bytes of requests and of responses that all connections hold."
    );
    describe_gauge!(
        BROKER_BUDGET_LIMIT_BYTES,
        Unit::Bytes,
        "The most bytes of requests (queued.max.request.bytes) and of responses (callboard.queued.max.response.bytes) that all connections may hold."
    );
    describe_gauge!(
        BROKER_FETCH_SESSIONS,
        Unit::Count,
        "Fetch sessions there are."
    );
    describe_gauge!(
        BROKER_FETCH_SESSION_PARTITIONS,
        Unit::Count,
        "Partitions that all fetch sessions remember."
    );
    describe_gauge!(
        BROKER_TOPICS_TO_FORGET,
        Unit::Count,
        "Topics that are deleted, and for which offsets are still committed. CreateTopics of their names waits. Not zero for long: a coordinator cannot write, or its partition is not served."
    );
}
