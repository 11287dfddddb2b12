//! Topics that change while they are there: their settings, and more partitions. Methods of [`Client`], beside those of
//! [`admin`](crate::admin).

use std::fmt;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsTopic,
};
use callboard_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use callboard_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use crate::admin::{check, millis};
use crate::client::{ANY_VERSION, Client};
use crate::error::ClientError;

/// `resource_type` of topics.
const TOPIC: i8 = 2;
/// `config_operation`: sets a value.
const SET: i8 = 0;
/// Goes back to the default.
const DELETE: i8 = 1;

/// Where the value of a setting is from: Kafka's `ConfigEntry.ConfigSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigSource {
    /// Set for this topic.
    Topic,
    /// Set for this broker while it ran.
    Broker,
    /// Set for all brokers while they ran.
    Brokers,
    /// In the broker's own configuration.
    BrokerFile,
    /// Nobody set it.
    Default,
    /// Anything else a broker may say.
    Other(i8),
}

impl ConfigSource {
    fn new(source: i8) -> Self {
        match source {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::Brokers,
            4 => Self::BrokerFile,
            5 => Self::Default,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "set for the topic",
            Self::Broker => "set for the broker",
            Self::Brokers => "set for all brokers",
            Self::BrokerFile => "the broker's configuration",
            Self::Default => "default",
            Self::Other(_) => "set elsewhere",
        })
    }
}

/// A setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// Kafka's key.
    pub name: String,
    /// Its value; `None` where the broker keeps it to itself.
    pub value: Option<String>,
    /// Where the value is from.
    pub source: ConfigSource,
}

impl Client {
    /// The settings that hold for a topic, in the broker's order.
    ///
    /// # Errors
    /// [`ClientError::UnknownTopic`]; [`ClientError::Kafka`].
    pub async fn topic_configs(&self, name: &str) -> Result<Vec<TopicConfig>, ClientError> {
        self.retrying(|| async {
            let answer = self
                .request_any::<DescribeConfigsRequest>(ANY_VERSION, |_| DescribeConfigsRequest {
                    resources: vec![DescribeConfigsResource {
                        resource_type: TOPIC,
                        resource_name: name.to_owned().into(),
                        configuration_keys: None,
                        ..DescribeConfigsResource::default()
                    }],
                    ..DescribeConfigsRequest::default()
                })
                .await?;
            let response = answer.read()?;
            let result = response.results.first().ok_or_else(no_result)?;
            outcome(name, result.error_code, result.error_message.as_deref())?;
            let settings = result.configs.iter().map(|config| TopicConfig {
                name: config.name.to_string(),
                value: config.value.as_deref().map(ToOwned::to_owned),
                source: ConfigSource::new(config.config_source),
            });
            Ok(settings.collect())
        })
        .await
    }

    /// Changes settings of a topic, all or none; `None` goes back to the default (KIP-339).
    ///
    /// # Errors
    /// [`ClientError::UnknownTopic`]; [`ClientError::Kafka`], 40 (INVALID_CONFIG) among others.
    pub async fn alter_topic_configs(
        &self,
        name: &str,
        changes: &[(String, Option<String>)],
    ) -> Result<(), ClientError> {
        self.retrying(|| async {
            let node = self.controller().await?;
            let answer = self
                .request::<IncrementalAlterConfigsRequest>(self.data(node), ANY_VERSION, |_| {
                    let change = |(key, value): &(String, Option<String>)| AlterableConfig {
                        name: key.clone().into(),
                        config_operation: if value.is_some() { SET } else { DELETE },
                        value: value.clone().map(Into::into),
                        ..AlterableConfig::default()
                    };
                    IncrementalAlterConfigsRequest {
                        resources: vec![AlterConfigsResource {
                            resource_type: TOPIC,
                            resource_name: name.to_owned().into(),
                            configs: changes.iter().map(change).collect(),
                            ..AlterConfigsResource::default()
                        }],
                        ..IncrementalAlterConfigsRequest::default()
                    }
                })
                .await?;
            let response = answer.read()?;
            let result = response.responses.first().ok_or_else(no_result)?;
            outcome(name, result.error_code, result.error_message.as_deref())
        })
        .await
    }

    /// Gives a topic more partitions: so many altogether.
    ///
    /// # Errors
    /// [`ClientError::UnknownTopic`]; [`ClientError::Kafka`], 37 (INVALID_PARTITIONS) where it has as many or more.
    pub async fn create_partitions(&self, name: &str, count: i32) -> Result<(), ClientError> {
        let timeout_ms = millis(self.config().request_timeout);
        self.retrying(|| async {
            let node = self.controller().await?;
            let answer = self
                .request::<CreatePartitionsRequest>(self.data(node), ANY_VERSION, |_| {
                    CreatePartitionsRequest {
                        topics: vec![CreatePartitionsTopic {
                            name: name.to_owned().into(),
                            count,
                            assignments: None,
                            ..CreatePartitionsTopic::default()
                        }],
                        timeout_ms,
                        ..CreatePartitionsRequest::default()
                    }
                })
                .await?;
            let response = answer.read()?;
            let result = response.results.first().ok_or_else(no_result)?;
            outcome(name, result.error_code, result.error_message.as_deref())
        })
        .await
    }
}

fn no_result() -> ClientError {
    ClientError::Protocol("no result for the topic".to_owned())
}

/// As [`check`]; here a topic's absence is the answer and no reason to try again.
fn outcome(name: &str, code: i16, message: Option<&str>) -> Result<(), ClientError> {
    if ErrorCode(code) == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
        return Err(ClientError::UnknownTopic(name.to_owned()));
    }
    check(code, message)
}
