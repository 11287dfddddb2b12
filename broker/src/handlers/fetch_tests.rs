//! Fetch as a consumer sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_offsets::log::OffsetsLog;
use callboard_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, ReplicaState};
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use callboard_protocol::records::{BatchIter, DecompressLimit};
use callboard_protocol::{ErrorCode, Uuid};

use crate::log::{AppendReply, test_batch};
use crate::testing::{Bench, Wire};

/// The newest version that names topics.
const BY_NAME: i16 = 12;

fn request(
    topic: &str,
    partitions: &[(i32, i64)],
    wait: i32,
    min_bytes: i32,
) -> FetchRequest<'static> {
    let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1024 * 1024,
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms: wait,
        min_bytes,
        topics: vec![FetchTopic {
            topic: topic.to_owned().into(),
            partitions: partitions.iter().map(partition).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// What a partition's answer says.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    code: ErrorCode,
    high_watermark: i64,
    log_start: i64,
    bytes: Bytes,
}

async fn fetch(wire: &mut Wire, request: &FetchRequest<'static>, version: i16) -> Vec<Got> {
    let answer = wire.ask(request, version).await;
    let read = answer.read();
    assert_eq!(ErrorCode(read.error_code), ErrorCode::NONE);
    assert_eq!(read.session_id, 0);
    let partitions = read.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| Got {
            code: ErrorCode(partition.error_code),
            high_watermark: partition.high_watermark,
            log_start: partition.log_start_offset,
            bytes: partition
                .records
                .as_ref()
                .map(|records| records.to_bytes(answer.frame()))
                .unwrap_or_default(),
        })
        .collect()
}

