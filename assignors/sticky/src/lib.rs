//! Kafka's sticky assignors: `sticky` (KIP-54, generations by KIP-341) and `cooperative-sticky` (KIP-429, generations in the
//! subscription by KIP-792), both rack-aware as KIP-881 has it.
//!
//! Both make the same plan, by rules in this order:
//!
//! 1. *Balance.* Counts differ by one at most between members that could exchange partitions.
//! 2. *Racks.* Where members and replicas are in racks, a member gets partitions with a replica in its own, as far as
//!    balance allows.
//! 3. *Stickiness.* Of what members own, as much as possible stays where it is.
//!
//! What a member owns it says in its user data (`sticky`) or its subscription (`cooperative-sticky`). A claim in a higher
//! generation beats older ones; what two members claim in one generation nobody keeps.
//!
//! Where all members subscribe to the same names the plan is made in one go and costs O(partitions + members), and sorting
//! what members own beyond their share. Where they differ, partitions nobody keeps go to the least loaded subscriber each,
//! and then partitions move from loaded members to less loaded ones until none can: O(partitions × log members) for every
//! time the list of partitions has to be gone through, which is once or twice in all but odd groups.
//!
//! Plans are those of Apache Kafka 4.2.0. Where its plan hangs on how Java's hash maps order member ids, this one is what it
//! makes when they come in their own order. Faults of it are not copied: owned partitions that do not exist are not kept,
//! subscriptions count as alike only if they are, and no partition returns to an owner that no longer subscribes to it, or
//! while another member still owns it.

mod claims;
mod general;
mod partitions;
mod racks;
mod uniform;

use std::collections::BTreeSet;

use callboard_assignor::{AssignError, Assignment, Assignor, Group, Need, Plan, RebalanceProtocol};

use claims::Claims;
use partitions::{Id, Partitions};
use racks::Racks;

/// Kafka's `sticky`: eager. Members give everything up before they join, and get most of it back.
#[derive(Clone, Copy, Debug, Default)]
pub struct StickyAssignor;

/// Kafka's `cooperative-sticky`: members keep what they have while they join, and only what moves pauses.
#[derive(Clone, Copy, Debug, Default)]
pub struct CooperativeStickyAssignor;

impl Assignor for StickyAssignor {
    fn name(&self) -> &str {
        "sticky"
    }

    fn needs(&self) -> &[Need] {
        &[Need::Owned]
    }

    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        Ok(Ownership::new(group)?.plan(group))
    }
}

impl Assignor for CooperativeStickyAssignor {
    fn name(&self) -> &str {
        "cooperative-sticky"
    }

    fn protocols(&self) -> &[RebalanceProtocol] {
        &[RebalanceProtocol::Cooperative, RebalanceProtocol::Eager]
    }

    fn needs(&self) -> &[Need] {
        &[Need::Owned]
    }

    /// The generation in four bytes, for leaders that read no newer subscription than version 1.
    fn user_data(&self, _topics: &BTreeSet<String>, last: Option<&Assignment>) -> Option<Vec<u8>> {
        let generation = last.map_or(-1, |last| last.generation);
        Some(generation.to_be_bytes().to_vec())
    }

    /// Where all members subscribe alike, a contested partition is left out of this round, also for its claimants, as in
    /// Kafka. Everything else that has to wait does so by the [rule of all assignors](Plan::withhold).
    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let mut ownership = Ownership::new(group)?;
        let mut left_out = Vec::new();
        if group.subscribed_alike() {
            for partitions in &mut ownership.given {
                partitions.retain(|id| {
                    let contested = ownership.claims.is_contested(*id);
                    if contested {
                        left_out.push(*id);
                    }
                    !contested
                });
            }
        }
        let mut plan = ownership.plan(group);
        for id in left_out {
            plan.leave_out(ownership.partitions.at(id));
        }
        Ok(plan)
    }
}

/// The ownership as it should be in the end.
struct Ownership {
    partitions: Partitions,
    claims: Claims,
    /// By member.
    given: Vec<Vec<Id>>,
}

impl Ownership {
    fn new(group: &Group) -> Result<Self, AssignError> {
        let partitions = Partitions::new(group)?;
        let claims = Claims::new(group, &partitions);
        let racks = Racks::new(group);
        let given = if group.subscribed_alike() {
            uniform::assign(group, &partitions, &claims, racks.as_ref())
        } else {
            general::assign(group, &partitions, &claims, racks.as_ref())
        };
        Ok(Self {
            partitions,
            claims,
            given,
        })
    }

    fn plan(&self, group: &Group) -> Plan {
        let mut plan = Plan::new(group);
        for (member, given) in group.member_indices().zip(&self.given) {
            plan.give_all(member, given.iter().map(|id| self.partitions.at(*id)));
        }
        plan
    }
}
