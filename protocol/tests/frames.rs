//! Cutting a stream into frames, and making frames of messages.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use bytes::Bytes;
use callboard_protocol::frame::{FrameError, FrameReader, encode_request, encode_response};
use callboard_protocol::header::{self, RequestHeader};
use callboard_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use callboard_protocol::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use callboard_protocol::messages::join_group::JoinGroupRequest;
use callboard_protocol::messages::metadata::MetadataResponse;
use callboard_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use callboard_protocol::{ApiKey, Message, RecordBytes, Unwritable};

fn framed(bodies: &[&[u8]]) -> Vec<u8> {
    let mut stream = Vec::new();
    for body in bodies {
        stream.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        stream.extend_from_slice(body);
    }
    stream
}

fn all(frames: &mut FrameReader) -> Vec<Bytes> {
    std::iter::from_fn(|| frames.pop().unwrap()).collect()
}

#[test]
fn frames_come_out_whole_and_in_order_however_the_stream_is_cut() {
    let long = vec![7; 1000];
    let bodies: [&[u8]; 5] = [b"one", b"", b"three", &long, b""];
    let stream = framed(&bodies);
    for step in [1, 2, 3, 5, 7, 64, stream.len()] {
        let mut frames = FrameReader::new(1000);
        let mut seen = Vec::new();
        for chunk in stream.chunks(step) {
            frames.push(chunk);
            seen.extend(all(&mut frames));
        }
        assert_eq!(seen, bodies, "in steps of {step}");
    }
    // All at once, as one shared buffer.
    let mut frames = FrameReader::new(1000);
    frames.push(Bytes::from(stream));
    assert_eq!(all(&mut frames), bodies);
}

#[test]
fn a_frame_is_handed_out_only_when_it_is_whole() {
    let mut frames = FrameReader::new(10);
    for byte in framed(&[b"ab"]).iter().take(5) {
        frames.push([*byte]);
        assert_eq!(frames.pop(), Ok(None));
    }
    frames.push(b"b");
    assert_eq!(frames.pop(), Ok(Some(Bytes::from_static(b"ab"))));
    assert_eq!(frames.pop(), Ok(None));
}

#[test]
fn a_frame_beyond_the_limit_fails_after_those_before_it_and_for_good() {
    let mut frames = FrameReader::new(4);
    frames.push(framed(&[b"abcd"]));
    frames.push(framed(&[b"abcde"]));
    frames.push(framed(&[b"ab"]));
    assert_eq!(frames.pop(), Ok(Some(Bytes::from_static(b"abcd"))));
    let failed = Err(FrameError::TooLarge { bytes: 5, most: 4 });
    assert_eq!(frames.pop(), failed);
    assert_eq!(frames.pop(), failed);
    let mut frames = FrameReader::new(usize::MAX);
    frames.push((-1_i32).to_be_bytes());
    assert_eq!(frames.pop(), Err(FrameError::Negative(-1)));
}

fn header(api_key: ApiKey, api_version: i16) -> RequestHeader<'static> {
    RequestHeader {
        api_key,
        api_version,
        correlation_id: 7,
        client_id: Some("tests".into()),
    }
}

/// The frame without its length, which must be right.
fn unframed(frame: &[u8]) -> &[u8] {
    let (length, rest) = frame.split_first_chunk().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
    rest
}

#[test]
fn requests_are_read_as_they_were_written() {
    for version in JoinGroupRequest::VERSIONS {
        let request = JoinGroupRequest {
            group_id: "billing".into(),
            ..JoinGroupRequest::default()
        };
        let sent = header(ApiKey::JOIN_GROUP, version);
        let frame = encode_request(&sent, &request, version).unwrap();
        let (read, body) = header::read_request(unframed(&frame)).unwrap();
        assert_eq!(read, sent);
        assert_eq!(JoinGroupRequest::decode(body, version).unwrap(), request);
    }
    let huge = RequestHeader {
        client_id: Some("x".repeat(40_000).into()),
        ..header(ApiKey::JOIN_GROUP, 0)
    };
    let error = encode_request(&huge, &JoinGroupRequest::default(), 0).unwrap_err();
    assert_eq!(error.reason, Unwritable::TooLong(40_000));
    assert_eq!(error.field, "client_id");
}

