//! The embedded broker: listener, connections and topic logs around the group coordinator.

mod config;

pub use config::{BrokerConfig, ConfigError, KEYS, Key, Kind, ListenAddress};
