//! The consumer's decisions, without a clock, a socket or an actor: who we are in the group, what was acknowledged,
//! how far a fetcher may run ahead, and when a commit goes out. Time comes in as the duration since the shell's origin.

pub mod commit;
pub mod fetch_credit;
pub mod fetch_plan;
pub mod locate;
pub mod membership;
pub mod offset_tracker;
pub mod partition;
pub mod topic_watch;
