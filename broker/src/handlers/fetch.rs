//! Fetch, versions 4 to 18 (topic ids from 13). Looks how much is there; if that is less than the client wants, waits for
//! appends and looks again, until the client's wait is over. What waits has positions and sizes, no bytes.
//!
//! * What is read is paid for before: an answer is cut to what the connection and all of them have left for answers, but
//!   never below its first batch.
//!
//! * From version 7 a request may be part of a session (KIP-227): [`FetchSessions`](crate::fetch_sessions::FetchSessions)
//!   says which partitions are read, and which of them the answer carries.
//! * Little that was appended last is read at once; everything else, and `__consumer_offsets` from the journal, on threads
//!   that may wait for the disk, `callboard.fetch.reads.max` at a time.

use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::messages::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use callboard_protocol::{ErrorCode, Uuid};
use callboard_supervision::seldom;
use tokio::time::Instant;

use super::internal;
use super::resolve::{Named, Source, check_leader_epoch};
use crate::budget::Room;
use crate::fetch_sessions::{Asked, Found, PartitionKey, TopicKey, Wanted};
use crate::log::{AtLeast, EpochEnd, FetchWaiter, LogError, Offsets, Watch};
use crate::metrics::BROKER_FETCH_READS_DELAYED_TOTAL;
use crate::request::{Context, Request, Work};
use crate::services::Services;
use crate::topics::TopicsSnapshot;

/// The first version that names topics by id.
const BY_ID: i16 = 13;
/// `isolation_level` of consumers that see committed records only.
const READ_COMMITTED: i8 = 1;

/// Bytes of what was appended last that are read where they are asked for.
const LIGHT_BYTES: usize = 64 * 1024;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<FetchRequest<'_>>() else {
        return;
    };
    let services = Arc::clone(request.services());
    let by_id = request.version() >= BY_ID;
    let (mode, wanted) = match services.fetch_sessions.open(asked(&body, by_id)) {
        Ok(opened) => opened,
        Err(code) => return request.responder.send(&refused(code)),
    };
    let fetch = Fetch::new(&body, &wanted, &services, work.response_bytes);
    let context = Arc::clone(request.context);
    // What it waits with, as long as its client wants: no more than was paid for its frame.
    let kept = wanted.len() * (size_of::<Wanted>() + size_of::<Partition>());
    let responder = request.responder.keeping(kept);
    work.read(async move {
        let (partitions, room) = fetch.run(&context).await;
        let found: Vec<Found> = partitions.iter().map(found).collect();
        match services.fetch_sessions.tell(mode, &wanted, &found) {
            Ok(told) => {
                let response = FetchResponse {
                    session_id: told.id,
                    responses: by_topic(&wanted, partitions, &told.carried),
                    ..Default::default()
                };
                responder.send_in(&response, room);
            }
            Err(code) => responder.send(&refused(code)),
        }
    });
}

