//! The states and what leads from one to another (3.1), and the join phase (3.2, 3.4).

use super::super::kit::config;
use super::super::tale::{completing, empty, nothing, preparing, stable, with};
use crate::CoordinatorConfig;

#[test]
fn s3_1_r1_a_first_join_a_replay_and_a_simple_commit_make_an_empty_group() {
    nothing().tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > B commit t/0=5 group=h
        0 < append t/0=5
        0 < B committed [t/0:0]
        0 > restart
        0 > load
        0 > C list
        0 < C listed 0 [g::Empty:classic h::Empty:classic]
        0 > D join c~A
        0 < D joined 25 me=c~A
        ",
    );
}

#[test]
fn s3_1_r2_the_first_member_begins_an_initial_rebalance() {
    empty().tells(
        "
        0 > B join
        0 < B joined 79 me=c~B
        0 > C describe
        0 < C described 'g' 0 Empty consumer/ []
        0 > D join c~B
        0 < rebalance member_join after gen2
        0 > E describe
        0 < E described 'g' 0 PreparingRebalance consumer/ [c~B c /127.0.0.1 '']
        500 < D joined 0 gen3 consumer/range leader=c~B me=c~B [c~B(t)]
        500 > F describe
        500 < F described 'g' 0 CompletingRebalance consumer/ [c~B c /127.0.0.1 '']
        ",
    );
}

#[test]
fn s3_1_r3_the_join_phase_ends_in_the_next_generation() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~B protocols=range:u
        0 < rebalance subscription_change after gen1
        0 > D join c~A
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(u)]
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        0 > E describe
        0 < E described 'g' 0 CompletingRebalance consumer/ [c~A c /127.0.0.1 'a' c~B c /127.0.0.1 'b']
        ",
    );
}

#[test]
fn s3_1_r4_a_join_phase_without_anybody_ends_in_an_empty_group() {
    stable(&["A", "B"]).tells(
        "
        0 > C leave c~B
        0 < exit leave c~B
        0 < rebalance member_leave after gen1
        0 < C left 0 [c~B:0]
        10000 < exit session_timeout c~A
        10000 < append group=gen2 consumer/- leader=- []
        10000 > wait
        10000 > D describe
        10000 < D described 'g' 0 Empty consumer/ []
        ",
    );
}

#[test]
fn s3_1_r5_the_plan_makes_it_stable() {
    completing(&["A"]).tells(
        "
        0 > B sync c~A gen=1 plan=c~A:a
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a']
        0 < B synced 0 consumer/range 'a'
        0 < stable gen1 members=1 took=1000
        0 > C describe
        0 < C described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a']
        ",
    );
}

#[test]
fn s3_1_r6_a_new_member_turns_parked_syncs_back() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        0 > D join v3
        0 < rebalance member_join after gen1
        0 < C synced 27
        ",
    );
}

#[test]
fn s3_1_r6_the_end_of_a_session_turns_parked_syncs_back() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        10000 < exit session_timeout c~A
        10000 < rebalance session_timeout after gen1
        10000 < C synced 27
        10000 > wait
        ",
    );
}

#[test]
fn s3_1_r6_and_the_session_of_who_is_turned_back_begins_anew() {
    // Its session ended unheeded while it waited. If it never comes back it is gone a session later.
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        9000 > D heartbeat c~A gen=1
        9000 < D heartbeat 0
        15000 > E join v3
        15000 < rebalance member_join after gen1
        15000 < C synced 27
        15000 > F join c~A
        25000 < exit session_timeout c~B
        25000 < F joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~E(t)]
        25000 < E joined 0 gen2 consumer/range leader=c~A me=c~E []
        25000 > wait
        ",
    );
}

