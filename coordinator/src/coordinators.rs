//! The handle of a node's coordinators, and the actor above them.
//!
//! ```text
//! coordinators             ends them in order
//! └─ supervisor            restarts each by itself
//!    ├─ group coordinator  × partitions of __consumer_offsets
//!    │  └─ offsets writer
//!    └─ compactor          of the log under all of them
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use callboard_offsets::log::OffsetsLog;
use callboard_offsets::{WallClock, compaction, partition_for};
use callboard_supervision::{
    Addr, ChildSpec, Envelope, RestartPolicy, SpawnError, Supervisor, SupervisorMsg, spawn_linked,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tracing::warn;
use uuid::Uuid;

use crate::group_coordinator::{
    CoordinatorArgs, CoordinatorMsg, GroupCoordinator, KIND as COORDINATOR,
};
use crate::metrics::RequestMeter;
use crate::node::{Node, Place};
use crate::route::{Asked, Router, list_shares};
use crate::told::Told;
use crate::{Call, CoordinatorConfig, Forgotten, TopicLookup, TopicsImage};

/// The kind of the actor above the coordinators, and of their supervisor.
pub(crate) const KIND: &str = "coordinators";
pub(crate) const SUPERVISOR: &str = "coordinators_supervisor";
/// How long coordinators may take to answer whoever waits and to see their appends land.
const CLOSE: Duration = Duration::from_secs(4);
/// How long the coordinators may take to stop after that, all of them together.
const STOP: Duration = Duration::from_secs(4);
/// How long one may take to start. Starting does not read the log.
const START: Duration = Duration::from_secs(30);

/// A partition that keeps failing is kept trying, at the end every five seconds, and never ends its neighbours.
const RESTARTS: RestartPolicy = RestartPolicy {
    max_restarts: u32::MAX,
    window: Duration::from_secs(60),
    backoff_initial: Duration::from_millis(50),
    backoff_max: Duration::from_secs(5),
};

/// The group coordinators of one node. Cheap to clone; a clone neither starts them nor keeps them alive.
///
/// [`child`](Self::child) starts them under a supervisor; they load in the background and are at once there to be asked,
/// with Kafka's answer while they load.
#[derive(Clone, Debug)]
pub struct Coordinators {
    node: Arc<Node>,
}

impl Coordinators {
    /// Coordinators over `log`, which must have the configured number of partitions, for the topics of `lookup`. Where
    /// topics are deleted, tell them by [`topics_changed`](Self::topics_changed), of those that were deleted before as
    /// well, and before the child is started.
    #[must_use]
    pub fn new(
        config: CoordinatorConfig,
        log: Arc<dyn OffsetsLog>,
        lookup: Arc<dyn TopicLookup>,
    ) -> Self {
        Self::with_clock(config, log, lookup, WallClock::system())
    }

    /// The same with a clock of the caller's making for the timestamps that are stored.
    #[must_use]
    pub fn with_clock(
        config: CoordinatorConfig,
        log: Arc<dyn OffsetsLog>,
        lookup: Arc<dyn TopicLookup>,
        clock: WallClock,
    ) -> Self {
        let places = config.offsets_topic_num_partitions.max(1);
        Self {
            node: Arc::new(Node {
                config,
                log,
                clock,
                meter: RequestMeter::new(),
                told: Told::new(TopicsImage::of(lookup)),
                board: (0..places).map(|_| Place::default()).collect(),
            }),
        }
    }

    /// The child that starts them, and ends them in order when it is stopped: whoever waits is answered, and what was
    /// appended has landed.
    #[must_use]
    pub fn child(&self) -> ChildSpec {
        let node = Arc::clone(&self.node);
        ChildSpec::new(KIND, KIND, move |supervisor, _| {
            let node = Arc::clone(&node);
            async move {
                let (address, _join): (Addr<()>, _) =
                    spawn_linked(KIND, Root, node, supervisor).await?;
                Ok(address.actor().get_cell())
            }
        })
    }

    /// Asks, in the order of the calls. Each coordinator that is asked gets one message.
    ///
    /// Nothing is awaited and nothing blocks; every call is answered through its reply, also when a coordinator fails.
    pub fn submit(&self, calls: Vec<Call>) {
        let mut batches: BTreeMap<u32, Vec<Asked>> = BTreeMap::new();
        let mut routed = Vec::new();
        let image = self.node.told.image();
        let meter = &self.node.meter;
        for call in calls {
            let mut router = Router {
                image: &image,
                fresh: &mut Uuid::new_v4,
                meter,
            };
            if let Some((request, reply)) = router.route(call, &mut routed) {
                let shares = list_shares(reply, self.node.board.len(), meter);
                for (partition, owed) in (0..).zip(shares) {
                    let asked = Asked::List(request.clone(), owed);
                    batches.entry(partition).or_default().push(asked);
                }
            }
            for routed in routed.drain(..) {
                if let Asked::Group { group_id, .. } = &routed {
                    let partition = self.partition_of(group_id);
                    batches.entry(partition).or_default().push(routed);
                }
            }
        }
        for (partition, asked) in batches {
            if let Some(place) = self.node.board.get(partition as usize) {
                place.send(CoordinatorMsg::Ask(asked));
            }
        }
    }

    /// The partition of `__consumer_offsets` whose coordinator has this group.
    #[must_use]
    pub fn partition_of(&self, group_id: &str) -> u32 {
        partition_for(group_id, self.node.config.offsets_topic_num_partitions)
    }

    /// Topics were created, grown or deleted: from now on requests are looked up in `image`. Tell it before anybody can
    /// know that a topic was created, and after it is durable that one was deleted.
    ///
    /// What any group has committed for a topic of [`TopicsImage::deleted`] goes, durably; then `forgotten` is told, which
    /// takes the place of who was told before: each once of a topic, by being the same `Arc`. A coordinator that cannot write tries again; one that starts does it before
    /// it serves. So keep a deleted topic in the images, over restarts too, until it is told, and give its name to no other.
    pub fn topics_changed(&self, image: TopicsImage, forgotten: Forgotten) {
        self.node.told.change(&self.node.board, image, forgotten);
    }

    /// Ends the groups in order: whoever waits is told to look for another coordinator, and
    /// what was appended has landed when this returns, or some seconds have passed. What is asked later is refused.
    async fn close(&self) {
        // All at once: each waits for the same flushes.
        let mut closing = Vec::new();
        for place in &self.node.board {
            let (done, closed) = tokio::sync::oneshot::channel();
            place.send(CoordinatorMsg::Close(done.into()));
            closing.push(closed);
        }
        let all = async {
            for closed in closing {
                // Without an answer it was not running.
                let _ = closed.await;
            }
        };
        if tokio::time::timeout(CLOSE, all).await.is_err() {
            warn!("not every coordinator saw its appends land before it was stopped");
        }
    }

    /// Whether every coordinator has loaded its groups, or has found that it cannot.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.node.board.iter().all(|place| !place.is_loading())
    }

    /// Kills the coordinator of a partition of `__consumer_offsets` where it stands, as a crash would, for tests of what
    /// comes after: its supervisor starts the next one, which loads from the log. False when none is running.
    pub fn kill(&self, partition: u32) -> bool {
        let place = self.node.board.get(partition as usize);
        let address = place.and_then(Place::address);
        if let Some(address) = &address {
            address.actor().kill();
        }
        address.is_some()
    }

    #[cfg(test)]
    pub(crate) fn address(&self, partition: u32) -> Option<Addr<CoordinatorMsg>> {
        self.node.board.get(partition as usize)?.address()
    }
}

