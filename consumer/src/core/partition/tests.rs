//! The core of a partition, rule by rule.

use super::*;

/// Bytes of the share in which nothing is paused.
const SHARE: usize = 1_000_000;

struct Driver {
    core: PartitionCore,
    effects: Vec<Effect>,
}

impl Driver {
    fn with(limits: Limits, start: Start) -> Self {
        let mut driver = Self {
            core: PartitionCore::new(limits, 0),
            effects: Vec::new(),
        };
        driver.step(Input::Located(Ok(start)));
        driver.step(Input::Started);
        driver
    }

    /// Begins at 100, with a handler, as everything does that is committed there.
    fn open() -> Self {
        let start = Start::Committed {
            offset: 100,
            leader_epoch: Some(3),
        };
        let driver = Self::with(limits(), start);
        assert!(driver.core.is_open());
        driver
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        self.effects.clear();
        self.core.step(input, &mut self.effects);
        self.effects.clone()
    }

    /// Fetches up to `next`; the batches are not worked on yet.
    fn fetch(&mut self, next: i64) -> FetchFrom {
        let from = self.core.fetch_from().expect("it is fetched");
        assert!(self.core.fetched(from, next, 1000, 1, SHARE));
        from
    }

    /// Hands over and acknowledges what begins at `from`, up to `next`.
    fn handle(&mut self, from: FetchFrom, next: i64) {
        assert!(self.core.takes(from));
        for offset in from.offset..next {
            assert!(matches!(
                self.core.dispatch(from.incarnation, offset, Some(3)),
                Dispatch::Go { .. }
            ));
            assert!(self.core.done(from.incarnation, offset));
        }
        self.core.passed(from.incarnation, next, Some(3));
        self.core.give_back(1, SHARE);
    }

    fn refuse(&mut self, why: Refused) -> Vec<Effect> {
        let from = self.core.fetch_from().expect("it is fetched");
        self.step(Input::Refused { from, why })
    }

    /// The position that is to be asked of the reset policy.
    fn find_reset(&mut self) -> ResetTicket {
        let effects = self.refuse(Refused::OutOfRange);
        let [Effect::FindReset(ticket)] = effects[..] else {
            panic!("{effects:?}")
        };
        ticket
    }

    fn committable(&self) -> (i64, i32) {
        let committable = self.core.committable().expect("it has begun");
        (committable.offset, committable.leader_epoch)
    }

    fn paused(effects: &[Effect]) -> &str {
        let reason = effects.iter().find_map(|effect| match effect {
            Effect::Tell(Notice::Paused { reason, .. }) => Some(&**reason),
            _ => None,
        });
        reason.unwrap_or_else(|| panic!("not paused: {effects:?}"))
    }
}

fn limits() -> Limits {
    Limits {
        attempts_max: 3,
        exhausted: Exhausted::Pause,
        unacknowledged_max: 10,
    }
}

const RESTART: Option<Duration> = Some(Duration::from_millis(100));

fn failed() -> Input {
    Input::Failed {
        error: "no".to_owned(),
        restart: RESTART,
    }
}

#[test]
fn a_position_that_the_policy_chose_is_told_and_committed_at_once_and_a_committed_one_is_not() {
    let mut core = PartitionCore::new(limits(), 0);
    let mut effects = Vec::new();
    core.step(Input::Located(Ok(Start::Reset(7))), &mut effects);
    assert_eq!(
        effects,
        [
            Effect::Tell(Notice::Reset { from: None, to: 7 }),
            Effect::Commit,
            Effect::Start
        ]
    );
    assert_eq!(core.progress().unwrap().committed, None);
    assert_eq!(core.committable().unwrap().offset, 7);
    core.committed(7);
    assert_eq!(core.progress().unwrap().committed, Some(7));

    let driver = Driver::open();
    assert_eq!(driver.core.progress().unwrap().committed, Some(100));
}

#[test]
fn where_it_begins_is_looked_up_again_when_it_is_resumed() {
    let mut driver = Driver {
        core: PartitionCore::new(limits(), 0),
        effects: Vec::new(),
    };
    let effects = driver.step(Input::Located(Err("nobody knows".to_owned())));
    assert_eq!(Driver::paused(&effects), "nobody knows");
    assert_eq!(driver.core.paused(), Some(PauseCause::Records));
    assert_eq!(driver.step(Input::Resume), [Effect::Locate]);
    assert_eq!(driver.step(Input::Resume), []);
    let start = Start::Reset(0);
    assert!(
        driver
            .step(Input::Located(Ok(start)))
            .contains(&Effect::Start)
    );
}

