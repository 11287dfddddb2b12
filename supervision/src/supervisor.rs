//! Keeps a set of children alive, one for one: a child that fails is started again by the policy of its spec and
//! its siblings do not notice. When a budget is used up the supervisor fails in turn, or gives up that child alone. Never awaits a child's work:
//! what it awaits is `pre_start`, which is cheap by rule.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use metrics::counter;
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent,
};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::core::{Decision, Failure, RestartCore, RestartPolicy};
use crate::metrics::{ACTOR_ESCALATIONS_TOTAL, ACTOR_RESTARTS_TOTAL};
use crate::spawn::{JoinHandle, SpawnError};
use crate::{Addr, Envelope, Timer};

/// A boxed future, as a child's start function returns it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a child is called within its supervisor. Never looked up from outside.
pub type ChildId = String;

type Start = Box<dyn Fn(ActorCell, u64) -> BoxFuture<Result<ActorCell, SpawnError>> + Send + Sync>;

/// When a child is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always, also after a normal stop.
    Permanent,
    /// After a failure only; a normal stop removes it.
    Transient,
    /// Never: whatever its end, it is removed, and the supervisor goes on.
    Temporary,
}

/// How a child is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopHow {
    /// After the message in work; what waits in the mailbox is dropped.
    Now,
    /// After everything in the mailbox.
    Drain,
}

/// One child: how to start it and what to do when it ends.
pub struct ChildSpec {
    id: ChildId,
    kind: &'static str,
    restart: Restart,
    stop: StopHow,
    policy: RestartPolicy,
    start: Start,
    give_up: Option<GiveUp>,
}

type GiveUp = Box<dyn Fn() + Send + Sync>;

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl ChildSpec {
    /// A permanent child. `start` is called with the supervisor's cell, to link to, and the number of the incarnation
    /// (0 first); it spawns with [`spawn_linked`](crate::spawn_linked), publishes the new address to whoever sends to
    /// the child, and returns the cell.
    pub fn new<F, Fut>(id: impl Into<ChildId>, kind: &'static str, start: F) -> Self
    where
        F: Fn(ActorCell, u64) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ActorCell, SpawnError>> + Send + 'static,
    {
        Self {
            id: id.into(),
            kind,
            restart: Restart::Permanent,
            stop: StopHow::Now,
            policy: RestartPolicy::default(),
            start: Box::new(move |supervisor, incarnation| {
                Box::pin(start(supervisor, incarnation))
            }),
            give_up: None,
        }
    }

    /// What is done when its restarts are used up, in place of the supervisor's own failure: the child is removed, and its
    /// siblings go on. For a child whose work concerns nobody else.
    #[must_use]
    pub fn give_up(mut self, give_up: impl Fn() + Send + Sync + 'static) -> Self {
        self.give_up = Some(Box::new(give_up));
        self
    }

    /// Sets when it is started again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how it is asked to end.
    #[must_use]
    pub fn stop(mut self, stop: StopHow) -> Self {
        self.stop = stop;
        self
    }

    /// Sets its restart policy.
    #[must_use]
    pub fn policy(mut self, policy: RestartPolicy) -> Self {
        self.policy = policy;
        self
    }
}

/// What a [`Supervisor`] answers when it cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorError {
    /// There is a child of that id.
    #[error("there is a child {0} already")]
    Exists(ChildId),
    /// The child did not start. It is not kept: the first start belongs to the caller.
    #[error(transparent)]
    Start(#[from] SpawnError),
}

/// Messages of a [`Supervisor`].
#[derive(Debug)]
#[non_exhaustive]
pub enum SupervisorMsg {
    /// Start a child and keep it. Answers its cell.
    Start(ChildSpec, RpcReplyPort<Result<ActorCell, SupervisorError>>),
    /// End a child for good, killing it after the timeout. Answers whether there was one, after its end.
    Stop(ChildId, Duration, RpcReplyPort<bool>),
    /// A restart's wait is over.
    Respawn {
        /// Which child.
        id: ChildId,
        /// Its incarnation when the timer was set; another one makes this message void.
        incarnation: u64,
    },
    /// End the children, the youngest first, each within the timeout and then killed; then end. Answers when they are gone.
    Shutdown(Duration, RpcReplyPort<()>),
}

struct Child {
    spec: ChildSpec,
    /// Starts so far.
    incarnation: u64,
    /// Order of the first start.
    order: u64,
    run: Run,
}

enum Run {
    Running(ActorCell),
    Waiting { _timer: Timer },
}

/// State of a [`Supervisor`].
pub struct SupervisorState {
    myself: Addr<SupervisorMsg>,
    cell: ActorCell,
    origin: Instant,
    core: RestartCore<ChildId>,
    children: BTreeMap<ChildId, Child>,
    /// Of the children that run.
    running: BTreeMap<ActorId, ChildId>,
    next_order: u64,
}

impl fmt::Debug for SupervisorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorState")
            .field("children", &self.children.len())
            .finish_non_exhaustive()
    }
}

