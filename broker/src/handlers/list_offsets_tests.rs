//! ListOffsets as a consumer sees it.

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use callboard_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};

use crate::log::test_batch_at;
use crate::testing::{Bench, Wire};

const NEWEST: i16 = 11;

fn request(topic: &str, asked: &[(i32, i64)]) -> ListOffsetsRequest<'static> {
    let partition = |(partition_index, timestamp): &(i32, i64)| ListOffsetsPartition {
        partition_index: *partition_index,
        timestamp: *timestamp,
        ..Default::default()
    };
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.to_owned().into(),
            partitions: asked.iter().map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// Error, offset, timestamp and leader epoch of each partition.
async fn list(
    wire: &mut Wire,
    request: &ListOffsetsRequest<'static>,
    version: i16,
) -> Vec<(ErrorCode, i64, i64, i32)> {
    let answer = wire.ask(request, version).await;
    let read = answer.read();
    let partitions = read.topics.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|one| {
            (
                ErrorCode(one.error_code),
                one.offset,
                one.timestamp,
                one.leader_epoch,
            )
        })
        .collect()
}

fn produce(topic: &str, index: i32, timestamps: &[i64]) -> ProduceRequest<'static> {
    ProduceRequest {
        acks: 1,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned().into(),
            partition_data: vec![PartitionProduceData {
                index,
                records: Some(test_batch_at(timestamps).into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[tokio::test]
async fn first_next_and_timed_offsets() {
    let mut bench = Bench::start().await;
    bench.create("t", 2).await;
    let mut wire = bench.connect();
    // Not waited for: a lookup on the same connection comes behind them.
    wire.send(&produce("t", 0, &[1_000, 3_000, 2_000]), 9).await;
    wire.send(&produce("t", 0, &[4_000, 3_500]), 9).await;
    let end = request("t", &[(0, -1)]);
    wire.send(&end, NEWEST).await;
    for _ in 0..2 {
        assert!(wire.answer::<ProduceRequest<'static>>(9).await.is_some());
    }
    let answer = wire
        .answer::<ListOffsetsRequest<'static>>(NEWEST)
        .await
        .unwrap();
    assert_eq!(answer.read().topics[0].partitions[0].offset, 5);
    let none = (ErrorCode::NONE, -1, -1, -1);
    for (timestamp, expected) in [
        (-2, (ErrorCode::NONE, 0, -1, 0)),
        (-4, (ErrorCode::NONE, 0, -1, 0)),
        (-3, (ErrorCode::NONE, 3, 4_000, 0)),
        (-5, none),
        (-6, none),
        (0, (ErrorCode::NONE, 0, 1_000, 0)),
        (1_001, (ErrorCode::NONE, 1, 3_000, 0)),
        (3_001, (ErrorCode::NONE, 3, 4_000, 0)),
        (4_001, none),
        (-7, (ErrorCode::UNSUPPORTED_VERSION, -1, -1, -1)),
    ] {
        assert_eq!(
            list(&mut wire, &request("t", &[(0, timestamp)]), NEWEST).await,
            [expected],
            "{timestamp}"
        );
    }
    // An empty partition.
    assert_eq!(
        list(&mut wire, &request("t", &[(1, -3)]), NEWEST).await,
        [none]
    );
    assert_eq!(
        list(&mut wire, &request("t", &[(1, -1)]), NEWEST).await,
        [(ErrorCode::NONE, 0, -1, 0)]
    );
    bench.stop().await;
}

#[tokio::test]
async fn special_timestamps_have_their_first_version() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    let mut wire = bench.connect();
    for (timestamp, first) in [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
        for version in 1..=NEWEST {
            let code = list(&mut wire, &request("t", &[(0, timestamp)]), version).await[0].0;
            assert_eq!(
                code == ErrorCode::UNSUPPORTED_VERSION,
                version < first,
                "{timestamp} v{version}"
            );
        }
    }
    bench.stop().await;
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    let mut wire = bench.connect();
    let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1, -1, -1);
    assert_eq!(
        list(&mut wire, &request("nobody", &[(0, -1)]), NEWEST).await,
        [unknown]
    );
    assert_eq!(
        list(&mut wire, &request("t", &[(1, -1), (-1, -1)]), NEWEST).await,
        [unknown, unknown]
    );
    let twice = (ErrorCode::INVALID_REQUEST, -1, -1, -1);
    assert_eq!(
        list(&mut wire, &request("t", &[(0, -1), (0, -2)]), NEWEST).await,
        [twice]
    );
    let mut epoch = request("t", &[(0, -1)]);
    epoch.topics[0].partitions[0].current_leader_epoch = 4;
    assert_eq!(
        list(&mut wire, &epoch, NEWEST).await[0].0,
        ErrorCode::UNKNOWN_LEADER_EPOCH
    );
    bench.stop().await;
}

/// Enough for every connection to do what it can.
async fn let_all_go_on(bench: &mut Bench) {
    let mut other = bench.connect();
    for _ in 0..50 {
        list(&mut other, &request("t", &[(0, -1)]), NEWEST).await;
    }
}

/// Searches wait without limit for a thread, but not many of one connection; and it costs only who asked.
#[tokio::test]
async fn a_connection_has_one_search_at_a_time() {
    let mut bench = Bench::start_with(|config| {
        config.compute_threads = 1;
        config.compute_queue_max = 3;
    })
    .await;
    bench.create("t", 1).await;
    let mut wire = bench.connect();
    wire.ask(&produce("t", 0, &[1_000]), 9).await;
    let compute = bench.services.compute.clone();
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let patience = std::time::Duration::from_secs(30);
    let busy = compute.run(&compute.lane(), move || gate.recv_timeout(patience));
    let asked = [(0, 500), (0, -3), (0, 1_000), (0, 0)];
    for asked in asked {
        wire.send(&request("t", &[asked]), NEWEST).await;
    }
    let_all_go_on(&mut bench).await;
    // What keeps the thread, and one search.
    assert!(!compute.is_full());
    assert!(wire.is_silent());
    open.send(()).unwrap();
    assert_eq!(busy.await, Some(Ok(())));
    for _ in asked {
        let answer = wire.answer::<ListOffsetsRequest<'static>>(NEWEST).await;
        assert_eq!(answer.unwrap().read().topics[0].partitions[0].offset, 0);
    }
    bench.stop().await;
}

/// As a Fetch of it. What needs no look at records needs no thread.
#[tokio::test]
async fn a_search_in_the_offsets_topic_waits_for_its_place_among_the_reads() {
    let mut bench = Bench::start_with(|config| config.fetch_reads_max = 1).await;
    bench.create("t", 1).await;
    let others = std::sync::Arc::clone(&bench.services.fetch_reads);
    let reading = others.acquire_owned().await.unwrap();
    // The group "test" belongs to partition 48 of 50.
    let offsets = |timestamp| request("__consumer_offsets", &[(48, timestamp)]);
    let mut wire = bench.connect();
    let commit = OffsetCommitRequest {
        group_id: "test".into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetCommitRequestPartition::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = wire.ask(&commit, 8).await;
    assert_eq!(answer.read().topics[0].partitions[0].error_code, 0);
    for (timestamp, offset) in [(-1, 1), (-2, 0), (-4, 0), (-5, -1), (-6, -1)] {
        let got = list(&mut wire, &offsets(timestamp), NEWEST).await;
        assert_eq!(
            (got[0].0, got[0].1),
            (ErrorCode::NONE, offset),
            "{timestamp}"
        );
    }
    for timestamp in [-3, 1] {
        wire.send(&offsets(timestamp), NEWEST).await;
    }
    let_all_go_on(&mut bench).await;
    assert!(wire.is_silent());
    drop(reading);
    for _ in 0..2 {
        let answer = wire.answer::<ListOffsetsRequest<'static>>(NEWEST).await;
        assert_eq!(answer.unwrap().read().topics[0].partitions[0].offset, 0);
    }
    bench.stop().await;
}