#[test]
fn s3_1_r6_a_static_member_that_is_turned_back_and_gone_does_not_stay_for_ever() {
    completing(&["A", "B/i"]).tells(
        "
        0 > C sync i~B gen=1
        9000 > D heartbeat c~A gen=1
        9000 < D heartbeat 0
        15000 > E leave c~A
        15000 < exit leave c~A
        15000 < rebalance member_leave after gen1
        15000 < C synced 27
        15000 < E left 0 [c~A:0]
        25000 < exit session_timeout i~B
        25000 < append group=gen2 consumer/- leader=- []
        25000 > F describe
        25000 < F described 'g' 0 Empty consumer/ []
        ",
    );
}

#[test]
fn s3_1_r7_a_stable_group_rebalances_when_a_session_ends() {
    stable(&["A", "B"]).tells(
        "
        9000 > C heartbeat c~A gen=1
        9000 < C heartbeat 0
        10000 < exit session_timeout c~B
        10000 < rebalance session_timeout after gen1
        10000 > D heartbeat c~A gen=1
        10000 < D heartbeat 27
        ",
    );
}

#[test]
fn s3_1_r7_a_stable_group_rebalances_for_a_new_member() {
    stable(&["A"]).tells(
        "
        0 > B join
        0 < B joined 79 me=c~B
        0 > C heartbeat c~A gen=1
        0 < C heartbeat 0
        0 > D join c~B
        0 < rebalance member_join after gen1
        0 > E heartbeat c~A gen=1
        0 < E heartbeat 27
        ",
    );
}

#[test]
fn s3_1_r8_when_it_closes_parked_joins_look_for_another_coordinator() {
    preparing(&["A", "B"]).tells(
        "
        0 > close
        0 < L joined 16 me=c~A
        0 > C heartbeat c~B gen=1
        0 < C heartbeat 15
        ",
    );
}

#[test]
fn s3_1_r8_when_it_closes_parked_syncs_look_for_another_coordinator() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        0 > close
        0 < C synced 16
        60000 > wait
        ",
    );
}

#[test]
fn s3_1_r9_an_empty_group_ends_with_its_offsets_or_by_deletion() {
    empty().tells(
        "
        0 > B delete
        0 < remove the group
        0 < append t/0=gone group=gone
        0 < B deleted ['g':0]
        0 > C join group=h
        0 < append group=gen0 /- leader=- [] mark=16
        0 < C joined 79 me=c~C
        0 > check
        0 < remove what is over
        0 < append group=gone
        0 < reload
        0 > E list
        0 < E listed 0 []
        ",
    );
}

/// Difference: `superseded-join`.
#[test]
fn s3_2_a_second_join_of_a_member_takes_the_place_of_the_first_which_is_answered() {
    // Apache Kafka 4.2.0 forgets the first request without an answer; its connection waits for ever.
    preparing(&["A", "B"]).tells(
        "
        0 > C join c~A protocols=range:u
        0 < L joined 27 me=c~A
        0 > D join c~B
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(u) c~B(t)]
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}

/// Difference: `superseded-sync`.
#[test]
fn s3_2_a_second_sync_of_a_member_takes_the_place_of_the_first_which_is_answered() {
    // Apache Kafka 4.2.0 forgets the first request without an answer; its connection waits for ever.
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        0 > D sync c~B gen=1
        0 < C synced 27
        0 > E sync c~A gen=1 plan=c~B:b
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'' c~B(t)'b']
        0 < E synced 0 consumer/range ''
        0 < D synced 0 consumer/range 'b'
        0 < stable gen1 members=2 took=1000
        ",
    );
}

#[test]
fn s3_2_a_join_of_who_waits_for_the_plan_takes_the_place_of_its_sync_which_is_answered() {
    // The same: in Apache Kafka 4.2.0 one of the two has no answer.
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        0 > D join c~B protocols=range:u
        0 < C synced 27
        0 < rebalance subscription_change after gen1
        0 > E join c~A
        0 < E joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(u)]
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_2_ids_that_were_given_out_are_waited_for() {
    stable(&["A"]).tells(
        "
        0 > B join session=6000
        0 < B joined 79 me=c~B
        0 > C join session=7000
        0 < C joined 79 me=c~C
        0 > D join c~A
        0 < rebalance leader_rejoin after gen1
        6000 > wait
        6500 > E leave c~C
        6500 < D joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        6500 < E left 0 [c~C:0]
        ",
    );
}

