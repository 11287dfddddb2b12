//! Stories that nobody wrote: whatever happens to a member, in any order, from a seed.

use rand::Rng;

use super::*;

/// Whatever happens, in any order: a member never owns a partition outside of a generation, nor one of a topic that it
/// has seen go, an eager one owns nothing while it joins, a cooperative one gives up what an assignment took and nothing
/// else, a leader does not rest on a plan that metadata has overtaken,
/// and there is always something to wait for until it has ended.
#[test]
fn random_stories_keep_the_invariants() {
    let seed = std::env::var("CALLBOARD_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("CALLBOARD_SEED={seed}");
    let mut random = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(seed);
    const CODES: &[ErrorCode] = &[
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::ILLEGAL_GENERATION,
        ErrorCode::UNKNOWN_MEMBER_ID,
        ErrorCode::REBALANCE_IN_PROGRESS,
        ErrorCode::MEMBER_ID_REQUIRED,
    ];
    for _ in 0..300 {
        let mut settings = config();
        if random.random() {
            settings.protocol = RebalanceProtocol::Cooperative;
        }
        let eager = settings.protocol == RebalanceProtocol::Eager;
        let mut story = Story::new(settings);
        let mut open: Vec<Effect> = story.step(Input::Start);
        let mut generation = 0;
        // The partitions of `orders`, none if it is not there; and how many there were when a plan was asked for.
        let (mut partitions, mut over) = (4, 4);
        for _ in 0..200 {
            let refusal = || Refusal::Disconnected;
            let bad = random.random_range(0..3) == 0;
            let refused = if random.random() {
                refusal()
            } else {
                code(CODES[random.random_range(0..CODES.len())])
            };
            let input = if open.is_empty() || random.random_range(0..10) == 0 {
                match random.random_range(0..6) {
                    4 => {
                        partitions = random.random_range(0..5);
                        match partitions {
                            0 => Input::MetadataChanged(Topics::new()),
                            partitions => orders_of(random.random_range(1..3), partitions),
                        }
                    }
                    0 => Input::Rejoin("chaos".to_owned()),
                    1 => Input::CommitRefused {
                        request: "OffsetCommit",
                        node: Some(NODE),
                        generation,
                        code: refused,
                    },
                    _ => {
                        if let Some(due) = story.member.next_deadline() {
                            story.now = story.now.max(due);
                        }
                        Input::Tick
                    }
                }
            } else {
                let at = random.random_range(0..open.len());
                match open.remove(at) {
                    Effect::FindCoordinator(ticket) => {
                        Input::CoordinatorFound(ticket, if bad { Err(refusal()) } else { Ok(NODE) })
                    }
                    Effect::Join(ticket, question) => {
                        assert!(
                            !eager || question.owned.is_empty(),
                            "an eager member joins with partitions"
                        );
                        generation += 1;
                        let leader = if random.random() { "me" } else { "other" };
                        let answer = joined(generation, leader);
                        Input::Joined(
                            ticket,
                            if bad {
                                Err((refused, "me".to_owned()))
                            } else {
                                Ok(answer)
                            },
                        )
                    }
                    Effect::Plan { ticket, .. } => Input::Planned(
                        ticket,
                        if bad {
                            Err(PlanFailure::Assignor("no".to_owned()))
                        } else {
                            Ok(EncodedPlan {
                                over: topics(1, &[("orders", over)]),
                                ..EncodedPlan::default()
                            })
                        },
                    ),
                    Effect::Sync(ticket, _) => {
                        let some: Vec<i32> = (0..4).filter(|_| random.random()).collect();
                        let refused = if refused == code(ErrorCode::MEMBER_ID_REQUIRED) {
                            refusal()
                        } else {
                            refused
                        };
                        Input::Synced(ticket, if bad { Err(refused) } else { Ok(synced(&some)) })
                    }
                    Effect::Heartbeat { ticket, .. } => {
                        Input::HeartbeatAnswered(ticket, if bad { Err(refused) } else { Ok(()) })
                    }
                    Effect::Revoke { ticket, .. } => Input::Revoked(ticket),
                    Effect::Leave { ticket, .. } => Input::Left(ticket),
                    Effect::Lose { .. }
                    | Effect::Assign { .. }
                    | Effect::Disconnect(_)
                    | Effect::CoordinatorLost { .. }
                    | Effect::CoordinatorFound(_)
                    | Effect::PlanFailed { .. } => Input::Tick,
                    Effect::Fatal(error) => panic!("nothing here is fatal: {error}"),
                    Effect::Stopped => panic!("nobody asked it to stop"),
                }
            };
            let was_there = story.member.heard.as_ref();
            let was_there = was_there.is_some_and(|heard| !heard.is_empty());
            let is_gone = matches!(&input, Input::MetadataChanged(topics) if topics.is_empty());
            let is_assignment = matches!(input, Input::Synced(..));
            let effects = story.step(input);
            let revokes = |effect: &Effect| matches!(effect, Effect::Revoke { .. });
            assert!(
                eager || is_assignment || !effects.iter().any(revokes),
                "a cooperative member gives up what nobody took: {effects:?}"
            );
            if effects
                .iter()
                .any(|effect| matches!(effect, Effect::Plan { .. }))
            {
                over = partitions;
            }
            open.extend(effects);
            let member = &story.member;
            assert!(
                !(is_gone && was_there) || member.owned.is_empty(),
                "partitions of a topic that is gone"
            );
            assert!(
                member.state != State::Stable || !member.plan_is_outdated(),
                "a leader at rest with a plan that is out of date"
            );
            assert!(
                member.generation.id >= 0 || member.owned.is_empty(),
                "partitions outside of a generation"
            );
            let waits_for_answer = matches!(
                member.state,
                State::Joining { .. } | State::Planning { .. } | State::Syncing { .. }
            ) || matches!(member.coordinator, Coordinator::Looking { .. });
            assert!(
                waits_for_answer || member.next_deadline().is_some(),
                "nothing to wait for in {:?}",
                member.state
            );
        }
    }
}
