//! One group on its way through the checks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use super::random::{self, Random};
use super::{Cause, Check, Kit};
use crate::assignor::{Assignor, RebalanceProtocol};
use crate::group::{Group, MemberInfo, TopicInfo};
use crate::plan::Plan;

/// A cooperative assignor must have handed everything out after so many rounds without a change: one in which owners
/// give up, one in which others receive, and some to spare: for claims that contradict each other, and for assignors that
/// look for a better rack in every round, as Kafka's sticky ones do.
const ROUNDS_MAX: usize = 8;

/// A group that changes as the trial goes on, and the assignor that is tried on it.
pub(super) struct Trial<'a> {
    pub(super) kit: &'a Kit,
    pub(super) assignor: &'a dyn Assignor,
    pub(super) protocol: RebalanceProtocol,
    pub(super) topics: Vec<TopicInfo>,
    pub(super) members: Vec<MemberInfo>,
}

/// Why a trial goes no further.
pub(super) enum Stop {
    Failed(Check, Cause),
    /// It failed in what is switched off, and what comes after builds on that.
    Excused,
}

impl Trial<'_> {
    /// All checks but that of scale.
    pub(super) fn run(&mut self, random: &mut Random) -> Result<(), Stop> {
        if self.protocol == RebalanceProtocol::Eager {
            self.members.iter_mut().for_each(|one| one.owned.clear());
        }
        let members = self.members.clone();
        self.same_again(random)?;
        if self.kit.holds_to(Check::UserData) {
            for member in &mut self.members {
                if random.once_in(2) {
                    member.user_data = random.hostile(member.user_data.take());
                }
            }
            let group = self.group();
            let plan = self.round(&group, Some(Check::UserData))?;
            if self.round(&group, Some(Check::UserData))? != plan {
                return Err(self.stop(Check::UserData, Cause::NotRepeatable));
            }
            self.members.clone_from(&members);
        }
        let (group, plan) = self.settle()?;
        self.balance(&group, &plan)?;
        self.members = members;
        self.stays(random)
    }

    /// A plan that may be sent, twice the same, whatever the order.
    fn same_again(&mut self, random: &mut Random) -> Result<(), Stop> {
        let group = self.group();
        let plan = self.round(&group, None)?;
        if self.kit.holds_to(Check::Repeatable) && self.round(&group, None)? != plan {
            return Err(self.stop(Check::Repeatable, Cause::NotRepeatable));
        }
        if self.kit.holds_to(Check::Order) {
            let mut members = self.members.clone();
            random.shuffle(&mut members);
            let topics = self.topics.iter().rev().cloned();
            let other = Group::for_assignor(self.assignor, topics, members);
            if self.round(&other, None)?.named(&other) != plan.named(&group) {
                return Err(self.stop(Check::Order, Cause::OrderMatters));
            }
        }
        Ok(())
    }

    fn balance(&self, group: &Group, plan: &Plan) -> Result<(), Stop> {
        let mut subscriptions = group.member_indices().map(|one| group.member(one).topics());
        let first = subscriptions.next().unwrap_or_default();
        if subscriptions.any(|topics| topics != first) {
            return Ok(());
        }
        let counts = || group.member_indices().map(|one| plan.of(one).len());
        let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
        if self.kit.holds_to(Check::Skew) && most > least + self.kit.skew {
            return Err(self.stop(Check::Skew, Cause::Unbalanced(least, most)));
        }
        Ok(())
    }

    /// What does not move where nothing changes, or one member.
    fn stays(&mut self, random: &mut Random) -> Result<(), Stop> {
        let checks = [Check::Idempotent, Check::Movement];
        if !checks.iter().any(|check| self.kit.holds_to(*check)) {
            return Ok(());
        }
        for topic in &mut self.topics {
            topic.racks.clear();
            topic.lag.clear();
        }
        self.members.iter_mut().for_each(|one| one.rack = None);
        let (group, plan) = self.settle()?;
        self.take_on(&group, &plan);
        if self.kit.holds_to(Check::Idempotent) {
            let again = self.group();
            let next = self.round(&again, None)?;
            let moved = lost((&group, &plan), (&again, &next));
            if moved > 0 {
                return Err(self.stop(Check::Idempotent, Cause::NotSticky(moved)));
            }
        }
        let most_advanced = self.assignor.protocols().iter().max();
        if self.kit.holds_to(Check::Movement)
            && most_advanced == Some(&self.protocol)
            && group.subscribed_alike()
        {
            self.one_leaves(random, (&group, &plan))?;
            self.one_comes(random, (&group, &plan))?;
        }
        Ok(())
    }

    fn one_leaves(&mut self, random: &mut Random, before: (&Group, &Plan)) -> Result<(), Stop> {
        let place = random.below(self.members.len() as u64) as usize;
        let gone = self.members.remove(place);
        let group = self.group();
        let plan = self.intended(&group, Some(Check::Movement))?;
        let moved = lost(before, (&group, &plan));
        if moved > 0 {
            return Err(self.stop(Check::Movement, Cause::MovedOnLeave(moved)));
        }
        self.members.insert(place, gone);
        Ok(())
    }

    fn one_comes(&mut self, random: &mut Random, before: (&Group, &Plan)) -> Result<(), Stop> {
        let id = ["a-new", "new"][random.below(2) as usize];
        let mut new = MemberInfo::new(id, self.members[0].topics.clone());
        new.user_data = random::user_data(&new, self.assignor);
        self.members.push(new);
        let group = self.group();
        let plan = self.intended(&group, Some(Check::Movement))?;
        let moved = lost(before, (&group, &plan));
        let got = group.member_index(id).map_or(0, |new| plan.of(new).len());
        if moved > got {
            return Err(self.stop(Check::Movement, Cause::MovedOnJoin { moved, got }));
        }
        Ok(())
    }

    /// A large group: fresh, and when one of its members has left.
    pub(super) fn scale(&mut self) -> Result<(), Stop> {
        for _leaves in 0..2 {
            let group = self.group();
            #[expect(
                clippy::disallowed_methods,
                reason = "how long it takes is what is tried"
            )]
            let started = Instant::now();
            let plan = self.intended(&group, Some(Check::Scale))?;
            let (took, limit) = (started.elapsed(), self.kit.scale_limit);
            if took > limit {
                return Err(self.stop(Check::Scale, Cause::TookTooLong(took, limit)));
            }
            let plan = self.sound(&group, plan, Some(Check::Scale))?;
            self.take_on(&group, &plan);
            self.members.pop();
        }
        Ok(())
    }

    fn group(&self) -> Group {
        Group::for_assignor(self.assignor, self.topics.clone(), self.members.clone())
    }

    /// The ownership as it should be in the end. A fault counts for `check`, if there is one that it is about.
    fn intended(&self, group: &Group, check: Option<Check>) -> Result<Plan, Stop> {
        let check = check.unwrap_or(Check::Complete);
        match catch_unwind(AssertUnwindSafe(|| self.assignor.assign(group))) {
            Ok(Ok(plan)) => Ok(plan),
            Ok(Err(error)) => Err(self.stop(check, Cause::NoPlan(error))),
            Err(payload) => {
                let text = payload.downcast_ref::<&str>().copied();
                let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                let text = text.unwrap_or("without a message").to_owned();
                Err(self.stop(check, Cause::Panicked(text)))
            }
        }
    }

    /// The plan of this round, which may be sent.
    fn round(&self, group: &Group, check: Option<Check>) -> Result<Plan, Stop> {
        let plan = self.intended(group, check)?;
        self.sound(group, plan, check)
    }

    fn sound(&self, group: &Group, mut plan: Plan, check: Option<Check>) -> Result<Plan, Stop> {
        if self.protocol == RebalanceProtocol::Cooperative {
            plan.withhold(group);
        }
        match plan.check(group, self.protocol) {
            Ok(()) => Ok(plan),
            Err(error) => {
                let check = check.unwrap_or(Check::of(&error));
                Err(self.stop(check, Cause::Invalid(error, self.protocol)))
            }
        }
    }

    /// Lets the members take what they were given and join again, until nothing is withheld.
    fn settle(&mut self) -> Result<(Group, Plan), Stop> {
        for _round in 0..ROUNDS_MAX {
            let group = self.group();
            let plan = self.round(&group, None)?;
            if plan.check(&group, RebalanceProtocol::Eager).is_ok() {
                return Ok((group, plan));
            }
            self.take_on(&group, &plan);
        }
        Err(self.stop(Check::Settles, Cause::NeverSettles(ROUNDS_MAX)))
    }

    fn take_on(&mut self, group: &Group, plan: &Plan) {
        random::take_on(&mut self.members, group, plan, self.protocol, self.assignor);
    }

    fn stop(&self, check: Check, cause: Cause) -> Stop {
        if self.kit.holds_to(check) {
            Stop::Failed(check, cause)
        } else {
            Stop::Excused
        }
    }
}

/// Partitions that members who are in both groups had and have no longer. The topics are the same.
fn lost((group, plan): (&Group, &Plan), (later, next): (&Group, &Plan)) -> usize {
    let mut lost = 0;
    for member in group.member_indices() {
        if let Some(now) = later.member_index(group.member(member).id()) {
            let kept = next.of(now);
            let had = plan.of(member).iter();
            lost += had.filter(|partition| !kept.contains(partition)).count();
        }
    }
    lost
}
