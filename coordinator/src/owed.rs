//! What is owed to one request of a core, kept outside of it: the way from the core's response to the caller's reply.

use std::fmt;
use std::sync::Arc;

use callboard_protocol::ErrorCode;
use tokio::time::Instant;

use crate::core::{CommitOutcome, CommitPartition, CommitTopic, Response, remap};
use crate::metrics::{Api, RequestMeter, error_of};
use crate::{Reply, response};

/// The answer to one request: given once, and counted. Dropped it is given all the same, and says
/// COORDINATOR_NOT_AVAILABLE: whoever waits looks for the coordinator again.
pub(crate) struct Owed {
    /// None for ListGroups.
    group_id: Option<Arc<str>>,
    api: Api,
    /// When the request came to its coordinator, if one has it.
    since: Option<Instant>,
    meter: RequestMeter,
    /// None once it is given.
    way: Option<Way>,
}

/// Where it goes.
pub(crate) enum Way {
    Join(Reply<response::JoinGroup>),
    Sync(Reply<response::SyncGroup>),
    Heartbeat(Reply<response::Heartbeat>),
    Leave(Reply<response::LeaveGroup>),
    /// With the topics of the request: the outcome has none.
    Commit(Arc<[CommitTopic]>, Reply<response::OffsetCommit>),
    Fetch(Reply<response::FetchedGroup>),
    Describe(Reply<response::DescribedGroup>),
    Delete(Reply<ErrorCode>),
    DeleteOffsets(Reply<response::OffsetDelete>),
    List(Reply<response::ListGroups>),
}

impl Owed {
    pub(crate) fn new(group_id: Option<Arc<str>>, way: Way, meter: &RequestMeter) -> Self {
        Self {
            group_id,
            api: way.api(),
            since: None,
            meter: meter.clone(),
            way: Some(way),
        }
    }

    pub(crate) fn api(&self) -> Api {
        self.api
    }

    pub(crate) fn is_about(&self, group_id: &str) -> bool {
        self.group_id.as_deref() == Some(group_id)
    }

