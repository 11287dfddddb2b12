//! The shell of one coordinator: messages to inputs of the core, its effects to the writer and to the callers.
//!
//! Coordinators → supervisor → **GroupCoordinator** × partitions → OffsetPartitionWriter. Coordinator and writer die and
//! return together: the coordinator fails when its writer ends, and its own end takes the writer with it. A panic while
//! one group is stepped ends nobody: that group is thrown away and read back from the writer's index.

mod debts;
mod expiring;
mod perform;
mod together;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use callboard_offsets::index::Index;
use callboard_offsets::log::LogError;
use callboard_offsets::writer::{AppendError, Writer, WriterArgs};
use callboard_protocol::{ErrorCode, Uuid};
use callboard_supervision::{Addr, Envelope, RpcReplyPort, Timer, seldom};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use self::debts::Debts;
use self::expiring::Expiring;
use self::perform::code;
use self::together::Together;
use crate::beyond_end::beyond_end;
use crate::core::{
    AppendId, GROUP_METADATA, Groups, Input, Now, RequestId, StoredGroup, Unreadable,
};
use crate::metrics::{CoordinatorMeter, PartitionState};
use crate::node::Node;
use crate::route::Asked;
use crate::{DeletedTopic, TopicLookup, TopicsImage};

/// The kind coordinators are counted under.
pub(crate) const KIND: &str = "group_coordinator";

/// A timer that fires so much after its time is late, and not just a timer.
const LATE: Duration = Duration::from_millis(500);

