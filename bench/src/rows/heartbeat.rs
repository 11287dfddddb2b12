//! Heartbeats: each connection is the member of a group of its own, so that groups spread over all coordinators.

use callboard_protocol::messages::heartbeat::HeartbeatRequest;
use futures_util::future::try_join_all;

use super::{Amounts, BEFORE, ECHO, KAFKA, OURS};
use crate::error::{BenchError, accepted};
use crate::load::{self, Lane, Load, Vary};
use crate::member::{Absent, HEARTBEAT, Member};
use crate::results::{Figures, Run};
use crate::server::Server;
use crate::stage::Stage;
use crate::wire::{Wire, encode, with_length};

pub(super) async fn run(
    stage: &mut Stage,
    amounts: &Amounts,
    connections: usize,
    in_flight: usize,
) -> Result<Run, BenchError> {
    let mut run = Run::new();
    let load = amounts.load(in_flight);
    run.insert(
        OURS.to_owned(),
        on(stage.ours().await?, connections, load).await?,
    );
    if let Some(before) = stage.before().await? {
        run.insert(BEFORE.to_owned(), on(before, connections, load).await?);
    }
    if amounts.kafka {
        run.insert(
            KAFKA.to_owned(),
            on(stage.kafka().await?, connections, load).await?,
        );
    }
    let echo = stage.echo().await?;
    let mut lanes = Vec::new();
    for _ in 0..connections {
        // As long as a member's.
        let request = HeartbeatRequest {
            group_id: "heartbeat-0000".into(),
            generation_id: 1,
            member_id: "bench-00000000-0000-0000-0000-000000000000".into(),
            ..HeartbeatRequest::default()
        };
        lanes.push(lane(Wire::connect(&echo.address).await?, request).await?);
    }
    let (figures, _) = load::measure(lanes, load, echo.process).await?;
    run.insert(ECHO.to_owned(), figures);
    Ok(run)
}

pub(super) async fn on(
    server: &Server,
    connections: usize,
    load: Load,
) -> Result<Figures, BenchError> {
    let address = &server.address;
    let mut members = Vec::new();
    for number in 0..connections {
        members.push(Member::new(address, &format!("heartbeat-{number:04}")).await?);
    }
    for member in &mut members {
        let frame = member.join_frame()?;
        member.send(&frame).await?;
    }
    try_join_all(members.iter_mut().map(Member::settle)).await?;
    let mut lanes = Vec::new();
    let mut absent: Vec<Absent> = Vec::new();
    for member in members {
        let heartbeat = member.heartbeat();
        let (wire, rest) = member.into_parts();
        absent.push(rest);
        lanes.push(lane(wire, heartbeat).await?);
    }
    let (figures, lanes) = load::measure(lanes, load, server.process).await?;
    // Any connection will do.
    let mut wires = lanes.into_iter().map(|lane| Wire::from_stream(lane.stream));
    if let Some(mut wire) = wires.next() {
        for member in absent {
            member.leave(&mut wire).await?;
        }
    }
    Ok(figures)
}

/// A connection whose first heartbeat was answered well.
async fn lane(mut wire: Wire, request: HeartbeatRequest<'static>) -> Result<Lane, BenchError> {
    let answer = wire.call(&request, HEARTBEAT).await?;
    accepted("Heartbeat", answer.read()?.error_code)?;
    Ok(Lane {
        request: encode(&request, HEARTBEAT)?,
        expected: with_length(&answer.frame),
        stream: wire.into_stream(),
        vary: Vary::Nothing,
        most: u64::MAX,
    })
}
