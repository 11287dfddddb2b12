//! Hard cases of section 10 that are more than one row.

use super::super::tale::{completing, empty, nothing, stable};

#[test]
fn s10_2_who_joins_again_and_again_without_an_id_does_not_grow_the_group_for_ever() {
    // KAFKA-7610: a client of old that gives up and comes back, every minute.
    nothing().tells(
        "
        0 > A join v3 rebalance=3600000 session=1800000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 > B sync c~A gen=1
        500 < append group=gen1 consumer/range leader=c~A [c~A(t)'']
        500 < B synced 0 consumer/range ''
        500 < stable gen1 members=1 took=500
        500 > C join v3
        500 < rebalance member_join after gen1
        60500 > D join v3
        120500 > E join v3
        180500 > F join v3
        300500 < C joined 25 me=
        300500 < exit session_timeout c~C
        300500 > G describe
        300500 < G described 'g' 0 PreparingRebalance consumer/ [c~A c /127.0.0.1 '' c~D c /127.0.0.1 '' c~E c /127.0.0.1 '' c~F c /127.0.0.1 '']
        360500 < D joined 25 me=
        360500 < exit session_timeout c~D
        420500 < E joined 25 me=
        420500 < exit session_timeout c~E
        480500 < F joined 25 me=
        480500 < exit session_timeout c~F
        480500 > H describe
        480500 < H described 'g' 0 PreparingRebalance consumer/ [c~A c /127.0.0.1 '']
        480500 > I join c~A
        480500 < I joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        ",
    );
}

#[test]
fn s10_3_a_parked_newcomer_that_times_out_does_not_leave_the_rebalance_stuck() {
    // KAFKA-9232.
    nothing().tells(
        "
        0 > A join v3 rebalance=3600000 session=1800000
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 > B sync c~A gen=1
        500 < append group=gen1 consumer/range leader=c~A [c~A(t)'']
        500 < B synced 0 consumer/range ''
        500 < stable gen1 members=1 took=500
        500 > C join v3
        500 < rebalance member_join after gen1
        500 > D join c~A session=1800000 rebalance=3600000
        500 < D joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~C(t)]
        500 < C joined 0 gen2 consumer/range leader=c~A me=c~C []
        500 > E join session=6000
        500 < E joined 79 me=c~E
        6500 > wait
        6500 > F sync c~C gen=2
        6500 > G sync c~A gen=2
        6500 < append group=gen2 consumer/range leader=c~A [c~A(t)'' c~C(t)'']
        6500 < G synced 0 consumer/range ''
        6500 < F synced 0 consumer/range ''
        6500 < stable gen2 members=2 took=6000
        16500 < exit session_timeout c~C
        16500 < rebalance session_timeout after gen2
        16500 > wait
        ",
    );
}

#[test]
fn s10_10_a_lost_answer_to_join_is_the_same_a_second_time() {
    completing(&["A", "B"]).tells(
        "
        0 > C join c~B
        0 < C joined 0 gen1 consumer/range leader=c~A me=c~B []
        0 > D join c~B
        0 < D joined 0 gen1 consumer/range leader=c~A me=c~B []
        0 > E join c~A
        0 < E joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        ",
    );
}

#[test]
fn s10_10_a_lost_answer_to_sync_is_the_same_a_second_time() {
    completing(&["A", "B"]).tells(
        "
        0 > C sync c~B gen=1
        0 > D sync c~A gen=1 plan=c~A:a,c~B:b
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b']
        0 < D synced 0 consumer/range 'a'
        0 < C synced 0 consumer/range 'b'
        0 < stable gen1 members=2 took=1000
        0 > E sync c~B gen=1
        0 < E synced 0 consumer/range 'b'
        0 > F sync c~A gen=1 plan=c~A:a,c~B:b
        0 < F synced 0 consumer/range 'a'
        ",
    );
}

#[test]
fn s10_11_who_arrives_while_the_plan_lands_does_not_get_a_part_of_it() {
    // Kafka turns the parked SyncGroups back at once and ignores the landing. Ours lets the plan land first; its members
    // then hear 27 from their next heartbeat. In both nobody works with a plan that is not the durable one.
    completing(&["A", "B"]).tells(
        "
        0 > hold
        0 > C sync c~B gen=1
        0 > D sync c~A gen=1 plan=c~A:a,c~B:b
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(t)'b']
        10 > E join v3
        20 > land 0
        20 < D synced 0 consumer/range 'a'
        20 < C synced 0 consumer/range 'b'
        20 < stable gen1 members=2 took=1020
        20 < rebalance member_join after gen1
        20 > F heartbeat c~A gen=1
        20 < F heartbeat 27
        20 > G sync c~B gen=1
        20 < G synced 27
        30 > H join c~A
        30 > I join c~B
        30 < H joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t) c~E(t)]
        30 < I joined 0 gen2 consumer/range leader=c~A me=c~B []
        30 < E joined 0 gen2 consumer/range leader=c~A me=c~E []
        ",
    );
}

#[test]
fn s10_24_a_working_consumer_loses_nothing_however_old_its_commits_are() {
    // KAFKA-4682.
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 < B committed [t/0:0]
        0 > restart
        1000000000 > load
        1000000000 > check
        1000000000 < remove what is over
        1000000000 > C fetch t/0
        1000000000 < C fetched 'g' 0 [t/0=5]
        ",
    );
}

#[test]
fn s10_32_offsets_committed_after_the_group_was_deleted_are_there_after_a_reload() {
    // KAFKA-4704.
    empty().tells(
        "
        0 > B delete
        0 < remove the group
        0 < append t/0=gone group=gone
        0 < B deleted ['g':0]
        0 > C commit t/0=9
        0 < append t/0=9
        0 < C committed [t/0:0]
        0 > restart
        0 > load
        0 > D fetch t/0
        0 < D fetched 'g' 0 [t/0=9]
        0 > E list
        0 < E listed 0 [g::Empty:classic]
        ",
    );
}

#[test]
fn s10_41_a_deleted_group_begins_at_generation_one() {
    empty().tells(
        "
        0 > B delete group=g,absent
        0 < remove the group
        0 < append t/0=gone group=gone
        0 < B deleted ['g':0 'absent':69]
        0 > C join v3
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < C joined 0 gen1 consumer/range leader=c~C me=c~C [c~C(t)]
        500 > D delete
        500 < D deleted ['g':68]
        ",
    );
}
