//! The table of keys: name, kind and bounds, default, documentation, and the field it sets. Defaults are Apache Kafka
//! 4.2's unless the text says otherwise; keys of our own begin with `callboard.`.

use std::time::Duration;

use super::value::{Kind, Shown, Value};
use super::{BrokerConfig, ConfigError};

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Key {
    /// The name, as Kafka spells it.
    pub name: &'static str,
    /// Other names of the same setting.
    pub aliases: &'static [&'static str],
    /// What it takes, with bounds.
    pub kind: Kind,
    /// The default, spelled as a user would.
    pub default: &'static str,
    /// Meaning, unit, and what happens at the extremes.
    pub doc: &'static str,
    apply: fn(&mut BrokerConfig, Value) -> Option<()>,
    show: fn(&BrokerConfig) -> Shown,
}

impl Key {
    /// The key of that name or alias.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter()
            .find(|key| key.name == name || key.aliases.contains(&name))
    }

    /// What `config` has for this key, spelled as a user would. Where several keys set one field, each shows it in its own
    /// unit, rounded down.
    #[must_use]
    pub fn value(&self, config: &BrokerConfig) -> String {
        match (self.show)(config) {
            Shown::Text(text) => text,
            Shown::Switch(on) => match self.kind {
                Kind::Choice([no, yes]) => (if on { *yes } else { *no }).to_owned(),
                _ => on.to_string(),
            },
            Shown::Time(None) => "-1".to_owned(),
            Shown::Time(Some(time)) => {
                let unit = match self.name.rsplit_once('.') {
                    Some((_, "hours")) => 3_600_000,
                    Some((_, "minutes")) => 60_000,
                    _ => 1,
                };
                (time.as_millis() / unit).to_string()
            }
        }
    }

    /// Whether `config` was given a value for this key, be it the default.
    #[must_use]
    pub fn is_given(&self, config: &BrokerConfig) -> bool {
        if config.given.contains(self.name) {
            return true;
        }
        // Fields can be set without a key, and by another key of theirs.
        let of_field = |key: &&Key| config.given.contains(key.name) && key.sets_field_of(self);
        !KEYS.iter().any(|key| of_field(&key))
            && self.value(config) != self.value(&BrokerConfig::default())
    }

    /// Whether both keys are one setting in two units.
    fn sets_field_of(&self, other: &Key) -> bool {
        let stem = |key: &Key| match key.name.rsplit_once('.') {
            Some((stem, "ms" | "minutes" | "hours")) => stem,
            _ => key.name,
        };
        stem(self) == stem(other)
    }

    pub(super) fn set(&self, config: &mut BrokerConfig, text: &str) -> Result<(), ConfigError> {
        let parsed = self
            .kind
            .parse(text)
            .and_then(|value| (self.apply)(config, value));
        parsed.ok_or_else(|| ConfigError::Invalid {
            key: self.name.to_owned(),
            value: text.to_owned(),
            reason: self.kind.to_string(),
        })
    }
}

const INT_MAX: i64 = i32::MAX as i64;

const fn number(min: i64, max: i64) -> Kind {
    Kind::Number { min, max }
}

/// One line a key: name (and aliases), kind, default, documentation, the field from the value `v`.
macro_rules! keys {
    ($( $name:literal $(| $alias:literal)*, $kind:expr, $default:literal, $doc:literal, |$c:ident, $v:ident| $field:expr => $value:expr; )*) => {
        /// Every key the broker knows.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name,
            aliases: &[$($alias),*],
            kind: $kind,
            default: $default,
            doc: $doc,
            apply: |$c, $v| { $field = $value?; Some(()) },
            show: |$c| Shown::from(&$field),
        }),*];
    };
}

/// -1 is Kafka's word for "no limit".
fn unless_minus_one<T>(value: Value, make: impl Fn(u64) -> T) -> Option<Option<T>> {
    let number: i64 = value.number()?;
    Some(u64::try_from(number).ok().map(make))
}

