//! When a file is closed and which files are deleted. Kafka 4.2.0's rules; every time is milliseconds since 1970.

use super::{LogConfig, NO_TIMESTAMP};

/// One segment as retention sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentFacts {
    pub(crate) size: u64,
    /// The newest timestamp of its records, or of the file itself when they have none.
    pub(crate) newest: i64,
}

/// How many of the oldest segments are past `retention.ms`. Stops at the first that is not: the log has no holes.
pub(crate) fn expired(segments: &[SegmentFacts], now: i64, config: &LogConfig) -> usize {
    let Some(retention) = config.retention_ms.filter(|_| config.cleanup.delete) else {
        return 0;
    };
    let past = |segment: &&SegmentFacts| {
        segment.size > 0 && now.saturating_sub(segment.newest) > retention
    };
    segments.iter().take_while(past).count()
}

/// How many of the oldest segments `retention.bytes` does not need: the log stays at least that large.
pub(crate) fn beyond_size(segments: &[SegmentFacts], config: &LogConfig) -> usize {
    let Some(bound) = config.retention_bytes.filter(|_| config.cleanup.delete) else {
        return 0;
    };
    let total: u64 = segments.iter().map(|segment| segment.size).sum();
    let mut excess = total.saturating_sub(bound);
    let mut count = 0;
    // The segment that is written to is not deleted for size.
    for segment in segments.iter().take(segments.len().saturating_sub(1)) {
        if segment.size > excess {
            break;
        }
        excess -= segment.size;
        count += 1;
    }
    count
}

/// Whether a batch of `size` bytes with `newest` goes to a new file: the open one is full, or its first record is older
/// than `segment.ms`, or its offsets would no longer fit in 31 bits from its base.
pub(crate) fn must_roll(
    open: &OpenSegment,
    size: u64,
    newest: i64,
    last_offset: i64,
    config: &LogConfig,
) -> bool {
    if open.size == 0 {
        return false;
    }
    let aged = open.first_timestamp != NO_TIMESTAMP
        && newest != NO_TIMESTAMP
        && newest.saturating_sub(open.first_timestamp) > config.segment_ms;
    open.size.saturating_add(size) > config.segment_bytes
        || aged
        || last_offset - open.base_offset > i64::from(i32::MAX)
}

/// The segment that is written to, as [`must_roll`] sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenSegment {
    pub(crate) base_offset: i64,
    pub(crate) size: u64,
    pub(crate) first_timestamp: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::core::CleanupPolicy;

    fn segments(facts: &[(u64, i64)]) -> Vec<SegmentFacts> {
        facts
            .iter()
            .map(|&(size, newest)| SegmentFacts { size, newest })
            .collect()
    }

    #[test]
    fn age_deletes_from_the_front_and_stops_at_the_first_young_one() {
        let config = LogConfig {
            retention_ms: Some(100),
            ..LogConfig::default()
        };
        let list = segments(&[(10, 0), (10, 50), (10, 200), (10, 20)]);
        assert_eq!(expired(&list, 100, &config), 0);
        assert_eq!(expired(&list, 101, &config), 1);
        assert_eq!(expired(&list, 151, &config), 2);
        assert_eq!(expired(&list, 301, &config), 4);
        assert_eq!(expired(&segments(&[(0, 0)]), 1_000, &config), 0);
    }

    #[test]
    fn size_keeps_at_least_the_bound_and_the_open_segment() {
        let config = LogConfig {
            retention_bytes: Some(25),
            ..LogConfig::default()
        };
        assert_eq!(
            beyond_size(&segments(&[(10, 0), (10, 0), (10, 0)]), &config),
            0
        );
        assert_eq!(
            beyond_size(&segments(&[(10, 0), (10, 0), (10, 0), (5, 0)]), &config),
            1
        );
        assert_eq!(beyond_size(&segments(&[(10, 0), (90, 0)]), &config), 1);
        let none = LogConfig {
            retention_bytes: Some(0),
            ..LogConfig::default()
        };
        assert_eq!(beyond_size(&segments(&[(10, 0), (90, 0)]), &none), 1);
    }

    #[test]
    fn nothing_is_deleted_without_the_delete_policy_or_a_bound() {
        let compact = CleanupPolicy {
            delete: false,
            compact: true,
        };
        let config = LogConfig {
            retention_ms: Some(0),
            retention_bytes: Some(0),
            cleanup: compact,
            ..LogConfig::default()
        };
        let list = segments(&[(10, 0), (10, 0)]);
        assert_eq!(
            (
                expired(&list, i64::MAX, &config),
                beyond_size(&list, &config)
            ),
            (0, 0)
        );
        let config = LogConfig {
            retention_ms: None,
            ..LogConfig::default()
        };
        assert_eq!(
            (
                expired(&list, i64::MAX, &config),
                beyond_size(&list, &config)
            ),
            (0, 0)
        );
    }

    #[test]
    fn a_file_is_closed_when_full_or_old_and_never_when_empty() {
        let config = LogConfig {
            segment_bytes: 100,
            segment_ms: 50,
            ..LogConfig::default()
        };
        let open = |size, first_timestamp| OpenSegment {
            base_offset: 10,
            size,
            first_timestamp,
        };
        assert!(!must_roll(&open(60, 0), 40, 50, 20, &config));
        assert!(must_roll(&open(60, 0), 41, 50, 20, &config));
        assert!(must_roll(&open(60, 0), 40, 51, 20, &config));
        assert!(!must_roll(&open(60, NO_TIMESTAMP), 40, 51, 20, &config));
        assert!(must_roll(
            &open(60, 0),
            40,
            50,
            11 + i64::from(i32::MAX),
            &config
        ));
        assert!(!must_roll(&open(0, 0), 4_000, 51, 20, &config));
    }
}
