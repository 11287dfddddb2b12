//! Configuration by Kafka's own keys: each with its default, its bounds and what it does, set from text or as fields.
//! Owned by whoever makes a client; read once when it is made.

use std::fmt;
use std::time::Duration;

use crate::Compression;

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
    /// Two values that exclude each other.
    #[error("{0}")]
    Conflict(String),
}

/// The configuration of clients, consumers and producers. Field by field Kafka's key of the same name; the bounds are
/// in [`KEYS`], checked by [`set`](Self::set) and again as a whole by [`validate`](Self::validate).
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
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: vec!["127.0.0.1:9092".to_owned()],
            client_id: "callboard".to_owned(),
            client_rack: None,
            group_instance_id: None,
            partition_assignment_strategy: vec!["range".to_owned()],
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
        }
    }
}

/// One configuration key.
pub struct Key {
    /// Kafka's name.
    pub name: &'static str,
    /// Its default, as text.
    pub default: &'static str,
    /// What it does and its bounds.
    pub doc: &'static str,
    set: fn(&mut ClientConfig, &str) -> Result<(), String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.default)
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
    /// [`ConfigError`], naming the nearest key where there is none of that name.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let Some(found) = KEYS.iter().find(|known| known.name == key) else {
            return Err(ConfigError::UnknownKey {
                key: key.to_owned(),
                nearest: nearest(key),
            });
        };
        (found.set)(self, value.trim()).map_err(|expected| ConfigError::BadValue {
            key: found.name,
            value: value.to_owned(),
            expected,
        })
    }

    /// Checks what no single key can: pairs of values that exclude each other.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        let conflict = |text: &str| Err(ConfigError::Conflict(text.to_owned()));
        if self.bootstrap_servers.is_empty() {
            return conflict("bootstrap.servers names no server");
        }
        if self.heartbeat_interval >= self.session_timeout {
            return conflict("heartbeat.interval.ms must be below session.timeout.ms");
        }
        if self.fetch_max_wait >= self.request_timeout {
            return conflict("fetch.max.wait.ms must be below request.timeout.ms");
        }
        if self.enable_idempotence && self.acks != Acks::All {
            return conflict("enable.idempotence needs acks=all");
        }
        if self.delivery_timeout < self.linger + self.request_timeout {
            return conflict("delivery.timeout.ms must be at least linger.ms + request.timeout.ms");
        }
        if self.partition_assignment_strategy.is_empty() {
            return conflict("partition.assignment.strategy names no assignor");
        }
        Ok(())
    }
}

