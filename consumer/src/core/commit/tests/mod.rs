//! Transcripts of the committer: given, when, then.

use super::*;

mod random;

const SECOND: Duration = Duration::from_secs(1);
const GENERATION: i32 = 7;

fn core() -> CommitCore {
    CommitCore::new(
        5 * SECOND,
        Backoff::new(Duration::from_millis(100), SECOND, 1),
    )
}

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

fn at(offsets: &[(i32, i64)]) -> Offsets {
    offsets
        .iter()
        .map(|(partition, offset)| {
            (
                tp(*partition),
                Committable {
                    offset: *offset,
                    leader_epoch: -1,
                },
            )
        })
        .collect()
}

/// Steps and answers every wish for progress with `progress`.
fn step(
    core: &mut CommitCore,
    now: Duration,
    input: CommitInput,
    progress: &Offsets,
) -> Vec<CommitEffect> {
    let mut effects = Vec::new();
    core.step(now, input, &mut effects);
    while let Some(asked) = effects
        .iter()
        .position(|effect| *effect == CommitEffect::ReadProgress)
    {
        effects.remove(asked);
        let progress = CommitInput::Progress {
            generation: Some(GENERATION),
            offsets: progress.clone(),
        };
        core.step(now, progress, &mut effects);
    }
    effects
}

#[test]
fn one_commit_in_flight_and_the_next_carries_the_newest() {
    let mut core = core();
    let sent = step(
        &mut core,
        5 * SECOND,
        CommitInput::Tick,
        &at(&[(0, 10), (1, 3)]),
    );
    assert_eq!(sent, [CommitEffect::Send(at(&[(0, 10), (1, 3)]))]);
    assert_eq!(
        step(&mut core, 10 * SECOND, CommitInput::Tick, &at(&[(0, 20)])),
        []
    );
    assert_eq!(core.next_deadline(), None);
    let answered = step(&mut core, 11 * SECOND, landed(&[0, 1]), &at(&[]));
    assert_eq!(answered, [CommitEffect::Committed(at(&[(0, 10), (1, 3)]))]);
    let sent = step(
        &mut core,
        12 * SECOND,
        CommitInput::Tick,
        &at(&[(0, 30), (1, 3)]),
    );
    assert_eq!(sent, [CommitEffect::Send(at(&[(0, 30)]))]);
}

