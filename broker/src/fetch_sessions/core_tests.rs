//! Sessions, rule by rule.

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn key(partition: i32) -> PartitionKey {
    PartitionKey {
        topic: TopicKey::Name("t".into()),
        partition,
    }
}

fn wanted(partition: i32, from: i64) -> Wanted {
    Wanted {
        key: key(partition),
        from,
        max_bytes: 1_000,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
    }
}

fn asked(id: i32, epoch: i32, wanted: Vec<Wanted>) -> Asked {
    Asked {
        id,
        epoch,
        wanted,
        ..Asked::default()
    }
}

fn quiet() -> Found {
    Found {
        high_watermark: 7,
        log_start: 0,
        ..Found::default()
    }
}

fn records(high_watermark: i64) -> Found {
    Found {
        high_watermark,
        has_records: true,
        ..quiet()
    }
}

/// Opens a session of `partitions` partitions, with `id` if there is room.
fn open(sessions: &mut Sessions, now: Duration, id: i32, partitions: i32) -> i32 {
    let partitions = (0..partitions).map(|partition| wanted(partition, 0));
    let (mode, served) = sessions
        .open(now, asked(0, 0, partitions.collect()))
        .unwrap();
    let found = vec![quiet(); served.len()];
    let told = sessions.tell(now, mode, &served, &found, || id).unwrap();
    assert!(told.carried.iter().all(|carried| *carried));
    told.id
}

/// The partitions that are served, in order.
fn places(served: &[Wanted]) -> Vec<i32> {
    served.iter().map(|one| one.key.partition).collect()
}

#[test]
fn without_a_session_nothing_is_remembered() {
    let mut sessions = Sessions::new(10);
    let (mode, served) = sessions
        .open(at(0), asked(0, -1, vec![wanted(0, 0)]))
        .unwrap();
    let told = sessions
        .tell(at(0), mode, &served, &[quiet()], || unreachable!())
        .unwrap();
    assert_eq!((told.id, told.carried, sessions.len()), (0, vec![true], 0));
}

#[test]
fn a_partition_that_is_named_twice_is_served_once() {
    let asked = vec![wanted(0, 1), wanted(1, 2), wanted(0, 3)];
    assert_eq!(once(asked), [wanted(0, 3), wanted(1, 2)]);
    assert_eq!(once(vec![]), []);
}

#[test]
fn an_answer_carries_what_changed() {
    let mut sessions = Sessions::new(10);
    let id = open(&mut sessions, at(0), 5, 3);
    assert_eq!((id, sessions.len(), sessions.partitions()), (5, 1, 3));
    let mut tell = |epoch, found: [Found; 3]| {
        let (mode, served) = sessions.open(at(1), asked(id, epoch, vec![])).unwrap();
        let told = sessions
            .tell(at(1), mode, &served, &found, || unreachable!())
            .unwrap();
        assert_eq!(told.id, id);
        let carried = served.iter().zip(told.carried);
        let carried = carried.filter(|(_, carried)| *carried);
        carried
            .map(|(one, _)| one.key.partition)
            .collect::<Vec<_>>()
    };
    let failed = Found {
        high_watermark: -1,
        always_told: true,
        ..quiet()
    };
    let grown = Found {
        log_start: 3,
        ..quiet()
    };
    assert_eq!(tell(1, [quiet(); 3]), [0; 0]);
    assert_eq!(tell(2, [quiet(), failed, grown]), [1, 2]);
    // An error is told every time, and its end.
    assert_eq!(tell(3, [quiet(), failed, grown]), [1]);
    assert_eq!(tell(4, [quiet(), quiet(), grown]), [1]);
    assert_eq!(tell(5, [quiet(), quiet(), grown]), [0; 0]);
    // Records are told although nothing else changed.
    assert_eq!(tell(6, [records(7), quiet(), grown]), [0]);
}

