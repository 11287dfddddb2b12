//! Clients that ask and do not take their answers.

use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::ApiKey;
use callboard_protocol::messages::api_versions::ApiVersionsRequest;
use callboard_protocol::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use callboard_protocol::messages::describe_configs::DescribeConfigsRequest;
use callboard_protocol::messages::describe_groups::DescribeGroupsRequest;
use callboard_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use callboard_protocol::messages::list_groups::ListGroupsRequest;
use callboard_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};

use super::tests::describe_broker;
use crate::BrokerConfig;
use crate::budget::PRESSURE;
use crate::log::test_batch_of;
use crate::testing::{Bench, Wire};

const MIB: usize = 1024 * 1024;

/// Answers may take 4 MiB, and those of one connection 2.
fn narrow(config: &mut BrokerConfig) {
    config.queued_max_response_bytes = 4 * MIB;
    config.connection_max_response_bytes = 2 * MIB;
    config.message_max_bytes = MIB / 2;
}

/// So many batches of some 400 kB in one partition.
async fn fill(bench: &mut Bench, batches: usize) {
    bench.create("t", 1).await;
    let mut wire = bench.connect();
    for _ in 0..batches {
        let request = ProduceRequest {
            acks: 1,
            timeout_ms: 1_000,
            topic_data: vec![TopicProduceData {
                name: "t".into(),
                partition_data: vec![PartitionProduceData {
                    index: 0,
                    records: Some(test_batch_of(&[1], 400_000, None).into()),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = wire.ask(&request, 9).await;
        let read = answer.read();
        assert_eq!(read.responses[0].partition_responses[0].error_code, 0);
    }
}

fn fetch(bytes: usize) -> FetchRequest<'static> {
    let bytes = i32::try_from(bytes).unwrap();
    FetchRequest {
        replica_id: -1,
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: bytes,
        topics: vec![FetchTopic {
            topic: "t".into(),
            partitions: vec![FetchPartition {
                partition_max_bytes: bytes,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// How many bytes of records the next Fetch answer brings.
async fn fetched(wire: &mut Wire) -> usize {
    let answer = wire.answer::<FetchRequest<'static>>(4).await.unwrap();
    let read = answer.read();
    let records = read.responses[0].partitions[0].records.as_ref();
    records.map_or(0, |records| records.len())
}

/// Waits until nothing changes any more in what answers take.
async fn settled(bench: &Bench) -> usize {
    let (mut free, mut same) = (0, 0);
    while same < 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = bench.services.answers.free();
        same = if now == free { same + 1 } else { 0 };
        free = now;
    }
    free
}

#[tokio::test]
async fn a_fetch_is_cut_to_what_is_left_and_never_below_its_first_batch() {
    let mut bench = Bench::start_with(|config| {
        config.queued_max_response_bytes = 16 * MIB;
        config.connection_max_response_bytes = 2 * MIB;
        config.message_max_bytes = MIB / 2;
    })
    .await;
    fill(&mut bench, 12).await;
    let mut deaf = bench.connect();
    for _ in 0..20 {
        deaf.send(&fetch(20 * MIB), 4).await;
    }
    let taken = 16 * MIB - settled(&bench).await;
    // What is left, and a first batch beyond it.
    assert!(taken > MIB && taken <= 3 * MIB, "{taken}");
    // It gets all of them when it reads.
    for _ in 0..20 {
        assert!(fetched(&mut deaf).await >= 400_000);
    }
    assert_eq!(settled(&bench).await, 16 * MIB);
    bench.stop().await;
}

#[tokio::test]
async fn who_reads_is_served_while_others_do_not_and_they_give_way() {
    let mut bench = Bench::start_with(narrow).await;
    fill(&mut bench, 12).await;
    let mut deaf: Vec<Wire> = (0..12).map(|_| bench.connect()).collect();
    for wire in &mut deaf {
        // More than the stream holds.
        for _ in 0..6 {
            wire.send(&fetch(20 * MIB), 4).await;
        }
    }
    assert!(settled(&bench).await < MIB, "little is left");
    let mut reads = bench.connect();
    let asked = tokio::time::Instant::now();
    reads.ask(&ApiVersionsRequest::default(), 0).await;
    assert!(asked.elapsed() < PRESSURE, "small ones do not wait");
    reads.send(&fetch(MIB), 4).await;
    assert!(fetched(&mut reads).await >= 400_000);
    drop((deaf, reads));
    bench.hung_up().await;
    assert_eq!(bench.services.answers.free(), 4 * MIB);
    bench.stop().await;
}

#[tokio::test]
async fn a_group_that_is_named_many_times_is_paid_for_once_and_told_each_time() {
    const TIMES: usize = 3_000;
    let mut bench = Bench::start_with(narrow).await;
    let mut wire = bench.connect();
    let groups = vec!["g".into(); TIMES];
    for version in 0..=6 {
        let request = DescribeGroupsRequest {
            groups: groups.clone(),
            ..Default::default()
        };
        let answer = wire.ask(&request, version).await;
        let read = answer.read();
        assert_eq!(read.groups.len(), TIMES);
        assert!(read.groups.iter().all(|group| group.group_id == "g"));
    }
    bench.stop().await;
}

#[tokio::test]
async fn large_answers_are_made_one_after_the_other_and_what_is_behind_them_waits() {
    let mut bench = Bench::start_with(narrow).await;
    let request = DescribeConfigsRequest {
        include_synonyms: true,
        // Much more than there may be, if each were written.
        ..describe_broker(2_000)
    };
    let mut deaf = bench.connect();
    for _ in 0..50 {
        deaf.send(&request, 4).await;
        deaf.send(&ListGroupsRequest::default(), 4).await;
    }
    let taken = 4 * MIB - settled(&bench).await;
    assert!(taken <= 2 * MIB + MIB / 2, "{taken}");
    let mut reads = bench.connect();
    let answer = reads.ask(&request, 4).await;
    assert_eq!(answer.read().results.len(), 2_000);
    drop((deaf, reads));
    bench.hung_up().await;
    assert_eq!(bench.services.answers.free(), 4 * MIB);
    bench.stop().await;
}

/// Difference: `answer-budgets`.
#[tokio::test]
async fn an_answer_that_is_larger_than_there_may_be_closes_its_connection() {
    let mut bench = Bench::start_with(|config| {
        config.queued_max_response_bytes = MIB;
        config.connection_max_response_bytes = MIB;
    })
    .await;
    let mut request = describe_broker(200);
    // Each is another resource.
    for (number, resource) in request.resources.iter_mut().enumerate() {
        let keys = crate::config::KEYS.iter().map(|key| key.name.into());
        resource.configuration_keys = Some(keys.chain([number.to_string().into()]).collect());
    }
    let mut wire = bench.connect();
    wire.send(&request, 4).await;
    assert_eq!(wire.frame().await, None);
    let mut other = bench.connect();
    other.ask(&ApiVersionsRequest::default(), 0).await;
    other.send_body(ApiKey::API_VERSIONS, 0, b"").await;
    assert!(other.frame().await.is_some());
    bench.stop().await;
}

/// A trial of so many topics.
fn trial(topics: usize) -> CreateTopicsRequest<'static> {
    let topic = |number| CreatableTopic {
        name: format!("{number:05}").into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    CreateTopicsRequest {
        // The other way round: the answer is in order of the names.
        topics: (0..topics).rev().map(topic).collect(),
        validate_only: true,
        ..Default::default()
    }
}

/// A name of five bytes has some two kilobytes of settings for an answer.
#[tokio::test]
async fn a_trial_of_many_topics_is_paid_for_before_it_is_told() {
    let mut bench = Bench::start_with(|config| {
        config.queued_max_response_bytes = MIB;
        config.connection_max_response_bytes = MIB;
    })
    .await;
    let mut wire = bench.connect();
    let answer = wire.ask(&trial(200), 7).await;
    let told = answer.read();
    let names: Vec<String> = told
        .topics
        .iter()
        .map(|told| told.name.to_string())
        .collect();
    let expected: Vec<String> = (0..200).map(|number| format!("{number:05}")).collect();
    assert_eq!(names, expected);
    let settings = |at: usize| told.topics[at].configs.as_ref().map_or(0, Vec::len);
    assert!(settings(0) > 20 && settings(199) == settings(0));
    wire.send(&trial(3_000), 7).await;
    assert_eq!(wire.frame().await, None);
    bench.hung_up().await;
    assert_eq!(bench.services.answers.free(), MIB);
    bench.stop().await;
}

/// A request that is refused before its handler sees it keeps nobody's turn.
#[tokio::test]
async fn connections_that_are_to_close_do_not_keep_the_right_to_make_large_answers() {
    let mut bench = Bench::start().await;
    // More than the stream holds.
    let large = describe_broker(500);
    let makers = bench.services.makers.available_permits();
    let mut deaf: Vec<Wire> = (0..makers).map(|_| bench.connect()).collect();
    for wire in &mut deaf {
        wire.send(&large, 4).await;
        wire.send_body(ApiKey::LIST_GROUPS, 99, b"").await;
    }
    settled(&bench).await;
    let mut other = bench.connect();
    other.ask(&ListGroupsRequest::default(), 4).await;
    assert_eq!(bench.services.makers.available_permits(), makers);
    drop((deaf, other));
    bench.hung_up().await;
    bench.stop().await;
}

#[tokio::test]
async fn as_many_large_answers_are_made_at_a_time_as_is_configured() {
    let mut bench = Bench::start_with(|config| {
        config.large_responses_max = 1;
        config.large_group_requests_max = 3;
    })
    .await;
    assert_eq!(bench.services.makers_of_lots.available_permits(), 3);
    let only = Arc::clone(&bench.services.makers)
        .try_acquire_owned()
        .unwrap();
    let mut wire = bench.connect();
    wire.send(&ListGroupsRequest::default(), 4).await;
    let mut other = bench.connect();
    other.ask(&ApiVersionsRequest::default(), 0).await;
    assert!(wire.is_silent());
    drop(only);
    assert!(wire.answer::<ListGroupsRequest>(4).await.is_some());
    bench.stop().await;
}
