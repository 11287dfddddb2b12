//! SyncGroup: what is checked, in which order, and what each state answers (2.2, 3.3).

use super::super::tale::{completing, empty, nothing, preparing, stable};

#[test]
fn s2_2_an_empty_group_id_is_refused() {
    nothing().tells(
        "
        0 > A sync c~X gen=1 group=
        0 < A synced 24
        ",
    );
}

#[test]
fn s2_2_version_5_names_type_and_protocol_and_that_is_looked_at_first() {
    stable(&["A"]).tells(
        "
        0 > B sync v5 c~A gen=1
        0 < B synced 23
        0 > C sync v5 c~A gen=1 type=consumer
        0 < C synced 23
        0 > D sync v5 c~A gen=1 protocol=range
        0 < D synced 23
        0 > E sync v5 c~X gen=9 group= type=consumer
        0 < E synced 23
        0 > F sync v5 c~A gen=1 type=consumer protocol=range
        0 < F synced 0 consumer/range 'a'
        ",
    );
}

#[test]
fn s2_2_loading_is_a_rebalance_to_who_syncs() {
    // 14 as the other APIs answer would be fatal to the Java consumer here.
    stable(&["A"]).tells(
        "
        0 > restart
        0 > B sync c~A gen=1
        0 < B synced 27
        0 > C sync c~A gen=1 group=
        0 < C synced 24
        0 > load
        0 > D sync c~A gen=1
        0 < D synced 0 consumer/range 'a'
        0 > close
        0 > E sync c~A gen=1
        0 < E synced 15
        ",
    );
}

#[test]
fn s2_2_an_absent_or_empty_group_knows_nobody() {
    empty().tells(
        "
        0 > B sync c~A gen=2
        0 < B synced 25
        0 > C sync c~A gen=1 group=absent
        0 < C synced 25
        ",
    );
}

#[test]
fn s2_2_instance_then_member() {
    stable(&["A/i", "B/j"]).tells(
        "
        0 > C sync i~A gen=1 instance=other
        0 < C synced 25
        0 > D sync i~A gen=1 instance=j
        0 < D synced 82
        0 > E sync c~X gen=1 instance=i
        0 < E synced 82
        0 > F sync c~X gen=1
        0 < F synced 25
        0 > G sync i~A gen=1 instance=i
        0 < G synced 0 consumer/range 'a'
        0 > H sync i~A gen=1
        0 < H synced 0 consumer/range 'a'
        ",
    );
}

#[test]
fn s2_2_who_then_generation_then_protocol_then_state_in_stable() {
    stable(&["A/i"]).tells(
        "
        0 > B sync c~X gen=9 type=other
        0 < B synced 25
        0 > C sync c~X instance=i gen=9 type=other
        0 < C synced 82
        0 > D sync i~A gen=2 type=other
        0 < D synced 22
        0 > E sync i~A gen=0 protocol=other
        0 < E synced 22
        0 > F sync i~A gen=1 type=other
        0 < F synced 23
        0 > G sync i~A gen=1 protocol=other
        0 < G synced 23
        0 > H sync i~A gen=1 type=consumer protocol=range
        0 < H synced 0 consumer/range 'a'
        ",
    );
}

#[test]
fn s2_2_the_same_while_a_rebalance_is_prepared() {
    preparing(&["A", "B"]).tells(
        "
        0 > C sync c~X gen=9 type=other
        0 < C synced 25
        0 > D sync c~B gen=2 type=other
        0 < D synced 22
        0 > E sync c~B gen=1 type=other
        0 < E synced 23
        0 > F sync c~B gen=1
        0 < F synced 27
        ",
    );
}

#[test]
fn s2_2_the_same_while_the_plan_is_awaited() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~X gen=9 type=other
        0 < C synced 25
        0 > D sync c~B gen=2 type=other
        0 < D synced 22
        0 > E sync c~B gen=0
        0 < E synced 22
        0 > F sync c~B gen=1 type=other
        0 < F synced 23
        0 > G sync c~B gen=1
        0 > H sync c~A gen=1 plan=c~A:a,c~B:b
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b']
        0 < H synced 0 consumer/range 'a'
        0 < G synced 0 consumer/range 'b'
        0 < stable gen1 members=2 took=1000
        ",
    );
}

#[test]
fn s2_2_in_stable_the_stored_assignment_is_answered_and_no_new_plan_taken() {
    stable(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        0 < C synced 0 consumer/range 'b'
        0 > D sync c~A gen=1 plan=c~A:new,c~B:new
        0 < D synced 0 consumer/range 'a'
        0 > E sync c~B gen=1
        0 < E synced 0 consumer/range 'b'
        ",
    );
}

#[test]
fn s3_3_who_is_not_in_the_plan_gets_nothing_and_strangers_are_ignored() {
    completing(&["A", "B", "C"]).tells(
        "
        0 > D sync c~B gen=1
        0 > E sync c~A gen=1 plan=c~A:a,c~B:b,c~X:x
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b' c~C(t)'']
        0 < E synced 0 consumer/range 'a'
        0 < D synced 0 consumer/range 'b'
        0 < stable gen1 members=3 took=1000
        0 > F sync c~C gen=1
        0 < F synced 0 consumer/range ''
        0 > G describe
        0 < G described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a' c~B c /127.0.0.1 (t)'b' c~C c /127.0.0.1 (t)'']
        ",
    );
}