#[test]
fn s3_2_a_rebalance_waits_for_the_longest_rebalance_timeout() {
    nothing().tells(
        "
        0 > A join v3 session=60000 rebalance=5000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 > B join v3 session=60000 rebalance=30000
        1000 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        1000 < B joined 0 gen1 consumer/range leader=c~A me=c~B []
        1000 > C sync c~A gen=1
        1000 < append group=gen1 consumer/range leader=c~A [c~A(t)'' c~B(t)'']
        1000 < C synced 0 consumer/range ''
        1000 < stable gen1 members=2 took=1000
        1000 > D sync c~B gen=1
        1000 < D synced 0 consumer/range ''
        2000 > E join c~A session=60000 rebalance=5000
        2000 < rebalance leader_rejoin after gen1
        32000 < exit rebalance_timeout c~B
        32000 < E joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        32000 > wait
        ",
    );
}

#[test]
fn s3_2_the_initial_delay_runs_anew_for_newcomers() {
    with(CoordinatorConfig::default()).tells(
        "
        0 > A join v3 rebalance=60000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        1000 > B join v3 rebalance=60000
        2000 > C join v3 rebalance=60000
        6000 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t) c~B(t) c~C(t)]
        6000 < B joined 0 gen1 consumer/range leader=c~A me=c~B []
        6000 < C joined 0 gen1 consumer/range leader=c~A me=c~C []
        6000 > wait
        ",
    );
}

#[test]
fn s3_2_the_initial_delay_is_bounded_by_the_rebalance_timeout() {
    with(CoordinatorConfig::default()).tells(
        "
        0 > A join v3 rebalance=7000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        2000 > B join v3 rebalance=7000
        5000 > C join v3 rebalance=7000
        6500 > D join v3 rebalance=7000
        7000 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t) c~B(t) c~C(t) c~D(t)]
        7000 < B joined 0 gen1 consumer/range leader=c~A me=c~B []
        7000 < C joined 0 gen1 consumer/range leader=c~A me=c~C []
        7000 < D joined 0 gen1 consumer/range leader=c~A me=c~D []
        7000 > wait
        ",
    );
}

#[test]
fn s3_2_a_lone_member_waits_for_the_whole_delay() {
    with(CoordinatorConfig::default()).tells(
        "
        0 > A join v3
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        3000 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        3000 > wait
        ",
    );
}

#[test]
fn s3_2_a_delay_of_zero_is_none() {
    let at_once = CoordinatorConfig {
        group_initial_rebalance_delay: std::time::Duration::ZERO,
        ..config()
    };
    with(at_once).tells(
        "
        0 > A join v3
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        ",
    );
}

#[test]
fn s3_2_a_member_that_goes_by_a_timer_cuts_the_initial_delay_short() {
    with(CoordinatorConfig::default()).tells(
        "
        0 > A join session=6000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        4000 > B join v3
        4000 < rebalance member_join after gen0
        6000 < B joined 0 gen1 consumer/range leader=c~B me=c~B [c~B(t)]
        6000 > wait
        ",
    );
}

#[test]
fn s3_2_when_the_only_member_has_left_during_the_initial_delay_the_next_is_welcome() {
    // The type stays, the protocols were the other's.
    nothing().tells(
        "
        0 > A join v3
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        100 > B leave c~A
        100 < A joined 25 me=
        100 < exit leave c~A
        100 < B left 0 [c~A:0]
        200 > C join v3 type=connect
        200 < C joined 23 me=
        200 > D join v3 protocols=
        200 < D joined 23 me=
        200 > E join v3 protocols=other
        500 > wait
        1000 < E joined 0 gen1 consumer/other leader=c~E me=c~E [c~E(t)]
        1000 > wait
        ",
    );
}

