//! What every error code means for each request, as Kafka 4.2.0's client has it.

use super::*;

/// What becomes of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// The code changes nothing: the member goes on, or tries again after a wait.
    Waits,
    /// The coordinator is looked up again; membership is kept.
    Marks,
    /// Joins again at once, with what it has.
    Rejoins,
    /// Joins again under its member id, and has lost what it owned.
    RejoinsKept,
    /// Joins again as a new member, and has lost what it owned.
    RejoinsNew,
    /// Ends and says why.
    Ends,
}
use Reaction::{Ends, Marks, Rejoins, RejoinsKept, RejoinsNew, Waits};

/// Reads off the effects what became of the member, who was `me` in generation 1.
fn reaction(effects: &[Effect]) -> Reaction {
    let is = |wanted: fn(&Effect) -> bool| effects.iter().any(wanted);
    if is(|effect| matches!(effect, Effect::Fatal(_))) {
        return Ends;
    }
    if is(|effect| matches!(effect, Effect::Disconnect(NODE))) {
        return Marks;
    }
    let question = effects.iter().find_map(|effect| match effect {
        Effect::Join(_, question) => Some(question),
        _ => None,
    });
    match question {
        Some(question) if question.member_id.is_empty() => RejoinsNew,
        Some(question) if question.generation < 0 => RejoinsKept,
        Some(_) => Rejoins,
        None if is(|effect| matches!(effect, Effect::Revoke { .. })) => Rejoins,
        None => Waits,
    }
}

/// Of each code: JoinGroup, SyncGroup, Heartbeat, OffsetCommit.
const TABLE: &[(ErrorCode, [Reaction; 4])] = &[
    (
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        [Waits, Waits, Waits, Waits],
    ),
    (
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        [Marks, Marks, Marks, Marks],
    ),
    (ErrorCode::NOT_COORDINATOR, [Marks, Marks, Marks, Marks]),
    (ErrorCode::REQUEST_TIMED_OUT, [Ends, Ends, Waits, Marks]),
    (
        ErrorCode::ILLEGAL_GENERATION,
        [RejoinsKept, RejoinsKept, RejoinsKept, RejoinsKept],
    ),
    (
        ErrorCode::UNKNOWN_MEMBER_ID,
        [RejoinsNew, RejoinsNew, RejoinsNew, RejoinsNew],
    ),
    (
        ErrorCode::REBALANCE_IN_PROGRESS,
        [Waits, Rejoins, Rejoins, Rejoins],
    ),
    (ErrorCode::FENCED_INSTANCE_ID, [Ends, Ends, Ends, Ends]),
    (
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        [Ends, Ends, Waits, Waits],
    ),
    (ErrorCode::INVALID_GROUP_ID, [Ends, Ends, Waits, Ends]),
    (
        ErrorCode::INVALID_SESSION_TIMEOUT,
        [Ends, Ends, Waits, Ends],
    ),
    (
        ErrorCode::GROUP_AUTHORIZATION_FAILED,
        [Ends, Ends, Ends, Ends],
    ),
    (
        ErrorCode::GROUP_MAX_SIZE_REACHED,
        [Ends, Ends, Waits, Waits],
    ),
    (ErrorCode::UNSUPPORTED_VERSION, [Ends, Ends, Ends, Ends]),
    (
        ErrorCode::OFFSET_METADATA_TOO_LARGE,
        [Ends, Ends, Waits, Waits],
    ),
    (ErrorCode::UNKNOWN_SERVER_ERROR, [Ends, Ends, Waits, Waits]),
];

/// JoinGroup of a member that is known already, with its generation's id kept.
fn rejoining() -> (Story, Ticket) {
    let mut story = Story::stable(config(), &[]);
    let (join, _) = only_join(story.step(Input::Rejoin("go".to_owned())));
    (story, join)
}

