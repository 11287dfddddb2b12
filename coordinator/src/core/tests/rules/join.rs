//! JoinGroup: what is checked, in which order, and which member id the answer echoes (2.1).

use super::super::kit::config;
use super::super::tale::{empty, nothing, preparing, stable, with};
use crate::CoordinatorConfig;

#[test]
fn s2_1_r1_an_empty_group_id_is_refused_before_anything_else() {
    nothing().tells(
        "
        0 > A join c~X group=
        0 < A joined 24 me=c~X
        0 > B join group= session=1
        0 < B joined 24 me=
        ",
    );
}

#[test]
fn s2_1_r2_a_session_timeout_out_of_bounds_is_refused() {
    nothing().tells(
        "
        0 > A join session=5999
        0 < A joined 26 me=
        0 > B join c~X session=1800001
        0 < B joined 26 me=c~X
        0 > C join session=6000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < C joined 79 me=c~C
        0 > D join session=1800000
        0 < D joined 79 me=c~D
        ",
    );
}

#[test]
fn s2_1_r2_the_session_timeout_is_looked_at_before_the_group() {
    stable(&["A"]).tells(
        "
        0 > B join c~X session=1 protocols=foreign
        0 < B joined 26 me=c~X
        ",
    );
}

#[test]
fn s2_1_r3_while_it_loads_and_when_it_has_closed() {
    nothing().tells(
        "
        0 > restart
        0 > A join c~X
        0 < A joined 14 me=c~X
        0 > B join group=
        0 < B joined 24 me=
        0 > C join session=1
        0 < C joined 26 me=
        0 > load
        0 > D join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < D joined 79 me=c~D
        0 > close
        0 > E join c~D
        0 < E joined 15 me=c~D
        ",
    );
}

#[test]
fn s2_1_r5_a_group_that_is_absent_knows_no_member_id() {
    nothing().tells(
        "
        0 > A join c~X
        0 < A joined 25 me=c~X
        0 > B join c~X instance=i
        0 < B joined 25 me=c~X
        0 > C describe
        0 < C described 'g' 69 Dead / []
        ",
    );
}

#[test]
fn s2_1_r5_a_newcomer_founds_an_empty_group() {
    nothing().tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > B describe
        0 < B described 'g' 0 Empty / []
        ",
    );
}

#[test]
fn s2_1_r6_a_full_group_is_full_before_its_protocols_are_looked_at() {
    let full = CoordinatorConfig {
        group_max_size: 1,
        ..config()
    };
    with(full).stable(&["A"]).tells(
        "
        0 > B join protocols=foreign type=connect
        0 < B joined 81 me=
        0 > C join c~X protocols=foreign
        0 < C joined 81 me=
        0 > D join c~A protocols=foreign
        0 < D joined 23 me=c~A
        ",
    );
}

#[test]
fn s2_1_r6_an_id_that_finds_no_room_is_forgotten() {
    let full = CoordinatorConfig {
        group_max_size: 1,
        ..config()
    };
    with(full).tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > B join v3
        0 < rebalance member_join after gen0
        500 < B joined 0 gen1 consumer/range leader=c~B me=c~B [c~B(t)]
        500 > C sync c~B gen=1 plan=c~B:b
        500 < append group=gen1 consumer/range leader=c~B [c~B(t)'b']
        500 < C synced 0 consumer/range 'b'
        500 < stable gen1 members=1 took=500
        500 > D join c~A
        500 < D joined 81 me=
        500 > E leave c~A
        500 < E left 0 [c~A:25]
        ",
    );
}

#[test]
fn s2_1_r8_who_founds_a_group_names_a_type_and_a_protocol() {
    nothing().tells(
        "
        0 > A join type=
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 23 me=
        0 > B join protocols=
        0 < B joined 23 me=
        0 > C join v3 type=
        0 < C joined 23 me=
        0 > D describe
        0 < D described 'g' 0 Empty / []
        0 > E join v3 type=connect protocols=x
        0 < rebalance member_join after gen0
        ",
    );
}

#[test]
fn s2_1_r8_a_newcomer_shares_the_type_and_a_protocol_with_all() {
    stable(&["A"]).tells(
        "
        0 > B join type=connect
        0 < B joined 23 me=
        0 > C join protocols=foreign
        0 < C joined 23 me=
        0 > D join protocols=
        0 < D joined 23 me=
        0 > E join c~X protocols=foreign
        0 < E joined 23 me=c~X
        0 > F join c~A protocols=foreign
        0 < F joined 23 me=c~A
        0 > G join protocols=foreign,range
        0 < G joined 79 me=c~G
        ",
    );
}

