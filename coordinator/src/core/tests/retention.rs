//! The end of offsets nobody needs and of groups without any (KIP-211).

use callboard_protocol::ErrorCode;

use super::house::House;
use super::kit::{code, commit, house};
use crate::core::Input;
use crate::request::OffsetCommit;

const DAY: u64 = 24 * 60 * 60 * 1000;

impl House {
    fn check(&mut self) {
        for group_id in self.groups.group_ids() {
            self.step(Input::Expire { group_id });
        }
    }

    fn committed(&mut self) -> i64 {
        self.fetch().answer().groups[0].topics[0].partitions[0].committed_offset
    }
}

#[test]
fn an_empty_group_keeps_its_offsets_for_a_week_from_when_it_became_empty() {
    let mut house = house();
    let ids = house.form(1);
    house.commit(commit(&ids[0], 1, 7)).answer();
    for _ in 0..100 {
        house.advance(9_000);
        house.heartbeat(&ids[0], 1).answer();
    }
    house.leave(&ids[0]).answer();
    house.advance(7 * DAY - 1);
    house.check();
    assert_eq!(house.committed(), 7);
    // The clock is stored: a restart does not wind it up again.
    house.restart();
    house.load();
    house.advance(1);
    house.check();
    assert_eq!(house.committed(), -1);
    assert!(house.index.is_empty());
    assert_eq!(
        house.describe().answer().groups[0].error,
        ErrorCode::GROUP_ID_NOT_FOUND
    );
}

#[test]
fn a_group_that_never_committed_ends_at_the_next_check_and_its_pending_ids_with_it() {
    let mut house = house();
    let pending = house
        .join(super::kit::join(""))
        .answer()
        .member_id
        .to_string();
    house.check();
    assert_eq!(
        house.join(super::kit::join(&pending)).answer().error,
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    assert_eq!(house.groups.next_deadline(), None);
}

#[test]
fn a_working_group_keeps_what_it_reads_and_loses_what_it_does_not() {
    let mut house = house();
    let ids = house.form(1);
    house.create("other", 1);
    house.commit(commit(&ids[0], 1, 7)).answer();
    let mut other = commit(&ids[0], 1, 8);
    other.topics[0].topic = crate::request::TopicRef::Name("other".into());
    house.commit(other).answer();
    for _ in 0..(8 * DAY / 9_000) {
        house.advance(9_000);
        house.heartbeat(&ids[0], 1).answer();
    }
    house.check();
    assert_eq!(house.committed(), 7);
    assert!(house.index.topic("g", "other").is_none());
    assert_eq!(house.state(), "Stable");
}

#[test]
fn nothing_ends_while_a_group_rebalances() {
    let mut house = house();
    let ids = house.form(2);
    house.commit(commit(&ids[0], 1, 7)).answer();
    house.leave(&ids[1]);
    assert_eq!(house.state(), "PreparingRebalance");
    let appends = house.appends;
    house.check();
    assert_eq!(house.appends, appends);
}

#[test]
fn simple_consumers_lose_each_offset_a_week_after_its_commit() {
    let mut house = house();
    house.create("t", 1);
    house.commit(commit("", -1, 7)).answer();
    house.advance(6 * DAY);
    house.commit(commit("", -1, 8)).answer();
    house.advance(6 * DAY);
    house.check();
    assert_eq!(house.committed(), 8);
    house.advance(DAY);
    house.check();
    assert_eq!(house.committed(), -1);
}

#[test]
fn a_client_of_old_says_itself_how_long() {
    let mut house = house();
    house.create("t", 1);
    let short = OffsetCommit {
        retention_time_ms: Some(1_000),
        ..commit("", -1, 7)
    };
    assert_eq!(code(&house.commit(short).answer()), ErrorCode::NONE);
    house.advance(999);
    house.check();
    assert_eq!(house.committed(), 7);
    house.advance(1);
    house.check();
    assert_eq!(house.committed(), -1);
}

#[test]
fn who_commits_during_the_check_is_not_forgotten() {
    let mut house = house();
    house.create("t", 1);
    house.commit(commit("", -1, 7)).answer();
    house.advance(8 * DAY);
    house.lands = false;
    house.check();
    let late = house.commit(commit("", -1, 8));
    house.lands = true;
    house.advance(0);
    assert_eq!(code(&late.answer()), ErrorCode::NONE);
    assert_eq!(house.committed(), 8);
    assert_eq!(house.list().answer().groups.len(), 1);
}
