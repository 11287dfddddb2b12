//! Fetches the partitions that one broker leads, a child of [`fetchers`](crate::fetchers): one request in flight, the
//! next one as soon as it is answered and there is credit. Runs ahead of the handlers within the byte budget; hands on
//! batches as they came, undecoded. Full requests, no fetch session.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callboard_client::{ANY_VERSION, Answer, ClientError, Cluster, TopicPartition};
use callboard_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use callboard_protocol::records::BatchIter;
use callboard_protocol::{ErrorCode, Uuid};
use callboard_supervision::{Addr, Envelope, Timer};
use metrics::counter;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;

use crate::chunk::{Chunk, Credit};
use crate::core::fetch_plan::{FetchPlan, Plan, Reaction};
use crate::core::partition::{FetchFrom, Input, Refused};
use crate::fetchers::FetchersMsg;
use crate::metrics::CONSUMER_FETCH_ERRORS_TOTAL;
use crate::partition::Cell;
use crate::partition_handler::HandlerMsg;
use crate::shared::Shared;

/// Its kind in metrics and logs.
pub(crate) const KIND: &str = "fetcher";

/// Fetch names topics by id from v13 on; up to 12 by name.
const FETCH_BY_NAME_VERSION: i16 = 12;
/// The session id of a request without a session (KIP-227).
const NO_SESSION: i32 = 0;
/// And its session epoch.
const FINAL_EPOCH: i32 = -1;

type Asked = BTreeMap<TopicPartition, (Arc<Cell>, FetchFrom)>;

/// What a fetcher is told.
pub(crate) enum FetcherMsg {
    /// Fetch this partition.
    Add(Arc<Cell>),
    /// Fetch it no more.
    Remove(TopicPartition),
    /// Something may be fetched that could not be.
    Wake,
    /// The request in flight is answered.
    Answered {
        asked: Asked,
        answer: Result<Answer<FetchRequest<'static>>, ClientError>,
    },
}

pub(crate) struct Fetcher;

pub(crate) struct Args {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: i32,
}

pub(crate) struct State {
    shared: Arc<Shared>,
    myself: Addr<FetcherMsg>,
    node: i32,
    plan: FetchPlan,
    cells: BTreeMap<TopicPartition, Arc<Cell>>,
    /// The request in flight; it ends with this actor.
    request: JoinSet<()>,
    in_flight: bool,
    timer: Option<Timer>,
    origin: Instant,
}

#[ractor::async_trait]
impl Actor for Fetcher {
    type Msg = Envelope<FetcherMsg>;
    type State = State;
    type Arguments = Args;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: Args,
    ) -> Result<State, ActorProcessingErr> {
        let Args { shared, node } = args;
        let max_wait = shared.client.config().fetch_max_wait;
        Ok(State {
            plan: FetchPlan::new(max_wait, shared.client.retry_backoff()),
            myself: Addr::new(myself, KIND),
            node,
            cells: BTreeMap::new(),
            request: JoinSet::new(),
            in_flight: false,
            timer: None,
            origin: Instant::now(),
            shared,
        })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        while state.request.try_join_next().is_some() {}
        match message.open() {
            FetcherMsg::Add(cell) => {
                state.plan.add(cell.partition.clone());
                state.cells.insert(cell.partition.clone(), cell);
            }
            FetcherMsg::Remove(partition) => {
                state.plan.remove(&partition);
                state.cells.remove(&partition);
            }
            FetcherMsg::Wake => {}
            FetcherMsg::Answered { asked, answer } => {
                state.in_flight = false;
                state.answered(asked, answer);
            }
        }
        state.ask();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        _event: SupervisionEvent,
        _state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // Links nobody.
        Ok(())
    }
}

