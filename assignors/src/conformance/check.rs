//! What is held against an assignor, and how it is told what it did wrong.

use std::fmt;
use std::time::Duration;

use crate::assignor::{AssignError, RebalanceProtocol};
use crate::group::{MemberInfo, TopicInfo};
use crate::plan::PlanError;

/// Larger groups are told by their size.
const SHOWN_MAX: usize = 20;

/// What the kit holds an assignor to. Each can be [switched off](super::Kit::without) by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Check {
    /// There is a plan, and it gives every partition that has a subscriber to somebody. Cooperatively it may wait for a
    /// round: where somebody else has to give it up, or where it is [left out](crate::Plan::leave_out) on purpose. A leader
    /// refuses any other plan.
    Complete,
    /// No partition is given out twice. A leader refuses any other plan.
    Disjoint,
    /// Only partitions that exist are given out. A leader refuses any other plan.
    Existing,
    /// A member gets partitions of topics that it subscribes to, no others. A leader refuses any other plan.
    SubscribersOnly,
    /// The same group gives the same plan again: nothing is remembered between two calls.
    Repeatable,
    /// The order in which members and topics are listed does not change the plan: no hash map decides, and no clock.
    Order,
    /// Bytes of user data that are cut, empty, long, random, or announce more than is there do no harm: a plan comes out
    /// that may be sent, and twice the same. They come from other processes, of any age and language.
    UserData,
    /// A cooperative assignor has handed everything out after a few rounds in which nothing else changed.
    Settles,
    /// Where all members subscribe alike, nobody gets more partitions above another than the
    /// [bound](super::Kit::skew), 1 unless it is set.
    Skew,
    /// Where nothing changed, nothing moves: given its own plan as what members own, it makes it again. Tried without racks
    /// and without lag, for which an assignor may move something at any time.
    Idempotent,
    /// One member that goes takes nothing from those that stay, and one that comes takes no more than it gets. Tried where
    /// all members subscribe alike, without racks and without lag, under the most advanced protocol of the assignor.
    Movement,
    /// Hundreds of members and tens of thousands of partitions have a plan within the [limit](super::Kit::scale_limit), fresh
    /// and after one member left, with equal subscriptions and with different ones.
    Scale,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Check {
    pub(super) fn of(error: &PlanError) -> Self {
        match error {
            PlanError::UnknownPartition { .. } => Self::Existing,
            PlanError::NotSubscribed { .. } => Self::SubscribersOnly,
            PlanError::GivenTwice { .. } => Self::Disjoint,
            PlanError::OtherGroup { .. }
            | PlanError::LeftOut { .. }
            | PlanError::MovedDirectly { .. } => Self::Complete,
        }
    }
}

/// A group that an assignor failed on.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Seed of the kit.
    pub seed: u64,
    /// Which group of this seed.
    pub number: u64,
    /// What it was held to.
    pub check: Check,
    /// What went wrong.
    pub cause: Cause,
    /// The topics.
    pub topics: Vec<TopicInfo>,
    /// The members, as they were when it went wrong.
    pub members: Vec<MemberInfo>,
}

/// What an assignor did wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// It returned an error.
    #[error("no plan: {0}")]
    NoPlan(AssignError),
    /// It panicked.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// Its plan breaks a rule.
    #[error("invalid plan under the {1:?} protocol: {0}")]
    Invalid(PlanError, RebalanceProtocol),
    /// The same group gave another plan the second time.
    #[error("the same group gave another plan the second time")]
    NotRepeatable,
    /// The order of members or topics changed the plan.
    #[error("the order in which members are listed changed the plan")]
    OrderMatters,
    /// All members subscribe alike, and one got more above another than the bound.
    #[error("members that subscribe alike got from {0} to {1} partitions")]
    Unbalanced(usize, usize),
    /// Given its own plan as what members own, it moved partitions.
    #[error("nothing changed and {0} partitions moved")]
    NotSticky(usize),
    /// A member left, and partitions of others moved.
    #[error("one member left and {0} partitions of others moved")]
    MovedOnLeave(usize),
    /// A member came, and more moved than it got.
    #[error("one member came and {moved} partitions moved for the {got} that it got")]
    MovedOnJoin {
        /// Partitions that their owners lost.
        moved: usize,
        /// Partitions that the new member got.
        got: usize,
    },
    /// Withheld partitions were never handed out.
    #[error("partitions are still withheld after {0} rounds")]
    NeverSettles(usize),
    /// A plan for a large group took too long.
    #[error("the plan took {0:?}, the limit is {1:?}")]
    TookTooLong(Duration, Duration),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            number,
            check,
            cause,
            ..
        } = self;
        write!(f, "{check}: {cause} (seed {seed}, group {number})")?;
        let (topics, members) = (&self.topics, &self.members);
        if members.len() > SHOWN_MAX {
            return write!(f, "\n{} topics, {} members", topics.len(), members.len());
        }
        write!(f, "\ntopics: {topics:#?}\nmembers: {members:#?}")
    }
}

impl std::error::Error for Failure {}
