//! What strangers can make the broker hold.

use std::time::Duration;

use callboard_protocol::ApiKey;
use callboard_protocol::messages::api_versions::ApiVersionsRequest;
use callboard_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use callboard_protocol::messages::heartbeat::HeartbeatRequest;

use super::tests::describe_broker;
use crate::budget::PRESSURE;
use crate::testing::{Bench, Wire};

/// Apache Kafka 4.2.0 allocates the announced length of every frame at once: a few hundred such connections took it from
/// 260 MB to 914 MB. Here a frame costs what has arrived of it.
/// Difference: `announced-frames`.
#[tokio::test]
async fn hundreds_of_announced_frames_cost_the_bytes_that_came() {
    const CONNECTIONS: usize = 300;
    let mut bench = Bench::start().await;
    let services = bench.services.clone();
    let whole = services.budget.free();
    let announced = u32::try_from(services.config.socket_request_max_bytes).unwrap();
    let mut hostile: Vec<Wire> = (0..CONNECTIONS).map(|_| bench.connect()).collect();
    for wire in &mut hostile {
        wire.send_raw(&announced.to_be_bytes()).await;
        wire.send_raw(&[0]).await;
    }
    while services.budget.free() > whole - 5 * CONNECTIONS {
        tokio::task::yield_now().await;
    }
    assert_eq!(services.budget.free(), whole - 5 * CONNECTIONS);
    let mut other = bench.connect();
    other.ask(&ApiVersionsRequest::default(), 0).await;
    drop(hostile);
    bench.stop().await;
}

/// Somebody has to give way, or connections that hold parts of requests would keep out all others: not who needs room,
/// but who has it and does nothing.
/// Difference: `pressed-connections`.
#[tokio::test]
async fn under_pressure_who_holds_most_and_moves_least_is_closed_and_the_others_go_on() {
    const ALL: usize = 1_000_000;
    let mut bench = Bench::start_with(|config| {
        config.queued_max_request_bytes = ALL;
        config.connection_max_request_bytes = ALL;
        config.socket_request_max_bytes = ALL;
        config.message_max_bytes = ALL / 2;
    })
    .await;
    let services = bench.services.clone();
    let mut holders = [bench.connect(), bench.connect()];
    for (holder, bytes) in holders.iter_mut().zip([ALL / 2, ALL / 3]) {
        holder
            .send_raw(&u32::try_from(ALL).unwrap().to_be_bytes())
            .await;
        holder.send_raw(&vec![0; bytes]).await;
    }
    while services.budget.free() > ALL / 5 {
        tokio::task::yield_now().await;
    }
    // There is still something for small ones.
    bench.connect().ask(&ApiVersionsRequest::default(), 0).await;
    let mut needs = bench.connect();
    needs
        .send_body(ApiKey::API_VERSIONS, 99, &vec![0; ALL / 2])
        .await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(PRESSURE - Duration::from_millis(10)).await;
    assert!(needs.is_silent() && holders[0].is_silent());
    tokio::time::advance(Duration::from_millis(10)).await;
    tokio::time::resume();
    assert_eq!(holders[0].frame().await, None);
    assert!(needs.frame().await.is_some());
    assert!(holders[1].is_silent());
    drop((holders, needs));
    bench.hung_up().await;
    assert_eq!(services.budget.free(), ALL);
    bench.stop().await;
}

/// It waits as long as it likes, and the broker does nothing for it meanwhile.
#[tokio::test]
async fn a_waiting_fetch_keeps_what_it_needs_and_gives_way_for_it() {
    const ALL: usize = 1_000_000;
    let mut bench = Bench::start_with(|config| {
        config.queued_max_request_bytes = ALL;
        config.connection_max_request_bytes = ALL;
        config.socket_request_max_bytes = ALL;
        config.message_max_bytes = ALL / 2;
    })
    .await;
    bench.create("a", 1).await;
    let services = bench.services.clone();
    let fetch = |partitions: i32, rack: usize| FetchRequest {
        max_wait_ms: 60_000,
        min_bytes: 1,
        max_bytes: 1_000,
        rack_id: "r".repeat(rack).into(),
        topics: vec![FetchTopic {
            topic: "a".into(),
            partitions: (0..partitions)
                .map(|partition| FetchPartition {
                    partition,
                    partition_max_bytes: 1_000,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut little = bench.connect();
    little.send(&fetch(1, 20_000), 11).await;
    let settled = async {
        while !(1..1_000).contains(&(ALL - services.budget.free())) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settled)
        .await
        .expect("it keeps its frame");
    assert!(little.is_silent());

    let mut much = bench.connect();
    much.send(&fetch(20_000, 0), 11).await;
    while services.budget.free() > ALL / 2 {
        tokio::task::yield_now().await;
    }
    let mut needs = bench.connect();
    needs
        .send_body(ApiKey::API_VERSIONS, 99, &vec![0; ALL / 2])
        .await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(much.is_silent() && needs.is_silent());
    tokio::time::pause();
    tokio::time::advance(PRESSURE).await;
    tokio::time::resume();
    assert_eq!(much.frame().await, None);
    assert!(needs.frame().await.is_some());
    assert!(little.is_silent());
    bench.stop().await;
}

/// Answers that nobody reads are no activity: they would be kept for ever.
/// Difference: `deaf-connections`.
#[tokio::test]
async fn who_does_not_read_its_answers_is_closed_as_idle() {
    const REQUESTS: usize = 20_000;
    let mut bench =
        Bench::start_with(|config| config.connections_max_idle = Duration::from_millis(200)).await;
    let services = bench.services.clone();
    let whole = services.budget.free();
    let mut deaf = bench.connect();
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255];
    deaf.send_raw(&request.repeat(REQUESTS)).await;
    // Requests are held while nothing more can be written, and given back when it is closed.
    while services.budget.free() == whole {
        tokio::task::yield_now().await;
    }
    while services.budget.free() < whole {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // What had been written it may still read; the end comes long before the last answer.
    let mut answers = 0;
    while deaf.frame().await.is_some() {
        answers += 1;
    }
    assert!(answers < REQUESTS, "{answers}");
    bench.stop().await;
    assert_eq!(services.budget.free(), whole);
}

/// It owes an answer and is owed a reader: neither keeps it.
#[tokio::test]
async fn who_is_to_close_and_does_not_read_is_closed_whatever_is_owed() {
    let mut bench =
        Bench::start_with(|config| config.connections_max_idle = Duration::from_millis(200)).await;
    let services = bench.services.clone();
    let whole = services.budget.free();
    let mut deaf = bench.connect();
    // More than the stream holds.
    deaf.send(&describe_broker(500), 4).await;
    deaf.send_body(ApiKey(999), 0, b"").await;
    deaf.send(&HeartbeatRequest::default(), 4).await;
    bench.hung_up().await;
    assert_eq!(services.budget.free(), whole);
    bench.stop().await;
}

/// Difference: `frame-timeout`.
#[tokio::test]
async fn a_request_that_does_not_go_on_closes_its_connection_and_no_other() {
    let mut bench =
        Bench::start_with(|config| config.frame_timeout = Duration::from_millis(100)).await;
    let mut begun = bench.connect();
    let mut idle = bench.connect();
    idle.ask(&ApiVersionsRequest::default(), 0).await;
    begun.send_raw(&[0, 0, 0, 10, 0]).await;
    assert_eq!(begun.frame().await, None);
    idle.ask(&ApiVersionsRequest::default(), 0).await;
    bench.stop().await;
}
