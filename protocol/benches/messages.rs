//! Messages beside the other codec there is, and what a Fetch answer costs whose records are shared.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench has nobody to tell")]

use std::hint::black_box;

use bytes::Bytes;
use callboard_protocol::Message;
use callboard_protocol::frame::encode_response;
use callboard_protocol::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use callboard_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use criterion::{Criterion, criterion_group, criterion_main};
use kafka_protocol::messages as peer;
use kafka_protocol::protocol::{Decodable, Encodable};

const VERSION: i16 = 9;

fn join() -> JoinGroupRequest<'static> {
    let protocol = |name: &'static str| JoinGroupRequestProtocol {
        name: name.into(),
        metadata: vec![7; 100].into(),
        ..JoinGroupRequestProtocol::default()
    };
    JoinGroupRequest {
        group_id: "billing".into(),
        member_id: "rdkafka-5a1f7c9e-1f7b-4a58-8d3c-2c1e9f0a7b66".into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range"), protocol("cooperative-sticky")],
        ..JoinGroupRequest::default()
    }
}

fn commit() -> OffsetCommitRequest<'static> {
    let partition = |index: i32| OffsetCommitRequestPartition {
        partition_index: index,
        committed_offset: 1000,
        committed_metadata: Some("".into()),
        ..OffsetCommitRequestPartition::default()
    };
    OffsetCommitRequest {
        group_id: "billing".into(),
        topics: vec![OffsetCommitRequestTopic {
            name: "orders".into(),
            partitions: (0..100).map(partition).collect(),
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

fn fetched(records: &Bytes) -> FetchResponse<'static> {
    let partition = |index: i32| PartitionData {
        partition_index: index,
        records: Some(records.clone().into()),
        ..PartitionData::default()
    };
    FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: "orders".into(),
            partitions: (0..10).map(partition).collect(),
            ..FetchableTopicResponse::default()
        }],
        ..FetchResponse::default()
    }
}

fn both<'a, P: Decodable + Encodable>(
    bench: &mut Criterion,
    name: &str,
    bytes: &'a Bytes,
    decode: impl Fn(&'a [u8]) -> Bytes,
) {
    let mut group = bench.benchmark_group(name);
    group.bench_function("ours", |bench| bench.iter(|| decode(black_box(bytes))));
    group.bench_function("kafka-protocol", |bench| {
        bench.iter(|| {
            let message = P::decode(&mut black_box(bytes).clone(), VERSION).unwrap();
            let mut out = bytes::BytesMut::with_capacity(bytes.len());
            message.encode(&mut out, VERSION).unwrap();
            out.freeze()
        });
    });
    group.finish();
}

fn messages(bench: &mut Criterion) {
    let bytes = join().encode(VERSION).unwrap();
    both::<peer::JoinGroupRequest>(bench, "JoinGroup, read and written", &bytes, |bytes| {
        let message = JoinGroupRequest::decode(bytes, VERSION).unwrap();
        message.encode(VERSION).unwrap()
    });
    let bytes = commit().encode(VERSION).unwrap();
    let name = "OffsetCommit of 100 partitions, read and written";
    both::<peer::OffsetCommitRequest>(bench, name, &bytes, |bytes| {
        let message = OffsetCommitRequest::decode(bytes, VERSION).unwrap();
        message.encode(VERSION).unwrap()
    });
    let records = Bytes::from(vec![7; 100 * 1024]);
    let answer = fetched(&records);
    let mut group = bench.benchmark_group("Fetch answer of 10 x 100 KiB, written");
    group.bench_function("in pieces", |bench| {
        bench.iter(|| encode_response::<_, Vec<Bytes>>(1, black_box(&answer), 12).unwrap());
    });
    group.bench_function("in one", |bench| {
        bench.iter(|| encode_response::<_, Bytes>(1, black_box(&answer), 12).unwrap());
    });
    group.finish();
}

criterion_group!(benches, messages);
criterion_main!(benches);
