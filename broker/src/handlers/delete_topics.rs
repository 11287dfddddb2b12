//! DeleteTopics, versions 1 to 6 (by id from 6). A topic is durably gone before its answer; that its offsets are
//! forgotten is the keeper's and the coordinators', whatever becomes of the request.

use std::collections::HashMap;
use std::sync::Arc;

use callboard_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use callboard_protocol::{ErrorCode, Uuid};

use super::resolve::UNKNOWN;
use crate::request::{Request, Work};
use crate::services::Services;
use crate::topics::TopicError;

/// The first version that may name topics by id.
const BY_ID: i16 = 6;
/// Names looked at before others get their turn.
const AT_ONCE: usize = 100;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<DeleteTopicsRequest<'_>>() else {
        return;
    };
    let wanted: Vec<Wanted> = if request.version() >= BY_ID {
        body.topics.into_iter().map(Wanted::from).collect()
    } else {
        let named = |name: std::borrow::Cow<'_, str>| Wanted {
            name: Some(name.into_owned()),
            id: Uuid::ZERO,
        };
        body.topic_names.into_iter().map(named).collect()
    };
    let services = Arc::clone(request.services());
    let responder = request.responder;
    work.effect(async move {
        let mut responses: Vec<DeletableTopicResult<'static>> = Vec::with_capacity(wanted.len());
        // How often each is named, until it is answered.
        let mut named: HashMap<&Wanted, usize> = HashMap::with_capacity(wanted.len());
        for topic in &wanted {
            *named.entry(topic).or_default() += 1;
        }
        for (at, topic) in wanted.iter().enumerate() {
            if at % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            match named.remove(topic) {
                Some(1) => responses.push(topic.delete(&services).await),
                Some(_) => responses
                    .push(topic.refused(ErrorCode::INVALID_REQUEST, "Duplicate topic name or id.")),
                // Answered once.
                None => {}
            }
        }
        responder.send(&DeleteTopicsResponse {
            responses,
            ..Default::default()
        });
    });
}

/// A topic to delete, by name or by id.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Wanted {
    name: Option<String>,
    id: Uuid,
}

impl From<DeleteTopicState<'_>> for Wanted {
    fn from(state: DeleteTopicState<'_>) -> Self {
        Self {
            name: state.name.map(std::borrow::Cow::into_owned),
            id: state.topic_id,
        }
    }
}

impl Wanted {
    async fn delete(&self, services: &Services) -> DeletableTopicResult<'static> {
        let name = match (&self.name, self.id) {
            (Some(_), id) if id != Uuid::ZERO => {
                return self.refused(
                    ErrorCode::INVALID_REQUEST,
                    "You may not specify both topic name and topic id.",
                );
            }
            (Some(name), _) => name.clone(),
            (None, Uuid::ZERO) => {
                return self.refused(
                    ErrorCode::INVALID_REQUEST,
                    "Neither topic name nor id were specified.",
                );
            }
            (None, id) => match services.topics.snapshot().by_id(id) {
                Some(topic) => topic.name.to_string(),
                None => return self.refused(ErrorCode::UNKNOWN_TOPIC_ID, UNKNOWN),
            },
        };
        // What is not there is not the keeper's to say; it has one thing at a time to do.
        if services.topics.snapshot().by_name(&name).is_none() {
            return self.refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN);
        }
        match services.topics.delete_topic(&name).await {
            Ok(deleted) => DeletableTopicResult {
                name: Some(name.into()),
                topic_id: deleted.id,
                ..Default::default()
            },
            Err(TopicError { code, message }) => self.refused(code, &message),
        }
    }

    fn refused(&self, code: ErrorCode, reason: &str) -> DeletableTopicResult<'static> {
        DeletableTopicResult {
            name: self.name.clone().map(Into::into),
            topic_id: self.id,
            error_code: code.0,
            error_message: Some(reason.to_owned().into()),
            ..Default::default()
        }
    }
}

#[cfg(test)]
#[path = "delete_topics_tests.rs"]
mod tests;
