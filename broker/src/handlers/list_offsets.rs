//! ListOffsets, versions 1 to 11: a partition's first, next and timed offsets.
//!
//! * -3 (newest timestamp) came with 7, -4 (local log start) with 8, -5 (tiered) with 9, -6 (pending upload) with 11;
//!   asked for earlier they are UNSUPPORTED_VERSION. Nothing is tiered here.
//! * The high watermark and the last stable offset are the end of the log, so the isolation level changes nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use tokio::sync::oneshot;

use super::internal;
use super::resolve::{OFFSETS_LEADER_EPOCH, Source};
use crate::compute::{Job, Progress};
use crate::log::{
    BatchSearch, EpochEnd, FoundOffset, LogError, LogHandle, NEWEST, Next, Search, Sought,
};
use crate::request::{Context, Request, Work};
use crate::topics::TopicsSnapshot;

/// The first version that tells leader epochs.
const LEADER_EPOCHS: i16 = 4;
/// How long one log may take to come up with what was appended before.
const SETTLE: Duration = Duration::from_secs(30);

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<ListOffsetsRequest<'_>>() else {
        return;
    };
    let version = request.version();
    let context = Arc::clone(request.context);
    let snapshot = context.services.topics.snapshot();
    let mut lookups = Vec::new();
    let mut topics = Vec::with_capacity(body.topics.len());
    for (topic_at, topic) in body.topics.into_iter().enumerate() {
        let mut seen = HashSet::new();
        let twice: HashSet<i32> = topic
            .partitions
            .iter()
            .map(|partition| partition.partition_index)
            .filter(|index| !seen.insert(*index))
            .collect();
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        let mut told = HashSet::new();
        // A partition that is named twice is refused once.
        let once = |asked: &&ListOffsetsPartition<'_>| told.insert(asked.partition_index);
        for (at, asked) in topic.partitions.iter().filter(once).enumerate() {
            let source = if twice.contains(&asked.partition_index) {
                Err(ErrorCode::INVALID_REQUEST)
            } else {
                source(asked, &topic.name, version, &snapshot)
            };
            let code = source.as_ref().err().copied().unwrap_or(ErrorCode::NONE);
            partitions.push(answer(asked.partition_index, code, None, version));
            if let Ok(source) = source {
                lookups.push((topic_at, at, source, asked.timestamp));
            }
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name.into_owned().into(),
            partitions,
            ..Default::default()
        });
    }
    // The search waits for its turn; what follows it waits in the socket, so that a connection has one at a time.
    work.hold = lookups.iter().any(|(_, _, _, at)| is_search(*at));
    let responder = request.responder;
    work.read(async move {
        for (topic, at, source, timestamp) in lookups {
            let found = source.look_up(timestamp, &context).await;
            let topic: Option<&mut ListOffsetsTopicResponse<'_>> = topics.get_mut(topic);
            if let Some(place) = topic.and_then(|topic| topic.partitions.get_mut(at)) {
                *place = match found {
                    Ok(found) => {
                        let found = found.map(|found| (found, source.epoch_of(found)));
                        answer(place.partition_index, ErrorCode::NONE, found, version)
                    }
                    Err(error) => answer(place.partition_index, error.code(), None, version),
                };
            }
        }
        responder.send(&ListOffsetsResponse {
            topics,
            ..Default::default()
        });
    });
}

impl Source {
    /// The leader epoch of what was found: of the end the present one, as in Kafka.
    fn epoch_of(&self, found: FoundOffset) -> i32 {
        match self {
            Self::Log(log) => log
                .epoch_of(found.offset)
                .unwrap_or_else(|_| log.leader_epoch()),
            Self::Offsets(_) => OFFSETS_LEADER_EPOCH,
        }
    }

    /// Where a leader epoch ends, as OffsetForLeaderEpoch answers it.
    pub(super) async fn end_of_epoch(
        &self,
        epoch: i32,
        context: &Arc<Context>,
    ) -> Result<EpochEnd, LogError> {
        match self {
            Self::Log(log) => {
                settle(log, context).await?;
                log.end_of_epoch(epoch)
            }
            Self::Offsets(partition) => {
                let offsets = internal::offsets(&context.services, *partition)?;
                Ok(internal::end_of_epoch(epoch, offsets.end))
            }
        }
    }

