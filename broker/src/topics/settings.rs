//! Settings of a topic: the names Kafka 4.2.0 knows, what their values must be, and how they change its logs.
//! One line a setting; a name that is not here is refused, as Kafka does.

use std::collections::BTreeMap;

use callboard_protocol::ErrorCode;

use super::core::TopicError;
use crate::log::{CleanupPolicy, LogConfig, StampedBy};

/// One setting. `apply` gives None for a value that is not one.
struct Setting {
    name: &'static str,
    apply: fn(&mut LogConfig, &str) -> Option<()>,
}

/// A whole number within bounds.
fn number(text: &str, min: i64, max: i64) -> Option<i64> {
    text.trim()
        .parse()
        .ok()
        .filter(|number| (min..=max).contains(number))
}

fn unless_minus_one(text: &str) -> Option<Option<i64>> {
    number(text, -1, i64::MAX).map(|number| Some(number).filter(|number| *number >= 0))
}

fn cleanup(text: &str) -> Option<CleanupPolicy> {
    let mut policy = CleanupPolicy {
        delete: false,
        compact: false,
    };
    for word in text.split(',').map(str::trim) {
        match word {
            "delete" => policy.delete = true,
            "compact" => policy.compact = true,
            _ => return None,
        }
    }
    Some(policy)
}

fn unsigned(number: i64) -> u64 {
    number.unsigned_abs()
}

/// Takes a value of the right kind and keeps it to be shown: what it tunes in Kafka does not exist here, or has one
/// possible behaviour on one node. Refusing it would keep tools from creating their topics.
macro_rules! kept {
    ($check:expr) => {
        |_, text| {
            let check: fn(&str) -> bool = $check;
            check(text).then_some(())
        }
    };
}

const INT: i64 = i32::MAX as i64;

const SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        apply: |c, text| cleanup(text).map(|policy| c.cleanup = policy),
    },
    Setting {
        name: "retention.ms",
        apply: |c, text| unless_minus_one(text).map(|ms| c.retention_ms = ms),
    },
    Setting {
        name: "retention.bytes",
        apply: |c, text| {
            unless_minus_one(text).map(|bytes| c.retention_bytes = bytes.map(unsigned))
        },
    },
    Setting {
        name: "segment.bytes",
        apply: |c, text| {
            number(text, 1_048_576, INT).map(|bytes| c.segment_bytes = unsigned(bytes))
        },
    },
    Setting {
        name: "segment.ms",
        apply: |c, text| number(text, 1, i64::MAX).map(|ms| c.segment_ms = ms),
    },
    Setting {
        name: "max.message.bytes",
        apply: |c, text| {
            number(text, 0, INT)
                .and_then(|bytes| usize::try_from(bytes).ok())
                .map(|bytes| c.max_message_bytes = bytes)
        },
    },
    Setting {
        name: "index.interval.bytes",
        apply: |c, text| number(text, 0, INT).map(|bytes| c.index_interval_bytes = unsigned(bytes)),
    },
    Setting {
        name: "flush.messages",
        apply: |c, text| {
            number(text, 1, i64::MAX).map(|records| c.flush_messages = unsigned(records))
        },
    },
    Setting {
        name: "message.timestamp.type",
        apply: |c, text| {
            c.stamped_by = match text {
                "CreateTime" => StampedBy::Producer,
                "LogAppendTime" => StampedBy::Broker,
                _ => return None,
            };
            Some(())
        },
    },
    Setting {
        name: "message.timestamp.before.max.ms",
        apply: |c, text| number(text, 0, i64::MAX).map(|ms| c.timestamp_before_max_ms = ms),
    },
    Setting {
        name: "message.timestamp.after.max.ms",
        apply: |c, text| number(text, 0, i64::MAX).map(|ms| c.timestamp_after_max_ms = ms),
    },
    // Stored as sent: the one value whose meaning is what happens here.
    Setting {
        name: "compression.type",
        apply: kept!(|text| text == "producer"),
    },
    Setting {
        name: "min.insync.replicas",
        apply: kept!(|text| number(text, 1, INT).is_some()),
    },
    Setting {
        name: "unclean.leader.election.enable",
        apply: kept!(|text| matches!(text, "true" | "false")),
    },
    Setting {
        name: "preallocate",
        apply: kept!(|text| matches!(text, "true" | "false")),
    },
    Setting {
        name: "flush.ms",
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "file.delete.delay.ms",
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "segment.index.bytes",
        apply: kept!(|text| number(text, 4, INT).is_some()),
    },
    Setting {
        name: "segment.jitter.ms",
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "delete.retention.ms",
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "min.compaction.lag.ms",
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "max.compaction.lag.ms",
        apply: kept!(|text| number(text, 1, i64::MAX).is_some()),
    },
    Setting {
        name: "min.cleanable.dirty.ratio",
        apply: kept!(|text| text
            .parse::<f64>()
            .is_ok_and(|ratio| (0.0..=1.0).contains(&ratio))),
    },
];

