//! The command line: what can be said, with help. No command does anything here.

use std::path::PathBuf;

use callboard_assignor_simulate::SimulateArgs;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::help;
use crate::when::From;

/// Kafka consumer groups as a troupe of supervised actors.
#[derive(Debug, Parser)]
#[command(name = "callboard", version, about, propagate_version = true, after_help = help::of(""))]
pub(crate) struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the embedded broker until a signal ends it in order.
    Broker(BrokerArgs),
    /// Create, list, describe, change and delete topics of any Kafka cluster.
    Topic(TopicArgs),
    /// Produce lines of stdin or a file, one record a line; says on stderr how many are stored.
    Produce(ProduceArgs),
    /// Print the records of topics, a line each: as a member of a group that commits what is printed, or from any place.
    Consume(ConsumeArgs),
    /// List assignors, and simulate what they plan for a group; needs no cluster.
    Assignor(AssignorArgs),
    /// Watch a group read real data, lose a member, rebalance and finish with the right answer.
    Demo(DemoArgs),
    /// The demo's member that gets killed.
    #[command(hide = true)]
    DemoMember(DemoMemberArgs),
}

/// Options of `callboard broker`.
#[derive(Debug, Args)]
#[command(after_help = help::of("broker"), after_long_help = help::with_keys("broker"))]
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
#[command(after_help = help::of("topic"))]
pub(crate) struct TopicArgs {
    /// What to do with topics.
    #[command(subcommand)]
    pub(crate) action: TopicAction,
}

/// What can be done with topics.
#[derive(Debug, Subcommand)]
pub(crate) enum TopicAction {
    /// Create a topic.
    #[command(after_help = help::of("topic create"))]
    Create {
        /// The topic's name.
        name: String,
        /// How many partitions it gets.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
        /// Copies of each partition; an embedded broker has one.
        #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
        replication_factor: i16,
        /// A setting of the topic by Kafka's own key, for example retention.ms=60000. May be repeated.
        #[arg(long = "config", value_name = "KEY=VALUE")]
        configs: Vec<String>,
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// List topics, one name a line.
    #[command(after_help = help::of("topic list"))]
    List {
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Print a topic's partitions with their leader and offsets, and its settings that are not the default.
    #[command(after_help = help::of("topic describe"))]
    Describe {
        /// The topic's name.
        name: String,
        /// Print the settings that are the default too.
        #[arg(long)]
        all_configs: bool,
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Give a topic more partitions or other settings.
    #[command(after_help = help::of("topic alter"))]
    Alter(AlterArgs),
    /// Delete a topic with its records.
    #[command(after_help = help::of("topic delete"))]
    Delete {
        /// The topic's name.
        name: String,
        /// The cluster.
        #[command(flatten)]
        cluster: ClusterArgs,
    },
}

/// Options of `callboard topic alter`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").required(true).multiple(true)))]
pub(crate) struct AlterArgs {
    /// The topic's name.
    pub(crate) name: String,
    /// How many partitions it has then; more than now.
    #[arg(long, value_name = "N", group = "change", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: Option<i32>,
    /// A setting by Kafka's own key; KEY= without a value goes back to the default. May be repeated.
    #[arg(long = "config", value_name = "KEY=VALUE", group = "change")]
    pub(crate) configs: Vec<String>,
    /// A setting that goes back to the default. May be repeated.
    #[arg(long = "delete-config", value_name = "KEY", group = "change")]
    pub(crate) deleted: Vec<String>,
    /// The cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// How the input of `produce` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// A line is a record's value, or its key and value; see --key-separator and --null-value.
    Lines,
    /// One object a line, as `consume --output json` prints: `topic`, `partition`, `timestamp`, `key` and `headers` may
    /// be left out; `value` may be null, a tombstone; `{"base64":"…"}` stands for bytes; `offset` is not looked at.
    Json,
}

/// Options of `callboard produce`.
#[derive(Debug, Args)]
#[command(after_help = help::of("produce"), after_long_help = help::with_keys("produce"))]
pub(crate) struct ProduceArgs {
    /// The topic. With --input json it takes the place of the records' own, and need not be there.
    pub(crate) topic: Option<String>,
    /// Read from here instead of stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// What the input is.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "lines")]
    pub(crate) input: InputFormat,
    /// What stands between key and value, \t for a tab; a line without it has no key. Without this option no line has.
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_separator: Option<String>,
    /// A key or value that is exactly this is null; a null value is a tombstone.
    #[arg(long, value_name = "TEXT")]
    pub(crate) null_value: Option<String>,
    /// Lines end with \n alone: the \r of a file with CRLF belongs to its value.
    #[arg(long)]
    pub(crate) keep_cr: bool,
    /// The cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// Where in each partition to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offset {
    /// At this one.
    At(i64),
    /// So many before the end.
    BeforeEnd(i64),
    /// At the first there is.
    Earliest,
    /// At the next to come.
    Latest,
}

impl Offset {
    fn parse(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        let offset = match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            text => match text.strip_prefix('-') {
                Some(digits) => number(digits).map(Self::BeforeEnd),
                None => number(text).map(Self::At),
            },
        };
        offset.ok_or_else(|| {
            "expected earliest, latest, an offset, or -N for N before the end".to_owned()
        })
    }
}

/// How `consume` prints records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A line for people: `topic/partition@offset key value`, what would steer a terminal, is no text or is a backslash
    /// written as \n, \r, \x1b, \\.
    Plain,
    /// One object a line: `{"topic","partition","offset","timestamp","key","value","headers":[{"key","value"}]}`; null is
    /// null; what is no UTF-8 is `{"base64":"…"}`. `produce --input json` takes it.
    Json,
}

/// Options of `callboard consume`.
#[derive(Debug, Args)]
#[command(after_help = help::of("consume"), after_long_help = help::with_keys("consume"))]
pub(crate) struct ConsumeArgs {
    /// Topics to read.
    #[arg(required = true)]
    pub(crate) topics: Vec<String>,
    /// Be a member of this consumer group: it shares out the partitions, and what is printed is committed. Without it
    /// nothing is committed, and all partitions are read, or those of --partition.
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Where to begin: earliest, latest (default), or, without a group, @SECONDS since 1970, a time as in
    /// 2026-11-29T05:30:00Z, or how long ago as in 2h or 1d12h. A group begins there where it has no committed offset.
    #[arg(long, value_name = "WHERE", value_parser = From::parse)]
    pub(crate) from: Option<From>,
    /// Read only these partitions of the topic; commas, or repeated. Not with a group.
    #[arg(long = "partition", value_name = "N", value_delimiter = ',', conflicts_with = "group", value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partitions: Vec<i32>,
    /// Begin at this offset of each partition: a number, -N for N before the end, earliest or latest. Not with a group.
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true, conflicts_with_all = ["group", "from"], value_parser = Offset::parse)]
    pub(crate) offset: Option<Offset>,
    /// End after so many records.
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    /// End when every partition has been read to the end it had when reading it began.
    #[arg(long)]
    pub(crate) exit_at_end: bool,
    /// How records are printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "plain")]
    pub(crate) output: OutputFormat,
    /// Plain output has the key. It has unless this is false.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) print_key: Option<bool>,
    /// Plain output has the headers, `name=value,name=value`, before the key.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) print_headers: Option<bool>,
    /// Plain output has the timestamp, milliseconds since 1970, after the offset.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) print_timestamp: Option<bool>,
    /// How plain output shows a key, value or header that is null. Default `-`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) null_value: Option<String>,
    /// The cluster.
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
}