fn non_empty(value: Value) -> Option<Option<String>> {
    value
        .text()
        .map(|text| Some(text).filter(|text| !text.is_empty()))
}

keys! {
    "listeners", Kind::Address, "127.0.0.1:9092", "Where the broker listens, HOST:PORT; one listener, plaintext. An empty host is every interface, of IPv4 and IPv6; port 0 picks a free one. Kafka's default is :9092.", |c, v| c.listeners => v.address()?;
    "advertised.listeners", Kind::Address, "", "The address clients are told; no wildcard. Empty, or without a host: the address they connected to, where Kafka takes the name of the machine.", |c, v| c.advertised_listeners => v.address();
    "callboard.admin.listener", Kind::Address, "127.0.0.1:9464", "Where /metrics, /healthz and /readyz are served. Empty: nowhere.", |c, v| c.admin_listener => v.address();
    "callboard.metrics.max.series", number(0, INT_MAX), "50000", "Most series with a topic for a label that /metrics shows; topics with the least traffic are left out first, and counted in callboard_metrics_series_dropped_total.", |c, v| c.metrics_max_series => v.number();
    "node.id" | "broker.id", number(0, INT_MAX), "1", "The id of this broker in Metadata. Kafka has no default.", |c, v| c.node_id => v.number();
    "cluster.id", Kind::Text, "", "The id of the cluster. Empty: made once and kept in the data directory.", |c, v| c.cluster_id => non_empty(v);
    "log.dirs" | "log.dir", Kind::Text, "callboard-data", "The data directory; one process at a time. Kafka's default is /tmp/kafka-logs.", |c, v| c.data_dir => v.text().filter(|text| !text.is_empty()).map(Into::into);
    "num.partitions", number(1, 10_000), "1", "Partitions of a topic that is created without a number.", |c, v| c.num_partitions => v.number();
    "auto.create.topics.enable", Kind::Switch, "true", "Whether asking for a topic in Metadata creates it, where the client allows it.", |c, v| c.auto_create_topics => v.switch();
    "message.max.bytes", number(1_024, 67_108_864), "1048588", "Largest record batch that Produce takes, in bytes; a larger one is answered MESSAGE_TOO_LARGE.", |c, v| c.message_max_bytes => v.number();
    "socket.request.max.bytes", number(1_024, INT_MAX), "104857600", "Largest request frame in bytes; a larger one closes the connection before anything is allocated for it.", |c, v| c.socket_request_max_bytes => v.number();
    "socket.listen.backlog.size", number(1, 65_535), "50", "Connections the system keeps before they are accepted.", |c, v| c.socket_listen_backlog => v.number();
    "max.connections", number(1, INT_MAX), "10000", "Connections at a time; one more is closed as it is accepted. The last 16 of them, or half if there are fewer than 32, are for the loopback. Kafka's default is 2147483647.", |c, v| c.max_connections => v.number();
    "max.connections.per.ip", number(1, INT_MAX), "2147483647", "Connections at a time from one address.", |c, v| c.max_connections_per_ip => v.number();
    "max.connections.per.ip.overrides", Kind::Text, "", "Connections at a time from some addresses, HOST:COUNT,HOST:COUNT; names are looked up at the start.", |c, v| c.max_connections_per_ip_overrides => non_empty(v);
    "callboard.admin.max.connections", number(1, 65_535), "100", "Connections to the admin port at a time; one more takes the place of who has been without an answer longest.", |c, v| c.admin_max_connections => v.number();
    "callboard.admin.idle.timeout.ms", number(100, INT_MAX), "10000", "A connection to the admin port that has been sent nothing for so long, since it was accepted or since the last answer, is closed: a whole request has to come, and be answered, in that time. Milliseconds.", |c, v| c.admin_idle_timeout => v.millis();
    "connections.max.idle.ms", number(100, i64::MAX / 1_000_000), "600000", "A connection without a request in work and without a byte for so long is closed. Milliseconds.", |c, v| c.connections_max_idle => v.millis();
    "callboard.frame.timeout.ms", number(100, INT_MAX), "30000", "A connection that has begun a request and sends no more of it for so long is closed. Milliseconds.", |c, v| c.frame_timeout => v.millis();
    "queued.max.request.bytes", number(65_536, i64::MAX / 4), "134217728", "Bytes of requests, complete or not, that all connections together may hold. Who needs more waits; under pressure the connection that holds most and sends least is closed. A sixteenth is kept for small requests. Kafka's default is -1, no bound.", |c, v| c.queued_max_request_bytes => v.number();
    "callboard.queued.max.response.bytes", number(1_048_576, i64::MAX / 4), "134217728", "Bytes of answers that all connections together may hold until their clients take them. A large answer is paid for before it is made: a Fetch brings less, others wait; an answer that alone is larger closes its connection. Under pressure the connection that holds most and takes least is closed. A sixteenth is kept for small answers.", |c, v| c.queued_max_response_bytes => v.number();
    "callboard.connection.max.response.bytes", number(65_536, i64::MAX / 4), "67108864", "Bytes of answers that one connection may hold until its client takes them; beyond it none of its requests is started.", |c, v| c.connection_max_response_bytes => v.number();
    "callboard.large.responses.max", number(1, 96), "8", "Answers that may be large (ListGroups, DescribeGroups, DescribeConfigs, Metadata, OffsetFetch or CreateTopics of many) that are made at a time, each on a thread of its own; others wait. What they are made of is in no budget.", |c, v| c.large_responses_max => v.number();
    "callboard.large.group.requests.max", number(1, 32), "2", "Requests of more than 16 KiB about groups (DescribeGroups, DeleteGroups, OffsetFetch) that are worked on at a time; others wait. What is read of one takes several times its bytes.", |c, v| c.large_group_requests_max => v.number();
    "callboard.large.group.requests.lot", number(1, 100_000), "1000", "Groups of one such request that its coordinators are asked for at a time. Other requests come between.", |c, v| c.large_group_requests_lot => v.number();
    "callboard.connection.max.requests", number(1, 100_000), "100", "Requests of one connection in work at a time; beyond it the socket is not read.", |c, v| c.connection_max_requests => v.number();
    "callboard.connection.max.request.bytes", number(1_024, INT_MAX), "104857600", "Bytes of requests that one connection may hold; beyond it the socket is not read.", |c, v| c.connection_max_request_bytes => v.number();
    "callboard.compute.threads", number(0, 128), "0", "Threads that unfold and check large or compressed record batches and do other long work on bytes. 0: one less than the machine has processors, at least one and at most 128.", |c, v| c.compute_threads => v.number();
    "callboard.compute.queue.max", number(1, 1_000_000), "1000", "Pieces of such work in the queue of those threads; a connection that brings more is not served further until its work is done.", |c, v| c.compute_queue_max => v.number();
    "callboard.compute.memory.max.bytes", number(1_048_576, i64::MAX / 4), "268435456", "Bytes that such work may hold while it waits for its turn to go on (a window of zstd may be 128 MiB); what needs more waits, unless it is the only one. Work that holds up to 256 KiB has a quarter of this for itself.", |c, v| c.compute_memory_max_bytes => v.number();
    "fetch.max.bytes", number(1_024, INT_MAX), "57671680", "Most bytes of records in one Fetch answer, whatever the client asks; the first batch is always sent.", |c, v| c.fetch_max_bytes => v.number();
    "callboard.fetch.max.wait.ms", number(0, INT_MAX), "60000", "Longest wait of a Fetch, whatever the client asks. Milliseconds.", |c, v| c.fetch_max_wait => v.millis();
    "callboard.fetch.reads.max", number(1, 128), "16", "Fetches that read from the disk at a time, each on a thread of its own; others wait, and so do searches by timestamp in __consumer_offsets. Up to 64 KiB of what was appended last are read without one.", |c, v| c.fetch_reads_max => v.number();
    "callboard.create.topics.max.wait.ms", number(0, INT_MAX), "60000", "Longest wait of a CreateTopics for a name whose deleted topic is not forgotten by every offsets partition, whatever the client asks; then it is answered REQUEST_TIMED_OUT. Milliseconds.", |c, v| c.create_topics_max_wait => v.millis();
    "max.incremental.fetch.session.cache.slots", number(0, 100_000), "1000", "Fetch sessions (KIP-227) that are kept at a time; who finds no place is served without one. 0: none. Kafka's upper bound is 2147483647.", |c, v| c.fetch_session_slots => v.number();
    "callboard.partitions.max", number(1, 1_000_000), "20000", "Partitions of all topics together; a topic beyond it is refused with INVALID_PARTITIONS.", |c, v| c.partitions_max => v.number();

    "group.initial.rebalance.delay.ms", number(0, INT_MAX), "3000", "How long the first join of an empty group waits for more members. Milliseconds.", |c, v| c.group_initial_rebalance_delay => v.millis();
    "group.min.session.timeout.ms", number(1, INT_MAX), "6000", "Shortest session timeout a member may ask for. Milliseconds.", |c, v| c.group_min_session_timeout => v.millis();
    "group.max.session.timeout.ms", number(1, INT_MAX), "1800000", "Longest session timeout a member may ask for. Milliseconds.", |c, v| c.group_max_session_timeout => v.millis();
    "group.max.size", number(1, INT_MAX), "2147483647", "Members of one group; one more is answered GROUP_MAX_SIZE_REACHED.", |c, v| c.group_max_size => v.number();
    "offset.metadata.max.bytes", number(0, INT_MAX), "4096", "Longest metadata of an offset commit, in UTF-16 units as Kafka counts.", |c, v| c.offset_metadata_max_bytes => v.number();
    "offsets.commit.timeout.ms", number(1, INT_MAX), "5000", "How long a coordinator write may take before it is answered with an error. Milliseconds.", |c, v| c.offsets_commit_timeout => v.millis();
    "offsets.retention.minutes", number(1, INT_MAX), "10080", "How long offsets of a group without members are kept.", |c, v| c.offsets_retention => v.number().map(|minutes: u64| Duration::from_secs(minutes * 60));
    "offsets.retention.check.interval.ms", number(1, i64::MAX / 1_000_000), "600000", "How often expired offsets and empty groups are looked for. Milliseconds.", |c, v| c.offsets_retention_check_interval => v.millis();
    "offsets.topic.num.partitions", number(1, 10_000), "50", "Partitions of __consumer_offsets. Fixed when the data directory is first used.", |c, v| c.offsets_topic_num_partitions => v.number();
    "offsets.topic.segment.bytes", number(16_384, 1 << 30), "16777216", "Size of a file of the journal under __consumer_offsets, which all its partitions share; three are made at the first start. Kafka's default is 104857600.", |c, v| c.offsets_topic_segment_bytes => v.number();
    "callboard.offsets.batch.max.bytes", number(1_024, 1 << 30), "8388608", "Largest batch of __consumer_offsets in bytes: the members of one group with their metadata and assignments, or one commit. Where it is passed the group cannot become stable, or the commit is answered with an error. Not more than a file of offsets.topic.segment.bytes holds. Shown as max.message.bytes of the topic, which in Kafka is 1048588.", |c, v| c.offsets_batch_max_bytes => v.number();
    "log.cleaner.enable", Kind::Switch, "true", "Whether __consumer_offsets is compacted. Without it the journal grows with every commit, and so does the time to start. Other topics are not compacted here.", |c, v| c.log_cleaner_enable => v.switch();
    "log.cleaner.backoff.ms", number(1, i64::MAX / 1_000_000), "15000", "How long compaction rests when no partition of __consumer_offsets is worth it. Kafka takes 0 too. Milliseconds.", |c, v| c.log_cleaner_backoff => v.millis();
    "log.cleaner.min.cleanable.ratio", Kind::Fraction, "0.5", "Share of a partition of __consumer_offsets that must have been written since it was compacted. Low ones rewrite live entries often, high ones keep dead ones long.", |c, v| c.log_cleaner_min_cleanable_ratio => v.fraction();
    "callboard.offsets.compaction.min.bytes", number(0, i64::MAX), "1048576", "Bytes that must have been written to a partition of __consumer_offsets before it is compacted.", |c, v| c.offsets_compaction_min_bytes => v.number();
    "callboard.offsets.compaction.pinned.bytes", number(0, i64::MAX), "67108864", "Bytes of the journal that partitions of __consumer_offsets which are hardly written to may keep from being freed; beyond it, and beyond the size of all live entries, they are compacted early.", |c, v| c.offsets_compaction_pinned_bytes => v.number();
    "offsets.topic.replication.factor", number(1, 1), "1", "One node keeps one copy. Kafka's default is 3.", |c, v| c.offsets_topic_replication_factor => v.number();
    "default.replication.factor", number(1, 1), "1", "One node keeps one copy.", |c, v| c.default_replication_factor => v.number();

    "log.segment.bytes", number(1_048_576, INT_MAX), "1073741824", "Size at which a topic log starts a new file.", |c, v| c.log_segment_bytes => v.number();
    "log.roll.ms", number(1, i64::MAX / 1_000_000), "604800000", "Age at which a topic log starts a new file. Milliseconds.", |c, v| c.log_roll => v.millis();
    "log.roll.hours", number(1, INT_MAX), "168", "The same in hours.", |c, v| c.log_roll => v.number().map(|hours: u64| Duration::from_secs(hours * 3_600));
    "log.retention.ms", number(-1, i64::MAX / 1_000_000), "604800000", "How long records are kept, by the newest timestamp of their file; -1 for ever. Milliseconds.", |c, v| c.log_retention => unless_minus_one(v, Duration::from_millis);
    "log.retention.minutes", number(-1, INT_MAX), "10080", "The same in minutes.", |c, v| c.log_retention => unless_minus_one(v, |minutes| Duration::from_secs(minutes * 60));
    "log.retention.hours", number(-1, INT_MAX), "168", "The same in hours.", |c, v| c.log_retention => unless_minus_one(v, |hours| Duration::from_secs(hours * 3_600));
    "log.retention.bytes", number(-1, i64::MAX), "-1", "Size a partition's log is cut down to, whole files at a time; -1 for no bound.", |c, v| c.log_retention_bytes => unless_minus_one(v, |bytes| bytes);
    "log.retention.check.interval.ms", number(1, i64::MAX / 1_000_000), "300000", "How often retention looks. Milliseconds.", |c, v| c.log_retention_check_interval => v.millis();
    "log.index.interval.bytes", number(0, INT_MAX), "4096", "Bytes of a topic log between two entries of its indexes.", |c, v| c.log_index_interval_bytes => v.number();
    "log.flush.interval.messages", number(1, i64::MAX), "9223372036854775807", "Records after which a topic log is forced to disk; 1 forces every batch before it is acknowledged.", |c, v| c.log_flush_interval_messages => v.number();
    "log.message.timestamp.type", Kind::Choice(&["CreateTime", "LogAppendTime"]), "CreateTime", "Whether records keep the producer's timestamp or get the broker's.", |c, v| c.log_timestamp_append_time => v.text().map(|kind| kind == "LogAppendTime");
    "producer.id.expiration.ms", number(1, i64::MAX / 1_000_000), "86400000", "How long a partition remembers an idle idempotent producer. Milliseconds.", |c, v| c.producer_id_expiration => v.millis();
}