/// What a coordinator is told.
pub(crate) enum CoordinatorMsg {
    /// Requests, in order; each is owed its answer.
    Ask(Vec<Asked>),
    /// The writer has replayed the partition, or will not serve it.
    Loaded(Result<Vec<StoredGroup>, NotServed>),
    /// What became of an append of the core.
    Durable(AppendId, Arc<str>, Result<(), AppendError>),
    /// What is stored of a group.
    Reloaded(Result<StoredGroup, Unreadable>),
    /// The timer of this number fired.
    TimerFired(u64),
    /// Go on looking for expired offsets.
    GoOnExpiring,
    /// Topics have come or gone.
    Topics(Arc<TopicsImage>),
    /// What became of forgetting a deleted topic.
    Forgot(Uuid, Result<(), AppendError>),
    /// End in order: whoever waits is told to look elsewhere. Answered when nothing is in flight.
    Close(RpcReplyPort<()>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct GroupCoordinator;

pub(crate) struct CoordinatorArgs {
    pub(crate) partition: u32,
    pub(crate) node: Arc<Node>,
}

pub(crate) struct State {
    partition: u32,
    node: Arc<Node>,
    myself: Addr<CoordinatorMsg>,
    writer: Writer,
    origin: Instant,
    core: Groups,
    service: Service,
    debts: Debts,
    /// Commits that go to the writer at the end of this message.
    together: Option<Together>,
    next_id: u64,
    expiring: Expiring,
    timer: Option<(Duration, Timer)>,
    timers: u64,
    meter: CoordinatorMeter,
}

// Every message is boxed and queued: none may grow fat.
const _: () = assert!(size_of::<CoordinatorMsg>() <= 256);

impl Drop for State {
    fn drop(&mut self) {
        // Until the next incarnation has loaded, or for good.
        if let Some(place) = self.node.board.get(self.partition as usize) {
            place.set(PartitionState::Loading);
        }
    }
}

enum Service {
    /// The core answers, while it loads as well.
    Open,
    /// The partition could not be loaded.
    Refused(NotServed),
}

/// Why a partition is not served; a line has said more.
pub(crate) enum NotServed {
    /// The log is poisoned.
    Poisoned,
    /// What is stored could not be read.
    Unread,
}

/// Lines about committed offsets beyond the end of a log, of one partition of the offsets.
const BEYOND_END_LINES: usize = 100;

/// Says which groups will pass over records because what they had read was lost.
fn tell_beyond_end(partition: u32, index: &Index, topics: &dyn TopicLookup) {
    let mut all = beyond_end(index, topics);
    for one in all.by_ref().take(BEYOND_END_LINES) {
        warn!(
            group = %one.group,
            topic = %one.topic,
            partition = one.partition,
            committed = one.committed,
            log_end_offset = one.end,
            "an offset is committed beyond the end of its log: records were lost"
        );
    }
    let more = all.count();
    if more > 0 {
        warn!(
            partition,
            more, "more offsets are committed beyond the ends of their logs"
        );
    }
}

/// Says what is stored and only kept: a kind of group that this version does not serve.
fn tell_not_understood(partition: u32, index: &Index) {
    let mut kinds = BTreeMap::<i16, usize>::new();
    for kind in index.record_kinds() {
        *kinds.entry(kind).or_default() += 1;
    }
    kinds.remove(&GROUP_METADATA);
    for (record_type, records) in kinds {
        warn!(
            partition,
            record_type,
            records,
            "records of a type not understood here are kept and not looked at"
        );
    }
}

/// What is stored of all groups of a partition that was replayed.
fn read(
    partition: u32,
    replayed: Result<&Index, &LogError>,
) -> Result<Vec<StoredGroup>, NotServed> {
    match replayed.map(StoredGroup::read_all) {
        Ok(Ok(stored)) => Ok(stored),
        Ok(Err(unreadable)) => {
            error!(partition, %unreadable, "the partition is not served");
            Err(NotServed::Unread)
        }
        // The writer has said why.
        Err(LogError::Poisoned { .. }) => Err(NotServed::Poisoned),
        Err(_) => Err(NotServed::Unread),
    }
}

#[ractor::async_trait]
impl Actor for GroupCoordinator {
    type Msg = Envelope<CoordinatorMsg>;
    type State = State;
    type Arguments = CoordinatorArgs;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        args: CoordinatorArgs,
    ) -> Result<State, ActorProcessingErr> {
        let CoordinatorArgs { partition, node } = args;
        let cell = myself.get_cell();
        let myself = Addr::new(myself, KIND);
        let told = myself.clone();
        let topics = Arc::clone(&node.told.image().topics);
        let writer = WriterArgs {
            partition,
            log: Arc::clone(&node.log),
            clock: node.clock.clone(),
            loaded: Box::new(move |result| {
                drop(told.cast(CoordinatorMsg::Loaded(read(partition, result))));
                // Behind it: these look at all there is, and the groups are taken in meanwhile.
                if let Ok(index) = result {
                    tell_not_understood(partition, index);
                    tell_beyond_end(partition, index, topics.as_ref());
                }
            }),
        };
        let writer = Writer::spawn_linked(writer, cell).await?;
        let bytes_max = node.log.capabilities().batch_bytes_max;
        let core = Groups::new(&node.config, node.told.image()).batches_of(bytes_max);
        let mut state = State {
            partition,
            myself,
            writer,
            origin: Instant::now(),
            core,
            service: Service::Open,
            debts: Debts::default(),
            together: None,
            next_id: 0,
            expiring: Expiring::new(node.config.offsets_retention_check_interval),
            timer: None,
            timers: 0,
            meter: CoordinatorMeter::new(),
            node,
        };
        state.is(PartitionState::Loading);
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            CoordinatorMsg::Ask(asked) => asked.into_iter().for_each(|asked| state.ask(asked)),
            CoordinatorMsg::Loaded(loaded) => state.loaded(loaded),
            CoordinatorMsg::Durable(append_id, group_id, outcome) => {
                state.durable(append_id, &group_id, outcome)?;
            }
            CoordinatorMsg::Reloaded(stored) => {
                let stored = stored?;
                let group_id = Arc::clone(&stored.group_id);
                state.step(Some(&group_id), Input::Rebuilt(stored));
            }
            CoordinatorMsg::TimerFired(number) if number == state.timers => {
                if let Some((deadline, _)) = state.timer.take() {
                    state.late(state.origin.elapsed().saturating_sub(deadline));
                }
                state.tick();
            }
            // It was replaced when it stood in the mailbox already.
            CoordinatorMsg::TimerFired(_) => {}
            CoordinatorMsg::GoOnExpiring => state.expire_some(),
            CoordinatorMsg::Topics(image) => state.topics(image),
            CoordinatorMsg::Forgot(id, outcome) => state.forgot(id, outcome)?,
            CoordinatorMsg::Close(done) => state.close(done),
        }
        state.send_together();
        state.meter.census(state.core.census());
        state.arm();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(_, reason) => {
                Err(format!("writer of partition {} failed: {reason}", state.partition).into())
            }
            SupervisionEvent::ActorTerminated(..) => {
                Err(format!("writer of partition {} ended", state.partition).into())
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

impl State {
    fn ask(&mut self, asked: Asked) {
        let since = Instant::now();
        self.next_id += 1;
        let id = RequestId(self.next_id);
        let (group_id, input, mut owed) = match asked {
            Asked::Group {
                group_id,
                request,
                owed,
            } => {
                let about = Some(Arc::clone(&group_id));
                let input = Input::Ask {
                    id,
                    group_id,
                    request,
                };
                (about, input, owed)
            }
            Asked::List(request, owed) => (None, Input::List { id, request }, owed),
        };
        let api = owed.api();
        owed.arrived(since);
        match &self.service {
            Service::Open => {}
            // Nobody can say what has become of what was written: the connection closes.
            Service::Refused(NotServed::Poisoned) => return owed.abandon(),
            Service::Refused(_) => return owed.refuse(ErrorCode::NOT_COORDINATOR),
        }
        self.debts.owe(id, owed);
        self.step(group_id.as_ref(), input);
        if api.parks() {
            self.node.meter.took(api, since.elapsed());
        }
    }

    fn topics(&mut self, image: Arc<TopicsImage>) {
        if matches!(self.service, Service::Refused(_)) {
            for DeletedTopic { name, .. } in &image.deleted {
                seldom!(warn,
                    partition = self.partition,
                    topic = %name,
                    "a deleted topic cannot be forgotten: the partition is not served; its name is not free"
                );
            }
        }
        self.step(None, Input::Topics(image));
    }

    fn loaded(&mut self, loaded: Result<Vec<StoredGroup>, NotServed>) {
        match loaded {
            Ok(stored) => {
                let groups = stored.len();
                debug!(partition = self.partition, groups, "groups loaded");
                self.step(None, Input::Loaded(stored));
            }
            Err(reason) => {
                // Its neighbours serve.
                self.service = Service::Refused(reason);
                self.is(PartitionState::Failed);
            }
        }
    }

    fn durable(
        &mut self,
        append_id: AppendId,
        group_id: &Arc<str>,
        outcome: Result<(), AppendError>,
    ) -> Result<(), ActorProcessingErr> {
        let outcome = self.unless_poisoned(outcome)?;
        self.step(Some(group_id), Input::Durable { append_id, outcome });
        Ok(())
    }

    fn forgot(
        &mut self,
        id: Uuid,
        outcome: Result<(), AppendError>,
    ) -> Result<(), ActorProcessingErr> {
        let outcome = self.unless_poisoned(outcome)?;
        self.step(None, Input::Forgot { id, outcome });
        Ok(())
    }

    /// The outcome of an append as the core is told it. The log's end is this coordinator's.
    fn unless_poisoned(
        &mut self,
        outcome: Result<(), AppendError>,
    ) -> Result<Result<(), ErrorCode>, ActorProcessingErr> {
        if let Err(AppendError::Poisoned { reason }) = &outcome {
            for owed in self.debts.take_all() {
                owed.abandon();
            }
            return Err(format!("the offsets log is poisoned: {reason}").into());
        }
        Ok(outcome.map_err(|error| code(&error)))
    }

    fn now(&self) -> Now {
        Now {
            steady: self.origin.elapsed(),
            wall_ms: self.node.clock.now_ms(),
        }
    }

    /// One step of the core. What it wants done is done only if it comes to its end.
    fn step(&mut self, group_id: Option<&Arc<str>>, input: Input) {
        let now = self.now();
        let mut effects = Vec::new();
        // What a panic leaves half done is thrown away below: the group, and the effects.
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            self.core.step(now, input, &mut effects);
            #[cfg(test)]
            crate::tests::sabotage(group_id, &effects);
        }));
        match (stepped, group_id) {
            (Ok(()), _) => {
                for effect in effects {
                    self.perform(effect, group_id);
                }
            }
            (Err(_), Some(group_id)) => self.rebuild(group_id),
            // Not the fault of one group: the partition is loaded again.
            (Err(panic), None) => resume_unwind(panic),
        }
    }