/// Options of `callboard assignor`.
#[derive(Debug, Args)]
#[command(after_help = help::of("assignor"))]
pub(crate) struct AssignorArgs {
    /// What to do with assignors.
    #[command(subcommand)]
    pub(crate) action: AssignorAction,
}

/// What can be done with assignors.
#[derive(Debug, Subcommand)]
pub(crate) enum AssignorAction {
    /// List the built-in assignors, one a line: name, rebalance protocols and what it needs to know, separated by tabs.
    #[command(after_help = help::of("assignor list"))]
    List,
    /// Print what an assignor plans for a group, how much moves, and how uneven it is.
    #[command(after_help = help::of("assignor simulate"))]
    Simulate(SimulateArgs),
}

/// Options of `callboard demo`.
#[derive(Debug, Args)]
#[command(after_help = help::of("demo"))]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_number_a_distance_or_an_end() {
        for (text, offset) in [
            ("0", Some(Offset::At(0))),
            ("9223372036854775807", Some(Offset::At(i64::MAX))),
            ("-5", Some(Offset::BeforeEnd(5))),
            ("-0", Some(Offset::BeforeEnd(0))),
            ("earliest", Some(Offset::Earliest)),
            ("latest", Some(Offset::Latest)),
            ("", None),
            ("-", None),
            ("--5", None),
            ("+5", None),
            ("9223372036854775808", None),
            ("end", None),
        ] {
            assert_eq!(Offset::parse(text).ok(), offset, "{text}");
        }
    }
}
