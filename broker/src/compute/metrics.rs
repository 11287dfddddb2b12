//! Names of the pool's metrics and their help.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Jobs that have not ended.
pub(crate) const BROKER_COMPUTE_QUEUE_JOBS: &str = "callboard_broker_compute_queue_jobs";
/// What those that have begun hold.
pub(crate) const BROKER_COMPUTE_MEMORY_BYTES: &str = "callboard_broker_compute_memory_bytes";
/// From the moment a job came to its first slice.
pub(crate) const BROKER_COMPUTE_WAIT_SECONDS: &str = "callboard_broker_compute_wait_seconds";
/// Jobs that panicked.
pub(crate) const BROKER_COMPUTE_PANICS_TOTAL: &str = "callboard_broker_compute_panics_total";

/// Bucket bounds of the histogram, in seconds.
pub(crate) const BUCKETS: &[(&str, &[f64])] = &[(
    BROKER_COMPUTE_WAIT_SECONDS,
    &[0.000_1, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0],
)];

/// Registers help texts and units with the installed recorder.
pub(crate) fn describe() {
    describe_gauge!(
        BROKER_COMPUTE_QUEUE_JOBS,
        Unit::Count,
        "Pieces of work on bytes (record batches to unfold and check, large answers) that have not ended."
    );
    describe_gauge!(
        BROKER_COMPUTE_MEMORY_BYTES,
        Unit::Bytes,
        "What such work may hold between its turns, as far as it has begun (callboard.compute.memory.max.bytes)."
    );
    describe_histogram!(
        BROKER_COMPUTE_WAIT_SECONDS,
        Unit::Seconds,
        "How long such work waited for its first slice of a thread."
    );
    describe_counter!(
        BROKER_COMPUTE_PANICS_TOTAL,
        Unit::Count,
        "Such work that panicked: a fault of this program; who asked got an error."
    );
}
