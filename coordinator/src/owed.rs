//! The way back of one request of a core, kept outside of it: from the core's response to the caller's reply.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use callboard_protocol::ErrorCode;

use crate::core::{CommitOutcome, CommitPartition, CommitTopic, Response, remap};
use crate::{Reply, response};

/// Answers one request once. Dropped unanswered it says COORDINATOR_NOT_AVAILABLE: whoever waits looks for the
/// coordinator again.
pub(crate) struct Port(Option<Way>);

pub(crate) enum Way {
    Join(Reply<response::JoinGroup>),
    Sync(Reply<response::SyncGroup>),
    Heartbeat(Reply<response::Heartbeat>),
    Leave(Reply<response::LeaveGroup>),
    /// With the topics of the request: the outcome has none.
    Commit(Arc<[CommitTopic]>, Reply<response::OffsetCommit>),
    Fetch(Arc<str>, Reply<response::FetchedGroup>),
    Describe(Arc<str>, Reply<response::DescribedGroup>),
    Delete(Reply<ErrorCode>),
    DeleteOffsets(Reply<response::OffsetDelete>),
    List(Reply<response::ListGroups>),
}

impl Port {
    pub(crate) fn new(way: Way) -> Self {
        Self(Some(way))
    }

    /// Answers. A response of another API is a bug; the caller is answered all the same.
    pub(crate) fn answer(mut self, response: Response) {
        match (self.0.take(), response) {
            (Some(Way::Join(reply)), Response::Join(answer)) => reply.send(answer),
            (Some(Way::Sync(reply)), Response::Sync(answer)) => reply.send(answer),
            (Some(Way::Heartbeat(reply)), Response::Heartbeat(error)) => {
                reply.send(response::Heartbeat { error })
            }
            (Some(Way::Leave(reply)), Response::Leave(answer)) => reply.send(answer),
            (Some(Way::Commit(topics, reply)), Response::Commit(outcome)) => {
                reply.send(committed(&topics, &outcome))
            }
            (Some(Way::Fetch(_, reply)), Response::Fetch(answer)) => reply.send(answer),
            (Some(Way::Describe(_, reply)), Response::Describe(answer)) => reply.send(answer),
            (Some(Way::Delete(reply)), Response::Delete(error)) => reply.send(error),
            (Some(Way::DeleteOffsets(reply)), Response::DeleteOffsets(answer)) => {
                reply.send(answer)
            }
            (Some(Way::List(reply)), Response::List(answer)) => reply.send(answer),
            (way, _) => {
                debug_assert!(false, "a response answers the request it is for");
                self.0 = way;
            }
        }
    }

    /// Gives the request up without an answer: nobody can say what became of it, and the connection closes.
    pub(crate) fn abandon(mut self) {
        drop(self.0.take());
    }

    /// Answers with an error, the log's own or one clients know.
    pub(crate) fn refuse(mut self, error: ErrorCode) {
        if let Some(way) = self.0.take() {
            way.refuse(remap(error));
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(way) = self.0.take() {
            way.refuse(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Port")
    }
}

impl Way {
    fn refuse(self, error: ErrorCode) {
        match self {
            Self::Join(reply) => reply.send(response::JoinGroup::refused(error, "")),
            Self::Sync(reply) => reply.send(response::SyncGroup::refused(error)),
            Self::Heartbeat(reply) => reply.send(response::Heartbeat { error }),
            Self::Leave(reply) => reply.send(response::LeaveGroup::refused(error)),
            Self::Commit(topics, reply) => {
                reply.send(committed(&topics, &CommitOutcome::All(error)))
            }
            Self::Fetch(group_id, reply) => {
                reply.send(response::FetchedGroup {
                    group_id,
                    error,
                    topics: Vec::new(),
                });
            }
            Self::Describe(group_id, reply) => {
                reply.send(response::DescribedGroup::refused(error, group_id))
            }
            Self::Delete(reply) => reply.send(error),
            Self::DeleteOffsets(reply) => reply.send(response::OffsetDelete::refused(error)),
            Self::List(reply) => reply.send(response::ListGroups {
                error,
                groups: Vec::new(),
            }),
        }
    }
}

/// The answer an outcome makes of the topics of its request. What was wrong with a partition before any group was asked
/// stays wrong with it.
pub(crate) fn committed(topics: &[CommitTopic], outcome: &CommitOutcome) -> response::OffsetCommit {
    let mut place = 0;
    let mut next = |partition: &CommitPartition| {
        place += 1;
        let error = match outcome {
            _ if partition.error != ErrorCode::NONE => partition.error,
            CommitOutcome::All(error) => *error,
            CommitOutcome::Each(errors) => errors
                .get(place - 1)
                .copied()
                .unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR),
        };
        (partition.partition, error)
    };
    let topics = topics.iter().map(|topic| response::CommittedTopic {
        topic: topic.topic.clone(),
        partitions: topic.partitions.iter().map(&mut next).collect(),
    });
    response::OffsetCommit {
        topics: topics.collect(),
    }
}

/// The parts of an answer several groups or coordinators have a share in.
pub(crate) struct Gather<T> {
    state: Arc<Mutex<Gathering<T>>>,
}

struct Gathering<T> {
    parts: Vec<Option<T>>,
    missing: usize,
    done: Option<Box<dyn FnOnce(Vec<T>) + Send>>,
}

impl<T: Send + 'static> Gather<T> {
    /// Calls `done` with `parts` parts in order, at once if there are none.
    pub(crate) fn new(parts: usize, done: impl FnOnce(Vec<T>) + Send + 'static) -> Self {
        let mut done: Option<Box<dyn FnOnce(Vec<T>) + Send>> = Some(Box::new(done));
        if parts == 0
            && let Some(done) = done.take()
        {
            done(Vec::new());
        }
        let parts: Vec<Option<T>> = std::iter::repeat_with(|| None).take(parts).collect();
        let missing = parts.len();
        Self {
            state: Arc::new(Mutex::new(Gathering {
                parts,
                missing,
                done,
            })),
        }
    }

    /// The reply of the part at `place`. To be made once for each.
    pub(crate) fn part(&self, place: usize) -> Reply<T> {
        let state = Arc::clone(&self.state);
        Reply::new(move |part| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(slot) = state.parts.get_mut(place)
                && slot.replace(part).is_none()
            {
                state.missing -= 1;
            }
            if state.missing == 0
                && let Some(done) = state.done.take()
            {
                let parts = std::mem::take(&mut state.parts);
                // The lock is not held while somebody else's code runs.
                drop(state);
                done(parts.into_iter().flatten().collect());
            }
        })
    }
}
