//! Kafka's group coordinator: pure group state machines and the GroupCoordinator actor, for any broker.
//!
//! * [`Call`] is one request with its [`Reply`]; the nouns are in [`request`] and [`response`].
//! * [`Coordinators`] is the handle: it starts them, asks them, and ends them in order.
//! * [`core`] is the whole of the rules: groups as plain structs, time and ids as inputs, effects out.

// The player of the recorded stories is shared with `tests/`, where the crate has a name.
#[cfg(test)]
extern crate self as callboard_coordinator;

mod beyond_end;
mod call;
mod config;
mod coordinators;
pub mod core;
mod forget;
mod group_coordinator;
pub mod metrics;
mod node;
mod owed;
pub mod request;
pub mod response;
mod route;
#[cfg(test)]
mod tests;
mod told;
mod topics;

pub use call::{Call, Reply};
pub use config::CoordinatorConfig;
pub use coordinators::Coordinators;
pub use topics::{DeletedTopic, Forgotten, TopicLookup, TopicsImage};