/// What lay behind an unreadable batch was once handled and committed, and the batch with it.
#[test]
fn behind_a_batch_that_cannot_be_read_nothing_is_handed_over() {
    let mut driver = Driver::open();
    let corrupt = driver.fetch(105);
    let behind = driver.fetch(110);
    assert!(driver.core.takes(corrupt));
    let effects = driver.step(Input::Unreadable {
        incarnation: corrupt.incarnation,
        reason: "bad checksum".to_owned(),
    });
    assert_eq!(Driver::paused(&effects), "offset 100: bad checksum");
    assert_eq!(effects[0], Effect::End);
    assert!(!driver.core.takes(behind));
    let dispatch = driver.core.dispatch(behind.incarnation, 105, Some(3));
    assert_eq!(dispatch, Dispatch::Stop);
    driver.core.passed(behind.incarnation, 110, Some(3));
    assert_eq!(driver.committable(), (100, 3));
    assert_eq!(driver.core.fetch_from(), None);
    // Resumed it begins at the same place, with a handler that waits for the end of the one before.
    assert_eq!(driver.step(Input::Resume), []);
    assert_eq!(driver.step(Input::Ended), [Effect::Start]);
    driver.step(Input::Started);
    assert_eq!(driver.core.fetch_from().unwrap().offset, 100);
    assert!(!driver.core.takes(behind));
}

#[test]
fn records_that_do_not_begin_where_the_last_ones_ended_are_void_and_fetched_again() {
    let mut driver = Driver::open();
    let lost = driver.fetch(105);
    let behind = driver.fetch(110);
    assert!(!driver.core.takes(behind), "after the loss of {lost:?}");
    assert_eq!(driver.core.fetch_from().unwrap().offset, 100);
    let again = driver.fetch(110);
    driver.handle(again, 110);
    assert_eq!(driver.committable(), (110, 3));
}

#[test]
fn what_is_dropped_before_it_was_handed_over_is_fetched_again() {
    let mut driver = Driver::open();
    driver.fetch(105);
    assert_eq!(driver.core.fetch_from().unwrap().offset, 105);
    driver.core.give_back(1, SHARE);
    assert_eq!(driver.core.fetch_from().unwrap().offset, 100);
}

/// 48 fetched records were once thrown away where only the position behind them was out of range.
#[test]
fn a_refusal_of_a_position_ahead_of_the_handler_waits_for_what_is_in_hand() {
    for why in [
        Refused::OutOfRange,
        Refused::ForGood("not allowed".to_owned()),
    ] {
        let mut driver = Driver::open();
        let in_hand = driver.fetch(102);
        assert_eq!(driver.refuse(why.clone()), []);
        assert!(driver.core.takes(in_hand));
        let incarnation = in_hand.incarnation;
        for offset in [100, 101] {
            driver.core.dispatch(incarnation, offset, Some(3));
            assert_eq!(driver.refuse(why.clone()), [], "{offset} is in work");
            driver.core.done(incarnation, offset);
        }
        driver.core.passed(incarnation, 102, Some(3));
        driver.core.give_back(1, SHARE);
        assert_ne!(driver.refuse(why), [], "asked again, with nothing in hand");
        assert_eq!(driver.committable(), (102, 3));
    }
}

#[test]
fn a_reset_ahead_keeps_the_handler_and_what_it_has_not_acknowledged() {
    let mut driver = Driver::open();
    let from = driver.fetch(102);
    assert!(driver.core.takes(from));
    for offset in [100, 101] {
        driver.core.dispatch(from.incarnation, offset, Some(3));
        let room = driver.core.answered(from.incarnation, &mut Vec::new());
        assert_eq!(room, Room::Free);
    }
    driver.core.passed(from.incarnation, 102, Some(3));
    driver.core.give_back(1, SHARE);
    let ticket = driver.find_reset();
    assert_eq!(driver.core.fetch_from(), None, "until it is known where");
    let effects = driver.step(Input::ResetFound {
        ticket,
        to: Ok(150),
    });
    let from_to = Notice::Reset {
        from: Some(102),
        to: 150,
    };
    assert_eq!(
        effects,
        [Effect::Tell(from_to), Effect::Commit, Effect::Fetch]
    );
    assert_eq!(driver.core.fetch_from().unwrap().offset, 150);
    assert_eq!(driver.committable(), (100, 3));
    assert!(driver.core.done(from.incarnation, 101));
    assert!(driver.core.done(from.incarnation, 100));
    // Nothing is known of the leader epoch of a position without a record.
    assert_eq!(driver.committable(), (150, -1));
}

