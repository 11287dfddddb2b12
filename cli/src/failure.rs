//! How a command ends when it can't do what was asked: one line of three parts (what failed, why, what to do) and an
//! exit code.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use callboard_client::ClientError;

use crate::advice;

/// The exit codes, as every `--help` says them.
pub(crate) const EXIT_CODES: &str = "Exit codes:\n  0    done; broker, produce and consume also where SIGINT, SIGTERM, SIGQUIT or a reader that has gone ended them in order\n  1    failed\n  2    the request has to change\n  129  ended in order by SIGHUP";

/// What a command answers when it did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The work was understood and failed (a broker is away, a row was lost): exit 1.
    Failed(String),
    /// The request can't be carried out as it stands (a bad value, a port in use): exit 2.
    Usage(String),
    /// Whoever read our output has gone: nothing to say and nothing wrong, exit 0.
    OutputClosed,
    /// The terminal has gone and the command ended in order: nobody to say anything to, exit 129 as shells expect of it.
    HungUp,
}

impl Failure {
    /// A failure of the work: what failed, why, and what to do about it.
    pub(crate) fn failed(
        what: impl fmt::Display,
        why: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        Self::Failed(line(what, why, remedy))
    }

    /// A failure of the request: what will not do, why, and what would.
    pub(crate) fn usage(
        what: impl fmt::Display,
        why: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        Self::Usage(line(what, why, remedy))
    }

    /// What a cluster did not do. Whether the request has to change is the error's to say.
    pub(crate) fn client(what: impl fmt::Display, error: &ClientError) -> Self {
        let line = line(what, error, advice::remedy(error));
        if advice::is_the_requests_fault(error) {
            Self::Usage(line)
        } else {
            Self::Failed(line)
        }
    }

    /// A write to stdout that failed. A closed pipe (`… | head`) is the reader's way to say it has enough.
    pub(crate) fn stdout(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::OutputClosed;
        }
        Self::failed(
            "cannot write to stdout",
            error,
            "give it a place that takes it and run this again",
        )
    }

    /// Why the demo could not go on.
    pub(crate) fn demo(why: impl fmt::Display) -> Self {
        Self::failed(
            "the demo ended early",
            why,
            "it leaves nothing behind: run it again, with RUST_LOG=warn to see more",
        )
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Failed(line) => {
                say(line);
                ExitCode::from(1)
            }
            Self::Usage(line) => {
                say(line);
                ExitCode::from(2)
            }
            Self::OutputClosed => ExitCode::SUCCESS,
            Self::HungUp => ExitCode::from(129),
        }
    }
}

fn line(what: impl fmt::Display, why: impl fmt::Display, remedy: impl fmt::Display) -> String {
    // A broker's own words may be sentences, and more than a line.
    let why = why.to_string();
    let why = why.trim_end_matches('.');
    format!("{what}: {why}; {remedy}").replace(['\n', '\r'], " ")
}

/// A line on stderr about how things go.
pub(crate) fn say(line: impl fmt::Display) {
    tell(format_args!("callboard: {line}"));
}

/// A line on stderr that is a command's result. Nobody has to read it: `eprintln!` panics where a terminal has gone.
pub(crate) fn tell(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
