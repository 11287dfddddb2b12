//! Runs an assignor on a group at the command line, as a leader would: `callboard assignor simulate`, and the same as a
//! program of a crate that brings an assignor of its own. A crate of its own, so that who depends on
//! `callboard-assignor` does not get a command line with it; an assignor crate takes it as a dev-dependency, and has it in
//! `examples/simulate.rs`:
//!
//! ```no_run
//! # use callboard_assignor::{AssignError, Assignor, Group, Plan};
//! # struct MyAssignor;
//! # impl Assignor for MyAssignor {
//! #     fn name(&self) -> &str { "mine" }
//! #     fn assign(&self, group: &Group) -> Result<Plan, AssignError> { Ok(Plan::new(group)) }
//! # }
//! fn main() -> std::process::ExitCode {
//!     callboard_assignor_simulate::main([MyAssignor])
//! }
//! ```
//!
//! A whole group comes in as JSON with `--input`: a [`Case`]; its [`Outcome`] goes out with `--output json`.

mod args;
mod case;
mod once;
mod outcome;
mod text;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use callboard_assignor::Assignor;
use clap::Parser;

pub use args::{Format, SimulateArgs};
pub use case::{Case, MEMBERS_MAX, PARTITIONS_MAX};
pub use outcome::Outcome;
pub use text::list;

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// What was asked has to change: where it is wrong, why, and what would do.
    #[error("{0}")]
    Input(String),
    /// The assignor did not do what an assignor has to.
    #[error("{0}")]
    Failed(String),
}

/// The program of an assignor crate: simulates one of `assignors` on what the command line says. Exit codes: 0 done, 1 the
/// assignor failed, 2 the request has to change.
pub fn main<A: Assignor>(assignors: impl IntoIterator<Item = A>) -> ExitCode {
    /// Runs an assignor on a group and prints what it plans.
    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        args: SimulateArgs,
    }
    let assignors: Vec<A> = assignors.into_iter().collect();
    let known: Vec<&dyn Assignor> = assignors.iter().map(|one| one as &dyn Assignor).collect();
    let printed = CommandLine::parse().args.run(&known).and_then(print);
    let Err(error) = printed else {
        return ExitCode::SUCCESS;
    };
    // Nobody has to read it.
    let _ = writeln!(std::io::stderr(), "{error}");
    match error {
        SimulateError::Failed(_) => ExitCode::from(1),
        SimulateError::Input(_) => ExitCode::from(2),
    }
}

fn print(text: String) -> Result<(), SimulateError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| {
            SimulateError::Failed(format!(
                "stdout cannot be written, {error}; give it a place"
            ))
        }),
    }
}

/// The code of the guide is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/assignor-guide.md")]
mod guide {}
