//! The broker's configuration: Kafka's own keys, typed. Built by the embedding program or the command line, read
//! everywhere, never changed once the broker runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use callboard_offsets::journal::segment_holds;
use callboard_offsets::log::BATCH_BYTES_MAX_KEY;

mod keys;
mod value;

#[cfg(test)]
mod tests;

pub use keys::{KEYS, Key};
pub use value::{Kind, ListenAddress};

/// Every setting, with Kafka's meaning. [`KEYS`] has key, default, bounds and documentation of each field; a field is
/// set by its key with [`set`](Self::set), or directly. [`validate`](Self::validate) runs once, in `Broker::start`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "each field is documented once, in KEYS, under its key"
)]
pub struct BrokerConfig {
    pub listeners: ListenAddress,
    pub advertised_listeners: Option<ListenAddress>,
    pub admin_listener: Option<ListenAddress>,
    /// `callboard.metrics.max.series`.
    pub metrics_max_series: usize,
    pub node_id: i32,
    pub cluster_id: Option<String>,
    pub data_dir: PathBuf,
    pub num_partitions: i32,
    pub auto_create_topics: bool,
    pub message_max_bytes: usize,
    pub socket_request_max_bytes: usize,
    pub socket_listen_backlog: u32,
    pub max_connections: usize,
    pub max_connections_per_ip: usize,
    pub max_connections_per_ip_overrides: Option<String>,
    pub admin_max_connections: usize,
    pub admin_idle_timeout: Duration,
    pub connections_max_idle: Duration,
    pub frame_timeout: Duration,
    pub queued_max_request_bytes: usize,
    pub connection_max_requests: usize,
    pub connection_max_request_bytes: usize,
    pub compute_threads: usize,
    pub compute_queue_max: usize,
    pub compute_memory_max_bytes: usize,
    pub fetch_reads_max: usize,
    pub queued_max_response_bytes: usize,
    pub connection_max_response_bytes: usize,
    pub large_responses_max: usize,
    pub large_group_requests_max: usize,
    pub large_group_requests_lot: usize,
    pub fetch_max_bytes: usize,
    pub fetch_max_wait: Duration,
    pub create_topics_max_wait: Duration,
    pub fetch_session_slots: usize,
    pub partitions_max: usize,

    pub group_initial_rebalance_delay: Duration,
    pub group_min_session_timeout: Duration,
    pub group_max_session_timeout: Duration,
    pub group_max_size: usize,
    pub offset_metadata_max_bytes: usize,
    pub offsets_commit_timeout: Duration,
    pub offsets_retention: Duration,
    pub offsets_retention_check_interval: Duration,
    pub offsets_topic_num_partitions: u32,
    pub offsets_topic_segment_bytes: u64,
    pub offsets_batch_max_bytes: usize,
    pub log_cleaner_enable: bool,
    pub log_cleaner_backoff: Duration,
    pub log_cleaner_min_cleanable_ratio: f64,
    pub offsets_compaction_min_bytes: u64,
    pub offsets_compaction_pinned_bytes: u64,
    pub offsets_topic_replication_factor: i16,
    pub default_replication_factor: i16,

    pub log_segment_bytes: u64,
    pub log_roll: Duration,
    pub log_retention: Option<Duration>,
    pub log_retention_bytes: Option<u64>,
    pub log_retention_check_interval: Duration,
    pub log_index_interval_bytes: usize,
    pub log_flush_interval_messages: u64,
    pub log_timestamp_append_time: bool,
    pub producer_id_expiration: Duration,

    /// Names of the keys that were set, whatever to.
    pub(crate) given: BTreeSet<&'static str>,
}

