//! Loading, crashes, evictions: what a group is when its coordinator begins anew, and that no generation is given twice.

use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::house::House;
use super::kit::{code, commit, config, house, join, old_join, subscription};
use crate::CoordinatorConfig;
use crate::core::classic::group_metadata;
use crate::core::{Input, StoredGroup};

#[test]
fn while_it_loads_members_go_on_and_others_come_back_later() {
    let mut house = house();
    let ids = house.form(1);
    house.restart();
    assert_eq!(house.heartbeat(&ids[0], 1).answer().error, ErrorCode::NONE);
    assert_eq!(
        house.sync(&ids[0], 1, &[]).answer().error,
        ErrorCode::REBALANCE_IN_PROGRESS
    );
    let loading = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    assert_eq!(house.join(join("")).answer().error, loading);
    assert_eq!(house.leave(&ids[0]).answer().error, loading);
    assert_eq!(code(&house.commit(commit(&ids[0], 1, 1)).answer()), loading);
    assert_eq!(house.fetch().answer().groups[0].error, loading);
    assert_eq!(house.describe().answer().groups[0].error, loading);
    assert_eq!(house.list().answer().error, loading);
    assert_eq!(house.delete().answer().results[0].error, loading);
    assert_eq!(house.delete_offsets("t").answer().error, loading);
}

#[test]
fn members_do_not_notice_a_restart() {
    let mut house = house();
    let ids = house.form(3);
    house.restart();
    house.load();
    for id in &ids {
        assert_eq!(house.heartbeat(id, 1).answer().error, ErrorCode::NONE);
        assert_eq!(
            house.sync(id, 1, &[]).answer().assignment.as_ref(),
            id.as_bytes()
        );
    }
    assert_eq!(house.state(), "Stable");
    // Sessions begin anew, and end.
    house.advance(10_000);
    assert_eq!(house.state(), "Empty");
}

/// Difference: `generations-once`.
#[test]
fn a_crash_before_the_plan_brings_the_last_stable_generation_back_and_none_is_given_twice() {
    let mut house = house();
    let ids = house.form(2);
    let rejoined: Vec<_> = ids.iter().map(|id| house.join(join(id))).collect();
    assert_eq!(rejoined[0].answer().generation_id, 2);
    house.restart();
    house.load();
    assert_eq!(
        house.heartbeat(&ids[0], 2).answer().error,
        ErrorCode::ILLEGAL_GENERATION
    );
    assert_eq!(house.heartbeat(&ids[0], 1).answer().error, ErrorCode::NONE);
    let rejoined: Vec<_> = ids.iter().map(|id| house.join(join(id))).collect();
    assert!(rejoined[0].answer().generation_id > 2);
}

#[test]
fn a_rebalance_costs_no_append_of_its_own() {
    let mut house = house();
    let ids = house.form(2);
    let appends = house.appends;
    for generation in 2..100 {
        let rejoined: Vec<_> = ids.iter().map(|id| house.join(join(id))).collect();
        assert_eq!(rejoined[1].answer().generation_id, generation);
        house.plan(&ids, generation);
    }
    assert_eq!(house.appends - appends, 98, "one plan each");
    assert_eq!(house.mark_appends, 0);
}

#[test]
fn generations_without_plans_are_reserved_ahead_and_at_last_awaited() {
    let mut house = house();
    let ids = house.form(1);
    house.lands = false;
    let mut highest = 1;
    // The leader joins again and again and never plans, while the log is stuck.
    let stuck = loop {
        let rejoined = house.join(request_with_metadata(&ids[0], highest));
        if rejoined.waits() {
            break rejoined;
        }
        highest = rejoined.answer().generation_id;
    };
    let reserved = house.index.generation_mark("g").unwrap();
    assert_eq!(
        highest, reserved,
        "all that is durable is given out, and no more"
    );
    assert_eq!(house.writes_waiting(), 1);
    assert!(house.land(Ok(())));
    assert_eq!(stuck.answer().generation_id, highest + 1);
}

fn request_with_metadata(member_id: &str, n: i32) -> crate::request::JoinGroup {
    let mut request = join(member_id);
    request.protocols[0].metadata = format!("different {n}").into();
    request
}

#[test]
fn a_generation_that_cannot_be_reserved_is_asked_for_again() {
    let mut house = house();
    let ids = house.form(1);
    house.lands = false;
    let mut n = 0;
    let stuck = loop {
        n += 1;
        let rejoined = house.join(request_with_metadata(&ids[0], n));
        if rejoined.waits() {
            break rejoined;
        }
    };
    assert!(house.land(Err(ErrorCode::REQUEST_TIMED_OUT)));
    house.advance(1_000);
    assert!(stuck.waits());
    assert!(house.land(Ok(())));
    assert_eq!(stuck.answer().error, ErrorCode::NONE);
}

