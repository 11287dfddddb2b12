//! Names, units and help of what a client counts. Labels are bounded: results and Kafka's error names.

use metrics::{Unit, describe_counter, describe_histogram};

/// Connections made, by result: ok, failed.
pub const CLIENT_CONNECTIONS_TOTAL: &str = "callboard_client_connections_total";
/// Records produced, by result: ok, failed.
pub const PRODUCER_RECORDS_TOTAL: &str = "callboard_producer_records_total";
/// From handing a batch to the socket to its answer.
pub const PRODUCER_REQUEST_DURATION_SECONDS: &str = "callboard_producer_request_duration_seconds";
/// Batches sent again.
pub const PRODUCER_RETRIES_TOTAL: &str = "callboard_producer_retries_total";

/// Batches that were too large for their topic and split.
pub const PRODUCER_SPLITS_TOTAL: &str = "callboard_producer_splits_total";

/// Histogram buckets by name.
pub const BUCKETS: &[(&str, &[f64])] = &[(
    PRODUCER_REQUEST_DURATION_SECONDS,
    &[
        0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
    ],
)];

/// Registers help and units with the recorder in place.
pub fn describe() {
    describe_counter!(
        CLIENT_CONNECTIONS_TOTAL,
        Unit::Count,
        "Connections to brokers tried, by result"
    );
    describe_counter!(
        PRODUCER_RECORDS_TOTAL,
        Unit::Count,
        "Records produced, by result"
    );
    describe_histogram!(
        PRODUCER_REQUEST_DURATION_SECONDS,
        Unit::Seconds,
        "From sending a Produce request to its answer"
    );
    describe_counter!(
        PRODUCER_RETRIES_TOTAL,
        Unit::Count,
        "Batches sent again after a retriable error"
    );
    describe_counter!(
        PRODUCER_SPLITS_TOTAL,
        Unit::Count,
        "Batches that were too large for their topic and split"
    );
}
