//! The group coordinator without the broker, for a broker of one's own: its log in memory, one topic, and for a wire
//! nothing but a channel per answer. `cargo run -p callboard-examples --bin coordinator`

use std::sync::Arc;
use std::time::Duration;

use callboard_coordinator::request::{self as ask, CommitPartition, CommitTopic, TopicRef};
use callboard_coordinator::{Call, CoordinatorConfig, Coordinators, Reply, TopicLookup};
use callboard_offsets::memory::MemoryLog;
use callboard_supervision::{Supervisor, SupervisorMsg};
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(10);

/// What the broker around it knows: `orders` has three partitions.
struct Topics;
impl TopicLookup for Topics {
    fn partitions(&self, name: &str) -> Option<i32> {
        (name == "orders").then_some(3)
    }
}

/// The transport: a call goes in, its answer comes out of a channel.
async fn send<Q, A: Send + 'static>(
    to: &Coordinators,
    call: fn(Q, Reply<A>) -> Call,
    request: Q,
) -> Result<A, oneshot::error::RecvError> {
    let (answer, wait) = oneshot::channel();
    let reply = Reply::new(move |given| drop(answer.send(given)));
    to.submit(vec![call(request, reply)]);
    wait.await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = CoordinatorConfig {
        group_initial_rebalance_delay: Duration::ZERO,
        ..Default::default()
    };
    // The journal in its place (`callboard_offsets::journal`) keeps it on disk.
    let log = Arc::new(MemoryLog::new(config.offsets_topic_num_partitions));
    let groups = Coordinators::new(config, log, Arc::new(Topics));
    let (root, _ended) = Supervisor::spawn("app").await?;
    let start = |reply| SupervisorMsg::Start(groups.child(), reply);
    root.call(start, PATIENCE).await??;
    while !groups.ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    // Protocols and plans mean nothing to a coordinator: members agree on them.
    let (name, metadata) = ("range".into(), "anything".into());
    let join = ask::JoinGroup {
        group_id: "tills".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![ask::JoinProtocol { name, metadata }],
        ..Default::default()
    };
    let joined = send(&groups, Call::JoinGroup, join).await?;
    let (generation_id, member_id) = (joined.generation_id, joined.member_id.to_string());
    println!("joined: {}, {generation_id}", joined.error.name());
    let sync = ask::SyncGroup {
        group_id: "tills".into(),
        generation_id,
        member_id: member_id.clone(),
        assignments: vec![ask::SyncAssignment {
            member_id: member_id.clone(),
            assignment: "all three".into(),
        }],
        ..Default::default()
    };
    let synced = send(&groups, Call::SyncGroup, sync).await?;
    println!("synced: {}, {:?}", synced.error.name(), synced.assignment);
    let topic = TopicRef::Name("orders".into());
    let partitions = vec![CommitPartition::new(2, 42)];
    let commit = ask::OffsetCommit {
        group_id: "tills".into(),
        generation_id,
        member_id,
        topics: vec![CommitTopic { topic, partitions }],
        ..Default::default()
    };
    let committed = send(&groups, Call::OffsetCommit, commit).await?;
    let (partition, error) = committed.topics[0].partitions[0];
    println!("committed: {}, orders-{partition}", error.name());

    let fetch = ask::OffsetFetch {
        groups: vec![ask::FetchGroup::all_of("tills")],
        ..Default::default()
    };
    let fetched = send(&groups, Call::OffsetFetch, fetch).await?;
    let found = &fetched.groups[0].topics[0].partitions[0];
    println!("fetched: {}", found.committed_offset);
    root.call(|reply| SupervisorMsg::Shutdown(PATIENCE, reply), PATIENCE)
        .await?;
    Ok(())
}