impl State {
    /// Sends the next request, if there is anything to ask for and none is out.
    fn ask(&mut self) {
        if self.in_flight {
            return;
        }
        let now = self.origin.elapsed();
        let cells = &self.cells;
        let plan = self.plan.plan(now, |partition| match cells.get(partition) {
            Some(cell) => cell.eligibility(),
            None => crate::core::fetch_plan::Eligibility::Idle,
        });
        let mut asked = Asked::new();
        if let Some(plan) = plan {
            for partition in &plan.partitions {
                if let Some(cell) = self.cells.get(partition)
                    && let Some(from) = cell.fetch_from()
                {
                    asked.insert(partition.clone(), (Arc::clone(cell), from));
                }
            }
            if !asked.is_empty() {
                self.in_flight = true;
                self.timer = None;
                let (shared, node, myself) =
                    (Arc::clone(&self.shared), self.node, self.myself.clone());
                self.request.spawn(async move {
                    let answer = fetch(&shared, node, &plan, &asked).await;
                    // Gone only if the consumer is, or another fetcher took over.
                    let _ = myself.cast(FetcherMsg::Answered { asked, answer });
                });
                return;
            }
        }
        self.timer = self.plan.next_deadline(now).map(|due| {
            self.myself
                .send_after(due.saturating_sub(now), FetcherMsg::Wake)
        });
    }

    fn answered(
        &mut self,
        asked: Asked,
        answer: Result<Answer<FetchRequest<'static>>, ClientError>,
    ) {
        let taken = answer.and_then(|answer| self.take(&asked, &answer));
        if let Err(error) = taken {
            debug!(node = self.node, %error, "fetch failed");
            self.error(error.code().map_or("DISCONNECTED", |code| code.name()));
            self.plan.all_failed(self.origin.elapsed());
            if error.code().is_none() {
                for partition in asked.into_keys() {
                    self.misplaced(partition);
                }
            }
        }
    }

    fn take(
        &mut self,
        asked: &Asked,
        answer: &Answer<FetchRequest<'static>>,
    ) -> Result<(), ClientError> {
        let response = answer.read()?;
        if response.error_code != ErrorCode::NONE.0 {
            return Err(ClientError::kafka(ErrorCode(response.error_code)));
        }
        let cluster = self.shared.client.cluster();
        for topic in &response.responses {
            let by_id = (topic.topic_id != Uuid::ZERO)
                .then(|| cluster.topic_name(topic.topic_id))
                .flatten();
            let name: Arc<str> = match by_id {
                Some(name) => Arc::clone(name),
                None => Arc::from(&*topic.topic),
            };
            for data in &topic.partitions {
                let partition = TopicPartition::new(Arc::clone(&name), data.partition_index);
                // A partition that was not asked for, or is not fetched here any more, is nobody's.
                let Some((cell, from)) = asked.get(&partition) else {
                    debug!(%partition, "a partition that was not asked for");
                    continue;
                };
                if !self
                    .cells
                    .get(&partition)
                    .is_some_and(|held| Arc::ptr_eq(held, cell))
                {
                    continue;
                }
                match ErrorCode(data.error_code) {
                    ErrorCode::NONE => {
                        cell.note_answered();
                        let batches = match &data.records {
                            Some(records) => records.to_bytes(answer.frame()),
                            None => Bytes::new(),
                        };
                        self.deliver(cell, *from, batches, data.high_watermark);
                    }
                    code => self.react(cell, *from, code),
                }
            }
        }
        Ok(())
    }

    /// Hands a partition's batches to its handler, if they are still what it waits for.
    fn deliver(&mut self, cell: &Arc<Cell>, from: FetchFrom, batches: Bytes, high_watermark: i64) {
        let mut next = from.offset;
        let mut whole = 0;
        for batch in BatchIter::new(batches.clone()) {
            match batch {
                Ok(batch) => {
                    let header = batch.header();
                    whole += 1;
                    // Also past a batch that compaction left empty.
                    next = next.max(header.next_offset());
                }
                // The handler meets it at its place and says so.
                Err(_unreadable) => {
                    whole += 1;
                    break;
                }
            }
        }
        let size = batches.len();
        if size > 0 && whole == 0 {
            // Brokers answer with at least one whole batch, however large; asking again would not help.
            self.plan.failed(self.origin.elapsed(), &cell.partition);
            let reason = format!("offset {}: the answer holds no whole batch", from.offset);
            self.refused(cell, from, Refused::ForGood(reason));
            return;
        }
        let share = self.shared.share();
        let Some(handler) = cell.fetched(from, next, high_watermark, size, share) else {
            return;
        };
        self.shared.show_lag(cell);
        if size == 0 {
            return;
        }
        if next > from.offset {
            self.plan.delivered(&cell.partition);
        } else {
            // Unreadable from its beginning: the next answer is the same, until the handler has come to it and says so.
            self.plan.failed(self.origin.elapsed(), &cell.partition);
        }
        let chunk = Chunk {
            from,
            batches,
            credit: Credit::new(&self.shared, cell, size),
        };
        if handler.cast(HandlerMsg::Records(chunk)).is_err() {
            // It has just failed; the next one begins where it was. Until then nobody waits for these records.
            debug!(partition = %cell.partition, "the handler is gone");
            self.plan.failed(self.origin.elapsed(), &cell.partition);
        }
    }

