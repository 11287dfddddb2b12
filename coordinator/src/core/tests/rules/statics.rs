//! Static members: every row of section 4.

use super::super::tale::{completing, nothing, preparing, stable};

#[test]
fn s4_an_unknown_instance_joins_like_a_newcomer_with_an_id() {
    stable(&["A"]).tells(
        "
        0 > B join instance=i
        0 < rebalance member_join after gen1
        0 > C join c~A
        0 < C joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) i~B/i(t)]
        0 < B joined 0 gen2 consumer/range leader=c~A me=i~B []
        ",
    );
}

#[test]
fn s4_a_follower_that_restarts_disturbs_nobody() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C join instance=i
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' i~C/i(t)'b']
        0 < exit fenced i~B
        0 < C joined 0 gen1 consumer/range leader=c~A me=i~C []
        0 > D sync i~C gen=1 instance=i
        0 < D synced 0 consumer/range 'b'
        0 > E heartbeat c~A gen=1
        0 < E heartbeat 0
        0 > F heartbeat i~C gen=1 instance=i
        0 < F heartbeat 0
        ",
    );
}

#[test]
fn s4_a_leader_that_restarts_gets_the_list_and_need_not_plan() {
    // KIP-814.
    stable(&["A/i", "B"]).tells(
        "
        0 > C join instance=i
        0 < append group=gen1 consumer/range leader=i~C [i~C/i(t)'a' c~B(t)'b']
        0 < exit fenced i~A
        0 < C joined 0 gen1 consumer/range leader=i~C me=i~C [i~C/i(t) c~B(t)] skip
        0 > D sync i~C gen=1 instance=i plan=i~C:new,c~B:new
        0 < D synced 0 consumer/range 'a'
        0 > E sync c~B gen=1
        0 < E synced 0 consumer/range 'b'
        0 > F heartbeat c~B gen=1
        0 < F heartbeat 0
        ",
    );
}

#[test]
fn s4_a_leader_of_an_old_version_that_restarts_is_not_told_that_it_leads() {
    // KAFKA-13435: with a list it would plan, and nobody would take the plan.
    stable(&["A/i", "B"]).tells(
        "
        0 > C join v8 instance=i
        0 < append group=gen1 consumer/range leader=i~C [i~C/i(t)'a' c~B(t)'b']
        0 < exit fenced i~A
        0 < C joined 0 gen1 consumer/range leader=i~A me=i~C []
        0 > D sync i~C gen=1 instance=i plan=i~C:new,c~B:new
        0 < D synced 0 consumer/range 'a'
        0 > E join c~B protocols=range:u
        0 < rebalance subscription_change after gen1
        0 > F join i~C instance=i
        0 < F joined 0 gen2 consumer/range leader=i~C me=i~C [i~C/i(t) c~B(u)]
        0 < E joined 0 gen2 consumer/range leader=i~C me=c~B []
        ",
    );
}

#[test]
fn s4_a_follower_of_an_old_version_that_restarts() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C join v8 instance=i
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' i~C/i(t)'b']
        0 < exit fenced i~B
        0 < C joined 0 gen1 consumer/range leader=c~A me=i~C []
        ",
    );
}

#[test]
fn s4_other_metadata_alone_is_no_reason_to_rebalance() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C join instance=i protocols=range:u
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' i~C/i(u)'b']
        0 < exit fenced i~B
        0 < C joined 0 gen1 consumer/range leader=c~A me=i~C []
        0 > D heartbeat c~A gen=1
        0 < D heartbeat 0
        0 > E join c~A
        0 < rebalance leader_rejoin after gen1
        0 > F join i~C instance=i protocols=range:u
        0 < E joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) i~C/i(u)]
        0 < F joined 0 gen2 consumer/range leader=c~A me=i~C []
        ",
    );
}