impl Default for BrokerConfig {
    /// Every key at its default.
    fn default() -> Self {
        let mut config = Self {
            listeners: ListenAddress {
                host: String::new(),
                port: 0,
            },
            advertised_listeners: None,
            admin_listener: None,
            metrics_max_series: 0,
            node_id: 0,
            cluster_id: None,
            data_dir: PathBuf::new(),
            num_partitions: 0,
            auto_create_topics: false,
            message_max_bytes: 0,
            socket_request_max_bytes: 0,
            socket_listen_backlog: 0,
            max_connections: 0,
            max_connections_per_ip: 0,
            max_connections_per_ip_overrides: None,
            admin_max_connections: 0,
            admin_idle_timeout: Duration::ZERO,
            connections_max_idle: Duration::ZERO,
            frame_timeout: Duration::ZERO,
            queued_max_request_bytes: 0,
            connection_max_requests: 0,
            connection_max_request_bytes: 0,
            compute_threads: 0,
            compute_queue_max: 0,
            compute_memory_max_bytes: 0,
            fetch_reads_max: 0,
            queued_max_response_bytes: 0,
            connection_max_response_bytes: 0,
            large_responses_max: 0,
            large_group_requests_max: 0,
            large_group_requests_lot: 0,
            fetch_max_bytes: 0,
            fetch_max_wait: Duration::ZERO,
            create_topics_max_wait: Duration::ZERO,
            fetch_session_slots: 0,
            partitions_max: 0,
            group_initial_rebalance_delay: Duration::ZERO,
            group_min_session_timeout: Duration::ZERO,
            group_max_session_timeout: Duration::ZERO,
            group_max_size: 0,
            offset_metadata_max_bytes: 0,
            offsets_commit_timeout: Duration::ZERO,
            offsets_retention: Duration::ZERO,
            offsets_retention_check_interval: Duration::ZERO,
            offsets_topic_num_partitions: 0,
            offsets_topic_segment_bytes: 0,
            offsets_batch_max_bytes: 0,
            log_cleaner_enable: false,
            log_cleaner_backoff: Duration::ZERO,
            log_cleaner_min_cleanable_ratio: 0.0,
            offsets_compaction_min_bytes: 0,
            offsets_compaction_pinned_bytes: 0,
            offsets_topic_replication_factor: 0,
            default_replication_factor: 0,
            log_segment_bytes: 0,
            log_roll: Duration::ZERO,
            log_retention: None,
            log_retention_bytes: None,
            log_retention_check_interval: Duration::ZERO,
            log_index_interval_bytes: 0,
            log_flush_interval_messages: 0,
            log_timestamp_append_time: false,
            producer_id_expiration: Duration::ZERO,
            given: BTreeSet::new(),
        };
        for key in KEYS {
            if let Err(error) = key.set(&mut config, key.default) {
                unreachable!("a default of the table is within its own bounds: {error}");
            }
        }
        config
    }
}

/// What is wrong with a setting. Each reads as one clear sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No such key here.
    #[error("unknown configuration key {key:?}{}", nearest.map(|near| format!(", did you mean {near:?}?")).unwrap_or_default())]
    UnknownKey {
        /// The key as it was given.
        key: String,
        /// The known key that resembles it most, if one does.
        nearest: Option<&'static str>,
    },
    /// The value is not one of the key's kind, or out of its bounds.
    #[error("{key} = {value:?} is not valid: {reason}")]
    Invalid {
        /// The key.
        key: String,
        /// The value as it was given.
        value: String,
        /// What it must be.
        reason: String,
    },
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The configuration file is not TOML.
    #[error(
        "the configuration file is not valid TOML: {reason}; a key that is also the beginning of another needs quotes, as in \"broker.id\" = 1"
    )]
    Toml {
        /// The parser's words, in one line.
        reason: String,
    },
}

