//! Names of the broker's metrics, their help, units and buckets, and the process's Prometheus recorder.

use std::sync::OnceLock;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Constant 1, labelled with the version.
pub const BUILD_INFO: &str = "callboard_build_info";
/// Open connections.
pub const BROKER_CONNECTIONS: &str = "callboard_broker_connections";
/// Connections by what became of them at accept: `accepted`, `refused_limit`.
pub const BROKER_CONNECTIONS_TOTAL: &str = "callboard_broker_connections_total";
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
/// Fetch sessions there are (KIP-227).
pub const BROKER_FETCH_SESSIONS: &str = "callboard_broker_fetch_sessions";
/// Partitions that all fetch sessions remember.
pub const BROKER_FETCH_SESSION_PARTITIONS: &str = "callboard_broker_fetch_session_partitions";
/// Fetch sessions that made room for others.
pub const BROKER_FETCH_SESSION_EVICTIONS_TOTAL: &str =
    "callboard_broker_fetch_session_evictions_total";

/// Bucket bounds of this crate's histograms, in seconds.
pub const BUCKETS: &[(&str, &[f64])] = &[(
    BROKER_REQUEST_DURATION_SECONDS,
    &[
        0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
    ],
)];

/// Registers help texts and units with the installed recorder.
pub fn describe() {
    describe_gauge!(
        BUILD_INFO,
        Unit::Count,
        "Constant 1, labelled with the version."
    );
    describe_gauge!(BROKER_CONNECTIONS, Unit::Count, "Open connections.");
    describe_counter!(
        BROKER_CONNECTIONS_TOTAL,
        Unit::Count,
        "Connections by what became of them when they were accepted."
    );
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
    describe_counter!(
        BROKER_NETWORK_BYTES_TOTAL,
        Unit::Bytes,
        "Bytes that went through client connections, by direction."
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
    describe_counter!(
        BROKER_FETCH_SESSION_EVICTIONS_TOTAL,
        Unit::Count,
        "Fetch sessions that made room for others."
    );
    describe_counter!(
        BROKER_PROTOCOL_ERRORS_TOTAL,
        Unit::Count,
        "Connections closed for what they sent: malformed, unsupported_version, unknown_api, too_large, starved, frame_timeout (a request that was begun and did not go on), unacknowledged (a Produce without acks that failed), internal."
    );
}

/// Names of histograms and the bounds of their buckets.
pub type Buckets = &'static [(&'static str, &'static [f64])];

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// For programs that consume or produce beside the broker: installs the process's recorder before the broker does, with
/// the buckets of `more` crates beside the broker's own, so that `/metrics` shows those histograms as well. Whether it is
/// in place, now or from an earlier call; false where the program has a recorder of its own.
pub fn install(more: &[Buckets]) -> bool {
    HANDLE.get_or_init(|| build(more)).is_some()
}

/// The Prometheus recorder of this process, installed once; later calls give the same handle. None when the embedding
/// program has installed a recorder of its own: then that one has the metrics.
pub(crate) fn recorder() -> Option<PrometheusHandle> {
    HANDLE.get_or_init(|| build(&[])).clone()
}

fn build(more: &[Buckets]) -> Option<PrometheusHandle> {
    let mut builder = PrometheusBuilder::new();
    let own = [
        BUCKETS,
        callboard_coordinator::metrics::BUCKETS,
        callboard_offsets::metrics::BUCKETS,
        callboard_supervision::metrics::BUCKETS,
    ];
    for (name, bounds) in own.iter().chain(more).copied().flatten() {
        // Refused only for an empty list of bounds; a histogram without buckets would show as a summary.
        builder = builder
            .set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds)
            .ok()?;
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    describe();
    crate::log::metrics::describe();
    callboard_coordinator::metrics::describe();
    callboard_offsets::metrics::describe();
    callboard_supervision::metrics::describe();
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Some(handle)
}
