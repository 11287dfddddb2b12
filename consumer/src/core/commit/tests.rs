//! Transcripts of the committer: given, when, then.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

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
        core.step(now, CommitInput::Progress(progress.clone()), &mut effects);
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
    let answered = step(
        &mut core,
        11 * SECOND,
        CommitInput::Answered(Ok(BTreeMap::new())),
        &at(&[]),
    );
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
    let done = step(
        &mut core,
        again,
        CommitInput::Answered(Ok(BTreeMap::new())),
        &progress,
    );
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

#[test]
fn an_illegal_generation_is_told_to_membership_and_never_retried() {
    let mut core = core();
    let progress = at(&[(0, 10)]);
    let flush = CommitInput::Flush {
        id: 1,
        until: 30 * SECOND,
        partitions: vec![tp(0)],
    };
    step(&mut core, SECOND, flush, &progress);
    let stale: BTreeMap<_, _> = [(tp(0), ErrorCode::ILLEGAL_GENERATION)].into();
    let mut effects = Vec::new();
    core.step(
        SECOND,
        CommitInput::Answered(Ok(stale.clone())),
        &mut effects,
    );
    assert!(effects.contains(&CommitEffect::Refused(stale)));
    assert!(
        effects.contains(&CommitEffect::TellMembership(Refusal::Code(
            ErrorCode::ILLEGAL_GENERATION
        )))
    );
    assert!(effects.contains(&CommitEffect::Flushed {
        id: 1,
        uncommitted: vec![tp(0)]
    }));
}

#[test]
fn a_flush_of_nothing_new_is_done_at_once() {
    let mut core = core();
    let mut effects = Vec::new();
    core.step(SECOND, CommitInput::Known(tp(0), 10), &mut effects);
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
