//! The kit finds each fault it promises to find, and passes an assignor without any.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::assignor::{AssignError, Assignment, RebalanceProtocol};
use crate::group::{Group, MemberIndex, Partition, TopicIndex};
use crate::plan::{Plan, PlanError};

/// Deals partitions out in turn, with one fault.
struct Deals(Fault);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Error,
    LeavesOneOut,
    GivesTwice,
    GivesToStrangers,
    Invents,
    Counts,
    TrustsNobody,
    /// Not the same for two members' lists of one group, as with a hash map, but for the same list.
    CountsInPairs,
    /// Reads a length from user data, and believes it.
    Trusts,
}

static RUNS: AtomicUsize = AtomicUsize::new(0);

impl Assignor for Deals {
    fn name(&self) -> &str {
        "deals"
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let mut plan = Plan::new(group);
        let mut turn = match self.0 {
            Fault::Error => return Err(AssignError::new("no")),
            Fault::Counts => RUNS.fetch_add(1, Ordering::Relaxed),
            Fault::CountsInPairs => RUNS.fetch_add(1, Ordering::Relaxed) / 2,
            Fault::Trusts => {
                for member in group.member_indices() {
                    let said = group.member(member).user_data().unwrap_or_default();
                    assert!(said.len() < 32, "that long?");
                }
                0
            }
            _ => 0,
        };
        let mut first = true;
        for topic in group.topic_indices() {
            let members = receivers(group, topic, self.0);
            for partition in group.partitions(topic) {
                let Some(member) = members.get(turn % members.len().max(1)) else {
                    break;
                };
                if std::mem::take(&mut first) {
                    give_first(&mut plan, *member, partition, self.0);
                } else {
                    plan.give(*member, partition);
                }
                turn += 1;
            }
        }
        Ok(plan)
    }
}

fn receivers(group: &Group, topic: TopicIndex, fault: Fault) -> Vec<MemberIndex> {
    match fault {
        Fault::GivesToStrangers => group.member_indices().collect(),
        Fault::TrustsNobody => group.subscribers(topic).iter().copied().take(1).collect(),
        _ => group.subscribers(topic).to_vec(),
    }
}

fn give_first(plan: &mut Plan, member: MemberIndex, partition: Partition, fault: Fault) {
    match fault {
        Fault::LeavesOneOut => {}
        Fault::GivesTwice => plan.give_all(member, [partition, partition]),
        Fault::Invents => plan.give(
            member,
            Partition {
                number: -1,
                ..partition
            },
        ),
        _ => plan.give(member, partition),
    }
}

fn failed(kit: &Kit, assignor: &dyn Assignor) -> (Check, Cause) {
    let failure = kit.run(assignor).unwrap_err();
    (failure.check, failure.cause)
}

/// For those who know nothing of what members own. Large groups have a test of their own.
fn forgetful(kit: Kit) -> Kit {
    kit.without(Check::Movement, "it deals everything out anew")
        .without(Check::Scale, "one test is enough")
}

#[test]
fn a_sound_assignor_passes() {
    let kit = forgetful(Kit::new(1).groups(500));
    let passed = kit.run(&Deals(Fault::None));
    assert!(passed.is_ok(), "{}", passed.unwrap_err());
    let off: Vec<_> = kit.switched_off().collect();
    assert_eq!(
        off,
        [
            (Check::Movement, "it deals everything out anew"),
            (Check::Scale, "one test is enough")
        ]
    );
}

#[test]
fn each_fault_is_found_and_named() {
    let kit = forgetful(Kit::new(1).groups(200));
    let found = |fault| failed(&kit, &Deals(fault));
    assert!(matches!(
        found(Fault::Error),
        (Check::Complete, Cause::NoPlan(_))
    ));
    assert!(matches!(
        found(Fault::LeavesOneOut),
        (
            Check::Complete,
            Cause::Invalid(PlanError::LeftOut { .. }, _)
        )
    ));
    assert!(matches!(
        found(Fault::GivesTwice),
        (
            Check::Disjoint,
            Cause::Invalid(PlanError::GivenTwice { .. }, _)
        )
    ));
    assert!(matches!(
        found(Fault::GivesToStrangers),
        (
            Check::SubscribersOnly,
            Cause::Invalid(PlanError::NotSubscribed { .. }, _)
        )
    ));
    assert!(matches!(
        found(Fault::Invents),
        (
            Check::Existing,
            Cause::Invalid(PlanError::UnknownPartition { .. }, _)
        )
    ));
    assert_eq!(
        found(Fault::Counts),
        (Check::Repeatable, Cause::NotRepeatable)
    );
    RUNS.store(0, Ordering::Relaxed);
    assert_eq!(
        found(Fault::CountsInPairs),
        (Check::Order, Cause::OrderMatters)
    );
    assert_eq!(
        found(Fault::Trusts),
        (Check::UserData, Cause::Panicked("that long?".to_owned()))
    );
    assert!(matches!(
        found(Fault::TrustsNobody),
        (Check::Skew, Cause::Unbalanced(..))
    ));
    assert!(matches!(
        failed(&Kit::new(1).groups(200), &Deals(Fault::None)),
        (
            Check::Movement,
            Cause::MovedOnLeave(_) | Cause::MovedOnJoin { .. }
        )
    ));
}

