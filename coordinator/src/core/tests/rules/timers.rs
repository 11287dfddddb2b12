//! Every timer of 3.8, and what a member sees of a rebalance (3.9).

use super::super::tale::{completing, nothing, preparing, stable};

#[test]
fn s3_8_pending_an_id_not_used_is_dropped_and_the_others_go_on() {
    stable(&["A"]).tells(
        "
        0 > B join session=6000
        0 < B joined 79 me=c~B
        1000 > C join c~A
        1000 < rebalance leader_rejoin after gen1
        6000 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        6000 > D join c~B
        6000 < D joined 25 me=c~B
        ",
    );
}

#[test]
fn s3_8_pending_in_a_stable_group_it_disturbs_nobody() {
    stable(&["A"]).tells(
        "
        0 > B join session=6000
        0 < B joined 79 me=c~B
        6000 > C heartbeat c~A gen=1
        6000 < C heartbeat 0
        6000 > D join c~B
        6000 < D joined 25 me=c~B
        ",
    );
}

#[test]
fn s3_8_pending_an_id_that_is_used_has_no_such_timer_any_more() {
    stable(&["A"]).tells(
        "
        0 > B join session=6000
        0 < B joined 79 me=c~B
        5000 > C join c~B session=6000
        5000 < rebalance member_join after gen1
        9000 > D heartbeat c~A gen=1
        9000 < D heartbeat 27
        12000 > E join c~A
        12000 < E joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        12000 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_8_newcomer_after_five_minutes_it_is_believed_gone() {
    nothing().tells(
        "
        0 > A join v3 rebalance=600000 session=1800000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 > B sync c~A gen=1
        500 < append group=gen1 consumer/range leader=c~A [c~A(t)'']
        500 < B synced 0 consumer/range ''
        500 < stable gen1 members=1 took=500
        500 > C join session=6000
        500 < C joined 79 me=c~C
        500 > D join c~C session=6000
        500 < rebalance member_join after gen1
        500 > E join v3 session=6000
        300499 > F heartbeat c~A gen=1
        300499 < F heartbeat 27
        300500 < D joined 25 me=
        300500 < exit session_timeout c~C
        300500 < E joined 25 me=
        300500 < exit session_timeout c~E
        300500 > G heartbeat c~A gen=1
        300500 < G heartbeat 27
        ",
    );
}

#[test]
fn s3_8_newcomer_after_the_join_phase_it_lives_by_its_session() {
    // KAFKA-9752.
    nothing().tells(
        "
        0 > A join v3 session=6000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 > B sync c~A gen=1
        500 < append group=gen1 consumer/range leader=c~A [c~A(t)'']
        500 < B synced 0 consumer/range ''
        500 < stable gen1 members=1 took=500
        6499 > C heartbeat c~A gen=1
        6499 < C heartbeat 0
        12499 < exit session_timeout c~A
        12499 < rebalance session_timeout after gen1
        12499 < append group=gen2 consumer/- leader=- []
        12499 > wait
        ",
    );
}

#[test]
fn s3_8_session_a_parked_join_needs_no_heartbeat() {
    preparing(&["A", "B"]).tells(
        "
        9000 > C heartbeat c~B gen=1
        9000 < C heartbeat 27
        18000 > D heartbeat c~B gen=1
        18000 < D heartbeat 27
        19000 > E join c~B
        19000 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        19000 < E joined 0 gen2 consumer/range leader=c~A me=c~B []
        29000 < exit session_timeout c~A
        29000 < rebalance session_timeout after gen2
        29000 < exit session_timeout c~B
        29000 < append group=gen3 consumer/- leader=- []
        29000 > wait
        ",
    );
}

#[test]
fn s3_8_session_a_parked_sync_needs_no_heartbeat() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        9000 > D heartbeat c~A gen=1
        9000 < D heartbeat 0
        15000 > E sync c~A gen=1
        15000 < append group=gen1 consumer/range leader=c~A [c~A(t)'' c~B(t)'']
        15000 < E synced 0 consumer/range ''
        15000 < C synced 0 consumer/range ''
        15000 < stable gen1 members=2 took=16000
        24999 > F heartbeat c~A gen=1
        24999 < F heartbeat 0
        25000 < exit session_timeout c~B
        25000 < rebalance session_timeout after gen1
        25000 > wait
        ",
    );
}

