//! Clients that hang up in the middle of what changes something: all of it happens.

use std::sync::Arc;

use callboard_offsets::memory::MemoryLog;
use callboard_protocol::messages::InitProducerIdRequest;
use callboard_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use callboard_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use callboard_protocol::messages::delete_topics::DeleteTopicsRequest;
use callboard_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use callboard_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use callboard_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use callboard_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use callboard_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};

use super::tests::describe_broker;
use crate::log::{test_batch, test_batch_of};
use crate::testing::Bench;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Makes the topics, of one partition each.
async fn create_all(bench: &Bench) {
    for name in NAMES {
        bench.create(name, 1).await;
    }
}

/// Sends it, hangs up, and waits until nothing of it is left.
macro_rules! hang_up {
    ($bench:ident, $request:expr, $version:expr) => {
        let whole = $bench.services.budget.free();
        let mut wire = $bench.connect();
        wire.send(&$request, $version).await;
        drop(wire);
        $bench.hung_up().await;
        // What the logs still have is paid for.
        $bench.given_back(whole).await;
    };
}

#[tokio::test]
async fn every_topic_of_a_creation_is_created() {
    let mut bench = Bench::start().await;
    let topic = |name: &&'static str| CreatableTopic {
        name: (*name).into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: NAMES.iter().map(topic).collect(),
        ..Default::default()
    };
    hang_up!(bench, request, 7);
    let snapshot = bench.services.topics.snapshot();
    assert!(NAMES.iter().all(|name| snapshot.by_name(name).is_some()));
    bench.stop().await;
}

#[tokio::test]
async fn every_topic_that_metadata_creates_is_created() {
    let mut bench = Bench::start().await;
    let topic = |name: &&'static str| MetadataRequestTopic {
        name: Some((*name).into()),
        ..Default::default()
    };
    let request = MetadataRequest {
        topics: Some(NAMES.iter().map(topic).collect()),
        allow_auto_topic_creation: true,
        ..Default::default()
    };
    hang_up!(bench, request, 9);
    let snapshot = bench.services.topics.snapshot();
    assert!(NAMES.iter().all(|name| snapshot.by_name(name).is_some()));
    bench.stop().await;
}

#[tokio::test]
async fn every_topic_of_a_deletion_is_deleted() {
    let mut bench = Bench::start().await;
    create_all(&bench).await;
    let request = DeleteTopicsRequest {
        topic_names: NAMES.iter().map(|name| (*name).into()).collect(),
        ..Default::default()
    };
    hang_up!(bench, request, 5);
    let snapshot = bench.services.topics.snapshot();
    assert!(NAMES.iter().all(|name| snapshot.by_name(name).is_none()));
    bench.stop().await;
}

#[tokio::test]
async fn every_topic_that_is_to_grow_grows() {
    let mut bench = Bench::start().await;
    create_all(&bench).await;
    let topic = |name: &&'static str| CreatePartitionsTopic {
        name: (*name).into(),
        count: 3,
        assignments: None,
        ..Default::default()
    };
    let request = CreatePartitionsRequest {
        topics: NAMES.iter().map(topic).collect(),
        ..Default::default()
    };
    hang_up!(bench, request, 3);
    let snapshot = bench.services.topics.snapshot();
    let grown = |name: &&str| snapshot.by_name(name).unwrap().partitions == 3;
    assert!(NAMES.iter().all(grown));
    bench.stop().await;
}

