//! The table of configuration keys: name, default, what it does and its bounds, and how its text is read. A key that is
//! not here does not exist.

use std::fmt;
use std::time::Duration;

use super::{Acks, ClientConfig, OffsetReset, servers};
use crate::Compression;

/// One configuration key.
pub struct Key {
    /// Kafka's name.
    pub name: &'static str,
    /// Its default, as text.
    pub default: &'static str,
    /// What it does and its bounds.
    pub doc: &'static str,
    pub(super) set: fn(&mut ClientConfig, &str) -> Result<(), String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.default)
    }
}

/// Every key, in the order of Kafka's documentation: client, consumer, producer.
pub static KEYS: &[Key] = &[
    Key {
        name: "bootstrap.servers",
        default: "127.0.0.1:9092",
        doc: "host:port of brokers to begin with, separated by commas; the port is 9092 where there is none",
        set: |config, value| servers::list(value).map(|servers| config.bootstrap_servers = servers),
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
        doc: "the largest answer accepted (1000 or more, and fetch.max.bytes + 512 or more; librdkafka's key)",
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
        default: "range,cooperative-sticky",
        doc: "assignors by preference, separated by commas: range, roundrobin, sticky, cooperative-sticky, Kafka's classes of these, \
              or one the application registered",
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
        doc: "the broker refuses a batch it has already, so that a retry does not store it twice; off with acks=1, unless it is set",
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
