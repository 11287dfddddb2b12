//! The producer's driver: sends what the accumulator has ready and acts on the answers. One task, owned by the
//! producer; requests in flight are its own and end with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_protocol::ErrorCode;
use callboard_protocol::messages::init_producer_id::InitProducerIdRequest;
use callboard_protocol::messages::produce::{
    PartitionProduceData, ProduceRequest, TopicProduceData,
};
use callboard_protocol::records::{BatchBuilder, Compression};
use callboard_supervision::seldom;
use metrics::{counter, histogram};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Command, Placed, Waiter};
use crate::TopicPartition;
use crate::admin::millis;
use crate::client::{ANY_VERSION, Client, Target};
use crate::config::{Acks, ClientConfig};
use crate::core::accumulator::{Accumulator, Batch, Identity, Stamp};
use crate::error::ClientError;
use crate::metrics::{
    PRODUCER_RECORDS_TOTAL, PRODUCER_REQUEST_DURATION_SECONDS, PRODUCER_RETRIES_TOTAL,
    PRODUCER_SPLITS_TOTAL,
};

/// Produce names topics by id from v13 on; up to 12 by name.
const PRODUCE_BY_NAME_VERSION: i16 = 12;
/// The longest the driver sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(60);

type Carried = BTreeMap<TopicPartition, Batch<Waiter>>;

/// Error code, base offset and error message by partition.
type Results = BTreeMap<TopicPartition, (ErrorCode, i64, Option<String>)>;

/// What one Produce request came to.
struct Answered {
    batches: Carried,
    outcome: Result<Results, ClientError>,
}

struct Driver {
    client: Client,
    config: Arc<ClientConfig>,
    origin: Instant,
    lines: Accumulator<Waiter>,
    identity: Option<Identity>,
    identity_retry: crate::core::backoff::Backoff,
    /// No InitProducerId before.
    identity_not_before: Duration,
    /// Why there is no producer id yet.
    identity_refused: Option<ClientError>,
    /// Since when every try has failed; told when it begins and when it is over, not each time.
    refused_since: Option<Duration>,
    requests: JoinSet<Answered>,
    flushes: Vec<(u64, oneshot::Sender<()>)>,
}

pub(super) async fn run(
    client: Client,
    config: Arc<ClientConfig>,
    mut inbox: mpsc::UnboundedReceiver<Command>,
) {
    let mut driver = Driver {
        origin: Instant::now(),
        lines: Accumulator::new(config.linger, config.batch_size, client.retry_backoff()),
        identity: None,
        identity_retry: client.retry_backoff(),
        identity_not_before: Duration::ZERO,
        identity_refused: None,
        refused_since: None,
        requests: JoinSet::new(),
        flushes: Vec::new(),
        client,
        config,
    };
    loop {
        driver.turn().await;
        let timeout = driver.config.delivery_timeout;
        let due = driver
            .lines
            .next_deadline(timeout)
            .map(|due| driver.origin + due.max(driver.blocked_until()));
        let due = due.unwrap_or_else(|| Instant::now() + IDLE);
        tokio::select! {
            command = inbox.recv() => match command {
                Some(command) => {
                    driver.take(command);
                    // Whatever came at once is taken at once: fuller batches, fewer turns.
                    while let Ok(command) = inbox.try_recv() {
                        driver.take(command);
                    }
                }
                None => return,
            },
            Some(answered) = driver.requests.join_next() => {
                if let Ok(answered) = answered {
                    driver.answered(answered);
                }
            }
            () = tokio::time::sleep_until(due) => {}
        }
    }
}

/// What a request on its own needs.
struct Asker {
    client: Client,
    config: Arc<ClientConfig>,
}

