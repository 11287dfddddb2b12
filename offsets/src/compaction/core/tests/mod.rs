//! The compactor's cores: what is compacted when, and what stays.

mod decide;
mod survivors;
