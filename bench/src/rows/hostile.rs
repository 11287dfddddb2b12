//! Memory under connections that announce frames of 100 MB and bring a kilobyte.

use callboard_protocol::messages::produce::ProduceRequest;
use tokio::time::{Duration, Instant, sleep};

use super::{Amounts, KAFKA, figures};
use crate::cluster;
use crate::error::BenchError;
use crate::results::{Figures, Run};
use crate::server::{KafkaNode, Places, Server, serves};
use crate::stage::remove;
use crate::wire::{Wire, encode};

/// Below what either broker takes at most.
const ANNOUNCED_BYTES: u32 = 100_000_000;
/// What comes of it.
const BROUGHT_BYTES: usize = 1_000;
/// How long memory is watched.
const WATCHED: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

pub(super) async fn run(places: &Places, amounts: &Amounts) -> Result<Run, BenchError> {
    let mut run = Run::new();
    for (who, places) in places.ours() {
        let data = places.work.join("hostile");
        remove(&data)?;
        let server = Server::ours(&places, &data, &[]).await?;
        cluster::make_ready(&server.address).await?;
        run.insert(who.to_owned(), on(&server, amounts.hostile).await?);
        server.kill().await?;
        remove(&data)?;
    }
    if amounts.kafka {
        let node = KafkaNode::prepare(places, &[]).await?;
        let server = node.start().await?;
        cluster::make_ready(&server.address).await?;
        run.insert(KAFKA.to_owned(), on(&server, amounts.hostile).await?);
        server.kill().await?;
    }
    Ok(run)
}

async fn on(server: &Server, connections: usize) -> Result<Figures, BenchError> {
    let mut frame = encode(&ProduceRequest::default(), 8)?.to_vec();
    frame[..4].copy_from_slice(&ANNOUNCED_BYTES.to_be_bytes());
    frame.resize(BROUGHT_BYTES, 0);
    let before = server.process.resident_mb()?;
    let mut peak = before;
    let mut held = Vec::new();
    for _ in 0..connections {
        // A broker that has had enough may refuse them; the memory is what counts.
        let Ok(mut wire) = Wire::connect(&server.address).await else {
            continue;
        };
        if wire.send(&frame).await.is_ok() {
            held.push(wire);
        }
    }
    let until = Instant::now() + WATCHED;
    while Instant::now() < until {
        // A broker that died of it has no memory any more.
        peak = peak.max(server.process.resident_mb().unwrap_or(peak));
        sleep(POLL).await;
    }
    let serves = serves(&server.address).await;
    Ok(figures([
        ("before_mb", before),
        ("peak_mb", peak),
        ("grown_mb", peak - before),
        ("serves", f64::from(u8::from(serves))),
    ]))
}
