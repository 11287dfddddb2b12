//! Configuration by Kafka's own keys: each with its default, its bounds and what it does, set from text or as fields.
//! Owned by whoever makes a client; read once when it is made.

mod elsewhere;
mod keys;
mod rules;
mod servers;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::Compression;
pub use keys::{KEYS, Key};
pub use rules::Role;
pub(crate) use servers::split as split_host_port;

/// Where a group begins when it has no committed offset (`auto.offset.reset`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    /// The oldest record there is.
    Earliest,
    /// Only records that come later.
    Latest,
    /// Neither: the partition is paused and the application told.
    None,
}

/// What a produced record waits for (`acks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// All replicas in sync.
    All,
    /// The leader.
    Leader,
}

/// A value Kafka's documentation would not allow, or a key it does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such key.
    #[error("unknown configuration key {key}{}", nearest.map(|name| format!(", did you mean {name}?")).unwrap_or_default())]
    UnknownKey {
        /// As given.
        key: String,
        /// The known key most like it.
        nearest: Option<&'static str>,
    },
    /// A key of Kafka's that is none here.
    #[error("{key} is not a key here: {instead}")]
    Elsewhere {
        /// As given.
        key: String,
        /// What takes its place.
        instead: &'static str,
    },
    /// The value does not fit the key.
    #[error("{key}={value}: {expected}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// As given.
        value: String,
        /// What would do.
        expected: String,
    },
    /// Two values that exclude each other and were both set.
    #[error("{0}")]
    Conflict(String),
}

