//! What Kafka's own readers let pass passes, and what they refuse is refused (tried with the classes of 4.2.0).

use std::borrow::Cow;

use crate::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::messages::fetch::{FetchPartition, FetchRequest};
use crate::messages::{
    HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest, JoinGroupResponse, MetadataRequest,
    OffsetDeleteRequest,
};
use crate::{Malformed, Message};

fn reason<'a, M: Message<'a> + std::fmt::Debug>(bytes: &'a [u8], version: i16) -> Malformed {
    M::decode(bytes, version).expect_err("refused").reason
}

#[test]
fn any_negative_length_is_null_where_null_may_be_and_refused_elsewhere() {
    for length in [-1_i16, -2, i16::MIN] {
        let [high, low] = length.to_be_bytes();
        let body = [high, low, 0, 0, 0, 1];
        let read = InitProducerIdRequest::decode(&body, 0).unwrap();
        assert_eq!(read.transactional_id, None);
        assert_eq!(reason::<HeartbeatRequest<'_>>(&body, 0), Malformed::Null);
    }
    for count in [-1_i32, -2, i32::MIN] {
        let body = count.to_be_bytes();
        assert_eq!(MetadataRequest::decode(&body, 1).unwrap().topics, None);
        assert_eq!(reason::<MetadataRequest<'_>>(&body, 0), Malformed::Null);
    }
    // Flexible: length plus one, which wraps as Java's integers do.
    for raw in [
        &[0][..],
        &[0x81, 0x80, 0x80, 0x80, 0x08],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
    ] {
        let body = [raw, &[0, 0, 0, 1, 0]].concat();
        let read = InitProducerIdRequest::decode(&body, 2).unwrap();
        assert_eq!(read.transactional_id, None, "{raw:x?}");
    }
}

#[test]
fn lengths_and_counts_beyond_the_end_are_refused() {
    assert_eq!(
        reason::<HeartbeatRequest<'_>>(&[0, 9, b'g'], 0),
        Malformed::Truncated
    );
    assert_eq!(
        reason::<HeartbeatRequest<'_>>(&[9, b'g'], 4),
        Malformed::Truncated
    );
    let body = [0, 1, b'g', 0, 0, 0, 3, 0, 0, 0, 0, 0, 0];
    // Three topics of at least six bytes in six.
    assert_eq!(
        reason::<OffsetDeleteRequest<'_>>(&body, 0),
        Malformed::Count { count: 3 }
    );
    assert_eq!(
        reason::<HeartbeatRequest<'_>>(&[0xff; 6], 4),
        Malformed::Varint
    );
}

#[test]
fn a_bool_other_than_zero_is_true() {
    for byte in [1, 2, 0x80, 0xff] {
        let body = [0xff, 0xff, 0xff, 0xff, byte];
        assert!(
            MetadataRequest::decode(&body, 4)
                .unwrap()
                .allow_auto_topic_creation
        );
    }
}

#[test]
fn what_is_no_utf8_is_replaced_and_what_is_borrows() {
    let body = [0, 3, b'a', 0xff, b'b', 0, 0, 0, 1, 0, 1, b'm'];
    let read = HeartbeatRequest::decode(&body, 0).unwrap();
    assert_eq!(read.group_id, "a\u{fffd}b");
    assert!(matches!(read.member_id, Cow::Borrowed("m")));
}

#[test]
fn tags_twice_or_in_descending_order_are_taken_and_the_later_one_wins() {
    let mut body = ApiVersionsResponse::default().encode(3).unwrap().to_vec();
    assert_eq!(body.pop(), Some(0));
    let epoch = |value: u8| [&[1, 8][..], &[0; 7], &[value]].concat();
    // zk_migration_ready, then the epoch twice, then one that nobody knows.
    body.extend([&[4, 3, 1, 1][..], &epoch(5), &epoch(6), &[99, 2, 1, 2]].concat());
    let read = ApiVersionsResponse::decode(&body, 3).unwrap();
    assert!(read.zk_migration_ready);
    assert_eq!(read.finalized_features_epoch, 6);
}

#[test]
fn the_announced_size_of_a_known_tag_is_not_looked_at() {
    let body = [1, 0xff, 0x01, 0, 0, 0, 0, 0, 0, 0, 9];
    let mut whole = ApiVersionsResponse::default().encode(3).unwrap().to_vec();
    whole.pop();
    whole.push(1);
    whole.extend(body);
    assert_eq!(
        ApiVersionsResponse::decode(&whole, 3)
            .unwrap()
            .finalized_features_epoch,
        9
    );
    // The size of an unknown one is.
    let unknown = [1, 1, 1, 99, 2, 0];
    assert_eq!(
        reason::<ApiVersionsRequest<'_>>(&unknown, 3),
        Malformed::Truncated
    );
}

#[test]
fn a_tag_count_with_the_top_bit_reads_as_none_and_one_that_cannot_be_is_refused() {
    let none = [1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(ApiVersionsRequest::decode(&none, 3).is_ok());
    let many = [1, 1, 2, 0, 0, 0];
    assert_eq!(
        reason::<ApiVersionsRequest<'_>>(&many, 3),
        Malformed::Count { count: 2 }
    );
}

#[test]
fn what_a_version_does_not_have_reads_as_its_default() {
    let request = FetchRequest {
        session_epoch: 7,
        rack_id: "rack".into(),
        ..FetchRequest::default()
    };
    let bytes = request.encode(4).unwrap();
    let read = FetchRequest::decode(&bytes, 4).unwrap();
    assert_eq!((read.session_epoch, &*read.rack_id), (-1, ""));
    assert_eq!(read.max_bytes, i32::MAX);
    assert_eq!(FetchPartition::default().high_watermark, i64::MAX);
    assert_eq!(JoinGroupRequest::default().rebalance_timeout_ms, -1);
    // No default and a type that may be null: empty, not null.
    assert_eq!(
        JoinGroupResponse::default().protocol_name.as_deref(),
        Some("")
    );
    assert_eq!(JoinGroupResponse::default().protocol_type, None);
    assert_eq!(MetadataRequest::default().topics, Some(Vec::new()));
}
