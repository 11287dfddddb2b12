//! Fetch, versions 4 to 18 (topic ids from 13). Reads what is there; if that is less than the client wants, waits for
//! appends and reads again, until the client's wait is over.
//!
//! * There are no fetch sessions (KIP-227): every answer has session id 0, which tells the client to go on with full
//!   requests. An incremental request is one to a session that is not here.
//! * `__consumer_offsets` is read from the journal, off this task. Nothing tells of its appends, so a Fetch that waits for them
//!   waits as long as the client allows.

use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::messages::fetch::{
    EpochEndOffset, FetchPartition, FetchRequest, FetchResponse, FetchableTopicResponse,
    PartitionData,
};
use callboard_protocol::{ErrorCode, Uuid};
use tokio::time::Instant;

use super::internal;
use super::resolve::{LEADER_EPOCH, Named, check_leader_epoch};
use crate::connection::{Request, Work};
use crate::log::{AtLeast, Chunk, FetchWaiter, LogError, LogHandle, Offsets, Watch};
use crate::shared::Shared;
use crate::topics::TopicsSnapshot;

/// The first version that names topics by id.
const BY_ID: i16 = 13;
/// `isolation_level` of consumers that see committed records only.
const READ_COMMITTED: i8 = 1;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<FetchRequest<'_>>() else {
        return;
    };
    if body.session_epoch > 0 {
        let error_code = ErrorCode::FETCH_SESSION_ID_NOT_FOUND.0;
        return request.responder.send(&FetchResponse {
            error_code,
            ..Default::default()
        });
    }
    let shared = Arc::clone(request.shared());
    let fetch = Fetch::new(&body, request.version(), &shared);
    let responder = request.responder;
    work.later(async move {
        let responses = fetch.run(&shared).await;
        responder.send(&FetchResponse {
            responses,
            ..Default::default()
        });
    });
}

/// A Fetch that owns what it needs of its request.
struct Fetch {
    topics: Vec<Topic>,
    min_bytes: usize,
    max_bytes: usize,
    wait: Duration,
    read_committed: bool,
}

struct Topic {
    name: String,
    id: Uuid,
    partitions: Vec<Partition>,
}

struct Partition {
    index: i32,
    from: i64,
    max_bytes: usize,
    last_fetched_epoch: i32,
    source: Source,
}

/// Where a partition's records are.
enum Source {
    Log(LogHandle),
    /// A partition of `__consumer_offsets`.
    Offsets(u32),
    Refused(Refusal),
}

/// Why a partition is not read.
#[derive(Clone, Copy)]
struct Refusal {
    code: ErrorCode,
    /// Kafka lets unknown partitions wait with the others and answers at once to what its log refuses.
    at_once: bool,
}

/// What one look at all partitions came to.
#[derive(Default)]
struct Look {
    topics: Vec<FetchableTopicResponse<'static>>,
    bytes: usize,
    /// Something came up that no wait changes.
    settled: bool,
    /// Logs that were read, with the end each had.
    ends: Vec<(LogHandle, i64)>,
}

impl Fetch {
    fn new(body: &FetchRequest<'_>, version: i16, shared: &Shared) -> Self {
        let config = &shared.config;
        let snapshot = shared.topics.snapshot();
        let follower = body.replica_id >= 0 || body.replica_state.replica_id >= 0;
        let topics = body.topics.iter().map(|topic| Topic {
            name: topic.topic.as_ref().to_owned(),
            id: topic.topic_id,
            partitions: {
                let named = Named::of(version >= BY_ID, &topic.topic, topic.topic_id);
                let of = |partition| Partition::new(partition, &named, &snapshot, follower);
                topic.partitions.iter().map(of).collect()
            },
        });
        let max_bytes = size(body.max_bytes).min(config.fetch_max_bytes);
        let wait = Duration::from_millis(u64::try_from(body.max_wait_ms).unwrap_or(0));
        Self {
            topics: topics.collect(),
            min_bytes: size(body.min_bytes).min(max_bytes),
            max_bytes,
            wait: wait.min(config.fetch_max_wait),
            read_committed: body.isolation_level == READ_COMMITTED,
        }
    }

