//! The journal without its disk: what a frame and a segment look like, how a log is read back, who may append where,
//! and where a batch lies. Synchronous, no I/O, no clock, no threads.

pub(crate) mod frame;
pub(crate) mod ledger;
pub(crate) mod locator;
pub(crate) mod recovery;
pub(crate) mod scan;
pub(crate) mod segment;
pub(crate) mod snapshot;
pub(crate) mod version;