#[test]
fn s3_2_dynamic_members_that_do_not_come_are_removed() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~A
        0 < rebalance leader_rejoin after gen1
        9000 > D heartbeat c~B gen=1
        9000 < D heartbeat 27
        18000 > E heartbeat c~B gen=1
        18000 < E heartbeat 27
        20000 < exit rebalance_timeout c~B
        20000 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        20000 > F heartbeat c~B gen=1
        20000 < F heartbeat 25
        ",
    );
}

#[test]
fn s3_2_static_members_that_do_not_come_keep_their_place() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C join c~A
        0 < rebalance leader_rejoin after gen1
        9000 > D heartbeat i~B gen=1
        9000 < D heartbeat 27
        18000 > E heartbeat i~B gen=1
        18000 < E heartbeat 27
        20000 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) i~B/i(t)]
        20000 > F heartbeat i~B gen=1
        20000 < F heartbeat 22
        20000 > G sync c~A gen=2 plan=c~A:a,i~B:b
        20000 < append group=gen2 consumer/range leader=c~A [c~A(t)'a' i~B/i(t)'b']
        20000 < G synced 0 consumer/range 'a'
        20000 < stable gen2 members=2 took=20000
        20000 > H describe
        20000 < H described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a' i~B/i c /127.0.0.1 (t)'b']
        21000 > I heartbeat c~A gen=2
        21000 < I heartbeat 0
        28000 > J heartbeat c~A gen=2
        28000 < J heartbeat 0
        30000 < exit session_timeout i~B
        30000 < rebalance session_timeout after gen2
        30000 > wait
        ",
    );
}

#[test]
fn s3_2_the_leader_stays_if_it_comes() {
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
fn s3_2_a_leader_that_does_not_come_is_replaced_by_who_came() {
    stable(&["A/i", "B"]).tells(
        "
        0 > C join c~B protocols=range:u
        0 < rebalance subscription_change after gen1
        9000 > D heartbeat i~A gen=1
        9000 < D heartbeat 27
        18000 > E heartbeat i~A gen=1
        18000 < E heartbeat 27
        20000 < C joined 0 gen2 consumer/range leader=c~B me=c~B [i~A/i(t) c~B(u)]
        20000 > wait
        ",
    );
}

#[test]
fn s3_2_nobody_comes_but_static_members_remain() {
    stable(&["A/i", "B"]).tells(
        "
        0 > C leave c~B
        0 < exit leave c~B
        0 < rebalance member_leave after gen1
        0 < C left 0 [c~B:0]
        9000 > D heartbeat i~A gen=1
        9000 < D heartbeat 27
        18000 > E heartbeat i~A gen=1
        18000 < E heartbeat 27
        20000 > F describe
        20000 < F described 'g' 0 PreparingRebalance consumer/ [i~A/i c /127.0.0.1 'a']
        27000 > G heartbeat i~A gen=1
        27000 < G heartbeat 27
        30000 > H join i~A
        30000 < H joined 0 gen2 consumer/range leader=i~A me=i~A [i~A/i(t)]
        ",
    );
}

#[test]
fn s3_2_the_list_goes_to_the_leader_with_the_metadata_of_the_chosen_protocol() {
    nothing().tells(
        "
        0 > A join v3 protocols=x:t,y:u
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 > B join instance=i protocols=y:t+u
        1000 < A joined 0 gen1 consumer/y leader=c~A me=c~A [c~A(u) i~B/i(t,u)]
        1000 < B joined 0 gen1 consumer/y leader=c~A me=i~B []
        1000 > wait
        ",
    );
}

#[test]
fn s3_4_what_happens_while_a_rebalance_is_prepared_only_asks_whether_all_are_there() {
    preparing(&["A", "B", "C"]).tells(
        "
        0 > D join c~B protocols=range:u
        0 > E join v3
        0 > F leave c~C
        0 < exit leave c~C
        0 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(u) c~E(t)]
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~B []
        0 < E joined 0 gen2 consumer/range leader=c~A me=c~E []
        0 < F left 0 [c~C:0]
        ",
    );
}