/// The configuration of clients, consumers and producers. Field by field Kafka's key of the same name; the bounds are
/// in [`KEYS`], checked by [`set`](Self::set); pairs that exclude each other are for each [`Role`] to
/// [settle](Self::settled).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClientConfig {
    /// `bootstrap.servers`
    pub bootstrap_servers: Vec<String>,
    /// `client.id`
    pub client_id: String,
    /// `client.rack`
    pub client_rack: Option<String>,
    /// `group.instance.id`
    pub group_instance_id: Option<String>,
    /// `partition.assignment.strategy`
    pub partition_assignment_strategy: Vec<String>,
    /// `session.timeout.ms`
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: the rebalance timeout
    pub max_poll_interval: Duration,
    /// `auto.commit.interval.ms`
    pub auto_commit_interval: Duration,
    /// `auto.offset.reset`
    pub auto_offset_reset: OffsetReset,
    /// `fetch.min.bytes`
    pub fetch_min_bytes: i32,
    /// `fetch.max.wait.ms`
    pub fetch_max_wait: Duration,
    /// `fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `max.partition.fetch.bytes`
    pub max_partition_fetch_bytes: i32,
    /// `queued.max.messages.kbytes`, in bytes
    pub queued_max_bytes: usize,
    /// `check.crcs`
    pub check_crcs: bool,
    /// `metadata.max.age.ms`
    pub metadata_max_age: Duration,
    /// `allow.auto.create.topics`
    pub allow_auto_create_topics: bool,
    /// `request.timeout.ms`
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`
    pub default_api_timeout: Duration,
    /// `retry.backoff.ms`
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`
    pub retry_backoff_max: Duration,
    /// `reconnect.backoff.ms`
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`
    pub reconnect_backoff_max: Duration,
    /// `socket.connection.setup.timeout.ms`
    pub socket_connection_setup_timeout: Duration,
    /// `receive.message.max.bytes`
    pub receive_message_max_bytes: usize,
    /// `max.in.flight.requests.per.connection`
    pub max_in_flight_requests: usize,
    /// `acks`
    pub acks: Acks,
    /// `enable.idempotence`
    pub enable_idempotence: bool,
    /// `linger.ms`
    pub linger: Duration,
    /// `batch.size`
    pub batch_size: usize,
    /// `buffer.memory`
    pub buffer_memory: usize,
    /// `max.request.size`
    pub max_request_size: usize,
    /// `compression.type`
    pub compression_type: Compression,
    /// `delivery.timeout.ms`
    pub delivery_timeout: Duration,
    /// Keys that were set, be it to their defaults.
    set: BTreeSet<&'static str>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: vec!["127.0.0.1:9092".to_owned()],
            client_id: "callboard".to_owned(),
            client_rack: None,
            group_instance_id: None,
            partition_assignment_strategy: ["range", "cooperative-sticky"]
                .map(str::to_owned)
                .to_vec(),
            session_timeout: Duration::from_millis(45_000),
            heartbeat_interval: Duration::from_millis(3_000),
            max_poll_interval: Duration::from_millis(300_000),
            auto_commit_interval: Duration::from_millis(5_000),
            auto_offset_reset: OffsetReset::Latest,
            fetch_min_bytes: 1,
            fetch_max_wait: Duration::from_millis(500),
            fetch_max_bytes: 52_428_800,
            max_partition_fetch_bytes: 1_048_576,
            queued_max_bytes: 65_536 * 1024,
            check_crcs: true,
            metadata_max_age: Duration::from_millis(300_000),
            allow_auto_create_topics: false,
            request_timeout: Duration::from_millis(30_000),
            default_api_timeout: Duration::from_millis(60_000),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_millis(1_000),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_millis(1_000),
            socket_connection_setup_timeout: Duration::from_millis(10_000),
            receive_message_max_bytes: 100_000_000,
            max_in_flight_requests: 100,
            acks: Acks::All,
            enable_idempotence: true,
            linger: Duration::from_millis(5),
            batch_size: 16_384,
            buffer_memory: 33_554_432,
            max_request_size: 1_048_576,
            compression_type: Compression::None,
            delivery_timeout: Duration::from_millis(120_000),
            set: BTreeSet::new(),
        }
    }
}

impl ClientConfig {
    /// The default configuration for this bootstrap list, `host:port` separated by commas.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] when an entry is not `host:port`.
    pub fn bootstrap(servers: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.set("bootstrap.servers", servers)?;
        Ok(config)
    }

    /// Sets one of Kafka's keys from text.
    ///
    /// # Errors
    /// [`ConfigError`], naming what takes the key's place, or the nearest key, where there is none of that name.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let Some(found) = KEYS.iter().find(|known| known.name == key) else {
            let key = key.to_owned();
            return Err(match elsewhere::instead_of(&key) {
                Some(instead) => ConfigError::Elsewhere { key, instead },
                None => ConfigError::UnknownKey {
                    nearest: nearest(&key),
                    key,
                },
            });
        };
        (found.set)(self, value.trim()).map_err(|expected| ConfigError::BadValue {
            key: found.name,
            value: value.to_owned(),
            expected,
        })?;
        self.set.insert(found.name);
        Ok(())
    }
}

/// The known key most like `key`, if no more than half of it differs.
fn nearest(key: &str) -> Option<&'static str> {
    let (distance, name) = KEYS
        .iter()
        .map(|known| (strsim::levenshtein(key, known.name), known.name))
        .min()?;
    (distance * 2 <= key.len().max(4)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_in_the_table_is_the_default_of_its_field() {
        let mut config = ClientConfig::default();
        for key in KEYS {
            config.set(key.name, key.default).unwrap();
        }
        for role in [Role::Client, Role::Consumer, Role::Producer] {
            assert_eq!(config.settled(role).as_ref(), Ok(&config));
        }
        config.set.clear();
        assert_eq!(config, ClientConfig::default());
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = ClientConfig::default()
            .set("sesion.timeout.ms", "1")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown configuration key sesion.timeout.ms, did you mean session.timeout.ms?"
        );
        let error = ClientConfig::default().set("qqq", "1").unwrap_err();
        assert_eq!(error.to_string(), "unknown configuration key qqq");
        let error = ClientConfig::default().set("group.id", "g").unwrap_err();
        assert_eq!(
            error.to_string(),
            "group.id is not a key here: a consumer is told its group when it is made"
        );
    }

    #[test]
    fn values_out_of_bounds_say_what_would_do() {
        let mut config = ClientConfig::default();
        for (key, value) in [
            ("session.timeout.ms", "0"),
            ("session.timeout.ms", "soon"),
            ("auto.offset.reset", "middle"),
            ("bootstrap.servers", "localhost:0"),
            ("bootstrap.servers", ""),
            ("group.instance.id", "a b"),
            ("check.crcs", "yes"),
            ("compression.type", "brotli"),
            ("fetch.max.bytes", "99999999999"),
        ] {
            let error = config.set(key, value).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{key}={value}: expected")),
                "{error}"
            );
        }
    }
}