    /// Throws a group away, and has it read back behind its appends in flight. Until then it is as if loading.
    fn rebuild(&mut self, group_id: &Arc<str>) {
        seldom!(error, partition = self.partition, %group_id, "a step panicked, the group is rebuilt");
        self.meter.rebuilt();
        self.core.evict(group_id);
        self.debts.drop_group(group_id);
        self.reload(Arc::clone(group_id));
    }

    /// The timer fired so long after the moment it was armed for. Whoever kept this coordinator from its work kept its
    /// members' requests from it: they are not dead for that.
    fn late(&mut self, by: Duration) {
        if by <= LATE {
            return;
        }
        self.meter.late(by);
        self.step(None, Input::Late { by });
        // What keeps one coordinator from its work keeps all of them.
        seldom!(
            warn,
            partition = self.partition,
            late_ms = by.as_millis(),
            "a coordinator came late to its deadlines; its members' sessions are so much longer"
        );
    }

    /// Does whatever time has brought.
    fn tick(&mut self) {
        let now = self.origin.elapsed();
        while let Some(due) = self.core.due(now) {
            let about = match &due {
                Input::Tick { group_id } => Some(Arc::clone(group_id)),
                _ => None,
            };
            self.step(about.as_ref(), due);
        }
        for owed in self.debts.overdue(now) {
            // It may still land.
            owed.refuse(ErrorCode::REQUEST_TIMED_OUT);
        }
        if self.expiring.begins(now, || self.core.group_ids()) {
            self.expire_some();
        }
    }