    /// A coordinator has the request: what it takes is measured from now on.
    pub(crate) fn arrived(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Answers. A response of another API is a bug; the caller is answered all the same.
    pub(crate) fn answer(mut self, response: Response) {
        self.count(error_of(&response));
        match (self.way.take(), response) {
            (Some(Way::Join(reply)), Response::Join(answer)) => reply.send(answer),
            (Some(Way::Sync(reply)), Response::Sync(answer)) => reply.send(answer),
            (Some(Way::Heartbeat(reply)), Response::Heartbeat(error)) => {
                reply.send(response::Heartbeat { error });
            }
            (Some(Way::Leave(reply)), Response::Leave(answer)) => reply.send(answer),
            (Some(Way::Commit(topics, reply)), Response::Commit(outcome)) => {
                reply.send(committed(&topics, &outcome));
            }
            (Some(Way::Fetch(reply)), Response::Fetch(answer)) => reply.send(answer),
            (Some(Way::Describe(reply)), Response::Describe(answer)) => reply.send(answer),
            (Some(Way::Delete(reply)), Response::Delete(error)) => reply.send(error),
            (Some(Way::DeleteOffsets(reply)), Response::DeleteOffsets(answer)) => {
                reply.send(answer);
            }
            (Some(Way::List(reply)), Response::List(answer)) => reply.send(answer),
            (way, _) => {
                debug_assert!(false, "a response answers the request it is for");
                self.way = way;
            }
        }
    }

    /// Gives the request up without an answer: nobody can say what became of it, and the connection closes.
    pub(crate) fn abandon(mut self) {
        if self.way.take().is_some() {
            self.count(ErrorCode::UNKNOWN_SERVER_ERROR);
        }
    }

    /// However it ends, it is counted, and how long it took.
    fn count(&self, error: ErrorCode) {
        self.meter.answered(self.api, error);
        if let Some(since) = self.since
            && !self.api.parks()
        {
            self.meter.took(self.api, since.elapsed());
        }
    }

    /// Answers with an error, the log's own or one clients know.
    pub(crate) fn refuse(mut self, error: ErrorCode) {
        self.give(error);
    }

    /// Answers with an error what is not answered.
    fn give(&mut self, error: ErrorCode) {
        let Some(way) = self.way.take() else {
            return;
        };
        self.count(error);
        let error = remap(error);
        let group_id = self.group_id.take().unwrap_or_default();
        match way {
            Way::Join(reply) => reply.send(response::JoinGroup::refused(error, "")),
            Way::Sync(reply) => reply.send(response::SyncGroup::refused(error)),
            Way::Heartbeat(reply) => reply.send(response::Heartbeat { error }),
            Way::Leave(reply) => reply.send(response::LeaveGroup::refused(error)),
            Way::Commit(topics, reply) => {
                reply.send(committed(&topics, &CommitOutcome::All(error)));
            }
            Way::Fetch(reply) => reply.send(response::FetchedGroup {
                group_id,
                error,
                topics: Vec::new(),
            }),
            Way::Describe(reply) => {
                reply.send(response::DescribedGroup::refused(error, group_id));
            }
            Way::Delete(reply) => reply.send(error),
            Way::DeleteOffsets(reply) => reply.send(response::OffsetDelete::refused(error)),
            Way::List(reply) => reply.send(response::ListGroups {
                error,
                groups: Vec::new(),
            }),
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.give(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owed")
    }
}

impl Way {
    fn api(&self) -> Api {
        match self {
            Self::Join(_) => Api::JoinGroup,
            Self::Sync(_) => Api::SyncGroup,
            Self::Heartbeat(_) => Api::Heartbeat,
            Self::Leave(_) => Api::LeaveGroup,
            Self::Commit(..) => Api::OffsetCommit,
            Self::Fetch(_) => Api::OffsetFetch,
            Self::Describe(_) => Api::DescribeGroups,
            Self::Delete(_) => Api::DeleteGroups,
            Self::DeleteOffsets(_) => Api::OffsetDelete,
            Self::List(_) => Api::ListGroups,
        }
    }
}

/// The answer an outcome makes of the topics of its request. What was wrong with a partition before any group was asked
/// stays wrong with it.
fn committed(topics: &[CommitTopic], outcome: &CommitOutcome) -> response::OffsetCommit {
    let mut place = 0;
    let mut next = |partition: &CommitPartition| {
        place += 1;
        let error = match outcome {
            _ if partition.error != ErrorCode::NONE => partition.error,
            CommitOutcome::All(error) => *error,
            CommitOutcome::Each(errors) => errors
                .get(place - 1)
                .copied()
                .unwrap_or(ErrorCode::UNKNOWN_SERVER_ERROR),
        };
        (partition.partition, error)
    };
    let topics = topics.iter().map(|topic| response::CommittedTopic {
        topic: topic.topic.clone(),
        partitions: topic.partitions.iter().map(&mut next).collect(),
    });
    response::OffsetCommit {
        topics: topics.collect(),
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::metrics::{COORDINATOR_REQUEST_DURATION_SECONDS, COORDINATOR_REQUESTS_TOTAL};

    /// What takes longest ends without an answer of the core more often than anything else.
    #[test]
    fn however_a_request_ends_it_is_counted_and_so_is_what_it_took() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            let meter = RequestMeter::new();
            let ends: [fn(Owed); 4] = [
                |owed| owed.answer(Response::Heartbeat(ErrorCode::NONE)),
                |owed| owed.refuse(ErrorCode::REQUEST_TIMED_OUT),
                drop,
                Owed::abandon,
            ];
            for end in ends {
                let mut owed = Owed::new(None, Way::Heartbeat(Reply::new(drop)), &meter);
                owed.arrived(Instant::now());
                end(owed);
            }
        });
        let text = recorder.handle().render();
        let counted = |error: &str| {
            format!("{COORDINATOR_REQUESTS_TOTAL}{{api=\"Heartbeat\",error=\"{error}\"}} 1")
        };
        for series in [
            counted("NONE"),
            counted("REQUEST_TIMED_OUT"),
            counted("COORDINATOR_NOT_AVAILABLE"),
            counted("UNKNOWN_SERVER_ERROR"),
            format!("{COORDINATOR_REQUEST_DURATION_SECONDS}_count{{api=\"Heartbeat\"}} 4"),
        ] {
            assert!(text.lines().any(|line| line == series), "{series}: {text}");
        }
    }
}
