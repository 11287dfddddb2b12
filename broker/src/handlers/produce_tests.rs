//! Produce as a producer sees it, and every batch Kafka's own broker was given.

use std::time::Duration;

use callboard_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use callboard_protocol::{ErrorCode, Uuid};

use crate::log::{test_batch, test_batch_of, test_bomb};
use crate::testing::{Bench, Wire};
use crate::topics::NewTopic;

/// The newest version that names topics.
const BY_NAME: i16 = 12;
/// A timestamp like any other.
const NOW: i64 = 1_700_000_000_000;

fn request(
    topic: &str,
    index: i32,
    records: Option<bytes::Bytes>,
    acks: i16,
) -> ProduceRequest<'static> {
    ProduceRequest {
        acks,
        timeout_ms: 1_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned().into(),
            partition_data: vec![PartitionProduceData {
                index,
                records: records.map(Into::into),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

async fn produce(
    wire: &mut Wire,
    request: &ProduceRequest<'static>,
    version: i16,
) -> PartitionProduceResponse<'static> {
    let answer = wire.ask(request, version).await;
    let partition = answer
        .read()
        .responses
        .remove(0)
        .partition_responses
        .remove(0);
    PartitionProduceResponse {
        index: partition.index,
        error_code: partition.error_code,
        base_offset: partition.base_offset,
        log_append_time_ms: partition.log_append_time_ms,
        log_start_offset: partition.log_start_offset,
        error_message: partition.error_message.map(|text| text.into_owned().into()),
        ..Default::default()
    }
}

async fn with_topic(name: &str) -> Bench {
    let bench = Bench::start().await;
    bench.create(name, 2).await;
    bench
}

#[tokio::test]
async fn every_version_appends_and_tells_the_offset() {
    let mut bench = with_topic("t").await;
    let id = bench.services.topics.snapshot().by_name("t").unwrap().id;
    let mut wire = bench.connect();
    for version in 3..=13 {
        let mut request = request("t", 1, Some(test_batch(3)), -1);
        request.topic_data[0].topic_id = id;
        let answer = produce(&mut wire, &request, version).await;
        let offset = i64::from(version - 3) * 3;
        assert_eq!(
            ErrorCode(answer.error_code),
            ErrorCode::NONE,
            "{version}: {:?}",
            answer.error_message
        );
        assert_eq!(
            (answer.index, answer.base_offset, answer.log_append_time_ms),
            (1, offset, -1)
        );
        assert_eq!(answer.log_start_offset, if version >= 5 { 0 } else { -1 });
    }
    bench.stop().await;
}

#[tokio::test]
async fn what_cannot_be_appended_says_why() {
    let mut bench = with_topic("t").await;
    let mut wire = bench.connect();
    let batch = || Some(test_batch(1));
    for (asked, code) in [
        (
            request("nobody", 0, batch(), 1),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            request("t", 2, batch(), 1),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            request("t", -1, batch(), 1),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            request("__consumer_offsets", 0, batch(), 1),
            ErrorCode::INVALID_TOPIC_EXCEPTION,
        ),
        (
            request("t", 0, batch(), 2),
            ErrorCode::INVALID_REQUIRED_ACKS,
        ),
        (request("t", 0, None, 1), ErrorCode::INVALID_RECORD),
        (
            request("t", 0, Some(vec![0; 2_000_000].into()), 1),
            ErrorCode::MESSAGE_TOO_LARGE,
        ),
    ] {
        let answer = produce(&mut wire, &asked, BY_NAME).await;
        assert_eq!(
            (ErrorCode(answer.error_code), answer.base_offset),
            (code, -1),
            "{asked:?}"
        );
    }
    let mut by_id = request("", 0, batch(), 1);
    by_id.topic_data[0].topic_id = Uuid([7; 16]);
    assert_eq!(
        ErrorCode(produce(&mut wire, &by_id, 13).await.error_code),
        ErrorCode::UNKNOWN_TOPIC_ID
    );
    bench.stop().await;
}

#[tokio::test]
async fn without_acks_success_is_silent_and_failure_closes() {
    let mut bench = with_topic("t").await;
    let mut wire = bench.connect();
    wire.send(&request("t", 0, Some(test_batch(2)), 0), BY_NAME)
        .await;
    // The first answer that comes is of the second request, behind the silent one.
    let answer = produce(&mut wire, &request("t", 0, Some(test_batch(1)), 1), BY_NAME).await;
    assert_eq!(answer.base_offset, 2);
    wire.send(&request("nobody", 0, Some(test_batch(1)), 0), BY_NAME)
        .await;
    assert_eq!(wire.frame().await, None);
    bench.stop().await;
}

#[tokio::test]
async fn pipelined_batches_get_offsets_in_their_order() {
    let mut bench = with_topic("t").await;
    let mut wire = bench.connect();
    for records in 1..=20 {
        wire.send(&request("t", 0, Some(test_batch(records)), 1), BY_NAME)
            .await;
    }
    let mut next = 0;
    for records in 1..=20 {
        let answer = wire
            .answer::<ProduceRequest<'static>>(BY_NAME)
            .await
            .unwrap();
        assert_eq!(
            answer.read().responses[0].partition_responses[0].base_offset,
            next
        );
        next += records;
    }
    bench.stop().await;
}

/// Kafka has no bound on what a batch unfolds to. What is small enough to be checked at once goes behind what is not,
/// or an idempotent producer would be out of order.
#[tokio::test]
async fn a_bomb_is_taken_and_what_follows_it_keeps_its_place() {
    let mut bench = with_topic("t").await;
    let mut wire = bench.connect();
    let producer = |sequence| Some((7, 0, sequence));
    let batches = [
        test_bomb(200, producer(0)),
        test_batch_of(&[NOW], 10, producer(1)),
        test_bomb(10, producer(2)),
        test_batch_of(&[NOW], 10, producer(3)),
    ];
    for batch in &batches {
        assert!(batch.len() < 10_000);
        let request = request("t", 0, Some(batch.clone()), 1);
        wire.send(&request, BY_NAME).await;
    }
    for offset in 0..4 {
        let answer = wire
            .answer::<ProduceRequest<'static>>(BY_NAME)
            .await
            .unwrap();
        let partition = &answer.read().responses[0].partition_responses[0];
        assert_eq!(
            (ErrorCode(partition.error_code), partition.base_offset),
            (ErrorCode::NONE, offset),
            "{:?}",
            partition.error_message
        );
    }
    bench.stop().await;
}

/// Nothing is refused, and whoever filled the queue is not read further.
#[tokio::test]
async fn a_full_queue_holds_its_connection_back() {
    let mut bench = Bench::start_with(|config| config.compute_queue_max = 1).await;
    bench.create("t", 2).await;
    let mut wire = bench.connect();
    for _ in 0..10 {
        wire.send(&request("t", 0, Some(test_bomb(20, None)), 1), BY_NAME)
            .await;
    }
    for offset in 0..10 {
        let answer = wire
            .answer::<ProduceRequest<'static>>(BY_NAME)
            .await
            .unwrap();
        let partition = &answer.read().responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, offset));
    }
    bench.stop().await;
}

