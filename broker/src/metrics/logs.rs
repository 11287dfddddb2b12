//! Names of the topic logs' metrics and their help.

use metrics::{Unit, describe_gauge};

/// Records appended, by topic.
pub const BROKER_APPENDED_RECORDS_TOTAL: &str = "callboard_broker_appended_records_total";
/// Bytes appended, by topic.
pub const BROKER_APPENDED_BYTES_TOTAL: &str = "callboard_broker_appended_bytes_total";
/// Bytes of batches read for Fetch, by topic.
pub const BROKER_FETCHED_BYTES_TOTAL: &str = "callboard_broker_fetched_bytes_total";
/// Bytes of all segments, by topic.
pub const BROKER_LOG_SIZE_BYTES: &str = "callboard_broker_log_size_bytes";
/// Bytes cut off the ends of logs at the start.
pub const BROKER_LOG_TRUNCATED_BYTES_TOTAL: &str = "callboard_broker_log_truncated_bytes_total";
/// Partitions that take no appends because of a failure.
pub const BROKER_OFFLINE_PARTITIONS: &str = "callboard_broker_offline_partitions";

/// Registers help texts and units with the installed recorder.
pub(super) fn describe() {
    describe_gauge!(
        BROKER_OFFLINE_PARTITIONS,
        Unit::Count,
        "Partitions that are offline: damaged on disk, or the disk refused."
    );
}
