//! How a command ends when it can't do what was asked: one sentence and an exit code.
//! Exit 1 says that the work failed, exit 2 that the request itself has to change.

use std::fmt;
use std::process::ExitCode;

/// What a command answers when it did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The work was understood and failed (a broker is away, a row was lost): exit 1.
    Failed(String),
    /// The request can't be carried out as it stands (a bad value, a port in use): exit 2.
    Usage(String),
    /// Whoever read our output has gone: nothing to say and nothing wrong, exit 0.
    OutputClosed,
}

impl Failure {
    /// A failure of the work from whatever can be printed.
    pub(crate) fn failed(reason: impl fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }

    /// A failure of the request from whatever can be printed.
    pub(crate) fn usage(reason: impl fmt::Display) -> Self {
        Self::Usage(reason.to_string())
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Failed(reason) => {
                eprintln!("callboard: {reason}");
                ExitCode::from(1)
            }
            Self::Usage(reason) => {
                eprintln!("callboard: {reason}");
                ExitCode::from(2)
            }
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

/// Errors of writing to stdout: a closed pipe (`… | head`) is the reader's way to say it has enough.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::Failed(error.to_string())
        }
    }
}
