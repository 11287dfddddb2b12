//! Servers that rows share: started when a row first wants them, so that a JVM warms up once and not thirty times.

use std::path::Path;

use crate::cluster;
use crate::error::{BenchError, Doing};
use crate::rows::{self, Amounts};
use crate::server::{KafkaNode, Places, Server};

/// Groups of the join rows form within this time, on every broker.
const SETTINGS: &[&str] = &["group.initial.rebalance.delay.ms=500"];

/// The servers that run.
#[derive(Debug)]
pub(crate) struct Stage {
    places: Places,
    amounts: Amounts,
    ours: Option<Server>,
    before: Option<Server>,
    unsynced: Option<Server>,
    echo: Option<Server>,
    kafka: Option<(Server, KafkaNode)>,
}

impl Stage {
    /// Nothing runs yet.
    pub(crate) fn new(places: Places, amounts: Amounts) -> Self {
        Self {
            places,
            amounts,
            ours: None,
            before: None,
            unsynced: None,
            echo: None,
            kafka: None,
        }
    }

    /// Our broker.
    pub(crate) async fn ours(&mut self) -> Result<&Server, BenchError> {
        if self.ours.is_none() {
            let data = self.places.work.join("shared");
            self.ours = Some(fresh(&self.places, &self.amounts, &data).await?);
        }
        started(&self.ours)
    }

    /// Our broker as it was, where an older program is measured beside it.
    pub(crate) async fn before(&mut self) -> Result<Option<&Server>, BenchError> {
        let Some(places) = self.places.before() else {
            return Ok(None);
        };
        if self.before.is_none() {
            let data = places.work.join("shared");
            self.before = Some(fresh(&places, &self.amounts, &data).await?);
        }
        started(&self.before).map(Some)
    }

    /// Our broker with its data in memory.
    pub(crate) async fn unsynced(&mut self) -> Result<&Server, BenchError> {
        if self.unsynced.is_none() {
            let data = self.places.memory.clone();
            self.unsynced = Some(fresh(&self.places, &self.amounts, &data).await?);
        }
        started(&self.unsynced)
    }

    /// The echo.
    pub(crate) async fn echo(&mut self) -> Result<&Server, BenchError> {
        if self.echo.is_none() {
            self.echo = Some(Server::echo().await?);
        }
        started(&self.echo)
    }

    /// Apache Kafka.
    pub(crate) async fn kafka(&mut self) -> Result<&Server, BenchError> {
        if self.kafka.is_none() {
            let node = KafkaNode::prepare(&self.places, SETTINGS).await?;
            let server = node.start().await?;
            cluster::make_ready(&server.address).await?;
            rows::warm(&server, &self.amounts).await?;
            self.kafka = Some((server, node));
        }
        match &self.kafka {
            Some((server, _)) => Ok(server),
            None => Err(BenchError::Server("it was just started".to_owned())),
        }
    }

    /// Ends them all.
    pub(crate) async fn clear(&mut self) -> Result<(), BenchError> {
        let servers = [
            self.ours.take(),
            self.before.take(),
            self.unsynced.take(),
            self.echo.take(),
        ];
        for server in servers.into_iter().flatten() {
            server.kill().await?;
        }
        if let Some((server, node)) = self.kafka.take() {
            server.kill().await?;
            drop(node);
        }
        for (_, places) in self.places.ours() {
            remove(&places.work.join("shared"))?;
        }
        remove(&self.places.memory)?;
        Ok(())
    }
}

fn started(server: &Option<Server>) -> Result<&Server, BenchError> {
    server
        .as_ref()
        .ok_or_else(|| BenchError::Server("it was just started".to_owned()))
}

/// Our broker on an empty directory, ready for load.
async fn fresh(places: &Places, amounts: &Amounts, data: &Path) -> Result<Server, BenchError> {
    remove(data)?;
    let server = Server::ours(places, data, SETTINGS).await?;
    cluster::make_ready(&server.address).await?;
    rows::warm(&server, amounts).await?;
    Ok(server)
}

/// Removes a folder that may not be there.
pub(crate) fn remove(folder: &Path) -> Result<(), BenchError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}