#[test]
fn who_got_records_is_served_after_the_others() {
    let mut sessions = Sessions::new(10);
    let id = open(&mut sessions, at(0), 5, 3);
    let (mode, served) = sessions.open(at(0), asked(id, 1, vec![])).unwrap();
    assert_eq!(places(&served), [0, 1, 2]);
    let found = [records(9), quiet(), quiet()];
    sessions.tell(at(0), mode, &served, &found, || 0).unwrap();
    let (_, served) = sessions.open(at(0), asked(id, 2, vec![])).unwrap();
    assert_eq!(places(&served), [1, 2, 0]);
}

#[test]
fn partitions_come_change_and_go() {
    let mut sessions = Sessions::new(10);
    let id = open(&mut sessions, at(0), 5, 2);
    let mut request = asked(id, 1, vec![wanted(1, 44), wanted(8, 3)]);
    request.forgotten = vec![key(0), key(77)];
    let (mode, served) = sessions.open(at(0), request).unwrap();
    assert_eq!(served, [wanted(1, 44), wanted(8, 3)]);
    assert_eq!(sessions.partitions(), 2);
    // The new one is told, the changed one is not.
    let told = sessions
        .tell(at(0), mode, &served, &[quiet(); 2], || 0)
        .unwrap();
    assert_eq!(told.carried, [false, true]);
    // Nothing left: no session.
    let mut request = asked(id, 2, vec![]);
    request.forgotten = vec![key(1), key(8)];
    let (mode, served) = sessions.open(at(0), request).unwrap();
    assert_eq!((mode, served.len(), sessions.len()), (Mode::Without, 0, 0));
    assert_eq!(sessions.partitions(), 0);
}

