//! Names of this crate's metrics, and the handles its shells keep. No label an outsider chooses.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, describe_gauge, describe_histogram, gauge, histogram,
};

use callboard_supervision::metrics::CounterFamily;

/// Time from handing an append to the engine to its landing.
pub const OFFSETS_APPEND_DURATION_SECONDS: &str = "callboard_offsets_append_duration_seconds";
/// Time of one flush.
pub const OFFSETS_FSYNC_DURATION_SECONDS: &str = "callboard_offsets_fsync_duration_seconds";
/// Appends that shared one flush.
pub const OFFSETS_BATCH_RECORDS: &str = "callboard_offsets_batch_records";
/// Records made durable.
pub const OFFSETS_APPENDED_RECORDS_TOTAL: &str = "callboard_offsets_appended_records_total";
/// Bytes made durable, framing included.
pub const OFFSETS_APPENDED_BYTES_TOTAL: &str = "callboard_offsets_appended_bytes_total";
/// Appends that failed, by kind.
pub const OFFSETS_APPEND_ERRORS_TOTAL: &str = "callboard_offsets_append_errors_total";
/// The kinds: the write or flush failed; no space; more than a batch holds; the partition is not led here or its writer
/// ended; too much waits.
pub const APPEND_ERROR_KINDS: [&str; 5] = ["io", "full", "too_large", "fenced", "unavailable"];
/// Appends that wait for their flush.
pub const OFFSETS_PENDING_COMMITS: &str = "callboard_offsets_pending_commits";
/// Live keys over all partitions.
pub const OFFSETS_LIVE_ENTRIES: &str = "callboard_offsets_live_entries";
/// Bytes of the log's segments and snapshots on disk.
pub const OFFSETS_LOG_SIZE_BYTES: &str = "callboard_offsets_log_size_bytes";
/// When the log was last flushed, seconds since the epoch.
pub const OFFSETS_LAST_FSYNC_TIMESTAMP_SECONDS: &str =
    "callboard_offsets_last_fsync_timestamp_seconds";
/// Frames or batches whose checksum did not fit.
pub const OFFSETS_CHECKSUM_FAILURES_TOTAL: &str = "callboard_offsets_checksum_failures_total";
/// Bytes of a torn tail cut off at start.
pub const OFFSETS_RECOVERY_TRUNCATED_BYTES_TOTAL: &str =
    "callboard_offsets_recovery_truncated_bytes_total";
/// Time to replay one partition.
pub const OFFSETS_LOAD_DURATION_SECONDS: &str = "callboard_offsets_load_duration_seconds";

/// Compactions of a partition, by how they ended.
pub const OFFSETS_COMPACTIONS_TOTAL: &str = "callboard_offsets_compactions_total";
/// Time of one of them.
pub const OFFSETS_COMPACTION_DURATION_SECONDS: &str =
    "callboard_offsets_compaction_duration_seconds";

/// Bucket bounds of this crate's histograms.
pub const BUCKETS: &[(&str, &[f64])] = &[
    (OFFSETS_APPEND_DURATION_SECONDS, SECONDS),
    (OFFSETS_FSYNC_DURATION_SECONDS, SECONDS),
    (
        OFFSETS_BATCH_RECORDS,
        &[
            1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0,
        ],
    ),
    (OFFSETS_LOAD_DURATION_SECONDS, LONG),
    (OFFSETS_COMPACTION_DURATION_SECONDS, LONG),
];

const LONG: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

const SECONDS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

const APPENDED_RECORDS: CounterFamily = CounterFamily::new(
    OFFSETS_APPENDED_RECORDS_TOTAL,
    Unit::Count,
    "Records made durable in the offsets log.",
    &[],
);
const APPENDED_BYTES: CounterFamily = CounterFamily::new(
    OFFSETS_APPENDED_BYTES_TOTAL,
    Unit::Bytes,
    "Bytes made durable in the offsets log, framing included.",
    &[],
);
const APPEND_ERRORS: CounterFamily = CounterFamily::new(
    OFFSETS_APPEND_ERRORS_TOTAL,
    Unit::Count,
    "Appends to the offsets log that failed, by kind.",
    &[("kind", &APPEND_ERROR_KINDS)],
);
const CHECKSUM_FAILURES: CounterFamily = CounterFamily::new(
    OFFSETS_CHECKSUM_FAILURES_TOTAL,
    Unit::Count,
    "Frames or batches of the offsets log whose checksum did not fit. Any increase means damaged storage.",
    &[],
);
const TRUNCATED_BYTES: CounterFamily = CounterFamily::new(
    OFFSETS_RECOVERY_TRUNCATED_BYTES_TOTAL,
    Unit::Bytes,
    "Bytes of a torn tail cut off when the offsets log was opened.",
    &[],
);
const COMPACTIONS: CounterFamily = CounterFamily::new(
    OFFSETS_COMPACTIONS_TOTAL,
    Unit::Count,
    "Compactions of a partition of __consumer_offsets, by how they ended. Anything but ok lets the log grow.",
    &[("result", &["ok", "full", "corrupt", "failed"])],
);

