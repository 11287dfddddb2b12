//! Requests about many groups: one lot after the other, to the end, and answered like others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_coordinator::request::DescribeGroups;
use callboard_coordinator::response;
use callboard_offsets::memory::MemoryLog;
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::delete_groups::DeleteGroupsRequest;
use callboard_protocol::messages::describe_groups::DescribeGroupsRequest;
use callboard_protocol::messages::heartbeat::HeartbeatRequest;
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use callboard_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};

use super::*;
use crate::testing::{Bench, Wire};

/// So many names of groups that are not there. With them a request is about many groups.
fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("group-{number:06}"))
        .collect()
}

fn delete(names: &[String]) -> DeleteGroupsRequest<'static> {
    DeleteGroupsRequest {
        groups_names: names.iter().map(|name| name.clone().into()).collect(),
        ..Default::default()
    }
}

fn describe(names: &[String]) -> DescribeGroupsRequest<'static> {
    DescribeGroupsRequest {
        groups: names.iter().map(|name| name.clone().into()).collect(),
        ..Default::default()
    }
}

/// Makes a group of one committed offset.
async fn make(wire: &mut Wire, group: &str) {
    let request = OffsetCommitRequest {
        group_id: group.to_owned().into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: "a".into(),
            partitions: vec![OffsetCommitRequestPartition::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = wire.ask(&request, 8).await;
    assert_eq!(answer.read().topics[0].partitions[0].error_code, 0);
}

#[tokio::test]
async fn a_lot_is_asked_for_when_the_one_before_is_answered() {
    const LOT: usize = 20;
    let bench = Bench::start_with(|config| config.large_group_requests_lot = LOT).await;
    let services = Arc::clone(&bench.services);
    let told = tokio::task::spawn_blocking(move || {
        let told = Mutex::new(Vec::new());
        let all = names(2 * LOT + 5).into_iter().map(Arc::from);
        let call = |group_ids: Vec<Arc<str>>, reply| {
            told.lock().unwrap().push(("asked", group_ids.len()));
            Call::DescribeGroups(DescribeGroups { group_ids }, reply)
        };
        let take = |answer: response::DescribeGroups| {
            told.lock().unwrap().push(("told", answer.groups.len()));
        };
        assert!(ask(&services, all, call, take, || true));
        told.into_inner().unwrap()
    });
    let lot = |groups| [("asked", groups), ("told", groups)];
    assert_eq!(told.await.unwrap(), [lot(LOT), lot(LOT), lot(5)].concat());
    bench.stop().await;
}

#[tokio::test]
async fn many_groups_are_answered_as_few_are() {
    let mut bench = Bench::start().await;
    let mut wire = bench.connect();
    let mut all = names(2_500);
    let once = all.clone();
    all.push(all[3].clone());
    all.insert(1_500, all[7].clone());
    assert!(may_be_many(all.len() * all[0].len()));
    for version in 0..=6 {
        let answer = wire.ask(&describe(&all), version).await;
        let told: Vec<_> = answer
            .read()
            .groups
            .iter()
            .map(|group| group.group_id.to_string())
            .collect();
        assert_eq!(told, all, "each naming, in the order of the request");
    }
    for version in 0..=2 {
        let answer = wire.ask(&delete(&all), version).await;
        let read = answer.read();
        let told: Vec<_> = read
            .results
            .iter()
            .map(|result| result.group_id.to_string())
            .collect();
        assert_eq!(told, once, "each group, in the order of the request");
        let absent = ErrorCode::GROUP_ID_NOT_FOUND.0;
        assert!(
            read.results
                .iter()
                .all(|result| result.error_code == absent)
        );
    }
    let group = |name: &String| OffsetFetchRequestGroup {
        group_id: name.clone().into(),
        topics: None,
        ..Default::default()
    };
    let fetch = OffsetFetchRequest {
        groups: all.iter().map(group).collect(),
        ..Default::default()
    };
    for version in 8..=9 {
        let answer = wire.ask(&fetch, version).await;
        let told: Vec<_> = answer
            .read()
            .groups
            .iter()
            .map(|group| group.group_id.to_string())
            .collect();
        assert_eq!(told, all, "each naming, in the order of the request");
    }
    bench.stop().await;
}

/// The first lot waits for the log; others are served meanwhile, and what hung-up clients sent is in the budget.
#[tokio::test]
async fn hung_up_deletions_of_many_groups_are_paid_for_and_go_on_to_their_end() {
    let partitions = crate::BrokerConfig::default().offsets_topic_num_partitions;
    let log = Arc::new(MemoryLog::new(partitions));
    let mut bench = Bench::start_over(&log).await;
    bench.create("a", 1).await;
    let mut other = bench.connect();
    make(&mut other, "first").await;
    make(&mut other, "last").await;
    let whole = bench.services.budget.free();
    let mut all = names(3 * bench.services.config.large_group_requests_lot);
    all.insert(0, "first".to_owned());
    all.push("last".to_owned());
    let bytes: usize = all.iter().map(|name| name.len() + 2).sum();
    log.hold();
    const CLIENTS: usize = 20;
    for _ in 0..CLIENTS {
        let mut wire = bench.connect();
        wire.send(&delete(&all), 0).await;
    }
    let taken = async {
        while whole - bench.services.budget.free() < CLIENTS * bytes {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taken)
        .await
        .expect("they are paid for");
    // Not of a group that is being deleted: that one waits for the log.
    let heartbeat = HeartbeatRequest {
        group_id: "neighbour".into(),
        member_id: "nobody".into(),
        ..Default::default()
    };
    let answer = other.ask(&heartbeat, 3).await;
    assert_eq!(answer.read().error_code, ErrorCode::UNKNOWN_MEMBER_ID.0);
    log.release();
    drop(other);
    bench.hung_up().await;
    assert_eq!(bench.services.budget.free(), whole);
    let mut wire = bench.connect();
    let ends = ["first".to_owned(), "last".to_owned()];
    let answer = wire.ask(&describe(&ends), 5).await;
    let dead = |group: &callboard_protocol::messages::describe_groups::DescribedGroup<'_>| {
        group.group_state == "Dead"
    };
    assert!(answer.read().groups.iter().all(dead));
    bench.stop().await;
}

#[tokio::test]
async fn a_description_of_more_groups_than_may_be_told_closes_its_connection() {
    const MIB: usize = 1024 * 1024;
    let mut bench = Bench::start_with(|config| {
        config.queued_max_response_bytes = MIB;
        config.connection_max_response_bytes = MIB;
    })
    .await;
    let all = names(MIB / size_of::<bytes::Bytes>() + 1);
    let mut wire = bench.connect();
    wire.send(&describe(&all), 0).await;
    assert!(wire.frame().await.is_none());
    bench.stop().await;
}

/// Four bytes that name a partition come to many in the answer and on the way to it.
#[tokio::test]
async fn offsets_of_more_partitions_than_may_be_told_are_not_looked_up() {
    const MIB: usize = 1024 * 1024;
    const PARTITIONS: usize = 20_000;
    let partitions = crate::BrokerConfig::default().offsets_topic_num_partitions;
    let log = Arc::new(MemoryLog::new(partitions));
    let small = |config: &mut crate::BrokerConfig| {
        config.queued_max_response_bytes = MIB;
        config.connection_max_response_bytes = MIB;
    };
    let mut bench = Bench::begin(small, Some(Arc::clone(&log))).await;
    bench.create("a", 1).await;
    let mut other = bench.connect();
    make(&mut other, "g").await;
    // Whoever looks waits for the log.
    log.hold();
    other.send(&delete(&["g".to_owned()]), 0).await;
    while log.unsynced() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for version in [1, 5, 7, 8, 9] {
        let mut wire = bench.connect();
        wire.send(&fetch("g", PARTITIONS, version), version).await;
        assert!(wire.frame().await.is_none(), "version {version}");
    }
    log.release();
    bench.stop().await;
}

fn fetch(group: &str, partitions: usize, version: i16) -> OffsetFetchRequest<'static> {
    let all: Vec<i32> = (0..).take(partitions).collect();
    let group_id = group.to_owned();
    if version >= 8 {
        let topic = OffsetFetchRequestTopics {
            name: "a".into(),
            partition_indexes: all,
            ..Default::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: group_id.into(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        return OffsetFetchRequest {
            groups: vec![group],
            ..Default::default()
        };
    }
    OffsetFetchRequest {
        group_id: group_id.into(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "a".into(),
            partition_indexes: all,
            ..Default::default()
        }]),
        ..Default::default()
    }
}

#[tokio::test]
async fn many_partitions_are_answered_as_few_are() {
    const PARTITIONS: usize = 6_000;
    assert!(may_be_many(4 * PARTITIONS));
    let mut bench = Bench::start().await;
    bench.create("a", 1).await;
    let mut wire = bench.connect();
    make(&mut wire, "g").await;
    for version in 1..=9 {
        let answer = wire.ask(&fetch("g", PARTITIONS, version), version).await;
        let read = answer.read();
        let told: Vec<_> = if version >= 8 {
            let partitions = read.groups[0].topics[0].partitions.iter();
            partitions
                .map(|one| (one.partition_index, one.committed_offset))
                .collect()
        } else {
            let partitions = read.topics[0].partitions.iter();
            partitions
                .map(|one| (one.partition_index, one.committed_offset))
                .collect()
        };
        let committed = |partition| (partition, if partition == 0 { 0 } else { -1 });
        let all: Vec<_> = (0..).take(PARTITIONS).map(committed).collect();
        assert_eq!(told, all, "version {version}");
    }
    bench.stop().await;
}

/// Who describes a group that is being deleted waits for the log. Nobody is asked.
#[tokio::test]
async fn of_a_description_that_will_be_too_large_nothing_is_made() {
    const MIB: usize = 1024 * 1024;
    let partitions = crate::BrokerConfig::default().offsets_topic_num_partitions;
    let log = Arc::new(MemoryLog::new(partitions));
    let small = |config: &mut crate::BrokerConfig| {
        config.queued_max_response_bytes = MIB;
        config.connection_max_response_bytes = MIB;
    };
    let mut bench = Bench::begin(small, Some(Arc::clone(&log))).await;
    // That each is named would be little enough.
    let all = names(MIB / (size_of::<bytes::Bytes>() + 16));
    bench.create("a", 1).await;
    let mut other = bench.connect();
    make(&mut other, &all[0]).await;
    log.hold();
    other.send(&delete(&all[..1]), 0).await;
    while log.unsynced() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut wire = bench.connect();
    wire.send(&describe(&all), 0).await;
    assert!(wire.frame().await.is_none());
    log.release();
    bench.stop().await;
}
