//! A whole broker over real sockets: its start, its end, and what is there after the next start.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use callboard_broker::{Broker, BrokerConfig, BrokerError};
use callboard_protocol::header::{self, RequestHeader};
use callboard_protocol::messages::DeleteTopicsRequest;
use callboard_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use callboard_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use callboard_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use callboard_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use callboard_protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use callboard_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use callboard_protocol::messages::{ApiVersionsRequest, ListGroupsRequest, MetadataRequest};
use callboard_protocol::records::{BatchBuilder, BatchIter, Compression};
use callboard_protocol::{ErrorCode, Message, Request, frame};
use callboard_supervision::testing::Limit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn config(dir: &Path) -> BrokerConfig {
    let mut config = BrokerConfig::default();
    config.data_dir = dir.join("data");
    config.admin_listener = None;
    config.set("listeners", "127.0.0.1:0").unwrap();
    config
}

fn with_admin(dir: &Path) -> BrokerConfig {
    let mut config = config(dir);
    config
        .set("callboard.admin.listener", "127.0.0.1:0")
        .unwrap();
    config
}

/// A client's connection.
struct Client(TcpStream);

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Connects and waits until every group is loaded.
    async fn connect_ready(address: SocketAddr) -> Self {
        let mut client = Self::connect(address).await;
        let all = ListGroupsRequest::default();
        while client.ask(&all, 0, |_, answer| answer.error_code).await != 0 {}
        client
    }

    async fn send<R: Request<'static>>(&mut self, request: &R, version: i16) {
        let header = RequestHeader {
            api_key: R::KEY,
            api_version: version,
            correlation_id: 1,
            client_id: None,
        };
        let bytes = frame::encode_request(&header, request, version).unwrap();
        self.0.write_all(&bytes).await.unwrap();
    }

    /// The next frame; None when the broker closed.
    async fn frame(&mut self) -> Option<Bytes> {
        let length = self.0.read_u32().await.ok()?;
        let mut frame = vec![0; length as usize];
        self.0.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }

    async fn ask<R: Request<'static>, T>(
        &mut self,
        request: &R,
        version: i16,
        read: impl FnOnce(&Bytes, R::Response<'_>) -> T,
    ) -> T {
        self.send(request, version).await;
        let frame = self.frame().await.expect("the broker closed");
        let body = header::response_body(&frame, R::KEY, version).unwrap();
        read(&frame, R::Response::decode(body, version).unwrap())
    }

    async fn create(&mut self, name: &'static str, partitions: i32) {
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.into(),
                num_partitions: partitions,
                replication_factor: 1,
                ..Default::default()
            }],
            ..Default::default()
        };
        let code = self
            .ask(&request, 5, |_, answer| answer.topics[0].error_code)
            .await;
        assert_eq!(ErrorCode(code), ErrorCode::NONE);
    }

    /// Produces one record and tells its offset.
    async fn produce(&mut self, topic: &'static str, value: &'static str) -> i64 {
        let mut batch = BatchBuilder::new(0, Compression::None);
        batch.push(1_000, None, Some(value.as_bytes()), &[]);
        let request = ProduceRequest {
            acks: -1,
            topic_data: vec![TopicProduceData {
                name: topic.into(),
                partition_data: vec![PartitionProduceData {
                    records: Some(batch.build().unwrap().into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let read =
            |partition: &callboard_protocol::messages::produce::PartitionProduceResponse<'_>| {
                assert_eq!(ErrorCode(partition.error_code), ErrorCode::NONE);
                partition.base_offset
            };
        self.ask(&request, 9, |_, answer| {
            read(&answer.responses[0].partition_responses[0])
        })
        .await
    }

    /// Every value of partition 0.
    async fn values(&mut self, topic: &'static str) -> Vec<String> {
        let request = FetchRequest {
            topics: vec![FetchTopic {
                topic: topic.into(),
                partitions: vec![FetchPartition {
                    partition_max_bytes: 1_000_000,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let bytes = self.ask(&request, 12, |frame, answer| {
            let partition = &answer.responses[0].partitions[0];
            assert_eq!(ErrorCode(partition.error_code), ErrorCode::NONE);
            partition.records.as_ref().unwrap().to_bytes(frame)
        });
        let mut values = Vec::new();
        for batch in BatchIter::new(bytes.await) {
            let body = batch.unwrap();
            let body = body
                .body(callboard_protocol::records::DecompressLimit::new(1_000))
                .unwrap();
            for record in &body {
                values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
            }
        }
        values
    }

    async fn delete(&mut self, topic: &'static str) {
        let request = DeleteTopicsRequest {
            topic_names: vec![topic.into()],
            timeout_ms: 10_000,
            ..Default::default()
        };
        let code = self.ask(&request, 5, |_, answer| answer.responses[0].error_code);
        assert_eq!(ErrorCode(code.await), ErrorCode::NONE);
    }

    async fn commit(&mut self, group: &'static str, topic: &'static str, offset: i64) {
        let request = OffsetCommitRequest {
            group_id: group.into(),
            topics: vec![OffsetCommitRequestTopic {
                name: topic.into(),
                partitions: vec![OffsetCommitRequestPartition {
                    committed_offset: offset,
                    committed_metadata: Some("note".into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let code = self.ask(&request, 8, |_, answer| {
            answer.topics[0].partitions[0].error_code
        });
        assert_eq!(ErrorCode(code.await), ErrorCode::NONE);
    }

    async fn committed(&mut self, group: &'static str, topic: &'static str) -> i64 {
        let request = OffsetFetchRequest {
            group_id: group.into(),
            topics: Some(vec![OffsetFetchRequestTopic {
                name: topic.into(),
                partition_indexes: vec![0],
                ..Default::default()
            }]),
            ..Default::default()
        };
        self.ask(&request, 7, |_, answer| {
            answer.topics[0].partitions[0].committed_offset
        })
        .await
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut values = Vec::new();
    for round in 0..3_i64 {
        let broker = Broker::start(config(dir.path())).await.unwrap();
        let mut client = Client::connect_ready(broker.address()).await;
        if round == 0 {
            client.create("plays", 1).await;
        } else {
            assert_eq!(client.values("plays").await, values);
            assert_eq!(client.committed("company", "plays").await, round);
        }
        let value = ["hamlet", "faust", "cyrano"][usize::try_from(round).unwrap()];
        assert_eq!(client.produce("plays", value).await, round);
        values.push(value.to_owned());
        client.commit("company", "plays", round + 1).await;
        broker.shutdown().await.unwrap();
        assert_eq!(client.frame().await, None);
    }
}

#[tokio::test]
async fn committed_offsets_can_be_read_as_a_topic() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(config(dir.path())).await.unwrap();
    let mut client = Client::connect_ready(broker.address()).await;
    client.create("plays", 1).await;
    client.commit("test", "plays", 7).await;
    // "test" belongs to partition 48 of 50.
    let place = |timestamp| ListOffsetsRequest {
        topics: vec![ListOffsetsTopic {
            name: "__consumer_offsets".into(),
            partitions: vec![ListOffsetsPartition {
                partition_index: 48,
                timestamp,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut offsets = Vec::new();
    for timestamp in [-2, -1, 1] {
        let found = |_: &Bytes, answer: ListOffsetsResponse<'_>| {
            let partition = &answer.topics[0].partitions[0];
            (ErrorCode(partition.error_code), partition.offset)
        };
        let (code, offset) = client.ask(&place(timestamp), 7, found).await;
        assert_eq!(code, ErrorCode::NONE);
        offsets.push(offset);
    }
    assert!(
        offsets[0] == 0 && offsets[1] > 0 && offsets[2] == 0,
        "{offsets:?}"
    );
    let request = FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: "__consumer_offsets".into(),
            partitions: vec![FetchPartition {
                partition: 48,
                partition_max_bytes: 1_000_000,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let bytes = client.ask(&request, 12, |frame, answer| {
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(
            (ErrorCode(partition.error_code), partition.high_watermark),
            (ErrorCode::NONE, offsets[1])
        );
        partition.records.as_ref().unwrap().to_bytes(frame)
    });
    let mut keys = Vec::new();
    for batch in BatchIter::new(bytes.await) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in batch
            .records(callboard_protocol::records::DecompressLimit::new(1_000_000))
            .unwrap()
        {
            keys.push(record.unwrap().key.unwrap());
        }
    }
    let key = b"\0\x01\0\x04test\0\x05plays\0\0\0\0";
    assert!(keys.iter().any(|found| found[..] == key[..]), "{keys:?}");
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_keeps_a_broker_from_starting_is_one_sentence() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start(config(dir.path())).await.unwrap();
    let error = Broker::start(config(dir.path())).await.unwrap_err();
    let pid = std::process::id().to_string();
    assert!(
        matches!(error, BrokerError::Locked { .. }) && error.to_string().contains(&pid),
        "{error}"
    );

    let other = tempfile::tempdir().unwrap();
    let mut taken = config(other.path());
    taken
        .set("listeners", &broker.address().to_string())
        .unwrap();
    let error = Broker::start(taken).await.unwrap_err();
    assert!(matches!(error, BrokerError::Listen { .. }), "{error}");

    let mut wrong = config(other.path());
    wrong.group_min_session_timeout = Duration::from_secs(9_000);
    let error = Broker::start(wrong).await.unwrap_err();
    assert!(matches!(error, BrokerError::Config(_)), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_waits_does_not_hold_up_the_end() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.group_initial_rebalance_delay = Duration::from_secs(600);
    let broker = Broker::start(config).await.unwrap();
    let mut joining = Client::connect_ready(broker.address()).await;
    let join = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 600_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    joining.send(&join, 3).await;
    let mut fetching = Client::connect(broker.address()).await;
    fetching.create("t", 1).await;
    let fetch = FetchRequest {
        max_wait_ms: 600_000,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: "t".into(),
            partitions: vec![FetchPartition::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    fetching.send(&fetch, 12).await;
    // Both have been read when another connection has been served meanwhile.
    let mut idle = Client::connect(broker.address()).await;
    for _ in 0..20 {
        idle.ask(&ApiVersionsRequest::default(), 0, |_, answer| {
            assert_eq!(answer.error_code, 0)
        })
        .await;
    }
    tokio::time::timeout(Duration::from_secs(20), broker.shutdown())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(idle.frame().await, None);
}

#[tokio::test]
async fn many_connections_come_and_go() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.max_connections = 20;
    let broker = Broker::start(config).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(broker.address()).await;
        client
            .ask(
                &MetadataRequest {
                    topics: None,
                    ..Default::default()
                },
                9,
                |_, answer| {
                    assert_eq!(answer.brokers[0].port, i32::from(broker.address().port()));
                },
            )
            .await;
        open.push(client);
    }
    // One more is closed as it comes.
    assert_eq!(Client::connect(broker.address()).await.frame().await, None);
    drop(open);
    // Places are given back as the ends are seen.
    loop {
        let mut client = Client::connect(broker.address()).await;
        client.send(&ApiVersionsRequest::default(), 0).await;
        if client.frame().await.is_some() {
            break;
        }
    }
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.max_connections_per_ip = 2;
    let broker = Broker::start(config).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(broker.address()).await;
        client.send(&ApiVersionsRequest::default(), 0).await;
        assert!(client.frame().await.is_some());
        open.push(client);
    }
    assert_eq!(Client::connect(broker.address()).await.frame().await, None);
    drop(open);
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_address_may_have_a_bound_of_its_own() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let key = "max.connections.per.ip.overrides";
    config.set(key, "localhost:1,10.0.0.1").unwrap();
    let refused = Broker::start(config.clone()).await.unwrap_err().to_string();
    assert!(
        refused.contains(key) && refused.contains("10.0.0.1"),
        "{refused}"
    );
    config.set(key, "localhost:1").unwrap();
    let broker = Broker::start(config).await.unwrap();
    let mut client = Client::connect(broker.address()).await;
    client.send(&ApiVersionsRequest::default(), 0).await;
    assert!(client.frame().await.is_some());
    assert_eq!(Client::connect(broker.address()).await.frame().await, None);
    drop(client);
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_admin_port_has_so_many_connections_and_they_are_not_the_brokers() {
    use tokio::io::AsyncReadExt;

    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = with_admin(dir.path());
    config.set("callboard.admin.max.connections", "2").unwrap();
    config.max_connections = 1;
    let broker = Broker::start(config).await.unwrap();
    let admin = broker.admin_address().unwrap();
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(tokio::net::TcpStream::connect(admin).await.unwrap());
    }
    // Newcomers have the places of the silent, long before their time is over.
    assert!(get(admin, "/healthz").await.ends_with("ok\n"));
    for closed in &mut silent[..3] {
        assert!(!matches!(closed.read(&mut [0]).await, Ok(1..)));
    }
    let mut client = Client::connect(broker.address()).await;
    client.send(&ApiVersionsRequest::default(), 0).await;
    assert!(client.frame().await.is_some());
    drop((silent, client));
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_gets_no_answer_from_the_admin_port_loses_its_place() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = with_admin(dir.path());
    config
        .set("callboard.admin.idle.timeout.ms", "300")
        .unwrap();
    let broker = Broker::start(config).await.unwrap();
    let admin = broker.admin_address().unwrap();
    let connect = || tokio::net::TcpStream::connect(admin);
    let mut silent = connect().await.unwrap();
    let mut kept_alive = connect().await.unwrap();
    let asked = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    kept_alive.write_all(asked).await.unwrap();
    let (mut drip_reader, mut drip) = connect().await.unwrap().into_split();
    let dripping = tokio::spawn(async move {
        drip.write_all(b"GET /healthz HTTP/1.1\r\n").await?;
        loop {
            drip.write_all(b"a: b\r\n").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        #[expect(unreachable_code, reason = "names the type of the error")]
        std::io::Result::Ok(())
    });
    // Each of these ends, or the test's time does.
    let _ = silent.read_to_end(&mut Vec::new()).await;
    let mut answer = Vec::new();
    let _ = kept_alive.read_to_end(&mut answer).await;
    assert!(answer.ends_with(b"ok\n"));
    let _ = drip_reader.read_to_end(&mut Vec::new()).await;
    assert!(dripping.await.unwrap().is_err());
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_admin_port_tells_how_the_broker_is() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let config = with_admin(dir.path());
    let recorder = callboard_broker::metrics::install(&[]).unwrap();
    let upkeep = tokio::spawn(recorder.clone().upkeep());
    let broker = Broker::start_recorded(config, recorder).await.unwrap();
    let mut client = Client::connect(broker.address()).await;
    client
        .ask(&ApiVersionsRequest::default(), 0, |_, answer| {
            assert_eq!(answer.error_code, 0)
        })
        .await;
    let admin = broker.admin_address().unwrap();
    let metrics = get(admin, "/metrics").await;
    for expected in [
        "# HELP callboard_build_info",
        "callboard_build_info{",
        "callboard_broker_requests_total{api=\"ApiVersions\"}",
        "callboard_broker_connections ",
        "callboard_actor_instances{actor=\"listener\"}",
    ] {
        assert!(
            metrics.contains(expected),
            "{expected} is not in\n{metrics}"
        );
    }
    assert!(get(admin, "/healthz").await.ends_with("ok\n"));
    assert!(get(admin, "/readyz").await.ends_with("ready\n"));
    upkeep.abort();
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_series_of_a_topic_go_with_it_and_begin_anew() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = with_admin(dir.path());
    config.set("callboard.metrics.max.series", "8").unwrap();
    // No recorder is needed for them.
    let broker = Broker::start(config).await.unwrap();
    let admin = broker.admin_address().unwrap();
    let mut client = Client::connect(broker.address()).await;
    let series = |page: &str, topic: &str| {
        let label = format!("{{topic=\"{topic}\"}}");
        let lines = page.lines().filter(|line| line.contains(&label));
        let names = lines.map(|line| line.replace(&label, ""));
        names.collect::<Vec<_>>()
    };

    client.create("t", 1).await;
    client.produce("t", "x").await;
    let page = get(admin, "/metrics").await;
    let of_t = series(&page, "t");
    assert_eq!(of_t.len(), 4, "{page}");
    assert!(of_t.contains(&"callboard_broker_appended_records_total 1".to_owned()));
    let counts = broker.topic_counts();
    assert!(counts[0].appended_bytes > 0 && counts[0].size_bytes == counts[0].appended_bytes);

    client.delete("t").await;
    assert!(series(&get(admin, "/metrics").await, "t").is_empty());
    client.create("t", 1).await;
    let page = get(admin, "/metrics").await;
    assert!(
        series(&page, "t").iter().all(|line| line.ends_with(" 0")),
        "{page}"
    );

    // Two topics are eight series: of more the quietest are left out.
    for name in ["u", "v"] {
        client.create(name, 1).await;
        client.produce(name, "x").await;
    }
    let page = get(admin, "/metrics").await;
    assert!(series(&page, "t").is_empty());
    assert_eq!(series(&page, "u").len() + series(&page, "v").len(), 8);
    broker.shutdown().await.unwrap();
}

/// Difference: `advertised-address`.
#[tokio::test]
async fn clients_are_told_the_address_they_connected_to() {
    let _limit = Limit::start();
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.set("listeners", ":0").unwrap();
    let broker = Broker::start(config).await.unwrap();
    let port = broker.address().port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut client = Client::connect(address).await;
    let all = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    let told = client.ask(&all, 9, |_, answer| {
        (answer.brokers[0].host.to_string(), answer.brokers[0].port)
    });
    assert_eq!(told.await, ("127.0.0.1".to_owned(), i32::from(port)));
    broker.shutdown().await.unwrap();
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
