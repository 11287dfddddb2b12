//! OffsetCommit: what is checked, in which order, and what each state takes (2.5).

use std::sync::Arc;

use callboard_protocol::{ErrorCode, Uuid};

use super::super::house::TestTopics;
use super::super::kit::config;
use super::super::tale::{completing, empty, nothing, preparing, stable};
use crate::TopicsImage;
use crate::core::{
    Commit, CommitOutcome, CommitPartition, CommitTopic, Effect, GroupRequest, Groups, Input, Now,
    RequestId,
};
use crate::request::TopicRef;

#[test]
fn s2_5_2_an_unknown_topic_id_is_refused_for_its_partitions() {
    nothing().tells(
        "
        0 > A commit id1/0=5 id9/0=6 id0/0=7
        0 < append t/0=5 of id1
        0 < A committed [id1/0:0 id9/0:100 id0/0:100]
        0 > B fetch id1/0 t/0
        0 < B fetched 'g' 0 [id1/0=5 t/0=5]
        ",
    );
}

#[test]
fn s2_5_3_unknown_topics_and_partitions_are_refused_and_the_rest_goes_on() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5 t/8=6 t/-1=6 missing/0=7 u/7=8
        0 < append t/0=5 u/7=8
        0 < B committed [t/0:0 t/8:3 t/-1:3 missing/0:3 u/7:0]
        ",
    );
}

#[test]
fn s2_5_3_nothing_left_is_answered_without_a_word_of_the_group() {
    stable(&["A"]).tells(
        "
        0 > B commit c~X gen=9 missing/0=7
        0 < B committed [missing/0:3]
        9999 > C commit c~A gen=1 missing/0=7
        9999 < C committed [missing/0:3]
        10000 < exit session_timeout c~A
        10000 < rebalance session_timeout after gen1
        10000 < append group=gen2 consumer/- leader=- []
        10000 > wait
        ",
    );
}

#[test]
fn s2_5_3_a_topic_without_partitions_is_left_out_and_makes_no_group() {
    nothing().tells(
        "
        0 > A commit nothing
        0 < A committed []
        0 > B describe
        0 < B described 'g' 69 Dead / []
        0 > C commit nothing u/0=5
        0 < append u/0=5
        0 < C committed [u/0:0]
        ",
    );
}

#[test]
fn s2_5_4_the_empty_group_id_is_a_group() {
    nothing().tells(
        "
        0 > A commit t/0=5 group=
        0 < append t/0=5
        0 < A committed [t/0:0]
        0 > B fetch t/0 group=
        0 < B fetched '' 0 [t/0=5]
        ",
    );
}

#[test]
fn s2_5_4_while_it_loads_and_when_it_has_closed() {
    stable(&["A"]).tells(
        "
        0 > restart
        0 > B commit c~A gen=1 t/0=5 missing/0=1
        0 < B committed [t/0:14 missing/0:3]
        0 > load
        0 > C commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 < C committed [t/0:0]
        0 > close
        0 > D commit c~A gen=1 t/0=5
        0 < D committed [t/0:15]
        ",
    );
}

#[test]
fn s2_5_5_an_absent_group_takes_commits_without_a_generation() {
    nothing().tells(
        "
        0 > A commit t/0=5
        0 < append t/0=5
        0 < A committed [t/0:0]
        0 > B commit c~X instance=i t/0=6 group=h
        0 < append t/0=6
        0 < B committed [t/0:0]
        0 > C list
        0 < C listed 0 [g::Empty:classic h::Empty:classic]
        ",
    );
}

#[test]
fn s2_5_5_an_absent_group_has_no_generation() {
    nothing().tells(
        "
        0 > A commit c~X gen=0 t/0=5
        0 < A committed [t/0:69]
        0 > B commit v8 c~X gen=0 t/0=5
        0 < B committed [t/0:22]
        0 > C commit v9 gen=1 t/0=5
        0 < C committed [t/0:69]
        0 > D list
        0 < D listed 0 []
        ",
    );
}

#[test]
fn s2_5_6_an_empty_group_does_not_look_at_who_commits_without_a_generation() {
    empty().tells(
        "
        0 > B commit t/0=5
        0 < append t/0=5
        0 < B committed [t/0:0]
        0 > C commit c~X t/0=6
        0 < append t/0=6
        0 < C committed [t/0:0]
        0 > D commit c~X instance=i t/0=7
        0 < append t/0=7
        0 < D committed [t/0:0]
        0 > E commit instance=i t/0=8
        0 < append t/0=8
        0 < E committed [t/0:0]
        ",
    );
}