#[test]
fn s3_3_a_plan_of_a_follower_is_ignored() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1 plan=c~A:stolen,c~B:stolen
        0 > D sync c~A gen=1 plan=c~A:a,c~B:b
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b']
        0 < D synced 0 consumer/range 'a'
        0 < C synced 0 consumer/range 'b'
        0 < stable gen1 members=2 took=1000
        ",
    );
}

#[test]
fn s3_3_stable_when_the_plan_is_durable_and_not_before() {
    completing(&["A", "B"]).tells(
        "
        0 > hold
        0 > C sync c~B gen=1
        10 > D sync c~A gen=1 plan=c~A:a,c~B:b
        10 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b']
        20 > E describe
        30 > land 0
        30 < D synced 0 consumer/range 'a'
        30 < C synced 0 consumer/range 'b'
        30 < stable gen1 members=2 took=1030
        30 < E described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a' c~B c /127.0.0.1 (t)'b']
        ",
    );
}

#[test]
fn s3_3_a_plan_that_could_not_be_written_sends_everybody_back() {
    completing(&["A", "B"]).tells(
        "
        0 > hold
        0 > C sync c~B gen=1
        10 > D sync c~A gen=1 plan=c~A:a,c~B:b
        10 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b']
        20 > land 7
        20 < D synced 15
        20 < C synced 15
        20 < rebalance assignment_write_error after gen1
        30 > E describe
        30 < E described 'g' 0 PreparingRebalance consumer/ [c~A c /127.0.0.1 '' c~B c /127.0.0.1 '']
        40 > F join c~A
        50 > G join c~B
        50 < F joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        50 < G joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}

/// Difference: `plan-in-flight`.
#[test]
fn s3_3_a_plan_in_flight_and_a_newcomer() {
    // Ours lets the plan land first: whoever waits gets a part that is durable, and then the newcomer's rebalance begins.
    // Kafka answers the parked SyncGroups 27 at once and ignores the append. Either way nobody keeps half a plan.
    completing(&["A", "B"]).tells(
        "
        0 > hold
        0 > C sync c~B gen=1
        10 > D sync c~A gen=1 plan=c~A:a,c~B:b
        10 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b']
        20 > E join v3
        30 > land 0
        30 < D synced 0 consumer/range 'a'
        30 < C synced 0 consumer/range 'b'
        30 < stable gen1 members=2 took=1030
        30 < rebalance member_join after gen1
        40 > F heartbeat c~A gen=1
        40 < F heartbeat 27
        ",
    );
}

#[test]
fn s3_3_who_never_syncs_is_dropped_while_the_plan_is_awaited() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        8000 > D heartbeat c~A gen=1
        8000 < D heartbeat 0
        16000 > E heartbeat c~A gen=1
        16000 < E heartbeat 0
        20000 < exit rebalance_timeout c~A
        20000 < rebalance rebalance_timeout after gen1
        20000 < C synced 27
        20000 > wait
        30000 < exit session_timeout c~B
        30000 < append group=gen2 consumer/- leader=- []
        40000 > wait
        ",
    );
}

#[test]
fn s3_3_who_never_syncs_is_dropped_from_a_stable_group() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~A gen=1 plan=c~A:a,c~B:b
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b']
        0 < C synced 0 consumer/range 'a'
        0 < stable gen1 members=2 took=1000
        8000 > D heartbeat c~B gen=1
        8000 < D heartbeat 0
        8000 > E heartbeat c~A gen=1
        8000 < E heartbeat 0
        16000 > F heartbeat c~B gen=1
        16000 < F heartbeat 0
        16000 > G heartbeat c~A gen=1
        16000 < G heartbeat 0
        20000 < exit rebalance_timeout c~B
        20000 < rebalance rebalance_timeout after gen1
        20000 > H heartbeat c~B gen=1
        20000 < H heartbeat 25
        ",
    );
}

#[test]
fn s3_3_the_sync_timer_of_a_generation_ends_with_it() {
    completing(&["A", "B"]).tells(
        "
        0 > C join v3
        0 < rebalance member_join after gen1
        5000 > D join c~A
        5000 > E join c~B
        5000 < D joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t) c~C(t)]
        5000 < E joined 0 gen2 consumer/range leader=c~A me=c~B []
        5000 < C joined 0 gen2 consumer/range leader=c~A me=c~C []
        5000 > F sync c~B gen=2
        5000 > G sync c~C gen=2
        5000 > H sync c~A gen=2 plan=c~A:a
        5000 < append group=gen2 consumer/range leader=c~A [c~A(t)'a' c~B(t)'' c~C(t)'']
        5000 < H synced 0 consumer/range 'a'
        5000 < F synced 0 consumer/range ''
        5000 < G synced 0 consumer/range ''
        5000 < stable gen2 members=3 took=5000
        12000 > I heartbeat c~A gen=2
        12000 < I heartbeat 0
        12000 > J heartbeat c~B gen=2
        12000 < J heartbeat 0
        12000 > K heartbeat c~C gen=2
        12000 < K heartbeat 0
        20000 > L describe
        20000 < L described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a' c~B c /127.0.0.1 (t)'' c~C c /127.0.0.1 (t)'']
        ",
    );
}
