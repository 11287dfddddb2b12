//! A scripted broker for tests: one node, or more with the same logs, that speaks Kafka's bytes over in-memory streams, so that clients run under a
//! paused clock. It keeps topics, one group of one member, and committed offsets, in as few words as the protocol
//! allows; on request it answers with errors, holds answers back, or cuts its connections. Not a broker: no member ever
//! meets another one here.

mod answers;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use callboard_protocol::frame::FrameReader;
use callboard_protocol::records::{BatchBuilder, Compression};
use callboard_protocol::{ApiKey, ErrorCode, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::transport::{Connecting, Connector, Stream};

/// The node id of the only broker.
pub const NODE: i32 = 1;
/// Its port; the port of another node lies as far from it as the nodes' ids do.
const PORT: u16 = 9092;
/// How much an in-memory stream holds before its writer waits.
const PIPE_BYTES: usize = 256 * 1024;
/// Frames of tests are small.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request the broker has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its API.
    pub api: ApiKey,
    /// The version it was sent in.
    pub version: i16,
    /// What matters of it, for asserting.
    pub detail: String,
}

#[derive(Debug, Default)]
struct Log {
    /// Base offset, offset after the last record, bytes.
    batches: Vec<(i64, i64, Bytes)>,
    next: i64,
    leader_epoch: i32,
    /// It has no leader.
    leaderless: bool,
    /// The node that leads it, where that is another than [`NODE`].
    leader: Option<i32>,
    /// Producer id and the sequence expected next.
    producer: Option<(i64, i32)>,
}

#[derive(Debug, Default)]
struct Group {
    generation: i32,
    member: String,
    /// Members that never speak: their ids and subscriptions.
    peers: BTreeMap<String, Bytes>,
    /// What the last SyncGroup of the leader gave to each.
    assignments: BTreeMap<String, Bytes>,
    next_member: u32,
    committed: BTreeMap<(String, i32), i64>,
    /// Commits that were accepted although they went back.
    rewinds: Vec<String>,
}

#[derive(Debug)]
struct Fault {
    api: ApiKey,
    code: ErrorCode,
    left: u32,
}

#[derive(Debug, Default)]
struct World {
    topics: BTreeMap<String, Vec<Log>>,
    /// The n-th topic ever made has the id n.
    topic_ids: BTreeMap<String, u8>,
    next_topic: u8,
    /// Topics whose records and offsets are refused, each with the code.
    refused: BTreeMap<String, ErrorCode>,
    /// `max.message.bytes` of topics that have it set.
    message_bytes_max: BTreeMap<String, usize>,
    group: Group,
    faults: Vec<Fault>,
    held: BTreeSet<i16>,
    /// Nodes that answer no Fetch.
    hung: BTreeSet<i32>,
    /// Topics of which OffsetFetch says nothing.
    denied: BTreeSet<String>,
    max_versions: BTreeMap<i16, i16>,
    seen: Vec<Seen>,
    next_producer: i64,
    /// Requests that were read and not acted upon: API and number.
    turns: BTreeSet<(i16, u64)>,
    next_turn: u64,
    connections: Vec<CancellationToken>,
}

#[derive(Debug, Default)]
struct Shared {
    world: Mutex<World>,
    /// Something changed that a held or waiting request may wait for.
    changed: Notify,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let result = change(&mut self.world());
        self.changed.notify_waiters();
        result
    }
}

/// The broker. Clones are the same broker.
#[derive(Clone, Debug, Default)]
pub struct ScriptedBroker {
    shared: Arc<Shared>,
}

