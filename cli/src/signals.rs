//! The signals that a shell, a terminal or an init system sends to ask for the end: SIGTERM, SIGINT, SIGHUP and SIGQUIT.
//! Listening begins when the value is made, so that a signal during start-up is not lost.

use std::fmt;
use std::time::Duration;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::Instant;

use crate::failure::Failure;

/// Signals that come this soon after one that was heard are part of it: `timeout` signals its child and then its group,
/// in which the child is; a terminal that closes has both its shell and the kernel send SIGHUP; systemd adds a SIGHUP to
/// its SIGTERM. A person who means it a second time comes later, or comes again.
const ONE_REQUEST: Duration = Duration::from_millis(500);

/// A request to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// `kill`, `timeout`, an init system.
    Terminate,
    /// Ctrl-C.
    Interrupt,
    /// The terminal has gone.
    Hangup,
    /// Ctrl-\.
    Quit,
}

impl Signal {
    /// What a command that ended in order because of it answers.
    pub(crate) fn ending(self) -> Result<(), Failure> {
        match self {
            Self::Terminate | Self::Interrupt | Self::Quit => Ok(()),
            Self::Hangup => Err(Failure::HungUp),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Hangup => "SIGHUP",
            Self::Quit => "SIGQUIT",
        })
    }
}

/// Hears of requests to end; while it exists, those signals do not end the process by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hangup: Stream,
    quit: Stream,
    /// When the last request was heard.
    heard: Option<Instant>,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::failed(
                    "cannot listen to signals",
                    error,
                    "the system's limits may be reached: try again",
                )
            })
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            quit: listen(SignalKind::quit())?,
            heard: None,
        })
    }

    /// The next request to end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            let signal = tokio::select! {
                _ = self.terminate.recv() => Signal::Terminate,
                _ = self.interrupt.recv() => Signal::Interrupt,
                _ = self.hangup.recv() => Signal::Hangup,
                _ = self.quit.recv() => Signal::Quit,
            };
            let now = Instant::now();
            if !of_one_request(self.heard, now) {
                self.heard = Some(now);
                return signal;
            }
        }
    }
}

/// Whether a signal of `now` belongs to the request that was heard before. Told from its first signal: who keeps
/// pressing keys is heard.
fn of_one_request(heard: Option<Instant>, now: Instant) -> bool {
    heard.is_some_and(|heard| now.duration_since(heard) < ONE_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_of_one_moment_are_one_request_and_a_later_one_is_another() {
        let first = Instant::now();
        assert!(!of_one_request(None, first));
        assert!(of_one_request(Some(first), first));
        assert!(of_one_request(Some(first), first + ONE_REQUEST / 2));
        assert!(!of_one_request(Some(first), first + ONE_REQUEST));
    }
}