#[test]
fn s2_5_6_an_empty_group_has_no_members() {
    empty().tells(
        "
        0 > B commit c~A gen=2 t/0=5
        0 < B committed [t/0:25]
        0 > C commit gen=2 t/0=5
        0 < C committed [t/0:25]
        0 > D commit gen=2 t/0=5 instance=i
        0 < D committed [t/0:25]
        ",
    );
}

#[test]
fn s2_5_6_nobody_commits_to_a_living_group_unnamed() {
    stable(&["A"]).tells(
        "
        0 > B commit t/0=5
        0 < B committed [t/0:25]
        0 > C commit v8 t/0=5
        0 < C committed [t/0:25]
        0 > D commit gen=1 t/0=5
        0 < D committed [t/0:25]
        ",
    );
}

#[test]
fn s2_5_6_instance_then_member_then_generation() {
    stable(&["A/i", "B/j"]).tells(
        "
        0 > C commit i~A gen=9 instance=other t/0=5
        0 < C committed [t/0:25]
        0 > D commit i~A gen=9 instance=j t/0=5
        0 < D committed [t/0:82]
        0 > E commit instance=i t/0=5
        0 < E committed [t/0:82]
        0 > F commit c~X gen=9 t/0=5
        0 < F committed [t/0:25]
        0 > G commit i~A gen=0 t/0=5
        0 < G committed [t/0:22]
        0 > H commit i~A gen=2 instance=i t/0=5
        0 < H committed [t/0:22]
        0 > I commit i~A t/0=5
        0 < I committed [t/0:22]
        0 > J commit i~A gen=1 instance=i t/0=5
        0 < append t/0=5
        0 < J committed [t/0:0]
        ",
    );
}

#[test]
fn s2_5_6_while_the_plan_is_awaited_it_is_told_to_come_back() {
    completing(&["A/i", "B"]).tells(
        "
        0 > C commit c~B gen=1 t/0=5
        0 < C committed [t/0:27]
        0 > D commit c~B gen=0 t/0=5
        0 < D committed [t/0:22]
        0 > E commit c~X gen=1 t/0=5
        0 < E committed [t/0:25]
        0 > F commit c~X gen=1 instance=i t/0=5
        0 < F committed [t/0:82]
        0 > G commit t/0=5
        0 < G committed [t/0:25]
        ",
    );
}

#[test]
fn s2_5_6_a_commit_refused_while_the_plan_is_awaited_is_no_sign_of_life() {
    completing(&["A", "B"]).tells(
        "
        9000 > C commit c~B gen=1 t/0=5
        9000 < C committed [t/0:27]
        9000 > D heartbeat c~A gen=1
        9000 < D heartbeat 0
        10000 < exit session_timeout c~B
        10000 < rebalance session_timeout after gen1
        10000 > wait
        ",
    );
}

#[test]
fn s2_5_6_while_a_rebalance_is_prepared_it_is_taken_and_a_sign_of_life() {
    preparing(&["A", "B"]).tells(
        "
        9000 > C commit c~B gen=1 t/0=5
        9000 < append t/0=5
        9000 < C committed [t/0:0]
        18999 > D commit c~B gen=0 t/0=6
        18999 < D committed [t/0:22]
        19000 < exit session_timeout c~B
        19000 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t)]
        19000 > wait
        ",
    );
}

#[test]
fn s2_5_6_in_stable_it_is_taken_and_a_sign_of_life() {
    stable(&["A"]).tells(
        "
        9000 > B commit c~A gen=1 t/0=5
        9000 < append t/0=5
        9000 < B committed [t/0:0]
        18999 > C fetch t/0
        18999 < C fetched 'g' 0 [t/0=5]
        19000 < exit session_timeout c~A
        19000 < rebalance session_timeout after gen1
        19000 < append group=gen2 consumer/- leader=- []
        19000 > wait
        ",
    );
}

#[test]
fn s2_5_8_a_note_too_long_is_refused_for_its_partition_alone() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5 t/1=6! note=x*4096
        0 < append t/0=5'xxxxxxxx'
        0 < B committed [t/0:0 t/1:12]
        0 > C commit c~A gen=1 t/2=7 t/3=8! note=é*4096
        0 < append t/2=7'éééééééé'
        0 < C committed [t/2:0 t/3:12]
        0 > D commit c~A gen=1 t/4=9 t/5=10! note=😀*2048
        0 < append t/4=9'😀😀😀😀😀😀😀😀'
        0 < D committed [t/4:0 t/5:12]
        ",
    );
}