#[test]
fn s4_another_choice_of_protocol_is_a_reason_to_rebalance() {
    nothing().tells(
        "
        0 > A join instance=i protocols=x,y
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 > B join instance=j protocols=x,y
        1000 < A joined 0 gen1 consumer/x leader=i~A me=i~A [i~A/i(t) j~B/j(t)]
        1000 < B joined 0 gen1 consumer/x leader=i~A me=j~B []
        1000 > C sync i~A gen=1 plan=i~A:a,j~B:b
        1000 < append group=gen1 consumer/x leader=i~A [i~A/i(t)'a' j~B/j(t)'b']
        1000 < C synced 0 consumer/x 'a'
        1000 < stable gen1 members=2 took=1000
        1000 > D join instance=j protocols=y
        1000 < exit fenced j~B
        1000 < rebalance protocol_change after gen1
        1000 > E join i~A protocols=x,y
        1000 < E joined 0 gen2 consumer/y leader=i~A me=i~A [i~A/i(t) j~D/j(t)]
        1000 < D joined 0 gen2 consumer/y leader=i~A me=j~D []
        ",
    );
}

#[test]
fn s4_fewer_protocols_that_keep_the_choice_are_none() {
    nothing().tells(
        "
        0 > A join instance=i protocols=x,y
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        0 > B join instance=j protocols=x,y
        1000 < A joined 0 gen1 consumer/x leader=i~A me=i~A [i~A/i(t) j~B/j(t)]
        1000 < B joined 0 gen1 consumer/x leader=i~A me=j~B []
        1000 > C sync i~A gen=1 plan=i~A:a,j~B:b
        1000 < append group=gen1 consumer/x leader=i~A [i~A/i(t)'a' j~B/j(t)'b']
        1000 < C synced 0 consumer/x 'a'
        1000 < stable gen1 members=2 took=1000
        1000 > D join instance=j protocols=x
        1000 < append group=gen1 consumer/x leader=i~A [i~A/i(t)'a' j~D/j(t)'b']
        1000 < exit fenced j~B
        1000 < D joined 0 gen1 consumer/x leader=i~A me=j~D []
        ",
    );
}

#[test]
fn s4_the_next_process_is_durable_before_it_is_answered() {
    stable(&["A/i"]).tells(
        "
        0 > hold
        0 > B join instance=i
        0 < append group=gen1 consumer/range leader=i~B [i~B/i(t)'a']
        10 > C heartbeat i~A gen=1
        20 > land 0
        20 < exit fenced i~A
        20 < B joined 0 gen1 consumer/range leader=i~B me=i~B [i~B/i(t)] skip
        20 < C heartbeat 25
        30 > restart
        30 > flow
        30 > load
        40 > D heartbeat i~B gen=1 instance=i
        40 < D heartbeat 0
        40 > E heartbeat i~A gen=1 instance=i
        40 < E heartbeat 82
        ",
    );
}

#[test]
fn s4_a_restart_that_could_not_be_written_changes_nothing() {
    stable(&["A/i", "B"]).tells(
        "
        0 > hold
        0 > C join instance=i protocols=range:u
        0 < append group=gen1 consumer/range leader=i~C [i~C/i(u)'a' c~B(t)'b']
        10 > land 56
        10 < C joined 16 me=
        20 > D heartbeat i~A gen=1 instance=i
        20 < D heartbeat 0
        20 > E describe
        20 < E described 'g' 0 Stable consumer/range [i~A/i c /127.0.0.1 (t)'a' c~B c /127.0.0.1 (t)'b']
        ",
    );
}

#[test]
fn s4_a_restart_while_the_plan_is_awaited_begins_anew() {
    // KAFKA-9801: the leader plans for the old id, and the new one would get nothing.
    completing(&["A", "B/i", "C"]).tells(
        "
        0 > D sync c~C gen=1
        0 > E join instance=i
        0 < exit fenced i~B
        0 < rebalance static_member_replaced after gen1
        0 < D synced 27
        0 > F join c~A
        0 > G join c~C
        0 < F joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) i~E/i(t) c~C(t)]
        0 < E joined 0 gen2 consumer/range leader=c~A me=i~E []
        0 < G joined 0 gen2 consumer/range leader=c~A me=c~C []
        ",
    );
}

