//! Transcripts of a cooperative member (KIP-429): what it keeps, says, gives up and loses.

use super::*;

fn cooperative() -> MembershipConfig {
    MembershipConfig {
        protocol: RebalanceProtocol::Cooperative,
        ..config()
    }
}

/// A follower of generation 1 that owns partitions 0 and 1, in a JoinGroup that the group waits for.
fn rejoining() -> (Story, Ticket) {
    let mut story = Story::stable(cooperative(), &[0, 1]);
    let (join, _) = only_join(story.step(Input::Rejoin("grow".to_owned())));
    (story, join)
}

/// And on to the SyncGroup of generation 2.
fn syncing() -> (Story, Ticket) {
    let (mut story, join) = rejoining();
    let effects = story.step(Input::Joined(join, Ok(joined(2, "other"))));
    let [Effect::Sync(sync, _)] = effects[..] else {
        panic!("{effects:?}");
    };
    (story, sync)
}

/// And on to giving up partition 1, which generation 2 took.
fn giving_up() -> (Story, Ticket) {
    let (mut story, sync) = syncing();
    let effects = story.step(Input::Synced(sync, Ok(synced(&[0]))));
    let [
        Effect::Revoke {
            ticket,
            ref partitions,
            drain,
            commit,
        },
    ] = effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(*partitions, set(&[1]));
    assert_eq!((drain, commit), (30 * SECOND, 10 * SECOND));
    (story, ticket)
}

fn only_assign(effects: &[Effect]) -> (&BTreeSet<TopicPartition>, &BTreeSet<TopicPartition>) {
    match effects {
        [Effect::Assign { owned, added, .. }] => (owned, added),
        other => panic!("no assignment but {other:?}"),
    }
}

fn is_lost(effect: &Effect, expected: &[i32]) -> bool {
    matches!(effect, Effect::Lose { partitions, .. } if *partitions == set(expected))
}