#[test]
fn each_code_of_each_request_has_its_reaction() {
    for (refused, expected) in TABLE {
        let mut found = Vec::new();

        let (mut story, join) = rejoining();
        let answer = Err((code(*refused), String::new()));
        found.push(reaction(&story.step(Input::Joined(join, answer))));

        let (mut story, join) = rejoining();
        let effects = story.step(Input::Joined(join, Ok(joined(2, "other"))));
        let [Effect::Sync(sync, _)] = &effects[..] else {
            panic!("{effects:?}");
        };
        found.push(reaction(
            &story.step(Input::Synced(*sync, Err(code(*refused)))),
        ));

        let mut story = Story::stable(config(), &[0]);
        let beat = story.heartbeat();
        let answer = Err(code(*refused));
        found.push(reaction(
            &story.step(Input::HeartbeatAnswered(beat, answer)),
        ));

        let mut story = Story::stable(config(), &[0]);
        found.push(reaction(&story.step(Input::CommitRefused {
            request: "OffsetCommit",
            node: Some(NODE),
            generation: 1,
            code: code(*refused),
        })));

        assert_eq!(found, expected, "{}", refused.name());
    }
}

#[test]
fn a_refusal_of_an_older_generation_is_ignored_unless_it_is_for_good() {
    for (refused, expected) in TABLE {
        let mut story = Story::stable(config(), &[0]);
        let (generation, code) = (0, code(*refused));
        let effects = story.step(Input::CommitRefused {
            request: "OffsetCommit",
            node: Some(NODE),
            generation,
            code,
        });
        let expected = match expected[3] {
            Ends if *refused == ErrorCode::FENCED_INSTANCE_ID => Waits,
            about_us @ (Ends | Marks) => about_us,
            _ => Waits,
        };
        assert_eq!(reaction(&effects), expected, "{}", refused.name());
    }
}

#[test]
fn a_lookup_is_repeated_where_that_may_help() {
    for (refused, ends) in [
        (ErrorCode::COORDINATOR_NOT_AVAILABLE, false),
        (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, false),
        (ErrorCode::GROUP_AUTHORIZATION_FAILED, true),
        (ErrorCode::INVALID_GROUP_ID, true),
        (ErrorCode::UNKNOWN_SERVER_ERROR, true),
    ] {
        let mut story = Story::new(config());
        let [Effect::FindCoordinator(ticket)] = story.step(Input::Start)[..] else {
            panic!("no lookup");
        };
        let effects = story.step(Input::CoordinatorFound(ticket, Err(code(refused))));
        assert_eq!(reaction(&effects) == Ends, ends, "{}", refused.name());
        assert_eq!(story.member.next_deadline().is_none(), ends);
    }
}

#[test]
fn a_lost_coordinator_is_told_of_once_and_once_when_it_answers_again() {
    let mut story = Story::stable(config(), &[0]);
    let beat = story.heartbeat();
    let mut told = story.step(Input::HeartbeatAnswered(beat, Err(Refusal::Disconnected)));
    // Others still name it for a while, and it does not answer.
    for round in 0..20 {
        let effects = story.wait();
        for effect in &effects {
            match effect {
                Effect::FindCoordinator(ticket) => {
                    let answer = if round % 2 == 0 {
                        Ok(NODE)
                    } else {
                        Err(Refusal::Disconnected)
                    };
                    let found = Input::CoordinatorFound(*ticket, answer);
                    told.extend(story.step(found));
                }
                Effect::Heartbeat { ticket, .. } => {
                    let lost = Err(Refusal::Disconnected);
                    told.extend(story.step(Input::HeartbeatAnswered(*ticket, lost)));
                }
                _ => {}
            }
        }
        told.extend(effects);
    }
    let is_news = |effect: &&Effect| {
        matches!(
            effect,
            Effect::CoordinatorLost { .. } | Effect::CoordinatorFound(_)
        )
    };
    let news: Vec<_> = told.iter().filter(is_news).collect();
    assert!(
        matches!(
            news[..],
            [Effect::CoordinatorLost {
                node: Some(NODE),
                ..
            }]
        ),
        "{news:?}"
    );
}
