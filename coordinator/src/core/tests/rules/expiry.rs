//! The end of offsets and of groups: every row of 5.9. Retention is a day here, sessions are half an hour.

use std::time::Duration;

use super::super::kit::config;
use super::super::tale::{Tale, with};
use crate::CoordinatorConfig;

fn of_a_day() -> Tale {
    with(CoordinatorConfig {
        offsets_retention: Duration::from_secs(24 * 60 * 60),
        ..config()
    })
}

#[test]
fn s5_9_r1_what_a_client_of_old_wanted_is_honoured() {
    of_a_day().tells(
        "
        0 > A commit t/0=5 retention=1000
        0 < append t/0=5 until +1000
        0 < A committed [t/0:0]
        0 > B commit t/1=6 retention=100000000
        0 < append t/1=6 until +100000000
        0 < B committed [t/1:0]
        999 > check
        999 < remove what is over
        999 < reload
        1000 > check
        1000 < remove what is over
        1000 < append t/0=gone
        1000 < reload
        86400000 > check
        86400000 < remove what is over
        86400000 < reload
        100000000 > check
        100000000 < remove what is over
        100000000 < append t/1=gone
        100000000 < reload
        100000000 > C list
        100000000 < C listed 0 []
        ",
    );
}

#[test]
fn s5_9_r1_but_not_while_the_topic_is_read() {
    of_a_day().stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5 u/0=6 retention=1000
        0 < append t/0=5 until +1000 u/0=6 until +1000
        0 < B committed [t/0:0 u/0:0]
        1000 > check
        1000 < remove what is over
        1000 < append u/0=gone
        ",
    );
}

#[test]
fn s5_9_r2_an_empty_group_keeps_its_offsets_from_when_it_became_empty() {
    of_a_day().stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 < B committed [t/0:0]
        9000 > C leave c~A
        9000 < exit leave c~A
        9000 < rebalance member_leave after gen1
        9000 < append group=gen2 consumer/- leader=- []
        9000 < C left 0 [c~A:0]
        86400000 > check
        86400000 < remove what is over
        86400000 < reload
        86408999 > check
        86408999 < remove what is over
        86408999 < reload
        86408999 > D fetch t/0
        86408999 < D fetched 'g' 0 [t/0=5]
        86409000 > check
        86409000 < remove what is over
        86409000 < append t/0=gone group=gone
        86409000 < reload
        86409000 > E list
        86409000 < E listed 0 []
        ",
    );
}

#[test]
fn s5_9_r2_the_clock_outlives_the_coordinator() {
    of_a_day().stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 < B committed [t/0:0]
        9000 > C leave c~A
        9000 < exit leave c~A
        9000 < rebalance member_leave after gen1
        9000 < append group=gen2 consumer/- leader=- []
        9000 < C left 0 [c~A:0]
        50000000 > restart
        50000000 > load
        86408999 > check
        86408999 < remove what is over
        86408999 < reload
        86409000 > check
        86409000 < remove what is over
        86409000 < append t/0=gone group=gone
        86409000 < reload
        ",
    );
}

#[test]
fn s5_9_r2_a_late_commit_to_an_empty_group_does_not_wind_it_up() {
    // The clock is the group's, as in Kafka: a commit of a simple consumer goes with the rest.
    of_a_day().stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 < B committed [t/0:0]
        9000 > C leave c~A
        9000 < exit leave c~A
        9000 < rebalance member_leave after gen1
        9000 < append group=gen2 consumer/- leader=- []
        9000 < C left 0 [c~A:0]
        80000000 > D commit t/1=6
        80000000 < append t/1=6
        80000000 < D committed [t/1:0]
        86409000 > check
        86409000 < remove what is over
        86409000 < append t/0=gone t/1=gone group=gone
        86409000 < reload
        ",
    );
}

#[test]
fn s5_9_r3_a_stable_consumer_loses_what_it_does_not_read() {
    of_a_day().tells(
        "
        0 > A join v3 session=1800000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 > B sync c~A gen=1
        500 < append group=gen1 consumer/range leader=c~A [c~A(t)'']
        500 < B synced 0 consumer/range ''
        500 < stable gen1 members=1 took=500
        500 > C commit c~A gen=1 t/0=5 u/0=6
        500 < append t/0=5 u/0=6
        500 < C committed [t/0:0 u/0:0]
        500 > restart
        86400499 > load
        86400499 > check
        86400499 < remove what is over
        86400500 > check
        86400500 < remove what is over
        86400500 < append u/0=gone
        86400500 > D fetch all
        86400500 < D fetched 'g' 0 [t/0=5]
        86400500 > E heartbeat c~A gen=1
        86400500 < E heartbeat 0
        ",
    );
}