#[test]
fn s4_a_restart_while_a_rebalance_is_prepared_joins_it() {
    preparing(&["A", "B/i"]).tells(
        "
        0 > C join instance=i
        0 < exit fenced i~B
        0 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) i~C/i(t)]
        0 < C joined 0 gen2 consumer/range leader=c~A me=i~C []
        ",
    );
}

#[test]
fn s4_a_restart_in_an_initial_rebalance_waits_with_the_others() {
    nothing().tells(
        "
        0 > A join instance=i
        0 < append group=gen0 /- leader=- [] mark=16
        0 < rebalance member_join after gen0
        100 > B join instance=i
        100 < A joined 82 me=i~A
        100 < exit fenced i~A
        500 < B joined 0 gen1 consumer/range leader=i~B me=i~B [i~B/i(t)]
        500 > wait
        ",
    );
}

#[test]
fn s4_a_parked_join_of_the_process_before_is_fenced() {
    // KAFKA-8500.
    preparing(&["A/i", "B"]).tells(
        "
        0 > C join instance=i
        0 < L joined 82 me=i~A
        0 < exit fenced i~A
        0 > D heartbeat i~A gen=1 instance=i
        0 < D heartbeat 82
        0 > E join c~B
        0 < C joined 0 gen2 consumer/range leader=i~C me=i~C [i~C/i(t) c~B(t)]
        0 < E joined 0 gen2 consumer/range leader=i~C me=c~B []
        ",
    );
}

#[test]
fn s4_a_parked_sync_of_the_process_before_is_fenced() {
    completing(&["A", "B/i"]).tells(
        "
        0 > C sync i~B gen=1 instance=i
        0 > D join instance=i
        0 < C synced 82
        0 < exit fenced i~B
        0 < rebalance static_member_replaced after gen1
        ",
    );
}

#[test]
fn s4_every_request_of_the_process_before_is_fenced() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C join instance=i
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' i~C/i(t)'b']
        0 < exit fenced i~B
        0 < C joined 0 gen1 consumer/range leader=c~A me=i~C []
        0 > D heartbeat i~B gen=1 instance=i
        0 < D heartbeat 82
        0 > E sync i~B gen=1 instance=i
        0 < E synced 82
        0 > F commit i~B gen=1 instance=i t/0=5
        0 < F committed [t/0:82]
        0 > G leave i~B/i
        0 < G left 0 [i~B/i:82]
        0 > H join i~B instance=i
        0 < H joined 82 me=i~B
        0 > I heartbeat i~B gen=1
        0 < I heartbeat 25
        0 > J heartbeat i~B gen=9 instance=i
        0 < J heartbeat 82
        ",
    );
}

#[test]
fn s4_of_two_living_processes_the_second_wins() {
    stable(&["A/i"]).tells(
        "
        0 > B join instance=i
        0 < append group=gen1 consumer/range leader=i~B [i~B/i(t)'a']
        0 < exit fenced i~A
        0 < B joined 0 gen1 consumer/range leader=i~B me=i~B [i~B/i(t)] skip
        0 > C heartbeat i~A gen=1 instance=i
        0 < C heartbeat 82
        0 > D join instance=i
        0 < append group=gen1 consumer/range leader=i~D [i~D/i(t)'a']
        0 < exit fenced i~B
        0 < D joined 0 gen1 consumer/range leader=i~D me=i~D [i~D/i(t)] skip
        0 > E heartbeat i~B gen=1 instance=i
        0 < E heartbeat 82
        ",
    );
}

