//! What strangers can make the broker hold.

use std::time::Duration;

use callboard_protocol::ApiKey;
use callboard_protocol::messages::api_versions::ApiVersionsRequest;
use callboard_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use callboard_protocol::messages::heartbeat::HeartbeatRequest;

use super::STARVE;
use crate::testing::{Bench, Wire};

/// Apache Kafka 4.2.0 allocates the announced length of every frame at once: a few hundred such connections took it from
/// 260 MB to 914 MB. Here a frame costs what has arrived of it.
#[tokio::test]
async fn hundreds_of_announced_frames_cost_the_bytes_that_came() {
    const CONNECTIONS: usize = 300;
    let mut bench = Bench::start().await;
    let shared = bench.shared.clone();
    let whole = shared.budget.free();
    let announced = u32::try_from(shared.config.socket_request_max_bytes).unwrap();
    let mut hostile: Vec<Wire> = (0..CONNECTIONS).map(|_| bench.connect()).collect();
    for wire in &mut hostile {
        wire.send_raw(&announced.to_be_bytes()).await;
        wire.send_raw(&[0]).await;
    }
    while shared.budget.free() > whole - 5 * CONNECTIONS {
        tokio::task::yield_now().await;
    }
    assert_eq!(shared.budget.free(), whole - 5 * CONNECTIONS);
    let mut other = bench.connect();
    other.ask(&ApiVersionsRequest::default(), 0).await;
    drop(hostile);
    bench.stop().await;
}

/// Somebody has to give way, or connections that hold parts of requests would wait for each other for ever.
#[tokio::test]
async fn who_finds_no_room_for_too_long_is_closed_and_the_others_go_on() {
    const ALL: usize = 100_000;
    let mut bench = Bench::start_with(|config| {
        config.queued_max_request_bytes = ALL;
        config.connection_max_request_bytes = ALL;
        config.socket_request_max_bytes = ALL;
        config.message_max_bytes = ALL / 2;
    })
    .await;
    let shared = bench.shared.clone();
    // Most of a request, and no more of it.
    let mut first = bench.connect();
    let body = vec![0; ALL * 8 / 10];
    let frame = [&[0, 18, 0, 99, 0, 0, 0, 7, 255, 255][..], &body].concat();
    let length = u32::try_from(frame.len()).unwrap().to_be_bytes();
    first.send_raw(&length).await;
    first.send_raw(&frame[..frame.len() - 1]).await;
    while shared.budget.free() > ALL / 4 {
        tokio::task::yield_now().await;
    }
    let mut starved = bench.connect();
    starved
        .send_body(ApiKey::API_VERSIONS, 99, &vec![0; ALL / 2])
        .await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(STARVE - Duration::from_millis(10)).await;
    assert!(starved.is_silent());
    tokio::time::advance(Duration::from_millis(10)).await;
    tokio::time::resume();
    assert_eq!(starved.frame().await, None);
    // Its own bytes went with it, and the other's request is served when it is whole.
    first.send_raw(&frame[frame.len() - 1..]).await;
    assert!(first.frame().await.is_some());
    drop(first);
    bench.stop().await;
    assert_eq!(shared.budget.free(), ALL);
}

/// Answers that nobody reads are no activity: they would be kept for ever.
#[tokio::test]
async fn who_does_not_read_its_answers_is_closed_as_idle() {
    const REQUESTS: usize = 20_000;
    let mut bench =
        Bench::start_with(|config| config.connections_max_idle = Duration::from_millis(200)).await;
    let shared = bench.shared.clone();
    let whole = shared.budget.free();
    let mut deaf = bench.connect();
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 255, 255];
    deaf.send_raw(&request.repeat(REQUESTS)).await;
    // Requests are held while nothing more can be written, and given back when it is closed.
    while shared.budget.free() == whole {
        tokio::task::yield_now().await;
    }
    while shared.budget.free() < whole {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // What had been written it may still read; the end comes long before the last answer.
    let mut answers = 0;
    while deaf.frame().await.is_some() {
        answers += 1;
    }
    assert!(answers < REQUESTS, "{answers}");
    bench.stop().await;
    assert_eq!(shared.budget.free(), whole);
}

/// It owes an answer and is owed a reader: neither keeps it.
#[tokio::test]
async fn who_is_to_close_and_does_not_read_is_closed_whatever_is_owed() {
    let mut bench =
        Bench::start_with(|config| config.connections_max_idle = Duration::from_millis(200)).await;
    let shared = bench.shared.clone();
    let whole = shared.budget.free();
    let mut deaf = bench.connect();
    let broker = DescribeConfigsResource {
        resource_type: 4,
        resource_name: "1".into(),
        ..Default::default()
    };
    // More than the stream holds.
    let large = DescribeConfigsRequest {
        resources: vec![broker; 500],
        include_documentation: true,
        ..Default::default()
    };
    deaf.send(&large, 4).await;
    deaf.send_body(ApiKey(999), 0, b"").await;
    deaf.send(&HeartbeatRequest::default(), 4).await;
    let closed = async {
        while shared.budget.free() < whole {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), async {
        while shared.budget.free() == whole {
            tokio::task::yield_now().await;
        }
        closed.await;
    })
    .await
    .expect("it stays for ever");
    bench.stop().await;
}

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