#[test]
fn a_partition_that_is_not_owned_any_more_is_not_committed() {
    let mut core = core();
    step(
        &mut core,
        5 * SECOND,
        CommitInput::Tick,
        &at(&[(0, 10), (1, 3)]),
    );
    let mut codes = BTreeMap::new();
    codes.insert(tp(1), ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    step(
        &mut core,
        5 * SECOND,
        CommitInput::Answered(Ok(codes)),
        &at(&[]),
    );
    // Partition 1 went away before its retry.
    let sent = step(&mut core, 20 * SECOND, CommitInput::Tick, &at(&[(0, 11)]));
    assert_eq!(sent, [CommitEffect::Send(at(&[(0, 11)]))]);
}

#[test]
fn a_loading_coordinator_is_asked_again_until_the_flush_is_done() {
    let mut core = core();
    let progress = at(&[(0, 10)]);
    let flush = CommitInput::Flush {
        id: 7,
        until: 30 * SECOND,
        partitions: vec![tp(0)],
    };
    let sent = step(&mut core, SECOND, flush, &progress);
    assert_eq!(sent, [CommitEffect::Send(progress.clone())]);
    let loading: BTreeMap<_, _> = [(tp(0), ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)].into();
    assert_eq!(
        step(
            &mut core,
            SECOND,
            CommitInput::Answered(Ok(loading)),
            &progress
        ),
        []
    );
    let again = core.next_deadline().unwrap();
    assert!(again > SECOND && again < 2 * SECOND);
    assert_eq!(
        step(&mut core, again, CommitInput::Tick, &progress),
        [CommitEffect::Send(progress.clone())]
    );
    let done = step(&mut core, again, landed(&[0]), &progress);
    assert_eq!(
        done,
        [
            CommitEffect::Committed(progress),
            CommitEffect::Flushed {
                id: 7,
                uncommitted: Vec::new()
            }
        ]
    );
}

/// The answer that takes these.
fn landed(partitions: &[i32]) -> CommitInput {
    let none = |partition: &i32| (tp(*partition), ErrorCode::NONE);
    CommitInput::Answered(Ok(partitions.iter().map(none).collect()))
}

/// It counted as committed.
#[test]
fn what_an_answer_leaves_out_is_sent_again() {
    let mut core = core();
    let progress = at(&[(0, 10), (1, 3)]);
    step(&mut core, 5 * SECOND, CommitInput::Tick, &progress);
    let answered = step(&mut core, 5 * SECOND, landed(&[0]), &progress);
    assert_eq!(answered, [CommitEffect::Committed(at(&[(0, 10)]))]);
    let again = core.next_deadline().unwrap();
    assert!(again < 6 * SECOND);
    let sent = step(&mut core, again, CommitInput::Tick, &progress);
    assert_eq!(sent, [CommitEffect::Send(at(&[(1, 3)]))]);
}

/// Flushes partition 0 at offset 10 at second 1, for 29 seconds, and sends it.
fn flushing() -> (CommitCore, Offsets) {
    let mut core = core();
    let progress = at(&[(0, 10)]);
    let flush = CommitInput::Flush {
        id: 1,
        until: 30 * SECOND,
        partitions: vec![tp(0)],
    };
    let sent = step(&mut core, SECOND, flush, &progress);
    assert_eq!(sent, [CommitEffect::Send(progress.clone())]);
    (core, progress)
}

/// The answer that refuses partition 0 with `code`.
fn refused(code: ErrorCode) -> CommitInput {
    CommitInput::Answered(Ok([(tp(0), code)].into()))
}

fn under(generation: Option<i32>, offsets: &Offsets) -> CommitInput {
    CommitInput::Progress {
        generation,
        offsets: offsets.clone(),
    }
}

fn told(code: ErrorCode) -> CommitEffect {
    CommitEffect::TellMembership {
        generation: GENERATION,
        refusal: Refusal::Code(code),
    }
}

/// It gave up, though there was time left and the next generation would have taken the commit.
#[test]
fn a_flush_outlives_the_generation_that_refused_it() {
    for code in [
        ErrorCode::ILLEGAL_GENERATION,
        ErrorCode::UNKNOWN_MEMBER_ID,
        ErrorCode::FENCED_INSTANCE_ID,
    ] {
        let (mut core, progress) = flushing();
        let effects = step(&mut core, SECOND, refused(code), &progress);
        let refused: BTreeMap<_, _> = [(tp(0), code)].into();
        assert_eq!(effects, [CommitEffect::Refused(refused), told(code)]);
        // Nothing more goes out under the generation that was refused.
        for second in 2..10 {
            let effects = step(&mut core, second * SECOND, CommitInput::Tick, &progress);
            assert_eq!(effects, []);
        }
        let mut effects = Vec::new();
        let next = Some(GENERATION + 1);
        core.step(10 * SECOND, CommitInput::Generation(next), &mut effects);
        assert_eq!(effects, [CommitEffect::ReadProgress]);
        effects.clear();
        core.step(10 * SECOND, under(next, &progress), &mut effects);
        assert_eq!(effects, [CommitEffect::Send(progress.clone())]);
        effects.clear();
        let landed = landed(&[0]);
        core.step(11 * SECOND, landed, &mut effects);
        assert!(effects.contains(&CommitEffect::Flushed {
            id: 1,
            uncommitted: Vec::new()
        }));
    }
}

/// The commit in flight is of before a rebalance; the flush is of after it.
#[test]
fn a_refusal_of_the_generation_before_is_no_refusal() {
    for code in [
        ErrorCode::REBALANCE_IN_PROGRESS,
        ErrorCode::ILLEGAL_GENERATION,
    ] {
        let mut core = core();
        step(&mut core, 5 * SECOND, CommitInput::Tick, &at(&[(0, 10)]));
        let mut effects = Vec::new();
        let next = Some(GENERATION + 1);
        core.step(5 * SECOND, CommitInput::Generation(next), &mut effects);
        let flush = CommitInput::Flush {
            id: 1,
            until: 15 * SECOND,
            partitions: vec![tp(0)],
        };
        core.step(5 * SECOND, flush, &mut effects);
        core.step(5 * SECOND, under(next, &at(&[(0, 500)])), &mut effects);
        effects.clear();
        core.step(5 * SECOND, refused(code), &mut effects);
        assert_eq!(effects, [told(code)]);
        let again = core.next_deadline().expect("a flush is open");
        assert!(again < 6 * SECOND, "{again:?}");
        effects.clear();
        core.step(again, CommitInput::Tick, &mut effects);
        core.step(again, under(next, &at(&[(0, 500)])), &mut effects);
        assert_eq!(
            effects,
            [
                CommitEffect::ReadProgress,
                CommitEffect::Send(at(&[(0, 500)]))
            ]
        );
    }
}

#[test]
fn nothing_is_sent_outside_of_a_generation_and_all_of_it_after() {
    let mut core = core();
    let progress = at(&[(0, 10)]);
    let mut effects = Vec::new();
    core.step(5 * SECOND, CommitInput::Tick, &mut effects);
    core.step(5 * SECOND, under(None, &progress), &mut effects);
    assert_eq!(effects, [CommitEffect::ReadProgress]);
    let again = core.next_deadline().expect("there is something to commit");
    assert!(again < 6 * SECOND, "{again:?}");
    effects.clear();
    core.step(again, CommitInput::Tick, &mut effects);
    core.step(again, under(Some(8), &progress), &mut effects);
    assert!(effects.contains(&CommitEffect::Send(progress)));
}

#[test]
fn a_flush_does_not_wait_for_what_is_lost_meanwhile() {
    let (mut core, progress) = flushing();
    let lost = ErrorCode::UNKNOWN_MEMBER_ID;
    step(&mut core, SECOND, refused(lost), &progress);
    let again = core.next_deadline().expect("a flush is open");
    let effects = step(&mut core, again, CommitInput::Tick, &Offsets::new());
    let uncommitted = vec![tp(0)];
    assert_eq!(effects, [CommitEffect::Flushed { id: 1, uncommitted }]);
}

/// Every code that Kafka 4.2.0's client tells apart in an OffsetCommit answer, with a flush waiting: whether it is tried
/// again, whether membership hears of it, whether the application hears of a commit that failed.
#[test]
fn each_code_of_an_offset_commit_has_its_reaction() {
    const AGAIN: bool = true;
    const TOLD: bool = true;
    const FAILED: bool = true;
    for (code, again, is_told, failed) in [
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, AGAIN, !TOLD, !FAILED),
        (
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            AGAIN,
            !TOLD,
            !FAILED,
        ),
        (ErrorCode::REQUEST_TIMED_OUT, AGAIN, TOLD, !FAILED),
        (ErrorCode::COORDINATOR_NOT_AVAILABLE, AGAIN, TOLD, !FAILED),
        (ErrorCode::NOT_COORDINATOR, AGAIN, TOLD, !FAILED),
        (ErrorCode::REBALANCE_IN_PROGRESS, AGAIN, TOLD, !FAILED),
        // In another generation only: see above.
        (ErrorCode::ILLEGAL_GENERATION, !AGAIN, TOLD, FAILED),
        (ErrorCode::UNKNOWN_MEMBER_ID, !AGAIN, TOLD, FAILED),
        (ErrorCode::FENCED_INSTANCE_ID, !AGAIN, TOLD, FAILED),
        (ErrorCode::INVALID_GROUP_ID, !AGAIN, TOLD, FAILED),
        (ErrorCode::INVALID_SESSION_TIMEOUT, !AGAIN, TOLD, FAILED),
        (ErrorCode::GROUP_AUTHORIZATION_FAILED, !AGAIN, TOLD, FAILED),
        (ErrorCode::UNSUPPORTED_VERSION, !AGAIN, TOLD, FAILED),
        (ErrorCode::TOPIC_AUTHORIZATION_FAILED, !AGAIN, !TOLD, FAILED),
        (ErrorCode::OFFSET_METADATA_TOO_LARGE, !AGAIN, !TOLD, FAILED),
        (ErrorCode::INVALID_COMMIT_OFFSET_SIZE, !AGAIN, !TOLD, FAILED),
        (ErrorCode::UNKNOWN_SERVER_ERROR, !AGAIN, !TOLD, FAILED),
    ] {
        let (mut core, progress) = flushing();
        let mut effects = step(&mut core, SECOND, refused(code), &progress);
        assert_eq!(effects.contains(&told(code)), is_told, "{}", code.name());
        let refused = CommitEffect::Refused([(tp(0), code)].into());
        assert_eq!(effects.contains(&refused), failed, "{}", code.name());
        let due = core.next_deadline().expect("it commits for ever");
        if due < 2 * SECOND {
            effects.extend(step(&mut core, due, CommitInput::Tick, &progress));
        }
        let sent = effects.contains(&CommitEffect::Send(progress));
        assert_eq!(sent, again, "{}", code.name());
    }
}