/// What the request says, in the words of sessions.
fn asked(body: &FetchRequest<'_>, by_id: bool) -> Asked {
    let key = |name: &str, id: Uuid| {
        if by_id {
            TopicKey::Id(id.0)
        } else {
            TopicKey::Name(name.into())
        }
    };
    let mut wanted = Vec::new();
    for topic in &body.topics {
        let topic_key = key(&topic.topic, topic.topic_id);
        wanted.extend(topic.partitions.iter().map(|asked| Wanted {
            key: PartitionKey {
                topic: topic_key.clone(),
                partition: asked.partition,
            },
            from: asked.fetch_offset,
            max_bytes: asked.partition_max_bytes,
            current_leader_epoch: asked.current_leader_epoch,
            last_fetched_epoch: asked.last_fetched_epoch,
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &body.forgotten_topics_data {
        let topic_key = key(&topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions.iter().map(|partition| PartitionKey {
            topic: topic_key.clone(),
            partition: *partition,
        }));
    }
    Asked {
        id: body.session_id,
        epoch: body.session_epoch,
        by_id,
        wanted,
        forgotten,
    }
}

fn refused(code: ErrorCode) -> FetchResponse<'static> {
    FetchResponse {
        error_code: code.0,
        ..Default::default()
    }
}

/// What sessions want to know of an answer.
fn found(data: &PartitionData<'_>) -> Found {
    Found {
        high_watermark: data.high_watermark,
        log_start: data.log_start_offset,
        has_records: data
            .records
            .as_ref()
            .is_some_and(|records| !records.is_empty()),
        always_told: data.error_code != 0 || data.diverging_epoch.epoch >= 0,
    }
}

/// Those that the answer carries, neighbours of one topic together.
fn by_topic(
    wanted: &[Wanted],
    partitions: Vec<PartitionData<'static>>,
    carried: &[bool],
) -> Vec<FetchableTopicResponse<'static>> {
    let mut topics: Vec<FetchableTopicResponse<'static>> = Vec::new();
    let mut last: Option<&TopicKey> = None;
    for ((wanted, data), carried) in wanted.iter().zip(partitions).zip(carried) {
        if !carried {
            continue;
        }
        let key = &wanted.key.topic;
        match topics.last_mut() {
            Some(topic) if last == Some(key) => topic.partitions.push(data),
            _ => {
                let (name, id) = match key {
                    TopicKey::Name(name) => (name.to_string(), Uuid::ZERO),
                    TopicKey::Id(id) => (String::new(), Uuid(*id)),
                };
                topics.push(FetchableTopicResponse {
                    topic: name.into(),
                    topic_id: id,
                    partitions: vec![data],
                    ..Default::default()
                });
            }
        }
        last = Some(key);
    }
    topics
}

/// A Fetch that owns what it needs of its request.
struct Fetch {
    partitions: Vec<Partition>,
    min_bytes: usize,
    max_bytes: usize,
    wait: Duration,
    read_committed: bool,
}

struct Partition {
    index: i32,
    from: i64,
    max_bytes: usize,
    last_fetched_epoch: i32,
    source: Result<Source, Refusal>,
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
    /// What was read; nothing of a glance.
    partitions: Vec<PartitionData<'static>>,
    bytes: usize,
    /// Something came up that no wait changes.
    settled: bool,
    /// What was read, by place, with the end each had.
    ends: Vec<(usize, i64)>,
    /// Of a glance: bytes that a read may have to pass, whatever it may bring.
    ahead: usize,
    /// Of a glance: some of them may be on the disk only.
    cold: bool,
}

impl Look {
    /// Whether the read that a glance announces costs less than going to another thread for it.
    fn is_light(&self) -> bool {
        !self.cold && self.ahead <= LIGHT_BYTES
    }
}

impl Fetch {
    /// `most` bytes are left for its answer.
    fn new(body: &FetchRequest<'_>, wanted: &[Wanted], services: &Services, most: usize) -> Self {
        let config = &services.config;
        let snapshot = services.topics.snapshot();
        let follower = body.replica_id >= 0 || body.replica_state.replica_id >= 0;
        let of = |wanted| Partition::new(wanted, &snapshot, follower);
        let max_bytes = size(body.max_bytes).min(config.fetch_max_bytes).min(most);
        let wait = Duration::from_millis(u64::try_from(body.max_wait_ms).unwrap_or(0));
        Self {
            partitions: wanted.iter().map(of).collect(),
            min_bytes: size(body.min_bytes).min(max_bytes),
            max_bytes,
            wait: wait.min(config.fetch_max_wait),
            read_committed: body.isolation_level == READ_COMMITTED,
        }
    }

    /// What there is in the end, and the room that was taken for it.
    async fn run(self, context: &Context) -> (Vec<PartitionData<'static>>, Room) {
        let services = &context.services;
        let deadline = Instant::now() + self.wait;
        let fetch = Arc::new(self);
        loop {
            let over = || Instant::now() >= deadline || services.stopping.is_cancelled();
            let mut look = fetch.glance(services);
            if fetch.is_enough(&look) || over() {
                let wanted = look.bytes.min(fetch.max_bytes);
                let least = services.config.message_max_bytes;
                let room = context.answers.take_some(least, wanted).await;
                look = fetch
                    .look_where_it_may(look.is_light(), room.bytes(), services)
                    .await;
                // A glance sees a little too much.
                if fetch.is_enough(&look) || over() {
                    return (look.partitions, room);
                }
            }
            let waiter = FetchWaiter::new(fetch.min_bytes.saturating_sub(look.bytes));
            let watches: Vec<Watch> = look
                .ends
                .iter()
                .filter_map(|(place, end)| fetch.watch(*place, &waiter, *end, services))
                .collect();
            // What was read is read again: do not keep it meanwhile.
            drop(look);
            tokio::select! {
                () = waiter.enough() => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = services.stopping.cancelled() => {}
            }
            drop(watches);
        }
    }

    /// How much there is, without reading it.
    fn glance(&self, services: &Services) -> Look {
        let mut look = Look::default();
        for (place, partition) in self.partitions.iter().enumerate() {
            let found = match &partition.source {
                Err(refusal) => {
                    look.settled |= refusal.at_once;
                    continue;
                }
                Ok(Source::Log(log)) => log.ahead(partition.from).map(|ahead| {
                    look.cold |= ahead.bytes > 0 && !ahead.is_tail;
                    look.ahead = look.ahead.saturating_add(ahead.bytes);
                    (ahead.bytes, ahead.offsets)
                }),
                // The journal has no sizes: what is there may be all that is wanted.
                Ok(Source::Offsets(index)) => {
                    let offsets = internal::offsets(services, *index);
                    offsets.map(|offsets| {
                        let any = offsets.end > partition.from;
                        look.cold |= any;
                        // The read says so, and no append changes it.
                        look.settled |=
                            partition.from < offsets.log_start || partition.from > offsets.end;
                        (if any { partition.max_bytes } else { 0 }, offsets)
                    })
                }
            };
            match found {
                Ok((bytes, offsets)) => {
                    look.settled |= !matches!(partition.diverged_at(offsets), Ok(None));
                    look.bytes += bytes.min(partition.max_bytes);
                    look.ends.push((place, offsets.end));
                }
                Err(_) => look.settled = true,
            }
        }
        look
    }

    fn watch(
        &self,
        place: usize,
        waiter: &Arc<FetchWaiter>,
        end: i64,
        services: &Services,
    ) -> Option<Watch> {
        match &self.partitions.get(place)?.source {
            Ok(Source::Log(log)) => Some(log.watch(waiter, end)),
            Ok(Source::Offsets(index)) => services.offsets_topic.watch(*index, waiter, end),
            Err(_) => None,
        }
    }

    fn is_enough(&self, look: &Look) -> bool {
        let unreadable = |partition: &Partition| partition.source.is_err();
        look.settled || look.bytes >= self.min_bytes || self.partitions.iter().all(unreadable)
    }

    /// Reads at most so many bytes, here or, where that may take long, on a thread of its own.
    async fn look_where_it_may(
        self: &Arc<Self>,
        light: bool,
        max_bytes: usize,
        services: &Arc<Services>,
    ) -> Look {
        if light {
            return self.look(max_bytes, services);
        }
        let permit = match Arc::clone(&services.fetch_reads).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                metrics::counter!(BROKER_FETCH_READS_DELAYED_TOTAL).increment(1);
                // Never closed.
                Arc::clone(&services.fetch_reads).acquire_owned().await.ok()
            }
        };
        let (fetch, its) = (Arc::clone(self), Arc::clone(services));
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            fetch.look(max_bytes, &its)
        });
        read.await.unwrap_or_else(|_panicked| {
            seldom!(error, "the read of a Fetch panicked");
            self.unreadable()
        })
    }

    /// Every partition answered with an error.
    fn unreadable(&self) -> Look {
        let of = |partition: &Partition| failed(partition.index, ErrorCode::UNKNOWN_SERVER_ERROR);
        Look {
            partitions: self.partitions.iter().map(of).collect(),
            settled: true,
            ..Look::default()
        }
    }

    /// Reads at most so many bytes.
    fn look(&self, max_bytes: usize, services: &Services) -> Look {
        let mut look = Look::default();
        // The first batch of the first partition that has one comes whatever its size, so that a consumer gets on.
        let mut at_least = AtLeast::OneBatch;
        for partition in &self.partitions {
            let left = max_bytes.saturating_sub(look.bytes);
            let data = self.read(partition, left, at_least, services, &mut look);
            let bytes = data.records.as_ref().map_or(0, |records| records.len());
            if bytes > 0 {
                at_least = AtLeast::Nothing;
            }
            look.bytes += bytes;
            look.partitions.push(data);
        }
        look
    }

    fn read(
        &self,
        partition: &Partition,
        left: usize,
        at_least: AtLeast,
        services: &Services,
        look: &mut Look,
    ) -> PartitionData<'static> {
        let max_bytes = partition.max_bytes.min(left);
        let mut read = match &partition.source {
            Err(refusal) => {
                look.settled |= refusal.at_once;
                return PartitionData {
                    // As Kafka has it where it has not even looked for a log.
                    aborted_transactions: (!refusal.at_once).then(Vec::new),
                    ..failed(partition.index, refusal.code)
                };
            }
            Ok(Source::Log(log)) => log.read(partition.from, max_bytes, at_least),
            Ok(Source::Offsets(index)) => {
                internal::read(services, *index, partition.from, max_bytes, at_least)
            }
        };
        if let Ok(chunk) = &read {
            look.ends.push((look.partitions.len(), chunk.offsets.end));
        }
        let offsets = match &read {
            Ok(chunk) => Some(chunk.offsets),
            Err(LogError::OffsetOutOfRange { start, end, .. }) => Some(Offsets {
                log_start: *start,
                end: *end,
            }),
            Err(_) => None,
        };
        match offsets.map(|offsets| (offsets, partition.diverged_at(offsets))) {
            Some((offsets, Ok(Some(found)))) => {
                look.settled = true;
                return diverged(partition.index, offsets, found);
            }
            Some((_, Err(error))) => read = Err(error),
            Some((_, Ok(None))) | None => {}
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
    fn new(wanted: &Wanted, snapshot: &TopicsSnapshot, follower: bool) -> Self {
        Self {
            index: wanted.key.partition,
            from: wanted.from,
            max_bytes: size(wanted.max_bytes),
            last_fetched_epoch: wanted.last_fetched_epoch,
            source: source(wanted, snapshot, follower),
        }
    }

    /// Where the epoch that the client fetched last ends in this log, if the client's log is another one from there on
    /// (KIP-595): that epoch is not here, or ends before the offset that is asked for.
    fn diverged_at(&self, offsets: Offsets) -> Result<Option<EpochEnd>, LogError> {
        if self.last_fetched_epoch < 0 {
            return Ok(None);
        }
        let found = match &self.source {
            Ok(Source::Log(log)) => log.end_of_epoch(self.last_fetched_epoch)?,
            _ => internal::end_of_epoch(self.last_fetched_epoch, offsets.end),
        };
        if found == EpochEnd::UNKNOWN || self.from < offsets.log_start {
            return Err(LogError::OffsetOutOfRange {
                asked: self.from,
                start: offsets.log_start,
                end: offsets.end,
            });
        }
        let diverged = found.epoch < self.last_fetched_epoch || found.end < self.from;
        Ok(diverged.then_some(found))
    }
}

fn source(wanted: &Wanted, snapshot: &TopicsSnapshot, follower: bool) -> Result<Source, Refusal> {
    let waits = |code| Refusal {
        code,
        at_once: false,
    };
    let at_once = |code| Refusal {
        code,
        at_once: true,
    };
    let named = match &wanted.key.topic {
        TopicKey::Name(name) => Named::Name(name),
        TopicKey::Id(id) => Named::Id(Uuid(*id)),
    };
    let topic = named.find(snapshot).map_err(waits)?;
    let source = Source::of(topic, wanted.key.partition).map_err(waits)?;
    check_leader_epoch(wanted.current_leader_epoch, source.leader_epoch()).map_err(at_once)?;
    // Nobody replicates this broker.
    if follower {
        return Err(at_once(ErrorCode::NOT_LEADER_OR_FOLLOWER));
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

fn diverged(index: i32, offsets: Offsets, found: EpochEnd) -> PartitionData<'static> {
    PartitionData {
        high_watermark: offsets.end,
        last_stable_offset: offsets.end,
        log_start_offset: offsets.log_start,
        diverging_epoch: EpochEndOffset {
            epoch: found.epoch,
            end_offset: found.end,
            ..Default::default()
        },
        ..failed(index, ErrorCode::NONE)
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
