//! Metadata, and topics that come by being asked for.

use callboard_protocol::header::RequestHeader;
use callboard_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use callboard_protocol::{ApiKey, ErrorCode, Uuid, frame};

use super::{FEW_PARTITIONS, has_large_answer};
use crate::testing::{Bench, Wire};

fn named(names: &[&str]) -> MetadataRequest<'static> {
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some((*name).to_owned().into()),
        ..Default::default()
    };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: true,
        ..Default::default()
    }
}

/// Error, name, id and number of partitions of each topic.
async fn ask(
    wire: &mut Wire,
    request: &MetadataRequest<'static>,
    version: i16,
) -> Vec<(ErrorCode, String, Uuid, usize)> {
    let answer = wire.ask(request, version).await;
    let read = answer.read();
    assert_eq!(
        (
            read.brokers.len(),
            read.brokers[0].node_id,
            read.brokers[0].port
        ),
        (1, 1, 9092)
    );
    assert_eq!(read.controller_id, if version >= 1 { 1 } else { -1 });
    assert_eq!(read.cluster_id.is_some(), version >= 2);
    let topic = |topic: &callboard_protocol::messages::metadata::MetadataResponseTopic<'_>| {
        let name = topic.name.as_deref().unwrap_or("-").to_owned();
        (
            ErrorCode(topic.error_code),
            name,
            topic.topic_id,
            topic.partitions.len(),
        )
    };
    read.topics.iter().map(topic).collect()
}

#[tokio::test]
async fn all_topics_named_topics_and_none() {
    let mut bench = Bench::start().await;
    bench.create("t", 3).await;
    let mut wire = bench.connect();
    for version in 0..=13 {
        let all = MetadataRequest {
            topics: if version == 0 { Some(Vec::new()) } else { None },
            ..Default::default()
        };
        let got = ask(&mut wire, &all, version).await;
        let names: Vec<_> = got
            .iter()
            .map(|(_, name, _, partitions)| (name.as_str(), *partitions))
            .collect();
        assert_eq!(names, [("__consumer_offsets", 50), ("t", 3)], "{version}");
        assert_eq!(got[1].2 != Uuid::ZERO, version >= 10);
        let one = ask(&mut wire, &named(&["t", "t"]), version).await;
        assert_eq!(one.len(), 1);
        if version > 0 {
            assert_eq!(ask(&mut wire, &named(&[]), version).await, []);
        }
    }
    let answer = wire.ask(&named(&["__consumer_offsets"]), 13).await;
    let read = answer.read();
    let partition = &read.topics[0].partitions[49];
    assert!(read.topics[0].is_internal);
    assert_eq!(
        (
            partition.leader_id,
            partition.leader_epoch,
            &partition.isr_nodes[..]
        ),
        (1, 0, &[1][..])
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_topic_is_created_by_being_asked_for_where_both_sides_allow_it() {
    let mut bench = Bench::start_with(|config| config.num_partitions = 2).await;
    let mut wire = bench.connect();
    let mut not_now = named(&["later"]);
    not_now.allow_auto_topic_creation = false;
    let unknown = (
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        "later".to_owned(),
        Uuid::ZERO,
        0,
    );
    assert_eq!(ask(&mut wire, &not_now, 9).await, [unknown]);
    let got = ask(&mut wire, &named(&["later", "bad name", ""]), 9).await;
    let told: Vec<_> = got
        .iter()
        .map(|(code, name, _, partitions)| (*code, name.as_str(), *partitions))
        .collect();
    let invalid = ErrorCode::INVALID_TOPIC_EXCEPTION;
    assert_eq!(
        told,
        [
            (invalid, "", 0),
            (invalid, "bad name", 0),
            (ErrorCode::NONE, "later", 2)
        ]
    );
    bench.stop().await;

    let mut bench = Bench::start_with(|config| config.auto_create_topics = false).await;
    let mut wire = bench.connect();
    assert_eq!(
        ask(&mut wire, &named(&["t"]), 0).await[0].0,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    );
    bench.stop().await;
}

#[tokio::test]
async fn topics_by_id() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    let id = bench.services.topics.snapshot().by_name("t").unwrap().id;
    let mut wire = bench.connect();
    let by_id = |id, name: Option<&str>| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            topic_id: id,
            name: name.map(|name| name.to_owned().into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    for version in [12, 13] {
        assert_eq!(
            ask(&mut wire, &by_id(id, None), version).await,
            [(ErrorCode::NONE, "t".to_owned(), id, 1)]
        );
        let other = Uuid([3; 16]);
        let unknown = (ErrorCode::UNKNOWN_TOPIC_ID, "-".to_owned(), other, 0);
        assert_eq!(
            ask(&mut wire, &by_id(other, None), version).await,
            [unknown]
        );
    }
    for version in [10, 11] {
        let answer = wire.ask(&by_id(id, Some("t")), version).await;
        assert_eq!(
            ErrorCode(answer.read().topics[0].error_code),
            ErrorCode::INVALID_REQUEST
        );
    }
    bench.stop().await;
}

#[tokio::test]
async fn operations_are_told_to_who_asks() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    let mut wire = bench.connect();
    let mut asked = named(&["t"]);
    let answer = wire.ask(&asked, 9).await;
    let told = (
        answer.read().cluster_authorized_operations,
        answer.read().topics[0].topic_authorized_operations,
    );
    assert_eq!(told, (i32::MIN, i32::MIN));
    asked.include_cluster_authorized_operations = true;
    asked.include_topic_authorized_operations = true;
    let answer = wire.ask(&asked, 9).await;
    let told = (
        answer.read().cluster_authorized_operations,
        answer.read().topics[0].topic_authorized_operations,
    );
    assert_eq!(told, (8096, 3576));
    bench.stop().await;
}

#[tokio::test]
async fn few_topics_with_many_partitions_are_a_large_answer() {
    let bench = Bench::start().await;
    let partitions = i32::try_from(FEW_PARTITIONS).unwrap();
    bench.create("small", partitions).await;
    bench.create("one_more", 1).await;
    let snapshot = bench.services.topics.snapshot();
    let by_id = snapshot.by_name("one_more").unwrap().id;
    let of = |name: Option<&'static str>, topic_id| MetadataRequestTopic {
        name: name.map(Into::into),
        topic_id,
        ..Default::default()
    };
    let is_large = |topics| {
        let request = MetadataRequest {
            topics: Some(topics),
            ..Default::default()
        };
        has_large_answer(&request, &snapshot)
    };
    let small = || of(Some("small"), Uuid::ZERO);
    assert!(!is_large(vec![small()]));
    assert!(!is_large(vec![small(), of(Some("none"), Uuid::ZERO)]));
    assert!(is_large(vec![small(), of(Some("one_more"), Uuid::ZERO)]));
    assert!(is_large(vec![small(), of(None, by_id)]));
    bench.stop().await;
}

/// It waits for its turn as one that names many, and is decoded when it has it.
#[tokio::test]
async fn a_long_request_is_not_decoded_to_be_counted() {
    let bench = Bench::start().await;
    let makers = |name: &str| {
        let header = RequestHeader {
            api_key: ApiKey::METADATA,
            api_version: 9,
            correlation_id: 0,
            client_id: None,
        };
        let framed = frame::encode_request(&header, &named(&[name]), 9).unwrap();
        super::super::makers(&framed[4..], &bench.services).is_some()
    };
    assert!(!makers("short"));
    assert!(makers(&"long".repeat(5_000)));
    bench.stop().await;
}
