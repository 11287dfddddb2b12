//! OffsetFetch: what each group answers (2.6).

use super::super::tale::{empty, nothing, stable};

#[test]
fn s2_6_3_an_unknown_topic_id_is_refused_for_its_partitions() {
    nothing().tells(
        "
        0 > A commit id1/0=5
        0 < append t/0=5 of id1
        0 < A committed [id1/0:0]
        0 > B fetch id1/0 id1/1 id9/0 id0/3
        0 < B fetched 'g' 0 [id1/0=5 id1/1=-1 id9/0=-1:100 id0/3=-1:100]
        ",
    );
}

#[test]
fn s2_6_3_all_topics_of_version_10_are_named_by_id() {
    nothing().tells(
        "
        0 > A commit id1/0=5 u/1=6
        0 < append t/0=5 of id1 u/1=6
        0 < A committed [id1/0:0 u/1:0]
        0 > B fetch all
        0 < B fetched 'g' 0 [t/0=5 u/1=6]
        0 > C fetch all v10
        0 < C fetched 'g' 0 [id1/0=5 id2/1=6]
        ",
    );
}

#[test]
fn s2_6_4_while_it_loads_each_group_says_so() {
    nothing().tells(
        "
        0 > restart
        0 > A fetch t/0 group=g,h
        0 < A fetched 'g' 14 [] 'h' 14 []
        0 > B fetch all group=
        0 < B fetched '' 14 []
        0 > load
        0 > close
        0 > C fetch t/0
        0 < C fetched 'g' 15 []
        ",
    );
}

#[test]
fn s2_6_5_an_absent_group_has_committed_nothing() {
    nothing().tells(
        "
        0 > A fetch t/0 t/99 missing/0
        0 < A fetched 'g' 0 [t/0=-1 t/99=-1 missing/0=-1]
        0 > B fetch all
        0 < B fetched 'g' 0 []
        ",
    );
}

#[test]
fn s2_6_6_who_asks_does_not_matter() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 < B committed [t/0:0]
        0 > C fetch t/0 c~X gen=9
        0 < C fetched 'g' 0 [t/0=5]
        0 > D fetch t/0 c~A gen=1
        0 < D fetched 'g' 0 [t/0=5]
        0 > E fetch t/0
        0 < E fetched 'g' 0 [t/0=5]
        10000 < exit session_timeout c~A
        10000 < rebalance session_timeout after gen1
        10000 < append group=gen2 consumer/- leader=- []
        10000 > wait
        ",
    );
}

#[test]
fn s2_6_7_a_fetch_waits_for_the_commits_in_flight() {
    stable(&["A"]).tells(
        "
        0 > hold
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        10 > C fetch t/0
        20 > land 0
        20 < B committed [t/0:0]
        30 > land 0
        30 < C fetched 'g' 0 [t/0=5]
        ",
    );
}

#[test]
fn s2_6_8_what_is_not_committed_is_minus_one() {
    empty().tells(
        "
        0 > B fetch t/0 t/1 u/0
        0 < B fetched 'g' 0 [t/0=7 t/1=-1 u/0=-1]
        0 > C fetch all
        0 < C fetched 'g' 0 [t/0=7]
        ",
    );
}

#[test]
fn s2_6_8_a_topic_made_anew_begins_without_commits_for_who_asks_by_id() {
    nothing().tells(
        "
        0 > A commit id1/0=5
        0 < append t/0=5 of id1
        0 < A committed [id1/0:0]
        0 > topic t
        0 > B fetch id1/0 id3/0
        0 < B fetched 'g' 0 [id1/0=-1:100 id3/0=-1]
        0 > C fetch all v10
        0 < C fetched 'g' 0 []
        ",
    );
}

#[test]
fn s2_6_several_groups_are_answered_in_their_order() {
    empty().tells(
        "
        0 > B fetch t/0 group=absent,g,g
        0 < B fetched 'absent' 0 [t/0=-1] 'g' 0 [t/0=7] 'g' 0 [t/0=7]
        ",
    );
}