#[tokio::test]
async fn every_resource_that_is_altered_is() {
    let mut bench = Bench::start().await;
    create_all(&bench).await;
    let resource = |name: &&'static str| AlterConfigsResource {
        resource_type: 2,
        resource_name: (*name).into(),
        configs: vec![AlterableConfig {
            name: "retention.ms".into(),
            value: Some("77".into()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let request = IncrementalAlterConfigsRequest {
        resources: NAMES.iter().map(resource).collect(),
        ..Default::default()
    };
    hang_up!(bench, request, 1);
    let snapshot = bench.services.topics.snapshot();
    let altered = |name: &&str| snapshot.by_name(name).unwrap().configs["retention.ms"] == "77";
    assert!(NAMES.iter().all(altered));
    bench.stop().await;
}

#[tokio::test]
async fn every_partition_of_a_produce_is_written() {
    let mut bench = Bench::start().await;
    create_all(&bench).await;
    let topic = |name: &&'static str| TopicProduceData {
        name: (*name).into(),
        partition_data: vec![PartitionProduceData {
            index: 0,
            records: Some(test_batch(2).into()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: NAMES.iter().map(topic).collect(),
        ..Default::default()
    };
    hang_up!(bench, request, 9);
    let snapshot = bench.services.topics.snapshot();
    let ends = async {
        for name in NAMES {
            let log = snapshot.by_name(name).unwrap().log(0).unwrap();
            while !log.offsets().is_ok_and(|offsets| offsets.end >= 2) {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), ends)
        .await
        .expect("a partition was not written");
    bench.stop().await;
}

/// Or whoever connects, sends and hangs up again and again makes the broker hold what nothing bounds.
#[tokio::test]
async fn a_produce_that_waits_to_be_checked_is_paid_for_until_it_is() {
    const RECORDS: usize = 400_000;
    let mut bench = Bench::start_with(|config| config.compute_threads = 1).await;
    bench.create("a", 1).await;
    let whole = bench.services.budget.free();
    let compute = bench.services.compute.clone();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let before = compute.run(&compute.lane(), move || {
        gate.recv_timeout(std::time::Duration::from_secs(30))
    });
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: vec![TopicProduceData {
            name: "a".into(),
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(test_batch_of(&[1], RECORDS, None).into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    for times in 1..=3 {
        let mut wire = bench.connect();
        wire.send(&request, 9).await;
        drop(wire);
        bench.hung_up().await;
        assert!(bench.services.budget.free() <= whole - times * RECORDS);
    }
    open.send(()).unwrap();
    assert!(before.await.unwrap().is_ok());
    bench.given_back(whole).await;
    bench.stop().await;
}

#[tokio::test]
async fn what_a_coordinator_works_on_is_paid_for_until_it_is_answered() {
    const NOTE: usize = 4_000;
    let partitions = crate::BrokerConfig::default().offsets_topic_num_partitions;
    let log = Arc::new(MemoryLog::new(partitions));
    let mut bench = Bench::start_over(&log).await;
    bench.create("a", 1).await;
    let whole = bench.services.budget.free();
    log.hold();
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "a".into(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_metadata: Some("n".repeat(NOTE).into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    for times in 1..=3 {
        let mut wire = bench.connect();
        wire.send(&request, 8).await;
        drop(wire);
        bench.hung_up().await;
        assert!(bench.services.budget.free() <= whole - times * NOTE);
    }
    log.release();
    bench.given_back(whole).await;
    bench.stop().await;
}

/// A group waits for its members as long as they say. What one brought is the group's by then, and no request's: others
/// need the room, and its other members first of all.
#[tokio::test]
async fn members_that_wait_for_others_hold_no_room() {
    const BYTES: usize = 1_000_000;
    let partitions = crate::BrokerConfig::default().offsets_topic_num_partitions;
    let log = Arc::new(MemoryLog::new(partitions));
    let change = |config: &mut crate::BrokerConfig| {
        config.group_initial_rebalance_delay = std::time::Duration::from_secs(600);
    };
    let mut bench = Bench::begin(change, Some(Arc::clone(&log))).await;
    let whole = bench.services.budget.free();
    let join = |member: &str| JoinGroupRequest {
        group_id: "g".into(),
        member_id: member.to_owned().into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 600_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: vec![7; BYTES].into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut wire = bench.connect();
    wire.send(&join(""), 3).await;
    bench.given_back(whole).await;
    assert!(wire.is_silent());
    drop(wire);
    bench.stop().await;

    let change = |config: &mut crate::BrokerConfig| {
        config.group_initial_rebalance_delay = std::time::Duration::ZERO;
    };
    let mut bench = Bench::begin(change, Some(Arc::clone(&log))).await;
    let mut wire = bench.connect();
    let joined = wire.ask(&join(""), 3).await;
    let sync = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.read().generation_id,
        member_id: joined.read().member_id.to_string().into(),
        assignments: vec![SyncGroupRequestAssignment {
            assignment: vec![7; BYTES].into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    log.hold();
    wire.send(&sync, 3).await;
    while log.unsynced() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    bench.given_back(whole).await;
    assert!(wire.is_silent());
    log.release();
    assert!(wire.frame().await.is_some());
    bench.stop().await;
}

#[tokio::test]
async fn an_answer_that_waits_for_room_is_paid_for_until_it_is_made() {
    const TIMES: usize = 500;
    let mut bench = Bench::start().await;
    let answers = bench.services.answers.share(&Arc::default());
    let taken = answers.force(answers.most());
    let whole = bench.services.budget.free();
    for times in 1..=3 {
        let mut wire = bench.connect();
        wire.send(&describe_broker(TIMES), 4).await;
        drop(wire);
        bench.hung_up().await;
        assert!(bench.services.budget.free() <= whole - times * TIMES);
    }
    drop(taken);
    bench.given_back(whole).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_producer_id_that_was_asked_for_is_taken() {
    let mut bench = Bench::start().await;
    let before = bench.services.producer_ids.next().unwrap();
    let request = InitProducerIdRequest {
        transactional_id: None,
        ..Default::default()
    };
    hang_up!(bench, request, 4);
    assert_eq!(bench.services.producer_ids.next().unwrap(), before + 2);
    bench.stop().await;
}