/// What Apache Kafka 4.2.0 answered to the same requests, but for the order: there it is that of a hash map.
#[tokio::test]
async fn a_partition_that_is_named_often_is_taken_once_as_it_is_named_last() {
    let mut bench = with_topic("t").await;
    let mut wire = bench.connect();
    let broken = || {
        let mut bytes = test_batch(3).to_vec();
        bytes[17] ^= 0xff;
        bytes.into()
    };
    let of = |records: usize| test_batch(records);
    type Named = (i32, bytes::Bytes);
    let none = ErrorCode::NONE;
    let corrupt = ErrorCode::CORRUPT_MESSAGE;
    type Told = (i32, ErrorCode, i64);
    let cases: [(Vec<Vec<Named>>, Vec<Told>); 6] = [
        (
            vec![vec![(0, of(1)), (1, of(1))]],
            vec![(0, none, 0), (1, none, 0)],
        ),
        (
            vec![vec![(0, of(2)), (1, of(1)), (0, of(3)), (0, of(5))]],
            vec![(1, none, 1), (0, none, 1)],
        ),
        (
            vec![vec![(0, of(7)), (1, of(1))], vec![(0, of(11))]],
            vec![(1, none, 2), (0, none, 6)],
        ),
        (vec![vec![(0, broken()), (0, of(13))]], vec![(0, none, 17)]),
        (
            vec![vec![(0, of(17)), (0, broken())]],
            vec![(0, corrupt, -1)],
        ),
        (
            vec![vec![(0, of(1))], vec![(0, of(1))]],
            vec![(0, none, 30)],
        ),
    ];
    for (topics, expected) in cases {
        let mut asked = request("t", 0, None, 1);
        let topic = asked.topic_data.remove(0);
        asked.topic_data.extend(topics.into_iter().map(|named| {
            let data = |(index, records): Named| PartitionProduceData {
                index,
                records: Some(records.into()),
                ..Default::default()
            };
            TopicProduceData {
                partition_data: named.into_iter().map(data).collect(),
                ..topic.clone()
            }
        }));
        let answer = wire.ask(&asked, BY_NAME).await;
        let read = answer.read();
        let told = read.responses.iter().flat_map(|topic| {
            assert!(!topic.partition_responses.is_empty());
            let of = |one: &PartitionProduceResponse<'_>| {
                (one.index, ErrorCode(one.error_code), one.base_offset)
            };
            topic.partition_responses.iter().map(of)
        });
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
    bench.stop().await;
}

