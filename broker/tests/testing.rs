//! What a test broker can do, shown with the real client and consumer.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use callboard_broker::testing::{ApiKey, CannotRefuse, ErrorCode, Fault, TestBroker};
use callboard_client::transport::Stream;
use callboard_client::{Client, ClientConfig, NewTopic, OffsetSpec, Producer, TopicPartition};
use callboard_consumer::{
    ConsumerGroup, ConsumerHandle, Event, PartitionContext, Record, ShutdownOptions,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

const PARTITIONS: i32 = 4;
const SESSION: Duration = Duration::from_secs(45);

async fn client(broker: &TestBroker) -> Client {
    let mut config = ClientConfig::bootstrap(&broker.bootstrap()).unwrap();
    config.set("auto.offset.reset", "earliest").unwrap();
    match broker.wires() {
        None => Client::connect(config).await.unwrap(),
        Some(wires) => {
            let connect = move |_: &str, _: u16| Ok(Box::new(wires.connect()?) as Box<dyn Stream>);
            let connected = Client::connect_with(config, Arc::new(connect)).await;
            connected.unwrap()
        }
    }
}

async fn with_topic(broker: &TestBroker) -> Client {
    let client = client(broker).await;
    let topic = NewTopic::new("orders", PARTITIONS);
    client.create_topic(&topic).await.unwrap();
    client
}

async fn produce(client: &Client, value: &str) {
    let producer = Producer::new(client.clone());
    let sent = producer.send("orders", Some(b"k"), Some(value.as_bytes()));
    sent.await.unwrap().await.unwrap();
}

/// A member, and the values it handles.
async fn member(client: &Client) -> (ConsumerHandle, mpsc::UnboundedReceiver<String>) {
    let (tell, handled) = mpsc::unbounded_channel();
    let consumer = ConsumerGroup::builder(client)
        .group_id("tills")
        .topics(["orders"])
        .handle(move |record: Record, _: PartitionContext| {
            let value = record.value.as_deref().unwrap_or_default().to_vec();
            let _ = tell.send(String::from_utf8(value).unwrap());
            async { Ok::<_, std::io::Error>(()) }
        });
    (consumer.start().await.unwrap(), handled)
}

/// Waits until the member owns so many partitions; its generation.
async fn owns(consumer: &ConsumerHandle, count: usize) -> i32 {
    let mut events = consumer.events();
    loop {
        if consumer.progress().len() == count {
            return consumer.generation();
        }
        tokio::select! {
            event = events.recv() => if let Event::Assigned { generation, owned, .. } = event.unwrap()
                && owned.len() == count
            {
                return generation;
            },
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}

/// What the group has committed, all partitions together.
async fn committed(client: &Client) -> i64 {
    let all = (0..PARTITIONS).map(|partition| TopicPartition::new("orders", partition));
    let found = client.committed("tills", &all.collect()).await.unwrap();
    found.values().map(|found| found.offset.max(0)).sum()
}

#[tokio::test(start_paused = true)]
async fn a_group_rebalances_after_a_session_timeout_that_takes_no_time() {
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = with_topic(&broker).await;
    let (lost, _) = member(&client).await;
    owns(&lost, 4).await;
    let (stays, _) = member(&client).await;
    let before = owns(&stays, 2).await;
    let began = Instant::now();
    lost.crash();
    let after = owns(&stays, 4).await;
    let took = began.elapsed();
    assert!(after > before, "{before} {after}");
    // It had sent a heartbeat at most so long before it died.
    let last_beat = Duration::from_secs(3);
    assert!(
        took > SESSION - last_beat - Duration::from_secs(1),
        "{took:?}"
    );
    assert!(took < SESSION + 2 * last_beat, "{took:?}");
    stays.shutdown(ShutdownOptions::default()).await;
    broker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_is_answered_so_many_times() {
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = with_topic(&broker).await;
    let loading = Fault::Error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    for api in [
        ApiKey::FIND_COORDINATOR,
        ApiKey::JOIN_GROUP,
        ApiKey::SYNC_GROUP,
        ApiKey::OFFSET_FETCH,
    ] {
        broker.inject(api, loading, 2).unwrap();
    }
    let broken = Fault::Error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    broker.inject(ApiKey::PRODUCE, broken, 2).unwrap();
    let (consumer, mut handled) = member(&client).await;
    produce(&client, "coffee").await;
    assert_eq!(handled.recv().await.unwrap(), "coffee");
    for api in [
        ApiKey::FIND_COORDINATOR,
        ApiKey::JOIN_GROUP,
        ApiKey::SYNC_GROUP,
        ApiKey::OFFSET_FETCH,
        ApiKey::PRODUCE,
    ] {
        assert_eq!(broker.faults_left(api), 0, "{}", api.name());
    }
    let refused = broker.inject(ApiKey::API_VERSIONS, loading, 1);
    assert_eq!(refused, Err(CannotRefuse(ApiKey::API_VERSIONS)));
    consumer.shutdown(ShutdownOptions::default()).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_late() {
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = with_topic(&broker).await;
    let late = Duration::from_secs(20);
    broker
        .inject(ApiKey::LIST_OFFSETS, Fault::Delay(late), 1)
        .unwrap();
    let one = BTreeSet::from([TopicPartition::new("orders", 0)]);
    let began = Instant::now();
    client.list_offsets(&one, OffsetSpec::Latest).await.unwrap();
    assert!(began.elapsed() >= late);
    let began = Instant::now();
    client.list_offsets(&one, OffsetSpec::Latest).await.unwrap();
    assert!(began.elapsed() < late);
}

#[tokio::test(start_paused = true)]
async fn a_cut_connection_and_a_lost_answer_write_no_record_twice() {
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = with_topic(&broker).await;
    let all: BTreeSet<_> = (0..PARTITIONS)
        .map(|partition| TopicPartition::new("orders", partition))
        .collect();
    for (written, fault) in [(1, Fault::Cut), (2, Fault::LoseAnswer)] {
        broker.inject(ApiKey::PRODUCE, fault, 1).unwrap();
        produce(&client, "milk").await;
        assert_eq!(broker.faults_left(ApiKey::PRODUCE), 0);
        let ends = client.list_offsets(&all, OffsetSpec::Latest).await.unwrap();
        assert_eq!(ends.values().map(|end| end.offset).sum::<i64>(), written);
    }
}

#[tokio::test(start_paused = true)]
async fn members_do_not_notice_that_their_coordinator_was_killed() {
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = with_topic(&broker).await;
    let (consumer, mut handled) = member(&client).await;
    let generation = owns(&consumer, 4).await;
    assert!(broker.kill_coordinator("tills"));
    produce(&client, "tea").await;
    assert_eq!(handled.recv().await.unwrap(), "tea");
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained);
    assert_eq!(committed(&client).await, 1);
    assert!(generation > 0);
}

async fn commits_survive_a_restart(mut broker: TestBroker) {
    let client = with_topic(&broker).await;
    let (consumer, mut handled) = member(&client).await;
    produce(&client, "before").await;
    assert_eq!(handled.recv().await.unwrap(), "before");
    assert!(consumer.commit(Duration::from_secs(30)).await.is_empty());
    assert_eq!(committed(&client).await, 1);
    broker.restart_from_disk().await.unwrap();
    assert_eq!(committed(&client).await, 1);
    produce(&client, "after").await;
    assert_eq!(handled.recv().await.unwrap(), "after");
    consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!(committed(&client).await, 2);
    broker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn commits_survive_a_power_cut_in_memory() {
    commits_survive_a_restart(TestBroker::builder().start_in_memory().await.unwrap()).await;
}

#[tokio::test]
async fn commits_survive_a_restart_over_loopback() {
    commits_survive_a_restart(TestBroker::builder().start().await.unwrap()).await;
}
