//! Rules that neither the coordinator nor a handler shows alone: with the real client, and over plain frames.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::BTreeMap;
use std::sync::Arc;

use callboard_broker::testing::TestBroker;
use callboard_client::transport::Stream;
use callboard_client::{Client, ClientConfig, NewTopic};
use callboard_consumer::{
    ConsumerGroup, ConsumerHandle, Event, Events, PartitionContext, Record, ShutdownOptions,
};
use callboard_protocol::messages::CreatePartitionsRequest;
use callboard_protocol::messages::api_versions::ApiVersionsRequest;
use callboard_protocol::messages::create_partitions::CreatePartitionsTopic;
use callboard_protocol::messages::find_coordinator::FindCoordinatorRequest;
use callboard_protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use callboard_protocol::{ErrorCode, Message, Request, frame, header};
use callboard_supervision::testing::Limit;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

async fn client(broker: &TestBroker) -> Client {
    let mut config = ClientConfig::bootstrap(&broker.bootstrap()).unwrap();
    config.set("auto.offset.reset", "earliest").unwrap();
    let wires = broker.wires().unwrap();
    let connect = move |_: &str, _: u16| Ok(Box::new(wires.connect()?) as Box<dyn Stream>);
    Client::connect_with(config, Arc::new(connect))
        .await
        .unwrap()
}

struct Member {
    consumer: ConsumerHandle,
    events: Events,
}

impl Member {
    async fn start(client: &Client) -> Self {
        let group = ConsumerGroup::builder(client)
            .group_id("tills")
            .topics(["orders"])
            .handle(|_: Record, _: PartitionContext| async { Ok::<_, std::io::Error>(()) });
        let consumer = group.start().await.unwrap();
        Self {
            events: consumer.events(),
            consumer,
        }
    }

    /// Waits until it is assigned so many partitions; its generation.
    async fn owns(&mut self, count: usize) -> i32 {
        loop {
            let event = self.events.recv().await.unwrap();
            if let Event::Assigned {
                generation, owned, ..
            } = event
                && owned.len() == count
            {
                return generation;
            }
        }
    }
}

/// The coordinator does not look at topics: the leader sees in its metadata that one has grown, and joins again.
#[tokio::test(start_paused = true)]
async fn a_group_shares_out_the_partitions_its_topic_has_grown_by() {
    let _limit = Limit::start();
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = client(&broker).await;
    client
        .create_topic(&NewTopic::new("orders", 2))
        .await
        .unwrap();
    let mut first = Member::start(&client).await;
    first.owns(2).await;
    let mut second = Member::start(&client).await;
    let before = second.owns(1).await;
    let grow = |_| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: "orders".into(),
            count: 6,
            assignments: None,
            ..Default::default()
        }],
        timeout_ms: 30_000,
        ..Default::default()
    };
    let grown = client.request_any(3, grow).await.unwrap();
    assert_eq!(grown.read().unwrap().results[0].error_code, 0);
    assert!(first.owns(3).await > before);
    assert!(second.owns(3).await > before);
    first.consumer.shutdown(ShutdownOptions::default()).await;
    second.consumer.shutdown(ShutdownOptions::default()).await;
    broker.stop().await.unwrap();
}

/// One request at a time, as bytes.
struct Wire(DuplexStream);

impl Wire {
    async fn ask<R: Request<'static>, T>(
        &mut self,
        request: &R,
        version: i16,
        read: impl FnOnce(R::Response<'_>) -> T,
    ) -> T {
        let head = header::RequestHeader {
            api_key: R::KEY,
            api_version: version,
            correlation_id: 1,
            client_id: None,
        };
        let bytes = frame::encode_request(&head, request, version).unwrap();
        self.0.write_all(&bytes).await.unwrap();
        let length = self.0.read_u32().await.unwrap();
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut frame).await.unwrap();
        let body = header::response_body(&frame, R::KEY, version).unwrap();
        read(R::Response::decode(body, version).unwrap())
    }
}

