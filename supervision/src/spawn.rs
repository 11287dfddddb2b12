//! Starting actors under a kind: counts live instances and why they ended, and tells the test stage of failures.
//! The wrapper around the actor is invisible to it; its state and its messages stay its own types.

use std::sync::atomic::{AtomicU8, Ordering};

use metrics::{Gauge, counter, gauge};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};

use crate::metrics::{ACTOR_EXITS_TOTAL, ACTOR_INSTANCES, declare};
use crate::testing;
use crate::{Addr, Envelope};

/// Ends when the actor has ended. Says `Ok` even after a panic: failures are told to the supervisor.
pub type JoinHandle = tokio::task::JoinHandle<()>;

/// The actor did not come up: its `pre_start` failed or panicked. No supervision event follows.
#[derive(Debug, thiserror::Error)]
#[error("{kind} did not start: {reason}")]
pub struct SpawnError {
    /// The kind it was started under.
    pub kind: &'static str,
    /// What `pre_start` said.
    pub reason: String,
}

/// Starts a root actor: nobody supervises it.
///
/// # Errors
/// [`SpawnError`] when `pre_start` fails or panics.
pub async fn spawn<A, M>(
    kind: &'static str,
    actor: A,
    args: A::Arguments,
) -> Result<(Addr<M>, JoinHandle), SpawnError>
where
    A: Actor<Msg = Envelope<M>>,
    M: Send + 'static,
{
    let started = Actor::spawn(None, Counted::new(kind, actor), args).await;
    named(kind, started)
}

/// Starts an actor linked to `supervisor`, which hears of its end. The link exists once `pre_start` has succeeded.
///
/// # Errors
/// [`SpawnError`] when `pre_start` fails or panics.
pub async fn spawn_linked<A, M>(
    kind: &'static str,
    actor: A,
    args: A::Arguments,
    supervisor: ActorCell,
) -> Result<(Addr<M>, JoinHandle), SpawnError>
where
    A: Actor<Msg = Envelope<M>>,
    M: Send + 'static,
{
    let started = Actor::spawn_linked(None, Counted::new(kind, actor), args, supervisor).await;
    named(kind, started)
}

fn named<M: Send + 'static>(
    kind: &'static str,
    started: Result<(ActorRef<Envelope<M>>, JoinHandle), SpawnErr>,
) -> Result<(Addr<M>, JoinHandle), SpawnError> {
    match started {
        Ok((actor, join)) => Ok((Addr::new(actor, kind), join)),
        Err(error) => Err(SpawnError {
            kind,
            reason: error.to_string(),
        }),
    }
}

const STARTING: u8 = 0;
const KILLED: u8 = 1;
const NORMAL: u8 = 2;
const ERROR: u8 = 3;
const PANIC: u8 = 4;

/// An actor with its instance counted. Dropped by the runtime when the actor has ended, however it ended.
struct Counted<A> {
    actor: A,
    kind: &'static str,
    instances: Gauge,
    /// Why it ends, should it end now.
    exit: AtomicU8,
}

impl<A> Counted<A> {
    fn new(kind: &'static str, actor: A) -> Self {
        let instances = gauge!(ACTOR_INSTANCES, "actor" => kind);
        instances.increment(1.0);
        declare(kind);
        Self {
            actor,
            kind,
            instances,
            exit: AtomicU8::new(STARTING),
        }
    }

    /// Notes what a callback came to. ractor ends the actor on an error as on a panic.
    fn note(&self, myself: &ActorCell, result: &Result<(), ActorProcessingErr>) {
        if let Err(error) = result {
            self.exit.store(ERROR, Ordering::Relaxed);
            testing::failed(myself, self.kind, &error.to_string());
        }
    }
}

impl<A> Drop for Counted<A> {
    fn drop(&mut self) {
        self.instances.decrement(1.0);
        let reason = match *self.exit.get_mut() {
            STARTING => "start",
            NORMAL => "normal",
            ERROR => "error",
            PANIC => "panic",
            _ => "killed",
        };
        counter!(ACTOR_EXITS_TOTAL, "actor" => self.kind, "reason" => reason).increment(1);
    }
}

/// Sees a panic pass by: lives across the await of a callback.
struct Witness<'a, A> {
    counted: &'a Counted<A>,
    myself: ActorCell,
}

impl<A> Drop for Witness<'_, A> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.counted.exit.store(PANIC, Ordering::Relaxed);
            testing::failed(&self.myself, self.counted.kind, "panic");
        }
    }
}

#[ractor::async_trait]
impl<A: Actor> Actor for Counted<A> {
    type Msg = A::Msg;
    type State = A::State;
    type Arguments = A::Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<A::Msg>,
        args: A::Arguments,
    ) -> Result<A::State, ActorProcessingErr> {
        let state = self.actor.pre_start(myself, args).await?;
        self.exit.store(KILLED, Ordering::Relaxed);
        Ok(state)
    }

    async fn post_start(
        &self,
        myself: ActorRef<A::Msg>,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        let witness = Witness {
            counted: self,
            myself: myself.get_cell(),
        };
        let result = self.actor.post_start(myself, state).await;
        self.note(&witness.myself, &result);
        result
    }

    async fn handle(
        &self,
        myself: ActorRef<A::Msg>,
        message: A::Msg,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        let witness = Witness {
            counted: self,
            myself: myself.get_cell(),
        };
        let result = self.actor.handle(myself, message, state).await;
        self.note(&witness.myself, &result);
        result
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<A::Msg>,
        event: SupervisionEvent,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        let witness = Witness {
            counted: self,
            myself: myself.get_cell(),
        };
        let result = self.actor.handle_supervisor_evt(myself, event, state).await;
        self.note(&witness.myself, &result);
        result
    }

    async fn post_stop(
        &self,
        myself: ActorRef<A::Msg>,
        state: &mut A::State,
    ) -> Result<(), ActorProcessingErr> {
        let witness = Witness {
            counted: self,
            myself: myself.get_cell(),
        };
        let result = self.actor.post_stop(myself, state).await;
        if result.is_ok() {
            self.exit.store(NORMAL, Ordering::Relaxed);
        }
        self.note(&witness.myself, &result);
        result
    }
}