    /// As the log's own look-up.
    pub(super) async fn look_up(
        &self,
        timestamp: i64,
        context: &Arc<Context>,
    ) -> Result<Option<FoundOffset>, LogError> {
        match self {
            Self::Log(log) => {
                settle(log, context).await?;
                if !is_search(timestamp) {
                    return log.offset_for(timestamp);
                }
                search(log.search(timestamp)?, context).await
            }
            Self::Offsets(partition) => {
                internal::offset_for(&context.services, *partition, timestamp).await
            }
        }
    }
}

/// Reads files and unfolds batches, a slice after the other where nobody waits for it.
async fn search(
    mut search: Search,
    context: &Arc<Context>,
) -> Result<Option<FoundOffset>, LogError> {
    let Context { services, lane, .. } = context.as_ref();
    loop {
        let near = services.compute.run(lane, move || {
            let next = search.next();
            (search, next)
        });
        let (back, next) = near.await.ok_or_else(LogError::unanswered)?;
        search = back;
        let batch = match next? {
            Next::Paused => continue,
            Next::Batch(batch) => batch,
            Next::End => return Ok(None),
        };
        let (done, found) = oneshot::channel();
        let done = Some(done);
        services.compute.submit(lane, Looking { batch, done });
        let found = found.await.map_err(|_panicked| LogError::unanswered())??;
        if found.is_some() {
            return Ok(found);
        }
    }
}

/// The search in one batch, for somebody who may have gone.
struct Looking {
    batch: BatchSearch,
    done: Option<oneshot::Sender<Result<Option<FoundOffset>, LogError>>>,
}

impl Job for Looking {
    fn step(&mut self, mut bytes: usize) -> Progress {
        if self.done.as_ref().is_none_or(oneshot::Sender::is_closed) {
            return Progress::Done;
        }
        let found = match self.batch.step(&mut bytes) {
            Ok(Sought::Paused) => return Progress::Unfinished,
            Ok(Sought::Found(found)) => Ok(Some(found)),
            Ok(Sought::Nothing) => Ok(None),
            Err(error) => Err(error),
        };
        if let Some(done) = self.done.take() {
            // Gone between the look above and now.
            drop(done.send(found));
        }
        Progress::Done
    }

    fn memory(&self) -> usize {
        self.batch.memory()
    }
}

/// Waits for what this connection produced before: its appends may still be on their way to the log.
async fn settle(log: &LogHandle, context: &Context) -> Result<(), LogError> {
    if !context.lane.is_idle() {
        context.services.compute.run(&context.lane, || ()).await;
    }
    log.opened(SETTLE).await
}

fn source(
    asked: &ListOffsetsPartition,
    topic: &str,
    version: i16,
    snapshot: &TopicsSnapshot,
) -> Result<Source, ErrorCode> {
    if asked.timestamp < 0 && first_version(asked.timestamp).is_none_or(|first| version < first) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    let believed = asked.current_leader_epoch;
    Source::find(topic, asked.partition_index, believed, snapshot)
}

/// Whether stored records are looked at for it: all others are known.
pub(super) fn is_search(timestamp: i64) -> bool {
    timestamp >= 0 || timestamp == NEWEST
}

/// The first version that knows a special timestamp.
fn first_version(timestamp: i64) -> Option<i16> {
    match timestamp {
        -1 | -2 => Some(1),
        NEWEST => Some(7),
        -4 => Some(8),
        -5 => Some(9),
        -6 => Some(11),
        _ => None,
    }
}

fn answer(
    partition_index: i32,
    code: ErrorCode,
    found: Option<(FoundOffset, i32)>,
    version: i16,
) -> ListOffsetsPartitionResponse<'static> {
    let place = found.map(|(found, epoch)| (found.timestamp, found.offset, epoch));
    let (timestamp, offset, leader_epoch) = place.unwrap_or((-1, -1, -1));
    ListOffsetsPartitionResponse {
        partition_index,
        error_code: code.0,
        timestamp,
        offset,
        // Not to be told before there was a field for it.
        leader_epoch: if version < LEADER_EPOCHS {
            -1
        } else {
            leader_epoch
        },
        ..Default::default()
    }
}

#[cfg(test)]
#[path = "list_offsets_tests.rs"]
mod tests;
