//! Topics created and deleted over the wire, and producer ids.

use std::sync::Arc;

use callboard_offsets::memory::MemoryLog;
use callboard_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use callboard_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use callboard_protocol::messages::init_producer_id::InitProducerIdRequest;
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use callboard_protocol::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic};
use callboard_protocol::{ErrorCode, Uuid};

use crate::testing::{Bench, Wire};

fn create(topics: &[(&str, i32)]) -> CreateTopicsRequest<'static> {
    let topic = |(name, num_partitions): &(&str, i32)| CreatableTopic {
        name: (*name).to_owned().into(),
        num_partitions: *num_partitions,
        replication_factor: 1,
        ..Default::default()
    };
    CreateTopicsRequest {
        topics: topics.iter().map(topic).collect(),
        timeout_ms: 1_000,
        ..Default::default()
    }
}

fn delete(names: &[&str]) -> DeleteTopicsRequest<'static> {
    DeleteTopicsRequest {
        topic_names: names.iter().map(|name| (*name).to_owned().into()).collect(),
        topics: names
            .iter()
            .map(|name| DeleteTopicState {
                name: Some((*name).to_owned().into()),
                ..Default::default()
            })
            .collect(),
        timeout_ms: 1_000,
        ..Default::default()
    }
}

/// The request's part that a version has.
fn for_version(
    mut request: DeleteTopicsRequest<'static>,
    version: i16,
) -> DeleteTopicsRequest<'static> {
    if version >= 6 {
        request.topic_names = Vec::new();
    } else {
        request.topics = Vec::new();
    }
    request
}

async fn deleted(
    wire: &mut Wire,
    request: DeleteTopicsRequest<'static>,
    version: i16,
) -> Vec<ErrorCode> {
    let answer = wire.ask(&for_version(request, version), version).await;
    answer
        .read()
        .responses
        .iter()
        .map(|one| ErrorCode(one.error_code))
        .collect()
}

#[tokio::test]
async fn created_and_deleted_in_every_version() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    for version in 2..=7 {
        let answer = wire.ask(&create(&[("t", 2)]), version).await;
        let read = answer.read();
        let topic = &read.topics[0];
        assert_eq!((&*topic.name, topic.error_code), ("t", 0));
        assert_eq!(topic.num_partitions, if version >= 5 { 2 } else { -1 });
        assert_eq!(topic.topic_id != Uuid::ZERO, version >= 7);
        let again = wire.ask(&create(&[("t", 2)]), version).await;
        assert_eq!(
            ErrorCode(again.read().topics[0].error_code),
            ErrorCode::TOPIC_ALREADY_EXISTS
        );
        assert_eq!(
            deleted(&mut wire, delete(&["t"]), version - 1).await,
            [ErrorCode::NONE]
        );
        assert_eq!(
            deleted(&mut wire, delete(&["t"]), version - 1).await,
            [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]
        );
    }
    bench.stop().await;
}

#[tokio::test]
async fn topics_that_cannot_be_made_do_not_hold_up_the_others() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    let mut asked = create(&[
        ("good", 1),
        ("twice", 1),
        ("twice", 1),
        ("bad name", 1),
        ("none", 0),
        ("odd", 1),
    ]);
    asked.topics[5].configs = vec![CreatableTopicConfig {
        name: "no.such.key".into(),
        value: Some("1".into()),
        ..Default::default()
    }];
    let answer = wire.ask(&asked, 7).await;
    let read = answer.read();
    let told: Vec<_> = read
        .topics
        .iter()
        .map(|topic| (&*topic.name, ErrorCode(topic.error_code)))
        .collect();
    assert_eq!(
        told,
        [
            ("bad name", ErrorCode::INVALID_TOPIC_EXCEPTION),
            ("good", ErrorCode::NONE),
            ("none", ErrorCode::INVALID_PARTITIONS),
            ("odd", ErrorCode::INVALID_CONFIG),
            ("twice", ErrorCode::INVALID_REQUEST),
        ]
    );
    let mut dry = create(&[("dry", -1)]);
    dry.validate_only = true;
    assert_eq!(wire.ask(&dry, 7).await.read().topics[0].num_partitions, 1);
    assert!(bench.services.topics.snapshot().by_name("dry").is_none());
    bench.stop().await;
}