#[test]
fn a_reset_to_below_begins_anew_and_what_is_in_hand_counts_for_nothing() {
    let mut driver = Driver::open();
    let from = driver.fetch(102);
    assert!(driver.core.takes(from));
    driver.core.dispatch(from.incarnation, 100, Some(3));
    driver.core.answered(from.incarnation, &mut Vec::new());
    driver.core.passed(from.incarnation, 102, Some(3));
    driver.core.give_back(1, SHARE);
    let ticket = driver.find_reset();
    driver.step(Input::ResetFound {
        ticket,
        to: Ok(100),
    });
    assert_eq!(driver.committable(), (100, -1));
    assert_eq!(driver.core.progress().unwrap().committed, None);
    // A commit that was under way says nothing about this log.
    driver.core.committed(102);
    assert_eq!(driver.core.progress().unwrap().committed, None);
    let (before, from) = (from.incarnation, driver.fetch(101));
    assert!(driver.core.takes(from));
    let first = driver.core.dispatch(from.incarnation, 100, Some(4));
    let Dispatch::Go { again: false, .. } = first else {
        panic!("{first:?}")
    };
    assert!(!driver.core.done(before, 100), "it is another record");
    assert!(driver.core.done(from.incarnation, 100));
    assert_eq!(driver.committable(), (101, 4));
}

#[test]
fn the_answer_to_a_reset_counts_only_where_it_was_asked_for() {
    // The handler failed in between.
    let mut driver = Driver::open();
    let ticket = driver.find_reset();
    driver.step(failed());
    let incarnation = driver.core.incarnation();
    driver.step(Input::RestartDue { incarnation });
    driver.step(Input::Started);
    let to = Ok(150);
    assert_eq!(driver.step(Input::ResetFound { ticket, to }), []);
    assert_eq!(driver.core.fetch_from().unwrap().offset, 100);

    // Given up in between.
    let mut driver = Driver::open();
    let ticket = driver.find_reset();
    assert!(driver.core.revoke());
    let to = Ok(150);
    assert_eq!(driver.step(Input::ResetFound { ticket, to }), []);
    assert_eq!(driver.committable(), (100, 3));
}

#[test]
fn a_policy_that_says_nothing_pauses() {
    let mut driver = Driver::open();
    let ticket = driver.find_reset();
    let to = Err("auto.offset.reset=none".to_owned());
    let effects = driver.step(Input::ResetFound { ticket, to });
    assert_eq!(Driver::paused(&effects), "auto.offset.reset=none");
}

#[test]
fn a_handler_that_fails_comes_back_at_the_lowest_record_it_had_not_acknowledged() {
    let mut driver = Driver::open();
    let from = driver.fetch(103);
    assert!(driver.core.takes(from));
    for offset in [100, 101, 102] {
        driver.core.dispatch(from.incarnation, offset, Some(3));
        if offset != 102 {
            driver.core.answered(from.incarnation, &mut Vec::new());
        }
    }
    assert!(driver.core.done(from.incarnation, 100));
    let effects = driver.step(failed());
    let crash = Crash {
        offset: Some(102),
        attempts: 1,
    };
    let restarting = Notice::Restarting {
        crash,
        error: "no".to_owned(),
        after: RESTART.unwrap(),
        resumes_at: 101,
    };
    assert_eq!(
        effects,
        [
            Effect::Tell(restarting),
            Effect::RestartAfter(RESTART.unwrap())
        ]
    );
    assert!(!driver.core.done(from.incarnation, 101), "it comes again");
    let incarnation = driver.core.incarnation();
    assert_eq!(driver.step(Input::RestartDue { incarnation: 0 }), []);
    assert_eq!(
        driver.step(Input::RestartDue { incarnation }),
        [Effect::Start]
    );
    driver.step(Input::Started);
    let from = driver.fetch(103);
    assert!(driver.core.takes(from));
    let again = |attempt| Dispatch::Go {
        attempt,
        again: true,
    };
    let dispatch = driver.core.dispatch(from.incarnation, 101, Some(3));
    assert_eq!(dispatch, again(1));
    let dispatch = driver.core.dispatch(from.incarnation, 102, Some(3));
    assert_eq!(dispatch, again(2));
}

/// Fails at the record at the position until something else than a restart comes of it.
fn fail_until_decided(driver: &mut Driver) -> Vec<Effect> {
    loop {
        let from = driver.fetch(103);
        assert!(driver.core.takes(from));
        driver.core.dispatch(from.incarnation, 100, Some(3));
        let effects = driver.step(failed());
        let decided = !matches!(effects[0], Effect::Tell(Notice::Restarting { .. }));
        if decided {
            return effects;
        }
        let incarnation = driver.core.incarnation();
        driver.step(Input::RestartDue { incarnation });
        driver.step(Input::Started);
    }
}

