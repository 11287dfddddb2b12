//! What a connection decides, as a pure core: [`Flow`].

mod flow;
mod order;

pub(crate) use flow::{Due, Flow, Late, Limits};