/// The counters of this crate. Whoever starts writers makes all their series first.
pub const COUNTERS: &[CounterFamily] = &[
    APPENDED_RECORDS,
    APPENDED_BYTES,
    APPEND_ERRORS,
    CHECKSUM_FAILURES,
    TRUNCATED_BYTES,
    COMPACTIONS,
];

/// Registers help and units with the recorder in place.
pub fn describe() {
    for family in COUNTERS {
        family.describe();
    }
    describe_histogram!(
        OFFSETS_APPEND_DURATION_SECONDS,
        Unit::Seconds,
        "From handing an append to the engine to its landing, flush included."
    );
    describe_histogram!(
        OFFSETS_FSYNC_DURATION_SECONDS,
        Unit::Seconds,
        "One flush of the offsets log."
    );
    describe_histogram!(
        OFFSETS_BATCH_RECORDS,
        Unit::Count,
        "Appends that shared one flush of the offsets log."
    );
    describe_gauge!(
        OFFSETS_PENDING_COMMITS,
        Unit::Count,
        "Appends that wait for their flush."
    );
    describe_gauge!(
        OFFSETS_LIVE_ENTRIES,
        Unit::Count,
        "Live keys of __consumer_offsets: committed offsets and persisted groups."
    );
    describe_gauge!(
        OFFSETS_LOG_SIZE_BYTES,
        Unit::Bytes,
        "Disk space of the offsets log: its segments, reserved ones included, and the snapshots of its partitions."
    );
    describe_gauge!(
        OFFSETS_LAST_FSYNC_TIMESTAMP_SECONDS,
        Unit::Seconds,
        "When the offsets log was last flushed, since the epoch."
    );
    describe_histogram!(
        OFFSETS_LOAD_DURATION_SECONDS,
        Unit::Seconds,
        "Replay of one partition of __consumer_offsets."
    );
    describe_histogram!(
        OFFSETS_COMPACTION_DURATION_SECONDS,
        Unit::Seconds,
        "Compaction of one partition of __consumer_offsets; commits go on meanwhile."
    );
}

/// The handles of one writer, and what it has contributed to the gauges all writers share. Dropped with the writer,
/// however it ended, it takes its part back.
pub(crate) struct WriterMeter {
    append_duration: Histogram,
    appended_records: Counter,
    pending: Part,
    live: Part,
    load_duration: Histogram,
}

impl WriterMeter {
    pub(crate) fn new() -> Self {
        Self {
            append_duration: histogram!(OFFSETS_APPEND_DURATION_SECONDS),
            appended_records: APPENDED_RECORDS.with(&[]),
            pending: Part::of(gauge!(OFFSETS_PENDING_COMMITS)),
            live: Part::of(gauge!(OFFSETS_LIVE_ENTRIES)),
            load_duration: histogram!(OFFSETS_LOAD_DURATION_SECONDS),
        }
    }

    pub(crate) fn loaded(&mut self, took: Duration, live: usize) {
        self.load_duration.record(took);
        self.live.set(live);
    }

    pub(crate) fn landed(&mut self, records: u64, took: Duration) {
        self.appended_records.increment(records);
        self.append_duration.record(took);
    }

    pub(crate) fn pending(&mut self, appends: usize) {
        self.pending.set(appends);
    }

    pub(crate) fn live(&mut self, entries: usize) {
        self.live.set(entries);
    }
}

/// One writer's part of a gauge.
struct Part {
    gauge: Gauge,
    value: usize,
}

impl Part {
    fn of(gauge: Gauge) -> Self {
        Self { gauge, value: 0 }
    }

    fn set(&mut self, value: usize) {
        if value != self.value {
            self.gauge.increment(value as f64 - self.value as f64);
            self.value = value;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// The handles of one journal.
pub(crate) struct JournalMetrics {
    pub(crate) fsync_duration: Histogram,
    pub(crate) batch_appends: Histogram,
    pub(crate) appended_bytes: Counter,
    pub(crate) log_size: Gauge,
    pub(crate) last_fsync: Gauge,
    pub(crate) checksum_failures: Counter,
    pub(crate) truncated_bytes: Counter,
}

impl JournalMetrics {
    pub(crate) fn new() -> Self {
        Self {
            fsync_duration: histogram!(OFFSETS_FSYNC_DURATION_SECONDS),
            batch_appends: histogram!(OFFSETS_BATCH_RECORDS),
            appended_bytes: APPENDED_BYTES.with(&[]),
            log_size: gauge!(OFFSETS_LOG_SIZE_BYTES),
            last_fsync: gauge!(OFFSETS_LAST_FSYNC_TIMESTAMP_SECONDS),
            checksum_failures: CHECKSUM_FAILURES.with(&[]),
            truncated_bytes: TRUNCATED_BYTES.with(&[]),
        }
    }
}

/// The handles of the compactor.
pub(crate) struct CompactionMeter {
    duration: Histogram,
}

impl CompactionMeter {
    pub(crate) fn new() -> Self {
        Self {
            duration: histogram!(OFFSETS_COMPACTION_DURATION_SECONDS),
        }
    }

    pub(crate) fn ended(&self, result: &'static str, took: Duration) {
        COMPACTIONS.with(&[result]).increment(1);
        self.duration.record(took);
    }
}

/// Counts a failed append.
pub(crate) fn append_failed(kind: &'static str) {
    APPEND_ERRORS.with(&[kind]).increment(1);
}
