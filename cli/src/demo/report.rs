//! What a member tells the demo. Members of this process call, the one in a process of its own writes a line of JSON
//! for each.

use std::sync::Arc;

use callboard_consumer::{Event, TopicPartition};
use serde::{Deserialize, Serialize};

/// Something a member did or saw. Partitions are all of the one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// A handler was handed this row. Told before the row is acknowledged, so what is committed was told.
    Row {
        partition: i32,
        offset: i64,
        row: String,
    },
    /// A generation is complete, and this is the member's part in it.
    Assigned {
        generation: i32,
        owned: Vec<i32>,
        leader: bool,
        reason: String,
    },
    /// Partitions were given up in order.
    Revoked { partitions: Vec<i32> },
    /// Partitions were gone before the member knew.
    Lost { partitions: Vec<i32>, cause: String },
    /// A handler failed and is started again.
    Restarted {
        partition: i32,
        error: String,
        after_ms: u128,
        resumes_at: i64,
    },
    /// Records up to `until` were handed over again.
    Redelivered {
        partition: i32,
        offset: i64,
        until: i64,
        attempt: u32,
    },
    /// A commit was taken.
    Committed,
    /// Something that should not happen in a demo.
    Trouble(String),
}

/// Where reports go.
pub(super) type Sink = Arc<dyn Fn(Report) + Send + Sync>;

impl Report {
    /// What the demo tells of a consumer's event; most it does not.
    pub(super) fn of(event: Event) -> Option<Self> {
        Some(match event {
            Event::Assigned {
                generation,
                owned,
                leader,
                reason,
                ..
            } => Self::Assigned {
                generation,
                owned: numbers(&owned),
                leader,
                reason,
            },
            Event::Revoked { partitions, .. } => Self::Revoked {
                partitions: numbers(&partitions),
            },
            Event::Lost { partitions, cause } => Self::Lost {
                partitions: numbers(&partitions),
                cause,
            },
            Event::HandlerRestarted {
                partition,
                error,
                after,
                resumes_at,
                ..
            } => Self::Restarted {
                partition: partition.partition,
                error,
                after_ms: after.as_millis(),
                resumes_at,
            },
            Event::Redelivered {
                partition,
                offset,
                until,
                attempt,
            } => Self::Redelivered {
                partition: partition.partition,
                offset,
                until,
                attempt,
            },
            Event::Committed { .. } => Self::Committed,
            Event::Paused { partition, reason } => {
                Self::Trouble(format!("{partition} is paused: {reason}"))
            }
            Event::Skipped { partition, offset } => {
                Self::Trouble(format!("{partition}@{offset} was passed over"))
            }
            Event::AssignorFailed { error, .. } => {
                Self::Trouble(format!("the assignor has no plan: {error}"))
            }
            Event::Fatal { error } => Self::Trouble(error.to_string()),
            _ => return None,
        })
    }
}

fn numbers(partitions: &[TopicPartition]) -> Vec<i32> {
    let mut numbers: Vec<i32> = partitions
        .iter()
        .map(|partition| partition.partition)
        .collect();
    numbers.sort_unstable();
    numbers
}
