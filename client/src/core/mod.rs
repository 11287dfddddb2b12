//! The client's decisions without a clock or a socket: waits, what the cluster looks like, where a record goes.

pub mod accumulator;
pub mod backoff;
pub mod cluster;
pub mod partitioner;
