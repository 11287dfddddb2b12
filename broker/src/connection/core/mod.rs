//! What one connection decides, as pure cores.

mod order;

pub(crate) use order::{Follow, Order, Ticket};
