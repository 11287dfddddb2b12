//! The root of actors in tests. ractor catches panics and a test would pass over them: under a [`Stage`] every
//! failure below it, at any depth, fails the test unless it was announced.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use crate::spawn::spawn_linked;
use crate::{Addr, Envelope};

mod limit;
pub use limit::Limit;

/// How long [`Stage::finish`] waits for its actors to stop before it kills them.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
struct Seen {
    actor: ActorId,
    kind: String,
    reason: String,
}

#[derive(Default)]
struct Ledger {
    seen: Vec<Seen>,
    expected: Vec<String>,
}

type Shared = Arc<Mutex<Ledger>>;

/// Stages of this process by their root's id: tests run side by side, each under its own root.
static STAGES: Mutex<BTreeMap<u64, Shared>> = Mutex::new(BTreeMap::new());
/// How many there are, so that a failure outside of tests costs one load.
static STAGE_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Tells the stage above `cell`, if there is one, that it failed.
pub(crate) fn failed(cell: &ActorCell, kind: &str, reason: &str) {
    if STAGE_COUNT.load(Ordering::Acquire) == 0 {
        return;
    }
    let mut above = cell.try_get_supervisor();
    while let Some(supervisor) = above {
        let stage = STAGES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&supervisor.get_id().pid())
            .cloned();
        if let Some(stage) = stage {
            record(&stage, cell.get_id(), kind, reason);
            return;
        }
        above = supervisor.try_get_supervisor();
    }
}

fn record(stage: &Shared, actor: ActorId, kind: &str, reason: &str) {
    let mut ledger = stage.lock().unwrap_or_else(PoisonError::into_inner);
    // A direct child is told of twice: by its own wrapper and by ractor to the root.
    if ledger.seen.iter().any(|seen| seen.actor == actor) {
        return;
    }
    ledger.seen.push(Seen {
        actor,
        kind: kind.to_owned(),
        reason: reason.to_owned(),
    });
}

/// A root for tests. Spawn under it, then [`finish`](Self::finish); dropping it checks as well. Holds the test to its
/// [`Limit`].
pub struct Stage {
    root: ActorRef<()>,
    ledger: Shared,
    _limit: Limit,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("root", &self.root.get_id())
            .finish_non_exhaustive()
    }
}

impl Stage {
    /// Raises a stage. Works on a paused clock.
    ///
    /// # Panics
    /// When the root cannot be spawned.
    pub async fn new() -> Self {
        let ledger = Shared::default();
        let (root, _join) = Actor::spawn(None, Root, Arc::clone(&ledger))
            .await
            .expect("the root's pre_start cannot fail");
        STAGES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(root.get_id().pid(), Arc::clone(&ledger));
        STAGE_COUNT.fetch_add(1, Ordering::Release);
        Self {
            root,
            ledger,
            _limit: Limit::start(),
        }
    }

    /// The root, as the supervisor argument of [`spawn_linked`] and of what spawns its own actors.
    #[must_use]
    pub fn cell(&self) -> ActorCell {
        self.root.get_cell()
    }

    /// Starts an actor under the root.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn spawn<A, M>(&self, kind: &'static str, actor: A, args: A::Arguments) -> Addr<M>
    where
        A: Actor<Msg = Envelope<M>>,
        M: Send + 'static,
    {
        match spawn_linked(kind, actor, args, self.cell()).await {
            Ok((address, _join)) => address,
            Err(error) => panic!("{error}"),
        }
    }

    /// Announces that one actor of `kind` will fail, before or after it has. It must: [`finish`](Self::finish) checks.
    pub fn expect_failure(&self, kind: &str) {
        self.ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .expected
            .push(kind.to_owned());
    }

    /// Failures so far, expected ones included, as `kind: reason`.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger
            .seen
            .iter()
            .map(|seen| format!("{}: {}", seen.kind, seen.reason))
            .collect()
    }

    /// Stops every actor on the stage and checks.
    ///
    /// # Panics
    /// On a failure that was not expected, and on an expected one that did not come.
    pub async fn finish(self) {
        self.root
            .get_cell()
            .stop_children_and_wait(None, Some(FINISH_TIMEOUT))
            .await;
        let _ = self.root.stop_and_wait(None, Some(FINISH_TIMEOUT)).await;
        let (unexpected, missing) = self.settle();
        assert!(
            missing.is_empty(),
            "expected failures that did not come: {missing:?}"
        );
        assert!(unexpected.is_empty(), "actors failed: {unexpected:?}");
    }

    /// What was not announced, and what was announced and did not happen. Empties the ledger.
    fn settle(&self) -> (Vec<String>, Vec<String>) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = Vec::new();
        for kind in std::mem::take(&mut ledger.expected) {
            match ledger.seen.iter().position(|seen| seen.kind == kind) {
                Some(at) => drop(ledger.seen.remove(at)),
                None => missing.push(kind),
            }
        }
        let unexpected = std::mem::take(&mut ledger.seen)
            .into_iter()
            .map(|seen| format!("{}: {}", seen.kind, seen.reason));
        (unexpected.collect(), missing)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        STAGES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.root.get_id().pid());
        STAGE_COUNT.fetch_sub(1, Ordering::Release);
        self.root.stop(None);
        let (unexpected, _missing) = self.settle();
        if !std::thread::panicking() {
            assert!(unexpected.is_empty(), "actors failed: {unexpected:?}");
        }
    }
}

/// Outlives its children's ends and writes down their failures.
struct Root;

#[ractor::async_trait]
impl Actor for Root {
    type Msg = ();
    type State = Shared;
    type Arguments = Shared;

    async fn pre_start(
        &self,
        _myself: ActorRef<()>,
        ledger: Shared,
    ) -> Result<Shared, ActorProcessingErr> {
        Ok(ledger)
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<()>,
        event: SupervisionEvent,
        ledger: &mut Shared,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                record(ledger, cell.get_id(), "actor", &error.to_string())
            }
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}