    fn refused(&self, cell: &Arc<Cell>, from: FetchFrom, why: Refused) {
        cell.step(Input::Refused { from, why });
        self.shared.act(cell);
    }

    fn react(&mut self, cell: &Arc<Cell>, from: FetchFrom, code: ErrorCode) {
        let partition = cell.partition.clone();
        debug!(%partition, error = code.name(), "fetch of a partition failed");
        self.error(code.name());
        self.plan.failed(self.origin.elapsed(), &partition);
        match Reaction::of(code) {
            Reaction::Retry => {}
            Reaction::RefreshMetadata => self.misplaced(partition),
            Reaction::OutOfRange => self.refused(cell, from, Refused::OutOfRange),
            Reaction::Stop => {
                let reason = format!("fetching it is answered with {}", code.name());
                self.refused(cell, from, Refused::ForGood(reason));
            }
        }
    }

    fn misplaced(&self, partition: TopicPartition) {
        self.shared
            .slots
            .fetchers
            .cast(FetchersMsg::Misplaced(partition, self.node));
    }

    fn error(&self, name: &'static str) {
        counter!(
            CONSUMER_FETCH_ERRORS_TOTAL,
            "group" => self.shared.group_id.to_string(),
            "error" => name
        )
        .increment(1);
    }
}

async fn fetch(
    shared: &Shared,
    node: i32,
    plan: &Plan,
    asked: &Asked,
) -> Result<Answer<FetchRequest<'static>>, ClientError> {
    let config = shared.client.config();
    let cluster = shared.client.cluster();
    // Ids for all topics or for none.
    let ids: Option<BTreeMap<Arc<str>, Uuid>> = asked
        .keys()
        .map(|one| topic_id(&cluster, &one.topic).map(|id| (Arc::clone(&one.topic), id)))
        .collect();
    let cap = if ids.is_some() {
        ANY_VERSION
    } else {
        FETCH_BY_NAME_VERSION
    };
    let target = shared.client.fetch(node, plan.max_wait);
    shared
        .client
        .request::<FetchRequest>(target, cap, |version| {
            let mut topics: Vec<FetchTopic<'static>> = Vec::new();
            for partition in &plan.partitions {
                let Some((_, from)) = asked.get(partition) else {
                    continue;
                };
                let leader = cluster.leader(&partition.topic, partition.partition);
                let fetch = FetchPartition {
                    partition: partition.partition,
                    current_leader_epoch: leader.map_or(-1, |(_, epoch)| epoch),
                    fetch_offset: from.offset,
                    log_start_offset: -1,
                    partition_max_bytes: config.max_partition_fetch_bytes,
                    ..FetchPartition::default()
                };
                // The order of the plan is the order on the wire: neighbours of one topic share an entry.
                match topics.last_mut() {
                    Some(last) if *last.topic == *partition.topic => last.partitions.push(fetch),
                    _ => topics.push(FetchTopic {
                        topic: partition.topic.to_string().into(),
                        topic_id: match &ids {
                            Some(ids) if version > FETCH_BY_NAME_VERSION => {
                                ids.get(&partition.topic).copied().unwrap_or_default()
                            }
                            _ => Uuid::ZERO,
                        },
                        partitions: vec![fetch],
                        ..FetchTopic::default()
                    }),
                }
            }
            FetchRequest {
                replica_id: -1,
                max_wait_ms: millis(plan.max_wait),
                min_bytes: config.fetch_min_bytes,
                max_bytes: config.fetch_max_bytes,
                session_id: NO_SESSION,
                session_epoch: FINAL_EPOCH,
                topics,
                ..FetchRequest::default()
            }
        })
        .await
}

fn topic_id(cluster: &Cluster, topic: &str) -> Option<Uuid> {
    let id = cluster.topics.get(topic)?.id;
    (id != Uuid::ZERO).then_some(id)
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