/// The actor. Start one with [`Supervisor::spawn`] or [`Supervisor::spawn_linked`].
#[derive(Debug)]
pub struct Supervisor {
    kind: &'static str,
}

impl Supervisor {
    /// A supervisor without one of its own.
    ///
    /// # Errors
    /// As [`spawn`](crate::spawn).
    pub async fn spawn(
        kind: &'static str,
    ) -> Result<(Addr<SupervisorMsg>, JoinHandle), SpawnError> {
        crate::spawn(kind, Self { kind }, ()).await
    }

    /// A supervisor under another one.
    ///
    /// # Errors
    /// As [`spawn_linked`](crate::spawn_linked).
    pub async fn spawn_linked(
        kind: &'static str,
        supervisor: ActorCell,
    ) -> Result<(Addr<SupervisorMsg>, JoinHandle), SpawnError> {
        crate::spawn_linked(kind, Self { kind }, (), supervisor).await
    }
}

#[ractor::async_trait]
impl Actor for Supervisor {
    type Msg = Envelope<SupervisorMsg>;
    type State = SupervisorState;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (): (),
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(SupervisorState {
            cell: myself.get_cell(),
            myself: Addr::new(myself, self.kind),
            origin: Instant::now(),
            core: RestartCore::default(),
            children: BTreeMap::new(),
            running: BTreeMap::new(),
            next_order: 0,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message.open() {
            SupervisorMsg::Start(spec, reply) => {
                let outcome = state.start(spec).await;
                // The caller may have stopped waiting; the child lives on all the same.
                let _ = reply.send(outcome);
            }
            SupervisorMsg::Stop(id, timeout, reply) => {
                let existed = state.stop(&id, timeout).await;
                let _ = reply.send(existed);
            }
            SupervisorMsg::Respawn { id, incarnation } => state.respawn(&id, incarnation).await?,
            SupervisorMsg::Shutdown(timeout, reply) => {
                state.stop_all(timeout).await;
                let _ = reply.send(());
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, reason) => {
                state.ended(&cell, Some(&reason.to_string()))
            }
            SupervisionEvent::ActorTerminated(cell, _last_state, reason)
                if reason.as_deref() == Some("killed") =>
            {
                state.ended(&cell, Some("killed"))
            }
            SupervisionEvent::ActorTerminated(cell, _last_state, _reason) => {
                state.ended(&cell, None)
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

impl SupervisorState {
    async fn start(&mut self, spec: ChildSpec) -> Result<ActorCell, SupervisorError> {
        if self.children.contains_key(&spec.id) {
            return Err(SupervisorError::Exists(spec.id));
        }
        let cell = (spec.start)(self.cell.clone(), 0).await?;
        self.next_order += 1;
        let child = Child {
            incarnation: 1,
            order: self.next_order,
            run: Run::Running(cell.clone()),
            spec,
        };
        self.running.insert(cell.get_id(), child.spec.id.clone());
        self.children.insert(child.spec.id.clone(), child);
        Ok(cell)
    }

    /// An actor linked here has ended. Matched on its `ActorId`: a late event of an earlier incarnation finds nobody.
    fn ended(&mut self, cell: &ActorCell, failure: Option<&str>) -> Result<(), ActorProcessingErr> {
        let Some(id) = self.running.remove(&cell.get_id()) else {
            return Ok(());
        };
        let Some(child) = self.children.get(&id) else {
            return Ok(());
        };
        if let Some(reason) = failure {
            warn!(actor = child.spec.kind, child = %id, reason, "actor failed");
        }
        match (child.spec.restart, failure) {
            (Restart::Temporary, _) | (Restart::Transient, None) => {
                self.remove(&id);
                Ok(())
            }
            (Restart::Transient | Restart::Permanent, Some(_)) => {
                self.schedule(&id, Failure::Failed)
            }
            (Restart::Permanent, None) => self.schedule(&id, Failure::Stopped),
        }
    }

    /// Asks the core and arms the restart, or gives the child up, or fails this supervisor.
    fn schedule(&mut self, id: &ChildId, failure: Failure) -> Result<(), ActorProcessingErr> {
        let Some(child) = self.children.get_mut(id) else {
            return Ok(());
        };
        let now = self.origin.elapsed();
        match self.core.step(id.clone(), &child.spec.policy, now, failure) {
            Decision::RestartAfter(wait) => {
                let respawn = SupervisorMsg::Respawn {
                    id: id.clone(),
                    incarnation: child.incarnation,
                };
                child.run = Run::Waiting {
                    _timer: self.myself.send_after(wait, respawn),
                };
                Ok(())
            }
            Decision::Escalate => {
                let kind = child.spec.kind;
                counter!(ACTOR_ESCALATIONS_TOTAL, "actor" => kind).increment(1);
                error!(actor = kind, child = %id, "restart budget used up");
                let Some(give_up) = &child.spec.give_up else {
                    return Err(format!("{kind} {id} used up its restarts").into());
                };
                give_up();
                self.remove(id);
                Ok(())
            }
        }
    }

    async fn respawn(&mut self, id: &ChildId, incarnation: u64) -> Result<(), ActorProcessingErr> {
        let Some(child) = self.children.get_mut(id) else {
            return Ok(());
        };
        if child.incarnation != incarnation || !matches!(child.run, Run::Waiting { .. }) {
            return Ok(());
        }
        counter!(ACTOR_RESTARTS_TOTAL, "actor" => child.spec.kind).increment(1);
        let started = (child.spec.start)(self.cell.clone(), child.incarnation).await;
        child.incarnation += 1;
        match started {
            Ok(cell) => {
                info!(actor = child.spec.kind, child = %id, incarnation, "actor restarted");
                self.running.insert(cell.get_id(), id.clone());
                child.run = Run::Running(cell);
                Ok(())
            }
            Err(reason) => {
                warn!(%reason, "restart failed");
                self.schedule(id, Failure::StartFailed)
            }
        }
    }

    fn remove(&mut self, id: &ChildId) -> Option<Child> {
        self.core.forget(id);
        let child = self.children.remove(id)?;
        if let Run::Running(cell) = &child.run {
            self.running.remove(&cell.get_id());
        }
        Some(child)
    }

    async fn stop(&mut self, id: &ChildId, timeout: Duration) -> bool {
        match self.remove(id) {
            Some(child) => {
                end(&child, timeout).await;
                true
            }
            None => false,
        }
    }

    async fn stop_all(&mut self, timeout: Duration) {
        self.running.clear();
        let mut children: Vec<Child> = std::mem::take(&mut self.children).into_values().collect();
        children.sort_by_key(|child| std::cmp::Reverse(child.order));
        for child in &children {
            end(child, timeout).await;
        }
    }
}

/// Ends one child and waits for it; kills it when it takes longer than `timeout`.
async fn end(child: &Child, timeout: Duration) {
    let Run::Running(cell) = &child.run else {
        return;
    };
    match child.spec.stop {
        StopHow::Now => cell.stop(None),
        // An error means that it has ended already.
        StopHow::Drain => drop(cell.drain()),
    }
    if cell.wait(Some(timeout)).await.is_err() {
        warn!(actor = child.spec.kind, child = %child.spec.id, "actor did not stop in time, killing it");
        cell.kill();
    }
}
