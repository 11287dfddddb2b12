//! What one connection decides, as pure cores.

mod flow;
mod order;

pub(crate) use flow::{Due, Flow, Late, Limits};
pub(crate) use order::{Follow, Ticket};