#[test]
fn a_deleted_group_begins_at_generation_one_again() {
    let mut house = house();
    let ids = house.form(1);
    house.leave(&ids[0]).answer();
    house.delete().answer();
    let (_, parked) = house.newcomer();
    house.advance(1000);
    assert_eq!(parked.answer().generation_id, 1);
}

#[test]
fn an_evicted_group_owes_answers_and_comes_back_from_what_is_stored() {
    let mut house = house();
    let ids = house.form(2);
    let _rejoined = house.join(join(&ids[0]));
    let group_id: Arc<str> = "g".into();
    assert_eq!(house.groups.evict(&group_id).len(), 1);
    assert_eq!(house.groups.census().members, 0);
    assert_eq!(house.heartbeat(&ids[0], 1).answer().error, ErrorCode::NONE);
    assert_eq!(
        house.describe().answer().groups[0].error,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
    );
    // Its deadlines went with it: what is left in the queue means nothing.
    house.advance(60_000);
    let stored = StoredGroup::read(&house.index, &group_id).unwrap();
    house.step(Input::Rebuilt(stored));
    assert_eq!(house.state(), "Stable");
    assert_eq!(house.groups.census().members, 2);
    assert_eq!(house.heartbeat(&ids[1], 1).answer().error, ErrorCode::NONE);
}

#[test]
fn a_group_evicted_with_an_append_in_flight_does_not_hear_of_it() {
    let mut house = house();
    let ids = house.form(1);
    house.lands = false;
    let _left = house.leave(&ids[0]);
    let listed = house.list();
    assert!(listed.waits());
    let group_id: Arc<str> = "g".into();
    assert_eq!(house.groups.evict(&group_id).len(), 1);
    assert!(house.land(Ok(())));
    assert_eq!(listed.answer().groups.len(), 0);
    let stored = StoredGroup::read(&house.index, &group_id).unwrap();
    house.step(Input::Rebuilt(stored));
    assert_eq!(house.state(), "Empty");
}

#[test]
fn a_group_above_the_limit_is_cut_down_after_the_load() {
    let mut house = House::new(config());
    let ids = house.form(3);
    let index = std::mem::take(&mut house.index);
    let mut house = House::new(CoordinatorConfig {
        group_max_size: 2,
        ..config()
    });
    house.restart();
    house.index = index;
    house.load();
    assert_eq!(house.state(), "PreparingRebalance");
    let rejoined: Vec<_> = ids.iter().map(|id| house.join(join(id))).collect();
    assert_eq!(
        rejoined[2].answer().error,
        ErrorCode::GROUP_MAX_SIZE_REACHED
    );
    house.advance(20_000);
    assert_eq!(rejoined[0].answer().error, ErrorCode::NONE);
    assert_eq!(rejoined[1].answer().error, ErrorCode::NONE);
}

#[test]
fn offsets_alone_are_a_group_of_simple_consumers_after_a_restart() {
    let mut house = house();
    house.create("t", 1);
    house.commit(commit("", -1, 5)).answer();
    house.restart();
    house.load();
    assert_eq!(house.state(), "Empty");
    assert_eq!(house.list().answer().groups[0].protocol_type.as_ref(), "");
    // A member may found a real group on them.
    let parked = house.join(old_join());
    house.advance(500);
    assert_eq!(parked.answer().generation_id, 1);
    assert_eq!(
        house.fetch().answer().groups[0].topics[0].partitions[0].committed_offset,
        5
    );
}

#[test]
fn a_generation_given_to_a_group_of_simple_consumers_outlives_their_offsets() {
    let mut house = house();
    house.create("t", 1);
    house.commit(commit("", -1, 5)).answer();
    let mut request = old_join();
    request.protocols[0].metadata = subscription(&["other"]);
    let parked = house.join(request);
    house.advance(500);
    assert_eq!(parked.answer().generation_id, 1);
    assert_eq!(
        house.delete_offsets("t").answer().topics[0].partitions,
        [(0, ErrorCode::NONE)]
    );
    house.restart();
    house.load();
    let parked = house.join(old_join());
    house.advance(500);
    assert!(parked.answer().generation_id > 1);
}

#[test]
fn a_group_stored_without_a_leader_has_one_all_the_same() {
    let mut house = house();
    let ids = house.form(2);
    let mut value = house.stored("g").unwrap();
    value.leader = None;
    let bytes = value.encode().unwrap();
    let record = group_metadata::record(&"g".into(), bytes.into());
    house.index.apply(&record, 1_000);
    house.restart();
    house.load();
    // A leader that joins again asks for a new plan.
    assert!(house.join(join(&ids[0])).waits());
    assert_eq!(house.state(), "PreparingRebalance");
}
