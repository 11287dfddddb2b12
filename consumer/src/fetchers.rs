//! Sends every consumed partition to the fetcher of the broker that leads it, a child of the consumer and the
//! supervisor of the fetchers. Follows leaders as metadata tells of them. Never sees a record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callboard_client::TopicPartition;
use callboard_supervision::{Addr, Envelope, seldom, spawn_linked};
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinSet;
use tracing::debug;

use crate::fetcher::{self, Fetcher, FetcherMsg};
use crate::partition::Cell;
use crate::shared::Shared;
use callboard_client::core::backoff::Backoff;

/// Its kind in metrics and logs.
pub(crate) const KIND: &str = "fetchers";

/// What the router of partitions is told.
pub(crate) enum FetchersMsg {
    /// Fetch this partition from where its cell says, or look at it again if it is fetched already.
    Add(Arc<Cell>),
    /// Fetch it no more.
    Remove(TopicPartition),
    /// Its handler has room again.
    Wake(TopicPartition),
    /// Its broker says that it does not lead it, or cannot be reached.
    Misplaced(TopicPartition, i32),
    /// Metadata was refreshed, successfully or not: place what has no place.
    Place,
    /// What is known of the cluster has changed.
    ClusterChanged,
}

pub(crate) struct Fetchers;

struct Placed {
    cell: Arc<Cell>,
    node: Option<i32>,
    /// The leader and its epoch that it was last placed by.
    believed: Option<(i32, i32)>,
    /// Of this partition alone: who believes that another broker leads it may go on to do so.
    backoff: Backoff,
}

impl Placed {
    fn new(shared: &Shared, cell: Arc<Cell>) -> Self {
        Self {
            cell,
            node: None,
            believed: None,
            backoff: shared.client.retry_backoff(),
        }
    }
}

pub(crate) struct State {
    shared: Arc<Shared>,
    myself: Addr<FetchersMsg>,
    supervisor: ActorCell,
    partitions: BTreeMap<TopicPartition, Placed>,
    fetchers: BTreeMap<i32, Addr<FetcherMsg>>,
    /// The metadata refresh under way; it ends with this actor.
    refresh: JoinSet<()>,
    /// It has not said yet that it is done.
    refreshing: bool,
    /// Listens for changes of the cluster; ends with this actor.
    _watch: JoinSet<()>,
    backoff: Backoff,
}