#[test]
fn a_record_whose_attempts_are_used_up_pauses_or_is_passed_over() {
    let mut driver = Driver::open();
    let effects = fail_until_decided(&mut driver);
    assert_eq!(Driver::paused(&effects), "offset 100 failed 3 times: no");
    assert_eq!(driver.core.paused(), Some(PauseCause::Handler));
    assert_eq!(driver.step(Input::Resume), [Effect::Start]);

    let start = Start::Committed {
        offset: 100,
        leader_epoch: Some(3),
    };
    let limits = Limits {
        exhausted: Exhausted::Skip,
        ..limits()
    };
    let mut driver = Driver::with(limits, start);
    let effects = fail_until_decided(&mut driver);
    assert_eq!(effects[0], Effect::Tell(Notice::Skipped { offset: 100 }));
    // Nothing is known of the leader epoch of a record that was not fetched again.
    assert_eq!(driver.committable(), (101, -1));
}

#[test]
fn a_handler_that_fails_too_often_pauses_its_partition() {
    let mut driver = Driver::open();
    let effects = driver.step(Input::Failed {
        error: "no".to_owned(),
        restart: None,
    });
    let reason = "its handler failed too often, last with: no";
    assert_eq!(Driver::paused(&effects), reason);
}

#[test]
fn no_handler_starts_before_the_one_before_has_ended() {
    let mut driver = Driver::open();
    let effects = driver.refuse(Refused::ForGood("not allowed".to_owned()));
    assert_eq!(effects[0], Effect::End);
    assert_eq!(driver.step(Input::Resume), []);
    assert!(!driver.core.wants_handler());
    assert_eq!(driver.step(Input::Ended), [Effect::Start]);
    assert!(driver.core.wants_handler());
    // Started for nothing: it is given up in the meantime.
    assert!(!driver.core.revoke(), "no handler has to finish");
    assert!(!driver.core.wants_handler());
    assert_eq!(driver.step(Input::Started), [Effect::End]);
    assert_eq!(driver.step(Input::Ended), []);
}

#[test]
fn while_it_is_given_up_the_record_in_work_counts_and_afterwards_nothing() {
    let mut driver = Driver::open();
    let from = driver.fetch(102);
    assert!(driver.core.takes(from));
    for offset in [100, 101] {
        driver.core.dispatch(from.incarnation, offset, Some(3));
        driver.core.answered(from.incarnation, &mut Vec::new());
    }
    assert!(driver.core.revoke());
    let dispatch = driver.core.dispatch(from.incarnation, 102, Some(3));
    assert_eq!(dispatch, Dispatch::Stop);
    assert!(driver.core.done(from.incarnation, 100));
    assert_eq!(driver.committable(), (101, 3));
    driver.core.release();
    assert!(!driver.core.done(from.incarnation, 101));
    assert_eq!(driver.committable(), (101, 3));
}

#[test]
fn a_supervisor_that_begins_anew_leaves_paused_partitions_paused_and_brings_the_others_back() {
    let wait = Duration::from_secs(1);
    let orphaned = Input::Orphaned { restart: wait };
    let mut driver = Driver::open();
    assert_eq!(driver.step(orphaned.clone()), [Effect::RestartAfter(wait)]);
    let incarnation = driver.core.incarnation();
    assert_eq!(
        driver.step(Input::RestartDue { incarnation }),
        [Effect::Start]
    );

    let mut driver = Driver::open();
    driver.refuse(Refused::ForGood("not allowed".to_owned()));
    assert_eq!(driver.step(orphaned.clone()), []);
    assert_eq!(driver.step(Input::Resume), [Effect::Start]);

    let mut driver = Driver::open();
    driver.core.revoke();
    assert_eq!(driver.step(orphaned), []);
    assert!(!driver.core.revoke(), "no handler has to finish");
}