/// Each with its check off, and no other.
#[test]
fn what_is_switched_off_is_let_pass() {
    for (fault, check) in [
        (Fault::Error, Check::Complete),
        (Fault::LeavesOneOut, Check::Complete),
        (Fault::GivesTwice, Check::Disjoint),
        (Fault::GivesToStrangers, Check::SubscribersOnly),
        (Fault::Invents, Check::Existing),
        (Fault::Trusts, Check::UserData),
        (Fault::TrustsNobody, Check::Skew),
    ] {
        let kit = forgetful(Kit::new(1).groups(200));
        assert!(kit.run(&Deals(fault)).is_err(), "{check}");
        let passed = kit.without(check, "a test").run(&Deals(fault));
        assert!(passed.is_ok(), "{check}: {}", passed.unwrap_err());
    }
}

#[test]
fn a_large_group_has_a_plan_in_time() {
    let kit = Kit::new(1).groups(0);
    assert!(kit.run(&Deals(Fault::None)).is_ok());
    let hurried = kit.clone().scale_limit(Duration::ZERO);
    assert!(matches!(
        failed(&hurried, &Deals(Fault::None)),
        (Check::Scale, Cause::TookTooLong(..))
    ));
    let failure = kit.run(&Deals(Fault::LeavesOneOut)).unwrap_err();
    assert_eq!(failure.check, Check::Scale);
    assert!(failure.to_string().ends_with("20 topics, 200 members"));
}

#[test]
fn members_may_differ_by_as_much_as_is_said() {
    let kit = forgetful(Kit::new(1).groups(200)).skew(60);
    let passed = kit.run(&Deals(Fault::TrustsNobody));
    assert!(passed.is_ok(), "{}", passed.unwrap_err());
}

#[test]
fn a_failure_can_be_made_again_from_its_seed() {
    let fails = || Kit::new(3).run(&Deals(Fault::GivesTwice)).unwrap_err();
    let (first, second) = (fails(), fails());
    assert_eq!(first.number, second.number);
    assert_eq!(first.members, second.members);
    assert!(first.to_string().contains("seed 3"));
}

mod by_macro {
    use super::*;

    crate::conformance!(
        Deals(Fault::None),
        .groups(50).without(Check::Movement, "it deals everything out anew")
    );
}

/// Cooperative: owners keep what they own, and what nobody owns goes to the first subscriber; with one habit.
struct Keeps(KeepFault);

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeepFault {
    None,
    /// No fault: what its owners have to give up first is withheld for it.
    Snatches,
    Withholds,
    /// Each round the other way.
    Restless,
}

impl Assignor for Keeps {
    fn name(&self) -> &str {
        "keeps"
    }

    fn protocols(&self) -> &[RebalanceProtocol] {
        match self.0 {
            KeepFault::Restless => &[RebalanceProtocol::Eager],
            _ => &[RebalanceProtocol::Cooperative],
        }
    }

    fn user_data(&self, _topics: &BTreeSet<String>, last: Option<&Assignment>) -> Option<Vec<u8>> {
        last.map(|last| last.generation.to_be_bytes().to_vec())
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let mut plan = Plan::new(group);
        for topic in group.topic_indices() {
            for partition in group.partitions(topic) {
                let claimants: Vec<MemberIndex> = group
                    .member_indices()
                    .filter(|one| group.member(*one).owned().contains(&partition))
                    .collect();
                let subscribers = group.subscribers(topic);
                let receiver = match (self.0, &claimants[..]) {
                    (KeepFault::Snatches, _) => subscribers.last(),
                    (KeepFault::Restless, _) if is_odd(group) => subscribers.last(),
                    (_, []) => subscribers.first(),
                    (KeepFault::Withholds, _) => None,
                    (_, [one]) if group.subscribes(*one, topic) => Some(one),
                    (_, _) => None,
                };
                if let Some(receiver) = receiver {
                    plan.give(*receiver, partition);
                }
            }
        }
        Ok(plan)
    }
}

fn is_odd(group: &Group) -> bool {
    let last = group
        .member_indices()
        .filter_map(|one| group.member(one).user_data()?.last());
    last.max().is_some_and(|last| last % 2 == 1)
}

fn keeping() -> Kit {
    Kit::new(2)
        .without(Check::Skew, "whoever has something keeps it")
        .without(Check::Scale, "it looks for each owner among all members")
}

#[test]
fn a_sound_cooperative_assignor_passes() {
    for habit in [KeepFault::None, KeepFault::Snatches] {
        let passed = keeping().run(&Keeps(habit));
        assert!(passed.is_ok(), "{}", passed.unwrap_err());
    }
}

#[test]
fn cooperative_faults_are_found_and_named() {
    let kit = keeping();
    let found = |fault| failed(&kit, &Keeps(fault));
    assert!(matches!(
        found(KeepFault::Withholds),
        (Check::Settles, Cause::NeverSettles(_))
    ));
    assert!(matches!(
        found(KeepFault::Restless),
        (Check::Idempotent, Cause::NotSticky(_))
    ));
}
