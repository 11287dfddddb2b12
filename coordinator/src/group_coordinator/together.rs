//! Commits of one group that are handed to the writer together: those that one message brought, one behind the other,
//! are one batch on disk, as those within Kafka's `group.coordinator.append.linger.ms` are. Nobody waits for more to come.

use std::sync::Arc;

use callboard_offsets::record::Record;
use callboard_offsets::writer::{AppendError, Writer};

use super::State;
use super::perform::code;
use crate::core::{CommitOutcome, RequestId, Response};
use crate::owed::Owed;

/// Bytes of the records of one append, about, and which part of what the engine takes it may be: what is too large is so
/// by itself.
const BYTES_MAX: usize = 64 * 1024;
const PART_OF_ENGINE: usize = 4;
/// What a record takes besides its names and its note, more or less.
const RECORD_BYTES: usize = 96;

type DurableFn = Box<dyn FnOnce(Result<(), AppendError>) + Send>;

/// One commit on its way.
pub(super) struct Commit {
    pub(super) owed: Owed,
    pub(super) outcome: CommitOutcome,
    /// The core's, if it waits for it.
    pub(super) durable: Option<DurableFn>,
}

/// See the module.
pub(super) struct Together {
    group_id: Arc<str>,
    records: Vec<Record>,
    bytes: usize,
    /// The first of them.
    first: RequestId,
    owed: Vec<Owed>,
    outcomes: Vec<CommitOutcome>,
    /// Of those that the core waits for.
    durable: Vec<DurableFn>,
}

impl Together {
    fn takes(&self, group_id: &str, bytes: usize, bytes_max: usize) -> bool {
        *self.group_id == *group_id && self.bytes + bytes <= bytes_max
    }
}

impl State {
    /// Puts a commit to those of its group that go to the writer at the end of this message, or before it when
    /// something else does.
    pub(super) fn put_together(
        &mut self,
        group_id: Arc<str>,
        mut records: Vec<Record>,
        id: RequestId,
        commit: Commit,
    ) {
        let bytes = records.iter().map(size).sum();
        let engines = self.node.log.capabilities().batch_bytes_max;
        let bytes_max = BYTES_MAX.min(engines / PART_OF_ENGINE);
        if !matches!(&self.together, Some(together) if together.takes(&group_id, bytes, bytes_max))
        {
            self.send_together();
        }
        let together = self.together.get_or_insert_with(|| Together {
            group_id,
            records: Vec::new(),
            bytes: 0,
            first: id,
            owed: Vec::new(),
            outcomes: Vec::new(),
            durable: Vec::new(),
        });
        together.records.append(&mut records);
        together.bytes += bytes;
        together.owed.push(commit.owed);
        together.outcomes.push(commit.outcome);
        together.durable.extend(commit.durable);
    }

    /// The writer, for all but what is put together, which goes before it.
    pub(super) fn writer(&mut self) -> &Writer {
        self.send_together();
        &self.writer
    }

    /// Hands what was put together to the writer, which answers it once it has landed.
    pub(super) fn send_together(&mut self) {
        let Some(together) = self.together.take() else {
            return;
        };
        let Together {
            group_id,
            records,
            first,
            owed,
            outcomes,
            durable,
            ..
        } = together;
        let deadline = self.origin.elapsed() + self.node.config.offsets_commit_timeout;
        let landing = self.debts.land(first, owed, deadline);
        self.writer.append(group_id, records, move |landed| {
            for (owed, outcome) in landing.take(first).into_iter().zip(outcomes) {
                match &landed {
                    Ok(()) => owed.answer(Response::Commit(outcome)),
                    Err(AppendError::Poisoned { .. }) => owed.abandon(),
                    Err(error) => owed.answer(Response::Commit(outcome.failed(code(error)))),
                }
            }
            for durable in durable {
                durable(landed.clone());
            }
        });
    }
}

fn size(record: &Record) -> usize {
    let names = match record {
        Record::OffsetCommit {
            group,
            topic,
            value,
            ..
        } => {
            let note = value.as_ref().map_or(0, |value| value.metadata.len());
            group.len() + topic.len() + note
        }
        _ => BYTES_MAX,
    };
    RECORD_BYTES + names
}
