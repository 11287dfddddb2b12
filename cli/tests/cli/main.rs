//! The binary as a user meets it: run as a process, judged by its output and exit code.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something does not go as it should"
)]

mod assignor;
mod broker;
mod demo;
mod events;
mod help;
mod places;
mod positions;
mod records;
mod requests;
mod roundtrip;
mod settings;
mod signals;
mod support;
mod topics;