#[test]
fn s3_8_session_the_end_of_the_join_phase_begins_one() {
    preparing(&["A", "B"]).tells(
        "
        9000 > C join c~B
        9000 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        9000 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        18999 > D describe
        18999 < D described 'g' 0 CompletingRebalance consumer/ [c~A c /127.0.0.1 'a' c~B c /127.0.0.1 'b']
        19000 < exit session_timeout c~A
        19000 < rebalance session_timeout after gen2
        19000 < exit session_timeout c~B
        19000 < append group=gen3 consumer/- leader=- []
        19000 > wait
        ",
    );
}

#[test]
fn s3_8_session_the_answer_to_a_parked_sync_begins_one() {
    completing(&["A", "B"]).tells(
        "
        9000 > C sync c~B gen=1
        9500 > D sync c~A gen=1
        9500 < append group=gen1 consumer/range leader=c~A [c~A(t)'' c~B(t)'']
        9500 < D synced 0 consumer/range ''
        9500 < C synced 0 consumer/range ''
        9500 < stable gen1 members=2 took=10500
        19499 > E describe
        19499 < E described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'' c~B c /127.0.0.1 (t)'']
        19500 < exit session_timeout c~A
        19500 < rebalance session_timeout after gen1
        19500 < exit session_timeout c~B
        19500 < append group=gen2 consumer/- leader=- []
        19500 > wait
        ",
    );
}

#[test]
fn s3_8_session_asking_again_in_stable_does_not() {
    stable(&["A", "B"]).tells(
        "
        9000 > C sync c~B gen=1
        9000 < C synced 0 consumer/range 'b'
        9000 > D join c~B
        9000 < D joined 0 gen1 consumer/range leader=c~A me=c~B []
        9000 > E heartbeat c~A gen=1
        9000 < E heartbeat 0
        10000 < exit session_timeout c~B
        10000 < rebalance session_timeout after gen1
        10000 > wait
        ",
    );
}

#[test]
fn s3_8_session_its_end_while_a_rebalance_is_prepared_lets_the_others_go_on() {
    preparing(&["A", "B"]).tells(
        "
        10000 < exit session_timeout c~B
        10000 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        10000 > wait
        ",
    );
}

#[test]
fn s3_8_session_a_silent_leader_is_replaced() {
    stable(&["A", "B"]).tells(
        "
        9000 > C heartbeat c~B gen=1
        9000 < C heartbeat 0
        10000 < exit session_timeout c~A
        10000 < rebalance session_timeout after gen1
        11000 > D join c~B
        11000 < D joined 0 gen2 consumer/range leader=c~B me=c~B [c~B(t)]
        ",
    );
}

#[test]
fn s3_8_join_its_end_ends_the_join_phase() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~A rebalance=3000
        0 < rebalance leader_rejoin after gen1
        1 > D join c~B rebalance=3000
        1 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        1 < D joined 0 gen2 consumer/range leader=c~A me=c~B []
        2 > E sync c~A gen=2
        2 < append group=gen2 consumer/range leader=c~A [c~A(t)'' c~B(t)'']
        2 < E synced 0 consumer/range ''
        2 < stable gen2 members=2 took=2
        3 > F sync c~B gen=2
        3 < F synced 0 consumer/range ''
        10 > G join c~A rebalance=3000
        10 < rebalance leader_rejoin after gen2
        3009 > H heartbeat c~B gen=2
        3009 < H heartbeat 27
        3010 < exit rebalance_timeout c~B
        3010 < G joined 0 gen3 consumer/range leader=c~A me=c~A [c~A(t)]
        3010 > I heartbeat c~B gen=2
        3010 < I heartbeat 25
        ",
    );
}

#[test]
fn s3_8_join_a_negative_rebalance_timeout_is_zero() {
    nothing().tells(
        "
        0 > A join v3 rebalance=-1
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 < exit rebalance_timeout c~A
        500 < rebalance rebalance_timeout after gen1
        500 < append group=gen2 consumer/- leader=- []
        500 > B sync c~A gen=1
        500 < B synced 25
        ",
    );
}

#[test]
fn s3_8_join_a_huge_rebalance_timeout_stalls_all() {
    nothing().tells(
        "
        0 > A join v3 rebalance=2147483647 session=1800000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 > B sync c~A gen=1
        500 < append group=gen1 consumer/range leader=c~A [c~A(t)'']
        500 < B synced 0 consumer/range ''
        500 < stable gen1 members=1 took=500
        500 > C join instance=i session=1800000
        500 < rebalance member_join after gen1
        1000 > D heartbeat c~A gen=1
        1000 < D heartbeat 27
        300500 < C joined 25 me=
        300500 < exit session_timeout i~C
        1799000 > E heartbeat c~A gen=1
        1799000 < E heartbeat 27
        1800000 > F join c~A
        1800000 < F joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        ",
    );
}

