//! Deadlines the stories are too short for.

use callboard_protocol::ErrorCode;

use super::house::House;
use super::kit::{code, commit, house, join, old_join, static_join};
use crate::CoordinatorConfig;
use crate::core::{Event, ExitReason, RebalanceReason};
use crate::request::JoinGroup;

const MINUTE: u64 = 60_000;

#[test]
fn a_newcomer_that_waits_for_five_minutes_is_believed_gone() {
    let mut house = house();
    let ids = house.form(1);
    // The others are slower than anybody should be.
    let slow = JoinGroup {
        rebalance_timeout_ms: 3_600_000,
        ..join(&ids[0])
    };
    house.join(slow);
    house.plan(&ids, 2);
    let newcomer = house.join(old_join());
    for _ in 0..59 {
        house.advance(5_000);
        assert_eq!(
            house.heartbeat(&ids[0], 2).answer().error,
            ErrorCode::REBALANCE_IN_PROGRESS
        );
    }
    assert!(newcomer.waits());
    house.advance(5_000);
    let gone = newcomer.answer();
    assert_eq!(
        (gone.error, &*gone.member_id),
        (ErrorCode::UNKNOWN_MEMBER_ID, "")
    );
    let rejoined = house.join(join(&ids[0]));
    assert_eq!(rejoined.answer().generation_id, 3);
}

#[test]
fn after_the_join_a_newcomer_lives_by_its_session() {
    let mut house = house();
    let parked = house.join(old_join());
    house.advance(500);
    let id = parked.answer().member_id.to_string();
    house.plan(&[id], 1);
    house.advance(9_999);
    assert_eq!(house.state(), "Stable");
    house.advance(1);
    assert_eq!(house.state(), "Empty");
}

#[test]
fn a_sync_that_is_parked_keeps_its_member_and_its_session_begins_with_the_answer() {
    let mut house = house();
    let slow = |request| JoinGroup {
        rebalance_timeout_ms: 60_000,
        ..request
    };
    let (leader, follower) = (house.join(slow(old_join())), house.join(slow(old_join())));
    house.advance(1000);
    let (leader, follower) = (
        leader.answer().member_id.to_string(),
        follower.answer().member_id.to_string(),
    );
    let parked = house.sync(&follower, 1, &[]);
    for _ in 0..4 {
        house.advance(8_000);
        assert_eq!(house.heartbeat(&leader, 1).answer().error, ErrorCode::NONE);
    }
    assert!(parked.waits());
    house.sync(&leader, 1, &[]);
    assert_eq!(parked.answer().error, ErrorCode::NONE);
    house.advance(5_000);
    house.heartbeat(&leader, 1).answer();
    house.advance(4_999);
    assert_eq!(house.state(), "Stable");
    house.advance(1);
    assert_eq!(house.state(), "PreparingRebalance");
}

#[test]
fn commits_keep_a_member_alive() {
    let mut house = house();
    let ids = house.form(1);
    for offset in 0..10 {
        house.advance(9_000);
        assert_eq!(
            code(&house.commit(commit(&ids[0], 1, offset)).answer()),
            ErrorCode::NONE
        );
    }
    assert_eq!(house.state(), "Stable");
}

#[test]
fn static_members_that_are_all_away_keep_the_group_waiting_until_their_sessions_end() {
    let mut house = house();
    let away = JoinGroup {
        session_timeout_ms: 100_000,
        ..static_join("i")
    };
    let parked = house.join(away);
    house.advance(500);
    house.plan(&[parked.answer().member_id.to_string()], 1);
    // A newcomer comes and goes.
    let (newcomer, _) = house.newcomer();
    house.leave(&newcomer);
    assert_eq!(house.state(), "PreparingRebalance");
    house.advance(90_000);
    assert_eq!(house.state(), "PreparingRebalance");
    house.advance(11_000);
    assert_eq!(house.state(), "Empty");
    assert!(house.notes.iter().any(|note| matches!(
        note,
        Event::MemberExited {
            reason: ExitReason::SessionTimeout,
            ..
        }
    )));
}

#[test]
fn huge_and_negative_timeouts_are_no_trouble() {
    let mut house = house();
    let forever = JoinGroup {
        rebalance_timeout_ms: i32::MAX,
        ..old_join()
    };
    let never = JoinGroup {
        rebalance_timeout_ms: i32::MIN,
        ..old_join()
    };
    let (forever, never) = (house.join(forever), house.join(never));
    house.advance(MINUTE);
    assert_eq!(
        (forever.answer().error, never.answer().error),
        (ErrorCode::NONE, ErrorCode::NONE)
    );
    house.advance(u64::from(u32::MAX));
    assert_eq!(house.state(), "Empty");
}

