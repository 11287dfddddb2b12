//! What a writer is told, by its handle and by itself.

use std::sync::Arc;

use super::core::AppendNumber;
use super::{AppendError, Completion, PlanFn, ReadFn};
use crate::index::Index;
use crate::log::{LogError, Opened, Resolution};
use crate::record::Record;

/// What a writer is told. Made by the methods of [`Writer`](super::Writer) and by the writer itself.
pub struct WriterMsg(pub(super) Msg);

impl std::fmt::Debug for WriterMsg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WriterMsg")
    }
}

// Every message is boxed and queued: none may grow fat.
const _: () = assert!(size_of::<WriterMsg>() <= 256);

pub(super) enum Msg {
    /// From outside; answered through its closure.
    Do(Op),
    /// The engine opened the partition, or would not.
    Opened(Result<Opened, LogError>),
    /// The replay has ended.
    Replayed(Result<Box<Index>, LogError>),
    /// The engine answered an append.
    Landed(AppendNumber, Result<u64, LogError>),
    /// The engine answered what became of one.
    Resolved(Result<Resolution, LogError>),
    /// The timer of this number fired.
    TimerFired(u64),
}

/// Into how many appends records may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pieces {
    /// All land or none.
    One,
    /// As many as it takes, one behind the other.
    Many,
}

pub(super) enum Op {
    /// In pieces it is what is left of a change in parts: it waits for the part before it, and everything of the group
    /// waits for it.
    Append {
        group: Arc<str>,
        records: Vec<Record>,
        done: Completion,
        pieces: Pieces,
    },
    Read {
        group: Option<Arc<str>>,
        read: ReadFn,
    },
    Change {
        group: Arc<str>,
        plan: PlanFn,
        done: Completion,
        pieces: Pieces,
    },
    /// An append of nothing: waits for its turn like a read.
    Nothing { group: Arc<str>, done: Completion },
}

impl WriterMsg {
    pub(super) fn append(
        group: Arc<str>,
        records: Vec<Record>,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
    ) -> Self {
        debug_assert!(records.iter().all(|record| *record.group() == group));
        Self(Msg::Do(Op::Append {
            group,
            records,
            done: Completion(Some(Box::new(done))),
            pieces: Pieces::One,
        }))
    }

    pub(super) fn read(
        group: Option<Arc<str>>,
        read: impl FnOnce(&Index) + Send + 'static,
    ) -> Self {
        Self(Msg::Do(Op::Read {
            group,
            read: Box::new(read),
        }))
    }

    pub(super) fn change(
        group: Arc<str>,
        plan: impl FnOnce(&Index) -> Vec<Record> + Send + 'static,
        done: impl FnOnce(Result<(), AppendError>) + Send + 'static,
        pieces: Pieces,
    ) -> Self {
        Self(Msg::Do(Op::Change {
            group,
            plan: Box::new(plan),
            done: Completion(Some(Box::new(done))),
            pieces,
        }))
    }
}

impl Op {
    /// Answers that it cannot be done.
    pub(super) fn refuse(self, error: AppendError) {
        match self {
            Self::Append { done, .. } | Self::Change { done, .. } | Self::Nothing { done, .. } => {
                done.call(Err(error))
            }
            // Nobody to tell but by dropping it; the coordinator knows that the partition is not served.
            Self::Read { .. } => {}
        }
    }
}