#[test]
fn s5_9_r3_but_nothing_while_it_is_not_known_what_it_reads() {
    of_a_day().tells(
        "
        0 > A join v3 session=1800000 protocols=range:!
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(b'\\0\\0\\x7f\\xff\\xff\\xff')]
        500 > B sync c~A gen=1
        500 < append group=gen1 consumer/range leader=c~A [c~A(b'\\0\\0\\x7f\\xff\\xff\\xff')'']
        500 < B synced 0 consumer/range ''
        500 < stable gen1 members=1 took=500
        500 > C commit c~A gen=1 t/0=5 u/0=6
        500 < append t/0=5 u/0=6
        500 < C committed [t/0:0 u/0:0]
        500 > restart
        86400500 > load
        86400500 > check
        86400500 > D heartbeat c~A gen=1
        86400500 < D heartbeat 0
        ",
    );
}

#[test]
fn s5_9_r4_nothing_ends_while_a_rebalance_is_prepared() {
    // KAFKA-13636.
    of_a_day().stable(&["A", "B"]).tells(
        "
        0 > C commit c~A gen=1 u/0=6 retention=1000
        0 < append u/0=6 until +1000
        0 < C committed [u/0:0]
        1000 > D join c~A
        1000 < rebalance leader_rejoin after gen1
        2000 > check
        ",
    );
}

#[test]
fn s5_9_r4_nothing_ends_while_the_plan_is_awaited() {
    of_a_day().stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 u/0=6 retention=1000
        0 < append u/0=6 until +1000
        0 < B committed [u/0:0]
        1000 > C join c~A
        1000 < rebalance leader_rejoin after gen1
        1000 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        2000 > check
        3000 > D sync c~A gen=2
        3000 < append group=gen2 consumer/range leader=c~A [c~A(t)'']
        3000 < D synced 0 consumer/range ''
        3000 < stable gen2 members=1 took=2000
        3000 > check
        3000 < remove what is over
        3000 < append u/0=gone
        ",
    );
}

#[test]
fn s5_9_r4_nothing_of_another_type_ends_while_it_has_members() {
    of_a_day().tells(
        "
        0 > A join v3 type=connect protocols=x
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 connect/x leader=c~A me=c~A [c~A(t)]
        500 > B sync c~A gen=1
        500 < append group=gen1 connect/x leader=c~A [c~A(t)'']
        500 < B synced 0 connect/x ''
        500 < stable gen1 members=1 took=500
        500 > C commit c~A gen=1 u/0=6 retention=1000
        500 < append u/0=6 until +1000
        500 < C committed [u/0:0]
        2000 > check
        3000 > D leave c~A
        3000 < exit leave c~A
        3000 < rebalance member_leave after gen1
        3000 < append group=gen2 connect/- leader=- []
        3000 < D left 0 [c~A:0]
        3000 > check
        3000 < remove what is over
        3000 < append u/0=gone group=gone
        3000 < reload
        ",
    );
}

#[test]
fn s5_9_r5_simple_consumers_lose_each_offset_a_retention_after_its_commit() {
    of_a_day().tells(
        "
        0 > A commit t/0=5
        0 < append t/0=5
        0 < A committed [t/0:0]
        50000000 > B commit t/1=6
        50000000 < append t/1=6
        50000000 < B committed [t/1:0]
        86399999 > check
        86399999 < remove what is over
        86399999 < reload
        86400000 > check
        86400000 < remove what is over
        86400000 < append t/0=gone
        86400000 < reload
        86400000 > C fetch all
        86400000 < C fetched 'g' 0 [t/1=6]
        136400000 > check
        136400000 < remove what is over
        136400000 < append t/1=gone
        136400000 < reload
        136400000 > D list
        136400000 < D listed 0 []
        ",
    );
}

#[test]
fn s5_9_an_empty_group_that_never_committed_ends_at_the_next_check() {
    of_a_day().tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > check
        0 < remove what is over
        0 < append group=gone
        0 < reload
        0 > B join c~A
        0 < B joined 25 me=c~A
        0 > C join v3
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < C joined 0 gen1 consumer/range leader=c~C me=c~C [c~C(t)]
        500 > wait
        ",
    );
}

#[test]
fn s5_9_a_commit_during_the_check_is_not_lost() {
    of_a_day().tells(
        "
        0 > A commit t/0=5
        0 < append t/0=5
        0 < A committed [t/0:0]
        86400000 > hold
        86400000 > check
        86400000 < remove what is over
        86400000 > B commit t/0=6
        86400000 > flow
        86400000 < append t/0=gone
        86400000 < reload
        86400000 < append t/0=6
        86400000 < B committed [t/0:0]
        86400000 > C fetch t/0
        86400000 < C fetched 'g' 0 [t/0=6]
        ",
    );
}
