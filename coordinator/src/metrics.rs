//! Names of this crate's metrics, and the handles its shells keep. Group ids are chosen by clients, so none is a label.

use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::ErrorCode;
use metrics::{
    Counter, Gauge, Histogram, Unit, describe_gauge, describe_histogram, gauge, histogram,
};

use callboard_supervision::metrics::CounterFamily;

use crate::core::{Census, CommitOutcome, Event, ExitReason, RebalanceReason, Response, State};

/// Groups by protocol and state.
pub const COORDINATOR_GROUPS: &str = "callboard_coordinator_groups";
/// Members of all groups, by protocol.
pub const COORDINATOR_MEMBERS: &str = "callboard_coordinator_members";
/// Partitions of `__consumer_offsets` by state: `loading`, `active`, `failed`.
pub const COORDINATOR_PARTITIONS: &str = "callboard_coordinator_partitions";
/// From the start of a coordinator to its first answer from memory.
pub const COORDINATOR_LOAD_DURATION_SECONDS: &str = "callboard_coordinator_load_duration_seconds";
/// Time of one request, by API.
pub const COORDINATOR_REQUEST_DURATION_SECONDS: &str =
    "callboard_coordinator_request_duration_seconds";
/// Answers by API and error.
pub const COORDINATOR_REQUESTS_TOTAL: &str = "callboard_coordinator_requests_total";
/// From the beginning of a rebalance to Stable.
pub const COORDINATOR_REBALANCE_DURATION_SECONDS: &str =
    "callboard_coordinator_rebalance_duration_seconds";
/// Groups thrown away after a panic and rebuilt from what is stored.
pub const COORDINATOR_GROUP_REBUILDS_TOTAL: &str = "callboard_coordinator_group_rebuilds_total";
/// Rebalances begun, by reason.
pub const GROUP_REBALANCES_TOTAL: &str = "callboard_group_rebalances_total";
/// Members that are no more, by reason.
pub const GROUP_MEMBER_EXITS_TOTAL: &str = "callboard_group_member_exits_total";
/// Attempts of a coordinator to remove the offsets of a deleted topic that failed.
pub const COORDINATOR_FORGET_FAILURES_TOTAL: &str = "callboard_coordinator_forget_failures_total";
/// How late a coordinator came to its deadlines, where that is more than half a second.
pub const COORDINATOR_LATE_SECONDS: &str = "callboard_coordinator_late_seconds";
/// OffsetCommits by result.
pub const GROUP_COMMITS_TOTAL: &str = "callboard_group_commits_total";

/// Bucket bounds of this crate's histograms, in seconds.
pub const BUCKETS: &[(&str, &[f64])] = &[
    (
        COORDINATOR_LOAD_DURATION_SECONDS,
        &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0],
    ),
    (
        COORDINATOR_REQUEST_DURATION_SECONDS,
        &[
            0.000_05, 0.000_1, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0,
        ],
    ),
    (COORDINATOR_LATE_SECONDS, &[1.0, 2.0, 5.0, 10.0, 30.0]),
    (
        COORDINATOR_REBALANCE_DURATION_SECONDS,
        &[
            0.01, 0.05, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
        ],
    ),
];

/// Every error that an answer can have.
const ERRORS: &[&str] = &[
    "NONE",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "FENCED_INSTANCE_ID",
    "GROUP_ID_NOT_FOUND",
    "GROUP_MAX_SIZE_REACHED",
    "GROUP_SUBSCRIBED_TO_TOPIC",
    "ILLEGAL_GENERATION",
    "INCONSISTENT_GROUP_PROTOCOL",
    "INVALID_COMMIT_OFFSET_SIZE",
    "INVALID_GROUP_ID",
    "INVALID_REQUEST",
    "INVALID_SESSION_TIMEOUT",
    "MEMBER_ID_REQUIRED",
    "NON_EMPTY_GROUP",
    "NOT_COORDINATOR",
    "OFFSET_METADATA_TOO_LARGE",
    "REBALANCE_IN_PROGRESS",
    "REQUEST_TIMED_OUT",
    "UNKNOWN_MEMBER_ID",
    "UNKNOWN_SERVER_ERROR",
    "UNKNOWN_TOPIC_ID",
    "UNKNOWN_TOPIC_OR_PARTITION",
    "UNSTABLE_OFFSET_COMMIT",
];

