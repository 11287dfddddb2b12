//! The typed address of an actor and the envelope its messages travel in.
//! Every send is counted when it enters the mailbox and when it leaves it, whichever way it leaves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorRef, MessagingErr, RpcReplyPort};
use tokio::time::Instant;

use crate::metrics::KindMetrics;

/// One place in a mailbox. Dropped unopened (the actor died, the queue was thrown away) it gives the place back.
#[derive(Debug)]
struct Queued {
    metrics: Arc<KindMetrics>,
    since: Instant,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.metrics.mailbox_messages.decrement(1.0);
    }
}

/// What an actor with typed addresses receives: `type Msg = Envelope<M>`. [`open`](Self::open) it first thing in `handle`.
pub struct Envelope<M> {
    message: M,
    queued: Queued,
}

impl<M> fmt::Debug for Envelope<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("actor", &self.queued.metrics.kind)
            .finish_non_exhaustive()
    }
}

impl<M> Envelope<M> {
    fn new(message: M, metrics: Arc<KindMetrics>) -> Self {
        metrics.mailbox_messages.increment(1.0);
        Self {
            message,
            queued: Queued {
                metrics,
                since: Instant::now(),
            },
        }
    }

    /// Takes the message out: the mailbox is one shorter and the wait is recorded.
    pub fn open(self) -> M {
        self.queued
            .metrics
            .mailbox_wait
            .record(self.queued.since.elapsed());
        self.message
    }
}

/// The actor has ended or is ending; here is the message back.
#[derive(thiserror::Error)]
#[error("the actor is gone")]
pub struct SendError<M>(pub M);

// Messages hold ports and closures; none of them has to be printable for that.
impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError")
    }
}

/// Why a call got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The actor was gone before the message reached it.
    #[error("the actor is gone")]
    Gone,
    /// The actor dropped the reply port: it failed in this message, or chose not to answer.
    #[error("the actor dropped the call unanswered")]
    Dropped,
    /// No answer within the timeout. The actor may still work on it.
    #[error("the actor did not answer in time")]
    Timeout,
}

/// Where to send messages of type `M`. Cheap to clone; does not keep the actor alive.
pub struct Addr<M> {
    actor: ActorRef<Envelope<M>>,
    metrics: Arc<KindMetrics>,
}

impl<M> Clone for Addr<M> {
    fn clone(&self) -> Self {
        Self {
            actor: self.actor.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl<M> fmt::Debug for Addr<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Addr({} {})", self.metrics.kind, self.actor.get_id())
    }
}

impl<M: Send + 'static> Addr<M> {
    /// An address for `actor`, counted under `kind`. An actor makes its own from the `myself` of `pre_start`.
    #[must_use]
    pub fn new(actor: ActorRef<Envelope<M>>, kind: &'static str) -> Self {
        Self {
            actor,
            metrics: KindMetrics::new(kind),
        }
    }

    /// Sends without waiting for anything.
    ///
    /// # Errors
    /// The message itself, if the actor has ended or is draining.
    pub fn cast(&self, message: M) -> Result<(), SendError<M>> {
        match self
            .actor
            .send_message(Envelope::new(message, Arc::clone(&self.metrics)))
        {
            Ok(()) => Ok(()),
            Err(MessagingErr::SendErr(envelope)) => Err(SendError(envelope.message)),
            Err(MessagingErr::ChannelClosed | MessagingErr::InvalidActorType) => {
                unreachable!(
                    "a typed reference sends its own type and gives it back when the mailbox is closed"
                )
            }
        }
    }

    /// Sends a message with a reply port and waits at most `timeout` for the answer. Calls go down the tree only.
    ///
    /// # Errors
    /// [`CallError`]; after [`CallError::Timeout`] the actor may still act on the message.
    pub async fn call<T: Send + 'static>(
        &self,
        message: impl FnOnce(RpcReplyPort<T>) -> M,
        timeout: Duration,
    ) -> Result<T, CallError> {
        let (port, answer) = tokio::sync::oneshot::channel();
        self.cast(message((port, timeout).into()))
            .map_err(|_| CallError::Gone)?;
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_dropped)) => Err(CallError::Dropped),
            Err(_elapsed) => {
                self.metrics.call_timeouts.increment(1);
                Err(CallError::Timeout)
            }
        }
    }

    /// Sends `message` after `delay`, unless the returned [`Timer`] is dropped before. A timer that has fired may
    /// already stand in the mailbox when it is dropped: put a generation in the message and compare it.
    #[must_use = "dropping the timer cancels it"]
    pub fn send_after(&self, delay: Duration, message: M) -> Timer {
        let address = self.clone();
        Timer(tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The actor may have ended meanwhile; then nobody waits for the timer either.
            let _ = address.cast(message);
        }))
    }

    /// ractor's own reference: for `stop`, `drain`, `get_cell`, never for sending.
    #[must_use]
    pub fn actor(&self) -> &ActorRef<Envelope<M>> {
        &self.actor
    }

    /// The kind it was made with.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.metrics.kind
    }

    /// Whether a message sent now would be taken. False from the moment the actor drains or stops.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.actor.get_status() < ractor::ActorStatus::Draining
    }
}

/// A message that will be sent later. Belongs to the state that waits for it; dropping cancels.
#[derive(Debug)]
pub struct Timer(tokio::task::JoinHandle<()>);

impl Timer {
    /// Whether it has fired.
    #[must_use]
    pub fn has_fired(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.abort();
    }
}