#[ractor::async_trait]
impl Actor for Fetchers {
    type Msg = Envelope<FetchersMsg>;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        shared: Arc<Shared>,
    ) -> Result<State, ActorProcessingErr> {
        let supervisor = myself.get_cell();
        let myself = Addr::new(myself, KIND);
        shared.slots.fetchers.set(myself.clone());
        let partitions: BTreeMap<_, _> = shared
            .cells()
            .into_iter()
            .map(|(partition, cell)| (partition, Placed::new(&shared, cell)))
            .collect();
        let state = State {
            supervisor,
            _watch: watch(&shared, myself.clone()),
            myself,
            partitions,
            fetchers: BTreeMap::new(),
            refresh: JoinSet::new(),
            refreshing: false,
            backoff: shared.client.retry_backoff(),
            shared,
        };
        // After a restart there are partitions to place; the first time this finds none.
        state
            .myself
            .cast(FetchersMsg::Place)
            .map_err(|_| "stopped while starting")?;
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            FetchersMsg::Add(cell) => state.add(cell).await,
            FetchersMsg::Remove(partition) => state.remove(&partition),
            FetchersMsg::Wake(partition) => state.wake(&partition),
            FetchersMsg::Misplaced(partition, node) => state.misplaced(&partition, node),
            FetchersMsg::Place => {
                state.refreshing = false;
                state.place_all().await;
            }
            FetchersMsg::ClusterChanged => state.follow_leaders().await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(actor, error) => {
                seldom!(warn, %error, "fetcher failed");
                state.fetcher_ended(actor.get_id());
            }
            SupervisionEvent::ActorTerminated(actor, _last_state, _reason) => {
                state.fetcher_ended(actor.get_id());
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl State {
    async fn add(&mut self, cell: Arc<Cell>) {
        let partition = cell.partition.clone();
        let known = self.partitions.get(&partition);
        if let Some(node) = known
            .filter(|placed| Arc::ptr_eq(&placed.cell, &cell))
            .and_then(|placed| placed.node)
        {
            self.tell(node, FetcherMsg::Wake);
            return;
        }
        self.remove(&partition);
        let placed = Placed::new(&self.shared, cell);
        self.partitions.insert(partition.clone(), placed);
        if !self.place(&partition).await {
            self.refresh_later(Duration::ZERO);
        }
    }

    fn remove(&mut self, partition: &TopicPartition) {
        if let Some(Placed {
            node: Some(node), ..
        }) = self.partitions.remove(partition)
        {
            self.tell(node, FetcherMsg::Remove(partition.clone()));
        }
    }

    fn wake(&mut self, partition: &TopicPartition) {
        if let Some(Placed {
            node: Some(node), ..
        }) = self.partitions.get(partition)
        {
            self.tell(*node, FetcherMsg::Wake);
        }
    }

    fn tell(&self, node: i32, message: FetcherMsg) {
        if let Some(fetcher) = self.fetchers.get(&node) {
            // One that has just failed is heard of as a supervision event, and its partitions placed again.
            let _ = fetcher.cast(message);
        }
    }

    fn misplaced(&mut self, partition: &TopicPartition, node: i32) {
        let Some(placed) = self.partitions.get_mut(partition) else {
            return;
        };
        if placed.node != Some(node) {
            return;
        }
        placed.node = None;
        if placed.cell.take_answered() {
            placed.backoff.reset();
        }
        let wait = placed.backoff.next_wait();
        self.tell(node, FetcherMsg::Remove(partition.clone()));
        self.refresh_later(wait);
    }

    /// Takes partitions from nodes that do not lead them any more, and places those that have a leader again. The node
    /// itself may be the last to say so: one that hangs holds a request for `request.timeout.ms`.
    async fn follow_leaders(&mut self) {
        let cluster = self.shared.client.cluster();
        let mut moved = Vec::new();
        for (partition, placed) in &mut self.partitions {
            let Some((leader, epoch)) = cluster.leader(&partition.topic, partition.partition)
            else {
                continue;
            };
            let is_news = match placed.node {
                Some(node) => leader != node,
                None => placed.believed != Some((leader, epoch)),
            };
            if is_news {
                moved.push((placed.node.take(), partition.clone()));
            }
        }
        for (node, partition) in moved {
            if let Some(node) = node {
                self.tell(node, FetcherMsg::Remove(partition.clone()));
            }
            if !self.place(&partition).await {
                let wait = self.backoff.next_wait();
                self.refresh_later(wait);
            }
        }
    }

    /// Refreshes metadata after a wait, then places. One refresh at a time serves everybody.
    fn refresh_later(&mut self, wait: Duration) {
        if self.refreshing {
            return;
        }
        self.refreshing = true;
        self.refresh = JoinSet::new();
        let shared = Arc::clone(&self.shared);
        let myself = self.myself.clone();
        self.refresh.spawn(async move {
            tokio::time::sleep(wait).await;
            if let Err(error) = shared.client.refresh().await {
                debug!(%error, "cannot refresh metadata");
            }
            // Gone only if the consumer is.
            let _ = myself.cast(FetchersMsg::Place);
        });
    }

    async fn place_all(&mut self) {
        let homeless: Vec<_> = self
            .partitions
            .iter()
            .filter(|(_, placed)| placed.node.is_none())
            .map(|(partition, _)| partition.clone())
            .collect();
        let mut all = true;
        for partition in homeless {
            all &= self.place(&partition).await;
        }
        if all {
            self.backoff.reset();
        } else {
            let wait = self.backoff.next_wait();
            self.refresh_later(wait);
        }
    }

    /// Gives a partition to its leader's fetcher. False if it has none that is known.
    async fn place(&mut self, partition: &TopicPartition) -> bool {
        let leader = self
            .shared
            .client
            .cluster()
            .leader(&partition.topic, partition.partition);
        let Some((node, epoch)) = leader else {
            return false;
        };
        if !self.fetchers.contains_key(&node) {
            let args = fetcher::Args {
                shared: Arc::clone(&self.shared),
                node,
            };
            match spawn_linked(fetcher::KIND, Fetcher, args, self.supervisor.clone()).await {
                Ok((address, _join)) => {
                    self.fetchers.insert(node, address);
                }
                Err(error) => {
                    seldom!(warn, %error, "cannot start a fetcher");
                    return false;
                }
            }
        }
        let Some(placed) = self.partitions.get_mut(partition) else {
            return true;
        };
        placed.node = Some(node);
        placed.believed = Some((node, epoch));
        let cell = Arc::clone(&placed.cell);
        self.tell(node, FetcherMsg::Add(cell));
        true
    }

    fn fetcher_ended(&mut self, ended: ActorId) {
        let node = self
            .fetchers
            .iter()
            .find(|(_, fetcher)| fetcher.actor().get_id() == ended)
            .map(|(node, _)| *node);
        let Some(node) = node else { return };
        self.fetchers.remove(&node);
        for placed in self.partitions.values_mut() {
            if placed.node == Some(node) {
                placed.node = None;
            }
        }
        let wait = self.backoff.next_wait();
        self.refresh_later(wait);
    }
}

/// Tells the router of every change of the cluster.
fn watch(shared: &Shared, myself: Addr<FetchersMsg>) -> JoinSet<()> {
    let mut changes = shared.client.watch_cluster();
    let mut watch = JoinSet::new();
    watch.spawn(async move {
        while changes.changed().await.is_ok() {
            if myself.cast(FetchersMsg::ClusterChanged).is_err() {
                return;
            }
        }
    });
    watch
}
