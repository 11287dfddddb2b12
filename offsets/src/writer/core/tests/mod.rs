//! The cores of the writer, without an engine and with random ones.

mod order;
mod pipeline;
mod schedules;
