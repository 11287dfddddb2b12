//! What is written into a data directory, and what a broker must find in it. The directory of a version is written once, by
//! that version, and read by every later one: what is told here may grow, and what stands here does not change.
//!
//! * Topics: `plain` (two partitions, batches as they are), `packed` (a batch of each codec), `once` (an idempotent
//!   producer), `trimmed` (its first records are gone), `gone` (deleted, with what was committed for it).
//! * Groups: `simple` (commits of nobody's), `together` (a member with an assignment), `left` (it had one), `deleted`, and
//!   `busy`, whose commits are so many that its partition of `__consumer_offsets` is compacted.

use std::path::Path;
use std::time::Duration;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use callboard_protocol::messages::delete_topics::DeleteTopicsRequest;
use callboard_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use callboard_protocol::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use callboard_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use callboard_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use callboard_protocol::messages::metadata::MetadataRequestTopic;
use callboard_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use callboard_protocol::messages::offset_fetch::OffsetFetchRequest;
use callboard_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use callboard_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use callboard_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, InitProducerIdRequest, ListGroupsRequest,
    MetadataRequest,
};
use callboard_protocol::records::{BatchBuilder, BatchIter, Compression, DecompressLimit};

use super::wire::{Client, PATIENCE};

/// What the broker is configured with while the directory is written: small files, and compaction that does not wait.
pub const WRITING: &[(&str, &str)] = &[
    ("offsets.topic.segment.bytes", "16384"),
    ("offsets.topic.num.partitions", "5"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("log.cleaner.backoff.ms", "1"),
    ("callboard.offsets.compaction.min.bytes", "8192"),
    ("callboard.offsets.compaction.pinned.bytes", "0"),
    ("log.retention.check.interval.ms", "20"),
];
/// And while it is read, years later perhaps.
pub const READING: &[(&str, &str)] = &[
    ("offsets.topic.segment.bytes", "16384"),
    ("offsets.topic.num.partitions", "5"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("offsets.retention.minutes", "2147483647"),
];

const CODECS: [Compression; 4] = [
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];
const TIMESTAMP: i64 = 1_764_000_000_000;
const SESSION_MS: i32 = 1_800_000;

/// The first process: everything but what the second adds.
pub async fn write(address: &str, data: &Path) {
    let mut client = Client::connect(address).await;
    create(&mut client, "plain", 2, &[("retention.ms", "-1")]).await;
    create(&mut client, "packed", 1, &[("retention.ms", "-1")]).await;
    create(&mut client, "once", 1, &[("retention.ms", "-1")]).await;
    create(&mut client, "gone", 1, &[]).await;
    let short = [("retention.ms", "1"), ("segment.ms", "1")];
    create(&mut client, "trimmed", 1, &short).await;

    for (at, value) in ["a", "b", "c"].iter().enumerate() {
        let offset = produce(&mut client, "plain", 0, Compression::None, None, value).await;
        assert_eq!(offset, at as i64);
    }
    produce(&mut client, "plain", 1, Compression::None, None, "d").await;
    for codec in CODECS {
        let value = "packed ".repeat(40);
        produce(&mut client, "packed", 0, codec, None, &value).await;
    }
    let id = init(&mut client).await;
    for sequence in 0..3 {
        let producer = Some((id, sequence));
        produce(&mut client, "once", 0, Compression::None, producer, "e").await;
    }
    produce(&mut client, "gone", 0, Compression::None, None, "f").await;
    let trimmed = async {
        let mut timestamp = TIMESTAMP;
        while start_of(&mut client, "trimmed").await == 0 {
            // Files are rolled by the records' time.
            timestamp += 1_000;
            let mut batch = BatchBuilder::new(0, Compression::None);
            batch.push(timestamp, None, Some(b"g"), &[]);
            send(&mut client, "trimmed", 0, batch).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, trimmed).await.unwrap();

    commit(&mut client, "simple", "plain", 0, 2, "note").await;
    commit(&mut client, "simple", "plain", 1, 1, "").await;
    commit(&mut client, "simple", "gone", 0, 1, "").await;
    commit(&mut client, "deleted", "plain", 0, 1, "").await;
    let deleted = DeleteGroupsRequest {
        groups_names: vec!["deleted".into()],
        ..Default::default()
    };
    let code = client.ask(&deleted, 2, |_, answer| answer.results[0].error_code);
    assert_eq!(code.await, 0);
    assert_eq!(join(&mut client, "together").await, 1);
    assert_eq!(join(&mut client, "left").await, 1);
    leave(&mut client, "left").await;

    // Until the partition was compacted and a segment has gone.
    let offsets = data.join("offsets");
    let compacted = async {
        let there = || {
            let names = std::fs::read_dir(&offsets).unwrap();
            names.into_iter().any(|name| {
                let name = name.unwrap().file_name();
                name.to_string_lossy().ends_with(".snapshot")
            }) && offsets.join("log.start").exists()
        };
        while !there() {
            for partition in 0..2 {
                commit(&mut client, "busy", "plain", partition, 1, "still").await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, compacted).await.unwrap();
    let gone = DeleteTopicsRequest {
        topic_names: vec!["gone".into()],
        timeout_ms: 30_000,
        ..Default::default()
    };
    let code = client.ask(&gone, 5, |_, answer| answer.responses[0].error_code);
    assert_eq!(code.await, 0);
    // What was committed for it goes behind its answer.
    let forgotten = async {
        while committed(&mut client, "simple").await.len() == 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.unwrap();
}

/// The second process, behind an orderly end of the first.
pub async fn write_on(address: &str) {
    let mut client = Client::connect(address).await;
    produce(&mut client, "plain", 0, Compression::None, None, "h").await;
    commit(&mut client, "simple", "plain", 0, 3, "note").await;
}

/// The leader epochs of `plain`. Partition 0 was written to before the end without any, partition 1 was not.
pub async fn epochs(address: &str) -> Vec<i32> {
    let mut client = Client::connect(address).await;
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some("plain".into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    client
        .ask(&request, 12, |_, answer| {
            let mut partitions: Vec<_> = answer.topics[0]
                .partitions
                .iter()
                .map(|one| (one.partition_index, one.leader_epoch))
                .collect();
            partitions.sort_unstable();
            partitions.into_iter().map(|(_, epoch)| epoch).collect()
        })
        .await
}

/// Everything is there, and goes on.
pub async fn read(address: &str) {
    let mut client = Client::connect(address).await;
    let topics = client
        .ask(
            &MetadataRequest {
                topics: None,
                ..Default::default()
            },
            12,
            |_, answer| {
                let mut topics: Vec<_> = answer
                    .topics
                    .iter()
                    .map(|topic| {
                        let name = topic.name.as_deref().unwrap_or_default().to_owned();
                        (name, topic.partitions.len())
                    })
                    .collect();
                topics.sort();
                topics
            },
        )
        .await;
    let expected = [
        ("__consumer_offsets", 5),
        ("once", 1),
        ("packed", 1),
        ("plain", 2),
        ("trimmed", 1),
    ];
    assert_eq!(
        topics,
        expected.map(|(name, count)| (name.to_owned(), count))
    );

    assert_eq!(
        values(&mut client, "plain", 0).await.0,
        ["a", "b", "c", "h"]
    );
    assert_eq!(values(&mut client, "plain", 1).await.0, ["d"]);
    let packed = values(&mut client, "packed", 0).await.0;
    assert_eq!(packed, vec!["packed ".repeat(40); CODECS.len()]);
    assert!(start_of(&mut client, "trimmed").await > 0);
    let (once, id) = values(&mut client, "once", 0).await;
    // Whoever read it before has left one more.
    assert!((3..=4).contains(&once.len()) && once.iter().all(|value| value == "e"));
    // The last batch once more: it is there. The next is not.
    for (sequence, offset) in [(2, 2), (3, 3)] {
        let producer = Some((id, sequence));
        let at = produce(&mut client, "once", 0, Compression::None, producer, "e").await;
        assert_eq!(at, offset);
    }
    assert!(init(&mut client).await > id, "an id is given out once");

    let simple = [(0, 3, "note"), (1, 1, "")];
    assert_eq!(
        committed(&mut client, "simple").await,
        simple.map(|(at, offset, note)| ("plain".to_owned(), at, offset, note.to_owned()))
    );
    let busy = committed(&mut client, "busy").await;
    assert_eq!(
        busy,
        [0, 1].map(|at| ("plain".to_owned(), at, 1, "still".to_owned()))
    );
    let groups = client
        .ask(&ListGroupsRequest::default(), 4, |_, answer| {
            let mut groups: Vec<_> = answer
                .groups
                .iter()
                .map(|group| format!("{} {}", group.group_id, group.group_state))
                .collect();
            groups.sort();
            groups
        })
        .await;
    let expected = [
        "busy Empty",
        "left Empty",
        "simple Empty",
        "together Stable",
    ];
    assert_eq!(groups, expected);
    let together = DescribeGroupsRequest {
        groups: vec!["together".into()],
        ..Default::default()
    };
    client
        .ask(&together, 5, |_, answer| {
            let [member] = &answer.groups[0].members[..] else {
                panic!("one member: {answer:?}");
            };
            assert_eq!(&member.member_metadata[..], b"metadata");
            assert_eq!(&member.member_assignment[..], b"assignment");
        })
        .await;
    // No generation is given out twice.
    let next = join(&mut client, "left").await;
    assert!(next > 1, "{next}");
    leave(&mut client, "left").await;
}

async fn create(
    client: &mut Client,
    name: &'static str,
    partitions: i32,
    configs: &[(&'static str, &'static str)],
) {
    let config = |(name, value): &(&'static str, &'static str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let code = client.ask(&request, 5, |_, answer| answer.topics[0].error_code);
    assert_eq!(ErrorCode(code.await), ErrorCode::NONE);
}

/// Produces a batch of one record, perhaps as that sequence of an idempotent producer. Where it lies.
async fn produce(
    client: &mut Client,
    topic: &'static str,
    index: i32,
    codec: Compression,
    producer: Option<(i64, i32)>,
    value: &str,
) -> i64 {
    let mut batch = BatchBuilder::new(0, codec);
    if let Some((id, sequence)) = producer {
        batch = batch.producer(id, 0, sequence);
    }
    batch.push(TIMESTAMP, None, Some(value.as_bytes()), &[]);
    send(client, topic, index, batch).await
}

async fn send(client: &mut Client, topic: &'static str, index: i32, batch: BatchBuilder) -> i64 {
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData {
                index,
                records: Some(batch.build().unwrap().into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let (code, offset) = client
        .ask(&request, 9, |_, answer| {
            let partition = &answer.responses[0].partition_responses[0];
            (partition.error_code, partition.base_offset)
        })
        .await;
    assert_eq!(ErrorCode(code), ErrorCode::NONE);
    offset
}

async fn init(client: &mut Client) -> i64 {
    let request = InitProducerIdRequest {
        transactional_id: None,
        ..Default::default()
    };
    let (code, id) = client
        .ask(&request, 1, |_, answer| {
            (answer.error_code, answer.producer_id)
        })
        .await;
    assert_eq!(ErrorCode(code), ErrorCode::NONE);
    id
}

async fn start_of(client: &mut Client, topic: &'static str) -> i64 {
    let request = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition {
                timestamp: -2,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let (code, offset) = client
        .ask(&request, 7, |_, answer| {
            let partition = &answer.topics[0].partitions[0];
            (partition.error_code, partition.offset)
        })
        .await;
    assert_eq!(ErrorCode(code), ErrorCode::NONE);
    offset
}

/// The values of a partition, and the producer id of its last batch.
async fn values(client: &mut Client, topic: &'static str, partition: i32) -> (Vec<String>, i64) {
    let request = FetchRequest {
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: vec![FetchPartition {
                partition,
                partition_max_bytes: 1_000_000,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let bytes = client
        .ask(&request, 12, |frame, answer| {
            let partition = &answer.responses[0].partitions[0];
            assert_eq!(ErrorCode(partition.error_code), ErrorCode::NONE);
            partition.records.as_ref().unwrap().to_bytes(frame)
        })
        .await;
    let (mut values, mut id) = (Vec::new(), -1);
    for batch in BatchIter::new(bytes) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        id = batch.header().producer_id;
        for record in batch.records(DecompressLimit::new(100_000)).unwrap() {
            let value = record.unwrap().value.unwrap();
            values.push(String::from_utf8(value.to_vec()).unwrap());
        }
    }
    (values, id)
}

async fn commit(
    client: &mut Client,
    group: &'static str,
    topic: &'static str,
    partition_index: i32,
    committed_offset: i64,
    metadata: &'static str,
) {
    let request = OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index,
                committed_offset,
                committed_metadata: Some(metadata.into()),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let code = client.ask(&request, 8, |_, answer| {
        answer.topics[0].partitions[0].error_code
    });
    assert_eq!(ErrorCode(code.await), ErrorCode::NONE);
}

/// Topic, partition, offset and metadata of everything a group has committed.
async fn committed(client: &mut Client, group: &'static str) -> Vec<(String, i32, i64, String)> {
    let request = OffsetFetchRequest {
        group_id: group.into(),
        topics: None,
        ..Default::default()
    };
    client
        .ask(&request, 7, |_, answer| {
            assert_eq!(ErrorCode(answer.error_code), ErrorCode::NONE);
            let mut all = Vec::new();
            for topic in &answer.topics {
                for partition in &topic.partitions {
                    let metadata = partition.metadata.as_deref().unwrap_or_default();
                    all.push((
                        topic.name.to_string(),
                        partition.partition_index,
                        partition.committed_offset,
                        metadata.to_owned(),
                    ));
                }
            }
            all.sort();
            all
        })
        .await
}

/// A static member joins as leader and brings its plan. Its generation.
async fn join(client: &mut Client, group: &'static str) -> i32 {
    let request = JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: SESSION_MS,
        group_instance_id: Some("instance".into()),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: (&b"metadata"[..]).into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let (code, generation_id, member_id) = client
        .ask(&request, 5, |_, answer| {
            let member_id = answer.member_id.to_string();
            (answer.error_code, answer.generation_id, member_id)
        })
        .await;
    assert_eq!(ErrorCode(code), ErrorCode::NONE);
    let request = SyncGroupRequest {
        group_id: group.into(),
        generation_id,
        member_id: member_id.clone().into(),
        group_instance_id: Some("instance".into()),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: member_id.into(),
            assignment: (&b"assignment"[..]).into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let code = client.ask(&request, 3, |_, answer| answer.error_code);
    assert_eq!(ErrorCode(code.await), ErrorCode::NONE);
    generation_id
}

async fn leave(client: &mut Client, group: &'static str) {
    let request = LeaveGroupRequest {
        group_id: group.into(),
        members: vec![MemberIdentity {
            group_instance_id: Some("instance".into()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let code = client.ask(&request, 3, |_, answer| answer.error_code);
    assert_eq!(ErrorCode(code.await), ErrorCode::NONE);
}
