//! A request together with the way its answer goes back. A connection makes them, a coordinator answers them.

use std::fmt;

use crate::{request, response};

/// Where one answer goes. Called at most once, on the task that has the answer: keep the closure short. Dropped unsent
/// (nobody is left to answer) the closure is dropped with it, and whoever made it notices by what it owns.
pub struct Reply<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Reply<T> {
    /// A reply that runs `answer`.
    #[must_use]
    pub fn new(answer: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(answer))
    }

    /// Answers.
    pub fn send(self, answer: T) {
        (self.0)(answer);
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// One request for the coordinators, with its reply. FindCoordinator is no such request: it asks where they are.
#[derive(Debug)]
pub enum Call {
    /// Answered when the join phase ends, which may take as long as the rebalance timeout.
    JoinGroup(request::JoinGroup, Reply<response::JoinGroup>),
    /// Answered when the leader's plan is durable.
    SyncGroup(request::SyncGroup, Reply<response::SyncGroup>),
    /// Answered at once.
    Heartbeat(request::Heartbeat, Reply<response::Heartbeat>),
    /// Answered at once; if nobody is left, when that is durable.
    LeaveGroup(request::LeaveGroup, Reply<response::LeaveGroup>),
    /// Answered when the commits are durable.
    OffsetCommit(request::OffsetCommit, Reply<response::OffsetCommit>),
    /// Answered behind the commits in flight of the groups it names.
    OffsetFetch(request::OffsetFetch, Reply<response::OffsetFetch>),
    /// Answered at once, behind the changes in flight of the groups it names.
    DescribeGroups(request::DescribeGroups, Reply<response::DescribeGroups>),
    /// Answered when every coordinator has told its groups.
    ListGroups(request::ListGroups, Reply<response::ListGroups>),
    /// Answered when the groups are durably gone.
    DeleteGroups(request::DeleteGroups, Reply<response::DeleteGroups>),
    /// Answered when the offsets are durably gone.
    OffsetDelete(request::OffsetDelete, Reply<response::OffsetDelete>),
}