#[test]
fn s3_8_sync_whoever_never_syncs_is_dropped() {
    // KAFKA-12890.
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~A gen=1
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'' c~B(t)'']
        0 < C synced 0 consumer/range ''
        0 < stable gen1 members=2 took=1000
        9000 > D heartbeat c~B gen=1
        9000 < D heartbeat 0
        9000 > E heartbeat c~A gen=1
        9000 < E heartbeat 0
        18000 > F heartbeat c~B gen=1
        18000 < F heartbeat 0
        18000 > G heartbeat c~A gen=1
        18000 < G heartbeat 0
        20000 < exit rebalance_timeout c~B
        20000 < rebalance rebalance_timeout after gen1
        20000 > wait
        ",
    );
}

#[test]
fn s3_8_a_timer_that_was_replaced_does_nothing() {
    stable(&["A"]).tells(
        "
        5000 > B heartbeat c~A gen=1
        5000 < B heartbeat 0
        9000 > C leave c~A
        9000 < exit leave c~A
        9000 < rebalance member_leave after gen1
        9000 < append group=gen2 consumer/- leader=- []
        9000 < C left 0 [c~A:0]
        9000 > D delete
        9000 < remove the group
        9000 < append group=gone
        9000 < D deleted ['g':0]
        60000 > wait
        ",
    );
}

#[test]
fn s3_9_a_member_during_a_rebalance_and_after() {
    stable(&["A", "B"]).tells(
        "
        0 > C join v3
        0 < rebalance member_join after gen1
        100 > D heartbeat c~A gen=1
        100 < D heartbeat 27
        200 > E commit c~A gen=1 t/0=5
        200 < append t/0=5
        200 < E committed [t/0:0]
        300 > F join c~A
        400 > G join c~B
        400 < F joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t) c~C(t)]
        400 < G joined 0 gen2 consumer/range leader=c~A me=c~B []
        400 < C joined 0 gen2 consumer/range leader=c~A me=c~C []
        500 > H commit c~A gen=1 t/0=6
        500 < H committed [t/0:22]
        600 > I join c~A
        600 < I joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t) c~C(t)]
        ",
    );
}

#[test]
fn s3_9_a_dynamic_member_that_did_not_come_is_unknown() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~A
        0 < rebalance leader_rejoin after gen1
        10000 < exit session_timeout c~B
        10000 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        10000 > D heartbeat c~B gen=1
        10000 < D heartbeat 25
        10000 > E commit c~B gen=1 t/0=5
        10000 < E committed [t/0:25]
        10000 > F sync c~B gen=1
        10000 < F synced 25
        10000 > G join c~B
        10000 < G joined 25 me=c~B
        10000 > H leave c~B
        10000 < H left 0 [c~B:25]
        ",
    );
}

#[test]
fn s3_9_a_static_member_that_did_not_come_is_a_generation_behind() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C join c~A rebalance=3000
        0 < rebalance leader_rejoin after gen1
        0 > D join i~B rebalance=3000
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) i~B/i(t)]
        0 < D joined 0 gen2 consumer/range leader=c~A me=i~B []
        0 > E sync c~A gen=2
        0 < append group=gen2 consumer/range leader=c~A [c~A(t)'' i~B/i(t)'']
        0 < E synced 0 consumer/range ''
        0 < stable gen2 members=2 took=0
        0 > F sync i~B gen=2
        0 < F synced 0 consumer/range ''
        0 > G join c~A rebalance=3000
        0 < rebalance leader_rejoin after gen2
        3000 < G joined 0 gen3 consumer/range leader=c~A me=c~A [c~A(t) i~B/i(t)]
        3000 > H heartbeat i~B gen=2
        3000 < H heartbeat 22
        3000 > I commit i~B gen=2 t/0=5
        3000 < I committed [t/0:22]
        3000 > J sync i~B gen=2
        3000 < J synced 22
        3000 > K join i~B instance=i
        3000 < K joined 0 gen3 consumer/range leader=c~A me=i~B []
        3000 > M sync c~A gen=3 plan=i~B:b
        3000 < append group=gen3 consumer/range leader=c~A [c~A(t)'' i~B/i(t)'b']
        3000 < M synced 0 consumer/range ''
        3000 < stable gen3 members=2 took=3000
        3000 > N sync i~B gen=3
        3000 < N synced 0 consumer/range 'b'
        ",
    );
}