const REQUESTS: CounterFamily = CounterFamily::new(
    COORDINATOR_REQUESTS_TOTAL,
    Unit::Count,
    "Answers of coordinators, by API and Kafka's error name.",
    &[("api", &Api::NAMES), ("error", ERRORS)],
);
const REBUILDS: CounterFamily = CounterFamily::new(
    COORDINATOR_GROUP_REBUILDS_TOTAL,
    Unit::Count,
    "Groups rebuilt from what is stored after a panic. Any increase is a bug.",
    &[],
);
const FORGET_FAILURES: CounterFamily = CounterFamily::new(
    COORDINATOR_FORGET_FAILURES_TOTAL,
    Unit::Count,
    "Attempts of a coordinator to remove the offsets of a deleted topic that failed. They are made again; meanwhile CreateTopics of that name waits.",
    &[],
);
const REBALANCES: CounterFamily = CounterFamily::new(
    GROUP_REBALANCES_TOTAL,
    Unit::Count,
    "Rebalances begun, by reason.",
    &[("reason", &RebalanceReason::NAMES)],
);
const MEMBER_EXITS: CounterFamily = CounterFamily::new(
    GROUP_MEMBER_EXITS_TOTAL,
    Unit::Count,
    "Members that are no more, by reason.",
    &[("reason", &ExitReason::NAMES)],
);
const COMMITS: CounterFamily = CounterFamily::new(
    GROUP_COMMITS_TOTAL,
    Unit::Count,
    "OffsetCommits by result.",
    &[(
        "result",
        &[
            "accepted",
            "fenced",
            "unknown_member",
            "too_large",
            "unknown_topic",
            "log_error",
        ],
    )],
);

/// The counters of this crate; coordinators make all their series when they are made.
pub const COUNTERS: &[CounterFamily] = &[
    REQUESTS,
    REBUILDS,
    FORGET_FAILURES,
    REBALANCES,
    MEMBER_EXITS,
    COMMITS,
];

/// The kinds of actors under the coordinators.
pub const KINDS: &[&str] = &[
    crate::coordinators::KIND,
    crate::coordinators::SUPERVISOR,
    crate::group_coordinator::KIND,
    callboard_offsets::writer::KIND,
    callboard_offsets::compaction::KIND,
];

/// Registers help and units with the recorder in place.
pub fn describe() {
    describe_gauge!(
        COORDINATOR_GROUPS,
        Unit::Count,
        "Groups by protocol and state."
    );
    describe_gauge!(
        COORDINATOR_MEMBERS,
        Unit::Count,
        "Members of all groups, by protocol."
    );
    describe_gauge!(
        COORDINATOR_PARTITIONS,
        Unit::Count,
        "Partitions of __consumer_offsets by state. A failed one refuses its groups until somebody looks after it."
    );
    describe_histogram!(
        COORDINATOR_LOAD_DURATION_SECONDS,
        Unit::Seconds,
        "From the start of a coordinator until its groups are loaded."
    );
    describe_histogram!(
        COORDINATOR_REQUEST_DURATION_SECONDS,
        Unit::Seconds,
        "From a request's arrival at its coordinator to its answer; JoinGroup and SyncGroup to its handling, since they wait on purpose."
    );
    describe_histogram!(
        COORDINATOR_REBALANCE_DURATION_SECONDS,
        Unit::Seconds,
        "From the beginning of a rebalance until the group is Stable."
    );
    for family in COUNTERS {
        family.describe();
    }
    describe_histogram!(
        COORDINATOR_LATE_SECONDS,
        Unit::Seconds,
        "How late a coordinator came to its deadlines, where that is more than half a second. Sessions are so much longer then. Any is a machine, or a runtime, with too much to do."
    );
}

/// An API, for its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    JoinGroup,
    SyncGroup,
    Heartbeat,
    LeaveGroup,
    OffsetCommit,
    OffsetFetch,
    DescribeGroups,
    DeleteGroups,
    OffsetDelete,
    ListGroups,
}

impl Api {
    /// In the order of the variants.
    const NAMES: [&str; 10] = [
        "JoinGroup",
        "SyncGroup",
        "Heartbeat",
        "LeaveGroup",
        "OffsetCommit",
        "OffsetFetch",
        "DescribeGroups",
        "DeleteGroups",
        "OffsetDelete",
        "ListGroups",
    ];

    /// Whether its answer waits on purpose.
    pub(crate) fn parks(self) -> bool {
        matches!(self, Self::JoinGroup | Self::SyncGroup)
    }
}

/// The error an answer is counted under: its own, or the first of its parts.
pub(crate) fn error_of(response: &Response) -> ErrorCode {
    let first = |mut errors: Box<dyn Iterator<Item = ErrorCode> + '_>| {
        errors
            .find(|error| *error != ErrorCode::NONE)
            .unwrap_or(ErrorCode::NONE)
    };
    match response {
        Response::Join(answer) => answer.error,
        Response::Sync(answer) => answer.error,
        Response::Heartbeat(error) | Response::Delete(error) => *error,
        Response::Leave(answer) if answer.error != ErrorCode::NONE => answer.error,
        Response::Leave(answer) => first(Box::new(answer.members.iter().map(|left| left.error))),
        Response::Commit(CommitOutcome::All(error)) => *error,
        Response::Commit(CommitOutcome::Each(errors)) => first(Box::new(errors.iter().copied())),
        Response::Fetch(answer) => answer.error,
        Response::Describe(answer) => answer.error,
        Response::DeleteOffsets(answer) => answer.error,
        Response::List(answer) => answer.error,
    }
}

