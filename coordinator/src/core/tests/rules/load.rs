//! Load and unload (5.8), and what is written when (5.4).

use super::super::kit::config;
use super::super::tale::{completing, empty, nothing, preparing, stable, with};
use crate::CoordinatorConfig;

#[test]
fn s5_8_while_it_loads_each_api_has_its_word() {
    stable(&["A"]).tells(
        "
        0 > restart
        0 > B join
        0 < B joined 14 me=
        0 > C sync c~A gen=1
        0 < C synced 27
        0 > D heartbeat c~A gen=1
        0 < D heartbeat 0
        0 > E leave c~A
        0 < E left 14 []
        0 > F commit c~A gen=1 t/0=5
        0 < F committed [t/0:14]
        0 > G fetch t/0
        0 < G fetched 'g' 14 []
        0 > H describe
        0 < H described 'g' 14  / []
        0 > I list
        0 < I listed 14 []
        0 > J delete
        0 < J deleted ['g':14]
        0 > K forget t/0
        0 < K forgotten 14 []
        ",
    );
}

#[test]
fn s5_8_groups_with_members_are_stable_in_their_generation() {
    stable(&["A", "B/i"]).tells(
        "
        0 > restart
        0 > load
        0 > C describe
        0 < C described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a' i~B/i c /127.0.0.1 (t)'b']
        0 > D heartbeat c~A gen=1
        0 < D heartbeat 0
        0 > E sync i~B gen=1 instance=i
        0 < E synced 0 consumer/range 'b'
        ",
    );
}

#[test]
fn s5_8_groups_without_members_are_empty() {
    empty().tells(
        "
        0 > restart
        0 > load
        0 > B describe
        0 < B described 'g' 0 Empty consumer/ []
        0 > C commit t/0=9
        0 < append t/0=9
        0 < C committed [t/0:0]
        ",
    );
}

#[test]
fn s5_8_sessions_begin_anew_in_full_length() {
    stable(&["A", "B"]).tells(
        "
        9000 > restart
        9000 > load
        18000 > C heartbeat c~A gen=1
        18000 < C heartbeat 0
        19000 < exit session_timeout c~B
        19000 < rebalance session_timeout after gen1
        19000 < append mark=32
        19000 > wait
        ",
    );
}

#[test]
fn s5_8_offsets_of_a_group_nobody_recorded_are_simple_consumers() {
    nothing().tells(
        "
        0 > A commit t/0=5
        0 < append t/0=5
        0 < A committed [t/0:0]
        0 > restart
        0 > load
        0 > B list
        0 < B listed 0 [g::Empty:classic]
        0 > C fetch t/0
        0 < C fetched 'g' 0 [t/0=5]
        0 > D commit t/0=6
        0 < append t/0=6
        0 < D committed [t/0:0]
        ",
    );
}

#[test]
fn s5_8_a_group_above_the_limit_rebalances() {
    let house = stable(&["A", "B", "C"]).tells("");
    let mut tale = with(CoordinatorConfig {
        group_max_size: 2,
        ..config()
    });
    tale.load(house.index);
    tale.tells(
        "
        0 > D describe
        0 < D described 'g' 0 PreparingRebalance consumer/ [c~A c /127.0.0.1 'a' c~B c /127.0.0.1 'b' c~C c /127.0.0.1 'c']
        0 > E join c~A
        0 > F join c~B
        0 > G join c~C
        0 < exit group_full c~C
        0 < G joined 81 me=
        20000 < E joined 0 gen17 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        20000 < F joined 0 gen17 consumer/range leader=c~A me=c~B []
        20000 > wait
        ",
    );
}

#[test]
fn s5_8_closing_answers_who_waits_and_ends_the_timers() {
    preparing(&["A", "B"]).tells(
        "
        0 > hold
        0 > C forget u/0
        0 < remove offsets
        0 > D heartbeat c~B gen=1
        0 > close
        0 < L joined 16 me=c~A
        0 < C forgotten 16 []
        0 < D heartbeat 16
        0 > E join c~B
        0 < E joined 15 me=c~B
        60000 > wait
        ",
    );
}

#[test]
fn s5_8_closing_with_a_commit_in_flight_leaves_its_answer_to_the_log() {
    stable(&["A"]).tells(
        "
        0 > hold
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 > close
        10 > land 0
        10 < B committed [t/0:0]
        ",
    );
}

#[test]
fn s5_8_closing_with_a_plan_in_flight() {
    completing(&["A", "B"]).tells(
        "
        0 > hold
        0 > C sync c~B gen=1
        0 > D sync c~A gen=1
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'' c~B(t)'']
        0 > close
        0 < D synced 16
        0 < C synced 16
        10 > land 0
        ",
    );
}

#[test]
fn s5_4_a_crash_while_a_rebalance_is_prepared_brings_the_stable_generation_back() {
    preparing(&["A", "B"]).tells(
        "
        0 > restart
        0 < L joined 15 me=
        0 > load
        0 > C describe
        0 < C described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a' c~B c /127.0.0.1 (t)'b']
        0 > D heartbeat c~A gen=1
        0 < D heartbeat 0
        ",
    );
}

#[test]
fn s5_4_a_crash_while_the_plan_is_awaited_brings_the_stable_generation_back() {
    preparing(&["A", "B"]).tells(
        "
        0 > C join c~B
        0 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        0 > restart
        0 > load
        0 > D describe
        0 < D described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a' c~B c /127.0.0.1 (t)'b']
        0 > E heartbeat c~A gen=2
        0 < E heartbeat 22
        0 > F heartbeat c~A gen=1
        0 < F heartbeat 0
        ",
    );
}

#[test]
fn s5_4_a_leave_while_others_remain_is_not_written() {
    stable(&["A", "B"]).tells(
        "
        0 > C leave c~B
        0 < exit leave c~B
        0 < rebalance member_leave after gen1
        0 < C left 0 [c~B:0]
        0 > restart
        0 > load
        0 > D describe
        0 < D described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a' c~B c /127.0.0.1 (t)'b']
        10000 < exit session_timeout c~A
        10000 < rebalance session_timeout after gen1
        10000 < append mark=32
        10000 < exit session_timeout c~B
        10000 < append group=gen17 consumer/- leader=- []
        10000 > wait
        ",
    );
}
