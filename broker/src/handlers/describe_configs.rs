//! DescribeConfigs, versions 1 to 4: what holds for a topic or for this broker, and where each value comes from.
//!
//! Groups have no settings of their own here, which is what an empty list says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::once_each;
use crate::config::{BrokerConfig, KEYS, Key, Kind};
use crate::log::LogConfig;
use crate::request::{Request, Work};
use crate::services::Services;
use crate::topics::{TopicError, Type, check_name, shown};

/// `resource_type` of topics.
pub(super) const TOPIC: i8 = 2;
/// Of brokers.
pub(super) const BROKER: i8 = 4;
/// Of groups.
pub(super) const GROUP: i8 = 32;

/// `config_source` of a topic's own setting.
const OF_THE_TOPIC: i8 = 1;
/// Of what the broker was started with.
const OF_THE_BROKER: i8 = 4;
/// Of what nobody set.
const DEFAULT: i8 = 5;

pub(super) fn handle(request: Request<'_>, _work: &mut Work) {
    let Some((body, request)) = request.decode::<DescribeConfigsRequest<'_>>() else {
        return;
    };
    let resources: Vec<Resource> = body.resources.iter().map(Resource::new).collect();
    let (synonyms, documentation) = (body.include_synonyms, body.include_documentation);
    let services = Arc::clone(request.services());
    request.responder.elsewhere(move |responder| {
        let (once, places) = once_each(resources.iter());
        responder.send_shared(&once, &places, |resources| DescribeConfigsResponse {
            results: resources
                .iter()
                .map(|resource| resource.describe(synonyms, documentation, &services))
                .collect(),
            ..Default::default()
        });
    });
}

/// A resource to describe.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Resource {
    kind: i8,
    name: String,
    /// None of them: all.
    keys: BTreeSet<String>,
}

impl Resource {
    fn new(resource: &DescribeConfigsResource<'_>) -> Self {
        let keys = resource.configuration_keys.iter().flatten();
        Self {
            kind: resource.resource_type,
            name: resource.resource_name.clone().into_owned(),
            keys: keys.map(|key| key.clone().into_owned()).collect(),
        }
    }

    fn describe(
        &self,
        synonyms: bool,
        documentation: bool,
        services: &Services,
    ) -> DescribeConfigsResult<'static> {
        let (code, message, mut configs) = match describe(self.kind, &self.name, services) {
            Ok(configs) => (ErrorCode::NONE, String::new(), configs),
            Err(error) => (error.code, error.message, Vec::new()),
        };
        // None and no key are both all of them.
        configs.retain(|config| self.keys.is_empty() || self.keys.contains(&*config.name));
        for config in &mut configs {
            if !synonyms {
                config.synonyms.clear();
            }
            if !documentation {
                config.documentation = None;
            }
        }
        DescribeConfigsResult {
            error_code: code.0,
            error_message: Some(message.into()),
            resource_type: self.kind,
            resource_name: self.name.clone().into(),
            configs,
            ..Default::default()
        }
    }
}

pub(super) type Described = Vec<DescribeConfigsResourceResult<'static>>;

fn describe(kind: i8, name: &str, services: &Services) -> Result<Described, TopicError> {
    let invalid = |message: String| {
        Err(TopicError {
            code: ErrorCode::INVALID_REQUEST,
            message,
        })
    };
    match kind {
        TOPIC => {
            check_name(name)?;
            match services.topics.snapshot().by_name(name) {
                Some(topic) if topic.internal => {
                    let mut all = of_topic(&internal(&services.config), &services.config);
                    for config in &mut all {
                        config.read_only = true;
                    }
                    Ok(all)
                }
                Some(topic) => Ok(of_topic(&topic.configs, &services.config)),
                None => Err(TopicError {
                    code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                    message: String::new(),
                }),
            }
        }
        // The defaults of all brokers, of which none can be set.
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER => match name.parse::<i32>() {
            Ok(id) if id == services.config.node_id => Ok(of_broker(&services.config)),
            Ok(id) => invalid(format!(
                "Unexpected broker id, expected {} or empty string, but received {id}",
                services.config.node_id
            )),
            Err(_) => invalid(format!("Broker id must be an integer, but it is: {name}")),
        },
        GROUP => Ok(Vec::new()),
        other => invalid(format!("There are no settings of resource type {other}.")),
    }
}

