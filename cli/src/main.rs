//! The callboard command.
fn main() {}
