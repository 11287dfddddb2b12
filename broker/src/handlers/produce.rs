//! Produce, versions 3 to 13 (KIP-467 error texts from 8, topic ids from 13). Each batch goes to its log as it came;
//! the answer leaves when every log has spoken. Nothing here waits for a replica: there is one copy.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use callboard_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceData, TopicProduceResponse,
};
use callboard_protocol::{ErrorCode, Uuid};

use super::resolve::{self, Named};
use crate::log::{AppendReply, Appended, LogError, LogHandle};
use crate::request::{Request, Responder, Work};
use crate::topics::TopicsSnapshot;

/// The first version that names topics by id.
const BY_ID: i16 = 13;
/// Bytes of one request's records that are checked where it is read: some hundred microseconds.
const INLINE_BYTES: usize = 128 * 1024;
/// The first version that may bring zstd (KIP-110).
const ZSTD: i16 = 7;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<ProduceRequest<'_>>() else {
        return;
    };
    let version = request.version();
    let snapshot = request.services().topics.snapshot();
    let mut appends = Vec::new();
    let mut responses = Vec::with_capacity(body.topic_data.len());
    for (topic_at, topic) in once(body.topic_data).into_iter().enumerate() {
        let named = Named::of(version >= BY_ID, &topic.name, topic.topic_id);
        let mut answers = Vec::with_capacity(topic.partition_data.len());
        for (at, data) in topic.partition_data.into_iter().enumerate() {
            let index = data.index;
            let admitted = admit(&snapshot, &named, data, body.acks, version, request.frame);
            answers.push(match admitted {
                Ok((log, records)) => {
                    appends.push((topic_at, at, log, records));
                    refused(index, ErrorCode::UNKNOWN_SERVER_ERROR, String::new())
                }
                Err((code, reason)) => refused(index, code, reason.to_owned()),
            });
        }
        responses.push(TopicProduceResponse {
            name: topic.name.into_owned().into(),
            topic_id: topic.topic_id,
            partition_responses: answers,
            ..Default::default()
        });
    }
    let gathered = Arc::new(Gathered {
        responses: Mutex::new(responses),
        responder: Mutex::new(Some(request.responder)),
        wanted: body.acks != 0,
    });
    let (lane, compute) = (&request.context.lane, &request.context.services.compute);
    let mut inline = INLINE_BYTES;
    // In the order of the request: what a producer sent first gets the lower offset.
    for (topic, at, log, records) in appends {
        let gathered = Arc::clone(&gathered);
        let asked = log.clone();
        let reply = AppendReply::new(move |outcome| gathered.put(topic, at, &asked, outcome));
        log.append_in(lane, compute, &mut inline, records, reply);
    }
    // Its share of the queue is all that a connection gets: what follows waits in the socket.
    work.hold = !lane.is_idle() && compute.is_full();
}

