//! Every row with tiny counts.

fn main() {}