/// The log of offsets is full for a while. The deletion is acknowledged and its client gone long before.
#[tokio::test]
async fn the_next_topic_of_the_name_begins_without_offsets_whatever_the_disk_says() {
    let log = Arc::new(MemoryLog::new(50));
    let mut bench = Bench::start_over(&log).await;
    bench.create("t", 1).await;
    let mut wire = bench.connect();
    let commit = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: 500,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let committed = wire.ask(&commit, 8).await;
    assert_eq!(committed.read().topics[0].partitions[0].error_code, 0);
    log.set_full(true);
    assert_eq!(
        deleted(&mut wire, delete(&["t"]), 5).await,
        [ErrorCode::NONE]
    );
    drop(wire);

    let mut wire = bench.connect();
    let code = async |wire: &mut Wire, asked: &CreateTopicsRequest<'static>| {
        let answer = wire.ask(asked, 7).await;
        ErrorCode(answer.read().topics[0].error_code)
    };
    let mut again = create(&[("t", 1)]);
    again.timeout_ms = 100;
    assert_eq!(code(&mut wire, &again).await, ErrorCode::REQUEST_TIMED_OUT);
    assert_eq!(code(&mut wire, &create(&[("u", 1)])).await, ErrorCode::NONE);
    log.set_full(false);
    again.timeout_ms = 20_000;
    assert_eq!(code(&mut wire, &again).await, ErrorCode::NONE);
    let fetch = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".into(),
            partition_indexes: vec![0],
            ..Default::default()
        }]),
        ..Default::default()
    };
    let fetched = wire.ask(&fetch, 5).await;
    let found = &fetched.read().topics[0].partitions[0];
    assert_eq!((found.committed_offset, found.error_code), (-1, 0));
    bench.stop().await;
}

#[tokio::test]
async fn deletions_by_id_and_those_that_are_refused() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    let id = bench.services.topics.snapshot().by_name("t").unwrap().id;
    let mut wire = bench.connect();
    let state = |name: Option<&str>, topic_id| DeleteTopicState {
        name: name.map(|name| name.to_owned().into()),
        topic_id,
        ..Default::default()
    };
    let asked = DeleteTopicsRequest {
        topics: vec![
            state(Some("t"), id),
            state(None, Uuid::ZERO),
            state(None, Uuid([5; 16])),
            state(Some("__consumer_offsets"), Uuid::ZERO),
            state(Some("x"), Uuid::ZERO),
            state(Some("x"), Uuid::ZERO),
            state(None, id),
        ],
        ..Default::default()
    };
    let codes = [
        ErrorCode::INVALID_REQUEST,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::UNKNOWN_TOPIC_ID,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::INVALID_REQUEST,
        ErrorCode::NONE,
    ];
    assert_eq!(deleted(&mut wire, asked, 6).await, codes);
    assert!(bench.services.topics.snapshot().by_name("t").is_none());
    bench.stop().await;
}

#[tokio::test]
async fn producer_ids_are_new_each_time() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    let plain = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 1,
        ..Default::default()
    };
    let mut last = -1;
    for version in 0..=5 {
        let answer = wire.ask(&plain, version).await;
        let read = answer.read();
        assert!(
            read.error_code == 0 && read.producer_id > last && read.producer_epoch == 0,
            "{read:?}"
        );
        last = read.producer_id;
    }
    let refused = |change: fn(&mut InitProducerIdRequest<'static>)| {
        let mut asked = plain.clone();
        change(&mut asked);
        asked
    };
    for (asked, code) in [
        (
            refused(|one| one.transactional_id = Some("t".into())),
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ),
        (
            refused(|one| one.transactional_id = Some("".into())),
            ErrorCode::INVALID_REQUEST,
        ),
        (
            refused(|one| one.producer_id = 4),
            ErrorCode::INVALID_REQUEST,
        ),
    ] {
        let answer = wire.ask(&asked, 4).await;
        let read = answer.read();
        assert_eq!(
            (
                ErrorCode(read.error_code),
                read.producer_id,
                read.producer_epoch
            ),
            (code, -1, -1)
        );
    }
    bench.stop().await;
}