/// Each partition once, as it is named last: Kafka has them in a map. So a request costs no more than its bytes.
fn once(mut topics: Vec<TopicProduceData<'_>>) -> Vec<TopicProduceData<'_>> {
    let named = topics.iter().map(|topic| topic.partition_data.len());
    if named.sum::<usize>() < 2 {
        return topics;
    }
    let mut seen: HashMap<(&str, Uuid), HashSet<i32>> = HashMap::new();
    let mut keeps = Vec::new();
    for topic in topics.iter().rev() {
        let seen = seen.entry((&topic.name, topic.topic_id)).or_default();
        let partitions = topic.partition_data.iter().rev();
        keeps.extend(partitions.map(|data| seen.insert(data.index)));
    }
    if keeps.iter().all(|keep| *keep) {
        return topics;
    }
    // They were looked at from the last to the first.
    let mut keeps = keeps.into_iter().rev();
    for topic in &mut topics {
        topic
            .partition_data
            .retain(|_| keeps.next().unwrap_or(true));
    }
    topics.retain(|topic| !topic.partition_data.is_empty());
    topics
}

/// What Kafka checks before the log is asked.
fn admit(
    snapshot: &TopicsSnapshot,
    named: &Named<'_>,
    data: PartitionProduceData<'_>,
    acks: i16,
    version: i16,
    frame: &Bytes,
) -> Result<(LogHandle, Bytes), (ErrorCode, &'static str)> {
    let topic = named
        .find(snapshot)
        .map_err(|code| (code, resolve::UNKNOWN))?;
    if topic.internal {
        let reason = "Records of an internal topic are written by the broker alone.";
        return Err((ErrorCode::INVALID_TOPIC_EXCEPTION, reason));
    }
    let Some(log) = topic.log(data.index) else {
        return Err((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, resolve::UNKNOWN));
    };
    if !matches!(acks, -1..=1) {
        return Err((ErrorCode::INVALID_REQUIRED_ACKS, "acks must be -1, 0 or 1."));
    }
    let Some(records) = data.records.map(|records| records.to_bytes(frame)) else {
        return Err((
            ErrorCode::INVALID_RECORD,
            "A partition came without records.",
        ));
    };
    if version < ZSTD && is_zstd(&records) {
        let reason = "Produce before version 7 cannot bring zstd.";
        return Err((ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, reason));
    }
    Ok((log.clone(), records))
}

/// Whether the batch at the front says that it is compressed with zstd.
fn is_zstd(records: &[u8]) -> bool {
    records.get(16) == Some(&2)
        && records
            .get(22)
            .is_some_and(|attributes| attributes & 7 == 4)
}

/// The answers as they come. Dropped with the last append's reply, and that sends them.
struct Gathered {
    responses: Mutex<Vec<TopicProduceResponse<'static>>>,
    /// Pays for the records, slices of the request, which go on to the logs although the connection closes.
    responder: Mutex<Option<Responder>>,
    /// Whether the producer wants an answer at all.
    wanted: bool,
}

impl Gathered {
    fn put(&self, topic: usize, at: usize, log: &LogHandle, outcome: Result<Appended, LogError>) {
        // Nothing panics while it is held.
        let mut responses = self
            .responses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let place = responses.get_mut(topic);
        if let Some(place) = place.and_then(|topic| topic.partition_responses.get_mut(at)) {
            *place = answer(place.index, log, outcome.map_err(|error| log.told(error)));
        }
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        let responses = std::mem::take(
            self.responses
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let responder = self
            .responder
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(responder) = responder.take() else {
            return;
        };
        let failed = responses
            .iter()
            .flat_map(|topic| &topic.partition_responses)
            .any(|partition| partition.error_code != 0);
        match (self.wanted, failed) {
            (true, _) => responder.send(&ProduceResponse {
                responses,
                ..Default::default()
            }),
            // The only way to tell a producer that wants no answer.
            (false, true) => responder.close("unacknowledged"),
            (false, false) => responder.nothing(),
        }
    }
}

fn answer(
    index: i32,
    log: &LogHandle,
    outcome: Result<Appended, LogError>,
) -> PartitionProduceResponse<'static> {
    match outcome {
        Ok(appended) => PartitionProduceResponse {
            index,
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time,
            log_start_offset: appended.log_start_offset,
            ..Default::default()
        },
        Err(error) => PartitionProduceResponse {
            log_start_offset: if tells_log_start(&error) {
                log.offsets().map_or(-1, |offsets| offsets.log_start)
            } else {
                -1
            },
            ..refused(index, error.code(), error.to_string())
        },
    }
}

/// Kafka tells the log start offset beside what its log refuses, but not beside what its replica manager knows.
fn tells_log_start(error: &LogError) -> bool {
    match error {
        LogError::Invalid { code, .. } => *code != ErrorCode::CORRUPT_MESSAGE,
        LogError::InvalidTimestamp { .. }
        | LogError::InvalidTimestampType
        | LogError::OutOfOrderSequence { .. }
        | LogError::InvalidProducerEpoch { .. }
        | LogError::Transactional => true,
        _ => false,
    }
}

fn refused(index: i32, code: ErrorCode, reason: String) -> PartitionProduceResponse<'static> {
    PartitionProduceResponse {
        index,
        error_code: code.0,
        base_offset: -1,
        error_message: Some(reason.into()),
        ..Default::default()
    }
}

#[cfg(test)]
#[path = "produce_tests.rs"]
mod tests;