impl BrokerConfig {
    /// Sets one key, as `--set key=value` does.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`] with the nearest known key, [`ConfigError::Invalid`] with what the value must be.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let key = key.trim();
        match Key::find(key) {
            Some(known) => {
                known.set(self, value.trim())?;
                self.given.insert(known.name);
                Ok(())
            }
            None => Err(ConfigError::UnknownKey {
                key: key.to_owned(),
                nearest: nearest(key),
            }),
        }
    }

    /// Sets every key of a TOML text. `group.max.size = 5`, `"group.max.size" = 5` and `[group.max] size = 5` are the
    /// same; arrays are Kafka's lists.
    ///
    /// # Errors
    /// The first [`ConfigError`] met.
    pub fn set_toml(&mut self, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = toml::from_str(text).map_err(|error| ConfigError::Toml {
            reason: error.message().replace('\n', " "),
        })?;
        self.set_table("", &table)
    }

    /// Reads a TOML file as [`set_toml`](Self::set_toml) does.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], or as [`set_toml`](Self::set_toml).
    pub fn set_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        self.set_toml(&text)
    }

    fn set_table(&mut self, prefix: &str, table: &toml::Table) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            match value {
                toml::Value::Table(inner) => self.set_table(&key, inner)?,
                toml::Value::Array(items) => {
                    let items: Vec<String> = items.iter().map(scalar).collect();
                    self.set(&key, &items.join(","))?;
                }
                value => self.set(&key, &scalar(value))?,
            }
        }
        Ok(())
    }

    /// What no single key can tell.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] naming one of the keys that contradict each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |key: &str, value: String, reason: &str| {
            Err(ConfigError::Invalid {
                key: key.to_owned(),
                value,
                reason: reason.to_owned(),
            })
        };
        if let Some(address) = &self.advertised_listeners
            && address.is_wildcard()
        {
            return invalid(
                "advertised.listeners",
                address.to_string(),
                "clients cannot connect to every interface; name one address, or leave it empty: they are told the one they connected to",
            );
        }
        if self.group_min_session_timeout > self.group_max_session_timeout {
            let value = self.group_min_session_timeout.as_millis().to_string();
            return invalid(
                "group.min.session.timeout.ms",
                value,
                "must not exceed group.max.session.timeout.ms",
            );
        }
        if self.connection_max_request_bytes > self.queued_max_request_bytes {
            let value = self.connection_max_request_bytes.to_string();
            return invalid(
                "callboard.connection.max.request.bytes",
                value,
                "must not exceed queued.max.request.bytes",
            );
        }
        if self.connection_max_response_bytes > self.queued_max_response_bytes {
            let value = self.connection_max_response_bytes.to_string();
            return invalid(
                "callboard.connection.max.response.bytes",
                value,
                "must not exceed callboard.queued.max.response.bytes",
            );
        }
        if self.socket_request_max_bytes > self.connection_max_request_bytes {
            let value = self.socket_request_max_bytes.to_string();
            return invalid(
                "socket.request.max.bytes",
                value,
                "must not exceed callboard.connection.max.request.bytes",
            );
        }
        if self.message_max_bytes > self.socket_request_max_bytes {
            let value = self.message_max_bytes.to_string();
            return invalid(
                "message.max.bytes",
                value,
                "must not exceed socket.request.max.bytes",
            );
        }
        if self.message_max_bytes as u64 > self.log_segment_bytes {
            let value = self.message_max_bytes.to_string();
            return invalid(
                "message.max.bytes",
                value,
                "must not exceed log.segment.bytes",
            );
        }
        // Not given it is what a segment holds, if that is less.
        let holds = segment_holds(self.offsets_topic_segment_bytes);
        if self.offsets_batch_max_bytes > holds
            && Key::find(BATCH_BYTES_MAX_KEY).is_some_and(|key| key.is_given(self))
        {
            let value = self.offsets_batch_max_bytes.to_string();
            let reason = format!(
                "must not exceed {holds}, which is what a file of offsets.topic.segment.bytes = {} holds",
                self.offsets_topic_segment_bytes
            );
            return invalid(BATCH_BYTES_MAX_KEY, value, &reason);
        }
        Ok(())
    }

    /// Largest batch of `__consumer_offsets` in bytes: as configured, and no larger than a segment of its journal holds.
    #[must_use]
    pub fn offsets_batch_bytes(&self) -> usize {
        self.offsets_batch_max_bytes
            .min(segment_holds(self.offsets_topic_segment_bytes))
    }
}

/// A scalar as `--set` would spell it. A date or a nested array has no meaning for any key and fails as a value.
fn scalar(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(on) => on.to_string(),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
            format!("a {}", value.type_str())
        }
    }
}

/// The known key that is closest, unless none is close.
fn nearest(key: &str) -> Option<&'static str> {
    KEYS.iter()
        .flat_map(|known| std::iter::once(known.name).chain(known.aliases.iter().copied()))
        .map(|name| (strsim::jaro_winkler(name, key), name))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}
