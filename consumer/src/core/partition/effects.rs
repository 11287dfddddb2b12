//! What the core of a partition hears and what it asks for. Plain values.

use std::time::Duration;

/// What the core hears.
#[derive(Clone, Debug)]
pub enum Input {
    /// Where it begins, or why that cannot be known.
    Located(Result<Start, String>),
    /// The handler that was asked for lives.
    Started,
    /// The handler ended although nobody asked it to, or could not start.
    Failed {
        /// The error or panic.
        error: String,
        /// How long the next one waits; `None` if it failed too often.
        restart: Option<Duration>,
    },
    /// The handler ended as it was asked to, or was not started because nobody wanted it any more.
    Ended,
    /// The wait before a restart is over.
    RestartDue {
        /// When it was asked for.
        incarnation: u64,
    },
    /// The leader refused to answer a fetch.
    Refused {
        /// What was asked for.
        from: FetchFrom,
        /// With what.
        why: Refused,
    },
    /// The batch at the position cannot be read.
    Unreadable {
        /// Of the fetched records.
        incarnation: u64,
        /// Why.
        reason: String,
    },
    /// What `auto.offset.reset` says.
    ResetFound {
        /// Of the question.
        ticket: ResetTicket,
        /// Where to go on, or why not.
        to: Result<i64, String>,
    },
    /// The application wants it consumed again.
    Resume,
    /// The supervisor of handlers began anew: they are dead, and it knows nothing.
    Orphaned {
        /// How long the next handler waits.
        restart: Duration,
    },
}

/// Where a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the group's committed offset.
    Committed {
        /// The offset.
        offset: i64,
        /// The leader epoch it was committed with.
        leader_epoch: Option<i32>,
    },
    /// The group has committed nothing: where `auto.offset.reset` says.
    Reset(i64),
    /// Where the application wants it, without a group.
    Assigned(i64),
}

/// What a fetcher asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchFrom {
    /// The first offset.
    pub offset: i64,
    /// Of the partition when it was asked.
    pub incarnation: u64,
}

/// What a leader answers instead of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The offset is not in its log.
    OutOfRange,
    /// Something that the application has to hear of.
    ForGood(String),
}

/// Ties what `auto.offset.reset` says to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetTicket {
    /// Of the partition when it was asked.
    pub incarnation: u64,
    /// The position that is not in the log.
    pub from: i64,
}

/// Why a partition is paused; the label of its gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseCause {
    /// Its handler failed too often.
    Handler,
    /// Its records cannot be had: unreadable, refused, or no offset to begin at.
    Records,
}

/// What the core wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look up where it begins; answered with [`Input::Located`].
    Locate,
    /// Start a handler; answered with [`Input::Started`], [`Input::Failed`] or [`Input::Ended`].
    Start,
    /// Have the handler end; answered with [`Input::Ended`].
    End,
    /// Say [`Input::RestartDue`] after this wait.
    RestartAfter(Duration),
    /// Ask `auto.offset.reset` where to go on; answered with [`Input::ResetFound`].
    FindReset(ResetTicket),
    /// It can be fetched now.
    Fetch,
    /// Commit now: a position was chosen that nobody will acknowledge.
    Commit,
    /// Let whoever listens know.
    Tell(Notice),
}

/// What others may want to know of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Its handler begins at this offset.
    Started {
        /// The first it will see.
        offset: i64,
    },
    /// Its handler failed; the next one starts after a wait.
    Restarting {
        /// At what it failed.
        crash: Crash,
        /// The error or panic.
        error: String,
        /// How long it waits.
        after: Duration,
        /// The first offset it will see.
        resumes_at: i64,
    },
    /// A record is passed over: its attempts are used up.
    Skipped {
        /// Its offset.
        offset: i64,
    },
    /// Nobody consumes it until it is resumed.
    Paused {
        /// What kind of trouble.
        cause: PauseCause,
        /// In words.
        reason: String,
    },
    /// `auto.offset.reset` chose its position.
    Reset {
        /// The position that is not in the log; `None` if the group had committed nothing.
        from: Option<i64>,
        /// Where it goes on.
        to: i64,
    },
    /// It stands still until records are acknowledged.
    Unacknowledged {
        /// The first of them.
        first: i64,
        /// How many.
        count: usize,
    },
}

/// What a handler was at when it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crash {
    /// The record in its hands, if there was one.
    pub offset: Option<i64>,
    /// How often that was tried.
    pub attempts: u32,
}

/// What a handler is told about a record before it gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// Hand it over.
    Go {
        /// Which attempt at it this is, from 1.
        attempt: u32,
        /// Whether a handler of this consumer has seen it before.
        again: bool,
    },
    /// It lies before the position, or is passed over.
    Skip,
    /// Nothing of these records is handed over any more.
    Stop,
}

/// Whether a handler may get another record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It may.
    Free,
    /// When records are acknowledged.
    Full,
    /// Nothing of these records is handed over any more.
    Stopped,
}
