//! Groups that nobody is in, with four offsets each: what they take while nothing happens.

use tokio::process::Command;
use tokio::time::{Duration, sleep};

use super::{Amounts, KAFKA, figures, millis};
use crate::cluster;
use crate::commits::Commits;
use crate::error::BenchError;
use crate::load;
use crate::results::{Figures, Run};
use crate::server::{KafkaNode, Places, Server};
use crate::stage::remove;
use crate::usage::Process;

/// Offsets of a group.
const OFFSETS: i32 = 4;
/// Connections over which they are committed, and requests in flight on each.
const CONNECTIONS: u64 = 20;
const IN_FLIGHT: usize = 20;
/// Digits of a group's number.
const DIGITS: usize = 8;
/// After the last commit, until memory and processor are read.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the idle processor time is watched.
const WATCHED: Duration = Duration::from_secs(5);

pub(super) async fn run(places: &Places, amounts: &Amounts) -> Result<Run, BenchError> {
    let mut run = Run::new();
    for (who, places) in places.ours() {
        let data = places.work.join("idle");
        remove(&data)?;
        let server = Server::ours(&places, &data, &[]).await?;
        run.insert(who.to_owned(), on(&server, amounts.groups).await?);
        server.kill().await?;
        remove(&data)?;
    }
    if amounts.kafka {
        let node = KafkaNode::prepare(places, &[]).await?;
        let server = node.start().await?;
        cluster::make_ready(&server.address).await?;
        let before = heap_mb(server.process).await;
        let mut of_kafka = on(&server, amounts.groups).await?;
        if let (Some(before), Some(after)) = (before, heap_mb(server.process).await) {
            of_kafka.extend(figures([
                ("heap_mb", after),
                ("heap_grown_mb", after - before),
            ]));
        }
        run.insert(KAFKA.to_owned(), of_kafka);
        server.kill().await?;
    }
    Ok(run)
}

async fn on(server: &Server, groups: u64) -> Result<Figures, BenchError> {
    cluster::make_ready(&server.address).await?;
    let before = server.process.resident_mb()?;
    let mut lanes = Vec::new();
    for number in 0..CONNECTIONS {
        let from = number * groups / CONNECTIONS;
        let most = (number + 1) * groups / CONNECTIONS - from;
        let commits = Commits {
            group: format!("idle-{from:0DIGITS$}"),
            partition: 0,
            partitions: OFFSETS,
        };
        let mut lane = commits
            .lane_of_groups(&server.address, DIGITS, from)
            .await?;
        lane.most = most;
        lanes.push(lane);
    }
    load::send_all(lanes, IN_FLIGHT).await?;
    sleep(SETTLE).await;
    let after = server.process.resident_mb()?;
    let cpu = server.process.cpu()?;
    sleep(WATCHED).await;
    let cpu = server.process.cpu()?.since(cpu);
    Ok(figures([
        ("before_mb", before),
        ("resident_mb", after),
        ("grown_mb", after - before),
        ("idle_cpu_ms", millis(cpu) / WATCHED.as_secs_f64()),
    ]))
}

/// What lives on a JVM's heap after a full collection; None where there is no `jcmd`.
async fn heap_mb(process: Process) -> Option<f64> {
    let output = Command::new("jcmd")
        .args([&process.0.to_string(), "GC.class_histogram"])
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let total = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("Total"))?;
    let bytes: f64 = total.split_whitespace().nth(1)?.parse().ok()?;
    Some(bytes / 1e6)
}
