//! A group whose record is larger than Kafka's default batch, as a reader of `__consumer_offsets` finds it.

use std::time::Duration;

use callboard_coordinator::{Call, Reply, request, response};
use callboard_offsets::log::OffsetsLog;
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use callboard_protocol::records::{BatchIter, DecompressLimit};
use tokio::sync::oneshot;

use crate::testing::{Bench, Wire};

/// The group "test" belongs to partition 48 of 50.
const GROUP: &str = "test";
const PARTITION: u32 = 48;
/// Kafka's default `max.message.bytes` is below.
const METADATA_BYTES: usize = 1_500_000;

async fn ask<Q, A: Send + 'static>(
    bench: &Bench,
    call: impl FnOnce(Q, Reply<A>) -> Call,
    request: Q,
) -> A {
    let (answer, wait) = oneshot::channel();
    let reply = Reply::new(move |given| drop(answer.send(given)));
    bench
        .services
        .coordinators
        .submit(vec![call(request, reply)]);
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, wait).await.unwrap().unwrap()
}

/// A member joins, again if it has an id, and brings its plan.
async fn round(bench: &Bench, member_id: &str) -> response::JoinGroup {
    let join = request::JoinGroup {
        group_id: GROUP.into(),
        member_id: member_id.to_owned(),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![request::JoinProtocol {
            name: "range".into(),
            metadata: vec![7; METADATA_BYTES].into(),
        }],
        ..Default::default()
    };
    let member = ask(bench, Call::JoinGroup, join).await;
    assert_eq!(member.error, ErrorCode::NONE);
    let sync = request::SyncGroup {
        group_id: GROUP.into(),
        generation_id: member.generation_id,
        member_id: member.member_id.to_string(),
        ..Default::default()
    };
    let synced = ask(bench, Call::SyncGroup, sync).await;
    assert_eq!(synced.error, ErrorCode::NONE);
    member
}

/// Offsets and value sizes of the records of one Fetch.
async fn fetch(wire: &mut Wire, fetch_offset: i64) -> (i64, Vec<(i64, usize)>) {
    let request = FetchRequest {
        topics: vec![FetchTopic {
            topic: "__consumer_offsets".into(),
            partitions: vec![FetchPartition {
                partition: PARTITION as i32,
                fetch_offset,
                partition_max_bytes: 1024 * 1024,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = wire.ask(&request, 12).await;
    let read = answer.read();
    let partition = &read.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let bytes = partition.records.as_ref().unwrap().to_bytes(answer.frame());
    let mut records = Vec::new();
    for batch in BatchIter::new(bytes) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in batch.records(DecompressLimit::new(0)).unwrap() {
            let record = record.unwrap();
            records.push((record.offset, record.value.map_or(0, |value| value.len())));
        }
    }
    (partition.high_watermark, records)
}

#[tokio::test]
async fn a_large_group_is_fetched_and_compacted() {
    let mut bench = Bench::start_with(|config| {
        config.group_initial_rebalance_delay = Duration::ZERO;
        config.offsets_topic_segment_bytes = 4 * 1024 * 1024;
        config.log_cleaner_backoff = Duration::from_millis(1);
    })
    .await;
    let member = round(&bench, "").await;
    let mut wire = bench.connect();
    let (end, records) = fetch(&mut wire, 1).await;
    assert_eq!((end, records.len(), records[0].0), (2, 1, 1));
    assert!(records[0].1 > METADATA_BYTES);
    let compacted = async {
        loop {
            // The round before is dead by now.
            round(&bench, &member.member_id).await;
            if bench
                .services
                .offsets_topic
                .backlog(PARTITION)
                .unwrap()
                .snapshot_bytes
                > 0
            {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), compacted)
        .await
        .unwrap();
    let (_, records) = fetch(&mut wire, 0).await;
    assert!(records[0].0 > 0, "the first rounds have gone: {records:?}");
    assert!(records[0].1 > METADATA_BYTES);
    bench.stop().await;
}

/// Kafka answers at once, and no append makes it another answer.
#[tokio::test]
async fn a_fetch_outside_of_the_log_is_told_at_once() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    for fetch_offset in [1_000, -1] {
        let request = FetchRequest {
            max_wait_ms: i32::MAX,
            min_bytes: 1,
            max_bytes: 1024 * 1024,
            topics: vec![FetchTopic {
                topic: "__consumer_offsets".into(),
                partitions: vec![FetchPartition {
                    partition: PARTITION as i32,
                    fetch_offset,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = wire.ask(&request, 12).await;
        let code = answer.read().responses[0].partitions[0].error_code;
        assert_eq!(ErrorCode(code), ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    bench.stop().await;
}