/// Appends batches and waits for them.
async fn fill(bench: &Bench, topic: &str, partition: i32, batches: usize) {
    let snapshot = bench.services.topics.snapshot();
    let log = snapshot
        .by_name(topic)
        .unwrap()
        .log(partition)
        .unwrap()
        .clone();
    for _ in 0..batches {
        let (done, appended) = tokio::sync::oneshot::channel();
        log.append(
            test_batch(1),
            AppendReply::new(|outcome| drop(done.send(outcome))),
        );
        appended.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn every_version_reads_what_was_appended() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    fill(&bench, "t", 0, 3).await;
    let id = bench.services.topics.snapshot().by_name("t").unwrap().id;
    let mut wire = bench.connect();
    let size = test_batch(1).len();
    for version in 4..=18 {
        let mut request = request("t", &[(0, 1)], 0, 1);
        request.topics[0].topic_id = id;
        let got = fetch(&mut wire, &request, version).await;
        assert_eq!(
            (got.len(), got[0].code, got[0].high_watermark),
            (1, ErrorCode::NONE, 3)
        );
        assert_eq!(got[0].bytes.len(), 2 * size);
        assert_eq!(got[0].bytes[..8], 1_i64.to_be_bytes());
    }
    bench.stop().await;
}

/// What the disk may have to be asked for waits for its turn, and for that alone.
#[tokio::test]
async fn much_is_read_where_nobody_waits_and_little_at_once() {
    const MUCH: usize = 100 * 1024;
    let mut bench = Bench::start_with(|config| config.fetch_reads_max = 1).await;
    bench.create("much", 1).await;
    bench.create("little", 1).await;
    let mut wire = bench.connect();
    while bench
        .services
        .topics
        .snapshot()
        .by_name("much")
        .unwrap()
        .logs()[0]
        .ahead(0)
        .map_or(0, |ahead| ahead.bytes)
        < MUCH
    {
        fill(&bench, "much", 0, 100).await;
    }
    fill(&bench, "little", 0, 3).await;
    let others = std::sync::Arc::clone(&bench.services.fetch_reads);
    let reading = others.acquire_owned().await.unwrap();
    let mut slow = bench.connect();
    slow.send(&request("much", &[(0, 0)], 0, 1), BY_NAME).await;
    let got = fetch(&mut wire, &request("little", &[(0, 1)], 0, 1), BY_NAME).await;
    assert_eq!(got[0].bytes.len(), 2 * test_batch(1).len());
    assert!(slow.is_silent());
    drop(reading);
    let answer = slow.answer::<FetchRequest<'static>>(BY_NAME).await.unwrap();
    let read = answer.read();
    let records = read.responses[0].partitions[0].records.as_ref();
    assert!(records.unwrap().len() >= MUCH);
    bench.stop().await;
}

#[tokio::test]
async fn waits_for_enough_bytes_and_no_longer() {
    let mut bench = Bench::start().await;
    bench.create("t", 2).await;
    let mut wire = bench.connect();
    let size = i32::try_from(test_batch(1).len()).unwrap();
    let asked = request("t", &[(0, 0), (1, 0)], 30_000, 2 * size);
    wire.send(&asked, BY_NAME).await;
    fill(&bench, "t", 0, 1).await;
    assert!(wire.is_silent());
    fill(&bench, "t", 1, 1).await;
    let answer = wire.answer::<FetchRequest<'static>>(BY_NAME).await.unwrap();
    let read = answer.read();
    let sizes = read.responses[0]
        .partitions
        .iter()
        .map(|one| one.records.as_ref().map_or(0, |bytes| bytes.len()));
    assert_eq!(sizes.collect::<Vec<_>>(), [size.unsigned_abs() as usize; 2]);
    bench.stop().await;
}

/// Commits an offset of "t" as nobody's member. The group "test" belongs to partition 48 of 50.
async fn commit(wire: &mut Wire, partition_index: i32, committed_offset: i64) {
    let request = OffsetCommitRequest {
        group_id: "test".into(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index,
                committed_offset,
                committed_metadata: Some("".into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = wire.ask(&request, 8).await;
    assert_eq!(answer.read().topics[0].partitions[0].error_code, 0);
}

#[tokio::test]
async fn a_commit_wakes_who_waits_for_the_offsets_topic() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    let mut committing = bench.connect();
    commit(&mut committing, 0, 1).await;
    let mut wire = bench.connect();
    let all = request("__consumer_offsets", &[(48, 0)], 0, 1);
    let got = fetch(&mut wire, &all, BY_NAME).await;
    assert!(!got[0].bytes.is_empty());
    let end = got[0].high_watermark;
    let next = request("__consumer_offsets", &[(48, end)], i32::MAX, 1);
    wire.send(&next, BY_NAME).await;
    fetch_started(&mut wire).await;
    commit(&mut committing, 0, 2).await;
    let answer = wire.answer::<FetchRequest<'static>>(BY_NAME).await.unwrap();
    let read = answer.read();
    let found = &read.responses[0].partitions[0];
    assert_eq!(found.high_watermark, end + 1);
    assert!(
        found
            .records
            .as_ref()
            .is_some_and(|bytes| !bytes.is_empty())
    );
    bench.stop().await;
}

#[tokio::test]
async fn answers_with_nothing_when_the_wait_is_over() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    let mut wire = bench.connect();
    let got = fetch(&mut wire, &request("t", &[(0, 0)], 30, 1), BY_NAME).await;
    assert_eq!(
        got[0],
        Got {
            code: ErrorCode::NONE,
            high_watermark: 0,
            log_start: 0,
            bytes: Bytes::new()
        }
    );
    // One that waits is answered when the broker stops, too.
    wire.send(&request("t", &[(0, 0)], 30_000, 1), BY_NAME)
        .await;
    fetch_started(&mut wire).await;
    bench.stop().await;
    assert!(
        wire.answer::<FetchRequest<'static>>(BY_NAME)
            .await
            .is_some()
    );
}

/// Returns when what was sent has been read by the connection.
async fn fetch_started(wire: &mut Wire) {
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(wire.is_silent());
    }
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    fill(&bench, "t", 0, 1).await;
    let mut wire = bench.connect();
    let with = |change: fn(&mut FetchPartition)| {
        let mut asked = request("t", &[(0, 0)], 30_000, 1_000_000);
        change(&mut asked.topics[0].partitions[0]);
        asked
    };
    for (asked, code) in [
        (
            request("nobody", &[(0, 0)], 30_000, 1),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            request("t", &[(1, 0)], 30_000, 1),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            with(|one| one.fetch_offset = 2),
            ErrorCode::OFFSET_OUT_OF_RANGE,
        ),
        (
            with(|one| one.fetch_offset = -1),
            ErrorCode::OFFSET_OUT_OF_RANGE,
        ),
        (
            with(|one| one.current_leader_epoch = 1),
            ErrorCode::UNKNOWN_LEADER_EPOCH,
        ),
        (
            with(|one| one.current_leader_epoch = -2),
            ErrorCode::FENCED_LEADER_EPOCH,
        ),
        (
            with(|one| one.last_fetched_epoch = 3),
            ErrorCode::OFFSET_OUT_OF_RANGE,
        ),
    ] {
        let got = fetch(&mut wire, &asked, BY_NAME).await;
        assert_eq!(
            (got[0].code, got[0].high_watermark),
            (code, -1),
            "{asked:?}"
        );
    }
    let mut follower = request("t", &[(0, 0)], 0, 1);
    follower.replica_id = 5;
    assert_eq!(
        fetch(&mut wire, &follower, BY_NAME).await[0].code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER
    );
    let mut follower = request("", &[(0, 0)], 0, 1);
    follower.replica_state = ReplicaState {
        replica_id: 5,
        ..Default::default()
    };
    follower.topics[0].topic_id = bench.services.topics.snapshot().by_name("t").unwrap().id;
    assert_eq!(
        fetch(&mut wire, &follower, 15).await[0].code,
        ErrorCode::NOT_LEADER_OR_FOLLOWER
    );
    follower.topics[0].topic_id = Uuid([9; 16]);
    assert_eq!(
        fetch(&mut wire, &follower, 15).await[0].code,
        ErrorCode::UNKNOWN_TOPIC_ID
    );
    bench.stop().await;
}

#[tokio::test]
async fn a_client_whose_log_is_longer_is_told_where_ours_ends() {
    let mut bench = Bench::start().await;
    bench.create("t", 1).await;
    fill(&bench, "t", 0, 2).await;
    let mut wire = bench.connect();
    let mut asked = request("t", &[(0, 9)], 30_000, 1);
    asked.topics[0].partitions[0].last_fetched_epoch = 0;
    let answer = wire.ask(&asked, BY_NAME).await;
    let read = answer.read();
    let partition = &read.responses[0].partitions[0];
    assert_eq!(
        (
            partition.error_code,
            partition.diverging_epoch.epoch,
            partition.diverging_epoch.end_offset
        ),
        (0, 0, 2)
    );
    bench.stop().await;
}

#[tokio::test]
async fn an_incremental_request_finds_no_session() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    let mut asked = request("t", &[], 0, 0);
    (asked.session_id, asked.session_epoch) = (77, 1);
    let answer = wire.ask(&asked, BY_NAME).await;
    let read = answer.read();
    assert_eq!(
        (ErrorCode(read.error_code), read.responses.len()),
        (ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0)
    );
    bench.stop().await;
}