impl Driver {
    fn asker(&self) -> Asker {
        Asker {
            client: self.client.clone(),
            config: Arc::clone(&self.config),
        }
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    fn blocked_until(&self) -> Duration {
        if self.identity.is_none() {
            self.identity_not_before
        } else {
            Duration::ZERO
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Send(partition, record, waiter) => {
                let now = self.now();
                self.lines.push(now, partition, record, waiter);
            }
            Command::Flush(done) => {
                let mark = self.lines.seal_all();
                self.flushes.push((mark, done));
            }
        }
    }

    /// Gives up what is too old, sends what is due, answers flushes.
    async fn turn(&mut self) {
        let now = self.now();
        let timeout = self.config.delivery_timeout;
        for (partition, batch) in self.lines.expire(now, timeout) {
            if batch.stamp.is_some() {
                // It may or may not be stored: its sequence can be neither used again nor passed over.
                self.identity = None;
            }
            let last = batch.refused.clone();
            let last = last.or_else(|| self.identity_refused.clone());
            let error = ClientError::NotDelivered {
                timeout,
                last: last.map(Arc::new),
            };
            // Whoever sent them hears of it.
            debug!(%partition, records = batch.records.len(), %error, "records not delivered in time");
            fail(batch, &error);
        }
        if self.identify(now).await {
            self.send(now);
        }
        let lines = &self.lines;
        let (done, open) = std::mem::take(&mut self.flushes)
            .into_iter()
            .partition(|(mark, _)| lines.is_settled(*mark));
        self.flushes = open;
        let done: Vec<(u64, oneshot::Sender<()>)> = done;
        for (_, flushed) in done {
            // Whoever flushed may have stopped waiting.
            let _ = flushed.send(());
        }
    }

    /// Gets a producer id if one is needed. Returns whether batches may be sent.
    async fn identify(&mut self, now: Duration) -> bool {
        if self.identity.is_some() || !self.config.enable_idempotence {
            return true;
        }
        let pending = self.lines.next_deadline(self.config.delivery_timeout);
        if pending.is_none_or(|due| due > now) || self.identity_not_before > now {
            return false;
        }
        let asked = async {
            let answer = self
                .client
                .request_any::<InitProducerIdRequest>(ANY_VERSION, |_| InitProducerIdRequest {
                    transactional_id: None,
                    transaction_timeout_ms: i32::MAX,
                    ..InitProducerIdRequest::default()
                })
                .await?;
            let response = answer.read()?;
            match ErrorCode(response.error_code) {
                ErrorCode::NONE => Ok(Identity {
                    id: response.producer_id,
                    epoch: response.producer_epoch,
                }),
                code => Err(ClientError::kafka(code)),
            }
        };
        match asked.await {
            Ok(identity) => {
                debug!(producer_id = identity.id, "producer id");
                self.identity = Some(identity);
                self.identity_retry.reset();
                self.identity_refused = None;
                true
            }
            Err(error) if error.is_retriable() => {
                debug!(%error, "no producer id yet");
                self.identity_not_before = self.now() + self.identity_retry.next_wait();
                self.refused(&error);
                self.identity_refused = Some(error);
                false
            }
            Err(error) => {
                warn!(%error, "no producer id");
                for batch in self.lines.abandon() {
                    fail(batch, &error);
                }
                false
            }
        }
    }

    /// Sends one Produce request to each leader of what is ready.
    fn send(&mut self, now: Duration) {
        let cluster = self.client.cluster();
        let mut by_leader: BTreeMap<i32, Carried> = BTreeMap::new();
        let mut leaderless = false;
        for (partition, mut batch) in self.lines.ready(now) {
            let Some((leader, _epoch)) = cluster.leader(&partition.topic, partition.partition)
            else {
                leaderless = true;
                let error = ClientError::kafka(ErrorCode::LEADER_NOT_AVAILABLE);
                self.retry(now, &partition, batch, error);
                continue;
            };
            if batch.stamp.is_none() {
                let identity = self
                    .identity
                    .map(|current| self.lines.identify(&partition, current));
                match encode(&batch, identity, self.config.compression_type) {
                    Ok(encoded) => batch.stamp = Some(Stamp { identity, encoded }),
                    Err(error) => {
                        self.lines.resolved(&partition, batch.id, None);
                        fail(batch, &error);
                        continue;
                    }
                }
            }
            by_leader
                .entry(leader)
                .or_default()
                .insert(partition, batch);
        }
        if leaderless {
            self.refresh();
        }
        for (leader, batches) in by_leader {
            self.produce(leader, batches);
        }
    }

    fn refresh(&mut self) {
        let client = self.client.clone();
        // In the set only to end with the driver; it carries no batches.
        self.requests.spawn(async move {
            let _ = client.refresh().await;
            Answered {
                batches: BTreeMap::new(),
                outcome: Ok(BTreeMap::new()),
            }
        });
    }

    /// Cuts what goes to one leader into requests of at most `max.request.size` and sends them side by side.
    fn produce(&mut self, leader: i32, batches: Carried) {
        let max = self.config.max_request_size;
        let mut bytes = 0;
        let mut part = Carried::new();
        for (partition, batch) in batches {
            let size = batch.stamp.as_ref().map_or(0, |stamp| stamp.encoded.len());
            if bytes + size > max && !part.is_empty() {
                let full = std::mem::take(&mut part);
                self.requests.spawn(produce(self.asker(), leader, full));
                bytes = 0;
            }
            bytes += size;
            part.insert(partition, batch);
        }
        self.requests.spawn(produce(self.asker(), leader, part));
    }

    fn answered(&mut self, answered: Answered) {
        let now = self.now();
        let mut stale_metadata = false;
        match answered.outcome {
            Ok(mut results) => {
                for (partition, batch) in answered.batches {
                    let result = results.remove(&partition);
                    stale_metadata |= self.resolve(now, partition, batch, result);
                }
            }
            Err(error) => {
                for (partition, batch) in answered.batches {
                    if error.is_retriable() {
                        stale_metadata = true;
                        self.retry(now, &partition, batch, error.clone());
                    } else {
                        // An answer that cannot be read may have said that it is stored: its sequence is spent.
                        self.identity = None;
                        self.lines.resolved(&partition, batch.id, None);
                        fail(batch, &error);
                    }
                }
            }
        }
        if stale_metadata {
            self.refresh();
        }
    }

    /// Acts on one partition's result. Returns whether metadata may be out of date.
    fn resolve(
        &mut self,
        now: Duration,
        partition: TopicPartition,
        mut batch: Batch<Waiter>,
        result: Option<(ErrorCode, i64, Option<String>)>,
    ) -> bool {
        let Some((code, base_offset, message)) = result else {
            let left_out = ClientError::Protocol("the partition is not in the answer".to_owned());
            self.retry(now, &partition, batch, left_out);
            return false;
        };
        match code {
            ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => {
                self.lines
                    .resolved(&partition, batch.id, Some(batch.records.len()));
                deliver(batch, partition.partition, base_offset);
                if let Some(since) = self.refused_since.take() {
                    seldom!(info, %partition, refused_for = ?now.saturating_sub(since), "records are stored again");
                }
                false
            }
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
            | ErrorCode::UNKNOWN_PRODUCER_ID
            | ErrorCode::INVALID_PRODUCER_EPOCH => {
                // The broker's memory of us and ours differ: begin anew under another id. This batch was not stored.
                debug!(%partition, code = code.name(), "new producer id");
                let ours = batch.stamp.take().and_then(|stamp| stamp.identity);
                if ours.map(|(identity, _)| identity) == self.identity {
                    self.identity = None;
                }
                self.retry(now, &partition, batch, ClientError::Kafka { code, message });
                false
            }
            // Java asks about the first of the two alone; the second is the same about a segment.
            ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => {
                let records = batch.records.len();
                match self.lines.split(&partition, batch) {
                    None => {
                        debug!(%partition, records, "a batch is too large for its topic and split");
                        counter!(PRODUCER_SPLITS_TOTAL).increment(1);
                    }
                    Some(batch) => {
                        self.lines.resolved(&partition, batch.id, None);
                        let bytes = batch.stamp.as_ref().map_or(0, |stamp| stamp.encoded.len());
                        let message = message.or_else(|| {
                            Some(format!(
                                "the record alone takes {bytes} bytes, its topic's max.message.bytes is less"
                            ))
                        });
                        fail(batch, &ClientError::Kafka { code, message });
                    }
                }
                false
            }
            code if code.is_retriable() => {
                self.retry(now, &partition, batch, ClientError::Kafka { code, message });
                true
            }
            code => {
                self.lines.resolved(&partition, batch.id, None);
                fail(batch, &ClientError::Kafka { code, message });
                false
            }
        }
    }

    fn retry(
        &mut self,
        now: Duration,
        partition: &TopicPartition,
        batch: Batch<Waiter>,
        error: ClientError,
    ) {
        counter!(PRODUCER_RETRIES_TOTAL).increment(1);
        self.refused(&error);
        self.lines.retry(now, partition, batch, error);
    }

    /// A try has failed and another one will come.
    fn refused(&mut self, error: &ClientError) {
        if self.refused_since.is_none() {
            self.refused_since = Some(self.now());
            let timeout = self.config.delivery_timeout;
            seldom!(warn, %error, ?timeout, "records are not stored; trying until delivery.timeout.ms is over");
        }
    }
}

async fn produce(asker: Asker, leader: i32, batches: Carried) -> Answered {
    let mut topics: BTreeMap<Arc<str>, Vec<(i32, Bytes)>> = BTreeMap::new();
    for (partition, batch) in &batches {
        if let Some(stamp) = &batch.stamp {
            topics
                .entry(Arc::clone(&partition.topic))
                .or_default()
                .push((partition.partition, stamp.encoded.clone()));
        }
    }
    let started = Instant::now();
    let outcome = ask(&asker, leader, topics).await;
    histogram!(PRODUCER_REQUEST_DURATION_SECONDS).record(started.elapsed());
    Answered { batches, outcome }
}

async fn ask(
    Asker { client, config }: &Asker,
    leader: i32,
    topics: BTreeMap<Arc<str>, Vec<(i32, Bytes)>>,
) -> Result<Results, ClientError> {
    let acks = match config.acks {
        Acks::All => -1,
        Acks::Leader => 1,
    };
    let timeout_ms = millis(config.request_timeout);
    let target = Target {
        timeout: config.request_timeout,
        ..client.data(leader)
    };
    let answer = client
        .request::<ProduceRequest>(target, PRODUCE_BY_NAME_VERSION, |_| ProduceRequest {
            acks,
            timeout_ms,
            topic_data: topics
                .into_iter()
                .map(|(topic, partitions)| TopicProduceData {
                    name: topic.to_string().into(),
                    partition_data: partitions
                        .into_iter()
                        .map(|(index, records)| PartitionProduceData {
                            index,
                            records: Some(records.into()),
                            ..PartitionProduceData::default()
                        })
                        .collect(),
                    ..TopicProduceData::default()
                })
                .collect(),
            ..ProduceRequest::default()
        })
        .await?;
    let response = answer.read()?;
    let mut results = BTreeMap::new();
    for topic in &response.responses {
        let name: Arc<str> = Arc::from(&*topic.name);
        for partition in &topic.partition_responses {
            results.insert(
                TopicPartition::new(Arc::clone(&name), partition.index),
                (
                    ErrorCode(partition.error_code),
                    partition.base_offset,
                    partition.error_message.as_ref().map(ToString::to_string),
                ),
            );
        }
    }
    if response.throttle_time_ms > 0 {
        client.throttled(
            leader,
            Duration::from_millis(response.throttle_time_ms.unsigned_abs().into()),
        );
    }
    Ok(results)
}

/// One record batch of the batch's records.
fn encode(
    batch: &Batch<Waiter>,
    identity: Option<(Identity, i32)>,
    compression: Compression,
) -> Result<Bytes, ClientError> {
    let mut builder = BatchBuilder::new(0, compression);
    if let Some((identity, sequence)) = identity {
        builder = builder.producer(identity.id, identity.epoch, sequence);
    }
    for record in &batch.records {
        builder.push(
            record.timestamp_ms,
            record.key.as_deref(),
            record.value.as_deref(),
            &record.headers,
        );
    }
    builder.build().map_err(crate::wire::malformed)
}

fn deliver(batch: Batch<Waiter>, partition: i32, base_offset: i64) {
    counter!(PRODUCER_RECORDS_TOTAL, "result" => "ok").increment(batch.deliveries.len() as u64);
    for (place, waiter) in (0..).zip(batch.deliveries) {
        let offset = if base_offset < 0 {
            -1
        } else {
            base_offset + place
        };
        // Whoever sent it may not care.
        let _ = waiter.answer.send(Ok(Placed { partition, offset }));
    }
}

fn fail(batch: Batch<Waiter>, error: &ClientError) {
    counter!(PRODUCER_RECORDS_TOTAL, "result" => "failed").increment(batch.deliveries.len() as u64);
    for waiter in batch.deliveries {
        let _ = waiter.answer.send(Err(error.clone()));
    }
}