    fn expire_some(&mut self) {
        for group_id in self.expiring.turn() {
            let expire = Input::Expire {
                group_id: Arc::clone(&group_id),
            };
            self.step(Some(&group_id), expire);
        }
        if self.expiring.goes_on() {
            drop(self.myself.cast(CoordinatorMsg::GoOnExpiring));
        }
    }

    fn close(&mut self, done: RpcReplyPort<()>) {
        self.step(None, Input::Close);
        drop(self.debts.take_all());
        if matches!(self.service, Service::Refused(_)) {
            // The caller may have stopped waiting.
            drop(done.send(()));
            return;
        }
        self.writer().read_all(move |_| drop(done.send(())));
    }

    fn is(&mut self, state: PartitionState) {
        self.meter.partition(state);
        if let Some(place) = self.node.board.get(self.partition as usize) {
            place.set(state);
        }
    }

    /// Keeps one timer armed. Deadlines that move away let it fire early, which costs less than arming it anew each time.
    fn arm(&mut self) {
        let deadlines = [
            self.core.next_deadline(),
            self.debts.next_deadline(),
            Some(self.expiring.next_deadline()),
        ];
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            return;
        };
        if self.timer.as_ref().is_some_and(|(at, _)| *at <= deadline) {
            return;
        }
        self.timers += 1;
        let wait = deadline.saturating_sub(self.origin.elapsed());
        let fired = CoordinatorMsg::TimerFired(self.timers);
        self.timer = Some((deadline, self.myself.send_after(wait, fired)));
    }
}