#[test]
fn where_too_much_is_unacknowledged_it_says_so_once_until_there_is_room() {
    let mut driver = Driver::open();
    let from = driver.fetch(130);
    assert!(driver.core.takes(from));
    let incarnation = from.incarnation;
    let hand_over = |driver: &mut Driver, offset| {
        driver.core.dispatch(incarnation, offset, Some(3));
        let mut effects = Vec::new();
        let room = driver.core.answered(incarnation, &mut effects);
        (room, effects)
    };
    for offset in 100..109 {
        assert_eq!(hand_over(&mut driver, offset), (Room::Free, vec![]));
    }
    let full = |first| {
        let notice = Notice::Unacknowledged { first, count: 10 };
        (Room::Full, vec![Effect::Tell(notice)])
    };
    assert_eq!(hand_over(&mut driver, 109), full(100));
    assert!(driver.core.is_full());
    // Along the bound it is not said again.
    assert!(driver.core.done(incarnation, 100));
    let mut effects = Vec::new();
    let room = driver.core.answered(incarnation, &mut effects);
    assert_eq!((room, effects), (Room::Free, vec![]));
    assert_eq!(hand_over(&mut driver, 110), (Room::Full, vec![]));
    // After a fifth is acknowledged it is.
    assert!(driver.core.done(incarnation, 101));
    assert!(driver.core.is_full());
    assert!(driver.core.done(incarnation, 102));
    assert!(!driver.core.is_full());
    assert_eq!(hand_over(&mut driver, 111), (Room::Free, vec![]));
    assert_eq!(hand_over(&mut driver, 112), full(103));
}

#[test]
fn a_commit_carries_the_leader_epoch_of_the_last_record_below_it() {
    let mut driver = Driver::open();
    let from = driver.fetch(106);
    assert!(driver.core.takes(from));
    let incarnation = from.incarnation;
    // Two batches of one answer: 100 to 102 of epoch 3, and an empty one up to 104; 104 and 105 of epoch 5.
    for (offset, epoch) in [(100, 3), (101, 3)] {
        driver.core.dispatch(incarnation, offset, Some(epoch));
        driver.core.answered(incarnation, &mut Vec::new());
    }
    driver.core.passed(incarnation, 102, Some(3));
    driver.core.passed(incarnation, 104, Some(4));
    driver.core.dispatch(incarnation, 104, Some(5));
    driver.core.answered(incarnation, &mut Vec::new());
    assert!(driver.core.done(incarnation, 104));
    assert_eq!(driver.committable(), (100, 3));
    assert!(driver.core.done(incarnation, 100));
    assert_eq!(driver.committable(), (101, 3));
    assert!(driver.core.done(incarnation, 101));
    assert_eq!(driver.committable(), (105, 5));
    // What was fetched beyond and lost with its handler is not counted.
    driver.core.dispatch(incarnation, 105, Some(6));
    driver.step(failed());
    assert_eq!(driver.committable(), (105, 5));
}

#[test]
fn credit_follows_the_fetched_records_and_not_their_handler() {
    let mut driver = Driver::open();
    let from = driver.core.fetch_from().unwrap();
    assert!(driver.core.fetched(from, 105, 1000, 700, 500));
    assert_eq!(driver.core.eligibility(), Eligibility::NoCredit);
    driver.step(failed());
    assert_eq!(driver.core.held_bytes(), 700, "they are still there");
    let stale = FetchFrom {
        offset: 100,
        ..from
    };
    assert!(!driver.core.fetched(stale, 105, 1000, 700, 500));
    assert_eq!(driver.core.held_bytes(), 700, "what is stale costs nothing");
    assert!(driver.core.give_back(700, 500));
    assert_eq!(driver.core.held_bytes(), 0);
}

/// All that waited in a stream was once withheld with the batch behind it.
#[test]
fn a_stream_gives_out_what_it_has_before_records_that_cannot_be_read() {
    let unreadable = |from: FetchFrom| Input::Unreadable {
        incarnation: from.incarnation,
        reason: "bad checksum".to_owned(),
    };
    let refused = |from: FetchFrom| Input::Refused {
        from,
        why: Refused::ForGood("not today".to_owned()),
    };
    let pauses: [&dyn Fn(FetchFrom) -> Input; 2] = [&unreadable, &refused];
    for pause in pauses {
        let mut driver = Driver::open();
        let from = driver.fetch(101);
        assert!(driver.core.takes(from));
        driver.core.dispatch(from.incarnation, 100, Some(3));
        driver.core.answered(from.incarnation, &mut Vec::new());
        driver.core.passed(from.incarnation, 101, Some(3));
        driver.core.give_back(1, SHARE);
        let next = driver.core.fetch_from().unwrap();
        driver.step(pause(next));
        assert_eq!(driver.core.paused(), Some(PauseCause::Records));
        assert!(driver.core.hand_out(from.incarnation));
        driver.core.take_back(from.incarnation);
        assert!(driver.core.done(from.incarnation, 100));
        assert_eq!(driver.committable(), (101, 3));
        // What waits when it is resumed, or given up, comes again.
        driver.step(Input::Resume);
        assert!(!driver.core.hand_out(from.incarnation));
        let mut driver = Driver::open();
        let from = driver.fetch(101);
        driver.core.revoke();
        assert!(!driver.core.hand_out(from.incarnation));
    }
}
