//! OffsetDelete (2.7) and DeleteGroups (2.10).

use super::super::tale::{completing, empty, nothing, preparing, stable};

#[test]
fn s2_7_topics_then_the_group_id_then_the_group() {
    nothing().tells(
        "
        0 > A forget t/0 missing/0 group=
        0 < A forgotten 24 []
        0 > B forget t/0 missing/0
        0 < B forgotten 69 []
        0 > C forget missing/0
        0 < C forgotten 69 []
        0 > D forget
        0 < D forgotten 69 []
        ",
    );
}

#[test]
fn s2_7_while_it_loads_and_when_it_has_closed() {
    nothing().tells(
        "
        0 > restart
        0 > A forget t/0
        0 < A forgotten 14 []
        0 > load
        0 > close
        0 > B forget t/0
        0 < B forgotten 15 []
        ",
    );
}

#[test]
fn s2_7_a_living_group_of_another_type_is_refused_as_a_whole() {
    nothing().tells(
        "
        0 > A join v3 type=connect protocols=x
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        100 > B forget t/0
        100 < B forgotten 68 []
        500 < A joined 0 gen1 connect/x leader=c~A me=c~A [c~A(t)]
        500 > C forget u/0
        500 < C forgotten 68 []
        600 > D sync c~A gen=1
        600 < append group=gen1 connect/x leader=c~A [c~A(t)'']
        600 < D synced 0 connect/x ''
        600 < stable gen1 members=1 took=600
        700 > E forget t/0 missing/0
        700 < E forgotten 68 []
        800 > F leave c~A
        800 < exit leave c~A
        800 < rebalance member_leave after gen1
        800 < append group=gen2 connect/- leader=- []
        800 < F left 0 [c~A:0]
        900 > G forget t/0 missing/0
        900 < remove offsets
        900 < G forgotten 0 [t/0:0 missing/0:3]
        ",
    );
}

#[test]
fn s2_7_a_topic_that_is_read_stays() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5 u/0=6
        0 < append t/0=5 u/0=6
        0 < B committed [t/0:0 u/0:0]
        0 > C forget t/0 t/9 u/0 u/1 missing/0
        0 < remove offsets
        0 < append u/0=gone
        0 < C forgotten 0 [t/0:86 t/9:3 u/0:0 u/1:0 missing/0:3]
        0 > D fetch all
        0 < D fetched 'g' 0 [t/0=5]
        ",
    );
}

#[test]
fn s2_7_a_newcomers_topics_are_free_until_it_is_in() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 u/0=6
        0 < append u/0=6
        0 < B committed [u/0:0]
        0 > C join v3 protocols=range:u
        0 < rebalance member_join after gen1
        10 > D forget u/0 t/0
        10 < remove offsets
        10 < append u/0=gone
        10 < D forgotten 0 [u/0:0 t/0:86]
        20 > E join c~A
        20 < E joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~C(u)]
        20 < C joined 0 gen2 consumer/range leader=c~A me=c~C []
        30 > F forget u/0
        30 < F forgotten 0 [u/0:86]
        ",
    );
}

#[test]
fn s2_7_the_subscriptions_are_those_of_the_last_completed_join() {
    preparing(&["A", "B"]).tells(
        "
        0 > C forget t/0
        0 < C forgotten 0 [t/0:86]
        0 > D leave c~B
        0 < exit leave c~B
        0 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        0 < D left 0 [c~B:0]
        0 > E leave c~A
        0 < exit leave c~A
        0 < rebalance member_leave after gen2
        0 < append group=gen3 consumer/- leader=- []
        0 < E left 0 [c~A:0]
        0 > F forget t/0
        0 < remove offsets
        0 < F forgotten 0 [t/0:0]
        ",
    );
}

#[test]
fn s2_7_before_the_first_generation_a_consumer_may_read_anything() {
    nothing().tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > B commit t/0=5
        0 < append t/0=5
        0 < B committed [t/0:0]
        0 > C join c~A
        0 < rebalance member_join after gen0
        100 > D forget t/0 u/0
        100 < D forgotten 0 [t/0:86 u/0:86]
        500 < C joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t)]
        500 > E forget t/0 u/0
        500 < remove offsets
        500 < E forgotten 0 [t/0:86 u/0:0]
        ",
    );
}

#[test]
fn s2_7_a_group_that_became_empty_reads_nothing_until_the_next_generation() {
    empty().tells(
        "
        0 > B join v3
        0 < rebalance member_join after gen2
        100 > C forget t/0
        100 < remove offsets
        100 < append t/0=gone
        100 < C forgotten 0 [t/0:0]
        500 < B joined 0 gen3 consumer/range leader=c~B me=c~B [c~B(t)]
        500 > D forget t/0
        500 < D forgotten 0 [t/0:86]
        ",
    );
}

