//! What a test broker can do, shown with the real client and consumer.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use callboard_broker::testing::{ApiKey, ErrorCode, Fault, NotServed, TestBroker};
use callboard_client::transport::Stream;
use callboard_client::{Client, ClientConfig, NewTopic, OffsetSpec, Producer, TopicPartition};
use callboard_consumer::{
    ConsumerGroup, ConsumerHandle, Event, Events, PartitionContext, Record, ShutdownOptions,
};
use callboard_supervision::testing::Limit;
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

/// A member of the group, what happens to it, and the values it handles.
struct Member {
    consumer: ConsumerHandle,
    events: Events,
    handled: mpsc::UnboundedReceiver<String>,
}

impl Member {
    async fn start(client: &Client) -> Self {
        let (tell, handled) = mpsc::unbounded_channel();
        let consumer = ConsumerGroup::builder(client)
            .group_id("tills")
            .topics(["orders"])
            .handle(move |record: Record, _: PartitionContext| {
                let value = record.value.as_deref().unwrap_or_default().to_vec();
                let _ = tell.send(String::from_utf8(value).unwrap());
                async { Ok::<_, std::io::Error>(()) }
            });
        let consumer = consumer.start().await.unwrap();
        Self {
            events: consumer.events(),
            consumer,
            handled,
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

    async fn handles(&mut self, value: &str) {
        assert_eq!(self.handled.recv().await.unwrap(), value);
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
    let _limit = Limit::start();
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = with_topic(&broker).await;
    let mut lost = Member::start(&client).await;
    lost.owns(4).await;
    let mut stays = Member::start(&client).await;
    let before = stays.owns(2).await;
    let began = Instant::now();
    lost.consumer.crash();
    let after = stays.owns(4).await;
    let took = began.elapsed();
    assert!(after > before, "{before} {after}");
    // It had sent a heartbeat at most so long before it died.
    let last_beat = Duration::from_secs(3);
    assert!(
        took > SESSION - last_beat - Duration::from_secs(1),
        "{took:?}"
    );
    assert!(took < SESSION + 2 * last_beat, "{took:?}");
    stays.consumer.shutdown(ShutdownOptions::default()).await;
    broker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_is_answered_so_many_times() {
    let _limit = Limit::start();
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
    let mut member = Member::start(&client).await;
    produce(&client, "coffee").await;
    member.handles("coffee").await;
    for api in [
        ApiKey::FIND_COORDINATOR,
        ApiKey::JOIN_GROUP,
        ApiKey::SYNC_GROUP,
        ApiKey::OFFSET_FETCH,
        ApiKey::PRODUCE,
    ] {
        assert_eq!(broker.faults_left(api), 0, "{}", api.name());
    }
    let unknown = ApiKey(9_999);
    assert_eq!(broker.inject(unknown, loading, 1), Err(NotServed(unknown)));
    member.consumer.shutdown(ShutdownOptions::default()).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_late() {
    let _limit = Limit::start();
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = with_topic(&broker).await;
    let late = Duration::from_secs(20);
    broker
        .inject(ApiKey::LIST_OFFSETS, Fault::Delay(late), 1)
        .unwrap();
    let one = BTreeSet::from([TopicPartition::new("orders", 0)]);
    let began = Instant::now();
    client
        .list_all_offsets(&one, OffsetSpec::Latest)
        .await
        .unwrap();
    assert!(began.elapsed() >= late);
    let began = Instant::now();
    client
        .list_all_offsets(&one, OffsetSpec::Latest)
        .await
        .unwrap();
    assert!(began.elapsed() < late);
}

#[tokio::test(start_paused = true)]
async fn a_cut_connection_and_a_lost_answer_write_no_record_twice() {
    let _limit = Limit::start();
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = with_topic(&broker).await;
    let all: BTreeSet<_> = (0..PARTITIONS)
        .map(|partition| TopicPartition::new("orders", partition))
        .collect();
    for (written, fault) in [(1, Fault::Cut), (2, Fault::LoseAnswer)] {
        broker.inject(ApiKey::PRODUCE, fault, 1).unwrap();
        produce(&client, "milk").await;
        assert_eq!(broker.faults_left(ApiKey::PRODUCE), 0);
        let ends = client
            .list_all_offsets(&all, OffsetSpec::Latest)
            .await
            .unwrap();
        assert_eq!(ends.values().map(|end| end.offset).sum::<i64>(), written);
    }
}

#[tokio::test(start_paused = true)]
async fn members_do_not_notice_that_their_coordinator_was_killed() {
    let _limit = Limit::start();
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    let client = with_topic(&broker).await;
    let mut member = Member::start(&client).await;
    let generation = member.owns(4).await;
    assert!(broker.kill_coordinator("tills"));
    produce(&client, "tea").await;
    member.handles("tea").await;
    // Long enough for any sign of the loss to come.
    tokio::time::sleep(2 * SESSION).await;
    assert_eq!(member.consumer.generation(), generation);
    let told = std::iter::from_fn(|| member.events.try_recv());
    // A request that is on its way when it dies is answered that it is not available: the member finds it again, and says so.
    let noticed: Vec<Event> = told
        .filter(|event| {
            let usual = matches!(
                event,
                Event::OffsetReset { .. }
                    | Event::HandlerStarted { .. }
                    | Event::Committed { .. }
                    | Event::CoordinatorLost { .. }
                    | Event::CoordinatorFound { .. }
            );
            !usual
        })
        .collect();
    assert!(noticed.is_empty(), "{noticed:?}");
    let report = member.consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained);
    assert_eq!(committed(&client).await, 1);
}

async fn commits_survive_a_restart(mut broker: TestBroker) {
    let client = with_topic(&broker).await;
    let mut member = Member::start(&client).await;
    produce(&client, "before").await;
    member.handles("before").await;
    let uncommitted = member.consumer.commit(Duration::from_secs(30)).await;
    assert!(uncommitted.is_empty());
    assert_eq!(committed(&client).await, 1);
    broker.restart_from_disk().await.unwrap();
    assert_eq!(committed(&client).await, 1);
    produce(&client, "after").await;
    member.handles("after").await;
    member.consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!(committed(&client).await, 2);
    broker.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn commits_survive_a_power_cut_in_memory() {
    let _limit = Limit::start();
    commits_survive_a_restart(TestBroker::builder().start_in_memory().await.unwrap()).await;
}

#[tokio::test]
async fn commits_survive_a_restart_over_loopback() {
    let _limit = Limit::start();
    commits_survive_a_restart(TestBroker::builder().start().await.unwrap()).await;
}
