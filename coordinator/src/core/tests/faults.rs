//! Where Kafka 4.2.0 leaves somebody waiting for ever, or lets one member break the group: ours does not.

use std::collections::BTreeSet;

use bytes::Bytes;
use callboard_protocol::ErrorCode;

use super::kit::{house, join, old_join, protocols, subscription};
use crate::request::JoinGroup;

#[test]
fn a_superseded_join_is_answered() {
    let mut house = house();
    let ids = house.form(2);
    let first = house.join(join(&ids[0]));
    let second = house.join(join(&ids[0]));
    let first = first.answer();
    assert_eq!(
        (first.error, &*first.member_id),
        (ErrorCode::REBALANCE_IN_PROGRESS, ids[0].as_str())
    );
    house.join(join(&ids[1]));
    assert_eq!(second.answer().generation_id, 2);
}

#[test]
fn a_superseded_sync_is_answered() {
    let mut house = house();
    let (leader, _) = house.newcomer();
    let (follower, _) = house.newcomer();
    house.advance(1000);
    let first = house.sync(&follower, 1, &[]);
    let second = house.sync(&follower, 1, &[]);
    assert_eq!(first.answer().error, ErrorCode::REBALANCE_IN_PROGRESS);
    house.sync(&leader, 1, &[(&follower, "f")]);
    assert_eq!(second.answer().assignment.as_ref(), b"f");
}

/// Difference: `left-while-syncing`.
#[test]
fn a_member_that_leaves_while_it_syncs_is_answered() {
    let mut house = house();
    let _leader = house.newcomer();
    let (follower, _) = house.newcomer();
    house.advance(1000);
    let parked = house.sync(&follower, 1, &[]);
    house.leave(&follower);
    assert_eq!(parked.answer().error, ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_protocol_listed_twice_breaks_nothing() {
    let mut house = house();
    let one = house.join(JoinGroup {
        protocols: protocols(&["a", "a", "b"]),
        ..old_join()
    });
    let other = house.join(JoinGroup {
        protocols: protocols(&["b", "b"]),
        ..old_join()
    });
    house.advance(1000);
    assert_eq!(one.answer().protocol_name.as_deref(), Some("b"));
    assert_eq!(other.answer().error, ErrorCode::NONE);
}

#[test]
fn metadata_that_does_not_parse_breaks_nothing() {
    let broken: [&[u8]; 6] = [
        b"",
        b"\0",
        b"nonsense",
        // An array of two thousand million topics.
        &[0, 0, 0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0xff, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0, 0, 1, 0xff, 0xff],
    ];
    for metadata in broken {
        let mut house = house();
        house.create("t", 1);
        let mut request = old_join();
        request.protocols[0].metadata = Bytes::copy_from_slice(metadata);
        let parked = house.join(request);
        house.advance(500);
        let joined = parked.answer();
        assert_eq!(joined.error, ErrorCode::NONE, "{metadata:?}");
        house.plan(&[joined.member_id.to_string()], 1);
        // What it reads is not known, so it may be anything.
        let deleted = house.delete_offsets("t").answer();
        assert_eq!(
            deleted.topics[0].partitions,
            [(0, ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC)]
        );
    }
}

#[test]
fn the_same_members_get_the_same_answers_every_time() {
    let run = || {
        let mut house = house();
        let mut parked = Vec::new();
        for names in [["a", "b"], ["b", "a"], ["c", "a"], ["b", "c"]] {
            let mut request = old_join();
            request.protocols = protocols(&names);
            request.protocols[0].metadata = subscription(&[names[0]]);
            parked.push(house.join(request));
        }
        house.advance(2000);
        parked
            .iter()
            .map(|parked| format!("{:?}", parked.answer()))
            .collect::<Vec<_>>()
    };
    let runs: BTreeSet<_> = (0..10).map(|_| run()).collect();
    assert_eq!(runs.len(), 1);
}