#[test]
fn s2_7_a_static_restart_is_no_join_phase() {
    stable(&["A/i"]).tells(
        "
        0 > B join instance=i protocols=range:u
        0 < append group=gen1 consumer/range leader=i~B [i~B/i(u)'a']
        0 < exit fenced i~A
        0 < B joined 0 gen1 consumer/range leader=i~B me=i~B [i~B/i(u)] skip
        0 > C forget t/0 u/0
        0 < remove offsets
        0 < C forgotten 0 [t/0:86 u/0:0]
        0 > D join i~B instance=i protocols=range:u
        0 < rebalance leader_rejoin after gen1
        0 < D joined 0 gen2 consumer/range leader=i~B me=i~B [i~B/i(u)]
        0 > E forget t/0 u/0
        0 < remove offsets
        0 < E forgotten 0 [t/0:0 u/0:86]
        ",
    );
}

#[test]
fn s2_7_metadata_that_does_not_parse_may_read_anything() {
    nothing().tells(
        "
        0 > A join v3 protocols=range:!
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(b'\\0\\0\\x7f\\xff\\xff\\xff')]
        500 > B sync c~A gen=1
        500 < append group=gen1 consumer/range leader=c~A [c~A(b'\\0\\0\\x7f\\xff\\xff\\xff')'']
        500 < B synced 0 consumer/range ''
        500 < stable gen1 members=1 took=500
        600 > C forget t/0
        600 < C forgotten 0 [t/0:86]
        ",
    );
}

#[test]
fn s2_7_what_is_not_committed_is_deleted_all_the_same() {
    empty().tells(
        "
        0 > B forget t/0 t/1
        0 < remove offsets
        0 < append t/0=gone
        0 < B forgotten 0 [t/0:0 t/1:0]
        0 > C forget t/0
        0 < remove offsets
        0 < C forgotten 0 [t/0:0]
        0 > D fetch all
        0 < D fetched 'g' 0 []
        ",
    );
}

/// Each naming is answered. It is deleted once.
#[test]
fn s2_7_a_partition_that_is_named_again_has_one_tombstone() {
    empty().tells(
        "
        0 > B forget t/0 t/0 t/0
        0 < remove offsets
        0 < append t/0=gone
        0 < B forgotten 0 [t/0:0 t/0:0 t/0:0]
        ",
    );
}

#[test]
fn s2_7_a_deletion_that_could_not_be_written_deletes_nothing() {
    empty().tells(
        "
        0 > hold
        0 > B forget t/0
        0 < remove offsets
        10 > C fetch t/0
        20 > land 7
        20 < append t/0=gone
        20 < B forgotten 15 []
        30 > flow
        30 < C fetched 'g' 0 [t/0=7]
        ",
    );
}

#[test]
fn s2_10_each_group_for_itself_and_once() {
    empty().tells(
        "
        0 > B delete group=absent,g,absent,g
        0 < remove the group
        0 < append t/0=gone group=gone
        0 < B deleted ['absent':69 'g':0]
        0 > C delete
        0 < C deleted ['g':69]
        ",
    );
}

#[test]
fn s2_10_the_empty_group_id_may_be_deleted() {
    nothing().tells(
        "
        0 > A delete group=
        0 < A deleted ['':69]
        0 > B commit t/0=5 group=
        0 < append t/0=5
        0 < B committed [t/0:0]
        0 > C delete group=
        0 < remove the group
        0 < append t/0=gone
        0 < C deleted ['':0]
        ",
    );
}

#[test]
fn s2_10_while_it_loads_and_when_it_has_closed() {
    empty().tells(
        "
        0 > restart
        0 > B delete
        0 < B deleted ['g':14]
        0 > load
        0 > close
        0 > C delete
        0 < C deleted ['g':15]
        ",
    );
}

#[test]
fn s2_10_a_group_with_members_stays_in_stable() {
    stable(&["A"]).tells(
        "
        0 > B delete
        0 < B deleted ['g':68]
        0 > C heartbeat c~A gen=1
        0 < C heartbeat 0
        ",
    );
}

#[test]
fn s2_10_a_group_with_members_stays_while_the_plan_is_awaited() {
    completing(&["A"]).tells(
        "
        0 > B delete
        0 < B deleted ['g':68]
        ",
    );
}

#[test]
fn s2_10_a_group_with_members_stays_while_a_rebalance_is_prepared() {
    preparing(&["A", "B"]).tells(
        "
        0 > C delete
        0 < C deleted ['g':68]
        ",
    );
}

#[test]
fn s2_10_offsets_then_the_group_go() {
    empty().tells(
        "
        0 > hold
        0 > B delete
        0 < remove the group
        10 > C describe
        20 > D join v3
        30 > land 0
        30 < append t/0=gone group=gone
        30 < B deleted ['g':0]
        30 < C described 'g' 69 Dead / []
        30 < append group=gen0 /- leader=- [] mark=16
        40 > flow
        40 < rebalance member_join after gen0
        540 < D joined 0 gen1 consumer/range leader=c~D me=c~D [c~D(t)]
        540 > E fetch t/0
        540 < E fetched 'g' 0 [t/0=-1]
        ",
    );
}

#[test]
fn s2_10_ids_that_were_given_out_do_not_keep_it_and_are_unknown_then() {
    nothing().tells(
        "
        0 > A join
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=c~A
        0 > B delete
        0 < remove the group
        0 < append group=gone
        0 < B deleted ['g':0]
        0 > C join c~A
        0 < C joined 25 me=c~A
        10000 > wait
        ",
    );
}
