//! Settings of the coordinators, named after Kafka's keys.

use std::time::Duration;

use callboard_offsets::compaction::CompactionConfig;

/// What coordinators can be told. The defaults are Kafka's.
#[derive(Clone, Debug, PartialEq)]
pub struct CoordinatorConfig {
    /// `group.initial.rebalance.delay.ms`: how long the first join of an Empty group waits for more members, again after
    /// each that came, bounded by the rebalance timeout. Zero answers a lone first member at once.
    pub group_initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`: shorter ones are refused.
    pub group_min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`: longer ones are refused. A dead member holds its partitions for that long.
    pub group_max_session_timeout: Duration,
    /// `group.max.size`: members of one group; one more is refused. Ids that are given out but not used do not count.
    pub group_max_size: usize,
    /// `offset.metadata.max.bytes`: longest note of a commit, counted in UTF-16 units as Kafka does. At most 32,767 bytes
    /// can be stored whatever this says.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.commit.timeout.ms`: how long a write may take before who waits for it is told to look for the
    /// coordinator again. The write may still land.
    pub offsets_commit_timeout: Duration,
    /// `offsets.retention.minutes`: how long offsets of a group without members are kept.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`: how often expired offsets and Empty groups without any are looked for.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.topic.num.partitions`: coordinators there are. Never changes once there are groups.
    pub offsets_topic_num_partitions: u32,
    /// When the partitions of `__consumer_offsets` are compacted.
    pub offsets_compaction: CompactionConfig,
}

impl Default for CoordinatorConfig {
    fn default() -> Self {
        Self {
            group_initial_rebalance_delay: Duration::from_secs(3),
            group_min_session_timeout: Duration::from_secs(6),
            group_max_session_timeout: Duration::from_secs(30 * 60),
            group_max_size: i32::MAX as usize,
            offset_metadata_max_bytes: 4096,
            offsets_commit_timeout: Duration::from_secs(5),
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offsets_retention_check_interval: Duration::from_secs(10 * 60),
            offsets_topic_num_partitions: 50,
            offsets_compaction: CompactionConfig::default(),
        }
    }
}
