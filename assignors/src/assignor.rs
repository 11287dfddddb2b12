//! The trait. Object-safe: a consumer keeps `Arc<dyn Assignor>`.

use std::collections::{BTreeMap, BTreeSet};

use crate::group::Group;
use crate::ownership::Ownership;
use crate::plan::Plan;

/// How partitions change hands in a rebalance (KIP-429).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RebalanceProtocol {
    /// Every member gives everything up before it joins again.
    Eager,
    /// Members keep what they have while they join. A partition that moves is given to nobody in the first round; its
    /// owner gives it up, and the next round hands it out.
    Cooperative,
}

/// What an assignor has to know of the members besides their subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Need {
    /// What each member owns, and in which generation it got it: [`Member::owned`](crate::Member::owned) and
    /// [`Member::generation`](crate::Member::generation). Cooperative members say it in their subscription; eager ones in
    /// user data, as Java's `sticky` does, which [`Assignor::user_data`] writes where an assignor needs this.
    Owned,
    /// How far the group is behind on each partition: [`Group::lag`]. Whoever leads asks for committed and end offsets before
    /// the assignor runs; what it does not hear in time is not known, so a plan has to come out without any of it.
    Lag,
}

/// Decides which member of a group consumes which partitions.
///
/// Every method is a pure function of its arguments. An assignor that remembers something, as sticky ones do, finds it
/// in [`Member::owned`](crate::Member::owned), or puts it into its user data and reads it back from
/// [`Member::user_data`](crate::Member::user_data): the member that leads next is another process.
///
/// Each call runs on a thread of its own, outside of any runtime, with a time limit; heartbeats do not wait for it. A
/// panic, or a call that takes too long, counts as an error.
pub trait Assignor: Send + Sync {
    /// The protocol name in JoinGroup. All members of a group must know one name in common; Kafka's own are `range`,
    /// `roundrobin`, `sticky` and `cooperative-sticky`.
    fn name(&self) -> &str;

    /// The rebalance protocols it can work under. A consumer uses the most advanced one that all its assignors have in
    /// common. Eager alone by default.
    fn protocols(&self) -> &[RebalanceProtocol] {
        &[RebalanceProtocol::Eager]
    }

    /// What it has to know. Nothing beyond the subscriptions by default.
    fn needs(&self) -> &[Need] {
        &[]
    }

    /// What goes into this member's subscription for the leader's assignor to read. `topics` are those subscribed to,
    /// `last` the assignment this member had last in this process, also where it has given it up since. By default
    /// nothing, but for an eager assignor that needs [`Need::Owned`]: that is the [`Ownership`] of `last`.
    fn user_data(&self, topics: &BTreeSet<String>, last: Option<&Assignment>) -> Option<Vec<u8>> {
        let _ = topics;
        let cooperative = self.protocols().contains(&RebalanceProtocol::Cooperative);
        let tells = self.needs().contains(&Need::Owned) && !cooperative;
        last.filter(|_| tells).map(Ownership::encode)
    }

    /// Assigns every partition that has a subscriber, each to exactly one of its subscribers: the ownership as it should
    /// be in the end. Under [`RebalanceProtocol::Cooperative`] whoever runs the assignor [withholds](Plan::withhold) what
    /// has to be given up first; an assignor that wants more to wait for the next round [leaves it
    /// out](Plan::leave_out).
    ///
    /// The same group must give the same plan in every process and on every run. The bytes of user data come from
    /// other processes, of any age and language: what cannot be read counts as absent.
    ///
    /// # Errors
    /// [`AssignError`]; this generation fails and the group tries again.
    fn assign(&self, group: &Group) -> Result<Plan, AssignError>;

    /// Called on every member with what it was assigned, before it consumes. For assignors that tell somebody; nothing
    /// by default.
    fn on_assignment(&self, assignment: &Assignment) {
        let _ = assignment;
    }
}

/// What one member was assigned in one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Partitions by topic, ascending.
    pub partitions: BTreeMap<String, Vec<i32>>,
    /// The generation, -1 outside of any.
    pub generation: i32,
    /// What the leader's assignor [sent along](Plan::set_user_data).
    pub user_data: Option<Vec<u8>>,
}

/// Why an assignor has no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AssignError(String);

impl AssignError {
    /// An error that says `why`.
    #[must_use]
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}
