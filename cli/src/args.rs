//! The command line: what can be said, with help. No command does anything here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Kafka consumer groups as a troupe of supervised actors.
#[derive(Debug, Parser)]
#[command(name = "callboard", version, about, propagate_version = true)]
pub(crate) struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the embedded broker until SIGTERM or SIGINT.
    Broker(BrokerArgs),
    /// Create, list, describe and delete topics of any Kafka cluster.
    Topic(TopicArgs),
    /// Produce lines of stdin or a file, one record a line.
    Produce(ProduceArgs),
    /// Consume topics as a member of a group; prints `topic/partition@offset key value`, `-` for none.
    Consume(ConsumeArgs),
    /// Watch a group read real data, lose a member, rebalance and finish with the right answer.
    Demo(DemoArgs),
    /// The demo's member that gets killed.
    #[command(hide = true)]
    DemoMember(DemoMemberArgs),
}

/// Options of `callboard broker`.
#[derive(Debug, Args)]
#[command(after_long_help = crate::broker::keys_help())]
pub(crate) struct BrokerArgs {
    /// Where Kafka clients connect; port 0 picks a free port. Default 127.0.0.1:9092.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<String>,
    /// Where the broker keeps its data; created when absent. Default ./callboard-data.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where /metrics, /healthz and /readyz are served; port 0 picks a free port. Default 127.0.0.1:9464.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) admin: Option<String>,
    /// A setting by Kafka's own broker key, for example group.initial.rebalance.delay.ms=500. May be repeated; wins over --config.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// A TOML file of the same keys; quoted keys work too: "broker.id" = 1.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print every key with its value, its default and where the value comes from, separated by tabs, and start nothing.
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// Which cluster, and how to speak to it.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// Brokers to start from, HOST:PORT with commas; works with any Kafka.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub(crate) bootstrap: String,
    /// A setting by Kafka's own client key: session.timeout.ms, partition.assignment.strategy, group.instance.id, acks, linger.ms … May be repeated; `callboard consume --help` lists them.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

/// Options of `callboard topic`.
#[derive(Debug, Args)]
pub(crate) struct TopicArgs {
    /// What to do with topics.
    #[command(subcommand)]
    pub(crate) action: TopicAction,
}

/// What can be done with topics.
#[derive(Debug, Subcommand)]
pub(crate) enum TopicAction {
    /// Create a topic.
    Create {
        /// The topic's name.
        name: String,
        /// How many partitions it gets.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
        /// Copies of each partition; an embedded broker has one.
        #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        replication_factor: i16,
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// List topics, one name a line.
    List {
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Print a topic's partitions with their leader and offsets.
    Describe {
        /// The topic's name.
        name: String,
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Delete a topic with its records.
    Delete {
        /// The topic's name.
        name: String,
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
    },
}

/// Options of `callboard produce`.
#[derive(Debug, Args)]
#[command(after_long_help = crate::cluster::keys_help())]
pub(crate) struct ProduceArgs {
    /// The topic.
    pub(crate) topic: String,
    /// Read lines from here instead of stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// What stands between key and value, \\t for a tab; a line without it has no key. Without this option no line has.
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_separator: Option<String>,
    /// The cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// Where a group without a committed offset begins.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum From {
    /// At the first record there is.
    Earliest,
    /// At the next record to come.
    Latest,
}

/// Options of `callboard consume`.
#[derive(Debug, Args)]
#[command(after_long_help = crate::cluster::keys_help())]
pub(crate) struct ConsumeArgs {
    /// Topics to subscribe to.
    #[arg(required = true)]
    pub(crate) topics: Vec<String>,
    /// The consumer group to be a member of.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: String,
    /// Where to begin when the group has no committed offset. Default latest; the same as --set auto.offset.reset=….
    #[arg(long, value_enum)]
    pub(crate) from: Option<From>,
    /// End after so many records.
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    /// End when every assigned partition has been read to the end it had when it was assigned.
    #[arg(long)]
    pub(crate) exit_at_end: bool,
    /// The cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// Options of `callboard demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave the broker running afterwards, to play with, until SIGINT.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// Options of the demo's second process.
#[derive(Debug, Args)]
pub(crate) struct DemoMemberArgs {
    /// The demo's broker.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) bootstrap: String,
}
