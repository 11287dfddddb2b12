//! What may step between a request and its handler. A broker that ships has none; tests have things go wrong with it.

use callboard_protocol::{ApiKey, ErrorCode};
use callboard_supervision::BoxFuture;

/// Asked by connections about every request of an API that is served, in their order.
pub(crate) trait Hook: Send + Sync {
    /// What becomes of the request of that API that has just come.
    fn turn(&self, api: ApiKey) -> Turn;
}

/// What becomes of a request.
pub(crate) enum Turn {
    /// Its handler answers.
    Handle,
    /// Its handler answers, and the answer leaves at the end of this, which begins when the answer is there. An error
    /// closes the connection in its place; it is a value of the metric's `kind`.
    HoldBack(BoxFuture<Result<(), &'static str>>),
    /// It is answered with this error, and nothing is done.
    Refuse(ErrorCode),
    /// The connection closes in its place for that reason, and nothing is done.
    Close(&'static str),
}