#[test]
fn ids_and_epochs_have_to_be_right() {
    let mut sessions = Sessions::new(10);
    let id = open(&mut sessions, at(0), 5, 1);
    let mut refused = |asked| sessions.open(at(0), asked).unwrap_err();
    assert_eq!(
        refused(asked(6, 1, vec![])),
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND
    );
    assert_eq!(
        refused(asked(0, 1, vec![])),
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND
    );
    assert_eq!(
        refused(asked(id, 2, vec![])),
        ErrorCode::INVALID_FETCH_SESSION_EPOCH
    );
    let by_id = Asked {
        by_id: true,
        ..asked(id, 1, vec![])
    };
    assert_eq!(refused(by_id), ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    // None of these did it any harm, and the epoch is good once.
    assert!(sessions.open(at(0), asked(id, 1, vec![])).is_ok());
    assert_eq!(
        sessions.open(at(0), asked(id, 1, vec![])).unwrap_err(),
        ErrorCode::INVALID_FETCH_SESSION_EPOCH
    );
}

#[test]
fn a_session_that_moved_on_answers_no_earlier_request() {
    let mut sessions = Sessions::new(10);
    let id = open(&mut sessions, at(0), 5, 1);
    let (first, served) = sessions.open(at(0), asked(id, 1, vec![])).unwrap();
    let (_second, _) = sessions.open(at(0), asked(id, 2, vec![])).unwrap();
    let told = sessions.tell(at(0), first, &served, &[quiet()], || 0);
    assert_eq!(told, Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH));
    sessions.open(at(0), asked(id, -1, vec![])).unwrap();
    let told = sessions.tell(at(0), first, &served, &[quiet()], || 0);
    assert_eq!(told, Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
}

#[test]
fn a_full_request_ends_the_session_it_names() {
    for epoch in [0, -1] {
        let mut sessions = Sessions::new(10);
        let id = open(&mut sessions, at(0), 5, 1);
        sessions
            .open(at(0), asked(id, epoch, vec![wanted(0, 0)]))
            .unwrap();
        assert_eq!((sessions.len(), sessions.partitions()), (0, 0));
    }
}

#[test]
fn epochs_wrap_to_one() {
    assert_eq!(
        [after(0), after(1), after(i32::MAX), after(-1)],
        [1, 2, 1, 0]
    );
}

#[test]
fn ids_are_positive_and_nobody_elses() {
    let mut sessions = Sessions::new(10);
    open(&mut sessions, at(0), 5, 1);
    let (mode, served) = sessions.open(at(0), asked(0, 0, vec![])).unwrap();
    let mut candidates = [0, i32::MIN, 5, -5 & i32::MIN | 6].into_iter();
    let told = sessions.tell(at(0), mode, &served, &[], || candidates.next().unwrap());
    assert_eq!(told.unwrap().id, 6);
}

#[test]
fn a_full_house_takes_nobody_until_somebody_is_idle() {
    let mut sessions = Sessions::new(2);
    open(&mut sessions, at(0), 1, 1);
    open(&mut sessions, at(0), 2, 1);
    assert_eq!(open(&mut sessions, at(100), 3, 50), 0, "both are young");
    sessions.open(at(120), asked(1, 1, vec![])).unwrap();
    assert_eq!(open(&mut sessions, at(120), 3, 1), 0, "nobody is idle yet");
    assert_eq!(open(&mut sessions, at(121), 3, 1), 3, "2 is");
    assert_eq!(sessions.evictions(), 1);
    assert!(sessions.open(at(121), asked(1, 2, vec![])).is_ok());
    assert_eq!(
        Sessions::new(0).len(),
        open(&mut Sessions::new(0), at(0), 1, 1) as usize
    );
}

#[test]
fn a_larger_session_takes_the_place_of_the_smallest_settled_one() {
    let mut sessions = Sessions::new(2);
    open(&mut sessions, at(0), 1, 3);
    open(&mut sessions, at(0), 2, 2);
    for id in [1, 2] {
        sessions.open(at(121), asked(id, 1, vec![])).unwrap();
    }
    assert_eq!(open(&mut sessions, at(122), 3, 2), 0, "none is smaller");
    assert_eq!(open(&mut sessions, at(122), 3, 4), 3);
    assert!(sessions.open(at(122), asked(1, 2, vec![])).is_ok());
    assert_eq!(
        sessions.open(at(122), asked(2, 2, vec![])).unwrap_err(),
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND
    );
}

#[test]
fn what_a_session_remembers_is_bounded() {
    let mut sessions = Sessions::new(10);
    let many = i32::try_from(SESSION_PARTITIONS_MAX).unwrap();
    assert_eq!(open(&mut sessions, at(0), 1, many + 1), 0);
    assert_eq!(open(&mut sessions, at(0), 1, many), 1);
    // One more ends it.
    let more = asked(1, 1, vec![wanted(many, 0)]);
    assert_eq!(
        sessions.open(at(0), more).unwrap_err(),
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND
    );
    assert_eq!((sessions.len(), sessions.partitions()), (0, 0));
    let full = i32::try_from(PARTITIONS_MAX / SESSION_PARTITIONS_MAX).unwrap();
    for id in 1..=full {
        assert_eq!(open(&mut sessions, at(0), id, many), id);
    }
    assert_eq!(open(&mut sessions, at(0), 9, 1), 0, "all together");
    let mut long = wanted(0, 0);
    long.key.topic = TopicKey::Name("x".repeat(NAME_LENGTH_MAX + 1).into());
    let mut sessions = Sessions::new(10);
    let (mode, served) = sessions.open(at(0), asked(0, 0, vec![long])).unwrap();
    let told = sessions.tell(at(0), mode, &served, &[quiet()], || 1);
    assert_eq!(told.unwrap().id, 0);
}

/// Or whoever asks for too much again and again would end everybody's session.
#[test]
fn who_is_not_remembered_takes_nobodys_place() {
    let mut sessions = Sessions::new(2);
    open(&mut sessions, at(0), 1, 1);
    open(&mut sessions, at(0), 2, 1);
    let many = i32::try_from(SESSION_PARTITIONS_MAX).unwrap();
    assert_eq!(open(&mut sessions, at(200), 3, many + 1), 0);
    assert_eq!((sessions.len(), sessions.evictions()), (2, 0));
    // What makes room gives back its partitions as well.
    let mut sessions = Sessions::new(PARTITIONS_MAX / SESSION_PARTITIONS_MAX);
    for id in (1..).take(sessions.slots) {
        assert_eq!(open(&mut sessions, at(0), id, many), id);
    }
    assert_eq!(open(&mut sessions, at(200), 9, many), 9);
    assert_eq!(
        (sessions.partitions(), sessions.evictions()),
        (PARTITIONS_MAX, 1)
    );
}