/// Scenario 6, the member that was there: two rounds.
#[test]
fn scenario_6_keeps_what_stays_and_joins_again_after_giving_up_the_rest() {
    let mut story = Story::stable(cooperative(), &[0, 1]);
    let beat = story.heartbeat();
    let rebalances = Err(code(ErrorCode::REBALANCE_IN_PROGRESS));
    let (join, question) = only_join(story.step(Input::HeartbeatAnswered(beat, rebalances)));
    assert_eq!((question.owned, question.generation), (set(&[0, 1]), 1));
    let effects = story.follow(join, 2, &[0]);
    let [
        Effect::Revoke {
            ticket, partitions, ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(*partitions, set(&[1]));
    // Whoever gets it waits for the commit of what was in work; the coordinator hears that we live.
    story.heartbeat();
    let effects = story.step(Input::Revoked(*ticket));
    let [
        Effect::Assign { owned, added, .. },
        Effect::Join(join, question),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!((owned, added), (&set(&[0]), &set(&[])));
    assert_eq!(question.reason, "need to revoke partitions and re-join");
    assert_eq!((&question.owned, question.generation), (&set(&[0]), 2));
    let effects = story.follow(*join, 3, &[0]);
    assert_eq!(only_assign(&effects), (&set(&[0]), &set(&[])));
}

/// Scenario 6, the member that comes: what moves is its own in the second round.
#[test]
fn scenario_6_waits_a_round_for_what_others_give_up() {
    let (mut story, join) = Story::joining(cooperative());
    let effects = story.follow(join, 2, &[]);
    assert_eq!(only_assign(&effects), (&set(&[]), &set(&[])));
    let beat = story.heartbeat();
    let rebalances = Err(code(ErrorCode::REBALANCE_IN_PROGRESS));
    let (join, question) = only_join(story.step(Input::HeartbeatAnswered(beat, rebalances)));
    assert_eq!((question.owned, question.generation), (set(&[]), 2));
    let effects = story.follow(join, 3, &[1]);
    assert_eq!(only_assign(&effects), (&set(&[1]), &set(&[1])));
}

#[test]
fn what_is_added_joins_what_is_kept_without_another_round() {
    let (mut story, sync) = syncing();
    let effects = story.step(Input::Synced(sync, Ok(synced(&[0, 1, 2]))));
    assert_eq!(only_assign(&effects), (&set(&[0, 1, 2]), &set(&[2])));
}

#[test]
fn commits_wait_from_the_join_to_the_assignment() {
    let (story, _) = rejoining();
    assert!(story.member.is_joining());
    let (story, _) = syncing();
    assert!(story.member.is_joining());
    let (mut story, ticket) = giving_up();
    assert!(!story.member.is_joining());
    assert_eq!(story.member.generation().current(), Some(2));
    story.step(Input::Revoked(ticket));
    assert!(story.member.is_joining());
}

/// One that was under way when JoinGroup went out is refused once that has ended the generation; everything was lost.
#[test]
fn a_commit_refused_while_joining_is_answered_by_the_join() {
    for refused in [ErrorCode::ILLEGAL_GENERATION, ErrorCode::UNKNOWN_MEMBER_ID] {
        let (mut story, join) = rejoining();
        let effects = story.step(Input::CommitRefused {
            request: "OffsetCommit",
            node: Some(NODE),
            generation: 1,
            code: code(refused),
        });
        assert_eq!(effects, []);
        let effects = story.follow(join, 2, &[0, 1]);
        assert_eq!(only_assign(&effects), (&set(&[0, 1]), &set(&[])));
    }
}

#[test]
fn a_sync_that_comes_to_nothing_keeps_everything_and_says_it_again() {
    for refusal in [
        code(ErrorCode::REBALANCE_IN_PROGRESS),
        code(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
        code(ErrorCode::NOT_COORDINATOR),
        Refusal::Disconnected,
    ] {
        let (mut story, sync) = syncing();
        let mut effects = story.step(Input::Synced(sync, Err(refusal.clone())));
        let question = loop {
            assert!(
                !effects.iter().any(|one| is_lost(one, &[0, 1])),
                "{refusal}"
            );
            effects = match effects.pop() {
                Some(Effect::Join(_, question)) => break question,
                Some(Effect::FindCoordinator(ticket)) => {
                    story.step(Input::CoordinatorFound(ticket, Ok(NODE)))
                }
                _ => story.wait(),
            };
        };
        assert_eq!((question.owned, question.generation), (set(&[0, 1]), 2));
    }
}

#[test]
fn a_member_that_is_put_out_while_it_joins_loses_everything_and_says_so() {
    for (refused, member_id) in [
        (ErrorCode::UNKNOWN_MEMBER_ID, ""),
        (ErrorCode::MEMBER_ID_REQUIRED, "me-2"),
        (ErrorCode::ILLEGAL_GENERATION, "me"),
    ] {
        let (mut story, join) = rejoining();
        let refusal = Err((code(refused), "me-2".to_owned()));
        let effects = story.step(Input::Joined(join, refusal));
        let [lost, Effect::Join(_, question)] = &effects[..] else {
            panic!("{}: {effects:?}", refused.name());
        };
        assert!(is_lost(lost, &[0, 1]), "{}", refused.name());
        assert_eq!((&question.owned, question.generation), (&set(&[]), -1));
        assert_eq!(question.member_id, member_id);
    }
}

#[test]
fn a_member_that_is_put_out_while_it_syncs_loses_everything_and_says_so() {
    for refused in [ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::ILLEGAL_GENERATION] {
        let (mut story, sync) = syncing();
        let effects = story.step(Input::Synced(sync, Err(code(refused))));
        let [lost, Effect::Join(_, question)] = &effects[..] else {
            panic!("{}: {effects:?}", refused.name());
        };
        assert!(is_lost(lost, &[0, 1]), "{}", refused.name());
        assert_eq!((&question.owned, question.generation), (&set(&[]), -1));
    }
}

/// Scenario 21: what is on its way out and what was to stay; what was to come is never taken on.
#[test]
fn scenario_21_a_member_that_is_put_out_while_it_gives_up_loses_the_rest_too() {
    let (mut story, ticket) = giving_up();
    let beat = story.heartbeat();
    let unknown = Err(code(ErrorCode::UNKNOWN_MEMBER_ID));
    let effects = story.step(Input::HeartbeatAnswered(beat, unknown));
    let [lost, Effect::Join(_, question)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(is_lost(lost, &[0, 1]), "{effects:?}");
    assert_eq!((question.member_id.as_str(), question.generation), ("", -1));
    assert!(question.owned.is_empty());
    assert_eq!(story.step(Input::Revoked(ticket)), []);
}

/// Scenario 11, in the middle of a rebalance.
#[test]
fn scenario_11_a_fenced_static_member_loses_what_it_kept() {
    let mut settings = cooperative();
    settings.instance_id = Some("one".to_owned());
    let mut story = Story::stable(settings, &[0, 1]);
    let (join, _) = only_join(story.step(Input::Rejoin("go".to_owned())));
    let fenced = Err((code(ErrorCode::FENCED_INSTANCE_ID), String::new()));
    let effects = story.step(Input::Joined(join, fenced));
    let [lost, Effect::Fatal(FatalError::Fenced { .. })] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(is_lost(lost, &[0, 1]));
}

#[test]
fn what_is_not_given_up_in_time_is_lost_and_the_rest_is_kept() {
    let (mut story, _) = giving_up();
    let effects = loop {
        let effects = story.wait();
        match effects[..] {
            [Effect::Heartbeat { ticket, .. }] => {
                story.step(Input::HeartbeatAnswered(ticket, Ok(())));
            }
            _ => break effects,
        }
    };
    let [
        lost,
        Effect::Assign { owned, .. },
        ..,
        Effect::Join(_, question),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert!(is_lost(lost, &[1]));
    assert_eq!((owned, &question.owned), (&set(&[0]), &set(&[0])));
}

/// Scenario 50. The commit of what it gives up, and LeaveGroup, waited behind its own JoinGroup.
#[test]
fn scenario_50_a_leave_while_joining_gives_up_what_was_kept() {
    for (mut story, _) in [rejoining(), syncing()] {
        let effects = story.step(leave());
        let [
            Effect::Disconnect(NODE),
            Effect::Revoke {
                ticket, partitions, ..
            },
        ] = &effects[..]
        else {
            panic!("{effects:?}");
        };
        assert_eq!(*partitions, set(&[0, 1]));
        assert!(!story.member.is_joining());
        let effects = story.step(Input::Revoked(*ticket));
        assert!(
            matches!(&effects[..], [Effect::Leave { member_id, .. }] if member_id == "me"),
            "{effects:?}"
        );
    }
}

/// The JoinGroup that it abandoned made it a member of the next generation: the group waited for its session to end.
#[test]
fn scenario_50_a_member_that_the_group_went_on_with_while_it_left_leaves_all_the_same() {
    let (mut story, _) = rejoining();
    story.step(leave());
    let beat = story.heartbeat();
    let illegal = Err(code(ErrorCode::ILLEGAL_GENERATION));
    let effects = story.step(Input::HeartbeatAnswered(beat, illegal));
    let [lost, Effect::Leave { member_id, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(is_lost(lost, &[0, 1]));
    assert_eq!(member_id, "me");
}
