//! Restart policy, supervisor and typed addresses: the only crate that knows ractor's lifecycle rules.
