//! The client against a scripted broker: negotiation, metadata, timeouts, reconnects, and the producer.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_client::testing::{NODE, ScriptedBroker};
use callboard_client::transport::{Connecting, Connector, Stream};
use callboard_client::{
    ANY_VERSION, Client, ClientConfig, ClientError, OffsetSpec, Producer, Purpose, Target,
    TopicPartition,
};
use callboard_protocol::messages::heartbeat::HeartbeatRequest;
use callboard_protocol::records::BatchIter;
use callboard_protocol::{ApiKey, ErrorCode};
use callboard_supervision::testing::Limit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

async fn client(broker: &ScriptedBroker, keys: &[(&str, &str)]) -> Client {
    let mut config = ClientConfig::default();
    for (key, value) in keys {
        config.set(key, value).unwrap();
    }
    Client::connect_with(config, broker.connector())
        .await
        .unwrap()
}

fn heartbeat(version: i16) -> HeartbeatRequest<'static> {
    let _ = version;
    HeartbeatRequest {
        group_id: "billing".into(),
        ..HeartbeatRequest::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_know_our_version_of_apiversions_is_asked_in_its_own() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.cap_version(ApiKey::API_VERSIONS, 2);
    client(&broker, &[]).await;
    let versions: Vec<i16> = broker
        .seen()
        .iter()
        .filter(|seen| seen.api == ApiKey::API_VERSIONS)
        .map(|seen| seen.version)
        .collect();
    assert_eq!(versions, [4, 2]);
}

#[tokio::test(start_paused = true)]
async fn requests_go_out_in_the_highest_version_both_sides_speak() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.cap_version(ApiKey::HEARTBEAT, 3);
    let client = client(&broker, &[]).await;
    let answer = client
        .request(client.coordination(NODE), ANY_VERSION, heartbeat)
        .await
        .unwrap();
    assert_eq!(answer.version(), 3);
    assert_eq!(
        answer.read().unwrap().error_code,
        ErrorCode::UNKNOWN_MEMBER_ID.0
    );
    let answer = client
        .request(client.coordination(NODE), 1, heartbeat)
        .await
        .unwrap();
    assert_eq!(answer.version(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_never_waits_behind_a_fetch() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    let client = client(&broker, &[]).await;
    broker.hold(ApiKey::METADATA);
    let slow = client.clone();
    let data = tokio::spawn(async move { slow.refresh().await });
    broker
        .until(|broker| broker.count(ApiKey::METADATA) == 2)
        .await;
    client
        .request(client.coordination(NODE), ANY_VERSION, heartbeat)
        .await
        .unwrap();
    assert!(!data.is_finished());
    broker.release(ApiKey::METADATA);
    data.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_times_out_takes_its_connection_with_it() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    let client = client(&broker, &[]).await;
    broker.hold(ApiKey::HEARTBEAT);
    let target = |seconds| Target {
        node: NODE,
        purpose: Purpose::Coordination,
        timeout: Duration::from_secs(seconds),
    };
    let patient = client.clone();
    let behind =
        tokio::spawn(async move { patient.request(target(60), ANY_VERSION, heartbeat).await });
    let started = Instant::now();
    let error = client
        .request(target(5), ANY_VERSION, heartbeat)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ClientError::Timeout), "{error:?}");
    assert!(matches!(
        behind.await.unwrap(),
        Err(ClientError::Disconnected)
    ));
    assert_eq!(started.elapsed().as_secs(), 5);
    broker.release(ApiKey::HEARTBEAT);
    client
        .request(target(5), ANY_VERSION, heartbeat)
        .await
        .unwrap();
}

/// Hosts called `hole…` take connections and never say a word; so does everybody once it is `dark`.
struct Holes {
    broker: ScriptedBroker,
    dark: AtomicBool,
    taken: Mutex<Vec<tokio::io::DuplexStream>>,
}

impl Holes {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            broker: ScriptedBroker::new(),
            dark: AtomicBool::new(false),
            taken: Mutex::default(),
        })
    }
}

