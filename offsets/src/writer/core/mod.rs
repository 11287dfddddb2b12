//! The writer's two decisions, pure: [`pipeline`] is what goes to the engine, when, and what its answers mean;
//! [`order`] is who waits for whose appends. Payloads are opaque to both.

pub(crate) mod order;
pub(crate) mod pipeline;
#[cfg(test)]
mod tests;

use std::time::Duration;

/// Number of an append in its writer, from 1, in the order of submission. Appends settle in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AppendNumber(pub(crate) u64);

/// Time since the shell's own origin.
pub(crate) type Now = Duration;
