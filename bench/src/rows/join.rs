//! Rebalances of one group, each member on a connection of its own: all join again, one more joins, one leaves. The
//! group forms before, with a delay that is the same for every broker; its time is not measured, it is mostly delay.

use futures_util::future::{try_join, try_join_all};
use tokio::time::{Duration, Instant};

use super::{Amounts, BEFORE, KAFKA, OURS, figures, millis};
use crate::error::BenchError;
use crate::member::Member;
use crate::results::{Figures, Run};
use crate::server::Server;
use crate::stage::Stage;
use crate::usage::Process;

/// So often do all members join again; the middle one by its time counts.
const ROUNDS: usize = 3;

pub(super) async fn run(
    stage: &mut Stage,
    amounts: &Amounts,
    members: usize,
) -> Result<Run, BenchError> {
    let mut run = Run::new();
    run.insert(OURS.to_owned(), on(stage.ours().await?, members).await?);
    if let Some(before) = stage.before().await? {
        run.insert(BEFORE.to_owned(), on(before, members).await?);
    }
    if amounts.kafka {
        run.insert(KAFKA.to_owned(), on(stage.kafka().await?, members).await?);
    }
    Ok(run)
}

async fn on(server: &Server, count: usize) -> Result<Figures, BenchError> {
    let group = format!("join-{count}");
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(Member::new(&server.address, &group).await?);
    }
    all_join(&mut members, server.process).await?;

    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(all_join(&mut members, server.process).await?);
    }
    rounds.sort_by_key(|round| round.from_first);
    let all = &rounds[ROUNDS / 2];

    let more = one_more(server, &group, &mut members).await?;
    let leave = one_leaves(server, &mut members).await?;
    Member::all_leave(members).await?;
    Ok(figures([
        ("all_ms", millis(all.from_first)),
        ("last_ms", millis(all.from_last)),
        ("all_cpu_ms", millis(all.cpu)),
        ("more_ms", millis(more.0)),
        ("more_cpu_ms", millis(more.1)),
        ("leave_ms", millis(leave.0)),
        ("leave_cpu_ms", millis(leave.1)),
    ]))
}

struct Round {
    /// From the first JoinGroup sent until every member has its assignment.
    from_first: Duration,
    /// The same from the last JoinGroup sent.
    from_last: Duration,
    cpu: Duration,
}

async fn all_join(members: &mut [Member], process: Process) -> Result<Round, BenchError> {
    let mut frames = Vec::new();
    for member in members.iter_mut() {
        frames.push(member.join_frame()?);
    }
    let before = process.cpu()?;
    let first = Instant::now();
    for (member, frame) in members.iter_mut().zip(&frames) {
        member.send(frame).await?;
    }
    let last = Instant::now();
    try_join_all(members.iter_mut().map(Member::settle)).await?;
    let end = Instant::now();
    Ok(Round {
        from_first: end - first,
        from_last: end - last,
        cpu: process.cpu()?.since(before),
    })
}

/// Its join sent until all have their assignments; the members ask at once, where real ones would at their next
/// heartbeat.
async fn one_more(
    server: &Server,
    group: &str,
    members: &mut Vec<Member>,
) -> Result<(Duration, Duration), BenchError> {
    let mut new = Member::new(&server.address, group).await?;
    let frame = new.join_frame()?;
    let before = server.process.cpu()?;
    let began = Instant::now();
    new.send(&frame).await?;
    try_join(
        new.settle(),
        try_join_all(members.iter_mut().map(Member::follow)),
    )
    .await?;
    let took = began.elapsed();
    let cpu = server.process.cpu()?.since(before);
    members.push(new);
    Ok((took, cpu))
}

async fn one_leaves(
    server: &Server,
    members: &mut Vec<Member>,
) -> Result<(Duration, Duration), BenchError> {
    let Some(leaver) = members.pop() else {
        return Ok((Duration::ZERO, Duration::ZERO));
    };
    let before = server.process.cpu()?;
    let began = Instant::now();
    leaver.leave().await?;
    try_join_all(members.iter_mut().map(Member::follow)).await?;
    let took = began.elapsed();
    let cpu = server.process.cpu()?.since(before);
    Ok((took, cpu))
}
