//! Where a request stands among those of its connection. The order itself is the connection's.

/// The place of a request in its connection's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestNumber(pub(crate) u64);

/// Whether what follows a started request may start before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// It may.
    AtOnce,
    /// It has to wait for the answer.
    Barrier,
}