/// A request of a session, and what its answer says: the session's id, and the partitions it carries.
async fn in_session(
    wire: &mut Wire,
    asked: &FetchRequest<'static>,
    version: i16,
) -> (ErrorCode, i32, Vec<(i32, usize)>) {
    let answer = wire.ask(asked, version).await;
    let read = answer.read();
    let partitions = read.responses.iter().flat_map(|topic| &topic.partitions);
    let carried = partitions.map(|one| {
        let records = one.records.as_ref().map_or(0, |records| records.len());
        (one.partition_index, records)
    });
    (
        ErrorCode(read.error_code),
        read.session_id,
        carried.collect(),
    )
}

#[tokio::test]
async fn a_session_tells_what_changed() {
    let mut bench = Bench::start().await;
    bench.create("t", 3).await;
    let id = bench.services.topics.snapshot().by_name("t").unwrap().id;
    let size = test_batch(1).len();
    for (version, partition) in [(7, 0), (12, 1), (18, 2)] {
        let mut wire = bench.connect();
        let mut asked = request("t", &[(0, 0), (1, 0), (2, 0)], 0, 1);
        asked.topics[0].topic_id = id;
        asked.session_epoch = 0;
        let (code, session, carried) = in_session(&mut wire, &asked, version).await;
        assert_eq!((code, carried.len()), (ErrorCode::NONE, 3), "{version}");
        assert_ne!(session, 0);
        // Nothing new: nothing told, within the client's wait.
        let mut topic = asked.topics.remove(0);
        asked.session_id = session;
        asked.session_epoch = 1;
        // Those that already have records are read from their ends.
        for one in &mut topic.partitions {
            one.fetch_offset = i64::from(one.partition < partition);
        }
        asked.topics = vec![topic];
        assert_eq!(
            in_session(&mut wire, &asked, version).await,
            (ErrorCode::NONE, session, vec![])
        );
        // An append ends the wait of a session that names no partition any more.
        asked.topics = Vec::new();
        asked.session_epoch = 2;
        asked.max_wait_ms = 30_000;
        wire.send(&asked, version).await;
        fill(&bench, "t", partition, 1).await;
        let answer = wire.answer::<FetchRequest<'_>>(version).await.unwrap();
        let read = answer.read();
        assert_eq!((read.session_id, read.responses.len()), (session, 1));
        let told = &read.responses[0];
        assert_eq!(
            (told.topic.as_ref(), told.topic_id),
            if version < 13 {
                ("t", Uuid::ZERO)
            } else {
                ("", id)
            }
        );
        assert_eq!(told.partitions.len(), 1);
        assert_eq!(told.partitions[0].partition_index, partition);
        let records = told.partitions[0].records.as_ref().unwrap();
        assert_eq!(records.len(), size);
        // What is forgotten is not read: the wait is over at once only because there is nothing else to wait for.
        let everything = callboard_protocol::messages::fetch::ForgottenTopic {
            topic: "t".into(),
            topic_id: id,
            partitions: vec![0, 1, 2],
            ..Default::default()
        };
        asked.forgotten_topics_data = vec![everything];
        asked.session_epoch = 3;
        assert_eq!(
            in_session(&mut wire, &asked, version).await,
            (ErrorCode::NONE, 0, vec![])
        );
        asked.session_epoch = 4;
        let (code, ..) = in_session(&mut wire, &asked, version).await;
        assert_eq!(code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
    }
    bench.stop().await;
}

#[tokio::test]
async fn without_places_there_are_no_sessions() {
    let mut bench = Bench::start_with(|config| config.fetch_session_slots = 0).await;
    bench.create("t", 1).await;
    let mut wire = bench.connect();
    let mut asked = request("t", &[(0, 0)], 0, 1);
    asked.session_epoch = 0;
    assert_eq!(
        in_session(&mut wire, &asked, BY_NAME).await,
        (ErrorCode::NONE, 0, vec![(0, 0)])
    );
    bench.stop().await;
}

#[tokio::test]
async fn the_limits_hold_but_for_the_first_batch() {
    let mut bench = Bench::start().await;
    bench.create("t", 3).await;
    for partition in 0..3 {
        fill(&bench, "t", partition, 3).await;
    }
    let mut wire = bench.connect();
    let size = test_batch(1).len();
    let limit = i32::try_from(size).unwrap();
    // A limit of nothing: one batch all the same, of the first partition that has one.
    let mut asked = request("t", &[(0, 3), (1, 0), (2, 0)], 0, 1);
    asked.max_bytes = 1;
    let sizes: Vec<usize> = fetch(&mut wire, &asked, BY_NAME)
        .await
        .iter()
        .map(|got| got.bytes.len())
        .collect();
    assert_eq!(sizes, [0, size, 0]);
    // The whole answer's limit, and the partition's.
    asked = request("t", &[(0, 0), (1, 0)], 0, 1);
    asked.max_bytes = limit * 4;
    let sizes: Vec<usize> = fetch(&mut wire, &asked, BY_NAME)
        .await
        .iter()
        .map(|got| got.bytes.len())
        .collect();
    assert_eq!(sizes, [3 * size, size]);
    asked.topics[0].partitions[0].partition_max_bytes = limit * 2 + 1;
    let sizes: Vec<usize> = fetch(&mut wire, &asked, BY_NAME)
        .await
        .iter()
        .map(|got| got.bytes.len())
        .collect();
    assert_eq!(sizes, [2 * size, 2 * size]);
    bench.stop().await;
}

/// Offset and value of every record of an answer; batches verified.
fn records(bytes: &Bytes) -> Vec<(i64, i64)> {
    let mut records = Vec::new();
    for batch in BatchIter::new(bytes.clone()) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in batch.records(DecompressLimit::new(0)).unwrap() {
            let record = record.unwrap();
            let (key, value) = (record.key.unwrap(), record.value.unwrap());
            assert_eq!(key[..key.len() - 4], b"\0\x01\0\x04test\0\x01t"[..]);
            records.push((
                record.offset,
                i64::from_be_bytes(value[2..10].try_into().unwrap()),
            ));
        }
    }
    records
}

