//! How one topic's logs behave: the broker's defaults with the topic's own settings laid over them.

use crate::log::LogError;

/// Which old records a topic drops (`cleanup.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// By age and size, whole files at a time.
    pub delete: bool,
    /// All but the newest of a key. Kept and shown; nothing compacts topics here, so such a topic keeps every record.
    pub compact: bool,
}

/// Whose clock is in the records (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampedBy {
    /// `CreateTime`: the producer's.
    Producer,
    /// `LogAppendTime`: the broker's, at the append.
    Broker,
}

/// Settings of the logs of one topic. Names are Kafka's topic settings with `.` as `_`; -1 of Kafka is `None` here.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LogConfig {
    /// `segment.bytes`: a file never grows beyond it; a batch larger than it is refused.
    pub segment_bytes: u64,
    /// `segment.ms`: a file whose first record is older than the record to append is closed.
    pub segment_ms: i64,
    /// `retention.ms`: a file whose newest record is older is deleted. None keeps for ever.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`: whole files are deleted until the partition is not larger. None has no bound.
    pub retention_bytes: Option<u64>,
    /// `max.message.bytes`: largest batch that is taken, header included.
    pub max_message_bytes: usize,
    /// `cleanup.policy`.
    pub cleanup: CleanupPolicy,
    /// `message.timestamp.type`.
    pub stamped_by: StampedBy,
    /// `message.timestamp.before.max.ms`: how far behind the broker's clock a record may be.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far ahead of the broker's clock a record may be; an hour in Kafka 4.
    pub timestamp_after_max_ms: i64,
    /// `index.interval.bytes`: bytes between two index entries of a file.
    pub index_interval_bytes: u64,
    /// `flush.messages`: records after which the log is forced to disk before it acknowledges.
    pub flush_messages: u64,
    /// `min.cleanable.dirty.ratio`: kept to be shown, for only `__consumer_offsets` is compacted.
    pub min_cleanable_dirty_ratio: f64,
    /// `producer.id.expiration.ms` of the broker: how long an idle idempotent producer is remembered.
    pub producer_expiration_ms: i64,
    /// `log.retention.check.interval.ms` of the broker.
    pub retention_check_interval_ms: u64,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            retention_ms: Some(604_800_000),
            retention_bytes: None,
            max_message_bytes: 1_048_588,
            cleanup: CleanupPolicy {
                delete: true,
                compact: false,
            },
            stamped_by: StampedBy::Producer,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            index_interval_bytes: 4_096,
            flush_messages: i64::MAX.unsigned_abs(),
            min_cleanable_dirty_ratio: 0.5,
            producer_expiration_ms: 86_400_000,
            retention_check_interval_ms: 300_000,
        }
    }
}

impl LogConfig {
    /// Whether a batch of `size` bytes may be appended.
    ///
    /// # Errors
    /// [`LogError::MessageTooLarge`], [`LogError::RecordListTooLarge`].
    pub(crate) fn takes_size(&self, size: usize) -> Result<(), LogError> {
        if size > self.max_message_bytes {
            return Err(LogError::MessageTooLarge {
                size,
                bound: self.max_message_bytes,
            });
        }
        if size as u64 > self.segment_bytes {
            return Err(LogError::RecordListTooLarge {
                size,
                bound: self.segment_bytes,
            });
        }
        Ok(())
    }

    /// Whether a record of `timestamp` may be appended at `now` (both milliseconds since 1970). As Kafka 4.2.0: the
    /// distance counts, each way with its own bound, and records without a timestamp pass. Overflow counts as too far.
    pub(crate) fn takes_timestamp(&self, timestamp: i64, now: i64) -> bool {
        if self.stamped_by == StampedBy::Broker || timestamp == super::NO_TIMESTAMP {
            return true;
        }
        let behind = now.saturating_sub(timestamp);
        if behind >= 0 {
            behind <= self.timestamp_before_max_ms
        } else {
            timestamp.saturating_sub(now) <= self.timestamp_after_max_ms
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_bounded_by_their_distance_to_now() {
        let mut config = LogConfig::default();
        let now = 1_700_000_000_000;
        assert!(config.takes_timestamp(0, now));
        assert!(config.takes_timestamp(-1, now));
        assert!(config.takes_timestamp(now + 3_600_000, now));
        assert!(!config.takes_timestamp(now + 3_600_001, now));
        assert!(!config.takes_timestamp(i64::MAX, now));
        config.timestamp_before_max_ms = 10;
        assert!(config.takes_timestamp(now - 10, now));
        assert!(!config.takes_timestamp(now - 11, now));
        assert!(!config.takes_timestamp(i64::MIN, now));
        config.stamped_by = StampedBy::Broker;
        assert!(config.takes_timestamp(i64::MAX, now));
    }
}
