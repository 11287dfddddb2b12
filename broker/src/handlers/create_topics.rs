//! CreateTopics, versions 2 to 7. Topics are created some at a time, each durably before its answer; one that is refused
//! does not hold up the others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use futures_util::StreamExt;

use super::describe_configs::of_topic;
use crate::config::BrokerConfig;
use crate::request::{Request, Work};
use crate::topics::{CREATED_AT_ONCE, CreatedTopic, NewTopic, TopicError};

/// One broker keeps one copy.
const REPLICAS: i16 = 1;
/// Topics whose trial has no large answer.
const FEW: usize = 10;

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<CreateTopicsRequest<'_>>() else {
        return;
    };
    let services = Arc::clone(request.services());
    let validate_only = body.validate_only;
    // What may take longer is a name whose last topic is not forgotten, up to callboard.create.topics.max.wait.ms.
    let patience = Duration::from_millis(u64::try_from(body.timeout_ms).unwrap_or(0));
    let wanted: Vec<NewTopic> = body.topics.into_iter().map(new_topic).collect();
    let responder = request.responder;
    let mut times: HashMap<String, usize> = HashMap::new();
    for topic in &wanted {
        *times.entry(topic.name.clone()).or_default() += 1;
    }
    let check = move |topic: &NewTopic| match times.get(&topic.name) {
        Some(2..) => Err(TopicError {
            code: ErrorCode::INVALID_REQUEST,
            message: "Duplicate topic name.".to_owned(),
        }),
        _ => Ok(()),
    };
    if validate_only {
        return responder.elsewhere(move |responder| {
            let validate = |topic: NewTopic| {
                let outcome = check(&topic).and_then(|()| services.topics.validate(&topic));
                (topic.name, outcome)
            };
            let outcomes: BTreeMap<String, _> = wanted.into_iter().map(validate).collect();
            // A short name has all settings for an answer: each is made when it is paid for.
            let outcomes: Vec<_> = outcomes.into_iter().collect();
            let places: Vec<usize> = (0..outcomes.len()).collect();
            responder.send_shared(&outcomes, &places, |outcomes| CreateTopicsResponse {
                topics: outcomes
                    .iter()
                    .map(|(name, outcome)| result(name, outcome, &services.config))
                    .collect(),
                ..Default::default()
            });
        });
    }
    work.effect(async move {
        // A lot at a time, and not all: others have their turn with the keeper between.
        let create = async |topic: NewTopic| {
            let name = topic.name.clone();
            let outcome = match check(&topic) {
                Ok(()) => services.create_topic(topic, patience).await,
                Err(refused) => Err(refused),
            };
            let told = result(&name, &outcome, &services.config);
            (name, told)
        };
        let creating = futures_util::stream::iter(wanted.into_iter().map(create));
        let topics: BTreeMap<String, _> = creating.buffered(CREATED_AT_ONCE).collect().await;
        responder.send(&CreateTopicsResponse {
            topics: topics.into_values().collect(),
            ..Default::default()
        });
    });
}

/// A trial of many names. One that creates is bounded by the topics there may be, and may have to wait.
pub(super) fn has_large_answer(body: CreateTopicsRequest<'_>) -> bool {
    body.validate_only && body.topics.len() > FEW
}

fn new_topic(topic: CreatableTopic<'_>) -> NewTopic {
    NewTopic {
        name: topic.name.into_owned(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .into_iter()
            .map(|one| (one.partition_index, one.broker_ids))
            .collect(),
        configs: topic
            .configs
            .into_iter()
            .map(|config| {
                (
                    config.name.into_owned(),
                    config.value.map(std::borrow::Cow::into_owned),
                )
            })
            .collect(),
    }
}

fn result(
    name: &str,
    outcome: &Result<CreatedTopic, TopicError>,
    config: &BrokerConfig,
) -> CreatableTopicResult<'static> {
    match outcome {
        Ok(created) => CreatableTopicResult {
            name: name.to_owned().into(),
            topic_id: created.id,
            error_message: None,
            num_partitions: created.partitions,
            replication_factor: REPLICAS,
            configs: Some(settings(&created.configs, config)),
            ..Default::default()
        },
        Err(refused) => CreatableTopicResult {
            name: name.to_owned().into(),
            error_code: refused.code.0,
            error_message: Some(refused.message.clone().into()),
            ..Default::default()
        },
    }
}

/// All that holds for the new topic, by name, its own settings and those it takes from the broker.
fn settings(
    own: &BTreeMap<String, String>,
    config: &BrokerConfig,
) -> Vec<CreatableTopicConfigs<'static>> {
    let mut all: Vec<_> = of_topic(own, config)
        .into_iter()
        .map(|setting| CreatableTopicConfigs {
            name: setting.name,
            value: setting.value,
            config_source: setting.config_source,
            ..Default::default()
        })
        .collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

#[cfg(test)]
#[path = "create_topics_tests.rs"]
mod tests;
