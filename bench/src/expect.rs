//! Which figures are shown, which are compared, and what is expected of the comparison.

use crate::results::Run;
use crate::rows::{BEFORE, ECHO, KAFKA, KAFKA_FLUSHED, Kind, OURS, OURS_UNSYNCED};

/// A kind of rows with its two tables.
pub(crate) struct Family {
    /// Heading.
    pub(crate) title: &'static str,
    /// What is measured, in a sentence or two.
    pub(crate) about: &'static str,
    /// Which rows.
    pub(crate) has: fn(Kind) -> bool,
    /// Figures and their headings.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    /// Comparisons.
    pub(crate) ratios: &'static [Ratio],
}

/// A comparison.
pub(crate) struct Ratio {
    /// What it says.
    pub(crate) title: &'static str,
    /// The figure.
    pub(crate) figure: &'static str,
    /// Whose.
    pub(crate) of: &'static str,
    /// Compared with whose; None where the figure itself is held against a bound.
    pub(crate) to: Option<&'static str>,
    /// What is expected; None where nobody said.
    pub(crate) expected: fn(Kind) -> Option<Bound>,
}

/// What is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// It, or more.
    AtLeast(f64),
    /// It, or less.
    AtMost(f64),
}

impl Bound {
    /// Whether it is as expected.
    pub(crate) fn holds(self, found: f64) -> bool {
        match self {
            Self::AtLeast(least) => found >= least,
            Self::AtMost(most) => found <= most,
        }
    }
}

impl Ratio {
    /// What it is in one run; None where a figure is missing.
    pub(crate) fn in_run(&self, run: &Run) -> Option<f64> {
        let of = run.get(self.of)?.get(self.figure)?;
        match self.to {
            Some(to) => Some(of / run.get(to)?.get(self.figure)?),
            None => Some(*of),
        }
    }
}

const fn nothing(_: Kind) -> Option<Bound> {
    None
}

const LOAD: &[(&str, &str)] = &[
    ("rate", "a second"),
    ("p50_us", "p50 µs"),
    ("p99_us", "p99 µs"),
    ("server_us", "server CPU µs each"),
    ("client_us", "client CPU µs each"),
    ("resident_mb", "server MB after"),
];

fn of_echo(kind: Kind) -> Option<Bound> {
    match kind {
        Kind::Heartbeat { in_flight: 1, .. } => Some(Bound::AtMost(1.25)),
        Kind::Heartbeat { .. } => Some(Bound::AtMost(5.0)),
        _ => None,
    }
}

/// A bound for the load that is as hard as loads get here.
fn at_100x10(kind: Kind, bound: Bound) -> Option<Bound> {
    let full = Kind::Commit {
        connections: 100,
        in_flight: 10,
    };
    (kind == full).then_some(bound)
}

fn of_unsynced(kind: Kind) -> Option<Bound> {
    match kind {
        Kind::Commit {
            connections,
            in_flight,
        } if connections * in_flight >= 100 => Some(Bound::AtLeast(0.7)),
        _ => None,
    }
}

fn of_thousand(kind: Kind, bound: Bound) -> Option<Bound> {
    (kind == Kind::Join { members: 1_000 }).then_some(bound)
}

