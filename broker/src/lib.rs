//! The embedded broker: listener, connections and topic logs around the group coordinator.
//!
//! * [`Broker`] starts everything and ends everything; [`BrokerConfig`] has Kafka's own keys.
//! * A connection turns frames into requests, `handlers` turn requests into calls of coordinators and logs.
//! * [`testing`] starts one in a test, on a port or in memory under a paused clock, with faults.
//! * [`topics`] and [`log`] are the data: what topics there are, and one log of record batches per partition.

mod admin;
mod bind;
mod broker;
mod budget;
mod compute;
mod config;
mod connection;
mod data_dir;
mod effects;
mod error;
mod fetch_sessions;
mod handlers;
mod hook;
mod listener;
pub mod log;
pub mod metrics;
mod offsets_topic;
mod parts;
mod request;
mod root;
mod services;
pub mod testing;
pub mod topics;

pub use broker::Broker;
pub use config::{BrokerConfig, ConfigError, KEYS, Key, Kind, ListenAddress};
pub use error::BrokerError;
