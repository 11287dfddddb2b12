//! What happens when a handler fails. Counted outside of the handler, so that its restart does not reset anything.

use std::time::Duration;

use callboard_supervision::RestartPolicy;

/// What happens to a record whose attempts are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exhausted {
    /// The partition is paused at this record: nothing is lost, its lag grows, an event and a gauge say so.
    Pause,
    /// The record is passed over and acknowledged, an event says so. It is not stored anywhere else.
    Skip,
}

/// How a failing handler is treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerPolicy {
    /// How often a handler of one partition may fail within a window, and how long it waits before each restart. When
    /// that is used up the partition is paused, whatever the record.
    pub restart: RestartPolicy,
    /// How often one record may be tried, 1 or more.
    pub attempts_max: u32,
    /// What happens then.
    pub exhausted: Exhausted,
    /// Records of a partition that may be in work without being acknowledged; matters where acknowledgements are
    /// deferred. 1 or more. At that bound the partition stands still, says so
    /// ([`Event::Unacknowledged`](crate::Event::Unacknowledged)), and goes on when some are acknowledged.
    pub unacknowledged_max: usize,
}

impl Default for HandlerPolicy {
    /// 10 failures in a minute after waits of 100 ms to 10 s, 5 attempts at one record, then the partition pauses.
    fn default() -> Self {
        Self {
            restart: RestartPolicy {
                max_restarts: 10,
                window: Duration::from_secs(60),
                backoff_initial: Duration::from_millis(100),
                backoff_max: Duration::from_secs(10),
            },
            attempts_max: 5,
            exhausted: Exhausted::Pause,
            unacknowledged_max: 10_000,
        }
    }
}
