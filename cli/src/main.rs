//! The `callboard` command: reads the command line, starts the runtime, and turns what a command answers into an exit code.

mod advice;
mod args;
mod assignor;
mod broker;
mod cluster;
mod consume;
mod demo;
mod failure;
mod help;
mod json;
mod produce;
mod progress;
mod signals;
mod topic;
mod when;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::{Command, CommandLine};
use crate::failure::Failure;

/// How long work on blocking threads may go on after the command has ended.
const LAST_WORK: Duration = Duration::from_secs(5);

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    // The demo and the client commands speak for themselves, of a consumer by its events; a broker tells its operator what
    // changes.
    let default_level = if matches!(command_line.command, Command::Broker(_)) {
        "info"
    } else {
        "error,callboard_client::producer=info,callboard_consumer=off"
    };
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_level)),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Where stderr has gone, telling that panics.
        .log_internal_errors(false)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::failed(
                "cannot start the runtime",
                error,
                "the system's limits on threads or files may be reached",
            )
            .report();
        }
    };
    let outcome = runtime.block_on(run(command_line.command));
    // Not its drop, which waits for blocking work however long that takes.
    runtime.shutdown_timeout(LAST_WORK);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Broker(args) => broker::run(args).await,
        Command::Topic(args) => topic::run(args).await,
        Command::Produce(args) => produce::run(args).await,
        Command::Consume(args) => consume::run(args).await,
        Command::Assignor(args) => assignor::run(args),
        Command::Demo(args) => demo::run(args).await,
        Command::DemoMember(args) => demo::child::run(args).await,
    }
}