impl ScriptedBroker {
    /// A broker without topics.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How clients reach it, under whatever address.
    #[must_use]
    pub fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(self.clone())
    }

    /// Adds a topic, or gives one more partitions.
    pub fn create_topic(&self, name: &str, partitions: usize) {
        self.shared.change(|world| {
            if !world.topics.contains_key(name) {
                world.next_topic += 1;
                world.topic_ids.insert(name.to_owned(), world.next_topic);
            }
            let logs = world.topics.entry(name.to_owned()).or_default();
            while logs.len() < partitions {
                logs.push(Log::default());
            }
        });
    }

    /// Deletes a topic, and what the group has committed for it.
    pub fn delete_topic(&self, name: &str) {
        self.shared.change(|world| {
            world.topics.remove(name);
            world.topic_ids.remove(name);
            let committed = &mut world.group.committed;
            committed.retain(|(topic, _), _| topic != name);
        });
    }

    /// Appends one batch of records with these values.
    ///
    /// # Panics
    /// When the topic or partition is not there.
    pub fn append<V: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: usize,
        values: impl IntoIterator<Item = V>,
    ) {
        self.shared.change(|world| {
            let log = &mut world.topics.get_mut(topic).expect("create the topic first")[partition];
            let mut builder = BatchBuilder::new(log.next, Compression::None);
            let mut count = 0;
            for value in values {
                answers::push(&mut builder, value.as_ref());
                count += 1;
            }
            let batch = answers::build(builder);
            log.batches.push((log.next, log.next + count, batch));
            log.next += count;
        });
    }

    /// Appends bytes as they are, as batches from `first` up to `next`.
    ///
    /// # Panics
    /// When the topic or partition is not there.
    pub fn append_raw(
        &self,
        topic: &str,
        partition: usize,
        (first, next): (i64, i64),
        bytes: Bytes,
    ) {
        self.shared.change(|world| {
            let log = &mut world.topics.get_mut(topic).expect("create the topic first")[partition];
            log.batches.push((first, next, bytes));
            log.next = next;
        });
    }

    /// Leaves out the records below `offset` of a partition, as retention does.
    pub fn truncate_before(&self, topic: &str, partition: usize, offset: i64) {
        self.change_log(topic, partition, |log| {
            log.batches.retain(|(_, next, _)| *next > offset);
        });
    }

    /// A partition's leader is of the next epoch: whoever believes in the one before is refused.
    pub fn raise_leader_epoch(&self, topic: &str, partition: usize) {
        self.change_log(topic, partition, |log| log.leader_epoch += 1);
    }

    /// A partition has no leader, until one is [elected](Self::elect_leader).
    pub fn lose_leader(&self, topic: &str, partition: usize) {
        self.change_log(topic, partition, |log| log.leaderless = true);
    }

    /// A partition that had none has a leader again, of the next epoch.
    pub fn elect_leader(&self, topic: &str, partition: usize) {
        self.change_log(topic, partition, |log| {
            log.leaderless = false;
            log.leader_epoch += 1;
        });
    }

    fn change_log(&self, topic: &str, partition: usize, change: impl FnOnce(&mut Log)) {
        self.shared.change(|world| {
            let logs = world.topics.get_mut(topic);
            if let Some(log) = logs.and_then(|logs| logs.get_mut(partition)) {
                change(log);
            }
        });
    }

    /// Sets `max.message.bytes` of a topic.
    pub fn limit_messages(&self, name: &str, bytes: usize) {
        self.shared
            .change(|world| world.message_bytes_max.insert(name.to_owned(), bytes));
    }

    /// Produce, Fetch and ListOffsets of a topic are answered with this code, until it is [`NONE`](ErrorCode::NONE).
    pub fn refuse_topic(&self, name: &str, code: ErrorCode) {
        self.shared
            .change(|world| world.refused.insert(name.to_owned(), code));
    }

    /// Another node leads a partition, in the next epoch. It has the same log.
    pub fn move_leader(&self, topic: &str, partition: usize, node: i32) {
        self.change_log(topic, partition, |log| {
            log.leader = Some(node);
            log.leader_epoch += 1;
        });
    }

    /// A node answers no Fetch any more, and keeps its connections.
    pub fn hang_fetches_of(&self, node: i32) {
        self.shared.change(|world| world.hung.insert(node));
    }

    /// The next `times` requests of this API are answered with `code`.
    pub fn fail(&self, api: ApiKey, code: ErrorCode, times: u32) {
        self.shared.change(|world| {
            world.faults.push(Fault {
                api,
                code,
                left: times,
            });
        });
    }

    /// Requests of this API are not answered, nor anything behind them on their connections, until released.
    pub fn hold(&self, api: ApiKey) {
        self.shared.change(|world| world.held.insert(api.0));
    }

    /// Answers what was held.
    pub fn release(&self, api: ApiKey) {
        self.shared.change(|world| world.held.remove(&api.0));
    }

    /// No fault that was asked for comes any more, and nothing is held.
    pub fn heal(&self) {
        self.shared.change(|world| {
            world.faults.clear();
            world.held.clear();
        });
    }

    /// Of this topic nobody may read what is committed, until it is allowed.
    pub fn deny_committed(&self, topic: &str, denied: bool) {
        self.shared.change(|world| {
            if denied {
                world.denied.insert(topic.to_owned());
            } else {
                world.denied.remove(topic);
            }
        });
    }

    /// Offers no version of an API above this one.
    pub fn cap_version(&self, api: ApiKey, max: i16) {
        self.shared
            .change(|world| world.max_versions.insert(api.0, max));
    }

    /// From the next join on the group has another member, of which the leader is told this subscription. It never says
    /// a word.
    pub fn add_peer(&self, member_id: &str, subscription: Bytes) {
        self.shared.change(|world| {
            world.group.peers.insert(member_id.to_owned(), subscription);
        });
    }

    /// What the leader assigned to a member last.
    #[must_use]
    pub fn assignment(&self, member_id: &str) -> Option<Bytes> {
        self.shared
            .world()
            .group
            .assignments
            .get(member_id)
            .cloned()
    }

    /// Forgets the group's member: its session is over.
    pub fn expire_member(&self) {
        self.shared.change(|world| world.group.member.clear());
    }

    /// Everything asked so far, in the order in which it was read.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.world().seen.clone()
    }

    /// How often an API was asked for.
    #[must_use]
    pub fn count(&self, api: ApiKey) -> usize {
        self.shared
            .world()
            .seen
            .iter()
            .filter(|seen| seen.api == api)
            .count()
    }

    /// The offset after the last record of a partition.
    #[must_use]
    pub fn end(&self, topic: &str, partition: usize) -> i64 {
        let world = self.shared.world();
        world
            .topics
            .get(topic)
            .and_then(|logs| logs.get(partition))
            .map_or(-1, |log| log.next)
    }

    /// The batches of a partition as they are stored.
    #[must_use]
    pub fn batches(&self, topic: &str, partition: usize) -> Vec<Bytes> {
        let world = self.shared.world();
        world
            .topics
            .get(topic)
            .and_then(|logs| logs.get(partition))
            .map(|log| {
                log.batches
                    .iter()
                    .map(|(_, _, bytes)| bytes.clone())
                    .collect()
            })
            .unwrap_or_default()
    }

    /// What the group has committed.
    #[must_use]
    pub fn committed(&self, topic: &str, partition: i32) -> Option<i64> {
        self.shared
            .world()
            .group
            .committed
            .get(&(topic.to_owned(), partition))
            .copied()
    }

    /// Commits that were accepted although they lie below what was committed before: partition, old and new offset.
    #[must_use]
    pub fn rewinds(&self) -> Vec<String> {
        self.shared.world().group.rewinds.clone()
    }

    /// Sets what the group has committed.
    pub fn commit(&self, topic: &str, partition: i32, offset: i64) {
        self.shared.change(|world| {
            world
                .group
                .committed
                .insert((topic.to_owned(), partition), offset)
        });
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.shared.change(|world| {
            for connection in world.connections.drain(..) {
                connection.cancel();
            }
        });
    }

    /// Waits until `holds` does, looking again whenever the broker's state changes.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds(self) {
                return;
            }
            changed.await;
        }
    }
}

