//! Supervised consumers: membership, fetchers, a handler actor per partition, and a committer that never loses a record.
