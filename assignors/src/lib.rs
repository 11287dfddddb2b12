//! What a partition assignor is: the trait, the group as the leader sees it, the plan it makes, and a kit that tries
//! an assignor on thousands of groups. Pure, but for the kit: no clock, no I/O, no runtime, so one crate serves a client that
//! leads a group today and a coordinator tomorrow.
//!
//! An assignor is one function from a [`Group`] to a [`Plan`]:
//!
//! ```
//! use callboard_assignor::{AssignError, Assignor, Group, Plan, conformance};
//!
//! /// Every partition to the first member that subscribes to it.
//! #[derive(Debug)]
//! struct FirstComes;
//!
//! impl Assignor for FirstComes {
//!     fn name(&self) -> &str {
//!         "first-comes"
//!     }
//!
//!     fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
//!         let mut plan = Plan::new(group);
//!         for topic in group.topic_indices() {
//!             if let Some(first) = group.subscribers(topic).first() {
//!                 plan.give_all(*first, group.partitions(topic));
//!             }
//!         }
//!         Ok(plan)
//!     }
//! }
//!
//! // In its tests:
//! conformance::Kit::new(7)
//!     .groups(100)
//!     .without(conformance::Check::Skew, "the first member gets everything")
//!     .run(&FirstComes)?;
//! # Ok::<(), Box<conformance::Failure>>(())
//! ```
//!
//! [`conformance!`] is that test in one line.
//!
//! Under the cooperative protocol the plan says who owns what in the end; what its owners have to give up first is
//! [withheld](Plan::withhold) from this round, by the same rule for every assignor. An assignor that builds on what members
//! own says so ([`Need::Owned`]) and finds it in [`Member::owned`], however the members say it.
//!
//! Whoever runs it [checks](Plan::check) the plan before a member hears of it: complete, disjoint, only partitions that
//! exist, only for subscribers.
//!
//! Strings are ordered as Java orders them, by UTF-16 code units ([`java_order`]), so that a group with Java members
//! comes to the same plan whoever leads it.

mod assignor;
mod claims;
pub mod conformance;
mod group;
mod members;
mod order;
mod ownership;
mod plan;

pub use assignor::{AssignError, Assignment, Assignor, Need, RebalanceProtocol};
pub use claims::Claims;
pub use group::{
    Group, Member, MemberIndex, MemberInfo, Partition, RackIndex, Topic, TopicIndex, TopicInfo,
};
pub use order::java_order;
pub use ownership::{Ownership, decode_generation};
pub use plan::{Plan, PlanError};
