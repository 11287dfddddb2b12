//! The producer: records in, batches out, a delivery report for each record. Idempotent by default (KIP-98): a batch
//! that is sent again is not stored again, and retries keep every partition's order. Cheap to clone; when the last clone
//! is dropped, what was not flushed is given up.

mod driver;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use callboard_protocol::ErrorCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::TopicPartition;
use crate::client::Client;
use crate::config::{ClientConfig, ConfigError, Role};
use crate::core::accumulator::Gathered;
use crate::core::partitioner::{Sticky, partition_for_key};
use crate::error::ClientError;
use crate::topic_name::check_topic_name;

/// A record with everything that can be said about it.
#[derive(Clone, Debug, Default)]
pub struct ProducerRecord {
    /// The topic.
    pub topic: String,
    /// The partition; `None` leaves it to the key, or to the producer where there is no key.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since 1970; `None` is now.
    pub timestamp_ms: Option<i64>,
}

/// Where a record is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its partition.
    pub partition: i32,
    /// Its offset; -1 where the broker only said that it has the record already.
    pub offset: i64,
}

/// What a record comes to. Dropping it does not take the record back.
#[derive(Debug)]
pub struct Delivery(oneshot::Receiver<Result<Placed, ClientError>>);

impl Future for Delivery {
    type Output = Result<Placed, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(ClientError::Closed)))
    }
}

/// What the driver keeps of each record until it is delivered.
#[derive(Debug)]
struct Waiter {
    answer: oneshot::Sender<Result<Placed, ClientError>>,
    /// Its share of `buffer.memory`.
    _memory: OwnedSemaphorePermit,
}

enum Command {
    Send(TopicPartition, Gathered, Waiter),
    Flush(oneshot::Sender<()>),
}

/// A producer.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    /// The producer's, which may differ from the client's where a default yields.
    config: Result<Arc<ClientConfig>, ConfigError>,
    commands: mpsc::UnboundedSender<Command>,
    memory: Arc<Semaphore>,
    sticky: Mutex<HashMap<String, Sticky>>,
    /// `None` where the configuration will not do.
    driver: Option<tokio::task::JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("client", &self.shared.client)
            .finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer over `client`, configured by the client's configuration. Where two of a producer's keys exclude each
    /// other, [`send_record`](Self::send_record) says so.
    #[must_use]
    pub fn new(client: Client) -> Self {
        // What waits in this channel is bounded by buffer.memory, which every command but Flush holds a part of.
        let (commands, inbox) = mpsc::unbounded_channel();
        let config = client.config().settled(Role::Producer).map(Arc::new);
        let memory = client.config().buffer_memory.min(Semaphore::MAX_PERMITS);
        let driver = config
            .as_ref()
            .ok()
            .map(|config| tokio::spawn(driver::run(client.clone(), Arc::clone(config), inbox)));
        Self {
            shared: Arc::new(Shared {
                client,
                config,
                commands,
                memory: Arc::new(Semaphore::new(memory)),
                sticky: Mutex::default(),
                driver,
            }),
        }
    }

    /// Hands over a record with a key and a value; see [`send_record`](Self::send_record).
    ///
    /// # Errors
    /// As [`send_record`](Self::send_record).
    pub async fn send(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Delivery, ClientError> {
        self.send_record(ProducerRecord {
            topic: topic.to_owned(),
            key: key.map(Bytes::copy_from_slice),
            value: value.map(Bytes::copy_from_slice),
            ..ProducerRecord::default()
        })
        .await
    }

    /// Hands over a record. Returns once there is room for it in `buffer.memory`; the [`Delivery`] says when it is
    /// stored. Records of one partition are stored in the order in which they were handed over.
    ///
    /// # Errors
    /// [`ClientError::Config`]; [`ClientError::UnknownTopic`] when the topic does not appear within `default.api.timeout.ms`;
    /// [`ClientError::RecordTooLarge`].
    pub async fn send_record(&self, record: ProducerRecord) -> Result<Delivery, ClientError> {
        let config = match &self.shared.config {
            Ok(config) => config,
            Err(error) => return Err(error.clone().into()),
        };
        let gathered = Gathered {
            key: record.key,
            value: record.value,
            headers: record.headers,
            timestamp_ms: record.timestamp_ms.unwrap_or_else(now_ms),
        };
        let bytes = gathered.size();
        let max = config.max_request_size;
        if bytes > max {
            return Err(ClientError::RecordTooLarge { bytes, max });
        }
        let count = self.partition_count(&record.topic).await?;
        let partition = match record.partition {
            Some(partition) if (0..count).contains(&partition) => partition,
            Some(_) => return Err(ClientError::kafka(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
            None => self.choose(&record.topic, &gathered, count.cast_unsigned()),
        };
        let permits = u32::try_from(bytes.min(config.buffer_memory)).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.shared.memory)
            .acquire_many_owned(permits)
            .await
            .map_err(|_closed| ClientError::Closed)?;
        let (answer, delivery) = oneshot::channel();
        let waiter = Waiter {
            answer,
            _memory: memory,
        };
        let partition = TopicPartition::new(record.topic, partition);
        self.shared
            .commands
            .send(Command::Send(partition, gathered, waiter))
            .map_err(|_gone| ClientError::Closed)?;
        Ok(Delivery(delivery))
    }

    /// Sends everything handed over so far without lingering and waits until each record is stored or has failed.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.shared.commands.send(Command::Flush(done)).is_ok() {
            // A driver that is gone has failed everything already.
            let _ = flushed.await;
        }
    }

    async fn partition_count(&self, topic: &str) -> Result<i32, ClientError> {
        let client = &self.shared.client;
        if let Some(count) = client.cluster().partition_count(topic) {
            return Ok(count);
        }
        check_topic_name(topic)?;
        client.track([topic.to_owned()]).await?;
        let deadline = Instant::now() + client.config().default_api_timeout;
        let mut backoff = client.retry_backoff();
        loop {
            let cluster = client.cluster();
            if let Some(count) = cluster.partition_count(topic) {
                return Ok(count);
            }
            let error = match cluster.refused.get(topic) {
                Some(code) if *code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                    ClientError::kafka(*code)
                }
                _ => ClientError::UnknownTopic(topic.to_owned()),
            };
            let hopeless = matches!(error, ClientError::UnknownTopic(_))
                && !client.config().allow_auto_create_topics;
            let wait = backoff.next_wait();
            if (hopeless && backoff.attempts() > 5) || Instant::now() + wait >= deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            client.refresh().await?;
        }
    }

    fn choose(&self, topic: &str, record: &Gathered, count: u32) -> i32 {
        let chosen = match &record.key {
            Some(key) => partition_for_key(key, count),
            None => {
                let mut sticky = self
                    .shared
                    .sticky
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                if !sticky.contains_key(topic) {
                    sticky.insert(topic.to_owned(), Sticky::new(rand::random()));
                }
                match sticky.get_mut(topic) {
                    Some(sticky) => {
                        sticky.next(count, record.size(), self.shared.client.config().batch_size)
                    }
                    None => 0,
                }
            }
        };
        chosen.cast_signed()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the producer is the shell that stamps records"
)]
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
