//! The topics' side: produce, fetch, offsets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_protocol::header::RequestHeader;
use callboard_protocol::messages::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use callboard_protocol::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use callboard_protocol::messages::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use callboard_protocol::records::BatchIter;
use callboard_protocol::{ApiKey, ErrorCode, Uuid};

use super::{parse, reply, topic_id};
use crate::testing::{Log, Shared, World};

pub(super) fn list_offsets(
    world: &World,
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
    let request: ListOffsetsRequest<'_> = parse(body, version)?;
    let topics = request
        .topics
        .iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: topic.name.to_string().into(),
            partitions: topic
                .partitions
                .iter()
                .map(|one| {
                    let log = world
                        .topics
                        .get(&*topic.name)
                        .and_then(|logs| logs.get(usize::try_from(one.partition_index).ok()?));
                    let first =
                        |log: &Log| log.batches.first().map_or(log.next, |(base, _, _)| *base);
                    let offset = log.map_or(-1, |log| {
                        if one.timestamp == -2 {
                            first(log)
                        } else {
                            log.next
                        }
                    });
                    ListOffsetsPartitionResponse {
                        partition_index: one.partition_index,
                        error_code: match world.refusal(&topic.name, fault) {
                            ErrorCode::NONE => check_epoch(log, one.current_leader_epoch).0,
                            fault => fault.0,
                        },
                        offset,
                        leader_epoch: log.map_or(-1, |log| log.leader_epoch),
                        ..ListOffsetsPartitionResponse::default()
                    }
                })
                .collect(),
            ..ListOffsetsTopicResponse::default()
        })
        .collect();
    let answer = ListOffsetsResponse {
        topics,
        ..ListOffsetsResponse::default()
    };
    reply(id, version, &answer)
}

/// What a client that believes in this leader epoch is answered (KIP-320).
fn check_epoch(log: Option<&Log>, believed: i32) -> ErrorCode {
    match log {
        Some(log) if believed >= 0 && believed < log.leader_epoch => ErrorCode::FENCED_LEADER_EPOCH,
        Some(log) if believed > log.leader_epoch => ErrorCode::UNKNOWN_LEADER_EPOCH,
        _ => ErrorCode::NONE,
    }
}

pub(super) fn produce(
    world: &mut World,
    fault: ErrorCode,
    version: i16,
    id: i32,
    body: &[u8],
) -> io::Result<Bytes> {
    let request: ProduceRequest<'_> = parse(body, version)?;
    let mut responses = Vec::new();
    for topic in &request.topic_data {
        let mut partition_responses = Vec::new();
        for data in &topic.partition_data {
            let records = data
                .records
                .as_ref()
                .map(|records| records.to_vec())
                .unwrap_or_default();
            let (code, base_offset) = match world.refusal(&topic.name, fault) {
                ErrorCode::NONE => append(world, &topic.name, data.index, records.into()),
                fault => (fault, -1),
            };
            partition_responses.push(PartitionProduceResponse {
                index: data.index,
                error_code: code.0,
                base_offset,
                ..PartitionProduceResponse::default()
            });
        }
        responses.push(TopicProduceResponse {
            name: topic.name.to_string().into(),
            partition_responses,
            ..TopicProduceResponse::default()
        });
    }
    let answer = ProduceResponse {
        responses,
        ..ProduceResponse::default()
    };
    reply(id, version, &answer)
}