#[test]
fn s2_5_8_no_note_is_an_empty_one() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        0 < B committed [t/0:0]
        0 > C fetch t/0
        0 < C fetched 'g' 0 [t/0=5]
        ",
    );
}

#[test]
fn s2_5_8_what_the_group_says_hides_what_is_wrong_with_a_note() {
    completing(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5 t/1=5! note=x*4096
        0 < B committed [t/0:27 t/1:27]
        0 > C commit c~X gen=1 t/1=5! note=x*4096
        0 < C committed [t/1:25]
        ",
    );
}

#[test]
fn s2_5_9_any_offset_is_stored_and_one_request_is_one_append() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=-7 t/1=9223372036854775807 u/0=0 epoch=3
        0 < append t/0=-7@3 t/1=9223372036854775807@3 u/0=0@3
        0 < B committed [t/0:0 t/1:0 u/0:0]
        0 > C fetch t/0 t/1 u/0
        0 < C fetched 'g' 0 [t/0=-7@3 t/1=9223372036854775807@3 u/0=0@3]
        ",
    );
}

#[test]
fn s2_5_9_a_partition_named_twice_is_answered_twice_and_the_later_counts() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5 t/0=3
        0 < append t/0=5 t/0=3
        0 < B committed [t/0:0 t/0:0]
        0 > C fetch t/0
        0 < C fetched 'g' 0 [t/0=3]
        ",
    );
}

#[test]
fn s2_5_9_the_answer_comes_when_it_is_durable() {
    stable(&["A"]).tells(
        "
        0 > hold
        0 > B commit c~A gen=1 t/0=5
        0 < append t/0=5
        10 > C commit c~A gen=1 t/0=6 t/9=1
        10 < append t/0=6
        20 > D heartbeat c~A gen=1
        20 < D heartbeat 0
        30 > land 0
        30 < B committed [t/0:0]
        40 > land 56
        40 < C committed [t/0:16 t/9:3]
        50 > E fetch t/0
        60 > flow
        60 < E fetched 'g' 0 [t/0=5]
        ",
    );
}

#[test]
fn s2_5_clients_of_old_say_how_long_an_offset_is_kept() {
    stable(&["A"]).tells(
        "
        0 > B commit c~A gen=1 t/0=5 retention=-1
        0 < append t/0=5
        0 < B committed [t/0:0]
        0 > C commit c~A gen=1 t/1=5 retention=1000
        0 < append t/1=5 until +1000
        0 < C committed [t/1:0]
        0 > D commit c~A gen=1 t/2=5 retention=0
        0 < append t/2=5 until +0
        0 < D committed [t/2:0]
        ",
    );
}

/// The writer refuses it. What shows it to be too large is enough for that.
#[test]
fn s2_5_9_of_a_commit_that_no_batch_holds_no_more_is_made_than_that() {
    const TIMES: usize = 1_000;
    const BATCH_BYTES: usize = 2_048;
    let topic: Arc<str> = "t".into();
    let partition = |error| CommitPartition {
        partition: 0,
        offset: 1,
        leader_epoch: -1,
        metadata: Arc::default(),
        error,
    };
    let mut partitions = vec![partition(ErrorCode::NONE); TIMES];
    partitions.push(partition(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    let image = Arc::new(TopicsImage::of(Arc::new(TestTopics::default())));
    let commit = Commit {
        generation_id: -1,
        member_id: String::new(),
        group_instance_id: None,
        retention_time_ms: None,
        knows_group_id_not_found: true,
        image: Arc::clone(&image),
        topics: Arc::new([CommitTopic {
            topic: TopicRef::Name(Arc::clone(&topic)),
            name: topic,
            id: Uuid::ZERO,
            partitions,
        }]),
    };
    let mut groups = Groups::new(&config(), image).batches_of(BATCH_BYTES);
    let mut effects = Vec::new();
    groups.step(Now::default(), Input::Loaded(Vec::new()), &mut effects);
    effects.clear();
    let ask = Input::Ask {
        id: RequestId(1),
        group_id: "g".into(),
        request: GroupRequest::Commit(commit),
    };
    groups.step(Now::default(), ask, &mut effects);
    let [
        Effect::Commit {
            records, outcome, ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert!((BATCH_BYTES / 40..TIMES / 10).contains(&records.len()));
    let CommitOutcome::Each(codes) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(codes.len(), TIMES + 1, "each naming is answered");
}