#[test]
fn s4_the_session_that_begins_with_a_restart_is_of_the_old_length() {
    stable(&["A/i"]).tells(
        "
        9000 > B join instance=i session=60000
        9000 < append group=gen1 consumer/range leader=i~B [i~B/i(t)'a']
        9000 < exit fenced i~A
        9000 < B joined 0 gen1 consumer/range leader=i~B me=i~B [i~B/i(t)] skip
        19000 < exit session_timeout i~B
        19000 < rebalance session_timeout after gen1
        19000 < append group=gen2 consumer/- leader=- []
        19000 > wait
        ",
    );
}

#[test]
fn s4_the_session_from_the_first_heartbeat_on_is_of_the_new_length() {
    // KAFKA-14009.
    stable(&["A/i"]).tells(
        "
        9000 > B join instance=i session=60000
        9000 < append group=gen1 consumer/range leader=i~B [i~B/i(t)'a']
        9000 < exit fenced i~A
        9000 < B joined 0 gen1 consumer/range leader=i~B me=i~B [i~B/i(t)] skip
        18000 > C heartbeat i~B gen=1
        18000 < C heartbeat 0
        77999 > D describe
        77999 < D described 'g' 0 Stable consumer/range [i~B/i c /127.0.0.1 (t)'a']
        78000 < exit session_timeout i~B
        78000 < rebalance session_timeout after gen1
        78000 < append group=gen2 consumer/- leader=- []
        78000 > wait
        ",
    );
}

#[test]
fn s4_the_rebalance_timeout_is_the_next_processs() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C join instance=i rebalance=30000 session=60000
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' i~C/i(t)'b']
        0 < exit fenced i~B
        0 < C joined 0 gen1 consumer/range leader=c~A me=i~C []
        0 > D heartbeat i~C gen=1
        0 < D heartbeat 0
        0 > E join c~A
        0 < rebalance leader_rejoin after gen1
        30000 < E joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) i~C/i(t)]
        30000 > wait
        ",
    );
}

#[test]
fn s4_with_its_own_id_it_is_a_member_like_any_other() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C join i~B instance=i
        0 < C joined 0 gen1 consumer/range leader=c~A me=i~B []
        0 > D join i~B
        0 < D joined 0 gen1 consumer/range leader=c~A me=i~B []
        0 > E join i~B instance=i protocols=range:u
        0 < rebalance subscription_change after gen1
        0 > F join c~A
        0 < F joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) i~B/i(u)]
        0 < E joined 0 gen2 consumer/range leader=c~A me=i~B []
        ",
    );
}

#[test]
fn s4_with_a_foreign_id_it_is_fenced_and_an_unknown_instance_is_unknown() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C join c~A instance=i
        0 < C joined 82 me=c~A
        0 > D join c~X instance=i
        0 < D joined 82 me=c~X
        0 > E join i~B instance=other
        0 < E joined 25 me=i~B
        0 > F join c~A instance=other
        0 < F joined 25 me=c~A
        ",
    );
}

#[test]
fn s4_after_a_leave_the_id_is_unknown_and_after_the_next_join_fenced() {
    stable(&["A", "B/i"]).tells(
        "
        0 > C leave /i
        0 < exit removed_by_operator i~B
        0 < rebalance member_leave after gen1
        0 < C left 0 [/i:0]
        0 > D heartbeat i~B gen=1 instance=i
        0 < D heartbeat 25
        0 > E join instance=i
        0 > F heartbeat i~B gen=1 instance=i
        0 < F heartbeat 82
        0 > G heartbeat i~B gen=1
        0 < G heartbeat 25
        0 > H join c~A
        0 < H joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) i~E/i(t)]
        0 < E joined 0 gen2 consumer/range leader=c~A me=i~E []
        ",
    );
}

#[test]
fn s4_instances_outlive_the_coordinator() {
    stable(&["A", "B/i"]).tells(
        "
        0 > restart
        0 > load
        0 > C heartbeat i~B gen=1 instance=i
        0 < C heartbeat 0
        0 > D join instance=i
        0 < append group=gen1 consumer/range leader=c~A [c~A(t)'a' i~D/i(t)'b'] mark=32
        0 < exit fenced i~B
        0 < D joined 0 gen1 consumer/range leader=c~A me=i~D []
        0 > E heartbeat i~B gen=1 instance=i
        0 < E heartbeat 82
        ",
    );
}

