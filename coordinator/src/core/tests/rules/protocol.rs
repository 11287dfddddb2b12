//! Which protocol, which member id, which topics: 3.7.

use super::super::tale::{empty, nothing, stable};

#[test]
fn s3_7_each_votes_for_its_first_that_all_list() {
    nothing().tells(
        "
        0 > A join v3 protocols=only-a,x,y
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 > B join v3 protocols=y,x
        0 > C join v3 protocols=y,x,only-c
        1000 < A joined 0 gen1 consumer/y leader=c~A me=c~A [c~A(t) c~B(t) c~C(t)]
        1000 < B joined 0 gen1 consumer/y leader=c~A me=c~B []
        1000 < C joined 0 gen1 consumer/y leader=c~A me=c~C []
        1000 > wait
        ",
    );
}

#[test]
fn s3_7_a_tie_goes_to_the_first_in_javas_map() {
    nothing().tells(
        "
        0 > A join v3 protocols=range,sticky
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 > B join v3 protocols=sticky,range
        1000 < A joined 0 gen1 consumer/sticky leader=c~A me=c~A [c~A(t) c~B(t)]
        1000 < B joined 0 gen1 consumer/sticky leader=c~A me=c~B []
        1000 > wait
        ",
    );
}

/// Difference: `listed-twice`.
#[test]
fn s3_7_a_name_listed_twice_is_one() {
    // Apache Kafka 4.2.0 throws while it counts such a vote, and the JoinGroups of the group are never answered.
    nothing().tells(
        "
        0 > A join v3 protocols=x,x,y
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 > B join v3 protocols=y,y
        1000 < A joined 0 gen1 consumer/y leader=c~A me=c~A [c~A(t) c~B(t)]
        1000 < B joined 0 gen1 consumer/y leader=c~A me=c~B []
        1000 > wait
        ",
    );
}

#[test]
fn s3_7_the_type_stays_when_all_have_left_and_another_may_found_the_group_anew() {
    empty().tells(
        "
        0 > B describe
        0 < B described 'g' 0 Empty consumer/ []
        0 > C join v3 type=connect protocols=x
        0 < rebalance member_join after gen2
        500 < C joined 0 gen3 connect/x leader=c~C me=c~C [c~C(t)]
        500 > D describe
        500 < D described 'g' 0 CompletingRebalance connect/ [c~C c /127.0.0.1 '']
        ",
    );
}

#[test]
fn s3_7_member_ids_begin_with_the_client_or_the_instance() {
    nothing().tells(
        "
        0 > A join client=me
        0 < append group=gen0 /- leader=- [] mark=16
        0 < A joined 79 me=me~A
        0 > B join client=me instance=i
        0 < rebalance member_join after gen0
        0 > C join v3 client=you
        1000 < B joined 0 gen1 consumer/range leader=i~B me=i~B [i~B/i(t) you~C(t)]
        1000 < C joined 0 gen1 consumer/range leader=i~B me=you~C []
        1000 > wait
        ",
    );
}

#[test]
fn s3_7_subscriptions_are_read_at_each_generation() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~A protocols=range:t+u
        0 < rebalance subscription_change after gen1
        10 > D forget u/0
        10 < remove offsets
        10 < D forgotten 0 [u/0:0]
        20 > E join c~B
        20 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t,u) c~B(t)]
        20 < E joined 0 gen2 consumer/range leader=c~A me=c~B []
        30 > F forget u/0
        30 < F forgotten 0 [u/0:86]
        40 > G sync c~A gen=2
        40 < append group=gen2 consumer/range leader=c~A [c~A(t,u)'' c~B(t)'']
        40 < G synced 0 consumer/range ''
        40 < stable gen2 members=2 took=40
        50 > H leave c~A
        50 < exit leave c~A
        50 < rebalance member_leave after gen2
        50 < H left 0 [c~A:0]
        60 > I join c~B
        60 < I joined 0 gen3 consumer/range leader=c~B me=c~B [c~B(t)]
        70 > J forget u/0 t/0
        70 < remove offsets
        70 < J forgotten 0 [u/0:0 t/0:86]
        ",
    );
}

/// Difference: `unreadable-subscription`.
#[test]
fn s3_7_metadata_that_does_not_parse_leaves_nobody_unanswered() {
    // A huge array length. In Apache Kafka 4.2.0 it throws while the join phase ends: the request that ended it is
    // answered -1, and the others of the group never.
    nothing().tells(
        "
        0 > A join v3
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 > B join v3 protocols=range:!
        1000 < A joined 0 gen1 consumer/range leader=c~A me=c~A [c~A(t) c~B(b'\\0\\0\\x7f\\xff\\xff\\xff')]
        1000 < B joined 0 gen1 consumer/range leader=c~A me=c~B []
        1000 > C sync c~A gen=1 plan=c~A:a,c~B:b
        1000 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' c~B(b'\\0\\0\\x7f\\xff\\xff\\xff')'b']
        1000 < C synced 0 consumer/range 'a'
        1000 < stable gen1 members=2 took=1000
        1000 > D sync c~B gen=1
        1000 < D synced 0 consumer/range 'b'
        1000 > E forget t/0 u/0
        1000 < E forgotten 0 [t/0:86 u/0:86]
        1000 > F leave c~B
        1000 < exit leave c~B
        1000 < rebalance member_leave after gen1
        1000 < F left 0 [c~B:0]
        1000 > G join c~A
        1000 < G joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        1000 > H forget t/0 u/0
        1000 < remove offsets
        1000 < H forgotten 0 [t/0:86 u/0:0]
        ",
    );
}

#[test]
fn s3_7_the_same_when_a_member_comes_back_with_it() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~B protocols=range:!
        0 < rebalance subscription_change after gen1
        0 > D join c~A
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(b'\\0\\0\\x7f\\xff\\xff\\xff')]
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}