impl Connector for Holes {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a> {
        if !host.starts_with("hole") && !self.dark.load(Ordering::Relaxed) {
            return self.broker.connect(host, port);
        }
        let (ours, theirs) = tokio::io::duplex(1024);
        self.taken.lock().unwrap().push(theirs);
        let stream: Box<dyn Stream> = Box::new(ours);
        Box::pin(std::future::ready(Ok(stream)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_seed_that_never_answers_is_waited_for_by_nobody() {
    let _limit = Limit::start();
    let holes = Holes::new();
    for seeds in ["hole1,hole2,broker", "broker,hole1", "hole1,broker,hole2"] {
        let began = Instant::now();
        let connector: Arc<dyn Connector> = holes.clone();
        let config = ClientConfig::bootstrap(seeds).unwrap();
        Client::connect_with(config, connector).await.unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{seeds}: {:?}",
            began.elapsed()
        );
    }
    let connector: Arc<dyn Connector> = holes.clone();
    let config = ClientConfig::bootstrap("hole1,hole2,hole3").unwrap();
    let began = Instant::now();
    let error = Client::connect_with(config, connector).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
    assert_eq!(
        began.elapsed().as_secs(),
        10,
        "socket.connection.setup.timeout.ms, once"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_same_server_shares_what_becomes_of_it() {
    let _limit = Limit::start();
    let holes = Holes::new();
    let connector: Arc<dyn Connector> = holes.clone();
    let client = Client::connect_with(ClientConfig::default(), connector)
        .await
        .unwrap();
    holes.dark.store(true, Ordering::Relaxed);
    holes.broker.cut();
    let asked = |what: u32| {
        let client = client.clone();
        async move {
            let failed = match what {
                0 => client.refresh().await.err(),
                _ => client
                    .request(client.coordination(NODE), ANY_VERSION, heartbeat)
                    .await
                    .err(),
            };
            assert!(failed.is_some_and(|error| error.is_retriable()));
        }
    };
    for (what, most) in [(0, 25), (1, 12)] {
        let began = Instant::now();
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..20 {
            callers.spawn(asked(what));
        }
        callers.join_all().await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(most), "{what}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_names_the_key() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    let client = client(&broker, &[("receive.message.max.bytes", "1000")]).await;
    for number in 0..100 {
        broker.create_topic(&format!("topic-{number}"), 1);
    }
    let error = client.list_topics().await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.ends_with("is larger than receive.message.max.bytes=1000"),
        "{said}"
    );
    assert!(!error.is_retriable());
    client.refresh().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_speaks_something_else_is_told_by_what_it_speaks() {
    let _limit = Limit::start();
    for (bytes, what) in [
        (&b"\x15\x03\x03\x00\x02\x02\x46"[..], "it answers in TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it answers in HTTP"),
    ] {
        let connector = move |_: &str, _| {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                // Like every server of these, it is spoken to first.
                theirs.read_u8().await.unwrap();
                theirs.write_all(bytes).await.unwrap();
                // Until the client closes it.
                let _ = theirs.read_to_end(&mut Vec::new()).await;
            });
            let stream: Box<dyn Stream> = Box::new(ours);
            Ok::<_, std::io::Error>(stream)
        };
        let error = Client::connect_with(ClientConfig::default(), Arc::new(connector))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ClientError::Protocol(said) if said == what),
            "{error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_cut_off_stays_so() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    let one = client(&broker, &[]).await;
    let other = one.fork(one.config().clone()).unwrap();
    other.refresh().await.unwrap();
    other.cut();
    assert!(matches!(other.refresh().await, Err(ClientError::Closed)));
    one.refresh().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn offsets_are_looked_up_at_their_leaders() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 2);
    broker.append("orders", 1, ["a", "b"]);
    let client = client(&broker, &[]).await;
    broker.fail(ApiKey::LIST_OFFSETS, ErrorCode::NOT_LEADER_OR_FOLLOWER, 2);
    let partitions: BTreeSet<_> = (0..2)
        .map(|one| TopicPartition::new("orders", one))
        .collect();
    let ends = client
        .list_all_offsets(&partitions, OffsetSpec::Latest)
        .await
        .unwrap();
    let ends: Vec<i64> = ends.values().map(|found| found.offset).collect();
    assert_eq!(ends, [0, 2]);
    let unknown = BTreeSet::from([TopicPartition::new("nothing", 0)]);
    let error = client
        .list_all_offsets(&unknown, OffsetSpec::Latest)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::UnknownTopic(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn offsets_that_are_found_do_not_wait_for_those_that_are_not() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 2);
    broker.append("orders", 0, ["a", "b"]);
    broker.lose_leader("orders", 1);
    let client = client(&broker, &[]).await;
    let at = |topic: &str, partition| TopicPartition::new(topic, partition);
    let asked = [("orders", 0), ("orders", 1), ("orders", 7), ("nothing", 0)]
        .map(|(topic, partition)| at(topic, partition));
    let asked = BTreeSet::from(asked);
    let began = Instant::now();
    let listed = client
        .list_offsets(&asked, OffsetSpec::Latest)
        .await
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    let found: Vec<_> = listed
        .found
        .iter()
        .map(|(at, end)| (at.clone(), end.offset))
        .collect();
    assert_eq!(found, [(at("orders", 0), 2)]);
    let missing: Vec<_> = listed
        .missing
        .iter()
        .map(|(at, why)| (at.clone(), why.to_string()))
        .collect();
    let expected = [
        (at("nothing", 0), "topic nothing does not exist"),
        (at("orders", 1), "LEADER_NOT_AVAILABLE"),
        (at("orders", 7), "UNKNOWN_TOPIC_OR_PARTITION"),
    ];
    assert_eq!(missing, expected.map(|(at, why)| (at, why.to_owned())));

    // Who needs them all waits, and is told which one is not there.
    let led = BTreeSet::from([at("orders", 0), at("orders", 1)]);
    let patient = client.clone();
    let all = led.clone();
    let waiting =
        tokio::spawn(async move { patient.list_all_offsets(&all, OffsetSpec::Latest).await });
    tokio::time::sleep(Duration::from_secs(20)).await;
    broker.elect_leader("orders", 1);
    assert_eq!(waiting.await.unwrap().unwrap().len(), 2);
    broker.lose_leader("orders", 1);
    client.refresh().await.unwrap();
    let error = client
        .list_all_offsets(&led, OffsetSpec::Latest)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "LEADER_NOT_AVAILABLE: orders/1");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_its_leader_refuses_is_named_and_the_others_are_found() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    broker.create_topic("secrets", 1);
    let client = client(&broker, &[]).await;
    broker.refuse_topic("secrets", ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    let asked = ["orders", "secrets"].map(|topic| TopicPartition::new(topic, 0));
    let began = Instant::now();
    let listed = client
        .list_offsets(&BTreeSet::from(asked.clone()), OffsetSpec::Latest)
        .await
        .unwrap();
    assert_eq!(
        began.elapsed(),
        Duration::ZERO,
        "a refusal for good was asked for again"
    );
    assert!(listed.found.contains_key(&asked[0]));
    assert_eq!(
        listed.missing[&asked[1]].code(),
        Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_told_and_what_is_not_is_left_out() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 2);
    broker.commit("orders", 1, 7);
    broker.fail(
        ApiKey::OFFSET_FETCH,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        2,
    );
    let client = client(&broker, &[]).await;
    let partitions: BTreeSet<_> = (0..2)
        .map(|one| TopicPartition::new("orders", one))
        .collect();
    let committed = client.committed("billing", &partitions).await.unwrap();
    assert_eq!(committed.len(), 1);
    assert_eq!(committed[&TopicPartition::new("orders", 1)].offset, 7);
}

#[tokio::test(start_paused = true)]
async fn a_raised_leader_epoch_is_learnt_and_offsets_are_asked_for_again() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    broker.append("orders", 0, ["a", "b"]);
    let client = client(&broker, &[]).await;
    let partition = TopicPartition::new("orders", 0);
    let asked = BTreeSet::from([partition.clone()]);
    for epoch in 0..3 {
        let ends = client
            .list_all_offsets(&asked, OffsetSpec::Latest)
            .await
            .unwrap();
        assert_eq!(ends[&partition].offset, 2);
        assert_eq!(client.cluster().leader("orders", 0), Some((NODE, epoch)));
        broker.raise_leader_epoch("orders", 0);
    }
    // A broker that has not heard of the epoch yet.
    broker.fail(ApiKey::LIST_OFFSETS, ErrorCode::UNKNOWN_LEADER_EPOCH, 2);
    assert!(
        client
            .list_all_offsets(&asked, OffsetSpec::Latest)
            .await
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn a_producer_asks_for_the_leader_epoch_and_sends_again() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    let client = client(&broker, &[("linger.ms", "0")]).await;
    let producer = Producer::new(client);
    for (offset, code) in [
        ErrorCode::NONE,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
    ]
    .into_iter()
    .enumerate()
    {
        let refreshes = broker.count(ApiKey::METADATA);
        if code != ErrorCode::NONE {
            broker.fail(ApiKey::PRODUCE, code, 2);
        }
        let sent = producer.send("orders", None, Some(b"value")).await.unwrap();
        assert_eq!(sent.await.unwrap().offset, offset as i64, "{code:?}");
        if code != ErrorCode::NONE {
            assert!(broker.count(ApiKey::METADATA) > refreshes, "{code:?}");
        }
    }
    assert_eq!(stored(&broker, 0).1, [0, 1, 2]);
}

/// The values stored in a partition, in order, and the sequences their batches carry.
fn stored(broker: &ScriptedBroker, partition: usize) -> (Vec<String>, Vec<i32>) {
    let mut values = Vec::new();
    let mut sequences = Vec::new();
    for batch in broker.batches("orders", partition) {
        for batch in BatchIter::new(batch) {
            let batch = batch.unwrap();
            sequences.push(batch.header().base_sequence);
            for record in batch.records(callboard_client::testing::limit()).unwrap() {
                let value = record.unwrap().value.unwrap();
                values.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
    }
    (values, sequences)
}

#[tokio::test(start_paused = true)]
async fn retries_keep_the_order_and_store_nothing_twice() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    let client = client(&broker, &[("batch.size", "100"), ("linger.ms", "0")]).await;
    let producer = Producer::new(client);
    let mut deliveries = Vec::new();
    for number in 0..100 {
        if number % 20 == 7 {
            broker.fail(ApiKey::PRODUCE, ErrorCode::NOT_LEADER_OR_FOLLOWER, 1);
        }
        if number % 20 == 14 {
            broker.cut();
        }
        let value = number.to_string();
        deliveries.push(
            producer
                .send("orders", None, Some(value.as_bytes()))
                .await
                .unwrap(),
        );
        tokio::task::yield_now().await;
    }
    producer.flush().await;
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let (values, sequences) = stored(&broker, 0);
    let expected: Vec<String> = (0..100).map(|number: i32| number.to_string()).collect();
    assert_eq!(values, expected);
    assert!(sequences.is_sorted());
    assert_eq!(sequences[0], 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_made_good_by_the_sequence() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    let client = client(&broker, &[("linger.ms", "0")]).await;
    let producer = Producer::new(client);
    producer
        .send("orders", None, Some(b"first"))
        .await
        .unwrap()
        .await
        .unwrap();
    // Stored, and the answer lost: the batch is sent again and refused as a duplicate, which is as good as stored.
    broker.fail(ApiKey::PRODUCE, ErrorCode::DUPLICATE_SEQUENCE_NUMBER, 1);
    let placed = producer
        .send("orders", None, Some(b"second"))
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(placed.offset, -1);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_producer_begins_anew_under_another_id() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    let client = client(&broker, &[("linger.ms", "0")]).await;
    let producer = Producer::new(client);
    broker.fail(ApiKey::PRODUCE, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, 1);
    let placed = producer
        .send("orders", None, Some(b"first"))
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(placed.offset, 0);
    assert_eq!(broker.count(ApiKey::INIT_PRODUCER_ID), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_always_goes_to_its_partition_and_errors_reach_the_record() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 4);
    let client = client(&broker, &[]).await;
    let producer = Producer::new(client);
    let mut partitions = BTreeSet::new();
    for _ in 0..5 {
        let placed = producer
            .send("orders", Some(b"alice"), Some(b"1"))
            .await
            .unwrap()
            .await
            .unwrap();
        partitions.insert(placed.partition);
    }
    assert_eq!(partitions.len(), 1);
    broker.fail(ApiKey::PRODUCE, ErrorCode::TOPIC_AUTHORIZATION_FAILED, 1);
    let refused = producer
        .send("orders", Some(b"alice"), None)
        .await
        .unwrap()
        .await;
    assert_eq!(
        refused.unwrap_err().code(),
        Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED)
    );
    let huge = vec![0; 2_000_000];
    let error = producer
        .send("orders", None, Some(&huge))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::RecordTooLarge { .. }));
    let error = producer
        .send("nothing", None, Some(b"1"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::UnknownTopic(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_delivered_fails_in_the_end() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    let client = client(&broker, &[]).await;
    let producer = Producer::new(client);
    broker.fail(ApiKey::PRODUCE, ErrorCode::NOT_LEADER_OR_FOLLOWER, u32::MAX);
    let started = Instant::now();
    let delivery = producer.send("orders", None, Some(b"1")).await.unwrap();
    let error = delivery.await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "delivery.timeout.ms=120000 is over; the last try: NOT_LEADER_OR_FOLLOWER"
    );
    assert!(started.elapsed() >= Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn a_producer_settles_its_own_keys_and_nobody_elses() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    let without = client(&broker, &[("acks", "1")]).await;
    let producer = Producer::new(without);
    let sent = producer.send("orders", None, Some(b"1")).await.unwrap();
    sent.await.unwrap();
    assert_eq!(
        broker.count(ApiKey::INIT_PRODUCER_ID),
        0,
        "idempotence yields"
    );

    // The client stands, and whoever produces hears of it.
    let both = client(&broker, &[("acks", "1"), ("enable.idempotence", "true")]).await;
    let producer = Producer::new(both);
    let error = producer.send("orders", None, Some(b"1")).await.unwrap_err();
    assert!(matches!(error, ClientError::Config(_)), "{error:?}");
    producer.flush().await;

    let short = client(&broker, &[("delivery.timeout.ms", "2000")]).await;
    let producer = Producer::new(short);
    broker.hold(ApiKey::PRODUCE);
    let began = Instant::now();
    let sent = producer.send("orders", None, Some(b"1")).await.unwrap();
    assert!(sent.await.is_err());
    assert_eq!(
        began.elapsed().as_secs(),
        2,
        "a request in flight ends within the delivery's time"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_says_what_was_missing() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    let client = client(&broker, &[]).await;
    let producer = Producer::new(client.clone());
    let last = |error: ClientError| {
        error
            .to_string()
            .split_once("; the last try: ")
            .map(|(_, last)| last.to_owned())
    };
    broker.fail(
        ApiKey::INIT_PRODUCER_ID,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        u32::MAX,
    );
    let delivery = producer.send("orders", None, Some(b"1")).await.unwrap();
    let error = delivery.await.unwrap_err();
    assert_eq!(last(error).as_deref(), Some("COORDINATOR_NOT_AVAILABLE"));
    broker.heal();
    broker.lose_leader("orders", 0);
    client.refresh().await.unwrap();
    let delivery = producer.send("orders", None, Some(b"1")).await.unwrap();
    let error = delivery.await.unwrap_err();
    assert_eq!(last(error).as_deref(), Some("LEADER_NOT_AVAILABLE"));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_split_and_a_record_that_is_fails_alone() {
    let _limit = Limit::start();
    let broker = ScriptedBroker::new();
    broker.create_topic("orders", 1);
    broker.limit_messages("orders", 5_000);
    let client = client(&broker, &[]).await;
    let producer = Producer::new(client);
    let values: Vec<String> = (0..1_000)
        .map(|number| {
            format!(
                "{number:0width$}",
                width = if number == 500 { 6_000 } else { 105 }
            )
        })
        .collect();
    let mut deliveries = Vec::new();
    for value in &values {
        deliveries.push(
            producer
                .send("orders", None, Some(value.as_bytes()))
                .await
                .unwrap(),
        );
    }
    producer.flush().await;
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let placed = delivery.await;
        if number == 500 {
            assert_eq!(
                placed.unwrap_err().code(),
                Some(ErrorCode::MESSAGE_TOO_LARGE)
            );
        } else {
            assert_eq!(
                placed.unwrap().offset,
                number as i64 - i64::from(number > 500)
            );
        }
    }
    let (found, sequences) = stored(&broker, 0);
    let expected: Vec<&String> = values.iter().filter(|value| value.len() == 105).collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    assert!(sequences.is_sorted());
    assert_eq!(broker.count(ApiKey::INIT_PRODUCER_ID), 1);
}