impl Connector for ScriptedBroker {
    fn connect<'a>(&'a self, _host: &'a str, port: u16) -> Connecting<'a> {
        let node = node_at(port);
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            let cut = CancellationToken::new();
            self.shared
                .change(|world| world.connections.push(cut.clone()));
            let shared = Arc::clone(&self.shared);
            // Ends with its peer, or when it is cut.
            tokio::spawn(async move {
                tokio::select! {
                    () = cut.cancelled() => {}
                    _ended = serve(shared, node, ours) => {}
                }
            });
            let stream: Box<dyn Stream> = Box::new(theirs);
            Ok(stream)
        })
    }
}

fn node_at(port: u16) -> i32 {
    NODE + i32::from(port) - i32::from(PORT)
}

fn port_of(node: i32) -> u16 {
    u16::try_from(i32::from(PORT) + node - NODE).unwrap_or(PORT)
}

/// Reads, answers and writes one request after the other, as Kafka does on one connection.
async fn serve(shared: Arc<Shared>, node: i32, mut stream: DuplexStream) -> io::Result<()> {
    let mut frames = FrameReader::new(FRAME_BYTES_MAX);
    let mut buffer = BytesMut::new();
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        frames.push(buffer.split().freeze());
        while let Some(frame) = frames.pop().map_err(io::Error::other)? {
            let (head, body) = header::read_request(&frame).map_err(io::Error::other)?;
            let api = head.api_key;
            let detail = answers::detail(api, head.api_version, body);
            shared.change(|world| {
                world.seen.push(Seen {
                    api,
                    version: head.api_version,
                    detail,
                });
            });
            let answer = if api == ApiKey::FETCH {
                while_held(&shared, node, api).await;
                answers::fetch(&shared, &head, body).await?
            } else {
                let turn = Turn::new(&shared, api);
                turn.come().await;
                answers::answer(&shared, &head, body)?
            };
            stream.write_all(&answer).await?;
        }
    }
}

