//! The compactor's decisions, pure: [`decide`] is which partition is worth it now, [`survivors`] is which of its records
//! stay, [`rewrite`] makes chunks of them.

pub(crate) mod decide;
pub(crate) mod rewrite;
pub(crate) mod survivors;

#[cfg(test)]
mod tests;