#[test]
fn s2_1_r8_the_rule_holds_while_a_rebalance_is_prepared() {
    preparing(&["A", "B"]).tells(
        "
        0 > C join v3 protocols=foreign
        0 < C joined 23 me=
        0 > D join c~B type=connect
        0 < D joined 23 me=c~B
        ",
    );
}

#[test]
fn s2_1_r8_a_foreign_protocol_is_refused_before_the_member_is_looked_at() {
    stable(&["A/i"]).tells(
        "
        0 > B join c~X instance=i protocols=foreign
        0 < B joined 23 me=c~X
        0 > C join instance=i protocols=foreign
        0 < C joined 23 me=
        ",
    );
}

#[test]
fn s2_1_r9a_a_static_member_is_never_asked_to_come_back() {
    nothing().tells(
        "
        0 > A join instance=i
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=i~A me=i~A [i~A/i(t)]
        500 > wait
        ",
    );
}

#[test]
fn s2_1_r9b_a_newcomer_is_given_an_id() {
    stable(&["A"]).tells(
        "
        0 > B join v4
        0 < B joined 79 me=c~B
        0 > C join
        0 < C joined 79 me=c~C
        0 > D describe
        0 < D described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a']
        ",
    );
}

#[test]
fn s2_1_r9b_the_id_is_kept_for_its_session_timeout() {
    nothing().tells(
        "
        0 > A join session=6000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        5999 > B commit c~X gen=1 t/0=1
        5999 < B committed [t/0:25]
        6000 > C join c~A
        6000 < C joined 25 me=c~A
        ",
    );
}

#[test]
fn s2_1_r9c_a_client_of_old_joins_at_once() {
    nothing().tells(
        "
        0 > A join v3
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 > wait
        ",
    );
}

#[test]
fn s2_1_r10_an_id_that_was_given_out_becomes_a_member() {
    nothing().tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > B join c~A
        0 < rebalance member_join after gen0
        500 < B joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 > C join c~A
        500 < C joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        ",
    );
}

#[test]
fn s2_1_r10_an_id_that_was_given_out_is_no_static_members() {
    nothing().tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > B join c~A instance=i
        0 < B joined -1 me=
        0 > C join c~A
        0 < rebalance member_join after gen0
        ",
    );
}

#[test]
fn s2_1_r11_an_instance_then_a_member_is_looked_up() {
    stable(&["A/i", "B/j"]).tells(
        "
        0 > C join c~X instance=other
        0 < C joined 25 me=c~X
        0 > D join i~A instance=other
        0 < D joined 25 me=i~A
        0 > E join i~A instance=j
        0 < E joined 82 me=i~A
        0 > F join c~X instance=i
        0 < F joined 82 me=c~X
        0 > G join c~X
        0 < G joined 25 me=c~X
        ",
    );
}

#[test]
fn s2_1_r12_a_member_id_is_unknown_to_an_empty_group() {
    empty().tells(
        "
        0 > B join c~A
        0 < B joined 25 me=c~A
        0 > C join c~A instance=i
        0 < C joined 25 me=c~A
        ",
    );
}

#[test]
fn s2_1_what_a_rebalance_timeout_of_version_0_is() {
    // KAFKA-8653: the broker fills in the session timeout; here is what it does then.
    stable(&["A"]).tells(
        "
        0 > B join v0 session=6000 rebalance=6000
        0 < rebalance member_join after gen1
        1 > C join c~A session=6000 rebalance=6000
        1 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        1 < B joined 0 gen2 consumer/range leader=c~A me=c~B []
        2 > D sync c~A gen=2 plan=c~B:b
        2 < append group=gen2 consumer/range leader=c~A [c~A(t)'' c~B(t)'b']
        2 < D synced 0 consumer/range ''
        2 < stable gen2 members=2 took=2
        3 > E join c~A session=6000 rebalance=6000
        3 < rebalance leader_rejoin after gen2
        3000 > F heartbeat c~B gen=2
        3000 < F heartbeat 27
        6003 < exit rebalance_timeout c~B
        6003 < E joined 0 gen3 consumer/range leader=c~A me=c~A [c~A(t)]
        6003 > wait
        ",
    );
}