/// What holds for a topic whose own settings are these.
pub(super) fn of_topic(own: &BTreeMap<String, String>, config: &BrokerConfig) -> Described {
    let defaults = LogConfig::of_broker(config);
    let all = shown(&defaults).map(|setting| {
        let mut synonyms = Vec::new();
        if let Some(value) = own.get(setting.name) {
            synonyms.push(synonym(setting.name, value.clone(), OF_THE_TOPIC));
        }
        let broker = broker_synonyms(setting.broker_key, config);
        let source = match (synonyms.first(), broker.first()) {
            (Some(first), _) | (None, Some(first)) => first.source,
            (None, None) => DEFAULT,
        };
        synonyms.extend(broker);
        if !setting.broker_key.is_empty() && Key::find(setting.broker_key).is_none() {
            // A key that the broker does not have: its default is all there is.
            synonyms.push(synonym(
                setting.broker_key,
                setting.default.clone(),
                DEFAULT,
            ));
        }
        let value = own.get(setting.name).cloned().unwrap_or(setting.default);
        DescribeConfigsResourceResult {
            name: setting.name.into(),
            value: Some(value.into()),
            config_source: source,
            synonyms,
            config_type: setting.kind as i8,
            documentation: Some(setting.doc.into()),
            ..Default::default()
        }
    });
    all.collect()
}

/// What holds for `__consumer_offsets` in Kafka's words.
fn internal(config: &BrokerConfig) -> BTreeMap<String, String> {
    let own = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        (
            "max.message.bytes",
            config.offsets_batch_bytes().to_string(),
        ),
        (
            "segment.bytes",
            config.offsets_topic_segment_bytes.to_string(),
        ),
    ];
    own.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The keys of the broker behind a setting of topics, those that were given first, then the default.
fn broker_synonyms(name: &str, config: &BrokerConfig) -> Vec<DescribeConfigsSynonym<'static>> {
    let stem = |name: &'static str| {
        [".ms", ".minutes", ".hours"]
            .iter()
            .find_map(|unit| name.strip_suffix(unit))
            .unwrap_or(name)
    };
    let Some(key) = Key::find(name) else {
        return Vec::new();
    };
    let family = || KEYS.iter().filter(|one| stem(one.name) == stem(key.name));
    let given = family().filter(|one| one.is_given(config));
    let mut synonyms: Vec<_> = given
        .map(|one| synonym(one.name, one.value(config), OF_THE_BROKER))
        .collect();
    // Kafka's default is that of the coarsest unit.
    if let Some(last) = family().next_back() {
        synonyms.push(synonym(last.name, last.default.to_owned(), DEFAULT));
    }
    synonyms
}

fn of_broker(config: &BrokerConfig) -> Described {
    let described = KEYS.iter().map(|key| {
        let value = key.value(config);
        let given = key.is_given(config);
        let mut synonyms = Vec::new();
        if given {
            synonyms.push(synonym(key.name, value.clone(), OF_THE_BROKER));
        }
        if !key.default.is_empty() {
            synonyms.push(synonym(key.name, key.default.to_owned(), DEFAULT));
        }
        DescribeConfigsResourceResult {
            name: key.name.into(),
            value: Some(value)
                .filter(|value| !value.is_empty())
                .map(Into::into),
            read_only: true,
            config_source: if given { OF_THE_BROKER } else { DEFAULT },
            synonyms,
            config_type: kind(key.kind) as i8,
            documentation: Some(key.doc.into()),
            ..Default::default()
        }
    });
    described.collect()
}

fn synonym(name: &'static str, value: String, source: i8) -> DescribeConfigsSynonym<'static> {
    DescribeConfigsSynonym {
        name: name.into(),
        value: Some(value.into()),
        source,
        ..Default::default()
    }
}

fn kind(kind: Kind) -> Type {
    match kind {
        Kind::Number { max, .. } if i32::try_from(max).is_ok() => Type::Int,
        Kind::Number { .. } => Type::Long,
        Kind::Fraction => Type::Double,
        Kind::Switch => Type::Boolean,
        Kind::Choice(_) | Kind::Text => Type::String,
        // Kafka takes several.
        Kind::Address => Type::List,
    }
}
