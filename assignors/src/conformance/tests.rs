//! The kit finds each fault it promises to find, and passes an assignor without any.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::assignor::Assignment;
use crate::group::{MemberIndex, Partition, TopicIndex};

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

fn cause(kit: Kit, assignor: &dyn Assignor) -> Cause {
    kit.run(assignor).unwrap_err().cause
}

#[test]
fn a_sound_assignor_passes() {
    let passed = Kit::new(1)
        .groups(500)
        .expect_balance()
        .run(&Deals(Fault::None));
    assert!(passed.is_ok(), "{}", passed.unwrap_err());
}

#[test]
fn each_fault_is_found_and_named() {
    let kit = Kit::new(1).groups(200);
    let found = |fault| cause(kit.expect_balance(), &Deals(fault));
    assert!(matches!(found(Fault::Error), Cause::NoPlan(_)));
    assert!(matches!(
        found(Fault::LeavesOneOut),
        Cause::Invalid(PlanError::LeftOut { .. }, _)
    ));
    assert!(matches!(
        found(Fault::GivesTwice),
        Cause::Invalid(PlanError::GivenTwice { .. }, _)
    ));
    assert!(matches!(
        found(Fault::GivesToStrangers),
        Cause::Invalid(PlanError::NotSubscribed { .. }, _)
    ));
    assert!(matches!(
        found(Fault::Invents),
        Cause::Invalid(PlanError::UnknownPartition { .. }, _)
    ));
    assert_eq!(found(Fault::Counts), Cause::NotRepeatable);
    assert!(matches!(found(Fault::TrustsNobody), Cause::Unbalanced(..)));
}

#[test]
fn a_failure_can_be_made_again_from_its_seed() {
    let fails = || Kit::new(3).run(&Deals(Fault::GivesTwice)).unwrap_err();
    let (first, second) = (fails(), fails());
    assert_eq!(first.number, second.number);
    assert_eq!(first.members, second.members);
    assert!(first.to_string().contains("seed 3"));
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

#[test]
fn a_sound_cooperative_assignor_passes() {
    for habit in [KeepFault::None, KeepFault::Snatches] {
        let passed = Kit::new(2).expect_stickiness().run(&Keeps(habit));
        assert!(passed.is_ok(), "{}", passed.unwrap_err());
    }
}

#[test]
fn cooperative_faults_are_found_and_named() {
    let found = |fault| cause(Kit::new(2).expect_stickiness(), &Keeps(fault));
    assert!(matches!(
        found(KeepFault::Withholds),
        Cause::NeverSettles(_)
    ));
    assert!(matches!(found(KeepFault::Restless), Cause::NotSticky(_)));
}
