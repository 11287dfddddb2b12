//! Whether whoever reads stdout has gone. `consume … | head -1` ends although no further record comes that would fail
//! to be written.

use std::future::pending;
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// Completes when the pipe or socket behind stdout has lost its reader. Never where it is a file, which has none.
pub(super) async fn stdout() {
    // Unchecked, since the check makes the pipe non-blocking, for us and all who share it; nothing is written here. The
    // system refuses to watch a regular file, and then there is nothing to wait for.
    let watched = std::io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .and_then(Sender::from_owned_fd_unchecked);
    let Ok(watched) = watched else {
        return pending().await;
    };
    match watched.ready(Interest::ERROR).await {
        Ok(_gone) => {}
        Err(_shut_down) => pending().await,
    }
}
