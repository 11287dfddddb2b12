//! Requests that name many groups: a lot at a time goes to the coordinators, and others' requests come between the lots.

use callboard_coordinator::{Call, Reply};
use tokio::sync::oneshot;

use crate::request::{Request, Work};
use crate::services::Services;

/// A request of more bytes may name many groups. It waits for its turn as bytes, and few have theirs at a time.
const FEW_BYTES: usize = 16 * 1024;
/// About what a group that is asked for takes until its answer is made, beside the bytes of the request.
pub(super) const GROUP_BYTES: usize = 512;

/// Whether a request of so many bytes may name many groups.
pub(super) fn may_be_many(bytes: usize) -> bool {
    bytes > FEW_BYTES
}

/// Asks for one lot (`callboard.large.group.requests.lot`) after the other and gives each answer to `take`, on a thread that may wait. False: no more is answered
/// or, while `goes_on` says so, wanted.
pub(super) fn ask<Q, A: Send + 'static>(
    services: &Services,
    all: impl IntoIterator<Item = Q>,
    call: impl Fn(Vec<Q>, Reply<A>) -> Call,
    mut take: impl FnMut(A),
    goes_on: impl Fn() -> bool,
) -> bool {
    let mut all = all.into_iter();
    let most = services.config.large_group_requests_lot;
    while goes_on() {
        let lot: Vec<Q> = all.by_ref().take(most).collect();
        if lot.is_empty() {
            return true;
        }
        let (tell, told) = oneshot::channel();
        let reply = Reply::new(move |answer| drop(tell.send(answer)));
        services.coordinators.submit(vec![call(lot, reply)]);
        match told.blocking_recv() {
            Ok(answer) => take(answer),
            Err(_) => return false,
        }
    }
    false
}

/// Handles a request about many groups that changes nothing, on a thread where nobody waits.
pub(super) fn read(
    request: Request<'_>,
    work: &mut Work,
    job: impl FnOnce(Request<'_>) + Send + 'static,
) {
    // Nothing overtakes its later lots.
    work.hold = true;
    work.read(request.elsewhere(job));
}

#[cfg(test)]
#[path = "lots_tests.rs"]
mod tests;