    async fn run(self, shared: &Arc<Shared>) -> Vec<FetchableTopicResponse<'static>> {
        let deadline = Instant::now() + self.wait;
        loop {
            let look = self.look(shared).await;
            if self.is_enough(&look) || Instant::now() >= deadline || shared.stopping.is_cancelled()
            {
                return look.topics;
            }
            let waiter = FetchWaiter::new(self.min_bytes.saturating_sub(look.bytes));
            let watches: Vec<Watch> = look
                .ends
                .iter()
                .map(|(log, end)| log.watch(&waiter, *end))
                .collect();
            // What was read is read again: do not keep it meanwhile.
            drop(look);
            tokio::select! {
                () = waiter.enough() => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = shared.stopping.cancelled() => {}
            }
            drop(watches);
        }
    }

    fn is_enough(&self, look: &Look) -> bool {
        let unreadable = |partition: &Partition| matches!(partition.source, Source::Refused(_));
        look.settled
            || look.bytes >= self.min_bytes
            || self
                .topics
                .iter()
                .all(|topic| topic.partitions.iter().all(unreadable))
    }

    async fn look(&self, shared: &Arc<Shared>) -> Look {
        let mut look = Look::default();
        // The first batch of the first partition that has one comes whatever its size, so that a consumer gets on.
        let mut at_least = AtLeast::OneBatch;
        for topic in &self.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let left = self.max_bytes.saturating_sub(look.bytes);
                let data = self
                    .read(partition, left, at_least, shared, &mut look)
                    .await;
                let bytes = data.records.as_ref().map_or(0, |records| records.len());
                if bytes > 0 {
                    at_least = AtLeast::Nothing;
                }
                look.bytes += bytes;
                partitions.push(data);
            }
            look.topics.push(FetchableTopicResponse {
                topic: topic.name.clone().into(),
                topic_id: topic.id,
                partitions,
                ..Default::default()
            });
        }
        look
    }

    async fn read(
        &self,
        partition: &Partition,
        left: usize,
        at_least: AtLeast,
        shared: &Arc<Shared>,
        look: &mut Look,
    ) -> PartitionData<'static> {
        let max_bytes = partition.max_bytes.min(left);
        let read = match &partition.source {
            Source::Refused(refusal) => {
                look.settled |= refusal.at_once;
                return PartitionData {
                    // As Kafka has it where it has not even looked for a log.
                    aborted_transactions: (!refusal.at_once).then(Vec::new),
                    ..failed(partition.index, refusal.code)
                };
            }
            Source::Log(log) => log.read(partition.from, max_bytes, at_least),
            Source::Offsets(index) => {
                internal::read(shared, *index, partition.from, max_bytes, at_least).await
            }
        };
        if let (Source::Log(log), Ok(chunk)) = (&partition.source, &read) {
            look.ends.push((log.clone(), chunk.offsets.end));
        }
        if let Some(offsets) = partition.diverged_at(&read) {
            look.settled = true;
            return diverged(partition.index, offsets);
        }
        match read {
            Ok(chunk) => PartitionData {
                partition_index: partition.index,
                high_watermark: chunk.offsets.end,
                last_stable_offset: chunk.offsets.end,
                log_start_offset: chunk.offsets.log_start,
                aborted_transactions: self.read_committed.then(Vec::new),
                records: Some(chunk.records.into()),
                ..Default::default()
            },
            Err(error) => {
                look.settled = true;
                failed(partition.index, error.code())
            }
        }
    }
}

impl Partition {
    fn new(
        asked: &FetchPartition,
        named: &Named<'_>,
        snapshot: &TopicsSnapshot,
        follower: bool,
    ) -> Self {
        Self {
            index: asked.partition,
            from: asked.fetch_offset,
            max_bytes: size(asked.partition_max_bytes),
            last_fetched_epoch: asked.last_fetched_epoch,
            source: source(asked, named, snapshot, follower).unwrap_or_else(Source::Refused),
        }
    }

    /// Where the log ends, if the client's log (its last fetched epoch and offset) goes on beyond it (KIP-595). There is
    /// one epoch: it diverges at the end or not at all.
    fn diverged_at(&self, read: &Result<Chunk, LogError>) -> Option<Offsets> {
        match *read {
            Err(LogError::OffsetOutOfRange { asked, start, end })
                if self.last_fetched_epoch == LEADER_EPOCH && asked > end =>
            {
                Some(Offsets {
                    log_start: start,
                    end,
                })
            }
            _ => None,
        }
    }
}

fn source(
    asked: &FetchPartition,
    named: &Named<'_>,
    snapshot: &TopicsSnapshot,
    follower: bool,
) -> Result<Source, Refusal> {
    let waits = |code| Refusal {
        code,
        at_once: false,
    };
    let at_once = |code| Refusal {
        code,
        at_once: true,
    };
    let topic = named.find(snapshot).map_err(waits)?;
    let source = match topic.log(asked.partition) {
        Some(log) => Source::Log(log.clone()),
        None if topic.internal && super::resolve::has_partition(topic, asked.partition) => {
            Source::Offsets(asked.partition.unsigned_abs())
        }
        None => return Err(waits(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
    };
    check_leader_epoch(asked.current_leader_epoch).map_err(at_once)?;
    // Nobody replicates this broker.
    if follower {
        return Err(at_once(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    }
    if asked.last_fetched_epoch > LEADER_EPOCH {
        return Err(at_once(ErrorCode::OFFSET_OUT_OF_RANGE));
    }
    Ok(source)
}

/// A number of bytes of the wire; a negative one is none.
fn size(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

fn failed(index: i32, code: ErrorCode) -> PartitionData<'static> {
    PartitionData {
        partition_index: index,
        error_code: code.0,
        high_watermark: -1,
        aborted_transactions: None,
        records: Some(bytes::Bytes::new().into()),
        ..Default::default()
    }
}

fn diverged(index: i32, offsets: Offsets) -> PartitionData<'static> {
    PartitionData {
        high_watermark: offsets.end,
        last_stable_offset: offsets.end,
        log_start_offset: offsets.log_start,
        diverging_epoch: EpochEndOffset {
            epoch: LEADER_EPOCH,
            end_offset: offsets.end,
            ..Default::default()
        },
        ..failed(index, ErrorCode::NONE)
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
