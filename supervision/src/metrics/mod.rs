//! Names of the actor metrics and the handles of one kind. A kind is a static word (`group_coordinator`,
//! `connection`); nothing an outsider chooses becomes a label.

mod family;

use std::sync::Arc;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

pub use family::CounterFamily;

/// Live actors of the kind.
pub const ACTOR_INSTANCES: &str = "callboard_actor_instances";
/// Messages waiting in the mailboxes of the kind.
pub const ACTOR_MAILBOX_MESSAGES: &str = "callboard_actor_mailbox_messages";
/// Time from sending a message to the start of its handling.
pub const ACTOR_MAILBOX_WAIT_SECONDS: &str = "callboard_actor_mailbox_wait_seconds";
/// Ended actors, by reason: `normal`, `error`, `panic`, `killed`, `start`.
pub const ACTOR_EXITS_TOTAL: &str = "callboard_actor_exits_total";
/// Restarts by a supervisor.
pub const ACTOR_RESTARTS_TOTAL: &str = "callboard_actor_restarts_total";
/// Restart budgets used up.
pub const ACTOR_ESCALATIONS_TOTAL: &str = "callboard_actor_escalations_total";
/// Calls whose answer did not come in time.
pub const ACTOR_CALL_TIMEOUTS_TOTAL: &str = "callboard_actor_call_timeouts_total";

/// How an actor can end.
pub const EXIT_REASONS: &[&str] = &["normal", "error", "panic", "killed", "start"];
/// Counters that have the kind for their only label.
const BY_KIND: [&str; 3] = [
    ACTOR_RESTARTS_TOTAL,
    ACTOR_ESCALATIONS_TOTAL,
    ACTOR_CALL_TIMEOUTS_TOTAL,
];

/// Makes the counters of actors of this kind, at 0, so that its first restart is an increase. Every actor does it at its
/// start, as there may be another recorder by then; this is for kinds that may start late.
pub fn declare(kind: &'static str) {
    for name in BY_KIND {
        counter!(name, "actor" => kind).increment(0);
    }
    for reason in EXIT_REASONS {
        counter!(ACTOR_EXITS_TOTAL, "actor" => kind, "reason" => *reason).increment(0);
    }
}

/// Bucket bounds of this crate's histograms, in seconds.
pub const BUCKETS: &[(&str, &[f64])] = &[(
    ACTOR_MAILBOX_WAIT_SECONDS,
    &[
        0.000_01, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0,
    ],
)];

/// Registers help texts and units with the installed recorder.
pub fn describe() {
    describe_gauge!(ACTOR_INSTANCES, Unit::Count, "Live actors of the kind.");
    describe_gauge!(
        ACTOR_MAILBOX_MESSAGES,
        Unit::Count,
        "Messages waiting in mailboxes of the kind."
    );
    describe_histogram!(
        ACTOR_MAILBOX_WAIT_SECONDS,
        Unit::Seconds,
        "Time a message waits in a mailbox of the kind."
    );
    describe_counter!(
        ACTOR_EXITS_TOTAL,
        Unit::Count,
        "Actors that ended, by reason."
    );
    describe_counter!(
        ACTOR_RESTARTS_TOTAL,
        Unit::Count,
        "Actors started again by their supervisor."
    );
    describe_counter!(
        ACTOR_ESCALATIONS_TOTAL,
        Unit::Count,
        "Restart budgets used up: the supervisor failed in turn."
    );
    describe_counter!(
        ACTOR_CALL_TIMEOUTS_TOTAL,
        Unit::Count,
        "Calls to actors of the kind that got no answer in time."
    );
}

/// The handles of one kind, looked up once per address and shared by its envelopes.
#[derive(Debug)]
pub(crate) struct KindMetrics {
    pub(crate) kind: &'static str,
    pub(crate) mailbox_messages: Gauge,
    pub(crate) mailbox_wait: Histogram,
    pub(crate) call_timeouts: Counter,
}

impl KindMetrics {
    pub(crate) fn new(kind: &'static str) -> Arc<Self> {
        Arc::new(Self {
            kind,
            mailbox_messages: gauge!(ACTOR_MAILBOX_MESSAGES, "actor" => kind),
            mailbox_wait: histogram!(ACTOR_MAILBOX_WAIT_SECONDS, "actor" => kind),
            call_timeouts: counter!(ACTOR_CALL_TIMEOUTS_TOTAL, "actor" => kind),
        })
    }
}
