//! Load and its measure, on our broker and on a real Apache Kafka beside it, and what our consumer takes:
//! `cargo run --release -p callboard-bench -- run`.
//! What it shows and how: `docs/benchmarks.md`.

mod args;
mod cluster;
mod commits;
mod consumer;
mod echo;
mod error;
mod expect;
mod histogram;
mod load;
mod machine;
mod member;
mod results;
mod rows;
mod server;
mod stage;
mod table;
mod usage;
mod wire;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Duration;

use crate::args::{Command, CommandLine, Files, RunArgs};
use crate::error::{BenchError, Doing};
use crate::results::{Results, Run};
use crate::rows::{Amounts, Kind};
use crate::server::Places;
use crate::stage::Stage;

fn main() -> ExitCode {
    match command(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("callboard-bench: {error}");
            ExitCode::from(if matches!(error, BenchError::Usage(_)) {
                2
            } else {
                1
            })
        }
    }
}

fn command(command: Command) -> Result<(), BenchError> {
    match command {
        // The broker's runtime, since it is what the broker is held against.
        Command::Echo => runtime(Builder::new_multi_thread())?.block_on(echo::run()),
        // An application's runtime.
        Command::Consume(args) => {
            runtime(Builder::new_multi_thread())?.block_on(consumer::run(args))
        }
        // One thread: the servers need the processors.
        Command::Run(args) => {
            runtime(Builder::new_current_thread())?.block_on(until_asked(run(args)))
        }
        Command::Table(files) => table(&files),
        Command::Rows => {
            let mut stdout = std::io::stdout().lock();
            for kind in Kind::all() {
                writeln!(stdout, "{}", kind.name()).doing(|| "printing rows".to_owned())?;
            }
            Ok(())
        }
    }
}

fn runtime(mut builder: Builder) -> Result<Runtime, BenchError> {
    builder
        .enable_all()
        .build()
        .doing(|| "starting the runtime".to_owned())
}

/// Ends early, and with it every server, when the process is asked to end.
async fn until_asked(work: impl Future<Output = Result<(), BenchError>>) -> Result<(), BenchError> {
    let mut terminate =
        signal(SignalKind::terminate()).doing(|| "listening for signals".to_owned())?;
    let mut interrupt =
        signal(SignalKind::interrupt()).doing(|| "listening for signals".to_owned())?;
    tokio::select! {
        done = work => done,
        _ = terminate.recv() => Err(BenchError::Server("asked to end".to_owned())),
        _ = interrupt.recv() => Err(BenchError::Server("asked to end".to_owned())),
    }
}

async fn run(args: RunArgs) -> Result<(), BenchError> {
    let kinds = wanted(&args.rows)?;
    let amounts = amounts(&args)?;
    let places = places(&args)?;
    let mut results = Results::open(&results_path(&args.files))?;
    let mut stage = Stage::new(places.clone(), amounts.clone());
    let mut failed = Vec::new();
    for kind in kinds {
        let name = kind.name();
        if !args.again && results.get(&name).is_some() {
            eprintln!("{name}: is in the results");
            continue;
        }
        let mut say =
            |number, run: &Run| eprintln!("{name} {number}/{}: {}", amounts.runs, line(run));
        match kind.measure(&places, &amounts, &mut stage, &mut say).await {
            Ok(row) => results.put(row)?,
            Err(error) => {
                // The other rows can still be measured, on servers that have seen nothing of this.
                eprintln!("{name}: {error}");
                failed.push(name);
                stage.clear().await?;
            }
        }
    }
    stage.clear().await?;
    table(&args.files)?;
    if failed.is_empty() {
        Ok(())
    } else {
        let rows = failed.join(", ");
        Err(BenchError::Server(format!(
            "without figures, see above: {rows}"
        )))
    }
}

/// A run on one line.
fn line(run: &Run) -> String {
    let subjects = run.iter().map(|(who, figures)| {
        let figures = figures
            .iter()
            .map(|(name, figure)| format!("{name} {figure:.1}"));
        format!("{who}: {}", figures.collect::<Vec<_>>().join(", "))
    });
    subjects.collect::<Vec<_>>().join("; ")
}

