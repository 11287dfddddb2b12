//! A start after kill -9, with many commits in the log, up to the moment when every group's last commit reads back. The
//! log is made once; each run starts on a copy of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::{Amounts, KAFKA, figures, millis};
use crate::cluster::{self, PARTITIONS};
use crate::commits::Commits;
use crate::error::{BenchError, Doing};
use crate::load;
use crate::results::Run;
use crate::server::{KafkaNode, Places, Server};
use crate::stage::remove;
use crate::wire::Wire;

/// Groups that commit, each over a connection of its own.
const GROUPS: u64 = 100;
const IN_FLIGHT: usize = 10;
/// How long a start may take.
const READ_BACK_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(2);

/// Logs that were made by the first run.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// Of each of our brokers, by its name.
    ours: BTreeMap<&'static str, PathBuf>,
    kafka: Option<(KafkaNode, PathBuf)>,
}

impl Prepared {
    pub(super) async fn run(
        &mut self,
        places: &Places,
        amounts: &Amounts,
    ) -> Result<Run, BenchError> {
        let offset = last_offset(amounts);
        let mut run = Run::new();
        for (who, places) in places.ours() {
            let data = places.work.join("restart");
            if !self.ours.contains_key(who) {
                let saved = prepare_ours(&places, amounts, &data).await?;
                self.ours.insert(who, saved);
            }
            let Some(saved) = self.ours.get(who) else {
                continue;
            };
            copy(saved, &data).await?;
            let began = Instant::now();
            let server = Server::ours(&places, &data, &[]).await?;
            reads_back(&server.address, offset).await?;
            let took = began.elapsed();
            let resident = server.process.resident_mb()?;
            server.kill().await?;
            remove(&data)?;
            let of_ours = [("start_ms", millis(took)), ("resident_mb", resident)];
            run.insert(who.to_owned(), figures(of_ours));
        }
        if amounts.kafka && self.kafka.is_none() {
            self.kafka = Some(prepare_kafka(places, amounts).await?);
        }
        if let Some((node, saved)) = &self.kafka {
            copy(saved, &node.folder).await?;
            let began = Instant::now();
            let server = node.start().await?;
            reads_back(&server.address, offset).await?;
            let took = began.elapsed();
            let resident = server.process.resident_mb()?;
            server.kill().await?;
            let of_kafka = [("start_ms", millis(took)), ("resident_mb", resident)];
            run.insert(KAFKA.to_owned(), figures(of_kafka));
        }
        Ok(run)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let of_kafka = self.kafka.as_ref().map(|(_, saved)| saved);
        let folders = self.ours.values().chain(of_kafka);
        for folder in folders {
            // Left over is only room on the disk.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

async fn prepare_ours(
    places: &Places,
    amounts: &Amounts,
    data: &Path,
) -> Result<PathBuf, BenchError> {
    remove(data)?;
    let server = Server::ours(places, data, &[]).await?;
    fill(&server, amounts).await?;
    server.kill().await?;
    save(data)
}

async fn prepare_kafka(
    places: &Places,
    amounts: &Amounts,
) -> Result<(KafkaNode, PathBuf), BenchError> {
    let node = KafkaNode::prepare(places, &[]).await?;
    let server = node.start().await?;
    fill(&server, amounts).await?;
    server.kill().await?;
    let saved = save(&node.folder)?;
    Ok((node, saved))
}

fn group(number: u64) -> String {
    format!("restart-{number:04}")
}

/// Commits of a group, the first not counted, which is sent before the load.
fn commits_of_a_group(amounts: &Amounts) -> u64 {
    (amounts.commits / GROUPS).max(1)
}

/// Offsets count up from 0.
fn last_offset(amounts: &Amounts) -> i64 {
    i64::try_from(commits_of_a_group(amounts) - 1).unwrap_or(i64::MAX)
}

async fn fill(server: &Server, amounts: &Amounts) -> Result<(), BenchError> {
    cluster::make_ready(&server.address).await?;
    let mut lanes = Vec::new();
    for number in 0..GROUPS {
        let commits = Commits {
            group: group(number),
            partition: i32::try_from(number).unwrap_or(0) % PARTITIONS,
            partitions: 1,
        };
        let mut lane = commits.lane(&server.address).await?;
        lane.most = commits_of_a_group(amounts);
        lanes.push(lane);
    }
    load::send_all(lanes, IN_FLIGHT).await
}

fn save(data: &Path) -> Result<PathBuf, BenchError> {
    let saved = data.with_extension("saved");
    remove(&saved)?;
    std::fs::rename(data, &saved).doing(|| format!("moving {}", data.display()))?;
    Ok(saved)
}

async fn copy(saved: &Path, data: &Path) -> Result<(), BenchError> {
    remove(data)?;
    let status = Command::new("cp")
        .args(["--archive", "--sparse=always"])
        .args([saved, data])
        .kill_on_drop(true)
        .status()
        .await
        .doing(|| "copying data".to_owned())?;
    // What the copy left to write would be written while the start is measured.
    let synced = Command::new("sync").kill_on_drop(true).status().await;
    synced.doing(|| "writing data back".to_owned())?;
    if status.success() {
        Ok(())
    } else {
        Err(BenchError::Server(format!(
            "cp of {} failed",
            saved.display()
        )))
    }
}

/// Asks until every group has its last offset.
async fn reads_back(address: &str, offset: i64) -> Result<(), BenchError> {
    let asked = async {
        let mut wire = Wire::connect(address).await?;
        let request = cluster::fetch((0..GROUPS).map(group).collect());
        loop {
            let answer = wire.call(&request, 8).await?;
            let answer = answer.read()?;
            let good = answer.groups.iter().all(|group| {
                let mut partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
                group.error_code == 0
                    && partitions.any(|partition| partition.committed_offset == offset)
            });
            if good && answer.groups.len() as u64 == GROUPS {
                return Ok::<_, BenchError>(());
            }
            sleep(POLL).await;
        }
    };
    timeout(READ_BACK_TIMEOUT, asked)
        .await
        .map_err(|_elapsed| BenchError::TimedOut("a commit to read back".to_owned()))?
}
