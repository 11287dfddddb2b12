//! Commits, as durable as each broker makes them: each connection commits one partition of a group of its own.

use super::{Amounts, BEFORE, KAFKA, KAFKA_FLUSHED, OURS, OURS_UNSYNCED};
use crate::cluster::{self, Flush, PARTITIONS};
use crate::commits::Commits;
use crate::error::BenchError;
use crate::load::{self, Load};
use crate::results::{Figures, Run};
use crate::server::Server;
use crate::stage::Stage;

pub(super) async fn run(
    stage: &mut Stage,
    amounts: &Amounts,
    connections: usize,
    in_flight: usize,
) -> Result<Run, BenchError> {
    let load = amounts.load(in_flight);
    let mut run = Run::new();
    let figures = on(stage.ours().await?, connections, load).await?;
    run.insert(OURS.to_owned(), figures);
    if let Some(before) = stage.before().await? {
        let figures = on(before, connections, load).await?;
        run.insert(BEFORE.to_owned(), figures);
    }
    if amounts.kafka {
        let kafka = stage.kafka().await?;
        cluster::set_flush(&kafka.address, Flush::Every).await?;
        let figures = on(kafka, connections, load).await?;
        run.insert(KAFKA_FLUSHED.to_owned(), figures);
        cluster::set_flush(&kafka.address, Flush::Default).await?;
    }
    let figures = on(stage.unsynced().await?, connections, load).await?;
    run.insert(OURS_UNSYNCED.to_owned(), figures);
    if amounts.kafka {
        let figures = on(stage.kafka().await?, connections, load).await?;
        run.insert(KAFKA.to_owned(), figures);
    }
    Ok(run)
}

pub(super) async fn on(
    server: &Server,
    connections: usize,
    load: Load,
) -> Result<Figures, BenchError> {
    let mut lanes = Vec::new();
    for number in 0..connections {
        let commits = Commits {
            group: format!("commit-{number:04}"),
            partition: i32::try_from(number).unwrap_or(0) % PARTITIONS,
            partitions: 1,
        };
        lanes.push(commits.lane(&server.address).await?);
    }
    let (figures, _) = load::measure(lanes, load, server.process).await?;
    Ok(figures)
}
