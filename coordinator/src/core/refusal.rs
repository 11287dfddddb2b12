//! Requests that are turned away before any group looks at them, and the shape each API gives an error.

use std::sync::Arc;

use callboard_protocol::ErrorCode;

use super::classic::{join, sync};
use super::effect::{CommitOutcome, Response};
use super::input::GroupRequest;
use super::step::Step;
use crate::response::{
    DescribedGroup, FetchedGroup, JoinGroup, LeaveGroup, OffsetDelete, SyncGroup,
};

/// What is wrong with a request whatever its group is. Kafka looks at it before it looks whether the group is loaded.
pub(super) fn early_refusal(
    step: &Step<'_>,
    group_id: &Arc<str>,
    request: &GroupRequest,
) -> Option<Response> {
    let error = match request {
        GroupRequest::Join { join, .. } => join::refusal(step, join),
        GroupRequest::Sync(sync) => sync::refusal(sync),
        GroupRequest::Heartbeat(_) | GroupRequest::Leave(_) | GroupRequest::DeleteOffsets(_)
            if group_id.is_empty() =>
        {
            Some(ErrorCode::INVALID_GROUP_ID)
        }
        // Simple consumers without a group id are as old as Kafka (KAFKA-6773).
        _ => None,
    };
    error.map(|error| refused(request, group_id, error))
}

/// What a request is told while its group is being loaded.
pub(super) fn loading(request: &GroupRequest, group_id: &Arc<str>) -> Response {
    let error = match request {
        // Whoever heartbeats goes on working.
        GroupRequest::Heartbeat(_) => ErrorCode::NONE,
        // The Java consumer gives up for good on "loading" here, and tries again on this.
        GroupRequest::Sync(_) => ErrorCode::REBALANCE_IN_PROGRESS,
        _ => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
    };
    refused(request, group_id, error)
}

/// `error` as the answer to `request`.
pub(super) fn refused(request: &GroupRequest, group_id: &Arc<str>, error: ErrorCode) -> Response {
    match request {
        GroupRequest::Join { join, .. } => {
            Response::Join(JoinGroup::refused(error, &join.member_id))
        }
        GroupRequest::Sync(_) => Response::Sync(SyncGroup::refused(error)),
        GroupRequest::Heartbeat(_) => Response::Heartbeat(error),
        GroupRequest::Leave(_) => Response::Leave(LeaveGroup::refused(error)),
        GroupRequest::Commit(_) => Response::Commit(CommitOutcome::All(error)),
        GroupRequest::Fetch(_) => Response::Fetch(FetchedGroup {
            group_id: Arc::clone(group_id),
            error,
            topics: Vec::new(),
        }),
        GroupRequest::Describe => {
            Response::Describe(DescribedGroup::refused(error, Arc::clone(group_id)))
        }
        GroupRequest::Delete => Response::Delete(error),
        GroupRequest::DeleteOffsets(_) => Response::DeleteOffsets(OffsetDelete::refused(error)),
    }
}

/// The errors of the log in the words clients understand (spec 0.1). What clients know already stays as it is.
#[must_use]
pub fn remap(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NONE
        | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::NOT_COORDINATOR => error,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::NOT_ENOUGH_REPLICAS
        | ErrorCode::REQUEST_TIMED_OUT => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::KAFKA_STORAGE_ERROR => {
            ErrorCode::NOT_COORDINATOR
        }
        ErrorCode::NETWORK_EXCEPTION => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        _ => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_log_has_its_word() {
        for (of_the_log, to_clients) in [
            (0, 0),
            (3, 15),
            (19, 15),
            (7, 15),
            (6, 16),
            (56, 16),
            (10, -1),
            (18, -1),
            (4, -1),
            (13, 14),
            (-1, -1),
            (87, -1),
            // Said by the coordinator itself.
            (14, 14),
            (15, 15),
            (16, 16),
        ] {
            assert_eq!(
                remap(ErrorCode(of_the_log)),
                ErrorCode(to_clients),
                "{of_the_log}"
            );
        }
    }
}