/// Checks settings and gives them back in order of their names.
pub(crate) fn check(
    configs: &[(String, Option<String>)],
) -> Result<BTreeMap<String, String>, TopicError> {
    let mut kept = BTreeMap::new();
    let mut scratch = LogConfig::default();
    for (name, value) in configs {
        let invalid = |message: String| TopicError::new(ErrorCode::INVALID_CONFIG, message);
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            return Err(invalid(format!("Unknown topic config name: {name}")));
        };
        let Some(value) = value else {
            return Err(invalid(format!(
                "Null value not supported for topic configs: {name}"
            )));
        };
        if (setting.apply)(&mut scratch, value).is_none() {
            return Err(invalid(format!(
                "Invalid value {value} for configuration {name}"
            )));
        }
        kept.insert(name.clone(), value.clone());
    }
    Ok(kept)
}

/// The logs' configuration: the broker's with the topic's settings over it. A setting that is stored and no longer
/// known or valid has no effect.
pub(crate) fn overlay(defaults: &LogConfig, configs: &BTreeMap<String, String>) -> LogConfig {
    let mut config = defaults.clone();
    for (name, value) in configs {
        let apply = SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .map(|setting| setting.apply);
        if apply.and_then(|apply| apply(&mut config, value)).is_none() {
            tracing::warn!(name, "a stored topic setting is not known");
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(name: &str, value: Option<&str>) -> Vec<(String, Option<String>)> {
        vec![(name.to_owned(), value.map(str::to_owned))]
    }

    #[test]
    fn settings_lie_over_the_defaults() {
        let configs = [
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", "-1"),
            ("segment.bytes", "2000000"),
        ];
        let configs = configs.map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let config = overlay(&LogConfig::default(), &check(&configs).unwrap());
        assert_eq!(
            config.cleanup,
            CleanupPolicy {
                delete: true,
                compact: true
            }
        );
        assert_eq!(
            (config.retention_ms, config.segment_bytes),
            (None, 2_000_000)
        );
        assert_eq!(
            config.max_message_bytes,
            LogConfig::default().max_message_bytes
        );
    }

    #[test]
    fn unknown_names_and_bad_values_are_refused() {
        for (name, value) in [
            ("no.such.thing", Some("1")),
            ("retention.ms", Some("soon")),
            ("retention.ms", Some("-2")),
            ("retention.ms", None),
            ("segment.bytes", Some("13")),
            ("cleanup.policy", Some("delete,burn")),
            ("compression.type", Some("gzip")),
            ("message.timestamp.type", Some("logappendtime")),
            ("min.cleanable.dirty.ratio", Some("1.5")),
        ] {
            assert_eq!(
                check(&given(name, value)).unwrap_err().code,
                ErrorCode::INVALID_CONFIG,
                "{name}={value:?}"
            );
        }
        assert!(check(&given("min.cleanable.dirty.ratio", Some("0.5"))).is_ok());
    }
}
