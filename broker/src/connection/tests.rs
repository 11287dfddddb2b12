//! Connections over in-memory streams: order, limits, and what strangers send.

use std::time::Duration;

use callboard_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use callboard_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use callboard_protocol::messages::find_coordinator::FindCoordinatorRequest;
use callboard_protocol::messages::heartbeat::HeartbeatRequest;
use callboard_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use callboard_protocol::{ApiKey, ErrorCode, Message, header};

use crate::handlers::APIS;
use crate::testing::Bench;

fn join(group: &str) -> JoinGroupRequest<'static> {
    JoinGroupRequest {
        group_id: group.to_owned().into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: b"x"[..].into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Asks for this broker's settings so many times.
pub(super) fn describe_broker(times: usize) -> DescribeConfigsRequest<'static> {
    let broker = DescribeConfigsResource {
        resource_type: 4,
        resource_name: "1".into(),
        ..Default::default()
    };
    DescribeConfigsRequest {
        resources: vec![broker; times],
        include_documentation: true,
        ..Default::default()
    }
}

#[tokio::test]
async fn answers_keep_the_order_of_the_requests_behind_a_parked_join() {
    let mut bench = Bench::start_with(|config| {
        config.group_initial_rebalance_delay = Duration::from_millis(200);
    })
    .await;
    let mut wire = bench.connect();
    wire.send(&join("g"), 3).await;
    let beat = HeartbeatRequest {
        group_id: "g".into(),
        generation_id: 1,
        member_id: "nobody".into(),
        ..Default::default()
    };
    wire.send(&beat, 3).await;
    let joined = wire.answer::<JoinGroupRequest<'static>>(3).await.unwrap();
    assert_eq!(joined.read().error_code, 0);
    // It ran behind the join: before, the group had no generation and no members, and the answer would be the same; but
    // it could not have come after.
    let beat = wire.answer::<HeartbeatRequest<'static>>(3).await.unwrap();
    assert_eq!(
        ErrorCode(beat.read().error_code),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    bench.stop().await;
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_a_request_all_the_same() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    let frame = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 9, 255, 255];
    for byte in frame {
        wire.send_raw(&[byte]).await;
        tokio::task::yield_now().await;
    }
    let answer = wire.frame().await.unwrap();
    assert_eq!(answer[..4], [0, 0, 0, 9]);
    bench.stop().await;
}

#[tokio::test]
async fn what_is_no_request_closes_the_connection_behind_the_answers_before_it() {
    let mut bench = Bench::start().await;
    for (what, bytes) in [
        ("a frame that is too large", vec![0x7f, 0xff, 0xff, 0xff]),
        ("a frame of negative length", vec![0xff; 4]),
        ("a frame without a header", vec![0, 0, 0, 2, 0, 18]),
        ("an empty frame", vec![0; 4]),
        ("an unknown api", frame_of(9_999, 0, b"")),
        ("an api that is not served", frame_of(4, 0, &[0; 40])),
        (
            "a version that is too new",
            frame_of(ApiKey::JOIN_GROUP.0, 10, &[0; 40]),
        ),
        (
            "a version that is too old",
            frame_of(ApiKey::OFFSET_COMMIT.0, 1, &[0; 40]),
        ),
        (
            "a negative version",
            frame_of(ApiKey::METADATA.0, -1, &[0; 40]),
        ),
        (
            "a body that is cut",
            frame_of(ApiKey::HEARTBEAT.0, 0, &[0, 5, b'g']),
        ),
        (
            "a body with an absurd count",
            frame_of(
                ApiKey::JOIN_GROUP.0,
                0,
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
            ),
        ),
    ] {
        let mut wire = bench.connect();
        wire.send_raw(&[frame_of(ApiKey::API_VERSIONS.0, 0, b""), bytes].concat())
            .await;
        assert!(wire.frame().await.is_some(), "{what}: the answer before it");
        assert_eq!(wire.frame().await, None, "{what}");
    }
    // And the broker goes on.
    let mut wire = bench.connect();
    wire.ask(&ApiVersionsRequest::default(), 0).await;
    bench.stop().await;
}

fn frame_of(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(77_i32.to_be_bytes());
    frame.extend((-1_i16).to_be_bytes());
    frame.extend(body);
    let length = u32::try_from(frame.len()).unwrap();
    [&length.to_be_bytes()[..], &frame].concat()
}

/// Every API in every version: bodies of noise get an answer or a closed connection, and nothing panics.
#[tokio::test]
async fn noise_for_every_api_and_version_never_panics() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut bench = Bench::start().await;
    for api in APIS {
        for version in api.min..=api.max {
            for _ in 0..8 {
                let mut body = vec![0; random.random_range(0..120)];
                random.fill(&mut body[..]);
                // Small numbers make it further into a body than noise does.
                if random.random() {
                    body.iter_mut().for_each(|byte| *byte %= 4);
                }
                let mut wire = bench.connect();
                wire.send_body(api.key, version, &body).await;
                wire.send_raw(&[0, 0, 0, 0]).await;
                // An empty frame ends the connection at the latest, unless a join waits before it.
                if !matches!(
                    api.key,
                    ApiKey::JOIN_GROUP | ApiKey::SYNC_GROUP | ApiKey::FETCH
                ) {
                    while wire.frame().await.is_some() {}
                }
            }
        }
    }
    bench.stop().await;
}

