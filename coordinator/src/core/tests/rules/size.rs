//! `group.max.size`: every row of 3.6. Here it is two.

use super::super::kit::config;
use super::super::tale::{Tale, with};
use crate::CoordinatorConfig;

fn small() -> Tale {
    with(CoordinatorConfig {
        group_max_size: 2,
        ..config()
    })
}

#[test]
fn s3_6_r1_an_empty_group_gives_ids_to_all() {
    small().tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > B join
        0 < B joined 79 me=c~B
        0 > C join
        0 < C joined 79 me=c~C
        ",
    );
}

#[test]
fn s3_6_r2_while_a_rebalance_is_prepared_who_waits_is_counted() {
    small().tells(
        "
        0 > A join v3
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 > B join v3
        0 > C join v3
        0 < C joined 81 me=
        0 > D join
        0 < D joined 81 me=
        1000 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        1000 < B joined 0 gen1 consumer/range leader=c~A me=c~B []
        1000 > wait
        ",
    );
}

#[test]
fn s3_6_r2_who_waits_may_join_again() {
    small().stable(&["A", "B"]).tells(
        "
        0 > C join c~A
        0 < rebalance leader_rejoin after gen1
        0 > D join c~A
        0 < C joined 27 me=c~A
        0 > E join c~B
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < E joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_6_r2_a_newcomer_may_take_the_place_of_who_is_late() {
    small().stable(&["A", "B"]).tells(
        "
        0 > C join c~A
        0 < rebalance leader_rejoin after gen1
        0 > D join v3
        0 > E join c~B
        0 < exit group_full c~B
        0 < E joined 81 me=
        20000 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~D(t)]
        20000 < D joined 0 gen2 consumer/range leader=c~A me=c~D []
        20000 > wait
        ",
    );
}

#[test]
fn s3_6_r3_a_full_stable_group_knows_its_members_and_nobody_else() {
    small().stable(&["A", "B"]).tells(
        "
        0 > C join
        0 < C joined 81 me=
        0 > D join v3
        0 < D joined 81 me=
        0 > E join c~X
        0 < E joined 81 me=
        0 > F join instance=i
        0 < F joined 81 me=
        0 > G join c~B
        0 < G joined 0 gen1 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_6_r3_the_same_while_the_plan_is_awaited() {
    small().completing(&["A", "B"]).tells(
        "
        0 > C join
        0 < C joined 81 me=
        0 > D join c~X
        0 < D joined 81 me=
        0 > E join c~B
        0 < E joined 0 gen1 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_6_r3_there_is_room_again_when_somebody_has_left() {
    small().stable(&["A", "B"]).tells(
        "
        0 > C join
        0 < C joined 81 me=
        0 > D leave c~B
        0 < exit leave c~B
        0 < rebalance member_leave after gen1
        0 < D left 0 [c~B:0]
        0 > E join c~A
        0 < E joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        0 > F join
        0 < F joined 79 me=c~F
        0 > G join c~F
        0 < rebalance member_join after gen2
        ",
    );
}

#[test]
fn s3_6_a_static_restart_is_a_newcomer_to_a_full_stable_group() {
    small().stable(&["A/i", "B"]).tells(
        "
        0 > C join instance=i
        0 < C joined 81 me=
        0 > D heartbeat i~A gen=1 instance=i
        0 < D heartbeat 0
        ",
    );
}

#[test]
fn s3_6_ids_given_out_do_not_count() {
    small().stable(&["A"]).tells(
        "
        0 > B join
        0 < B joined 79 me=c~B
        0 > C join
        0 < C joined 79 me=c~C
        0 > D join c~C
        0 < rebalance member_join after gen1
        0 > E join c~A
        0 > F join c~B
        0 < F joined 81 me=
        ",
    );
}
