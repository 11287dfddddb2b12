//! Groups that take more than most: what is one thing to its reader goes into one batch or not at all, the rest in parts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_offsets::memory::MemoryLog;
use callboard_protocol::ErrorCode;

use super::house::{Answer, House, OneTopic, PARTITIONS, code, commit, committed, rest};
use crate::{Call, request, response};

/// Kafka's default `max.message.bytes`: the group below is larger.
const KAFKAS_BYTES: usize = 1_048_588;
const MEMBERS: usize = 1_000;

fn log(batch_bytes_max: Option<usize>) -> Arc<MemoryLog> {
    let log = MemoryLog::new(PARTITIONS);
    Arc::new(match batch_bytes_max {
        Some(bytes) => log.batch_bytes_max(bytes),
        None => log,
    })
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_tombstones_do_not_fit_in_one_batch_expires_all_the_same() {
    let house = House::over(log(Some(2_048))).await;
    rest().await;
    let group = "g".repeat(300);
    for partition in 0..8 {
        let mut brief = commit(&group, partition, 5);
        // In the past by the system's clock, which virtual time does not move.
        brief.retention_time_ms = Some(0);
        let answer = house.ask(Call::OffsetCommit, brief).await.unwrap();
        assert_eq!(code(&answer), ErrorCode::NONE);
    }
    // As one thing it is too large, and nothing of it is done.
    let delete = request::DeleteGroups {
        group_ids: vec![group.as_str().into()],
    };
    let deleted = house.ask(Call::DeleteGroups, delete).await.unwrap();
    assert_eq!(deleted.results[0].error, ErrorCode::UNKNOWN_SERVER_ERROR);
    let fetched = house.fetch(&[&group]).await.unwrap();
    assert_eq!(committed(&fetched).len(), 8);
    // So is a commit.
    let mut wide = commit(&group, 0, 6);
    wide.topics[0].partitions = (0..8)
        .map(|partition| request::CommitPartition {
            partition,
            committed_offset: 6,
            committed_leader_epoch: -1,
            metadata: None,
        })
        .collect();
    let answer = house.ask(Call::OffsetCommit, wide).await.unwrap();
    assert_eq!(code(&answer), ErrorCode::UNKNOWN_SERVER_ERROR);

    tokio::time::sleep(Duration::from_secs(10 * 60 + 1)).await;
    let fetched = house.fetch(&[&group]).await.unwrap();
    assert_eq!(committed(&fetched), []);
    assert_eq!(house.list().await.unwrap().groups, [], "it went with them");
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_is_forgotten_however_little_a_batch_holds() {
    let house = House::over(log(Some(2_048))).await;
    rest().await;
    let group = "g".repeat(300);
    for partition in 0..8 {
        let answer = house.commit(&group, partition, 5).await.unwrap();
        assert_eq!(code(&answer), ErrorCode::NONE);
    }
    assert_eq!(house.delete_topic().await, Ok(OneTopic::ID));
    let fetched = house.fetch(&[&group]).await.unwrap();
    assert_eq!(committed(&fetched), []);
    house.stage.finish().await;
}

fn join(house: &House, member_id: &str) -> Answer<response::JoinGroup> {
    house.ask(
        Call::JoinGroup,
        request::JoinGroup {
            group_id: "large".into(),
            member_id: member_id.to_owned(),
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            session_timeout_ms: 600_000,
            rebalance_timeout_ms: 600_000,
            protocol_type: "consumer".into(),
            protocols: vec![request::JoinProtocol {
                name: "range".into(),
                metadata: vec![7; 1_200].into(),
            }],
            ..Default::default()
        },
    )
}

fn sync(
    house: &House,
    member: &response::JoinGroup,
    assignments: Vec<request::SyncAssignment>,
) -> Answer<response::SyncGroup> {
    house.ask(
        Call::SyncGroup,
        request::SyncGroup {
            group_id: "large".into(),
            generation_id: member.generation_id,
            member_id: member.member_id.to_string(),
            assignments,
            ..Default::default()
        },
    )
}

/// A thousand members with 1.2 kB of metadata join, and their leader brings 600 bytes for each.
async fn round(house: &House) -> Vec<(response::JoinGroup, response::SyncGroup)> {
    let first = join(house, "").await.unwrap();
    let mut waiting: Vec<_> = (1..MEMBERS).map(|_| join(house, "")).collect();
    rest().await;
    waiting.push(join(house, &first.member_id));
    let mut members = Vec::new();
    for joined in waiting {
        members.push(joined.await.unwrap());
    }
    let plan: Vec<_> = members
        .iter()
        .map(|member| request::SyncAssignment {
            member_id: member.member_id.to_string(),
            assignment: Bytes::from(vec![9; 600]),
        })
        .collect();
    let synced: Vec<_> = members
        .iter()
        .map(|member| {
            assert_eq!(member.error, ErrorCode::NONE);
            let leads = member.member_id == member.leader;
            sync(house, member, if leads { plan.clone() } else { Vec::new() })
        })
        .collect();
    let mut round = Vec::new();
    for (member, synced) in members.into_iter().zip(synced) {
        round.push((member, synced.await.unwrap()));
    }
    round
}

/// Difference: `offsets-batches`.
#[tokio::test(start_paused = true)]
async fn a_thousand_members_become_stable_and_stay_so_over_a_restart() {
    let mut house = House::over(log(None)).await;
    rest().await;
    for (_, synced) in round(&house).await {
        assert_eq!(
            (synced.error, synced.assignment.len()),
            (ErrorCode::NONE, 600)
        );
    }
    house.power_cut().await;
    rest().await;
    let listed = house.list().await.unwrap().groups;
    assert_eq!((listed.len(), listed[0].state), (1, "Stable"));
    house.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_round_that_does_not_fit_is_refused_and_the_group_goes_on() {
    let house = House::over(log(Some(KAFKAS_BYTES))).await;
    rest().await;
    for (_, synced) in round(&house).await {
        assert_eq!(synced.error, ErrorCode::UNKNOWN_SERVER_ERROR);
    }
    let listed = house.list().await.unwrap().groups;
    assert_eq!(listed[0].state, "PreparingRebalance");
    house.stage.finish().await;
}
