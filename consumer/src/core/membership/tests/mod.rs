//! Transcripts of the member: given, when, then. Named after the rule each shows.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use callboard_client::TopicPartition;
use callboard_protocol::{ErrorCode, Uuid};

use super::*;

mod cooperative;
mod random;
mod reactions;
mod topics;

const NODE: i32 = 3;
const SECOND: Duration = Duration::from_secs(1);

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

fn set(partitions: &[i32]) -> BTreeSet<TopicPartition> {
    partitions.iter().copied().map(tp).collect()
}

fn config() -> MembershipConfig {
    MembershipConfig {
        instance_id: None,
        topics: BTreeSet::from(["orders".to_owned()]),
        session_timeout: 45 * SECOND,
        rebalance_timeout: 300 * SECOND,
        heartbeat_interval: 3 * SECOND,
        retry_backoff: Duration::from_millis(100),
        retry_backoff_max: SECOND,
        drain_timeout: 30 * SECOND,
        protocol: RebalanceProtocol::Eager,
        seed: 11,
    }
}

/// A member and the moment it is at.
struct Story {
    member: Membership,
    now: Duration,
}

impl Story {
    fn new(config: MembershipConfig) -> Self {
        Self {
            member: Membership::new(config, None),
            now: Duration::ZERO,
        }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.member.step(self.now, input, &mut effects);
        effects
    }

    /// Goes to the next deadline.
    fn wait(&mut self) -> Vec<Effect> {
        self.now = self.member.next_deadline().expect("nothing to wait for");
        self.step(Input::Tick)
    }

    /// Started, with the coordinator found and the first JoinGroup out.
    fn joining(config: MembershipConfig) -> (Self, Ticket) {
        let mut story = Self::new(config);
        let [Effect::FindCoordinator(ticket)] = story.step(Input::Start)[..] else {
            panic!("no lookup");
        };
        let effects = story.step(Input::CoordinatorFound(ticket, Ok(NODE)));
        let (join, question) = only_join(effects);
        assert_eq!(question.member_id, "");
        (story, join)
    }

    /// A follower of generation 1 that owns `partitions`.
    fn stable(config: MembershipConfig, partitions: &[i32]) -> Self {
        let (mut story, join) = Self::joining(config);
        story.follow(join, 1, partitions);
        story
    }

    /// From JoinGroup's answer to the assignment, as a follower.
    fn follow(&mut self, join: Ticket, generation: i32, partitions: &[i32]) -> Vec<Effect> {
        let effects = self.step(Input::Joined(join, Ok(joined(generation, "other"))));
        let [Effect::Sync(sync, question)] = &effects[..] else {
            panic!("{effects:?}");
        };
        assert!(question.assignments.is_empty());
        self.step(Input::Synced(*sync, Ok(synced(partitions))))
    }

    fn heartbeat(&mut self) -> Ticket {
        let effects = self.wait();
        match &effects[..] {
            [
                Effect::Heartbeat {
                    ticket,
                    node: NODE,
                    generation,
                },
            ] => {
                assert_eq!(generation.id, self.member.generation().id);
                *ticket
            }
            other => panic!("no heartbeat but {other:?}"),
        }
    }
}

fn joined(generation: i32, leader: &str) -> JoinAnswer {
    JoinAnswer {
        generation,
        protocol_type: Some("consumer".to_owned()),
        protocol: "range".to_owned(),
        leader: leader.to_owned(),
        member_id: "me".to_owned(),
        ..JoinAnswer::default()
    }
}

fn synced(partitions: &[i32]) -> SyncAnswer {
    SyncAnswer {
        protocol: Some("range".to_owned()),
        assigned: Some(set(partitions)),
    }
}

fn only_join(effects: Vec<Effect>) -> (Ticket, JoinQuestion) {
    match &effects[..] {
        [Effect::Join(ticket, question)] => (*ticket, question.clone()),
        other => panic!("no join but {other:?}"),
    }
}

/// Metadata says that there is `orders` with so many partitions.
fn orders(partitions: i32) -> Input {
    orders_of(1, partitions)
}

/// The same, of the topic with this id.
fn orders_of(id: u8, partitions: i32) -> Input {
    Input::MetadataChanged(topics(id, &[("orders", partitions)]))
}

