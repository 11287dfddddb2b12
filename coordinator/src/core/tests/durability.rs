//! Durable, then visible, then acknowledged; and what a failed append leaves behind.

use callboard_protocol::ErrorCode;

use super::kit::{code, commit, config, house, join, old_join, static_join};

#[test]
fn nobody_hears_of_a_group_before_its_first_record_has_landed() {
    let mut house = house();
    house.lands = false;
    let asked = house.join(join(""));
    let (described, listed) = (house.describe(), house.list());
    assert!(asked.waits() && described.waits() && listed.waits());
    assert!(house.land(Ok(())));
    assert_eq!(asked.answer().error, ErrorCode::MEMBER_ID_REQUIRED);
    assert_eq!(described.answer().groups[0].state, "Empty");
    assert_eq!(listed.answer().groups.len(), 1);
    assert!(house.stored("g").is_some());
}

#[test]
fn a_group_that_could_not_be_founded_does_not_exist() {
    let mut house = house();
    house.lands = false;
    let founder = house.join(join(""));
    let (described, next) = (house.describe(), house.join(join("")));
    assert!(house.land(Err(ErrorCode::KAFKA_STORAGE_ERROR)));
    assert_eq!(founder.answer().error, ErrorCode::NOT_COORDINATOR);
    assert_eq!(
        described.answer().groups[0].error,
        ErrorCode::GROUP_ID_NOT_FOUND
    );
    // The next founds it anew.
    assert!(next.waits());
    assert!(house.land(Ok(())));
    assert_eq!(next.answer().error, ErrorCode::MEMBER_ID_REQUIRED);
}

#[test]
fn a_group_of_simple_consumers_is_there_when_its_first_commit_is() {
    let mut house = house();
    house.create("t", 1);
    house.lands = false;
    let (first, second, listed) = (
        house.commit(commit("", -1, 1)),
        house.commit(commit("", -1, 2)),
        house.list(),
    );
    assert!(listed.waits());
    assert!(house.land(Ok(())));
    assert_eq!(code(&first.answer()), ErrorCode::NONE);
    assert_eq!(listed.answer().groups.len(), 1);
    assert!(second.waits());
    assert!(house.land(Ok(())));
    assert_eq!(code(&second.answer()), ErrorCode::NONE);
}

