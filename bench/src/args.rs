//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::consumer::ConsumeArgs;

/// Load and its measure, on our broker and on a real Apache Kafka 4.2.0 beside it.
#[derive(Debug, Parser)]
#[command(name = "callboard-bench", version, about)]
pub(crate) struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure the rows that are not in the results yet, then write the table.
    Run(RunArgs),
    /// Write the table from the results that are there.
    Table(Files),
    /// Print the names of all rows.
    Rows,
    /// The server that only answers.
    #[command(hide = true)]
    Echo,
    /// The consumer that is measured.
    #[command(hide = true)]
    Consume(ConsumeArgs),
}

/// Where results and table are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Files {
    /// Results, a line of JSON a row. Default target/bench/results.jsonl.
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,
    /// The page whose tables are written, between two marks; `-` is stdout. Default docs/benchmarks.md.
    #[arg(long, value_name = "FILE")]
    pub(crate) table: Option<PathBuf>,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Only these rows, or all that begin so; may be repeated, or have commas.
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Measure rows again that are in the results.
    #[arg(long)]
    pub(crate) again: bool,
    /// Leave Apache Kafka out.
    #[arg(long)]
    pub(crate) skip_kafka: bool,
    /// Runs of a row.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) runs: u64,
    /// Seconds of load that are measured in each run.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Seconds of load before.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.7)]
    pub(crate) warm_up: f64,
    /// Idle groups.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) groups: u64,
    /// Commits in the log before a restart.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) commits: u64,
    /// Records that a consumer reads.
    #[arg(long, value_name = "N", default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    /// Hostile connections.
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub(crate) hostile: usize,
    /// The `callboard` program to measure. By default cargo builds it for release, where cargo started this.
    #[arg(long, value_name = "FILE")]
    pub(crate) callboard: Option<PathBuf>,
    /// An older `callboard` program, measured beside the other in the same runs; the table says what became of each figure.
    #[arg(long, value_name = "FILE")]
    pub(crate) before: Option<PathBuf>,
    /// An older `callboard-bench` program, whose consumer is measured beside this one's in the same way.
    #[arg(long, value_name = "FILE")]
    pub(crate) before_consumer: Option<PathBuf>,
    /// Where our broker has its data. Default target/bench.
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
    /// Where it has its data when it is measured without fsync: a file system in memory.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub(crate) memory: PathBuf,
    /// Results and table.
    #[command(flatten)]
    pub(crate) files: Files,
}
