//! A start on an empty directory, up to the first answer to Metadata.

use tokio::time::Instant;

use super::{Amounts, KAFKA, figures, millis};
use crate::error::BenchError;
use crate::results::Run;
use crate::server::{KafkaNode, Places, Server, serves};
use crate::stage::remove;

pub(super) async fn run(places: &Places, amounts: &Amounts) -> Result<Run, BenchError> {
    let mut run = Run::new();
    for (who, places) in places.ours() {
        let data = places.work.join("start");
        remove(&data)?;
        let began = Instant::now();
        let server = Server::ours(&places, &data, &[]).await?;
        if !serves(&server.address).await {
            return Err(BenchError::Server(
                "it was ready and did not serve".to_owned(),
            ));
        }
        let took = began.elapsed();
        server.kill().await?;
        remove(&data)?;
        run.insert(who.to_owned(), figures([("start_ms", millis(took))]));
    }
    if amounts.kafka {
        let node = KafkaNode::prepare(places, &[]).await?;
        let began = Instant::now();
        let server = node.start().await?;
        let took = began.elapsed();
        server.kill().await?;
        run.insert(KAFKA.to_owned(), figures([("start_ms", millis(took))]));
    }
    Ok(run)
}
