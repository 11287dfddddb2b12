//! Settings of a topic: the names Kafka 4.2.0 knows, what their values must be, and how they change its logs.
//! One line a setting; a name that is not here is refused, as Kafka does.

use std::collections::BTreeMap;

use callboard_protocol::ErrorCode;

use super::core::TopicError;
use crate::log::{CleanupPolicy, LogConfig, StampedBy};

/// What kind of value a setting takes, as DescribeConfigs names kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// One setting. `apply` gives None for a value that is not one; `default` is what holds without it.
struct Setting {
    name: &'static str,
    kind: Type,
    /// The broker's key of the default, if it has one.
    broker_key: &'static str,
    doc: &'static str,
    apply: fn(&mut LogConfig, &str) -> Option<()>,
    default: fn(&LogConfig) -> String,
}

/// How a setting is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigOperation {
    /// To a value.
    Set,
    /// Back to the broker's.
    Delete,
    /// By words that a list gets.
    Append,
    /// By words that a list loses.
    Subtract,
}

/// A change of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// The setting.
    pub name: String,
    /// What is done with it.
    pub operation: ConfigOperation,
    /// With which value; None for [`ConfigOperation::Delete`] alone.
    pub value: Option<String>,
}

/// A setting of a topic to be shown.
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
    pub(crate) broker_key: &'static str,
    pub(crate) doc: &'static str,
    /// What holds where the topic does not say otherwise.
    pub(crate) default: String,
}

/// Every setting there is, over these defaults.
pub(crate) fn shown(defaults: &LogConfig) -> impl Iterator<Item = Shown> {
    SETTINGS.iter().map(|setting| Shown {
        name: setting.name,
        kind: setting.kind,
        broker_key: setting.broker_key,
        doc: setting.doc,
        default: (setting.default)(defaults),
    })
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

const KEPT: &str = "Kept and shown; it has one possible effect here.";

fn or_minus_one(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "-1".to_owned(), |number| number.to_string())
}

fn policy(policy: CleanupPolicy) -> String {
    let words = [(policy.delete, "delete"), (policy.compact, "compact")];
    let words = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word);
    words.collect::<Vec<_>>().join(",")
}

fn stamped_by(whom: StampedBy) -> String {
    let word = match whom {
        StampedBy::Producer => "CreateTime",
        StampedBy::Broker => "LogAppendTime",
    };
    word.to_owned()
}

const INT: i64 = i32::MAX as i64;

