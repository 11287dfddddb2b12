//! IncrementalAlterConfigs, versions 0 and 1 (KIP-339): the settings of topics. No key of the broker may be changed while
//! it runs; of Kafka's, those about groups and offsets may not either.

use std::collections::BTreeSet;
use std::sync::Arc;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::describe_configs::{BROKER, GROUP, TOPIC};
use crate::config::Key;
use crate::request::{Request, Work};
use crate::services::Services;
use crate::topics::{ConfigChange, ConfigOperation, TopicError};

/// Changes of one resource.
struct Wanted {
    kind: i8,
    name: String,
    /// None where the operation is not one.
    changes: Option<Vec<ConfigChange>>,
}

pub(super) fn handle(request: Request<'_>, work: &mut Work) {
    let Some((body, request)) = request.decode::<IncrementalAlterConfigsRequest<'_>>() else {
        return;
    };
    let services = Arc::clone(request.services());
    let validate_only = body.validate_only;
    let wanted: Vec<Wanted> = body.resources.into_iter().map(Wanted::new).collect();
    let responder = request.responder;
    work.effect(async move {
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<(i8, String)> = wanted
            .iter()
            .map(|wanted| (wanted.kind, wanted.name.clone()))
            .filter(|resource| !seen.insert(resource.clone()))
            .collect();
        let mut responses = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let (kind, name) = (wanted.kind, wanted.name.clone());
            let outcome = if twice.contains(&(kind, name.clone())) {
                invalid("Each resource must appear at most once.")
            } else {
                wanted.apply(&services, validate_only).await
            };
            responses.push(response(kind, name, outcome));
        }
        responder.send(&IncrementalAlterConfigsResponse {
            responses,
            ..Default::default()
        });
    });
}

fn response(
    resource_type: i8,
    name: String,
    outcome: Result<(), TopicError>,
) -> AlterConfigsResourceResponse<'static> {
    let (code, message) = match outcome {
        Ok(()) => (ErrorCode::NONE, None),
        Err(error) => (error.code, Some(error.message.into())),
    };
    AlterConfigsResourceResponse {
        error_code: code.0,
        error_message: message,
        resource_type,
        resource_name: name.into(),
        ..Default::default()
    }
}

fn refused(code: ErrorCode, message: impl Into<String>) -> Result<(), TopicError> {
    Err(TopicError {
        code,
        message: message.into(),
    })
}

fn invalid(message: impl Into<String>) -> Result<(), TopicError> {
    refused(ErrorCode::INVALID_REQUEST, message)
}

impl Wanted {
    fn new(resource: AlterConfigsResource<'_>) -> Self {
        let change =
            |config: callboard_protocol::messages::incremental_alter_configs::AlterableConfig<
                '_,
            >| {
                Some(ConfigChange {
                    name: config.name.into_owned(),
                    operation: match config.config_operation {
                        0 => ConfigOperation::Set,
                        1 => ConfigOperation::Delete,
                        2 => ConfigOperation::Append,
                        3 => ConfigOperation::Subtract,
                        _ => return None,
                    },
                    value: super::owned(config.value),
                })
            };
        Self {
            kind: resource.resource_type,
            name: resource.resource_name.into_owned(),
            changes: resource.configs.into_iter().map(change).collect(),
        }
    }

    async fn apply(self, services: &Services, validate_only: bool) -> Result<(), TopicError> {
        let Some(changes) = self.changes else {
            // Kafka says UNKNOWN_SERVER_ERROR, and nothing of what it did not understand.
            return invalid("Unknown operation on a configuration key.");
        };
        check(&changes)?;
        match self.kind {
            TOPIC if self.name.is_empty() => invalid("Default topic resources are not allowed."),
            TOPIC => {
                let topics = &services.topics;
                topics
                    .configure_topic(&self.name, changes, validate_only)
                    .await
            }
            BROKER => of_broker(&self.name, &changes, services),
            GROUP => match changes.first() {
                Some(change) => refused(
                    ErrorCode::INVALID_CONFIG,
                    format!("Unknown group config name: {}", change.name),
                ),
                None => Ok(()),
            },
            other => invalid(format!("Unknown resource type {other}")),
        }
    }
}

/// What is wrong whatever is changed.
fn check(changes: &[ConfigChange]) -> Result<(), TopicError> {
    let mut names = BTreeSet::new();
    if !changes.iter().all(|change| names.insert(&change.name)) {
        return invalid("Error due to duplicate config keys");
    }
    let without: Vec<&str> = changes
        .iter()
        .filter(|change| change.operation != ConfigOperation::Delete && change.value.is_none())
        .map(|change| change.name.as_str())
        .collect();
    if !without.is_empty() {
        return invalid(format!(
            "Null value not supported for : {}",
            without.join(",")
        ));
    }
    Ok(())
}

fn of_broker(name: &str, changes: &[ConfigChange], services: &Services) -> Result<(), TopicError> {
    let own = services.config.node_id;
    if !name.is_empty() {
        match name.parse::<i32>() {
            Ok(id) if id == own => {}
            Ok(id) => {
                return invalid(format!(
                    "Unexpected broker id, expected {own}, but received {id}"
                ));
            }
            Err(_) => {
                return invalid(format!("Node id must be an integer, but it is: {name}"));
            }
        }
    }
    if let Some(change) = changes
        .iter()
        .find(|change| Key::find(&change.name).is_none())
    {
        // Kafka keeps whatever it is given, for plug-ins; there are none here.
        let message = format!("Unknown broker config name: {}", change.name);
        return refused(ErrorCode::INVALID_CONFIG, message);
    }
    if changes.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
    invalid(format!(
        "Cannot update these configs dynamically: Set({})",
        names.join(", ")
    ))
}

#[cfg(test)]
#[path = "configs_tests.rs"]
mod tests;