/// All rows belong to one of these.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        title: "Heartbeats",
        about: "Connections x requests in flight on each. Every connection is the only member of a group of its own. The echo takes \
            frames apart and answers each with as many bytes, on the same runtime as our broker.",
        has: |kind| matches!(kind, Kind::Heartbeat { .. }),
        columns: LOAD,
        ratios: &[
            Ratio {
                title: "server CPU, ours : Kafka",
                figure: "server_us",
                of: OURS,
                to: Some(KAFKA),
                expected: |_| Some(Bound::AtMost(1.0 / 3.0)),
            },
            Ratio {
                title: "server CPU, ours : echo",
                figure: "server_us",
                of: OURS,
                to: Some(ECHO),
                expected: of_echo,
            },
            Ratio {
                title: "rate, ours : Kafka",
                figure: "rate",
                of: OURS,
                to: Some(KAFKA),
                expected: nothing,
            },
        ],
    },
    Family {
        title: "OffsetCommit",
        about: "Connections x requests in flight on each; a request has one partition, a connection its own group. Ours answers after \
            fdatasync; with its data in memory (tmpfs) that has nothing to do. Kafka answers before anything is on disk, unless \
            `__consumer_offsets` has `flush.messages=1`.",
        has: |kind| matches!(kind, Kind::Commit { .. }),
        columns: LOAD,
        ratios: &[
            Ratio {
                title: "rate, ours : Kafka with flush.messages=1",
                figure: "rate",
                of: OURS,
                to: Some(KAFKA_FLUSHED),
                expected: |kind| at_100x10(kind, Bound::AtLeast(5.0)),
            },
            Ratio {
                title: "rate, ours : Kafka without fsync",
                figure: "rate",
                of: OURS,
                to: Some(KAFKA),
                expected: |kind| at_100x10(kind, Bound::AtLeast(2.0)),
            },
            Ratio {
                title: "rate, ours : ours without fsync",
                figure: "rate",
                of: OURS,
                to: Some(OURS_UNSYNCED),
                expected: of_unsynced,
            },
            Ratio {
                title: "server CPU, ours : Kafka without fsync",
                figure: "server_us",
                of: OURS,
                to: Some(KAFKA),
                expected: |kind| at_100x10(kind, Bound::AtMost(1.0 / 8.0)),
            },
            Ratio {
                title: "server CPU, ours : Kafka with flush.messages=1",
                figure: "server_us",
                of: OURS,
                to: Some(KAFKA_FLUSHED),
                expected: |kind| at_100x10(kind, Bound::AtMost(1.0 / 8.0)),
            },
        ],
    },
    Family {
        title: "Rebalances",
        about: "One group, each member on its own connection. All: every member joins again with a new subscription, from the first \
            JoinGroup sent (and from the last) until all have their assignment. One more: its JoinGroup sent until all have theirs, the \
            others asking by Heartbeat at once and not at their next interval. One leaves: the same from its LeaveGroup.",
        has: |kind| matches!(kind, Kind::Join { .. }),
        columns: &[
            ("all_ms", "all, from the first ms"),
            ("last_ms", "all, from the last ms"),
            ("all_cpu_ms", "all, server CPU ms"),
            ("more_ms", "one more ms"),
            ("more_cpu_ms", "one more, server CPU ms"),
            ("leave_ms", "one leaves ms"),
            ("leave_cpu_ms", "one leaves, server CPU ms"),
        ],
        ratios: &[
            Ratio {
                title: "all: time, ours : Kafka",
                figure: "all_ms",
                of: OURS,
                to: Some(KAFKA),
                expected: |kind| of_thousand(kind, Bound::AtMost(0.25)),
            },
            Ratio {
                title: "all: server CPU, ours : Kafka",
                figure: "all_cpu_ms",
                of: OURS,
                to: Some(KAFKA),
                expected: |kind| of_thousand(kind, Bound::AtMost(0.2)),
            },
            Ratio {
                title: "one more: time, ours : Kafka",
                figure: "more_ms",
                of: OURS,
                to: Some(KAFKA),
                expected: nothing,
            },
            Ratio {
                title: "one leaves: time, ours : Kafka",
                figure: "leave_ms",
                of: OURS,
                to: Some(KAFKA),
                expected: nothing,
            },
        ],
    },
    Family {
        title: "Start on an empty directory",
        about: "From the start of the process to the first answer to Metadata.",
        has: |kind| kind == Kind::Start,
        columns: &[("start_ms", "ms")],
        ratios: &[Ratio {
            title: "time, ours : Kafka",
            figure: "start_ms",
            of: OURS,
            to: Some(KAFKA),
            expected: |_| Some(Bound::AtMost(1.0 / 40.0)),
        }],
    },
    Family {
        title: "Frames that announce 100 MB",
        about: "Connections that announce a frame of 100 MB and bring a kilobyte of it; memory is watched for three seconds. Serves: \
            1 where the broker answers Metadata afterwards.",
        has: |kind| kind == Kind::Hostile,
        columns: &[
            ("before_mb", "before MB"),
            ("peak_mb", "peak MB"),
            ("grown_mb", "grown by MB"),
            ("serves", "serves"),
        ],
        ratios: &[Ratio {
            title: "grown by, ours, MB",
            figure: "grown_mb",
            of: OURS,
            to: None,
            expected: |_| Some(Bound::AtMost(64.0)),
        }],
    },
    Family {
        title: "100,000 idle groups with 4 offsets each",
        about: "Resident memory of the process two seconds after the last commit, and processor time a second over five idle ones. Kafka's \
            heap is what a full collection leaves.",
        has: |kind| kind == Kind::Idle,
        columns: &[
            ("before_mb", "before MB"),
            ("resident_mb", "resident MB"),
            ("grown_mb", "grown by MB"),
            ("heap_mb", "heap MB"),
            ("heap_grown_mb", "heap grown by MB"),
            ("idle_cpu_ms", "idle CPU ms/s"),
        ],
        ratios: &[Ratio {
            title: "resident, ours, MB",
            figure: "resident_mb",
            of: OURS,
            to: None,
            expected: |_| Some(Bound::AtMost(100.0)),
        }],
    },
    Family {
        title: "Restart after kill -9, a million commits in the log",
        about: "100 groups committed 10,000 times each, a request and an offset at a time. From the start of the process until the last \
            commit of every group reads back.",
        has: |kind| kind == Kind::Restart,
        columns: &[("start_ms", "ms"), ("resident_mb", "resident MB")],
        ratios: &[
            Ratio {
                title: "time, ours, ms",
                figure: "start_ms",
                of: OURS,
                to: None,
                expected: |_| Some(Bound::AtMost(1_000.0)),
            },
            Ratio {
                title: "time, ours : Kafka",
                figure: "start_ms",
                of: OURS,
                to: Some(KAFKA),
                expected: |_| Some(Bound::AtMost(1.0 / 20.0)),
            },
        ],
    },
    Family {
        title: "Consumer",
        about: "One member of a group reads a topic of 16 partitions from its beginning, in batches of up to 64 KiB, and acknowledges every \
            record: a closure per record, or one stream; the number is the bytes of a value. A second: from the first record to the \
            last. Processor time, memory and switches are of the whole process, from its start until it has committed and left.",
        has: |kind| matches!(kind, Kind::Consume { .. }),
        columns: &[
            ("rate", "a second"),
            ("client_us", "client CPU µs each"),
            ("switches", "voluntary switches per 1,000"),
            ("peak_mb", "client peak MB"),
        ],
        // Machines that are shared differ by a few hundredths from run to run.
        ratios: &[
            Ratio {
                title: "client CPU, ours : before",
                figure: "client_us",
                of: OURS,
                to: Some(BEFORE),
                expected: |_| Some(Bound::AtMost(1.1)),
            },
            Ratio {
                title: "rate, ours : before",
                figure: "rate",
                of: OURS,
                to: Some(BEFORE),
                expected: |_| Some(Bound::AtLeast(0.9)),
            },
        ],
    },
];
