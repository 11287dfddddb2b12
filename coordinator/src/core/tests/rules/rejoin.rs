//! JoinGroup of somebody who is a member already: every row of 3.5.

use super::super::tale::{completing, empty, preparing, stable};

#[test]
fn s3_5_r1_while_a_rebalance_is_prepared_it_waits_with_what_it_wants_now() {
    preparing(&["A", "B"]).tells(
        "
        0 > C join c~B protocols=range:u session=6000
        0 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(u)]
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        1 > D sync c~A gen=2 plan=c~A:x,c~B:y
        1 < append group=gen2 consumer/range leader=c~A [c~A(t)'x' c~B(u)'y']
        1 < D synced 0 consumer/range 'x'
        1 < stable gen2 members=2 took=1
        6000 < exit session_timeout c~B
        6000 < rebalance session_timeout after gen2
        6000 > wait
        ",
    );
}

#[test]
fn s3_5_r1_its_rebalance_timeout_counts_from_the_next_rebalance_on() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~A rebalance=3000
        0 < rebalance leader_rejoin after gen1
        0 > D join c~B rebalance=5000
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~B []
        100 > E join c~B protocols=range:u rebalance=5000
        100 < rebalance subscription_change after gen2
        5100 < exit rebalance_timeout c~A
        5100 < E joined 0 gen3 consumer/range leader=c~B me=c~B [c~B(u)]
        5100 > wait
        ",
    );
}

#[test]
fn s3_5_r2_an_identical_list_while_the_plan_is_awaited_is_answered_at_once() {
    completing(&["A", "B"]).tells(
        "
        0 > C join c~A
        0 < C joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 > D join c~B
        0 < D joined 0 gen1 consumer/range leader=c~A me=c~B []
        0 > E describe
        0 < E described 'g' 0 CompletingRebalance consumer/ [c~A c /127.0.0.1 '' c~B c /127.0.0.1 '']
        ",
    );
}

#[test]
fn s3_5_r2_identical_takes_nothing_over() {
    completing(&["A", "B"]).tells(
        "
        0 > C join c~B session=60000 rebalance=1
        0 < C joined 0 gen1 consumer/range leader=c~A me=c~B []
        9999 > D heartbeat c~A gen=1
        9999 < D heartbeat 0
        10000 < exit session_timeout c~B
        10000 < rebalance session_timeout after gen1
        10000 > wait
        ",
    );
}

#[test]
fn s3_5_r3_another_list_while_the_plan_is_awaited_begins_anew() {
    completing(&["A", "B", "C"]).tells(
        "
        0 > D sync c~C gen=1
        0 > E join c~B protocols=range:u
        0 < rebalance subscription_change after gen1
        0 < D synced 27
        0 > F join c~A
        0 > G join c~C
        0 < F joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(u) c~C(t)]
        0 < E joined 0 gen2 consumer/range leader=c~A me=c~B []
        0 < G joined 0 gen2 consumer/range leader=c~A me=c~C []
        ",
    );
}

#[test]
fn s3_5_r3_names_order_and_bytes_count() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~B protocols=range,coop
        0 < rebalance subscription_change after gen1
        0 > D join c~A protocols=range,coop
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        0 > E join c~B protocols=coop,range
        0 < rebalance subscription_change after gen2
        0 > F join c~A protocols=range,coop
        0 < F joined 0 gen3 consumer/coop leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < E joined 0 gen3 consumer/coop leader=c~A me=c~B []
        0 > G join c~A protocols=range,coop:u
        0 < rebalance subscription_change after gen3
        0 > H join c~B protocols=coop,range
        0 < G joined 0 gen4 consumer/coop leader=c~A me=c~A [c~A(u) c~B(t)]
        0 < H joined 0 gen4 consumer/coop leader=c~A me=c~B []
        0 > I join c~B protocols=coop
        0 < rebalance subscription_change after gen4
        ",
    );
}

#[test]
fn s3_5_r4_a_leader_that_comes_back_to_a_stable_group_always_begins_a_rebalance() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~A
        0 < rebalance leader_rejoin after gen1
        0 > D heartbeat c~B gen=1
        0 < D heartbeat 27
        0 > E join c~B
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < E joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_5_r4_a_leader_with_another_list_too() {
    stable(&["A"]).tells(
        "
        0 > B join c~A protocols=range:u
        0 < rebalance subscription_change after gen1
        0 < B joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(u)]
        ",
    );
}

#[test]
fn s3_5_r5_a_follower_with_another_list_begins_a_rebalance() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~B protocols=range:u
        0 < rebalance subscription_change after gen1
        0 > D join c~A
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(u)]
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_5_r6_a_follower_with_an_identical_list_is_answered_and_disturbs_nobody() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~B session=60000
        0 < C joined 0 gen1 consumer/range leader=c~A me=c~B []
        0 > D sync c~B gen=1
        0 < D synced 0 consumer/range 'b'
        0 > E heartbeat c~A gen=1
        0 < E heartbeat 0
        10000 < exit session_timeout c~A
        10000 < rebalance session_timeout after gen1
        10000 < exit session_timeout c~B
        10000 < append group=gen2 consumer/- leader=- []
        10000 > wait
        ",
    );
}

#[test]
fn s3_5_r7_an_empty_group_has_no_members() {
    empty().tells(
        "
        0 > B join c~A
        0 < B joined 25 me=c~A
        0 > C describe
        0 < C described 'g' 0 Empty consumer/ []
        ",
    );
}

#[test]
fn s3_5_after_a_reload_only_the_selected_protocol_is_known() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~B protocols=range,coop
        0 < rebalance subscription_change after gen1
        0 > D join c~A protocols=range,coop
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        0 > E sync c~A gen=2 plan=c~A:a,c~B:b
        0 < append group=gen2 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b']
        0 < E synced 0 consumer/range 'a'
        0 < stable gen2 members=2 took=0
        0 > restart
        0 > load
        0 > F join c~B protocols=range,coop
        0 < rebalance subscription_change after gen2
        0 < append mark=32
        0 > G join c~A protocols=range,coop
        0 < G joined 0 gen17 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < F joined 0 gen17 consumer/range leader=c~A me=c~B []
        0 > H join c~B protocols=range,coop
        0 < H joined 0 gen17 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_5_after_a_reload_a_single_protocol_is_all_there_is_to_know() {
    stable(&["A", "B"]).tells(
        "
        0 > restart
        0 > load
        0 > C join c~B
        0 < C joined 0 gen1 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_5_r2_an_identical_list_leaves_the_parked_sync_of_its_member_alone() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        0 > D join c~B
        0 < D joined 0 gen1 consumer/range leader=c~A me=c~B []
        0 > E sync c~A gen=1 plan=c~B:b
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'' c~B(t)'b']
        0 < E synced 0 consumer/range ''
        0 < C synced 0 consumer/range 'b'
        0 < stable gen1 members=2 took=1000
        ",
    );
}
