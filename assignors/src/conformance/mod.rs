//! Tries an assignor on random groups and holds it to what every assignor promises. For the tests of its author.
//!
//! Every group follows from a seed and its number; a [`Failure`] names both and shows the group.

mod random;

use std::fmt;

use crate::assignor::{AssignError, Assignor, RebalanceProtocol};
use crate::group::{Group, MemberInfo, TopicInfo};
use crate::plan::{Plan, PlanError};
use random::Random;

/// A cooperative assignor must have handed everything out after so many rounds without a change: one in which owners
/// give up, one in which others receive, and some to spare: for claims that contradict each other, and for assignors that
/// look for a better rack in every round, as Kafka's sticky ones do.
const ROUNDS_MAX: usize = 8;

/// What is tried, and how often.
///
/// Always: the plan [may be sent](Plan::check) under every protocol the assignor names, the same group gives the same
/// plan again, the order in which members joined does not matter, random bytes as user data do no harm, and a
/// cooperative assignor hands out in the end what it withheld.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Kit {
    seed: u64,
    groups: u64,
    balanced: bool,
    sticky: bool,
    racks: bool,
}

/// A group that an assignor failed on.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Seed of the kit.
    pub seed: u64,
    /// Which group of this seed.
    pub number: u64,
    /// What went wrong.
    pub cause: Cause,
    /// The topics.
    pub topics: Vec<TopicInfo>,
    /// The members.
    pub members: Vec<MemberInfo>,
}

/// What an assignor did wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// It returned an error.
    #[error("no plan: {0}")]
    NoPlan(AssignError),
    /// Its plan breaks a rule.
    #[error("invalid plan under the {1:?} protocol: {0}")]
    Invalid(PlanError, RebalanceProtocol),
    /// The same group gave another plan the second time.
    #[error("the same group gave another plan the second time")]
    NotRepeatable,
    /// The order of members or topics changed the plan.
    #[error("the order in which members are listed changed the plan")]
    OrderMatters,
    /// All members subscribe alike, and one got at least two partitions more than another.
    #[error("members that subscribe alike got from {0} to {1} partitions")]
    Unbalanced(usize, usize),
    /// Given its own plan as what members own, it moved partitions.
    #[error("nothing changed and {0} partitions moved")]
    NotSticky(usize),
    /// Withheld partitions were never handed out.
    #[error("partitions are still withheld after {0} rounds")]
    NeverSettles(usize),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (seed {}, group {})\ntopics: {:#?}\nmembers: {:#?}",
            self.cause, self.seed, self.number, self.topics, self.members
        )
    }
}

impl std::error::Error for Failure {}

