//! Metadata, versions 0 to 13: the one broker, and topics by name (null is all) or from 12 by id. A topic that is asked
//! for may be created by that, where broker and client allow it; the answer then already has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use callboard_protocol::{ErrorCode, Uuid};
use futures_util::StreamExt;
use tracing::{debug, info};

use super::operations;
use super::resolve::OFFSETS_LEADER_EPOCH;
use crate::log::LogHandle;
use crate::request::{Context, Request, Work};
use crate::topics::{CREATED_AT_ONCE, NewTopic, Topic, TopicsSnapshot, check_name};

/// The first version in which null, and not an empty list, asks for all topics.
const NULL_IS_ALL: i16 = 1;
/// Topics whose description is not large.
const FEW: usize = 10;
/// Partitions, of all of them together, whose description is not large: some 40 bytes each.
const FEW_PARTITIONS: i64 = 500;
/// The first version that may name topics by id in a request.
const BY_ID: i16 = 12;
/// How long a topic that is asked for may wait for its name, when its last owner is not forgotten. A client that hears
/// of no such topic asks again.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<MetadataRequest<'_>>() else {
        return;
    };
    let version = request.version();
    if let Some(refused) = refusal(&body, version) {
        return request.responder.send(&refused);
    }
    let asked = Asked::new(&body, version);
    let question = Question {
        // Before version 4 the client has no say, and the default of the field is true.
        create: body.allow_auto_topic_creation,
        topic_operations: body.include_topic_authorized_operations,
        cluster_operations: body.include_cluster_authorized_operations,
        asked,
    };
    let context = Arc::clone(request.context);
    let responder = request.responder;
    let missing = question.to_create(&context);
    let answer = move |context: Arc<Context>| {
        responder.elsewhere(move |responder| responder.send(&question.answer(&context)));
    };
    if missing.is_empty() {
        return answer(context);
    }
    work.effect(async move {
        // A lot at a time, and not all: others have their turn with the keeper between.
        let creating = missing.into_iter().map(|name| create(name, &context));
        let creating = futures_util::stream::iter(creating).buffered(CREATED_AT_ONCE);
        creating.collect::<()>().await;
        answer(context);
    });
}

/// All topics, many, or a few that have many partitions.
pub(super) fn has_large_answer(body: &MetadataRequest<'_>, snapshot: &TopicsSnapshot) -> bool {
    let Some(topics) = &body.topics else {
        return true;
    };
    let partitions = |topic: &MetadataRequestTopic<'_>| {
        let found = match topic.name.as_deref() {
            Some(name) if topic.topic_id == Uuid::ZERO => snapshot.by_name(name),
            _ => snapshot.by_id(topic.topic_id),
        };
        found.map_or(0, |topic| i64::from(topic.partitions))
    };
    topics.is_empty()
        || topics.len() > FEW
        || topics.iter().map(partitions).sum::<i64>() > FEW_PARTITIONS
}

/// Versions 10 and 11 have ids in the request's layout and refuse to be asked by them, and names may not be null.
fn refusal(body: &MetadataRequest<'_>, version: i16) -> Option<MetadataResponse<'static>> {
    let topics = body.topics.as_deref().unwrap_or_default();
    let bad =
        |topic: &MetadataRequestTopic<'_>| topic.name.is_none() || topic.topic_id != Uuid::ZERO;
    if version >= BY_ID || !topics.iter().any(bad) {
        return None;
    }
    let refused = |topic: &MetadataRequestTopic<'_>| MetadataResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST.0,
        name: Some(topic.name.as_deref().unwrap_or_default().to_owned().into()),
        topic_id: topic.topic_id,
        ..Default::default()
    };
    Some(MetadataResponse {
        topics: topics.iter().map(refused).collect(),
        ..Default::default()
    })
}

/// Which topics.
enum Asked {
    All,
    Names(BTreeSet<String>),
    Ids(BTreeSet<[u8; 16]>),
}

impl Asked {
    fn new(body: &MetadataRequest<'_>, version: i16) -> Self {
        let Some(topics) = &body.topics else {
            return Self::All;
        };
        if version < NULL_IS_ALL && topics.is_empty() {
            return Self::All;
        }
        let ids: BTreeSet<[u8; 16]> = topics
            .iter()
            .map(|topic| topic.topic_id)
            .filter(|id| *id != Uuid::ZERO)
            .map(|id| id.0)
            .collect();
        if !ids.is_empty() {
            // As Kafka: one id, and names beside it are not looked at.
            return Self::Ids(ids);
        }
        let names = topics.iter().filter_map(|topic| topic.name.as_deref());
        Self::Names(names.map(str::to_owned).collect())
    }
}