#[tokio::test]
async fn zstd_is_refused_before_version_7() {
    let mut bench = with_topic("t").await;
    let mut wire = bench.connect();
    let zstd = bytes::Bytes::from(golden("plain-zstd.bin"));
    for (version, code) in [
        (6, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE),
        (7, ErrorCode::NONE),
    ] {
        let answer = produce(&mut wire, &request("t", 0, Some(zstd.clone()), 1), version).await;
        assert_eq!(ErrorCode(answer.error_code), code);
    }
    bench.stop().await;
}

fn golden(file: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/kafka-4.2.0/record_batches"
    );
    std::fs::read(format!("{folder}/{file}")).unwrap()
}

/// `broker_append` of each file is what Apache Kafka 4.2.0 answered to these bytes in a Produce.
#[tokio::test]
async fn every_golden_batch_is_answered_as_kafka_answers_it() {
    let mut bench = with_topic("t").await;
    let index: serde_json::Value = serde_json::from_slice(&golden("index.json")).unwrap();
    let mut wire = bench.connect();
    let files = index["files"].as_array().unwrap();
    assert!(files.len() > 60);
    for entry in files {
        let file = entry["file"].as_str().unwrap();
        let told = entry["broker_append"].as_str().unwrap();
        let expected = match told {
            // There are no transactions here.
            _ if file == "transactional.bin" => ErrorCode::INVALID_TXN_STATE,
            "accepted" => ErrorCode::NONE,
            told if told.contains("CORRUPT_MESSAGE 2") => ErrorCode::CORRUPT_MESSAGE,
            told if told.contains("INVALID_RECORD 87") => ErrorCode::INVALID_RECORD,
            told if told.contains("UNKNOWN_SERVER_ERROR -1") => ErrorCode::UNKNOWN_SERVER_ERROR,
            told => panic!("{file}: {told}"),
        };
        let records = bytes::Bytes::from(golden(file));
        let answer = produce(&mut wire, &request("t", 0, Some(records), 1), 9).await;
        assert_eq!(
            ErrorCode(answer.error_code),
            expected,
            "{file}: {:?}",
            answer.error_message
        );
    }
    bench.stop().await;
}

impl Bench {
    pub(crate) async fn create(&self, name: &str, partitions: i32) {
        let topic = NewTopic {
            name: name.to_owned(),
            partitions,
            replication_factor: 1,
            ..NewTopic::default()
        };
        self.services
            .topics
            .create_topic(topic, Duration::ZERO)
            .await
            .unwrap();
    }
}
