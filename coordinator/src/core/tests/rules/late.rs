//! A coordinator that comes late to its deadlines (3.8): whoever waits for it is not dead for that.

use super::super::tale::{preparing, stable};

#[test]
fn s3_8_every_session_is_given_the_time_nobody_was_heard() {
    stable(&["A", "B"]).tells(
        "
        9000 > late 5000
        14000 > C heartbeat c~A gen=1
        14000 < C heartbeat 0
        20000 < exit session_timeout c~B
        20000 < rebalance session_timeout after gen1
        20000 > wait
        23999 > D heartbeat c~A gen=1
        23999 < D heartbeat 27
        ",
    );
}

#[test]
fn s3_8_being_late_twice_counts_twice() {
    stable(&["A"]).tells(
        "
        9000 > late 5000
        19001 > late 700
        21399 > C heartbeat c~A gen=1
        21399 < C heartbeat 0
        31399 < exit session_timeout c~A
        31399 < rebalance session_timeout after gen1
        31399 < append group=gen2 consumer/- leader=- []
        31399 > wait
        ",
    );
}

/// Who was given time and did not speak in it is dead, however late that is seen.
#[test]
fn s3_8_a_coordinator_that_is_always_late_ends_a_session() {
    stable(&["A"]).tells(
        "
        9999 > late 1001
        12001 > late 1001
        13003 < exit session_timeout c~A
        13003 < rebalance session_timeout after gen1
        13003 < append group=gen2 consumer/- leader=- []
        13003 > wait
        ",
    );
}

/// The JoinGroup of who was asked to come back waits in the same line as the heartbeats.
#[test]
fn s3_8_a_join_phase_is_given_it_too() {
    preparing(&["A", "B"]).tells(
        "
        9000 > late 30000
        39000 > C join c~B
        39000 < L joined 0 gen2 consumer/range leader=c~A me=c~A [c~A(t) c~B(t)]
        39000 < C joined 0 gen2 consumer/range leader=c~A me=c~B []
        ",
    );
}

#[test]
fn s3_8_so_is_an_id_that_was_given_out() {
    stable(&["A"]).tells(
        "
        0 > B join
        0 < B joined 79 me=c~B
        9000 > late 5000
        14000 > C heartbeat c~A gen=1
        14000 < C heartbeat 0
        19999 > D join c~B
        19999 < rebalance member_join after gen1
        ",
    );
}