/// Starts the coordinators and ends them in order; restarting them is their supervisor's.
struct Root;

struct RootState {
    coordinators: Coordinators,
    supervisor: Addr<SupervisorMsg>,
}

#[ractor::async_trait]
impl Actor for Root {
    type Msg = Envelope<()>;
    type State = RootState;
    type Arguments = Arc<Node>;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        node: Arc<Node>,
    ) -> Result<RootState, ActorProcessingErr> {
        let (supervisor, _join) = Supervisor::spawn_linked(SUPERVISOR, myself.get_cell()).await?;
        let partitions = node.config.offsets_topic_num_partitions.max(1);
        let mut children: Vec<ChildSpec> = (0..partitions)
            .map(|partition| coordinator(partition, &node))
            .collect();
        let compaction = node.config.offsets_compaction;
        if compaction.enabled {
            let log = Arc::clone(&node.log);
            children.push(compaction::child(log, partitions, compaction));
        }
        for spec in children {
            supervisor
                .call(|reply| SupervisorMsg::Start(spec, reply), START)
                .await??;
        }
        Ok(RootState {
            coordinators: Coordinators { node },
            supervisor,
        })
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        _state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(_, reason) => {
                Err(format!("the supervisor of the coordinators failed: {reason}").into())
            }
            SupervisionEvent::ActorTerminated(..) => {
                Err("the supervisor of the coordinators ended".into())
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        state.coordinators.close().await;
        let stopped = state
            .supervisor
            .call(|reply| SupervisorMsg::Shutdown(STOP, reply), STOP)
            .await;
        if let Err(error) = stopped {
            warn!(%error, "the coordinators did not stop in order");
        }
        Ok(())
    }
}

/// One coordinator as a child of the supervisor.
fn coordinator(partition: u32, node: &Arc<Node>) -> ChildSpec {
    let node = Arc::clone(node);
    let start = move |supervisor: ActorCell, _incarnation: u64| {
        let node = Arc::clone(&node);
        async move {
            let args = CoordinatorArgs {
                partition,
                node: Arc::clone(&node),
            };
            let (address, _join) =
                spawn_linked(COORDINATOR, GroupCoordinator, args, supervisor).await?;
            let cell = address.actor().get_cell();
            if let Some(place) = node.board.get(partition as usize) {
                node.told.publish(place, address);
            }
            Ok::<_, SpawnError>(cell)
        }
    };
    ChildSpec::new(partition.to_string(), COORDINATOR, start).policy(RESTARTS)
}