#[test]
fn a_flush_of_nothing_new_is_done_at_once() {
    let mut core = core();
    let mut effects = Vec::new();
    core.step(
        SECOND,
        CommitInput::Known([(tp(0), Some(10))].into()),
        &mut effects,
    );
    let flush = CommitInput::Flush {
        id: 3,
        until: 9 * SECOND,
        partitions: vec![tp(0)],
    };
    let done = step(&mut core, SECOND, flush, &at(&[(0, 10)]));
    assert_eq!(
        done,
        [CommitEffect::Flushed {
            id: 3,
            uncommitted: Vec::new()
        }]
    );
}

#[test]
fn a_flush_that_gets_no_answer_ends_at_its_deadline() {
    let mut core = core();
    let progress = at(&[(0, 10)]);
    let flush = CommitInput::Flush {
        id: 3,
        until: 9 * SECOND,
        partitions: vec![tp(0)],
    };
    step(&mut core, SECOND, flush, &progress);
    assert_eq!(core.next_deadline(), Some(9 * SECOND));
    let over = step(&mut core, 9 * SECOND, CommitInput::Tick, &progress);
    assert_eq!(
        over,
        [CommitEffect::Flushed {
            id: 3,
            uncommitted: vec![tp(0)]
        }]
    );
}

#[test]
fn a_position_that_a_reset_chose_is_committed_at_once_though_it_lies_below_the_last_commit() {
    let mut core = core();
    let mut effects = Vec::new();
    core.step(
        SECOND,
        CommitInput::Known([(tp(0), Some(100))].into()),
        &mut effects,
    );
    let soon = |core: &mut CommitCore, committed, progress: &Offsets| {
        let known = CommitInput::Known([(tp(0), committed)].into());
        core.step(SECOND, known, &mut Vec::new());
        step(core, SECOND, CommitInput::Soon, progress)
    };
    assert_eq!(soon(&mut core, Some(100), &at(&[(0, 100)])), []);
    // Nothing is known to be committed of the log that begins anew.
    let reset = at(&[(0, 50)]);
    assert_eq!(
        soon(&mut core, None, &reset),
        [CommitEffect::Send(reset.clone())]
    );
    // Another one while that is in flight goes out when it is answered.
    let other = at(&[(0, 50), (1, 7)]);
    assert_eq!(step(&mut core, SECOND, CommitInput::Soon, &other), []);
    let answered = landed(&[0]);
    step(&mut core, SECOND, answered, &other);
    assert_eq!(core.next_deadline(), Some(SECOND));
    assert_eq!(
        step(&mut core, SECOND, CommitInput::Tick, &other),
        [CommitEffect::Send(at(&[(1, 7)]))]
    );
}

/// A partition that began where it was committed was once committed there again, when progress was read between the
/// news of it and its beginning.
#[test]
fn what_is_committed_is_known_with_the_progress_and_not_sent_again() {
    let mut core = core();
    let known = |core: &mut CommitCore, offsets: &[(i32, i64)]| {
        let offsets = offsets
            .iter()
            .map(|(partition, at)| (tp(*partition), Some(*at)));
        core.step(
            SECOND,
            CommitInput::Known(offsets.collect()),
            &mut Vec::new(),
        );
    };
    known(&mut core, &[(0, 10)]);
    assert_eq!(step(&mut core, 5 * SECOND, CommitInput::Tick, &at(&[])), []);
    known(&mut core, &[(0, 10)]);
    assert_eq!(
        step(&mut core, 10 * SECOND, CommitInput::Tick, &at(&[(0, 10)])),
        []
    );
}
