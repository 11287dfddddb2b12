//! What the creator of a topic is told of it.

use callboard_offsets::memory::MemoryLog;
use callboard_protocol::messages::create_topics::CreatableTopicConfig;
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use super::*;
use crate::testing::Bench;

const OF_THE_TOPIC: i8 = 1;
const OF_THE_BROKER: i8 = 4;
const DEFAULT: i8 = 5;

/// As Apache Kafka 4.2.0: every setting there is, by name, with where it comes from, of a trial too.
#[tokio::test]
async fn the_answer_lists_every_setting_and_its_source() {
    let mut bench =
        Bench::start_with(|config| config.set("log.retention.bytes", "7000000").unwrap()).await;
    let mut wire = bench.connect();
    for validate_only in [true, false] {
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: "t".into(),
                num_partitions: 2,
                replication_factor: 1,
                configs: vec![CreatableTopicConfig {
                    name: "retention.ms".into(),
                    value: Some("86400000".into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            validate_only,
            ..Default::default()
        };
        let answer = wire.ask(&request, 7).await;
        let told = answer.read();
        let topic = &told.topics[0];
        assert_eq!((topic.error_code, topic.num_partitions), (0, 2));
        let configs = topic.configs.as_ref().unwrap();
        let of = |name: &str| {
            let config = configs.iter().find(|config| config.name == name).unwrap();
            (config.value.as_deref().unwrap(), config.config_source)
        };
        assert_eq!(of("retention.ms"), ("86400000", OF_THE_TOPIC));
        assert_eq!(of("retention.bytes"), ("7000000", OF_THE_BROKER));
        assert_eq!(of("cleanup.policy"), ("delete", DEFAULT));
        assert!(configs.is_sorted_by_key(|config| &config.name));
    }
    bench.stop().await;
}

/// A topic "a" is deleted, and what is committed for it cannot be removed: its name is not free.
async fn take_the_name(bench: &mut Bench, log: &MemoryLog) {
    bench.create("a", 1).await;
    let commit = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "a".into(),
            partitions: vec![OffsetCommitRequestPartition::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    bench.connect().ask(&commit, 8).await;
    log.hold();
    bench.services.topics.delete_topic("a").await.unwrap();
}

fn log() -> Arc<MemoryLog> {
    let partitions = BrokerConfig::default().offsets_topic_num_partitions;
    Arc::new(MemoryLog::new(partitions))
}

fn patient() -> CreateTopicsRequest<'static> {
    CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: "a".into(),
            num_partitions: 1,
            replication_factor: 1,
            ..Default::default()
        }],
        timeout_ms: i32::MAX,
        ..Default::default()
    }
}

#[tokio::test]
async fn who_waits_for_a_name_waits_no_longer_than_is_allowed() {
    let change = |config: &mut BrokerConfig| {
        config.create_topics_max_wait = Duration::from_millis(100);
    };
    let log = log();
    let mut bench = Bench::begin(change, Some(Arc::clone(&log))).await;
    take_the_name(&mut bench, &log).await;
    let answer = bench.connect().ask(&patient(), 7).await;
    let timed_out = ErrorCode::REQUEST_TIMED_OUT.0;
    assert_eq!(answer.read().topics[0].error_code, timed_out);
    bench.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_name_does_not_hold_up_the_end() {
    let change = |config: &mut BrokerConfig| {
        config.create_topics_max_wait = Duration::from_secs(3_600);
    };
    let log = log();
    let mut bench = Bench::begin(change, Some(Arc::clone(&log))).await;
    take_the_name(&mut bench, &log).await;
    let mut wire = bench.connect();
    wire.send(&patient(), 7).await;
    // It has been read: it waits.
    while bench.services.effects.is_empty() {
        tokio::task::yield_now().await;
    }
    bench.services.stopping.cancel();
    let answer = wire.answer::<CreateTopicsRequest<'_>>(7).await.unwrap();
    let timed_out = ErrorCode::REQUEST_TIMED_OUT.0;
    assert_eq!(answer.read().topics[0].error_code, timed_out);
    bench.stop().await;
}
