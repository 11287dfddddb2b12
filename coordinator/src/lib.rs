//! Kafka's group coordinator: pure group state machines and the GroupCoordinator actor, for any broker.
//!
//! * [`Call`] is one request with its [`Reply`]; the nouns are in [`request`] and [`response`].
//! * [`core`] is the whole of the rules: groups as plain structs, time and ids as inputs, effects out.

mod call;
mod config;
pub mod core;
mod port;
pub mod request;
pub mod response;
mod route;
mod topics;

pub use call::{Call, Reply};
pub use config::CoordinatorConfig;
pub use topics::TopicLookup;