/// A request that owns what it asks.
struct Question {
    asked: Asked,
    create: bool,
    topic_operations: bool,
    cluster_operations: bool,
}

impl Question {
    fn to_create(&self, context: &Context) -> Vec<String> {
        let services = &context.services;
        match &self.asked {
            Asked::Names(names) if self.create && services.config.auto_create_topics => {
                let snapshot = services.topics.snapshot();
                let missing =
                    |name: &&String| snapshot.by_name(name).is_none() && check_name(name).is_ok();
                names.iter().filter(missing).cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    fn answer(&self, context: &Context) -> MetadataResponse<'static> {
        let services = &context.services;
        let node_id = services.config.node_id;
        let snapshot = services.topics.snapshot();
        MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id,
                host: context.advertised.host.clone().into(),
                port: i32::from(context.advertised.port),
                ..Default::default()
            }],
            cluster_id: Some(services.cluster_id.to_string().into()),
            controller_id: node_id,
            topics: self.topics(&snapshot, node_id),
            cluster_authorized_operations: operations::if_asked(
                self.cluster_operations,
                operations::CLUSTER,
            ),
            ..Default::default()
        }
    }

    fn topics(
        &self,
        snapshot: &TopicsSnapshot,
        node_id: i32,
    ) -> Vec<MetadataResponseTopic<'static>> {
        let known = |topic: &Arc<Topic>| MetadataResponseTopic {
            topic_authorized_operations: operations::if_asked(
                self.topic_operations,
                operations::TOPIC,
            ),
            ..known(topic, node_id)
        };
        match &self.asked {
            Asked::All => snapshot.iter().map(known).collect(),
            Asked::Names(names) => {
                let of = |name: &String| {
                    snapshot
                        .by_name(name)
                        .map_or_else(|| no_such_name(name), known)
                };
                names.iter().map(of).collect()
            }
            Asked::Ids(ids) => {
                let of = |id: &[u8; 16]| {
                    snapshot
                        .by_id(Uuid(*id))
                        .map_or_else(|| no_such_id(Uuid(*id)), known)
                };
                ids.iter().map(of).collect()
            }
        }
    }
}

/// Creates a topic with the broker's defaults. Whether it exists afterwards is in the next snapshot.
async fn create(name: String, context: &Context) {
    let topic = NewTopic {
        name: name.clone(),
        partitions: -1,
        replication_factor: -1,
        ..NewTopic::default()
    };
    match context.services.create_topic(topic, PATIENCE).await {
        Ok(created) => info!(
            topic = name,
            partitions = created.partitions,
            "topic created because it was asked for"
        ),
        Err(error) => debug!(topic = name, %error, "topic not created"),
    }
}

fn known(topic: &Arc<Topic>, node_id: i32) -> MetadataResponseTopic<'static> {
    let partition = |index: i32| {
        let log = topic.log(index);
        let offline = log.is_some_and(LogHandle::is_offline);
        MetadataResponsePartition {
            error_code: if offline {
                ErrorCode::LEADER_NOT_AVAILABLE.0
            } else {
                0
            },
            partition_index: index,
            leader_id: if offline { -1 } else { node_id },
            leader_epoch: log.map_or(OFFSETS_LEADER_EPOCH, LogHandle::leader_epoch),
            replica_nodes: vec![node_id],
            isr_nodes: vec![node_id],
            offline_replicas: if offline { vec![node_id] } else { Vec::new() },
            ..Default::default()
        }
    };
    MetadataResponseTopic {
        name: Some(topic.name.to_string().into()),
        topic_id: topic.id,
        is_internal: topic.internal,
        partitions: (0..topic.partitions).map(partition).collect(),
        ..Default::default()
    }
}

fn no_such_name(name: &str) -> MetadataResponseTopic<'static> {
    let code = check_name(name).map_or_else(
        |error| error.code,
        |()| ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    );
    MetadataResponseTopic {
        error_code: code.0,
        name: Some(name.to_owned().into()),
        ..Default::default()
    }
}

fn no_such_id(topic_id: Uuid) -> MetadataResponseTopic<'static> {
    MetadataResponseTopic {
        error_code: ErrorCode::UNKNOWN_TOPIC_ID.0,
        name: None,
        topic_id,
        ..Default::default()
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
