//! Series with a topic's name for a label. They are collected from the topics at each scrape and kept nowhere: a topic
//! that is deleted is gone at the next scrape, and one that is created again starts at 0.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{
    BROKER_APPENDED_BYTES_TOTAL, BROKER_APPENDED_RECORDS_TOTAL, BROKER_FETCHED_BYTES_TOTAL,
    BROKER_LOG_SIZE_BYTES, METRICS_SERIES, SERIES_DROPPED,
};

/// What the logs of one topic have counted since the topic was created or the broker started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicCounts {
    /// The topic.
    pub topic: Arc<str>,
    /// Records appended; duplicates of idempotent producers are not.
    pub appended_records: u64,
    /// Bytes of record batches appended.
    pub appended_bytes: u64,
    /// Bytes of record batches read for clients.
    pub fetched_bytes: u64,
    /// Bytes of all segments there are.
    pub size_bytes: u64,
}

/// One metric by topic: its name, type, help, and where its value is.
struct ByTopic {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&TopicCounts) -> u64,
}

const BY_TOPIC: [ByTopic; 4] = [
    ByTopic {
        name: BROKER_APPENDED_RECORDS_TOTAL,
        kind: "counter",
        help: "Records appended to topic logs; duplicates of idempotent producers are not.",
        value: |counts| counts.appended_records,
    },
    ByTopic {
        name: BROKER_APPENDED_BYTES_TOTAL,
        kind: "counter",
        help: "Bytes of record batches appended to topic logs.",
        value: |counts| counts.appended_bytes,
    },
    ByTopic {
        name: BROKER_FETCHED_BYTES_TOTAL,
        kind: "counter",
        help: "Bytes of record batches read from topic logs for clients.",
        value: |counts| counts.fetched_bytes,
    },
    ByTopic {
        name: BROKER_LOG_SIZE_BYTES,
        kind: "gauge",
        help: "Bytes in the topic's logs, all partitions together.",
        value: |counts| counts.size_bytes,
    },
];

/// Appends the series of these topics in Prometheus' text format, at most `series_max` of them: topics with the least
/// traffic are left out first, whole. Gives how many topics were.
fn write(mut topics: Vec<TopicCounts>, series_max: usize, text: &mut String) -> usize {
    let room = series_max / BY_TOPIC.len();
    let left_out = topics.len().saturating_sub(room);
    if left_out > 0 {
        let traffic = |of: &TopicCounts| of.appended_bytes.saturating_add(of.fetched_bytes);
        topics.sort_by(|a, b| {
            traffic(b)
                .cmp(&traffic(a))
                .then_with(|| a.topic.cmp(&b.topic))
        });
        topics.truncate(room);
        topics.sort_by(|a, b| a.topic.cmp(&b.topic));
    }
    if topics.is_empty() {
        return left_out;
    }
    for metric in &BY_TOPIC {
        let ByTopic {
            name,
            kind,
            help,
            value,
        } = metric;
        // Writing to a string cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for counts in &topics {
            // No name of a topic has a character that would have to be escaped.
            let _ = writeln!(
                text,
                "{name}{{topic=\"{}\"}} {}",
                counts.topic,
                value(counts)
            );
        }
        text.push('\n');
    }
    left_out
}

/// The series of all topics within the budget; counts those that did not fit.
pub(super) fn render(counts: Vec<TopicCounts>, series_max: usize) -> String {
    let all = counts.len();
    let mut text = String::new();
    let left_out = write(counts, series_max, &mut text);
    for metric in BY_TOPIC {
        SERIES_DROPPED
            .with(&[metric.name])
            .increment(left_out as u64);
    }
    let shown = (all - left_out) * BY_TOPIC.len();
    metrics::gauge!(METRICS_SERIES).set(u32::try_from(shown).unwrap_or(u32::MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, appended_bytes: u64) -> TopicCounts {
        TopicCounts {
            topic: name.into(),
            appended_records: 1,
            appended_bytes,
            fetched_bytes: 2,
            size_bytes: 3,
        }
    }

    #[test]
    fn each_metric_has_its_head_and_a_line_a_topic() {
        let mut text = String::new();
        assert_eq!(write(vec![topic("a", 5), topic("b", 7)], 8, &mut text), 0);
        let expected = "# HELP callboard_broker_appended_bytes_total Bytes of record batches appended to topic logs.\n\
            # TYPE callboard_broker_appended_bytes_total counter\n\
            callboard_broker_appended_bytes_total{topic=\"a\"} 5\n\
            callboard_broker_appended_bytes_total{topic=\"b\"} 7\n\n";
        assert!(text.contains(expected), "{text}");
        assert_eq!(text.matches("{topic=\"a\"}").count(), 4);
    }

    #[test]
    fn at_the_budget_the_quietest_topics_are_left_out() {
        let topics = || vec![topic("a", 5), topic("b", 7), topic("c", 6), topic("d", 5)];
        let mut text = String::new();
        assert_eq!(write(topics(), 11, &mut text), 2);
        let shown = |name: &str| text.contains(&format!("topic=\"{name}\""));
        assert!(shown("b") && shown("c") && !shown("a") && !shown("d"));
        let mut none = String::new();
        assert_eq!(write(topics(), 0, &mut none), 4);
        assert_eq!(none, "");
    }
}