const SETTINGS: &[Setting] = &[
    Setting {
        name: "cleanup.policy",
        kind: Type::List,
        broker_key: "log.cleanup.policy",
        doc: "Which old records go: delete drops whole files by age and size; compact keeps every record here.",
        default: |c| policy(c.cleanup),
        apply: |c, text| cleanup(text).map(|policy| c.cleanup = policy),
    },
    Setting {
        name: "retention.ms",
        kind: Type::Long,
        broker_key: "log.retention.ms",
        doc: "How long records are kept; -1 for ever.",
        default: |c| or_minus_one(c.retention_ms),
        apply: |c, text| unless_minus_one(text).map(|ms| c.retention_ms = ms),
    },
    Setting {
        name: "retention.bytes",
        kind: Type::Long,
        broker_key: "log.retention.bytes",
        doc: "Size that a partition is cut down to; -1 for no bound.",
        default: |c| or_minus_one(c.retention_bytes),
        apply: |c, text| {
            unless_minus_one(text).map(|bytes| c.retention_bytes = bytes.map(unsigned))
        },
    },
    Setting {
        name: "segment.bytes",
        kind: Type::Int,
        broker_key: "log.segment.bytes",
        doc: "Size at which a log starts a new file.",
        default: |c| c.segment_bytes.to_string(),
        apply: |c, text| {
            number(text, 1_048_576, INT).map(|bytes| c.segment_bytes = unsigned(bytes))
        },
    },
    Setting {
        name: "segment.ms",
        kind: Type::Long,
        broker_key: "log.roll.ms",
        doc: "Age at which a log starts a new file.",
        default: |c| c.segment_ms.to_string(),
        apply: |c, text| number(text, 1, i64::MAX).map(|ms| c.segment_ms = ms),
    },
    Setting {
        name: "max.message.bytes",
        kind: Type::Int,
        broker_key: "message.max.bytes",
        doc: "Largest record batch that is taken.",
        default: |c| c.max_message_bytes.to_string(),
        apply: |c, text| {
            number(text, 0, INT)
                .and_then(|bytes| usize::try_from(bytes).ok())
                .map(|bytes| c.max_message_bytes = bytes)
        },
    },
    Setting {
        name: "index.interval.bytes",
        kind: Type::Int,
        broker_key: "log.index.interval.bytes",
        doc: "Bytes between two entries of an index.",
        default: |c| c.index_interval_bytes.to_string(),
        apply: |c, text| number(text, 0, INT).map(|bytes| c.index_interval_bytes = unsigned(bytes)),
    },
    Setting {
        name: "flush.messages",
        kind: Type::Long,
        broker_key: "log.flush.interval.messages",
        doc: "Records after which a log is forced to disk.",
        default: |c| c.flush_messages.to_string(),
        apply: |c, text| {
            number(text, 1, i64::MAX).map(|records| c.flush_messages = unsigned(records))
        },
    },
    Setting {
        name: "message.timestamp.type",
        kind: Type::String,
        broker_key: "log.message.timestamp.type",
        doc: "Whether records keep the producer's timestamp or get the broker's.",
        default: |c| stamped_by(c.stamped_by),
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
        kind: Type::Long,
        broker_key: "log.message.timestamp.before.max.ms",
        doc: "How far behind the broker's clock a record may be.",
        default: |c| c.timestamp_before_max_ms.to_string(),
        apply: |c, text| number(text, 0, i64::MAX).map(|ms| c.timestamp_before_max_ms = ms),
    },
    Setting {
        name: "message.timestamp.after.max.ms",
        kind: Type::Long,
        broker_key: "log.message.timestamp.after.max.ms",
        doc: "How far ahead of the broker's clock a record may be.",
        default: |c| c.timestamp_after_max_ms.to_string(),
        apply: |c, text| number(text, 0, i64::MAX).map(|ms| c.timestamp_after_max_ms = ms),
    },
    // Stored as sent: the one value whose meaning is what happens here.
    Setting {
        name: "compression.type",
        kind: Type::String,
        broker_key: "compression.type",
        doc: KEPT,
        default: |_| "producer".to_owned(),
        apply: kept!(|text| text == "producer"),
    },
    Setting {
        name: "min.insync.replicas",
        kind: Type::Int,
        broker_key: "min.insync.replicas",
        doc: KEPT,
        default: |_| "1".to_owned(),
        apply: kept!(|text| number(text, 1, INT).is_some()),
    },
    Setting {
        name: "unclean.leader.election.enable",
        kind: Type::Boolean,
        broker_key: "unclean.leader.election.enable",
        doc: KEPT,
        default: |_| "false".to_owned(),
        apply: kept!(|text| matches!(text, "true" | "false")),
    },
    Setting {
        name: "preallocate",
        kind: Type::Boolean,
        broker_key: "log.preallocate",
        doc: KEPT,
        default: |_| "false".to_owned(),
        apply: kept!(|text| matches!(text, "true" | "false")),
    },
    Setting {
        name: "flush.ms",
        kind: Type::Long,
        broker_key: "",
        doc: KEPT,
        default: |_| "9223372036854775807".to_owned(),
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "file.delete.delay.ms",
        kind: Type::Long,
        broker_key: "log.segment.delete.delay.ms",
        doc: KEPT,
        default: |_| "60000".to_owned(),
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "segment.index.bytes",
        kind: Type::Int,
        broker_key: "log.index.size.max.bytes",
        doc: KEPT,
        default: |_| "10485760".to_owned(),
        apply: kept!(|text| number(text, 4, INT).is_some()),
    },
    Setting {
        name: "segment.jitter.ms",
        kind: Type::Long,
        broker_key: "",
        doc: KEPT,
        default: |_| "0".to_owned(),
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "delete.retention.ms",
        kind: Type::Long,
        broker_key: "log.cleaner.delete.retention.ms",
        doc: KEPT,
        default: |_| "86400000".to_owned(),
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "min.compaction.lag.ms",
        kind: Type::Long,
        broker_key: "log.cleaner.min.compaction.lag.ms",
        doc: KEPT,
        default: |_| "0".to_owned(),
        apply: kept!(|text| number(text, 0, i64::MAX).is_some()),
    },
    Setting {
        name: "max.compaction.lag.ms",
        kind: Type::Long,
        broker_key: "log.cleaner.max.compaction.lag.ms",
        doc: KEPT,
        default: |_| "9223372036854775807".to_owned(),
        apply: kept!(|text| number(text, 1, i64::MAX).is_some()),
    },
    Setting {
        name: "min.cleanable.dirty.ratio",
        kind: Type::Double,
        broker_key: "log.cleaner.min.cleanable.ratio",
        doc: KEPT,
        default: |log| log.min_cleanable_dirty_ratio.to_string(),
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

/// A topic's own settings after these changes. The errors are those of IncrementalAlterConfigs.
pub(crate) fn changed(
    present: &BTreeMap<String, String>,
    changes: &[ConfigChange],
    defaults: &LogConfig,
) -> Result<BTreeMap<String, String>, TopicError> {
    let mut configs = present.clone();
    for change in changes {
        let value = change.value.as_deref().unwrap_or_default();
        match change.operation {
            ConfigOperation::Set => {
                configs.insert(change.name.clone(), value.to_owned());
            }
            ConfigOperation::Delete => {
                configs.remove(&change.name);
            }
            ConfigOperation::Append | ConfigOperation::Subtract => {
                let list = changed_list(&configs, change, value, defaults)?;
                configs.insert(change.name.clone(), list);
            }
        }
    }
    let given: Vec<_> = configs
        .into_iter()
        .map(|(name, value)| (name, Some(value)))
        .collect();
    check(&given)
}

/// A list with words more or less; each word is in it once.
fn changed_list(
    configs: &BTreeMap<String, String>,
    change: &ConfigChange,
    value: &str,
    defaults: &LogConfig,
) -> Result<String, TopicError> {
    let append = change.operation == ConfigOperation::Append;
    let setting = SETTINGS
        .iter()
        .find(|setting| setting.name == change.name && setting.kind == Type::List);
    let Some(setting) = setting else {
        let message = format!(
            "Can't {} to key {} because its type is not LIST.",
            if append { "APPEND" } else { "SUBTRACT" },
            change.name
        );
        return Err(TopicError::new(ErrorCode::INVALID_CONFIG, message));
    };
    let present = configs
        .get(&change.name)
        .cloned()
        .unwrap_or_else(|| (setting.default)(defaults));
    let mut words: Vec<&str> = present
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    for word in value.split(',').map(str::trim) {
        if !append {
            words.retain(|present| *present != word);
        } else if !words.contains(&word) {
            words.push(word);
        }
    }
    Ok(words.join(","))
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

    fn change(name: &str, operation: ConfigOperation, value: Option<&str>) -> ConfigChange {
        ConfigChange {
            name: name.to_owned(),
            operation,
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn settings_are_changed_one_after_the_other() {
        use ConfigOperation::{Append, Delete, Set, Subtract};
        let defaults = LogConfig::default();
        let present = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        let after = |changes: &[ConfigChange]| changed(&present, changes, &defaults);
        let policy = |changes: &[ConfigChange]| after(changes).unwrap()["cleanup.policy"].clone();
        let more = change("cleanup.policy", Append, Some("compact"));
        assert_eq!(policy(std::slice::from_ref(&more)), "delete,compact");
        assert_eq!(policy(&[more.clone(), more.clone()]), "delete,compact");
        let less = change("cleanup.policy", Subtract, Some("delete"));
        assert_eq!(policy(&[more, less]), "compact");
        let gone = [
            change("retention.ms", Delete, None),
            // What nobody knows is not there either.
            change("nope", Delete, None),
        ];
        assert_eq!(after(&gone), Ok(BTreeMap::new()));
        for (refused, message) in [
            (
                change("nope", Set, Some("1")),
                "Unknown topic config name: nope",
            ),
            (
                change("retention.ms", Append, Some("1")),
                "Can't APPEND to key retention.ms because its type is not LIST.",
            ),
            (
                change("retention.ms", Set, Some("x")),
                "Invalid value x for configuration retention.ms",
            ),
        ] {
            let error = after(&[refused]).unwrap_err();
            assert_eq!(
                (error.code, &*error.message),
                (ErrorCode::INVALID_CONFIG, message)
            );
        }
    }

    #[test]
    fn every_default_is_a_value_that_changes_nothing() {
        let defaults = LogConfig::default();
        for setting in shown(&defaults) {
            let own = BTreeMap::from([(setting.name.to_owned(), setting.default)]);
            assert_eq!(overlay(&defaults, &own), defaults, "{}", setting.name);
            let given = own.into_iter().map(|(name, value)| (name, Some(value)));
            assert!(check(&given.collect::<Vec<_>>()).is_ok());
        }
    }
}