impl Kit {
    /// A kit of 1,000 groups made from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            groups: 1_000,
            balanced: false,
            sticky: false,
            racks: true,
        }
    }

    /// How many groups to try.
    pub const fn groups(mut self, groups: u64) -> Self {
        self.groups = groups;
        self
    }

    /// Where all members subscribe alike, nobody may get two partitions more than another.
    pub const fn expect_balance(mut self) -> Self {
        self.balanced = true;
        self
    }

    /// Given its own plan as what members own, it must move nothing.
    pub const fn expect_stickiness(mut self) -> Self {
        self.sticky = true;
        self
    }

    /// No member and no replica is in a rack: for what an assignor promises only there. Kafka's sticky assignors, for one,
    /// look for a better rack whenever they run, and need not find the same.
    pub const fn without_racks(mut self) -> Self {
        self.racks = false;
        self
    }

    /// Tries the assignor. A panic of the assignor passes through; the kit prints nothing.
    ///
    /// # Errors
    /// The first group it failed on.
    pub fn run(self, assignor: &dyn Assignor) -> Result<(), Box<Failure>> {
        for number in 0..self.groups {
            let mut random = Random::new(self.seed, number);
            let mut topics = random.topics();
            let mut members = random.members(&topics, assignor);
            if !self.racks {
                topics.iter_mut().for_each(|topic| topic.racks.clear());
                members.iter_mut().for_each(|member| member.rack = None);
            }
            for &protocol in assignor.protocols() {
                self.try_one(assignor, protocol, &topics, &members, &mut random)
                    .map_err(|cause| {
                        Box::new(Failure {
                            seed: self.seed,
                            number,
                            cause,
                            topics: topics.clone(),
                            members: members.clone(),
                        })
                    })?;
            }
        }
        Ok(())
    }

    fn try_one(
        self,
        assignor: &dyn Assignor,
        protocol: RebalanceProtocol,
        topics: &[TopicInfo],
        members: &[MemberInfo],
        random: &mut Random,
    ) -> Result<(), Cause> {
        let mut members = members.to_vec();
        if protocol == RebalanceProtocol::Eager {
            members.iter_mut().for_each(|member| member.owned.clear());
        }
        let group = Group::for_assignor(assignor, topics.to_vec(), members.clone());
        let plan = checked(assignor, protocol, &group)?;
        if made(assignor, protocol, &group)? != plan {
            return Err(Cause::NotRepeatable);
        }
        let mut other_order = members.clone();
        random.shuffle(&mut other_order);
        let other = Group::for_assignor(assignor, topics.iter().rev().cloned(), other_order);
        let again = made(assignor, protocol, &other)?;
        if again.named(&other) != plan.named(&group) {
            return Err(Cause::OrderMatters);
        }
        let settled = self.settle(assignor, protocol, topics, &mut members, plan)?;
        if self.balanced {
            balance(&settled.0, &settled.1)?;
        }
        Ok(())
    }

    /// Lets the members take what they were given and join again, until nothing is withheld and nothing moves.
    fn settle(
        self,
        assignor: &dyn Assignor,
        protocol: RebalanceProtocol,
        topics: &[TopicInfo],
        members: &mut [MemberInfo],
        plan: Plan,
    ) -> Result<(Group, Plan), Cause> {
        let mut group = Group::for_assignor(assignor, topics.to_vec(), members.to_vec());
        let mut plan = plan;
        if protocol == RebalanceProtocol::Eager && !self.sticky {
            return Ok((group, plan));
        }
        for _round in 0..ROUNDS_MAX {
            let complete = plan.check(&group, RebalanceProtocol::Eager).is_ok();
            random::take_on(members, &group, &plan, protocol, assignor);
            let next_group = Group::for_assignor(assignor, topics.to_vec(), members.to_vec());
            let next = checked(assignor, protocol, &next_group)?;
            let moved = moved(&group, &plan, &next);
            if complete && (moved == 0 || !self.sticky) {
                return Ok((group, plan));
            }
            if complete {
                return Err(Cause::NotSticky(moved));
            }
            (group, plan) = (next_group, next);
        }
        Err(Cause::NeverSettles(ROUNDS_MAX))
    }
}

fn checked(
    assignor: &dyn Assignor,
    protocol: RebalanceProtocol,
    group: &Group,
) -> Result<Plan, Cause> {
    let plan = made(assignor, protocol, group)?;
    plan.check(group, protocol)
        .map_err(|error| Cause::Invalid(error, protocol))?;
    Ok(plan)
}

/// The plan of this round.
fn made(
    assignor: &dyn Assignor,
    protocol: RebalanceProtocol,
    group: &Group,
) -> Result<Plan, Cause> {
    let mut plan = assignor.assign(group).map_err(Cause::NoPlan)?;
    if protocol == RebalanceProtocol::Cooperative {
        plan.withhold(group);
    }
    Ok(plan)
}

/// Partitions that the first plan gives to somebody and the second one to somebody else or nobody.
fn moved(group: &Group, first: &Plan, second: &Plan) -> usize {
    group
        .member_indices()
        .map(|member| {
            let kept = second.of(member);
            let given = first.of(member).iter();
            given.filter(|partition| !kept.contains(partition)).count()
        })
        .sum()
}

fn balance(group: &Group, plan: &Plan) -> Result<(), Cause> {
    let mut subscriptions = group.member_indices().map(|one| group.member(one).topics());
    let Some(first) = subscriptions.next() else {
        return Ok(());
    };
    if subscriptions.any(|topics| topics != first) {
        return Ok(());
    }
    let counts = || group.member_indices().map(|one| plan.of(one).len());
    let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    if most > least + 1 {
        return Err(Cause::Unbalanced(least, most));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
