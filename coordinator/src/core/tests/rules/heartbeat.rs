//! Heartbeat: what is checked, in which order, and what each state answers (2.3).

use super::super::tale::{completing, empty, nothing, preparing, stable};

#[test]
fn s2_3_an_empty_group_id_is_refused() {
    nothing().tells(
        "
        0 > A heartbeat c~X gen=1 group=
        0 < A heartbeat 24
        ",
    );
}

#[test]
fn s2_3_who_heartbeats_goes_on_working_while_it_loads() {
    stable(&["A"]).tells(
        "
        0 > restart
        0 > B heartbeat c~A gen=1
        0 < B heartbeat 0
        0 > C heartbeat c~X gen=9
        0 < C heartbeat 0
        0 > D heartbeat c~A gen=1 group=
        0 < D heartbeat 24
        0 > load
        0 > E heartbeat c~A gen=1
        0 < E heartbeat 0
        0 > close
        0 > F heartbeat c~A gen=1
        0 < F heartbeat 15
        ",
    );
}

#[test]
fn s2_3_an_absent_or_empty_group_knows_nobody() {
    empty().tells(
        "
        0 > B heartbeat c~A gen=2
        0 < B heartbeat 25
        0 > C heartbeat c~A gen=1 group=absent
        0 < C heartbeat 25
        ",
    );
}

#[test]
fn s2_3_instance_then_member_then_generation() {
    stable(&["A/i", "B/j"]).tells(
        "
        0 > C heartbeat i~A gen=9 instance=other
        0 < C heartbeat 25
        0 > D heartbeat i~A gen=9 instance=j
        0 < D heartbeat 82
        0 > E heartbeat c~X gen=9
        0 < E heartbeat 25
        0 > F heartbeat i~A gen=2
        0 < F heartbeat 22
        0 > G heartbeat i~A gen=0 instance=i
        0 < G heartbeat 22
        0 > H heartbeat i~A gen=1 instance=i
        0 < H heartbeat 0
        ",
    );
}

#[test]
fn s2_3_the_order_is_the_same_while_a_rebalance_is_prepared() {
    preparing(&["A/i", "B"]).tells(
        "
        0 > C heartbeat c~X gen=9 instance=i
        0 < C heartbeat 82
        0 > D heartbeat c~X gen=9
        0 < D heartbeat 25
        0 > E heartbeat c~B gen=2
        0 < E heartbeat 22
        0 > F heartbeat c~B gen=1
        0 < F heartbeat 27
        ",
    );
}

#[test]
fn s2_3_a_heartbeat_while_a_rebalance_is_prepared_begins_the_session_anew() {
    preparing(&["A", "B"]).tells(
        "
        9000 > C heartbeat c~B gen=1
        9000 < C heartbeat 27
        18999 > D heartbeat c~B gen=1
        18999 < D heartbeat 27
        ",
    );
}

#[test]
fn s2_3_a_heartbeat_while_the_plan_is_awaited_is_fine_and_begins_the_session_anew() {
    completing(&["A", "B"]).tells(
        "
        9000 > C heartbeat c~B gen=1
        9000 < C heartbeat 0
        9000 > D heartbeat c~A gen=1
        9000 < D heartbeat 0
        18000 > E heartbeat c~B gen=1
        18000 < E heartbeat 0
        19000 < exit session_timeout c~A
        19000 < rebalance session_timeout after gen1
        19000 > F describe
        19000 < F described 'g' 0 PreparingRebalance consumer/ [c~B c /127.0.0.1 '']
        ",
    );
}

#[test]
fn s2_3_a_heartbeat_in_stable_begins_the_session_anew() {
    stable(&["A"]).tells(
        "
        9999 > B heartbeat c~A gen=1
        9999 < B heartbeat 0
        19998 > C heartbeat c~A gen=1
        19998 < C heartbeat 0
        29998 < exit session_timeout c~A
        29998 < rebalance session_timeout after gen1
        29998 < append group=gen2 consumer/- leader=- []
        29998 > D heartbeat c~A gen=1
        29998 < D heartbeat 25
        ",
    );
}

#[test]
fn s2_3_a_refused_heartbeat_is_no_sign_of_life() {
    stable(&["A/i"]).tells(
        "
        9000 > B heartbeat i~A gen=0
        9000 < B heartbeat 22
        9000 > C heartbeat c~X gen=1 instance=i
        9000 < C heartbeat 82
        10000 < exit session_timeout i~A
        10000 < rebalance session_timeout after gen1
        10000 < append group=gen2 consumer/- leader=- []
        10000 > D describe
        10000 < D described 'g' 0 Empty consumer/ []
        ",
    );
}

#[test]
fn s2_3_an_id_not_yet_used_is_no_members() {
    nothing().tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > B heartbeat c~A gen=0
        0 < B heartbeat 25
        0 > C heartbeat c~A gen=-1
        0 < C heartbeat 25
        ",
    );
}
