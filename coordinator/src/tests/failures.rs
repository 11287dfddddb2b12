//! What breaks, and who notices.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_offsets::log::{Batch, BatchId, OffsetsLog};
use callboard_offsets::memory::{Fault, MemoryLog};
use callboard_offsets::writer;
use callboard_protocol::ErrorCode;
use callboard_protocol::records::{BatchBuilder, Compression};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::house::*;
use super::sabotage_next;
use crate::group_coordinator::KIND;
use crate::metrics::{COORDINATOR_REQUESTS_TOTAL, GROUP_COMMITS_TOTAL};
use crate::request::TopicRef;
use crate::{Call, Reply};

/// Longer than the first restart takes.
const RESTARTED: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn a_coordinator_crashes_and_a_stable_group_survives_with_its_generation() {
    let house = House::new().await;
    let names = neighbours(&house.coordinators, 0, 2);
    let member = house.stable(&names[0]).await;
    house.commit("simple", 0, 3).await.unwrap();
    let other = house.stable(&names[1]).await;
    let parked = house.join(&names[1], "");
    rest().await;

    // The coordinator of partition 0 is the first to be asked.
    sabotage_next("");
    let listed = house.list().await.unwrap();
    assert_eq!(listed.error, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(
        parked.await.unwrap().error,
        ErrorCode::COORDINATOR_NOT_AVAILABLE
    );
    tokio::time::sleep(RESTARTED).await;

    for (name, member) in [(&names[0], &member), (&names[1], &other)] {
        let heartbeat = house.heartbeat(name, member).await.unwrap();
        assert_eq!(heartbeat.error, ErrorCode::NONE);
    }
    assert_eq!(
        committed(&house.fetch(&["simple"]).await.unwrap()),
        [(0, 3)]
    );
    house.stage.expect_failure(KIND);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_crashes_and_takes_its_coordinator_down_and_back() {
    let house = House::new().await;
    let names = neighbours(&house.coordinators, 1, 1);
    let member = house.stable(&names[0]).await;
    house.log.hold();
    let in_flight = house.commit("group-0", 0, 3);
    let partition = house.coordinators.partition_of("group-0");
    rest().await;
    let before = house.coordinators.address(partition).unwrap();
    let writer = &before.actor().get_children()[0];
    writer.kill();
    let answer = in_flight.await.unwrap();
    assert_eq!(code(&answer), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    tokio::time::sleep(RESTARTED).await;
    let after = house.coordinators.address(partition).unwrap();
    assert_ne!(before.actor().get_id(), after.actor().get_id());
    assert!(!before.is_alive());

    // The barrier of the new one stands behind what the old one had sent.
    let loading = house.commit("group-0", 0, 4).await.unwrap();
    assert_eq!(code(&loading), ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    house.log.release();
    rest().await;
    assert_eq!(
        committed(&house.fetch(&["group-0"]).await.unwrap()),
        [(0, 3)]
    );
    let neighbour = house.heartbeat(&names[0], &member).await.unwrap();
    assert_eq!(neighbour.error, ErrorCode::NONE);
    house.stage.expect_failure(KIND);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_group_is_that_groups_alone() {
    let house = House::new().await;
    let names = neighbours(&house.coordinators, 1, 3);
    let [broken, well, simple] = &names[..] else {
        panic!()
    };
    let member = house.stable(broken).await;
    let neighbour = house.stable(well).await;
    let parked = house.join(broken, "");
    rest().await;
    house.log.hold();
    let mut in_flight = house.commit(simple, 0, 1);
    let mut of_broken = commit(broken, 0, 7);
    of_broken.generation_id = member.generation_id;
    of_broken.member_id = member.member_id.to_string();
    let of_broken = house.ask(crate::Call::OffsetCommit, of_broken);
    rest().await;

    sabotage_next(broken);
    let heartbeat = house.heartbeat(broken, &member).await.unwrap();
    assert_eq!(heartbeat.error, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(
        parked.await.unwrap().error,
        ErrorCode::COORDINATOR_NOT_AVAILABLE
    );
    // It is rebuilt behind its appends in flight, and loading until then.
    let join = house.join(broken, "").await.unwrap();
    assert_eq!(join.error, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    let heartbeat = house.heartbeat(well, &neighbour).await.unwrap();
    assert_eq!(
        heartbeat.error,
        ErrorCode::NONE,
        "the neighbour does not notice"
    );
    assert!(in_flight.try_recv().is_err());

    house.log.release();
    assert_eq!(code(&in_flight.await.unwrap()), ErrorCode::NONE);
    assert_eq!(
        code(&of_broken.await.unwrap()),
        ErrorCode::NONE,
        "what was handed over lands"
    );
    rest().await;
    // Rebuilt from what is stored: Stable in its generation, and the join that never ended is forgotten.
    let heartbeat = house.heartbeat(broken, &member).await.unwrap();
    assert_eq!(heartbeat.error, ErrorCode::NONE);
    assert_eq!(committed(&house.fetch(&[broken]).await.unwrap()), [(0, 7)]);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_partition_loads_it_says_so() {
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    log.hold();
    let house = House::over(log).await;
    rest().await;
    assert!(!house.coordinators.ready());
    let join = house.join("g", "").await.unwrap();
    assert_eq!(join.error, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    let commit = house.commit("g", 0, 1).await.unwrap();
    assert_eq!(code(&commit), ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    assert_eq!(
        house.list().await.unwrap().error,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
    );
    let fetched = house.fetch(&["g"]).await.unwrap();
    assert_eq!(
        fetched.groups[0].error,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
    );
    house.log.release();
    rest().await;
    assert!(house.coordinators.ready());
    house.stable("g").await;
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_partition_is_refused_and_the_others_serve() {
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    log.set_corrupt(1, Some(3));
    let house = House::over(log).await;
    rest().await;
    assert!(
        house.coordinators.ready(),
        "there is nothing left to wait for"
    );
    let names = neighbours(&house.coordinators, 1, 1);
    let refused = house.join(&names[0], "").await.unwrap();
    assert_eq!(refused.error, ErrorCode::NOT_COORDINATOR);
    let refused = house.commit(&names[0], 0, 1).await.unwrap();
    assert_eq!(code(&refused), ErrorCode::NOT_COORDINATOR);
    let well = (0..).map(|number| format!("group-{number}"));
    let mut well = well.filter(|name| house.coordinators.partition_of(name) != 1);
    let well = well.next().unwrap();
    house.stable(&well).await;
    // As in Kafka, where it would be somebody else's.
    let listed = house.list().await.unwrap();
    assert_eq!(listed.error, ErrorCode::NONE);
    let listed: Vec<_> = listed.groups.iter().map(|group| &*group.group_id).collect();
    assert_eq!(listed, [well]);
    house.stage.finish().await;
}

/// Appends one record to a partition that nobody has opened yet.
fn store(log: &MemoryLog, partition: u32, key: &[u8], value: &[u8]) {
    let (sender, opened) = std::sync::mpsc::channel();
    log.open(
        partition,
        Box::new(move |result| sender.send(result).unwrap()),
    );
    let opened = opened.recv_timeout(TIMEOUT).unwrap().unwrap();
    let mut kafka = BatchBuilder::new(opened.end.offset, Compression::None);
    kafka.push(1_700_000_000_000, Some(key), Some(value), &[]);
    let batch = Batch {
        id: BatchId(partition.into()),
        expected: opened.end,
        records: 1,
        marks: Bytes::new(),
        kafka: kafka.build().unwrap(),
    };
    let (sender, landed) = std::sync::mpsc::channel();
    let done = move |result| sender.send(result).unwrap();
    log.append(opened.lease, batch, Box::new(done));
    assert_eq!(landed.recv_timeout(TIMEOUT).unwrap(), Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_does_not_parse_is_never_passed_over_and_one_of_another_kind_is_only_kept() {
    let log = Arc::new(MemoryLog::new(PARTITIONS));
    // A value of a version that no release has written, and a member of a KIP-848 group.
    store(&log, 1, b"\0\x02\0\x01g", b"\0\x09");
    store(&log, 0, b"\0\x07\0\x01g\0\x01m", b"\0\x09");
    let house = House::over(log).await;
    rest().await;
    assert!(
        house.coordinators.ready(),
        "there is nothing left to wait for"
    );
    let damaged = neighbours(&house.coordinators, 1, 1);
    let refused = house.join(&damaged[0], "").await.unwrap();
    assert_eq!(refused.error, ErrorCode::NOT_COORDINATOR);
    let other = neighbours(&house.coordinators, 0, 1);
    house.stable(&other[0]).await;
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_commits_and_goes_on_answering_fetches() {
    let house = House::new().await;
    house.commit("g", 0, 1).await.unwrap();
    house.log.set_full(true);
    let refused = house.commit("g", 0, 2).await.unwrap();
    assert_eq!(code(&refused), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(committed(&house.fetch(&["g"]).await.unwrap()), [(0, 1)]);
    house.log.set_full(false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(
        code(&house.commit("g", 0, 3).await.unwrap()),
        ErrorCode::NONE
    );
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_flush_nobody_is_told_anything() {
    let house = House::new().await;
    house.log.inject(Fault::FsyncError);
    assert!(
        house.commit("g", 0, 1).await.is_err(),
        "its connection closes"
    );
    tokio::time::sleep(RESTARTED).await;
    assert!(house.commit("g", 0, 2).await.is_err());
    assert!(house.join("g", "").await.is_err());
    house.stage.expect_failure(writer::KIND);
    house.stage.expect_failure(KIND);
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_cannot_be_written_is_no_plan() {
    let house = House::new().await;
    let member = house.join("g", "").await.unwrap();
    house.log.set_full(true);
    let sync = house.sync("g", &member).await.unwrap();
    assert_eq!(sync.error, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    let heartbeat = house.heartbeat("g", &member).await.unwrap();
    assert_eq!(heartbeat.error, ErrorCode::REBALANCE_IN_PROGRESS);
    house.stage.finish().await;
}

/// The runtime has other things to do for a while: heartbeats wait as long as the timers do.
/// Difference: `late-coordinators`.
#[tokio::test(start_paused = true)]
async fn a_coordinator_that_comes_late_evicts_nobody_who_was_waiting_for_it() {
    let house = House::new().await;
    let member = house.stable("g").await;
    tokio::time::advance(Duration::from_secs(25)).await;
    // The timers fire now, before anything that was sent meanwhile.
    rest().await;
    let heartbeat = house.heartbeat("g", &member).await.unwrap();
    assert_eq!(heartbeat.error, ErrorCode::NONE);
    // In time it is the session's length again.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let heartbeat = house.heartbeat("g", &member).await.unwrap();
    assert_eq!(heartbeat.error, ErrorCode::NONE);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let heartbeat = house.heartbeat("g", &member).await.unwrap();
    assert_eq!(heartbeat.error, ErrorCode::UNKNOWN_MEMBER_ID);
    house.stage.finish().await;
}

/// Half a second is a timer's own, and nobody's session is longer for it.
#[tokio::test(start_paused = true)]
async fn a_coordinator_that_is_late_by_less_counts_it_as_time() {
    let house = House::new().await;
    let member = house.stable("g").await;
    tokio::time::advance(Duration::from_millis(10_400)).await;
    rest().await;
    let heartbeat = house.heartbeat("g", &member).await.unwrap();
    assert_eq!(heartbeat.error, ErrorCode::UNKNOWN_MEMBER_ID);
    house.stage.finish().await;
}

#[test]
fn an_answer_that_no_coordinator_gives_counts_like_theirs() {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        // Nobody has started them.
        let coordinators = make(&Arc::new(MemoryLog::new(PARTITIONS)));
        let commits = [TopicRef::Name("t".into()), TopicRef::Name("gone".into())].map(|topic| {
            let mut commit = commit("g", 0, 1);
            commit.topics[0].topic = topic;
            Call::OffsetCommit(commit, Reply::new(drop))
        });
        coordinators.submit(commits.into());
    });
    let text = recorder.handle().render();
    for series in [
        format!(
            "{COORDINATOR_REQUESTS_TOTAL}{{api=\"OffsetCommit\",error=\"COORDINATOR_NOT_AVAILABLE\"}} 1"
        ),
        format!(
            "{COORDINATOR_REQUESTS_TOTAL}{{api=\"OffsetCommit\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"}} 1"
        ),
        format!("{GROUP_COMMITS_TOTAL}{{result=\"log_error\"}} 1"),
        format!("{GROUP_COMMITS_TOTAL}{{result=\"unknown_topic\"}} 1"),
    ] {
        assert!(text.lines().any(|line| line == series), "{series}");
    }
}