#[tokio::test]
async fn the_compacted_offsets_topic_is_read_as_kafkas() {
    let mut bench = Bench::start_with(|config| {
        config.log_cleaner_backoff = Duration::from_millis(1);
        config.offsets_compaction_min_bytes = 20_000;
    })
    .await;
    bench.create("t", 3).await;
    let mut wire = bench.connect();
    for offset in 0..300 {
        commit(&mut wire, i32::try_from(offset % 3).unwrap(), offset).await;
    }
    let log = Arc::clone(&bench.services.offsets_topic);
    // It runs beside the commits; some of them it has replaced by now, or will soon.
    while log.backlog(48).unwrap().snapshot_bytes == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ask = |from| request("__consumer_offsets", &[(48, from)], 0, 1);
    let first = &fetch(&mut wire, &ask(0), BY_NAME).await[0];
    assert_eq!(
        (first.code, first.log_start),
        (ErrorCode::NONE, 0),
        "as a compacted topic's"
    );
    let end = first.high_watermark;
    assert_eq!(end, 300);
    let all = records(&first.bytes);
    assert!(all[0].0 > 0 && all.len() < 300, "{all:?}");
    assert_eq!(all[all.len() - 3..], [(297, 297), (298, 298), (299, 299)]);
    // An offset whose record has gone: the next one that is there.
    let gone = all[0].0 - 1;
    let got = &fetch(&mut wire, &ask(gone), BY_NAME).await[0];
    // Not the one that was next: compaction goes on meanwhile.
    let (offset, value) = records(&got.bytes)[0];
    assert_eq!((got.code, value), (ErrorCode::NONE, offset));
    assert!(offset > gone, "{offset}");
    let got = &fetch(&mut wire, &ask(end), BY_NAME).await[0];
    assert_eq!((got.code, got.bytes.len()), (ErrorCode::NONE, 0));
    for beyond in [-1, end + 1] {
        let got = &fetch(&mut wire, &ask(beyond), BY_NAME).await[0];
        assert_eq!(got.code, ErrorCode::OFFSET_OUT_OF_RANGE, "{beyond}");
    }
    bench.stop().await;
}
