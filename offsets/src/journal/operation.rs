//! What callers ask and what they are answered. An operation becomes exactly one answer, in the order of arrival.

use std::collections::VecDeque;

use super::reader;
use super::state::JournalState;
use crate::log::{
    AppendDone, Batch, BatchId, Lease, LogError, OpenDone, Opened, Position, Resolution,
    ResolveDone,
};

/// Asked by a caller.
pub(crate) enum Operation {
    Open(u32, OpenDone),
    Append(Lease, Batch, AppendDone),
    Resolve(Lease, Position, BatchId, ResolveDone),
    /// An append that was refused when it arrived. It stands in the queue so that it is not answered before the ones
    /// ahead of it, and holds no bytes.
    Refused(LogError, AppendDone),
}

impl Operation {
    /// Bytes it holds until it is answered.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append(_, batch, _) => batch.len(),
            Self::Open(..) | Self::Resolve(..) | Self::Refused(..) => 0,
        }
    }

    /// The answer if nothing is taken any more.
    pub(crate) fn fail(self, error: &LogError) -> Answer {
        match self {
            Self::Open(_, done) => Answer::Open(Err(error.clone()), done),
            Self::Append(_, _, done) => Answer::Append(Err(error.clone()), done),
            Self::Refused(earlier, done) => Answer::Append(Err(earlier), done),
            Self::Resolve(_, _, _, done) => Answer::Resolve(Err(error.clone()), done),
        }
    }
}

/// A position and who is looked for there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) partition: u32,
    pub(crate) position: Position,
    pub(crate) id: BatchId,
}

/// To be given once the round is durable, in order.
pub(crate) enum Answer {
    Open(Result<Opened, LogError>, OpenDone),
    Append(Result<Position, LogError>, AppendDone),
    /// Looked up when it is given: by then whatever stood before it has landed or never will.
    Resolve(Result<Claim, LogError>, ResolveDone),
}

impl Answer {
    /// The round failed: what would have been good is not. What was refused before it, was.
    pub(crate) fn poison(&mut self, error: &LogError) {
        match self {
            Self::Open(result @ Ok(_), _) => *result = Err(error.clone()),
            Self::Append(result @ Ok(_), _) => *result = Err(error.clone()),
            Self::Resolve(result @ Ok(_), _) => *result = Err(error.clone()),
            Self::Open(Err(_), _) | Self::Append(Err(_), _) | Self::Resolve(Err(_), _) => {}
        }
    }

    /// Calls the caller back.
    pub(crate) fn give(self, state: &JournalState) {
        match self {
            Self::Open(result, done) => done(result),
            Self::Append(result, done) => done(result),
            Self::Resolve(result, done) => done(result.and_then(|claim| settle(state, claim))),
        }
    }
}

/// Fails everything that waits.
pub(crate) fn fail_all(
    waiting: &mut VecDeque<Operation>,
    error: &LogError,
    answers: &mut Vec<Answer>,
) {
    answers.extend(waiting.drain(..).map(|operation| operation.fail(error)));
}

fn settle(state: &JournalState, claim: Claim) -> Result<Resolution, LogError> {
    let found = reader::batch_id(state, claim.partition, claim.position)?;
    Ok(if found == Some(claim.id) {
        Resolution::Applied
    } else {
        Resolution::NotApplied
    })
}