#[tokio::test]
async fn api_versions_answers_every_version_and_falls_back_for_others() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    let named = ApiVersionsRequest {
        client_software_name: "tester".into(),
        client_software_version: "1.0".into(),
        ..Default::default()
    };
    for version in 0..=4 {
        let answer = wire.ask(&named, version).await;
        let read = answer.read();
        assert_eq!((read.error_code, read.api_keys.len()), (0, APIS.len()));
        let produce = read.api_keys.iter().find(|api| api.api_key == 0).unwrap();
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
    }
    wire.send_body(ApiKey::API_VERSIONS, 99, b"\0\0\0").await;
    let frame = wire.frame().await.unwrap();
    let body = header::response_body(&frame, ApiKey::API_VERSIONS, 0).unwrap();
    let answer = ApiVersionsResponse::decode(body, 0).unwrap();
    assert_eq!(ErrorCode(answer.error_code), ErrorCode::UNSUPPORTED_VERSION);
    let ranges: Vec<_> = answer
        .api_keys
        .iter()
        .map(|api| (api.api_key, api.min_version, api.max_version))
        .collect();
    assert_eq!(ranges, [(18, 0, 4)]);
    // The connection lives on; a nameless client is refused and may try again.
    let answer = wire.ask(&ApiVersionsRequest::default(), 3).await;
    assert_eq!(
        ErrorCode(answer.read().error_code),
        ErrorCode::INVALID_REQUEST
    );
    bench.stop().await;
}

#[tokio::test]
async fn the_coordinator_is_the_address_the_client_came_to() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    for version in 0..=6 {
        let asked = FindCoordinatorRequest {
            key: if version < 4 { "g".into() } else { "".into() },
            coordinator_keys: if version < 4 {
                Vec::new()
            } else {
                vec!["g".into(), "g".into()]
            },
            ..Default::default()
        };
        let answer = wire.ask(&asked, version).await;
        let read = answer.read();
        if version < 4 {
            assert_eq!(
                (read.error_code, read.node_id, &*read.host, read.port),
                (0, 1, "127.0.0.1", 9092)
            );
        } else {
            assert_eq!(read.coordinators.len(), 2);
            assert!(
                read.coordinators
                    .iter()
                    .all(|found| found.error_code == 0 && found.port == 9092)
            );
        }
    }
    bench.stop().await;
}

#[tokio::test]
async fn requests_give_their_bytes_back() {
    let mut bench = Bench::start().await;
    let whole = bench.services.budget.free();
    let mut wire = bench.connect();
    for _ in 0..200 {
        wire.send(&ApiVersionsRequest::default(), 0).await;
    }
    for _ in 0..200 {
        assert!(wire.frame().await.is_some());
    }
    wire.send_raw(&[0, 0, 0, 9, 1]).await;
    drop(wire);
    let services = bench.services.clone();
    bench.stop().await;
    assert_eq!(services.budget.free(), whole);
}

#[tokio::test]
async fn who_finds_no_room_for_a_request_waits_until_others_give_theirs_back() {
    const ALL: usize = 100_000;
    let mut bench = Bench::start_with(|config| {
        config.queued_max_request_bytes = ALL;
        config.connection_max_request_bytes = ALL;
        config.socket_request_max_bytes = ALL;
        config.message_max_bytes = ALL / 2;
    })
    .await;
    let services = bench.services.clone();
    // Most of a request, and no more of it.
    let mut greedy = bench.connect();
    let length = u32::try_from(ALL).unwrap().to_be_bytes();
    greedy.send_raw(&length).await;
    greedy.send_raw(&vec![0; ALL * 8 / 10]).await;
    while services.budget.free() > ALL / 4 {
        tokio::task::yield_now().await;
    }
    let mut other = bench.connect();
    let body = vec![0; ALL / 2];
    // A version that nobody serves: its body is not read.
    other.send_body(ApiKey::API_VERSIONS, 99, &body).await;
    assert!(other.is_silent());
    drop(greedy);
    assert!(other.frame().await.is_some());
    bench.stop().await;
    assert_eq!(services.budget.free(), ALL);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let mut bench =
        Bench::start_with(|config| config.connections_max_idle = Duration::from_millis(100)).await;
    let mut wire = bench.connect();
    wire.ask(&ApiVersionsRequest::default(), 0).await;
    assert_eq!(wire.frame().await, None);
    bench.stop().await;
}
