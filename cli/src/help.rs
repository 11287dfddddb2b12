//! What every `--help` ends with: examples that run as they stand, in the order of a tour, and the exit codes.

use std::fmt::Write;

use crate::failure::EXIT_CODES;
use crate::{broker, cluster};

/// Examples of a command by its name; a broker at the default address is all they need, and those before them.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "callboard demo",
            "callboard topic create tour --partitions 1",
            "printf 'alice:1 coffee\\n' | callboard produce tour --key-separator :",
            "callboard consume tour --group billing --from earliest --max 1",
        ],
    ),
    (
        "broker",
        &["callboard broker --data-dir ./data --set group.initial.rebalance.delay.ms=0"],
    ),
    (
        "topic",
        &[
            "callboard topic create orders --partitions 6",
            "callboard topic describe orders",
        ],
    ),
    (
        "topic create",
        &["callboard topic create payments --partitions 6 --config retention.ms=86400000"],
    ),
    ("topic list", &["callboard topic list"]),
    (
        "topic describe",
        &["callboard topic describe payments --all-configs"],
    ),
    (
        "topic alter",
        &[
            "callboard topic alter payments --partitions 12",
            "callboard topic alter payments --config retention.ms=3600000 --delete-config segment.ms",
        ],
    ),
    (
        "produce",
        &[
            "printf 'alice:1 coffee\\nbob:2 teas\\n' | callboard produce orders --key-separator :",
            "printf 'alice:NULL\\n' | callboard produce orders --key-separator : --null-value NULL",
            "echo '{\"key\":\"carla\",\"value\":\"3 cakes\",\"headers\":[{\"key\":\"table\",\"value\":\"7\"}]}' | callboard produce orders --input json",
        ],
    ),
    (
        "consume",
        &[
            "callboard consume orders --group billing --from earliest --exit-at-end",
            "callboard consume orders --from earliest --exit-at-end",
            "callboard consume orders --partition 0,1 --offset -5 --exit-at-end",
            "callboard consume orders --from 2h --max 1 --output json",
            "callboard consume orders --group audit --from earliest --print-timestamp --print-headers --max 2",
            "callboard consume orders --group copy --from earliest --exit-at-end --output json > orders.json",
            "callboard produce orders --input json --file orders.json",
        ],
    ),
    ("topic delete", &["callboard topic delete payments"]),
    (
        "assignor",
        &[
            "callboard assignor list",
            "callboard assignor simulate --assignor range --members 5 --topics orders:12",
        ],
    ),
    ("assignor list", &["callboard assignor list"]),
    (
        "assignor simulate",
        &[
            "callboard assignor simulate --assignor sticky --members 5 --topics orders:12,payments:6 --remove m3",
            "echo '{\"topics\":{\"orders\":{\"partitions\":4}},\"members\":[{\"id\":\"a\",\"topics\":[\"orders\"],\"owned\":{\"orders\":[0,1,2,3]},\"generation\":3},{\"id\":\"b\",\"topics\":[\"orders\"]}]}' | callboard assignor simulate --assignor cooperative-sticky --input - --output json",
        ],
    ),
    ("demo", &["callboard demo"]),
];

/// The end of the help of a command.
pub(crate) fn of(command: &str) -> String {
    let found = EXAMPLES.iter().find(|(name, _)| *name == command);
    let examples = found.map_or(&[][..], |(_, examples)| examples);
    let mut help = String::from(if examples.len() == 1 {
        "Example:\n"
    } else {
        "Examples:\n"
    });
    for example in examples {
        // Writing to a string cannot fail.
        let _ = writeln!(help, "  {example}");
    }
    let _ = write!(help, "\n{EXIT_CODES}");
    help
}

/// As [`of`], and the keys that the command takes.
pub(crate) fn with_keys(command: &str) -> String {
    let keys = match command {
        "broker" => broker::keys_help(),
        _ => cluster::keys_help(),
    };
    format!("{}\n\n{keys}", of(command))
}
