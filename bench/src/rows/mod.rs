//! The rows of the table: what each measures, on whom. Every row is a number of runs, and a run asks all subjects one
//! after the other, so that what the machine does meanwhile hits all of them.

mod commit;
mod consume;
mod heartbeat;
mod hostile;
mod idle;
mod join;
mod restart;
mod start;

use tokio::time::Duration;

use crate::consumer::How;
use crate::error::BenchError;
use crate::load::Load;
use crate::results::{Figures, Row, Run};
use crate::server::{Places, Server};
use crate::stage::Stage;

/// Our broker, or our consumer, as it ships.
pub(crate) const OURS: &str = "ours";
/// As it was: the program of `--before`, or of `--before-consumer`.
pub(crate) const BEFORE: &str = "before";
/// Our broker with its data in memory, where fdatasync has nothing to do.
pub(crate) const OURS_UNSYNCED: &str = "ours, no fsync";
/// Apache Kafka with its defaults.
pub(crate) const KAFKA: &str = "Kafka";
/// Apache Kafka with `flush.messages=1` on `__consumer_offsets`.
pub(crate) const KAFKA_FLUSHED: &str = "Kafka, flush.messages=1";
/// The plain echo.
pub(crate) const ECHO: &str = "echo";

/// How much of everything.
#[derive(Clone, Debug)]
pub(crate) struct Amounts {
    /// Runs of a row.
    pub(crate) runs: usize,
    /// Load before it is measured.
    pub(crate) warm_up: Duration,
    /// Load that is measured.
    pub(crate) measured: Duration,
    /// Idle groups.
    pub(crate) groups: u64,
    /// Commits in the log before a restart.
    pub(crate) commits: u64,
    /// Records that a consumer reads.
    pub(crate) records: u64,
    /// Hostile connections.
    pub(crate) hostile: usize,
    /// Whether Apache Kafka is measured too.
    pub(crate) kafka: bool,
}

impl Amounts {
    /// The load of so many requests in flight on each connection.
    pub(crate) fn load(&self, in_flight: usize) -> Load {
        Load {
            in_flight,
            warm_up: self.warm_up,
            measured: self.measured,
        }
    }
}

/// Warm-ups of one load that make up the first one after a start: a JVM compiles what is used, not what is there.
const FIRST_WARM_UP: u32 = 7;

/// Load on a server that has just started, of the two kinds that will be measured.
pub(crate) async fn warm(server: &Server, amounts: &Amounts) -> Result<(), BenchError> {
    let load = Load {
        in_flight: 10,
        warm_up: Duration::ZERO,
        measured: amounts.warm_up * FIRST_WARM_UP,
    };
    heartbeat::on(server, 20, load).await?;
    commit::on(server, 20, load).await?;
    Ok(())
}

/// What a row measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Heartbeats.
    Heartbeat {
        connections: usize,
        in_flight: usize,
    },
    /// OffsetCommits.
    Commit {
        connections: usize,
        in_flight: usize,
    },
    /// Rebalances of a group.
    Join { members: usize },
    /// A start on an empty directory.
    Start,
    /// Frames that announce much.
    Hostile,
    /// Groups nobody is in.
    Idle,
    /// A start after kill -9.
    Restart,
    /// A member that reads records of so many bytes.
    Consume { how: How, bytes: usize },
}

impl Kind {
    /// All rows, those first that share servers.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for connections in [1, 50, 1_000] {
            all.extend([1, 5, 50].map(|in_flight| Self::Heartbeat {
                connections,
                in_flight,
            }));
        }
        for connections in [1, 10, 100] {
            all.extend([1, 10].map(|in_flight| Self::Commit {
                connections,
                in_flight,
            }));
        }
        all.extend([10, 100, 500, 1_000].map(|members| Self::Join { members }));
        all.extend([Self::Start, Self::Hostile, Self::Idle, Self::Restart]);
        for how in [How::Closure, How::Stream] {
            all.extend([100, 1_024].map(|bytes| Self::Consume { how, bytes }));
        }
        all
    }

    /// Its name, for results and `--rows`.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Heartbeat {
                connections,
                in_flight,
            } => format!("heartbeat/{connections}x{in_flight}"),
            Self::Commit {
                connections,
                in_flight,
            } => format!("commit/{connections}x{in_flight}"),
            Self::Join { members } => format!("join/{members}"),
            Self::Start => "start".to_owned(),
            Self::Hostile => "hostile".to_owned(),
            Self::Idle => "idle".to_owned(),
            Self::Restart => "restart".to_owned(),
            Self::Consume { how, bytes } => format!("consume/{how}-{bytes}"),
        }
    }

    /// Measures it. `say` hears of each run.
    pub(crate) async fn measure(
        self,
        places: &Places,
        amounts: &Amounts,
        stage: &mut Stage,
        say: &mut dyn FnMut(usize, &Run),
    ) -> Result<Row, BenchError> {
        if !self.shares_servers() {
            // What runs beside a measurement is part of it.
            stage.clear().await?;
        }
        let load = load_average();
        let mut restart = restart::Prepared::default();
        let mut consume = consume::Prepared::default();
        let mut runs = Vec::new();
        for number in 1..=amounts.runs {
            let run = match self {
                Self::Heartbeat {
                    connections,
                    in_flight,
                } => heartbeat::run(stage, amounts, connections, in_flight).await?,
                Self::Commit {
                    connections,
                    in_flight,
                } => commit::run(stage, amounts, connections, in_flight).await?,
                Self::Join { members } => join::run(stage, amounts, members).await?,
                Self::Start => start::run(places, amounts).await?,
                Self::Hostile => hostile::run(places, amounts).await?,
                Self::Idle => idle::run(places, amounts).await?,
                Self::Restart => restart.run(places, amounts).await?,
                Self::Consume { how, bytes } => consume.run(places, amounts, bytes, how).await?,
            };
            say(number, &run);
            runs.push(run);
        }
        consume.clear().await?;
        Ok(Row {
            row: self.name(),
            load,
            runs,
        })
    }

    fn shares_servers(self) -> bool {
        matches!(
            self,
            Self::Heartbeat { .. } | Self::Commit { .. } | Self::Join { .. }
        )
    }
}

/// What else the machine does.
fn load_average() -> f64 {
    std::fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split(' ').next().and_then(|text| text.parse().ok()))
        .unwrap_or(f64::NAN)
}

fn figures<const N: usize>(figures: [(&str, f64); N]) -> Figures {
    figures
        .into_iter()
        .map(|(name, figure)| (name.to_owned(), figure))
        .collect()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