async fn while_held(shared: &Shared, node: i32, api: ApiKey) {
    loop {
        let changed = shared.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        {
            let world = shared.world();
            if !world.held.contains(&api.0) && !world.hung.contains(&node) {
                return;
            }
        }
        changed.await;
    }
}

/// A request that waits for its turn. Requests of one API are acted upon in the order in which they came, whatever
/// connection they came on and whether their sender still waits: as a broker's request queue has it.
struct Turn<'a> {
    shared: &'a Shared,
    api: ApiKey,
    number: u64,
}

impl<'a> Turn<'a> {
    fn new(shared: &'a Shared, api: ApiKey) -> Self {
        let number = shared.change(|world| {
            world.next_turn += 1;
            let turn = (api.0, world.next_turn);
            world.turns.insert(turn);
            world.next_turn
        });
        Self {
            shared,
            api,
            number,
        }
    }

    /// Until this API is not held and nothing of it came earlier.
    async fn come(&self) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let world = self.shared.world();
                let first = world.turns.range((self.api.0, 0)..).next();
                if first == Some(&(self.api.0, self.number)) && !world.held.contains(&self.api.0) {
                    return;
                }
            }
            changed.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let turn = (self.api.0, self.number);
        self.shared.change(|world| world.turns.remove(&turn));
    }
}

impl World {
    /// What is wrong with a topic, or with everything that this request asks for.
    fn refusal(&self, topic: &str, fault: ErrorCode) -> ErrorCode {
        match self.refused.get(topic) {
            Some(code) if fault == ErrorCode::NONE => *code,
            _ => fault,
        }
    }

    /// The error the next request of this API is to have.
    fn fault(&mut self, api: ApiKey) -> ErrorCode {
        let found = self
            .faults
            .iter_mut()
            .find(|fault| fault.api == api && fault.left > 0);
        match found {
            Some(fault) => {
                fault.left -= 1;
                fault.code
            }
            None => ErrorCode::NONE,
        }
    }
}

/// A bound for decompressing what tests produce.
#[must_use]
pub fn limit() -> callboard_protocol::records::DecompressLimit {
    callboard_protocol::records::DecompressLimit::new(1024 * 1024)
}