/// Every key, in the order of Kafka's documentation: client, consumer, producer.
pub static KEYS: &[Key] = &[
    Key {
        name: "bootstrap.servers",
        default: "127.0.0.1:9092",
        doc: "host:port of brokers to begin with, separated by commas",
        set: |config, value| {
            let servers: Vec<String> = value
                .split(',')
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect();
            if servers.is_empty() || servers.iter().any(|one| split_host_port(one).is_none()) {
                return Err("expected host:port, separated by commas".to_owned());
            }
            config.bootstrap_servers = servers;
            Ok(())
        },
    },
    Key {
        name: "client.id",
        default: "callboard",
        doc: "how this client calls itself in every request",
        set: |config, value| {
            config.client_id = value.to_owned();
            Ok(())
        },
    },
    Key {
        name: "client.rack",
        default: "",
        doc: "where this client runs: a leader with a rack-aware assignor gives it partitions with a replica there (KIP-881)",
        set: |config, value| {
            config.client_rack = (!value.is_empty()).then(|| value.to_owned());
            Ok(())
        },
    },
    Key {
        name: "metadata.max.age.ms",
        default: "300000",
        doc: "cluster metadata is refreshed at least this often (1 or more)",
        set: |config, value| {
            millis(value, 1, i64::MAX).map(|value| config.metadata_max_age = value)
        },
    },
    Key {
        name: "allow.auto.create.topics",
        default: "false",
        doc: "a broker may create a topic because its metadata was asked for",
        set: |config, value| boolean(value).map(|value| config.allow_auto_create_topics = value),
    },
    Key {
        name: "request.timeout.ms",
        default: "30000",
        doc: "a request without an answer for so long closes its connection (1 or more)",
        set: |config, value| {
            millis(value, 1, i32::MAX.into()).map(|value| config.request_timeout = value)
        },
    },
    Key {
        name: "default.api.timeout.ms",
        default: "60000",
        doc: "a call with its retries takes at most this long (1 or more)",
        set: |config, value| {
            millis(value, 1, i32::MAX.into()).map(|value| config.default_api_timeout = value)
        },
    },
    Key {
        name: "retry.backoff.ms",
        default: "100",
        doc: "wait before the first retry; doubles (0 or more)",
        set: |config, value| millis(value, 0, i64::MAX).map(|value| config.retry_backoff = value),
    },
    Key {
        name: "retry.backoff.max.ms",
        default: "1000",
        doc: "longest wait before a retry (0 or more)",
        set: |config, value| {
            millis(value, 0, i64::MAX).map(|value| config.retry_backoff_max = value)
        },
    },
    Key {
        name: "reconnect.backoff.ms",
        default: "50",
        doc: "wait before the first reconnect to a broker; doubles (0 or more)",
        set: |config, value| {
            millis(value, 0, i64::MAX).map(|value| config.reconnect_backoff = value)
        },
    },
    Key {
        name: "reconnect.backoff.max.ms",
        default: "1000",
        doc: "longest wait before a reconnect (0 or more)",
        set: |config, value| {
            millis(value, 0, i64::MAX).map(|value| config.reconnect_backoff_max = value)
        },
    },
    Key {
        name: "socket.connection.setup.timeout.ms",
        default: "10000",
        doc: "a connection has to stand within this time (1 or more)",
        set: |config, value| {
            millis(value, 1, i64::MAX).map(|value| config.socket_connection_setup_timeout = value)
        },
    },
    Key {
        name: "receive.message.max.bytes",
        default: "100000000",
        doc: "the largest answer accepted (1000 or more; librdkafka's key)",
        set: |config, value| {
            integer(value, 1000, i32::MAX.into())
                .map(|value| config.receive_message_max_bytes = value)
        },
    },
    Key {
        name: "max.in.flight.requests.per.connection",
        default: "100",
        doc: "requests of one connection that may wait for their answers (1 or more)",
        set: |config, value| {
            integer(value, 1, i32::MAX.into()).map(|value| config.max_in_flight_requests = value)
        },
    },
    Key {
        name: "group.instance.id",
        default: "",
        doc: "makes the member static (KIP-345): 1 to 249 of a-z A-Z 0-9 . _ -",
        set: |config, value| {
            if value.is_empty() {
                config.group_instance_id = None;
                return Ok(());
            }
            let legal =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            if value.len() > 249 || value == "." || value == ".." || !value.bytes().all(legal) {
                return Err("expected 1 to 249 of a-z A-Z 0-9 . _ -".to_owned());
            }
            config.group_instance_id = Some(value.to_owned());
            Ok(())
        },
    },
    Key {
        name: "partition.assignment.strategy",
        default: "range",
        doc: "assignors by preference, separated by commas: range, roundrobin, or one the application registered",
        set: |config, value| {
            let names: Vec<String> = value
                .split(',')
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect();
            if names.is_empty() {
                return Err("expected names of assignors, separated by commas".to_owned());
            }
            config.partition_assignment_strategy = names;
            Ok(())
        },
    },
    Key {
        name: "session.timeout.ms",
        default: "45000",
        doc: "a member that is silent for so long is removed; the broker has bounds of its own (1 or more)",
        set: |config, value| {
            millis(value, 1, i32::MAX.into()).map(|value| config.session_timeout = value)
        },
    },
    Key {
        name: "heartbeat.interval.ms",
        default: "3000",
        doc: "time between heartbeats; at most a third of session.timeout.ms is wise (1 or more)",
        set: |config, value| {
            millis(value, 1, i32::MAX.into()).map(|value| config.heartbeat_interval = value)
        },
    },
    Key {
        name: "max.poll.interval.ms",
        default: "300000",
        doc: "how long a rebalance waits for this member; half of it is the most a record in work may take (1 or more)",
        set: |config, value| {
            millis(value, 1, i32::MAX.into()).map(|value| config.max_poll_interval = value)
        },
    },
    Key {
        name: "auto.commit.interval.ms",
        default: "5000",
        doc: "acknowledged offsets are committed this often, and before partitions are given up (0 or more)",
        set: |config, value| {
            millis(value, 0, i32::MAX.into()).map(|value| config.auto_commit_interval = value)
        },
    },
    Key {
        name: "auto.offset.reset",
        default: "latest",
        doc: "where to begin without a committed offset: earliest, latest or none",
        set: |config, value| {
            config.auto_offset_reset = match value {
                "earliest" | "smallest" | "beginning" => OffsetReset::Earliest,
                "latest" | "largest" | "end" => OffsetReset::Latest,
                "none" | "error" => OffsetReset::None,
                _ => return Err("expected earliest, latest or none".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "fetch.min.bytes",
        default: "1",
        doc: "a broker waits for so many bytes before it answers (0 or more)",
        set: |config, value| {
            integer(value, 0, i32::MAX.into()).map(|value| config.fetch_min_bytes = value)
        },
    },
    Key {
        name: "fetch.max.wait.ms",
        default: "500",
        doc: "and for so long at most (0 or more, below request.timeout.ms)",
        set: |config, value| {
            millis(value, 0, i32::MAX.into()).map(|value| config.fetch_max_wait = value)
        },
    },
    Key {
        name: "fetch.max.bytes",
        default: "52428800",
        doc: "soft cap of one answer; the first batch always comes (0 or more)",
        set: |config, value| {
            integer(value, 0, i32::MAX.into()).map(|value| config.fetch_max_bytes = value)
        },
    },
    Key {
        name: "max.partition.fetch.bytes",
        default: "1048576",
        doc: "soft cap of one partition in an answer; the first batch always comes (0 or more)",
        set: |config, value| {
            integer(value, 0, i32::MAX.into()).map(|value| config.max_partition_fetch_bytes = value)
        },
    },
    Key {
        name: "queued.max.messages.kbytes",
        default: "65536",
        doc: "how far fetching runs ahead of the handlers, KiB over all partitions (1 or more; librdkafka's key)",
        set: |config, value| {
            integer::<usize>(value, 1, 2_097_151)
                .map(|value| config.queued_max_bytes = value * 1024)
        },
    },
    Key {
        name: "check.crcs",
        default: "true",
        doc: "verify the checksum of every batch",
        set: |config, value| boolean(value).map(|value| config.check_crcs = value),
    },
    Key {
        name: "acks",
        default: "all",
        doc: "what a produced record waits for: all (or -1), or 1",
        set: |config, value| {
            config.acks = match value {
                "all" | "-1" => Acks::All,
                "1" => Acks::Leader,
                _ => return Err("expected all or 1".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "enable.idempotence",
        default: "true",
        doc: "the broker refuses a batch it has already, so that a retry does not store it twice",
        set: |config, value| boolean(value).map(|value| config.enable_idempotence = value),
    },
    Key {
        name: "linger.ms",
        default: "5",
        doc: "a batch that is not full waits so long for more records (0 or more)",
        set: |config, value| millis(value, 0, i64::MAX).map(|value| config.linger = value),
    },
    Key {
        name: "batch.size",
        default: "16384",
        doc: "bytes of records after which a batch is sent (0 or more)",
        set: |config, value| {
            integer(value, 0, i32::MAX.into()).map(|value| config.batch_size = value)
        },
    },
    Key {
        name: "buffer.memory",
        default: "33554432",
        doc: "bytes of records that may wait to be delivered; more waits in send (1024 or more)",
        set: |config, value| {
            integer(value, 1024, i64::from(u32::MAX)).map(|value| config.buffer_memory = value)
        },
    },
    Key {
        name: "max.request.size",
        default: "1048576",
        doc: "the largest Produce request and record, in bytes (1024 or more)",
        set: |config, value| {
            integer(value, 1024, i32::MAX.into()).map(|value| config.max_request_size = value)
        },
    },
    Key {
        name: "compression.type",
        default: "none",
        doc: "none, gzip, snappy, lz4 or zstd",
        set: |config, value| {
            config.compression_type = match value {
                "none" => Compression::None,
                "gzip" => Compression::Gzip,
                "snappy" => Compression::Snappy,
                "lz4" => Compression::Lz4,
                "zstd" => Compression::Zstd,
                _ => return Err("expected none, gzip, snappy, lz4 or zstd".to_owned()),
            };
            Ok(())
        },
    },
    Key {
        name: "delivery.timeout.ms",
        default: "120000",
        doc: "a record that is not stored after so long has failed (linger.ms + request.timeout.ms or more)",
        set: |config, value| {
            millis(value, 1, i32::MAX.into()).map(|value| config.delivery_timeout = value)
        },
    },
];

fn integer<T: TryFrom<i64>>(value: &str, min: i64, max: i64) -> Result<T, String> {
    let expected = || {
        if max == i64::MAX || max == i64::from(i32::MAX) {
            format!("expected a whole number of {min} or more")
        } else {
            format!("expected a whole number from {min} to {max}")
        }
    };
    value
        .parse::<i64>()
        .ok()
        .filter(|number| (min..=max).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(expected)
}

fn millis(value: &str, min: i64, max: i64) -> Result<Duration, String> {
    integer(value, min, max).map(Duration::from_millis)
}

fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// `host:port`, the host in brackets where it is an IPv6 address.
pub(crate) fn split_host_port(server: &str) -> Option<(&str, u16)> {
    let (host, port) = server.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(host);
    let port = port.parse().ok()?;
    (!host.is_empty() && port != 0).then_some((host, port))
}

/// The known key with the fewest edits to `key`, if that is no more than half of it.
fn nearest(key: &str) -> Option<&'static str> {
    let (distance, name) = KEYS
        .iter()
        .map(|known| (edits(key, known.name), known.name))
        .min()?;
    (distance * 2 <= key.len().max(4)).then_some(name)
}

/// Levenshtein's distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, have) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, want) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(have != *want);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
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
        assert_eq!(config, ClientConfig::default());
        config.validate().unwrap();
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
    }

    #[test]
    fn values_out_of_bounds_say_what_would_do() {
        let mut config = ClientConfig::default();
        for (key, value) in [
            ("session.timeout.ms", "0"),
            ("session.timeout.ms", "soon"),
            ("auto.offset.reset", "middle"),
            ("bootstrap.servers", "localhost"),
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

    #[test]
    fn pairs_that_exclude_each_other_are_refused() {
        for (key, value) in [
            ("heartbeat.interval.ms", "45000"),
            ("fetch.max.wait.ms", "30000"),
            ("acks", "1"),
            ("delivery.timeout.ms", "100"),
        ] {
            let mut config = ClientConfig::default();
            config.set(key, value).unwrap();
            assert!(config.validate().is_err(), "{key}={value} was accepted");
        }
    }

    #[test]
    fn addresses_split_at_the_last_colon() {
        assert_eq!(split_host_port("[::1]:9092"), Some(("::1", 9092)));
        assert_eq!(split_host_port("broker:0"), None);
    }
}
