//! Programs a user copies from.