/// Hard case 34 and KAFKA-19246. The clock stands still, so nothing restarts in between.
#[tokio::test(start_paused = true)]
async fn while_its_coordinator_is_away_a_group_is_found_and_every_version_says_why_it_is_not_served()
 {
    let _limit = Limit::start();
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let mut wire = Wire(broker.wires().unwrap().connect().unwrap());
    assert!(broker.kill_coordinator("g"));
    let find = FindCoordinatorRequest {
        key: "g".into(),
        ..Default::default()
    };
    let found = wire.ask(&find, 0, |found| found.error_code).await;
    assert_eq!(found, 0);
    let fetch = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".into(),
            partition_indexes: vec![0, 3],
            ..Default::default()
        }]),
        ..Default::default()
    };
    let away = [
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
    ];
    // Version 1 has no other place for it.
    let (of_1, partitions) = wire
        .ask(&fetch, 1, |fetched| {
            let partitions = fetched.topics[0].partitions.iter();
            let errors =
                partitions.map(|of| (of.partition_index, of.committed_offset, of.error_code));
            (fetched.error_code, errors.collect::<Vec<_>>())
        })
        .await;
    assert_eq!(of_1, 0);
    assert_eq!(partitions.len(), 2);
    for (_, offset, error) in partitions {
        assert!(offset == -1 && away.contains(&ErrorCode(error)), "{error}");
    }
    let (of_2, topics) = wire
        .ask(&fetch, 2, |fetched| {
            (fetched.error_code, fetched.topics.len())
        })
        .await;
    assert!(away.contains(&ErrorCode(of_2)), "{of_2}");
    assert_eq!(topics, 0);
    broker.stop().await.unwrap();
}

/// A client that could try again would try for ever.
#[tokio::test(start_paused = true)]
async fn a_transaction_has_no_coordinator_and_never_will() {
    let _limit = Limit::start();
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let mut wire = Wire(broker.wires().unwrap().connect().unwrap());
    for version in 1..=6 {
        let (key, keys) = match version {
            1..=3 => ("t", Vec::new()),
            _ => ("", vec!["t".into()]),
        };
        let find = FindCoordinatorRequest {
            key: key.into(),
            key_type: 1,
            coordinator_keys: keys,
            ..Default::default()
        };
        let (error, node, port) = wire
            .ask(&find, version, |found| match found.coordinators.first() {
                Some(one) => (one.error_code, one.node_id, one.port),
                None => (found.error_code, found.node_id, found.port),
            })
            .await;
        let refused = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        assert_eq!(
            (ErrorCode(error), node, port),
            (refused, -1, -1),
            "{version}"
        );
    }
    // Share groups have their key type since version 6, and are not served either.
    let share = |keys: Vec<&'static str>| FindCoordinatorRequest {
        key_type: 2,
        coordinator_keys: keys.into_iter().map(Into::into).collect(),
        ..Default::default()
    };
    for (version, error) in [
        (5, ErrorCode::INVALID_REQUEST),
        (6, ErrorCode::UNSUPPORTED_VERSION),
    ] {
        let found = wire
            .ask(&share(vec!["g"]), version, |found| {
                found.coordinators[0].error_code
            })
            .await;
        assert_eq!(ErrorCode(found), error);
    }
    broker.stop().await.unwrap();
}

/// What is advertised is served, and nothing else is: transactions, KIP-848, share and streams groups are not there.
#[tokio::test(start_paused = true)]
async fn the_versions_of_the_group_apis_are_those_of_apache_kafka() {
    let _limit = Limit::start();
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let mut wire = Wire(broker.wires().unwrap().connect().unwrap());
    let ranges = wire
        .ask(&ApiVersionsRequest::default(), 0, |answer| {
            let ranges = answer.api_keys.iter();
            let ranges = ranges.map(|api| (api.api_key, (api.min_version, api.max_version)));
            ranges.collect::<BTreeMap<_, _>>()
        })
        .await;
    let expected = [
        (0, (0, 13)),
        (8, (2, 10)),
        (9, (1, 10)),
        (10, (0, 6)),
        (11, (0, 9)),
        (12, (0, 4)),
        (13, (0, 5)),
        (14, (0, 5)),
        (15, (0, 6)),
        (16, (0, 5)),
        (42, (0, 2)),
        (47, (0, 0)),
    ];
    for (key, range) in expected {
        assert_eq!(ranges.get(&key), Some(&range), "{key}");
    }
    for key in [
        24, 25, 26, 27, 28, 68, 69, 76, 77, 78, 79, 88, 89, 90, 91, 92,
    ] {
        assert_eq!(ranges.get(&key), None, "{key}");
    }
    broker.stop().await.unwrap();
}
