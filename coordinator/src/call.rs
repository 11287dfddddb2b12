//! A request together with the way its answer goes back. A connection makes them, a coordinator answers them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

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

impl<T: Send + 'static> Reply<Vec<T>> {
    /// A reply for each of so many parts. When the last is sent the whole is, in the order of the parts: at once if there
    /// are none, and never if one is dropped unsent.
    pub(crate) fn in_parts(self, parts: usize) -> Vec<Reply<T>> {
        let missing: Vec<Option<T>> = std::iter::repeat_with(|| None).take(parts).collect();
        let whole = Arc::new(Mutex::new((missing, self)));
        let replies = (0..parts).map(|place| {
            let whole = Arc::clone(&whole);
            Reply::new(move |part| {
                let mut so_far = whole.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(missing) = so_far.0.get_mut(place) {
                    *missing = Some(part);
                }
                drop(so_far);
                send_whole(whole);
            })
        });
        let replies = replies.collect();
        send_whole(whole);
        replies
    }
}

/// Parts as far as they are there, and where all of them go.
type Whole<T> = Mutex<(Vec<Option<T>>, Reply<Vec<T>>)>;

/// Sends it unless somebody else holds it: that one has a part, and sends it later.
fn send_whole<T>(whole: Arc<Whole<T>>) {
    let Some(whole) = Arc::into_inner(whole) else {
        return;
    };
    let (parts, reply) = whole.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(parts) = parts.into_iter().collect() {
        reply.send(parts);
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

#[cfg(test)]
mod tests {
    use super::*;

    type Told = Arc<Mutex<Vec<Vec<char>>>>;

    fn whole() -> (Told, Reply<Vec<char>>) {
        let told = Told::default();
        let tell = Arc::clone(&told);
        (
            told,
            Reply::new(move |parts| tell.lock().unwrap().push(parts)),
        )
    }

    #[test]
    fn a_reply_in_parts_is_sent_once_and_in_order_with_the_last_of_them() {
        let (told, reply) = whole();
        let [first, second]: [_; 2] = reply.in_parts(2).try_into().unwrap();
        second.send('b');
        assert!(told.lock().unwrap().is_empty());
        first.send('a');
        assert_eq!(*told.lock().unwrap(), [['a', 'b']]);
    }

    #[test]
    fn of_no_parts_it_is_sent_at_once() {
        let (told, reply) = whole();
        assert!(reply.in_parts(0).is_empty());
        assert_eq!(*told.lock().unwrap(), [Vec::new()]);
    }

    #[test]
    fn without_one_of_its_parts_it_is_dropped_unsent() {
        for dropped_last in [true, false] {
            let (told, reply) = whole();
            let [dropped, sent]: [_; 2] = reply.in_parts(2).try_into().unwrap();
            if dropped_last {
                sent.send('b');
                drop(dropped);
            } else {
                drop(dropped);
                sent.send('b');
            }
            assert!(told.lock().unwrap().is_empty());
            assert_eq!(Arc::strong_count(&told), 1, "whoever made it notices");
        }
    }
}