#[test]
fn s4_a_silent_static_member_goes_with_its_session() {
    stable(&["A", "B/i"]).tells(
        "
        9000 > C heartbeat c~A gen=1
        9000 < C heartbeat 0
        10000 < exit session_timeout i~B
        10000 < rebalance session_timeout after gen1
        10000 > wait
        10001 > D join instance=i
        ",
    );
}

/// Difference: `restart-before-sync`.
#[test]
fn s4_a_restart_before_the_first_sync_costs_no_rebalance_later() {
    // Apache Kafka 4.2.0 goes on waiting for a SyncGroup of the former id, and when that does not come within the rebalance
    // timeout it sends everybody back to join.
    stable(&["A/i"]).tells(
        "
        0 > B join instance=j
        0 < rebalance member_join after gen1
        0 > C join i~A instance=i
        0 < C joined 0 gen2 consumer/range leader=i~A me=i~A [i~A/i(t) j~B/j(t)]
        0 < B joined 0 gen2 consumer/range leader=i~A me=j~B []
        0 > D sync i~A gen=2 plan=i~A:a,j~B:b
        0 < append group=gen2 consumer/range leader=i~A [i~A/i(t)'a' j~B/j(t)'b']
        0 < D synced 0 consumer/range 'a'
        0 < stable gen2 members=2 took=0
        0 > E join instance=j
        0 < append group=gen2 consumer/range leader=i~A [i~A/i(t)'a' j~E/j(t)'b']
        0 < exit fenced j~B
        0 < E joined 0 gen2 consumer/range leader=i~A me=j~E []
        0 > F sync j~E gen=2 instance=j
        0 < F synced 0 consumer/range 'b'
        9000 > G heartbeat i~A gen=2
        9000 < G heartbeat 0
        9000 > H heartbeat j~E gen=2
        9000 < H heartbeat 0
        18000 > I heartbeat i~A gen=2
        18000 < I heartbeat 0
        18000 > J heartbeat j~E gen=2
        18000 < J heartbeat 0
        20001 > K heartbeat i~A gen=2
        20001 < K heartbeat 0
        ",
    );
}

#[test]
fn s4_a_restart_that_never_syncs_is_dropped_like_anybody() {
    stable(&["A/i"]).tells(
        "
        0 > B join instance=j
        0 < rebalance member_join after gen1
        0 > C join i~A instance=i
        0 < C joined 0 gen2 consumer/range leader=i~A me=i~A [i~A/i(t) j~B/j(t)]
        0 < B joined 0 gen2 consumer/range leader=i~A me=j~B []
        0 > D sync i~A gen=2 plan=i~A:a,j~B:b
        0 < append group=gen2 consumer/range leader=i~A [i~A/i(t)'a' j~B/j(t)'b']
        0 < D synced 0 consumer/range 'a'
        0 < stable gen2 members=2 took=0
        0 > E join instance=j
        0 < append group=gen2 consumer/range leader=i~A [i~A/i(t)'a' j~E/j(t)'b']
        0 < exit fenced j~B
        0 < E joined 0 gen2 consumer/range leader=i~A me=j~E []
        9000 > F heartbeat i~A gen=2
        9000 < F heartbeat 0
        9000 > G heartbeat j~E gen=2
        9000 < G heartbeat 0
        18000 > H heartbeat i~A gen=2
        18000 < H heartbeat 0
        18000 > I heartbeat j~E gen=2
        18000 < I heartbeat 0
        20000 < exit rebalance_timeout j~E
        20000 < rebalance rebalance_timeout after gen2
        20000 > J heartbeat j~E gen=2
        20000 < J heartbeat 25
        ",
    );
}