#[test]
fn an_answer_to_apiversions_never_has_tagged_fields_in_its_header() {
    let answer = ApiVersionsResponse::default();
    for version in ApiVersionsRequest::VERSIONS {
        let frame: Bytes = encode_response(7, &answer, version).unwrap();
        let body = header::response_body(unframed(&frame), ApiKey::API_VERSIONS, version).unwrap();
        assert_eq!(body.len(), answer.encoded_size(version));
        assert_eq!(header::correlation_id(unframed(&frame)), Ok(7));
    }
    // Every other API has, from its first flexible version on.
    let frame: Bytes = encode_response(7, &MetadataResponse::default(), 9).unwrap();
    assert_eq!(unframed(&frame)[4], 0);
}

#[test]
fn a_request_of_a_version_nobody_knows_is_read_up_to_what_all_versions_share() {
    let sent = header(ApiKey::API_VERSIONS, 99);
    let frame = encode_request(&sent, &ApiVersionsRequest::default(), 4).unwrap();
    let (read, _) = header::read_request_start(unframed(&frame)).unwrap();
    assert_eq!(read, sent);
    let kind = header::peek(unframed(&frame)).unwrap();
    assert_eq!((kind.api_key, kind.api_version), (ApiKey::API_VERSIONS, 99));
    for cut in 0..4 {
        assert!(header::peek(&unframed(&frame)[..cut]).is_err());
    }
}

fn fetched(records: RecordBytes<'_>) -> FetchResponse<'_> {
    FetchResponse {
        responses: vec![FetchableTopicResponse {
            partitions: vec![PartitionData {
                records: Some(records),
                ..PartitionData::default()
            }],
            ..FetchableTopicResponse::default()
        }],
        ..FetchResponse::default()
    }
}

#[test]
fn long_records_go_out_as_they_are_and_short_ones_are_copied() {
    let long = [Bytes::from(vec![1; 4096]), Bytes::from(vec![2; 9000])];
    let short = Bytes::from_static(b"short");
    let records = vec![long[0].clone(), short, long[1].clone()];
    let answer = fetched(records.into());
    for version in FetchResponse::VERSIONS {
        let pieces: Vec<Bytes> = encode_response(7, &answer, version).unwrap();
        let places: Vec<_> = pieces.iter().map(|piece| piece.as_ptr()).collect();
        // The last piece is what follows the records, if anything does.
        assert!((4..=5).contains(&pieces.len()));
        assert_eq!(places[1], long[0].as_ptr());
        assert_eq!(places[3], long[1].as_ptr());
        let whole: Bytes = encode_response(7, &answer, version).unwrap();
        assert_eq!(pieces.concat(), whole);
        let body = header::response_body(unframed(&whole), ApiKey::FETCH, version).unwrap();
        let read = FetchResponse::decode(body, version).unwrap();
        assert_eq!(read, answer);
        let records = read.responses[0].partitions[0].records.as_ref().unwrap();
        let shared = records.to_bytes(&whole);
        assert!(whole.as_ptr_range().contains(&shared.as_ptr()), "copied");
    }
}

#[test]
fn what_a_version_cannot_say_is_refused_unless_it_may_be_dropped() {
    let mut request = JoinGroupRequest {
        reason: Some("ignorable".into()),
        ..JoinGroupRequest::default()
    };
    assert!(request.encode(0).is_ok());
    request.group_instance_id = Some("static".into());
    let error = request.encode(4).unwrap_err();
    assert_eq!(error.field, "group_instance_id");
    assert_eq!(error.reason, Unwritable::NotInVersion(4));
    assert!(request.encode(5).is_ok());
    let topic = TopicProduceData {
        partition_data: vec![PartitionProduceData::default()],
        ..TopicProduceData::default()
    };
    let produce = ProduceRequest {
        topic_data: vec![topic],
        ..ProduceRequest::default()
    };
    // Records may be null at every version, a topic without a name only at some.
    assert!(produce.encode(3).is_ok());
    let metadata = MetadataResponse {
        topics: vec![
            callboard_protocol::messages::metadata::MetadataResponseTopic {
                name: None,
                ..Default::default()
            },
        ],
        ..MetadataResponse::default()
    };
    assert_eq!(metadata.encode(11).unwrap_err().reason, Unwritable::Null);
    assert!(metadata.encode(12).is_ok());
}