fn commit_result(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::NONE => "accepted",
        ErrorCode::ILLEGAL_GENERATION
        | ErrorCode::FENCED_INSTANCE_ID
        | ErrorCode::REBALANCE_IN_PROGRESS => "fenced",
        ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::GROUP_ID_NOT_FOUND => "unknown_member",
        ErrorCode::OFFSET_METADATA_TOO_LARGE => "too_large",
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID => "unknown_topic",
        _ => "log_error",
    }
}

/// Handles of the request metrics, shared by a coordinator and the answers that leave from its writer.
#[derive(Clone)]
pub(crate) struct RequestMeter(Arc<RequestHandles>);

struct RequestHandles {
    /// By [`Api`]: duration, and answers without an error.
    apis: Vec<(Histogram, Counter)>,
    accepted: Counter,
}

impl RequestMeter {
    pub(crate) fn new() -> Self {
        for family in COUNTERS.iter().chain(callboard_offsets::metrics::COUNTERS) {
            family.declare();
        }
        let none = ErrorCode::NONE.name();
        let handles = Api::NAMES.iter().map(|name| {
            (
                histogram!(COORDINATOR_REQUEST_DURATION_SECONDS, "api" => *name),
                REQUESTS.with(&[name, none]),
            )
        });
        Self(Arc::new(RequestHandles {
            apis: handles.collect(),
            accepted: COMMITS.with(&["accepted"]),
        }))
    }

    pub(crate) fn took(&self, api: Api, took: Duration) {
        if let Some((duration, _)) = self.0.apis.get(api as usize) {
            duration.record(took);
        }
    }

    pub(crate) fn answered(&self, api: Api, error: ErrorCode) {
        if error != ErrorCode::NONE {
            // Rare enough to look the handle up; there are as many as Kafka has errors.
            let name = Api::NAMES[api as usize];
            REQUESTS.with(&[name, error.name()]).increment(1);
        } else if let Some((_, answers)) = self.0.apis.get(api as usize) {
            answers.increment(1);
        }
        if api == Api::OffsetCommit {
            match error {
                ErrorCode::NONE => self.0.accepted.increment(1),
                _ => COMMITS.with(&[commit_result(error)]).increment(1),
            }
        }
    }
}

/// What a partition's coordinator is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartitionState {
    Loading,
    Active,
    Failed,
}

/// The handles of one coordinator, and what it has contributed to the gauges all coordinators share. Dropped with it,
/// however it ended, it takes its part back.
pub(crate) struct CoordinatorMeter {
    groups: [Part; State::ALL.len()],
    members: Part,
    partitions: [Part; 3],
    load_duration: Histogram,
    forget_failures: Counter,
    late: Histogram,
    rebalance_duration: Histogram,
}

impl CoordinatorMeter {
    pub(crate) fn new() -> Self {
        let group = |state: State| {
            Part::of(gauge!(COORDINATOR_GROUPS, "protocol" => "classic", "state" => state.as_str()))
        };
        let partition = |state| Part::of(gauge!(COORDINATOR_PARTITIONS, "state" => state));
        Self {
            groups: State::ALL.map(group),
            members: Part::of(gauge!(COORDINATOR_MEMBERS, "protocol" => "classic")),
            partitions: ["loading", "active", "failed"].map(partition),
            load_duration: histogram!(COORDINATOR_LOAD_DURATION_SECONDS),
            late: histogram!(COORDINATOR_LATE_SECONDS),
            forget_failures: FORGET_FAILURES.with(&[]),
            rebalance_duration: histogram!(
                COORDINATOR_REBALANCE_DURATION_SECONDS,
                "protocol" => "classic"
            ),
        }
    }

    pub(crate) fn partition(&mut self, state: PartitionState) {
        for (at, part) in self.partitions.iter_mut().enumerate() {
            part.set(usize::from(at == state as usize));
        }
    }

    pub(crate) fn loaded(&self, took: Duration) {
        self.load_duration.record(took);
    }

    pub(crate) fn late(&self, by: Duration) {
        self.late.record(by);
    }

    pub(crate) fn census(&mut self, census: Census) {
        for (part, groups) in self.groups.iter_mut().zip(census.groups) {
            part.set(groups);
        }
        self.members.set(census.members);
    }

    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::RebalanceStarted { reason, .. } => {
                REBALANCES.with(&[reason.as_str()]).increment(1);
            }
            Event::RebalanceCompleted { took_ms, .. } => {
                self.rebalance_duration
                    .record(Duration::from_millis(*took_ms));
            }
            Event::MemberExited { reason, .. } => {
                MEMBER_EXITS.with(&[reason.as_str()]).increment(1);
            }
            Event::NotForgotten { .. } => self.forget_failures.increment(1),
        }
    }

    pub(crate) fn rebuilt(&self) {
        REBUILDS.with(&[]).increment(1);
    }
}

/// One coordinator's part of a gauge.
struct Part {
    gauge: Gauge,
    value: usize,
}

impl Part {
    fn of(gauge: Gauge) -> Self {
        Self { gauge, value: 0 }
    }

    fn set(&mut self, value: usize) {
        if value != self.value {
            self.gauge.increment(value as f64 - self.value as f64);
            self.value = value;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.set(0);
    }
}
