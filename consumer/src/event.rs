//! What happens to a consumer, told as it happens: for logs, demos and tests. Never needed to keep a consumer alive.

use std::time::Duration;

use callboard_client::TopicPartition;
use tokio::sync::broadcast;
use tracing::warn;

use crate::core::membership::FatalError;

/// Events kept for a listener that is slow; older ones are dropped and counted.
const EVENTS_KEPT: usize = 4096;

/// Something that happened. Whoever tells people of it has to know of every kind: a new one is a breaking change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A generation is complete and this is our part of it.
    Assigned {
        /// The generation.
        generation: i32,
        /// Our member id.
        member_id: String,
        /// Everything we own.
        owned: Vec<TopicPartition>,
        /// What of it is new to us.
        added: Vec<TopicPartition>,
        /// Whether we computed the assignment.
        leader: bool,
        /// Why the group rebalanced, as far as this member knows.
        reason: String,
        /// From the first sign of the rebalance to now.
        took: Duration,
    },
    /// Partitions were given up in order: their records in work are finished and committed.
    Revoked {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// Those of them whose acknowledged records could not all be committed, or whose record in work was cut off.
        unfinished: Vec<TopicPartition>,
    },
    /// Partitions were gone before we knew: nothing of them was committed any more.
    Lost {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// Why.
        cause: String,
    },
    /// A handler starts at this offset.
    HandlerStarted {
        /// Its partition.
        partition: TopicPartition,
        /// The first offset it will see.
        offset: i64,
    },
    /// A handler failed and starts again after a wait, at the lowest unacknowledged offset.
    HandlerRestarted {
        /// Its partition.
        partition: TopicPartition,
        /// The record it failed at, where it failed at one.
        offset: Option<i64>,
        /// How often that record was tried.
        attempts: u32,
        /// The error or panic.
        error: String,
        /// How long it waits.
        after: Duration,
        /// The first offset it will see again.
        resumes_at: i64,
    },
    /// Records that a handler of this consumer has seen before are handed to one again. Said once, with the first of them.
    Redelivered {
        /// Their partition.
        partition: TopicPartition,
        /// The first of them.
        offset: i64,
        /// They are below this offset.
        until: i64,
        /// Which attempt at the first of them this is, from 1.
        attempt: u32,
    },
    /// A partition is not consumed any more until it is resumed or assigned anew.
    Paused {
        /// Which.
        partition: TopicPartition,
        /// Why.
        reason: String,
    },
    /// A record was passed over because its attempts are used up and the policy says so.
    Skipped {
        /// Its partition.
        partition: TopicPartition,
        /// Its offset.
        offset: i64,
    },
    /// Offsets are committed: the next offset of each partition.
    Committed {
        /// By partition.
        offsets: Vec<(TopicPartition, i64)>,
    },
    /// A commit was refused.
    CommitFailed {
        /// Which partitions; empty where the whole request failed.
        partitions: Vec<TopicPartition>,
        /// Kafka's error name, or what happened to the request.
        error: String,
    },
    /// `auto.offset.reset` chose where a partition goes on. That position is committed.
    OffsetReset {
        /// Its partition.
        partition: TopicPartition,
        /// The offset that is not in the log; `None` if the group had committed nothing.
        from: Option<i64>,
        /// Where it goes on.
        to: i64,
    },
    /// A partition stands still: as many of its records are handed out and not acknowledged as may be. It goes on when
    /// some are acknowledged. Told once, and again only after a fifth of them was.
    Unacknowledged {
        /// Which.
        partition: TopicPartition,
        /// The first of these records.
        first: i64,
        /// How many.
        count: usize,
        /// What sets how many may be.
        setting: &'static str,
    },
    /// A call into an assignor brought nothing. Without a plan the group tries again; without user data the member joins
    /// with what was made last, or none; being told of an assignment is not waited for.
    AssignorFailed {
        /// Which assignor.
        assignor: String,
        /// Our member id; empty before the coordinator gave one.
        member_id: String,
        /// What it was called for: `assign`, `user_data` or `on_assignment`.
        call: &'static str,
        /// Why it came to nothing.
        error: String,
    },
    /// The coordinator does not answer any more, is another one now, or cannot be found. Told once until it is found
    /// again; the member keeps what it has meanwhile.
    CoordinatorLost {
        /// The node it was, where one was known.
        node: Option<i32>,
        /// Kafka's error name, or what happened to the request.
        error: String,
    },
    /// The coordinator that was lost, or another one, answers.
    CoordinatorFound {
        /// Its node.
        node: i32,
    },
    /// A topic that is subscribed to is not there, or is refused. It is asked for again at once, and then every
    /// `retry.backoff.max.ms` at most, until it comes.
    TopicMissing {
        /// Which.
        topic: String,
        /// It was there before: it was deleted, and the positions in it are void.
        was_there: bool,
        /// Kafka's error name.
        error: &'static str,
    },
    /// A topic that was missing is there. After a deletion it is another topic of that name, and begins where the reset
    /// policy says.
    TopicBack {
        /// Which.
        topic: String,
    },
    /// The member ends and does not come back: it is fenced, or the coordinator refuses it for good.
    Fatal {
        /// Why.
        error: FatalError,
    },
    /// The member has left the group, or stays in it without being consumed (static members).
    Left,
}

/// Where events go in. Sending never waits.
#[derive(Clone, Debug)]
pub(crate) struct EventSender(broadcast::Sender<Event>);

impl EventSender {
    pub(crate) fn new() -> (Self, Events) {
        let (sender, receiver) = broadcast::channel(EVENTS_KEPT);
        (Self(sender), Events(receiver))
    }

    pub(crate) fn send(&self, event: Event) {
        // Nobody has to listen.
        let _ = self.0.send(event);
    }

    pub(crate) fn subscribe(&self) -> Events {
        Events(self.0.subscribe())
    }
}

/// A consumer's events from the moment of subscription.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next event; `None` when the consumer has ended. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    warn!(missed, "events were dropped, the listener is too slow");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next event if there is one already.
    pub fn try_recv(&mut self) -> Option<Event> {
        loop {
            match self.0.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}