fn table(files: &Files) -> Result<(), BenchError> {
    let results = Results::open(&results_path(files))?;
    let page = files
        .table
        .clone()
        .unwrap_or_else(|| repository().join("docs/benchmarks.md"));
    table::write(&results, &page)
}

/// The rows that are named, or whose names begin so; all when nothing is said.
fn wanted(names: &[String]) -> Result<Vec<Kind>, BenchError> {
    let mut wanted = Vec::new();
    for kind in Kind::all() {
        let row = kind.name();
        let meant = |name: &String| row == *name || !is_row(name) && row.starts_with(name);
        if names.is_empty() || names.iter().any(meant) {
            wanted.push(kind);
        }
    }
    let unknown = |name: &&String| {
        !Kind::all()
            .iter()
            .any(|kind| kind.name().starts_with(*name))
    };
    match names.iter().find(unknown) {
        Some(name) => {
            let said = format!("no row is called {name:?} or begins so; `rows` prints them all");
            Err(BenchError::Usage(said))
        }
        None => Ok(wanted),
    }
}

/// `join/10` is one, and not the beginning of `join/100`.
fn is_row(name: &str) -> bool {
    Kind::all().iter().any(|kind| kind.name() == name)
}

fn amounts(args: &RunArgs) -> Result<Amounts, BenchError> {
    let seconds = |given: f64| {
        Duration::try_from_secs_f64(given)
            .map_err(|_| BenchError::Usage(format!("{given} is no number of seconds")))
    };
    Ok(Amounts {
        runs: usize::try_from(args.runs).unwrap_or(usize::MAX),
        warm_up: seconds(args.warm_up)?,
        measured: seconds(args.seconds)?,
        groups: args.groups,
        commits: args.commits,
        records: args.records,
        hostile: args.hostile,
        kafka: !args.skip_kafka,
    })
}

fn repository() -> PathBuf {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench).to_owned()
}

fn results_path(files: &Files) -> PathBuf {
    files
        .results
        .clone()
        .unwrap_or_else(|| repository().join("target/bench/results.jsonl"))
}

fn places(args: &RunArgs) -> Result<Places, BenchError> {
    let work = args
        .work
        .clone()
        .unwrap_or_else(|| repository().join("target/bench"));
    Ok(Places {
        callboard: match &args.callboard {
            Some(program) => program.clone(),
            None => build()?,
        },
        before: args.before.clone(),
        before_consumer: args.before_consumer.clone(),
        repository: repository(),
        work,
        // A folder of this process alone.
        memory: args
            .memory
            .join(format!("callboard-bench-{}", std::process::id())),
    })
}

/// Has cargo build what is measured, in the same target directory and for release, whatever this program was built for.
fn build() -> Result<PathBuf, BenchError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args([
            "build",
            "--release",
            "--package",
            "callboard",
            "--bin",
            "callboard",
        ])
        .current_dir(repository())
        .status()
        .doing(|| "running cargo".to_owned())?;
    // …/target/release/callboard-bench, or …/target/debug/callboard-bench.
    let own = std::env::current_exe().doing(|| "finding this program".to_owned())?;
    let program = own
        .parent()
        .and_then(Path::parent)
        .map(|target| target.join("release/callboard"));
    match program {
        Some(program) if status.success() && program.exists() => Ok(program),
        _ => Err(BenchError::Usage(
            "there is no callboard program beside this one; name it by --callboard".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(asked: &[&str]) -> Vec<String> {
        let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
        let kinds = wanted(&asked).expect("rows");
        kinds.into_iter().map(Kind::name).collect()
    }

    #[test]
    fn a_row_is_asked_for_by_its_name_or_with_all_that_begin_so() {
        assert_eq!(names(&["join/10"]), ["join/10"]);
        assert_eq!(names(&["join/10", "start"]), ["join/10", "start"]);
        assert_eq!(names(&["join"]).len(), 4);
        assert_eq!(names(&[]).len(), Kind::all().len());
        assert!(wanted(&["leave".to_owned()]).is_err());
    }
}
