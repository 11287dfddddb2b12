//! The broker's configuration in the words of topics and their logs.

use std::path::PathBuf;
use std::time::Duration;

use super::TopicsConfig;
use crate::BrokerConfig;
use crate::log::{LogConfig, StampedBy};

impl TopicsConfig {
    /// What the broker's configuration says of topics. `dir` is the directory of all topics; `internal` are topics
    /// whose records live elsewhere, with their number of partitions.
    #[must_use]
    pub fn of_broker(config: &BrokerConfig, dir: PathBuf, internal: Vec<(String, i32)>) -> Self {
        Self {
            dir,
            node_id: config.node_id,
            default_partitions: config.num_partitions,
            partitions_max: config.partitions_max,
            log: LogConfig::of_broker(config),
            internal,
        }
    }
}

impl LogConfig {
    /// The broker's defaults for logs; what has no key there has Kafka's default.
    #[must_use]
    pub fn of_broker(config: &BrokerConfig) -> Self {
        Self {
            segment_bytes: config.log_segment_bytes,
            segment_ms: millis(config.log_roll),
            retention_ms: config.log_retention.map(millis),
            retention_bytes: config.log_retention_bytes,
            max_message_bytes: config.message_max_bytes,
            stamped_by: if config.log_timestamp_append_time {
                StampedBy::Broker
            } else {
                StampedBy::Producer
            },
            index_interval_bytes: config.log_index_interval_bytes as u64,
            flush_messages: config.log_flush_interval_messages,
            min_cleanable_dirty_ratio: config.log_cleaner_min_cleanable_ratio,
            producer_expiration_ms: millis(config.producer_id_expiration),
            retention_check_interval_ms: millis(config.log_retention_check_interval).unsigned_abs(),
            ..Self::default()
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_defaults_are_kafkas() {
        let config = TopicsConfig::of_broker(&BrokerConfig::default(), PathBuf::new(), Vec::new());
        assert_eq!(config.log, LogConfig::default());
        assert_eq!(
            (config.default_partitions, config.partitions_max),
            (1, 20_000)
        );
    }
}