#[test]
fn a_simple_commit_that_failed_founds_nothing() {
    let mut house = house();
    house.create("t", 1);
    house.lands = false;
    let first = house.commit(commit("", -1, 1));
    assert!(house.land(Err(ErrorCode::REQUEST_TIMED_OUT)));
    assert_eq!(code(&first.answer()), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(
        house.describe().answer().groups[0].error,
        ErrorCode::GROUP_ID_NOT_FOUND
    );
}

#[test]
fn commits_of_a_member_do_not_wait_for_each_other_and_a_fetch_waits_for_them() {
    let mut house = house();
    let ids = house.form(1);
    house.lands = false;
    let commits: Vec<_> = (1..=3)
        .map(|offset| house.commit(commit(&ids[0], 1, offset)))
        .collect();
    assert_eq!(house.writes_waiting(), 3);
    let fetched = house.fetch();
    for commit in commits {
        assert!(commit.waits() && fetched.waits());
        assert!(house.land(Ok(())));
        assert_eq!(code(&commit.answer()), ErrorCode::NONE);
    }
    assert!(house.land(Ok(())));
    assert_eq!(
        fetched.answer().groups[0].topics[0].partitions[0].committed_offset,
        3
    );
}

#[test]
fn nobody_gets_a_part_of_a_plan_that_is_not_durable() {
    let mut house = house();
    let (leader, parked) = house.newcomer();
    let (follower, _) = house.newcomer();
    house.advance(1000);
    assert_eq!(parked.answer().generation_id, 1);
    house.lands = false;
    let waiting = house.sync(&follower, 1, &[]);
    let planning = house.sync(&leader, 1, &[(&leader, "a"), (&follower, "b")]);
    let (heartbeat, newcomer) = (house.heartbeat(&follower, 1), house.join(old_join()));
    assert!(waiting.waits() && planning.waits() && heartbeat.waits());
    assert!(house.land(Ok(())));
    assert_eq!(waiting.answer().assignment.as_ref(), b"b");
    assert_eq!(planning.answer().assignment.as_ref(), b"a");
    // What came meanwhile comes after it: Stable for a moment, then the newcomer's rebalance.
    assert_eq!(heartbeat.answer().error, ErrorCode::NONE);
    assert!(newcomer.waits());
    assert_eq!(house.state(), "PreparingRebalance");
}

#[test]
fn a_plan_that_could_not_be_written_is_no_plan() {
    let mut house = house();
    let (leader, parked) = house.newcomer();
    let (follower, _) = house.newcomer();
    house.advance(1000);
    assert_eq!(parked.answer().generation_id, 1);
    house.lands = false;
    let waiting = house.sync(&follower, 1, &[]);
    let planning = house.sync(&leader, 1, &[(&leader, "a"), (&follower, "b")]);
    assert!(house.land(Err(ErrorCode::KAFKA_STORAGE_ERROR)));
    assert_eq!(waiting.answer().error, ErrorCode::NOT_COORDINATOR);
    assert_eq!(planning.answer().error, ErrorCode::NOT_COORDINATOR);
    let group = house.describe().answer().groups.remove(0);
    assert_eq!(group.state, "PreparingRebalance");
    assert!(
        group
            .members
            .iter()
            .all(|member| member.assignment.is_empty())
    );
    assert_eq!(house.stored("g").map(|value| value.members.len()), Some(0));
}

#[test]
fn the_last_to_leave_is_answered_when_the_empty_group_is_durable() {
    let mut house = house();
    let ids = house.form(1);
    house.lands = false;
    let left = house.leave(&ids[0]);
    assert!(left.waits());
    assert!(house.land(Ok(())));
    assert_eq!(left.answer().members[0].error, ErrorCode::NONE);
    let value = house.stored("g").unwrap();
    assert_eq!((value.generation, value.members.len()), (2, 0));
    assert_eq!(value.protocol_name, None);
}

#[test]
fn a_static_restart_is_durable_before_it_is_answered() {
    let mut house = house();
    let parked = house.join(static_join("i"));
    house.advance(1000);
    let old_id = parked.answer().member_id;
    house.plan(&[old_id.to_string()], 1);
    house.lands = false;
    let restarted = house.join(static_join("i"));
    assert!(restarted.waits());
    assert!(house.land(Ok(())));
    let restarted = restarted.answer();
    assert_eq!(
        (restarted.error, restarted.generation_id),
        (ErrorCode::NONE, 1)
    );
    assert!(restarted.skip_assignment);
    assert_ne!(restarted.member_id, old_id);
    assert_eq!(
        house.stored("g").unwrap().members[0].member_id,
        &*restarted.member_id
    );
    // KAFKA-10284: the crash comes right behind the answer.
    house.restart();
    house.lands = true;
    house.load();
    assert_eq!(
        house.heartbeat(&restarted.member_id, 1).answer().error,
        ErrorCode::NONE
    );
    assert_eq!(
        house.heartbeat(&old_id, 1).answer().error,
        ErrorCode::UNKNOWN_MEMBER_ID
    );
}

#[test]
fn a_static_restart_that_could_not_be_written_changes_nothing() {
    let mut house = house();
    let parked = house.join(static_join("i"));
    house.advance(1000);
    let old_id = parked.answer().member_id.to_string();
    house.plan(std::slice::from_ref(&old_id), 1);
    house.lands = false;
    let restarted = house.join(static_join("i"));
    assert!(house.land(Err(ErrorCode::REQUEST_TIMED_OUT)));
    let restarted = restarted.answer();
    assert_eq!(
        (restarted.error, &*restarted.member_id),
        (ErrorCode::COORDINATOR_NOT_AVAILABLE, "")
    );
    assert_eq!(house.heartbeat(&old_id, 1).answer().error, ErrorCode::NONE);
}

#[test]
fn a_group_is_deleted_when_its_tombstones_have_landed() {
    let mut house = house();
    house.create("t", 1);
    house.commit(commit("", -1, 7)).answer();
    house.lands = false;
    let (deleted, fetched) = (house.delete(), house.fetch());
    assert!(deleted.waits() && fetched.waits());
    assert!(house.land(Err(ErrorCode::KAFKA_STORAGE_ERROR)));
    assert_eq!(
        deleted.answer().results[0].error,
        ErrorCode::NOT_COORDINATOR
    );
    house.lands = true;
    house.advance(0);
    assert_eq!(
        fetched.answer().groups[0].topics[0].partitions[0].committed_offset,
        7
    );
    assert_eq!(house.delete().answer().results[0].error, ErrorCode::NONE);
    assert!(house.index.is_empty());
    assert_eq!(
        house.delete().answer().results[0].error,
        ErrorCode::GROUP_ID_NOT_FOUND
    );
}

#[test]
fn a_coordinator_that_closes_answers_everybody() {
    let mut house = house();
    let ids = house.form(2);
    let rejoined = house.join(join(&ids[0]));
    house.lands = false;
    let committed = house.commit(commit(&ids[1], 1, 1));
    house.step(crate::core::Input::Close);
    assert_eq!(rejoined.answer().error, ErrorCode::NOT_COORDINATOR);
    assert_eq!(
        house.heartbeat(&ids[0], 1).answer().error,
        ErrorCode::COORDINATOR_NOT_AVAILABLE
    );
    // What is with the writer is answered by the writer.
    assert!(committed.waits());
    assert_eq!(house.groups.next_deadline(), None);
    assert_eq!(house.groups.census(), crate::core::Census::default());
    assert_eq!(config().group_max_size, i32::MAX as usize);
}

#[test]
fn a_group_that_has_no_bytes_is_told_as_one_that_did_not_land() {
    let mut house = house();
    // Kafka's strings end at 32,767 bytes, and the member's id is longer than this.
    let mut request = old_join();
    request.client_id = "c".repeat(32_760);
    let parked = house.join(request);
    house.advance(500);
    let joined = parked.answer();
    assert_eq!(joined.error, ErrorCode::NONE);
    let member_id = &*joined.member_id;
    let synced = house.sync(member_id, joined.generation_id, &[(member_id, "plan")]);
    assert_eq!(synced.answer().error, ErrorCode::UNKNOWN_SERVER_ERROR);
    assert_eq!(house.state(), "PreparingRebalance");
}