/// Appends a producer's batch if its sequence is the next one. The batch keeps the offsets the producer wrote.
fn append(world: &mut World, topic: &str, partition: i32, batch: Bytes) -> (ErrorCode, i64) {
    let log = world
        .topics
        .get_mut(topic)
        .and_then(|logs| logs.get_mut(usize::try_from(partition).ok()?));
    let Some(log) = log else {
        return (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1);
    };
    if world
        .message_bytes_max
        .get(topic)
        .is_some_and(|max| batch.len() > *max)
    {
        return (ErrorCode::MESSAGE_TOO_LARGE, -1);
    }
    let Some(Ok(first)) = BatchIter::new(batch.clone()).next() else {
        return (ErrorCode::CORRUPT_MESSAGE, -1);
    };
    let header = first.header();
    let count = header.last_offset_delta + 1;
    if header.producer_id >= 0 {
        let expected = match log.producer {
            Some((id, next)) if id == header.producer_id => next,
            _ => 0,
        };
        if header.base_sequence < expected {
            return (ErrorCode::DUPLICATE_SEQUENCE_NUMBER, -1);
        }
        if header.base_sequence > expected {
            return (ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
        }
        log.producer = Some((header.producer_id, expected + count));
    }
    let base = log.next;
    log.next += i64::from(count);
    log.batches.push((base, log.next, batch));
    (ErrorCode::NONE, base)
}

/// Whatever there is from the offsets asked for; if that is nothing, what comes within the wait.
/// Answers a Fetch; one that finds nothing waits.
pub(in crate::testing) async fn fetch(
    shared: &Arc<Shared>,
    head: &RequestHeader<'_>,
    body: &[u8],
) -> io::Result<Bytes> {
    let (version, id) = (head.api_version, head.correlation_id);
    let request: FetchRequest<'_> = parse(body, version)?;
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let (answer, ready) = {
            let mut world = shared.world();
            let fault = world.fault(ApiKey::FETCH);
            fetch_now(&world, fault, &request, version)
        };
        if ready || tokio::time::Instant::now() >= deadline {
            return reply(id, version, &answer);
        }
        tokio::select! {
            () = &mut changed => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

fn fetch_now(
    world: &World,
    fault: ErrorCode,
    request: &FetchRequest<'_>,
    version: i16,
) -> (FetchResponse<'static>, bool) {
    let mut ready = false;
    let mut responses = Vec::new();
    for topic in &request.topics {
        let name = if version >= 13 {
            world
                .topics
                .keys()
                .find(|name| topic_id(world, name) == topic.topic_id)
                .cloned()
                .unwrap_or_default()
        } else {
            topic.topic.to_string()
        };
        let fault = world.refusal(&name, fault);
        let mut partitions = Vec::new();
        for one in &topic.partitions {
            let log = world
                .topics
                .get(&name)
                .and_then(|logs| logs.get(usize::try_from(one.partition).ok()?));
            let mut data = PartitionData {
                partition_index: one.partition,
                error_code: fault.0,
                preferred_read_replica: -1,
                aborted_transactions: None,
                ..PartitionData::default()
            };
            if log.is_none() && fault == ErrorCode::NONE {
                data.error_code = if version >= 13 {
                    ErrorCode::UNKNOWN_TOPIC_ID.0
                } else {
                    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0
                };
            }
            ready |= data.error_code != ErrorCode::NONE.0;
            if let Some(log) = log.filter(|_| fault == ErrorCode::NONE) {
                data.high_watermark = log.next;
                let first = log.batches.first().map_or(log.next, |(base, _, _)| *base);
                let epoch = check_epoch(Some(log), one.current_leader_epoch);
                if epoch != ErrorCode::NONE {
                    data.error_code = epoch.0;
                    ready = true;
                } else if one.fetch_offset < first || one.fetch_offset > log.next {
                    data.error_code = ErrorCode::OFFSET_OUT_OF_RANGE.0;
                    ready = true;
                } else {
                    let bytes: Vec<u8> = log
                        .batches
                        .iter()
                        .filter(|(_, next, _)| *next > one.fetch_offset)
                        .flat_map(|(_, _, bytes)| bytes.iter().copied())
                        .collect();
                    ready |= !bytes.is_empty();
                    data.records = Some(Bytes::from(bytes).into());
                }
            }
            partitions.push(data);
        }
        responses.push(FetchableTopicResponse {
            topic: if version >= 13 {
                "".into()
            } else {
                name.into()
            },
            topic_id: if version >= 13 {
                topic.topic_id
            } else {
                Uuid::ZERO
            },
            partitions,
            ..FetchableTopicResponse::default()
        });
    }
    let answer = FetchResponse {
        responses,
        ..FetchResponse::default()
    };
    (answer, ready)
}
