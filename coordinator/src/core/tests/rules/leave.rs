//! LeaveGroup: member by member (2.4).

use super::super::tale::{completing, empty, nothing, preparing, stable};

#[test]
fn s2_4_an_empty_group_id_is_refused_as_a_whole() {
    nothing().tells(
        "
        0 > A leave c~X group=
        0 < A left 24 []
        ",
    );
}

#[test]
fn s2_4_while_it_loads_and_when_it_has_closed() {
    stable(&["A"]).tells(
        "
        0 > restart
        0 > B leave c~A
        0 < B left 14 []
        0 > load
        0 > close
        0 > C leave c~A
        0 < C left 15 []
        ",
    );
}

#[test]
fn s2_4_an_absent_group_knows_none_of_them() {
    nothing().tells(
        "
        0 > A leave c~X c~Y/i /j
        0 < A left 0 [c~X:25 c~Y/i:25 /j:25]
        0 > B leave
        0 < B left 0 []
        ",
    );
}

#[test]
fn s2_4_an_empty_group_knows_none_of_them() {
    empty().tells(
        "
        0 > B leave c~A /i
        0 < B left 0 [c~A:25 /i:25]
        ",
    );
}

#[test]
fn s2_4_an_empty_list_does_nothing() {
    stable(&["A"]).tells(
        "
        0 > B leave
        0 < B left 0 []
        0 > C describe
        0 < C described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a']
        ",
    );
}

#[test]
fn s2_4_an_instance_alone_names_its_member() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C leave /other
        0 < C left 0 [/other:25]
        0 > D leave /i
        0 < exit removed_by_operator i~B
        0 < rebalance member_leave after gen1
        0 < D left 0 [/i:0]
        0 > E heartbeat i~B gen=1 instance=i
        0 < E heartbeat 25
        ",
    );
}

#[test]
fn s2_4_an_id_not_yet_used_may_be_given_back() {
    stable(&["A"]).tells(
        "
        0 > B join
        0 < B joined 79 me=c~B
        0 > C leave c~B
        0 < rebalance member_leave after gen1
        0 < C left 0 [c~B:0]
        0 > D join c~B
        0 < D joined 25 me=c~B
        0 > E describe
        0 < E described 'g' 0 PreparingRebalance consumer/ [c~A c /127.0.0.1 'a']
        ",
    );
}

#[test]
fn s2_4_who_leaves_is_looked_up_like_everybody() {
    stable(&["A/i", "B/j", "C"]).tells(
        "
        0 > D leave i~A/other c~X/j c~X i~A/j
        0 < D left 0 [i~A/other:25 c~X/j:82 c~X:25 i~A/j:82]
        0 > E describe
        0 < E described 'g' 0 Stable consumer/range [i~A/i c /127.0.0.1 (t)'a' j~B/j c /127.0.0.1 (t)'b' c~C c /127.0.0.1 (t)'c']
        0 > F leave i~A/i
        0 < exit leave i~A
        0 < rebalance member_leave after gen1
        0 < F left 0 [i~A/i:0]
        ",
    );
}

#[test]
fn s2_4_one_good_one_unknown_one_fenced_is_one_rebalance() {
    stable(&["A", "B/j", "C"]).tells(
        "
        0 > D leave c~C c~X c~Y/j
        0 < exit leave c~C
        0 < rebalance member_leave after gen1
        0 < D left 0 [c~C:0 c~X:25 c~Y/j:82]
        ",
    );
}

#[test]
fn s2_4_a_static_member_may_leave_by_its_id() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C leave i~B
        0 < exit leave i~B
        0 < rebalance member_leave after gen1
        0 < C left 0 [i~B:0]
        ",
    );
}

#[test]
fn s2_4_a_parked_join_is_told_that_its_member_is_unknown() {
    preparing(&["A", "B"]).tells(
        "
        0 > C leave c~A
        0 < L joined 25 me=
        0 < exit leave c~A
        0 < C left 0 [c~A:0]
        0 > D join c~B
        0 < D joined 0 gen2 consumer/range leader=c~B me=c~B [c~B(t)]
        ",
    );
}

#[test]
fn s2_4_who_leaves_while_a_rebalance_is_prepared_lets_the_others_go_on() {
    preparing(&["A", "B"]).tells(
        "
        0 > C leave c~B
        0 < exit leave c~B
        0 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        0 < C left 0 [c~B:0]
        ",
    );
}

#[test]
fn s2_4_a_leave_never_ends_the_initial_delay() {
    nothing().tells(
        "
        0 > A join v3
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        100 > B join v3
        200 > C leave c~B
        200 < B joined 25 me=
        200 < exit leave c~B
        200 < C left 0 [c~B:0]
        500 > wait
        1000 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        1000 > wait
        ",
    );
}

#[test]
fn s2_4_a_leave_while_the_plan_is_awaited_begins_anew() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~A gen=1
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'' c~B(t)'']
        0 < C synced 0 consumer/range ''
        0 < stable gen1 members=2 took=1000
        0 > D leave c~B
        0 < exit leave c~B
        0 < rebalance member_leave after gen1
        0 < D left 0 [c~B:0]
        ",
    );
}

#[test]
fn s2_4_a_leave_of_a_follower_turns_the_parked_syncs_back() {
    completing(&["A", "B", "C"]).tells(
        "
        0 > D sync c~B gen=1
        0 > E leave c~C
        0 < exit leave c~C
        0 < rebalance member_leave after gen1
        0 < D synced 27
        0 < E left 0 [c~C:0]
        0 > F join c~B
        0 > G join c~A
        0 < G joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < F joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s2_4_the_last_to_leave_empties_the_group() {
    stable(&["A"]).tells(
        "
        0 > hold
        0 > B leave c~A
        0 < exit leave c~A
        0 < rebalance member_leave after gen1
        0 < append group=gen2 consumer/- leader=- []
        10 > C describe
        20 > land 0
        20 < B left 0 [c~A:0]
        20 < C described 'g' 0 Empty consumer/ []
        ",
    );
}

#[test]
fn s2_4_all_leave_in_one_request() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C leave c~A /i
        0 < exit leave c~A
        0 < exit removed_by_operator i~B
        0 < rebalance member_leave after gen1
        0 < append group=gen2 consumer/- leader=- []
        0 < C left 0 [c~A:0 /i:0]
        0 > D describe
        0 < D described 'g' 0 Empty consumer/ []
        ",
    );
}
