//! What connections decide, as pure cores: one for itself ([`Flow`]), and all of them about what they share ([`pool`]).

mod flow;
mod order;
pub(crate) mod pool;

pub(crate) use flow::{Due, Flow, Late, Limits};
pub(crate) use order::{Follow, Ticket};