/// Topics with so many partitions, all with one id.
fn topics(id: u8, counts: &[(&str, i32)]) -> Topics {
    let view = |partitions| TopicView {
        id: Uuid([id; 16]),
        partitions,
        racks: 0,
    };
    counts
        .iter()
        .map(|(topic, partitions)| ((*topic).to_owned(), view(*partitions)))
        .collect()
}

/// Leave within half a minute.
fn leave() -> Input {
    Input::Leave {
        reason: "closing".to_owned(),
        within: 30 * SECOND,
    }
}

fn code(code: ErrorCode) -> Refusal {
    Refusal::Code(code)
}

#[test]
fn the_first_join_takes_the_member_id_it_is_given_and_joins_again_at_once() {
    let (mut story, join) = Story::joining(config());
    let refused = Err((code(ErrorCode::MEMBER_ID_REQUIRED), "me-1".to_owned()));
    let (_, question) = only_join(story.step(Input::Joined(join, refused)));
    assert_eq!(question.member_id, "me-1");
    assert_eq!(question.reason, "first join");
}

#[test]
fn a_follower_syncs_with_nothing_and_takes_what_it_is_given() {
    let (mut story, join) = Story::joining(config());
    let effects = story.follow(join, 1, &[0, 1]);
    let [
        Effect::Assign {
            generation,
            owned,
            added,
            leader: false,
            reason: Reason::FirstJoin,
            ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!((generation.id, generation.member_id.as_str()), (1, "me"));
    assert_eq!((owned, added), (&set(&[0, 1]), &set(&[0, 1])));
    assert_eq!(story.member.state, State::Stable);
}

#[test]
fn the_leader_plans_and_syncs_for_everybody() {
    let (mut story, join) = Story::joining(config());
    let mut answer = joined(1, "me");
    answer.members = vec![JoinMember {
        member_id: "me".to_owned(),
        ..JoinMember::default()
    }];
    let effects = story.step(Input::Joined(join, Ok(answer)));
    let [
        Effect::Plan {
            ticket, protocol, ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(protocol, "range");
    let plan = vec![("me".to_owned(), Bytes::from_static(b"plan"))];
    let effects = story.step(Input::Planned(
        *ticket,
        Ok(EncodedPlan {
            assignments: plan.clone(),
            ..EncodedPlan::default()
        }),
    ));
    let [Effect::Sync(_, question)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(question.assignments, plan);
}

#[test]
fn heartbeats_go_on_while_the_leader_plans() {
    let (mut story, join) = Story::joining(config());
    let mut answer = joined(1, "me");
    answer.members = vec![JoinMember::default()];
    story.step(Input::Joined(join, Ok(answer)));
    story.heartbeat();
}

#[test]
fn a_rejoined_static_leader_makes_no_assignments_when_told_to_skip_and_still_sees_topics_grow() {
    let mut settings = config();
    settings.instance_id = Some("one".to_owned());
    let (mut story, join) = Story::joining(settings);
    let mut answer = joined(4, "me");
    answer.skip_assignment = true;
    let effects = story.step(Input::Joined(join, Ok(answer)));
    let [
        Effect::Plan {
            ticket, skip: true, ..
        },
    ] = effects[..]
    else {
        panic!("{effects:?}");
    };
    let noted = EncodedPlan {
        over: topics(1, &[("orders", 4)]),
        ..EncodedPlan::default()
    };
    let effects = story.step(Input::Planned(ticket, Ok(noted)));
    let [Effect::Sync(sync, question)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(question.assignments.is_empty());
    story.step(Input::Synced(*sync, Ok(synced(&[0]))));
    let grown = orders(6);
    assert!(matches!(story.step(grown)[..], [Effect::Revoke { .. }]));
}

#[test]
fn eager_gives_everything_up_before_it_joins_again() {
    let mut story = Story::stable(config(), &[0, 1]);
    let beat = story.heartbeat();
    let effects = story.step(Input::HeartbeatAnswered(
        beat,
        Err(code(ErrorCode::REBALANCE_IN_PROGRESS)),
    ));
    let [
        Effect::Revoke {
            ticket,
            partitions,
            drain,
            commit,
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(*partitions, set(&[0, 1]));
    assert_eq!((*drain, *commit), (30 * SECOND, 10 * SECOND));
    // The drain takes its time; the coordinator hears that we live.
    let ticket = *ticket;
    story.heartbeat();
    let (_, question) = only_join(story.step(Input::Revoked(ticket)));
    assert!(question.owned.is_empty());
    assert_eq!(question.member_id, "me");
    assert_eq!(question.reason, "group is already rebalancing");
}

#[test]
fn a_drain_that_never_ends_is_cut_off_at_the_rebalance_timeout() {
    let mut story = Story::stable(config(), &[0]);
    story.step(Input::Rejoin("because".to_owned()));
    let mut effects = Vec::new();
    while story.now < 301 * SECOND
        && !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Join(..)))
    {
        effects = story.wait();
        if let [Effect::Heartbeat { ticket, .. }] = effects[..] {
            story.step(Input::HeartbeatAnswered(ticket, Ok(())));
        }
    }
    assert!(matches!(
        &effects[..],
        [
            Effect::Lose {
                cause: LossCause::RevokeOverdue,
                ..
            },
            Effect::Join(..)
        ]
    ));
}

#[test]
fn an_unknown_member_loses_everything_and_joins_as_a_new_one() {
    let mut story = Story::stable(config(), &[0, 1]);
    let beat = story.heartbeat();
    let effects = story.step(Input::HeartbeatAnswered(
        beat,
        Err(code(ErrorCode::UNKNOWN_MEMBER_ID)),
    ));
    let [
        Effect::Lose {
            partitions,
            cause: LossCause::UnknownMember,
        },
        Effect::Join(_, question),
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(*partitions, set(&[0, 1]));
    assert_eq!((question.member_id.as_str(), question.generation), ("", -1));
}

#[test]
fn an_illegal_generation_loses_everything_and_keeps_the_member_id() {
    let mut story = Story::stable(config(), &[0]);
    let beat = story.heartbeat();
    let effects = story.step(Input::HeartbeatAnswered(
        beat,
        Err(code(ErrorCode::ILLEGAL_GENERATION)),
    ));
    let [Effect::Lose { .. }, Effect::Join(_, question)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(
        (question.member_id.as_str(), question.generation),
        ("me", -1)
    );
}

#[test]
fn an_answer_to_an_older_generation_is_ignored() {
    let mut story = Story::stable(config(), &[0]);
    let late = story.heartbeat();
    let [Effect::Revoke { ticket, .. }] = &story.step(Input::Rejoin("go".to_owned()))[..] else {
        panic!("no revoke");
    };
    let ticket = *ticket;
    let (join, _) = only_join(story.step(Input::Revoked(ticket)));
    story.follow(join, 2, &[0]);
    let effects = story.step(Input::HeartbeatAnswered(
        late,
        Err(code(ErrorCode::ILLEGAL_GENERATION)),
    ));
    assert_eq!(effects, []);
    assert_eq!(story.member.state, State::Stable);
    let stale = Input::CommitRefused {
        request: "OffsetCommit",
        node: Some(NODE),
        generation: 1,
        code: code(ErrorCode::ILLEGAL_GENERATION),
    };
    assert_eq!(story.step(stale), []);
}

#[test]
fn a_moved_coordinator_is_found_again_and_membership_kept() {
    let mut story = Story::stable(config(), &[0]);
    let beat = story.heartbeat();
    let effects = story.step(Input::HeartbeatAnswered(
        beat,
        Err(code(ErrorCode::NOT_COORDINATOR)),
    ));
    let lost = Effect::CoordinatorLost {
        node: Some(NODE),
        why: code(ErrorCode::NOT_COORDINATOR),
    };
    assert_eq!(effects, [Effect::Disconnect(NODE), lost]);
    let effects = story.wait();
    let [Effect::FindCoordinator(ticket)] = effects[..] else {
        panic!("{effects:?}");
    };
    let effects = story.step(Input::CoordinatorFound(ticket, Ok(4)));
    let [
        Effect::Heartbeat {
            ticket,
            node: 4,
            generation,
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(generation.id, 1);
    // Found is what answers, not what somebody names.
    let effects = story.step(Input::HeartbeatAnswered(*ticket, Ok(())));
    assert_eq!(effects, [Effect::CoordinatorFound(4)]);
    assert_eq!(story.member.owned, set(&[0]));
}

#[test]
fn a_silent_coordinator_is_looked_up_again_after_the_session_timeout() {
    let mut story = Story::stable(config(), &[0]);
    story.heartbeat();
    let effects = story.wait();
    assert_eq!(story.now, 45 * SECOND);
    assert!(
        matches!(
            &effects[..],
            [Effect::Disconnect(NODE), Effect::CoordinatorLost { .. }]
        ),
        "{effects:?}"
    );
    assert!(matches!(story.wait()[..], [Effect::FindCoordinator(_)]));
    assert_eq!(story.member.state, State::Stable);
}

#[test]
fn a_loading_coordinator_is_joined_again_after_a_wait() {
    let (mut story, join) = Story::joining(config());
    let refused = Err((code(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS), String::new()));
    assert_eq!(story.step(Input::Joined(join, refused)), []);
    only_join(story.wait());
    assert!(story.now >= Duration::from_millis(80));
}

#[test]
fn a_rebalance_during_sync_joins_again() {
    let (mut story, join) = Story::joining(config());
    let effects = story.step(Input::Joined(join, Ok(joined(1, "other"))));
    let [Effect::Sync(sync, _)] = &effects[..] else {
        panic!("{effects:?}");
    };
    let refused = Err(code(ErrorCode::REBALANCE_IN_PROGRESS));
    let (_, question) = only_join(story.step(Input::Synced(*sync, refused)));
    assert_eq!(question.member_id, "me");
}

#[test]
fn a_fenced_static_member_ends_once_and_does_not_come_back() {
    let mut settings = config();
    settings.instance_id = Some("one".to_owned());
    let mut story = Story::stable(settings, &[0]);
    let beat = story.heartbeat();
    let effects = story.step(Input::HeartbeatAnswered(
        beat,
        Err(code(ErrorCode::FENCED_INSTANCE_ID)),
    ));
    assert!(matches!(
        &effects[..],
        [Effect::Lose { .. }, Effect::Fatal(FatalError::Fenced { instance_id })] if instance_id == "one"
    ));
    assert_eq!(story.member.next_deadline(), None);
    assert_eq!(story.step(Input::Tick), []);
}

#[test]
fn errors_that_no_retry_cures_are_fatal() {
    for refused in [
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        ErrorCode::INVALID_SESSION_TIMEOUT,
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
        ErrorCode::GROUP_MAX_SIZE_REACHED,
    ] {
        let (mut story, join) = Story::joining(config());
        let effects = story.step(Input::Joined(join, Err((code(refused), String::new()))));
        assert_eq!(
            effects,
            [Effect::Fatal(FatalError::Refused {
                request: "JoinGroup",
                code: refused
            })]
        );
    }
}

#[test]
fn a_leader_without_a_plan_leaves_and_comes_back_after_a_wait() {
    let (mut story, join) = Story::joining(config());
    let mut answer = joined(1, "me");
    answer.members = vec![JoinMember::default()];
    let effects = story.step(Input::Joined(join, Ok(answer)));
    let [Effect::Plan { ticket, .. }] = effects[..] else {
        panic!("{effects:?}");
    };
    let failed = Err(PlanFailure::Assignor("it panicked".to_owned()));
    let effects = story.step(Input::Planned(ticket, failed));
    assert!(matches!(
        &effects[..],
        [Effect::PlanFailed { assignor, .. }, Effect::Leave { member_id, .. }]
            if assignor == "range" && member_id == "me"
    ));
    let (_, question) = only_join(story.wait());
    assert_eq!(question.member_id, "");
    assert_eq!(question.reason, "rebalance failed due to it panicked");
}

#[test]
fn only_the_leader_asks_for_a_rebalance_when_a_topic_grows() {
    let grown = orders(6);
    let mut follower = Story::stable(config(), &[0]);
    assert_eq!(follower.step(grown.clone()), []);

    let (mut story, join) = Story::joining(config());
    let mut answer = joined(1, "me");
    answer.members = vec![JoinMember::default()];
    let effects = story.step(Input::Joined(join, Ok(answer)));
    let [Effect::Plan { ticket, .. }] = effects[..] else {
        panic!("{effects:?}");
    };
    let over = topics(1, &[("orders", 4)]);
    let effects = story.step(Input::Planned(
        ticket,
        Ok(EncodedPlan {
            over,
            ..EncodedPlan::default()
        }),
    ));
    let [Effect::Sync(sync, _)] = &effects[..] else {
        panic!("{effects:?}");
    };
    story.step(Input::Synced(*sync, Ok(synced(&[0]))));
    let effects = story.step(grown);
    assert!(
        matches!(effects[..], [Effect::Revoke { .. }]),
        "{effects:?}"
    );
}

#[test]
fn a_topic_that_is_gone_is_a_change_and_one_that_never_was_is_none() {
    let (mut story, join) = Story::joining(config());
    let effects = story.step(Input::Joined(join, Ok(joined(1, "me"))));
    let [Effect::Plan { ticket, .. }] = effects[..] else {
        panic!("{effects:?}");
    };
    let plan = EncodedPlan {
        over: topics(1, &[("orders", 1), ("later", 0)]),
        ..EncodedPlan::default()
    };
    let effects = story.step(Input::Planned(ticket, Ok(plan)));
    let [Effect::Sync(sync, _)] = &effects[..] else {
        panic!("{effects:?}");
    };
    story.step(Input::Synced(*sync, Ok(synced(&[0]))));
    assert_eq!(story.step(orders(1)), []);
    let effects = story.step(Input::MetadataChanged(Topics::new()));
    assert!(
        matches!(&effects[..], [Effect::Lose { .. }, Effect::Join(..)]),
        "{effects:?}"
    );
}

#[test]
fn an_assignment_of_topics_we_do_not_want_is_not_taken() {
    let (mut story, join) = Story::joining(config());
    let effects = story.step(Input::Joined(join, Ok(joined(1, "other"))));
    let [Effect::Sync(sync, _)] = &effects[..] else {
        panic!("{effects:?}");
    };
    let strange = SyncAnswer {
        protocol: None,
        assigned: Some(BTreeSet::from([TopicPartition::new("other", 0)])),
    };
    assert_eq!(story.step(Input::Synced(*sync, Ok(strange.clone()))), []);
    let mut begun = story.now;
    // It asked again at once, and again: each time after a longer wait now.
    let mut waited = Vec::new();
    for generation in 2..8 {
        let (join, question) = only_join(story.wait());
        assert_eq!(question.reason, "assignment does not match subscription");
        waited.push(story.now - begun);
        begun = story.now;
        let effects = story.step(Input::Joined(join, Ok(joined(generation, "other"))));
        let [Effect::Sync(sync, _)] = &effects[..] else {
            panic!("{effects:?}");
        };
        assert_eq!(story.step(Input::Synced(*sync, Ok(strange.clone()))), []);
    }
    assert!(waited[0] >= Duration::from_millis(80), "{waited:?}");
    assert!(waited[5] >= Duration::from_millis(800), "{waited:?}");
}

#[test]
fn leaving_gives_up_commits_and_then_leaves() {
    let mut story = Story::stable(config(), &[0]);
    let effects = story.step(leave());
    let [Effect::Revoke { ticket, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    let effects = story.step(Input::Revoked(*ticket));
    let [Effect::Leave { ticket, reason, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(reason, "closing");
    assert_eq!(story.step(Input::Left(*ticket)), [Effect::Stopped]);
    assert_eq!(story.member.next_deadline(), None);
}

/// The records in work had all of the time, and a handler that hung left none for the rest.
#[test]
fn a_leave_has_time_for_records_for_their_commit_and_for_itself() {
    let times = |within, drain_timeout| {
        let mut settings = config();
        settings.drain_timeout = drain_timeout;
        let mut story = Story::stable(settings, &[0]);
        let (reason, asked) = ("closing".to_owned(), story.now);
        let effects = story.step(Input::Leave { reason, within });
        let [Effect::Revoke { drain, commit, .. }] = effects[..] else {
            panic!("{effects:?}");
        };
        // Nobody says that anything is released.
        let left = loop {
            match &story.wait()[..] {
                [Effect::Heartbeat { ticket, .. }] => {
                    let ticket = *ticket;
                    story.step(Input::HeartbeatAnswered(ticket, Ok(())));
                }
                [Effect::Lose { .. }, Effect::Leave { .. }] => break story.now - asked,
                other => panic!("{other:?}"),
            }
        };
        (drain, commit, left)
    };
    let millis = Duration::from_millis;
    let seconds = Duration::from_secs;
    assert_eq!(
        times(seconds(30), seconds(30)),
        (millis(22_500), seconds(5), millis(27_500))
    );
    assert_eq!(
        times(seconds(30), seconds(3)),
        (seconds(3), seconds(3), millis(27_500))
    );
    assert_eq!(
        times(seconds(600), seconds(30)),
        (seconds(30), seconds(10), seconds(300))
    );
}

#[test]
fn a_leave_shortens_the_revocation_that_it_finds() {
    let mut story = Story::stable(config(), &[0, 1]);
    let effects = story.step(Input::Rejoin("go".to_owned()));
    let [Effect::Revoke { ticket: first, .. }] = effects[..] else {
        panic!("{effects:?}");
    };
    let effects = story.step(leave());
    let [
        Effect::Revoke {
            ticket,
            partitions,
            drain,
            ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(*partitions, set(&[0, 1]));
    assert!(*drain < 30 * SECOND);
    assert_eq!(story.step(Input::Revoked(first)), []);
    let effects = story.step(Input::Revoked(*ticket));
    assert!(
        matches!(&effects[..], [Effect::Leave { .. }]),
        "{effects:?}"
    );
}

/// The last commit of the interval, say: it has its answer after LeaveGroup had its effect.
#[test]
fn what_was_out_before_the_leave_does_not_bring_the_member_back() {
    let mut story = Story::stable(config(), &[0]);
    let effects = story.step(leave());
    let [Effect::Revoke { ticket, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    let effects = story.step(Input::Revoked(*ticket));
    let [Effect::Leave { ticket, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    for code in [
        Refusal::Code(ErrorCode::UNKNOWN_MEMBER_ID),
        Refusal::Code(ErrorCode::ILLEGAL_GENERATION),
        Refusal::Code(ErrorCode::FENCED_INSTANCE_ID),
        Refusal::Disconnected,
    ] {
        let late = Input::CommitRefused {
            request: "OffsetCommit",
            node: Some(NODE),
            generation: story.member.generation().id,
            code,
        };
        assert_eq!(story.step(late), []);
    }
    assert_eq!(story.step(Input::Left(*ticket)), [Effect::Stopped]);
}

#[test]
fn a_static_member_does_not_leave() {
    let mut settings = config();
    settings.instance_id = Some("one".to_owned());
    let mut story = Story::stable(settings, &[0]);
    let effects = story.step(leave());
    let [Effect::Revoke { ticket, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(story.step(Input::Revoked(*ticket)), [Effect::Stopped]);
}

#[test]
fn leaving_while_a_join_is_parked_needs_another_connection() {
    let mut story = Story::stable(config(), &[]);
    only_join(story.step(Input::Rejoin("go".to_owned())));
    let effects = story.step(leave());
    assert!(
        matches!(
            &effects[..],
            [Effect::Disconnect(NODE), Effect::Leave { .. }]
        ),
        "{effects:?}"
    );
}

#[test]
fn a_member_that_is_put_out_while_it_leaves_has_left() {
    let mut story = Story::stable(config(), &[0]);
    let beat = story.heartbeat();
    story.step(leave());
    let effects = story.step(Input::HeartbeatAnswered(
        beat,
        Err(code(ErrorCode::UNKNOWN_MEMBER_ID)),
    ));
    assert!(
        matches!(&effects[..], [Effect::Lose { .. }, Effect::Stopped]),
        "{effects:?}"
    );
}

#[test]
fn a_refused_commit_says_what_a_heartbeat_would_have_said() {
    let mut story = Story::stable(config(), &[0]);
    let refused = Input::CommitRefused {
        request: "OffsetCommit",
        node: Some(NODE),
        generation: 1,
        code: code(ErrorCode::UNKNOWN_MEMBER_ID),
    };
    let effects = story.step(refused);
    assert!(
        matches!(&effects[..], [Effect::Lose { .. }, Effect::Join(..)]),
        "{effects:?}"
    );
}

/// A commit may be out for as long as a request may take.
#[test]
fn what_the_coordinator_before_did_not_answer_is_not_held_against_the_next() {
    let mut story = Story::stable(config(), &[0]);
    let unanswered = |node| Input::CommitRefused {
        request: "OffsetCommit",
        node: Some(node),
        generation: 1,
        code: Refusal::Disconnected,
    };
    assert_eq!(story.step(unanswered(NODE + 1)), []);
    assert_eq!(story.member.coordinator(), Some(NODE));
    story.step(unanswered(NODE));
    assert_eq!(story.member.coordinator(), None);
}

#[test]
fn partitions_that_began_anew_are_told_again() {
    let mut story = Story::stable(config(), &[0]);
    assert!(matches!(
        &story.step(Input::PartitionsRestarted)[..],
        [Effect::Assign { owned, .. }] if *owned == set(&[0])
    ));
    let effects = story.step(Input::Rejoin("go".to_owned()));
    let [Effect::Revoke { ticket, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(matches!(
        &story.step(Input::PartitionsRestarted)[..],
        [Effect::Revoke { ticket: again, .. }] if again == ticket
    ));
}
