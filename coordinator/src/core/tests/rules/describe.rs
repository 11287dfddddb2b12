//! DescribeGroups (2.8) and ListGroups (2.9).

use super::super::tale::{completing, empty, nothing, preparing, stable};

#[test]
fn s2_8_an_absent_group_is_dead() {
    // With 69 from version 6, with 0 before: the broker's part.
    nothing().tells(
        "
        0 > A describe
        0 < A described 'g' 69 Dead / []
        0 > B describe group=
        0 < B described '' 69 Dead / []
        ",
    );
}

#[test]
fn s2_8_while_it_loads_and_when_it_has_closed() {
    empty().tells(
        "
        0 > restart
        0 > B describe
        0 < B described 'g' 14  / []
        0 > load
        0 > close
        0 > C describe
        0 < C described 'g' 15  / []
        ",
    );
}

#[test]
fn s2_8_an_empty_group_keeps_its_type() {
    empty().tells(
        "
        0 > B describe
        0 < B described 'g' 0 Empty consumer/ []
        ",
    );
}

#[test]
fn s2_8_only_a_stable_group_shows_its_protocol_and_metadata() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C describe
        0 < C described 'g' 0 Stable consumer/range [c~A c /127.0.0.1 (t)'a' i~B/i c /127.0.0.1 (t)'b']
        ",
    );
}

#[test]
fn s2_8_while_the_plan_is_awaited_the_parts_are_of_the_last_stable_generation() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~A
        0 < rebalance leader_rejoin after gen1
        0 > D describe
        0 < D described 'g' 0 PreparingRebalance consumer/ [c~A c /127.0.0.1 'a' c~B c /127.0.0.1 'b']
        10 > E join c~B
        10 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        10 < E joined 0 gen2 consumer/range leader=c~A me=c~B []
        20 > F describe
        20 < F described 'g' 0 CompletingRebalance consumer/ [c~A c /127.0.0.1 'a' c~B c /127.0.0.1 'b']
        ",
    );
}

#[test]
fn s2_8_the_first_plan_is_not_shown_before_it_is_made() {
    completing(&["A"]).tells(
        "
        0 > B describe
        0 < B described 'g' 0 CompletingRebalance consumer/ [c~A c /127.0.0.1 '']
        ",
    );
}

#[test]
fn s2_8_while_a_rebalance_is_prepared_the_parts_stay() {
    preparing(&["A", "B"]).tells(
        "
        0 > C describe
        0 < C described 'g' 0 PreparingRebalance consumer/ [c~A c /127.0.0.1 'a' c~B c /127.0.0.1 'b']
        ",
    );
}

#[test]
fn s2_8_a_rebalance_out_of_an_awaited_plan_wipes_the_parts() {
    stable(&["A", "B"]).tells(
        "
        0 > C join c~A
        0 < rebalance leader_rejoin after gen1
        0 > D join c~B
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        0 < D joined 0 gen2 consumer/range leader=c~A me=c~B []
        0 > E join v3
        0 < rebalance member_join after gen2
        0 > F describe
        0 < F described 'g' 0 PreparingRebalance consumer/ [c~A c /127.0.0.1 '' c~B c /127.0.0.1 '' c~E c /127.0.0.1 '']
        ",
    );
}

#[test]
fn s2_8_a_static_member_keeps_the_client_id_of_its_first_process() {
    stable(&["A/i"]).tells(
        "
        0 > B join instance=i client=second protocols=range:u
        0 < append group=gen1 consumer/range leader=i~B [i~B/i(u)'a']
        0 < exit fenced i~A
        0 < B joined 0 gen1 consumer/range leader=i~B me=i~B [i~B/i(u)] skip
        0 > C describe
        0 < C described 'g' 0 Stable consumer/range [i~B/i c /127.0.0.1 (u)'a']
        ",
    );
}

#[test]
fn s2_8_a_group_of_simple_consumers_is_empty() {
    nothing().tells(
        "
        0 > A commit t/0=5
        0 < append t/0=5
        0 < A committed [t/0:0]
        0 > B describe
        0 < B described 'g' 0 Empty / []
        ",
    );
}

#[test]
fn s2_9_while_it_loads_and_when_it_has_closed() {
    empty().tells(
        "
        0 > restart
        0 > B list
        0 < B listed 14 []
        0 > load
        0 > C list
        0 < C listed 0 [g:consumer:Empty:classic]
        0 > close
        0 > D list
        0 < D listed 15 []
        ",
    );
}

#[test]
fn s2_9_every_state_is_listed() {
    preparing(&["A", "B"]).tells(
        "
        0 > C commit t/0=1 group=simple
        0 < append t/0=1
        0 < C committed [t/0:0]
        0 > D join group=asked
        0 < append group=gen0 /- leader=- [] mark=16
        0 < D joined 79 me=c~D
        0 > E join v3 group=other type=connect protocols=x
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        500 < E joined 0 gen1 connect/x leader=c~E me=c~E [c~E(t)]
        500 > F list
        500 < F listed 0 [asked::Empty:classic g:consumer:PreparingRebalance:classic other:connect:CompletingRebalance:classic simple::Empty:classic]
        600 > G join v3 group=young
        600 < append group=gen0 /- leader=- [] mark=16
        600 < rebalance member_join after gen0
        700 > H sync c~E gen=1 group=other
        700 < append group=gen1 connect/x leader=c~E [c~E(t)'']
        700 < H synced 0 connect/x ''
        700 < stable gen1 members=1 took=700
        800 > I list
        800 < I listed 0 [asked::Empty:classic g:consumer:PreparingRebalance:classic other:connect:Stable:classic simple::Empty:classic young:consumer:PreparingRebalance:classic]
        ",
    );
}

#[test]
fn s2_9_states_are_trimmed_and_of_any_case() {
    stable(&["A"]).tells(
        "
        0 > B list states=stable
        0 < B listed 0 [g:consumer:Stable:classic]
        0 > C list states=_STABLE_
        0 < C listed 0 [g:consumer:Stable:classic]
        0 > D list states=empty
        0 < D listed 0 []
        0 > E list states=Empty,Stable
        0 < E listed 0 [g:consumer:Stable:classic]
        0 > F list states=unheard
        0 < F listed 0 []
        ",
    );
}

#[test]
fn s2_9_types_are_of_any_case_and_not_trimmed() {
    stable(&["A"]).tells(
        "
        0 > B list types=CLASSIC
        0 < B listed 0 [g:consumer:Stable:classic]
        0 > C list types=_classic
        0 < C listed 0 []
        0 > D list types=consumer
        0 < D listed 0 []
        0 > E list types=consumer,classic
        0 < E listed 0 [g:consumer:Stable:classic]
        0 > F list types=unheard
        0 < F listed 0 []
        0 > G list types=classic states=empty
        0 < G listed 0 []
        ",
    );
}

#[test]
fn s2_9_a_list_waits_for_the_changes_in_flight() {
    nothing().tells(
        "
        0 > hold
        0 > A commit t/0=5
        0 < append t/0=5
        10 > B list
        20 > land 0
        20 < A committed [t/0:0]
        20 < B listed 0 [g::Empty:classic]
        ",
    );
}
