//! The stories recorded from Apache Kafka, and their player.

pub(crate) mod names;
pub(crate) mod player;
pub(crate) mod script;
pub(crate) mod wire;