#[test]
fn every_rebalance_has_its_reason() {
    let mut house = house();
    let ids = house.form(2);
    house.join(join(&ids[0]));
    house.join(join(&ids[1]));
    house.plan(&ids, 2);
    house.leave(&ids[1]);
    house.join(join(&ids[0]));
    house.plan(&ids[..1], 3);
    house.advance(10_000);
    let reasons: Vec<_> = house
        .notes
        .iter()
        .filter_map(|note| match note {
            Event::RebalanceStarted { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect();
    let expected = [
        RebalanceReason::MemberJoin,
        RebalanceReason::LeaderRejoin,
        RebalanceReason::MemberLeave,
        RebalanceReason::SessionTimeout,
    ];
    assert_eq!(reasons, expected);
    let completed = house
        .notes
        .iter()
        .filter(|note| matches!(note, Event::RebalanceCompleted { .. }))
        .count();
    assert_eq!(completed, 3);
}

#[test]
fn a_static_restart_begins_a_session_of_the_old_length() {
    let mut house = house();
    let parked = house.join(static_join("i"));
    house.advance(500);
    house.plan(&[parked.answer().member_id.to_string()], 1);
    house.advance(9_000);
    let longer = JoinGroup {
        session_timeout_ms: 60_000,
        ..static_join("i")
    };
    let member_id = house.join(longer.clone()).answer().member_id.to_string();
    house.advance(9_000);
    assert_eq!(house.state(), "Stable");
    // From the first heartbeat on it is the new process's.
    assert_eq!(
        house.heartbeat(&member_id, 1).answer().error,
        ErrorCode::NONE
    );
    house.advance(59_000);
    assert_eq!(house.state(), "Stable");
    house
        .join(JoinGroup {
            session_timeout_ms: 10_000,
            ..longer
        })
        .answer();
    house.advance(59_999);
    assert_eq!(house.state(), "Stable");
    house.advance(1);
    assert_eq!(house.state(), "Empty");
}

#[test]
fn a_session_that_ends_while_the_log_is_stuck_ends_when_it_is_not() {
    let mut house = house();
    house.form(1);
    house.create("free", 1);
    house.lands = false;
    let deleted = house.delete_offsets("free");
    house.advance(11_000);
    assert!(deleted.waits());
    house.lands = true;
    house.advance(0);
    assert_eq!(deleted.answer().error, ErrorCode::NONE);
    assert_eq!(house.state(), "Empty");
}

#[test]
fn who_was_heard_of_in_time_while_the_log_was_stuck_stays() {
    let mut house = house();
    let ids = house.form(1);
    house.create("free", 1);
    house.lands = false;
    let _deleted = house.delete_offsets("free");
    house.advance(9_000);
    let heartbeat = house.heartbeat(&ids[0], 1);
    house.advance(2_000);
    house.lands = true;
    house.advance(0);
    assert_eq!(heartbeat.answer().error, ErrorCode::NONE);
    assert_eq!(house.state(), "Stable");
    // Its session began when it was taken in, and ends.
    house.advance(10_000);
    assert_eq!(house.state(), "Empty");
}

#[test]
fn an_id_that_is_never_used_cuts_the_initial_delay_short_when_its_time_is_over() {
    let mut house = House::new(CoordinatorConfig::default());
    let quick = JoinGroup {
        session_timeout_ms: 6_000,
        ..join("")
    };
    assert_eq!(
        house.join(quick).answer().error,
        ErrorCode::MEMBER_ID_REQUIRED
    );
    let first = house.join(old_join());
    house.advance(2_500);
    let second = house.join(old_join());
    house.advance(2_500);
    let third = house.join(old_join());
    // The delay runs anew since three seconds, and will again: the third came during it.
    house.advance(999);
    assert!(first.waits());
    house.advance(1);
    for parked in [first, second, third] {
        assert_eq!(parked.answer().generation_id, 1);
    }
}

#[test]
fn the_end_of_the_join_phase_begins_a_session() {
    let mut house = house();
    let slow = JoinGroup {
        rebalance_timeout_ms: 60_000,
        ..old_join()
    };
    let parked = house.join(slow);
    house.advance(500);
    assert_eq!(parked.answer().error, ErrorCode::NONE);
    house.advance(9_999);
    assert_eq!(house.state(), "CompletingRebalance");
    house.advance(1);
    assert_eq!(house.state(), "Empty");
}
