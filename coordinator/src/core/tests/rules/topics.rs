//! Topics that come and go (5.9), as an input: what is committed for one that is deleted, and who commits meanwhile.

use super::super::tale::{empty, nothing, stable};

#[test]
fn s5_9_a_deleted_topics_offsets_go_whatever_the_group_is_doing() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5 t/1=6 u/0=7
        0 < append t/0=5 t/1=6 u/0=7
        0 < B committed [t/0:0 t/1:0 u/0:0]
        0 > deleted t
        0 < forget t
        0 < append t/0=gone t/1=gone
        0 < forgot id1
        0 > C fetch all
        0 < C fetched 'g' 0 [u/0=7]
        0 > D heartbeat c~A gen=1
        0 < D heartbeat 0
        0 > forgotten t
        0 > topic t
        0 > E commit c~A gen=1 t/0=1
        0 < append t/0=1
        0 < E committed [t/0:0]
        0 > F fetch all
        0 < F fetched 'g' 0 [t/0=1 u/0=7]
        ",
    );
}

#[test]
fn s5_9_a_commit_that_was_sent_before_the_deletion_goes_with_it() {
    stable(&["A"]).tells(
        "
        0 > hold
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 > deleted t
        0 < forget t
        10 > land 0
        10 < B committed [t/0:0]
        20 > land 0
        20 < append t/0=gone
        20 < forgot id1
        ",
    );
}

/// It was looked up before the deletion, and stands in line behind another change of its group.
#[test]
fn s5_9_a_commit_that_is_stepped_after_the_deletion_is_refused() {
    empty().tells(
        "
        0 > hold
        0 > B forget u/0
        0 < remove offsets
        0 > C commit t/0=9 u/0=8
        0 > deleted t
        0 < forget t
        0 > land 0
        0 < B forgotten 0 [u/0:0]
        0 < append u/0=8
        0 > land 0
        0 < append t/0=gone
        0 < forgot id1
        0 > land 0
        0 < C committed [t/0:3 u/0:0]
        0 > D fetch all
        0 > land 0
        0 < D fetched 'g' 0 [u/0=8]
        ",
    );
}

/// The next topic of the name is another one: the commit was not for it.
#[test]
fn s5_9_a_commit_for_the_topic_before_is_not_one_for_the_topic_after() {
    empty().tells(
        "
        0 > hold
        0 > B forget u/0
        0 < remove offsets
        0 > C commit t/0=9
        0 > deleted t
        0 < forget t
        0 > forgotten t
        0 > topic t
        0 > land 0
        0 < B forgotten 0 [u/0:0]
        0 < C committed [t/0:3]
        ",
    );
}

#[test]
fn s5_9_a_simple_commit_for_a_topic_that_is_gone_founds_no_group() {
    nothing().tells(
        "
        0 > A commit group=h t/0=5
        0 < append t/0=5
        0 < A committed [t/0:0]
        0 > deleted t
        0 < forget t
        0 < append t/0=gone
        0 < forgot id1
        0 > B commit t/0=5
        0 < B committed [t/0:3]
        0 > C list
        0 < C listed 0 [h::Empty:classic]
        ",
    );
}

#[test]
fn s5_9_what_cannot_be_forgotten_is_tried_again_later_and_later() {
    empty().tells(
        "
        0 > hold
        0 > deleted t
        0 < forget t
        0 > land 15
        0 < append t/0=gone
        0 < not forgotten t 15 failures=1
        249 > wait
        250 < forget t
        250 > wait
        250 > land 15
        250 < append t/0=gone
        250 < not forgotten t 15 failures=2
        749 > wait
        750 < forget t
        750 > wait
        750 > B commit u/0=1
        750 < append u/0=1
        750 > land 15
        750 < append t/0=gone
        750 < not forgotten t 15 failures=3
        750 > land 0
        750 < B committed [u/0:0]
        1750 < forget t
        1750 > wait
        1750 > land 0
        1750 < append t/0=gone
        1750 < forgot id1
        60000 > wait
        ",
    );
}

#[test]
fn s5_9_a_restart_forgets_before_it_serves() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 < B committed [t/0:0]
        0 > hold
        0 > deleted t
        0 < forget t
        0 > restart
        0 > load
        0 < forget t
        0 > C fetch t/0
        0 < C fetched 'g' 14 []
        0 > D commit c~A gen=1 u/0=5
        0 < D committed [u/0:14]
        0 > E list
        0 < E listed 14 []
        0 > F heartbeat c~A gen=1
        0 < F heartbeat 0
        100 > land 15
        100 < append t/0=gone
        100 < not forgotten t 15 failures=1
        350 < forget t
        350 > wait
        9000 > land 0
        9000 < append t/0=gone
        9000 < forgot id1
        9000 > flow
        18000 > G heartbeat c~A gen=1
        18000 < G heartbeat 0
        18000 > H fetch t/0
        18000 < H fetched 'g' 0 [t/0=-1]
        ",
    );
}

/// It was not under way anywhere: a coordinator that loads takes the image of now.
#[test]
fn s5_9_a_deletion_while_it_loads_waits_for_what_is_stored() {
    empty().tells(
        "
        0 > restart
        0 > deleted t
        0 > load
        0 < forget t
        0 < append t/0=gone
        0 < forgot id1
        0 > B fetch t/0
        0 < B fetched 'g' 0 [t/0=-1]
        ",
    );
}
