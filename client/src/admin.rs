//! Topics, for command lines and tests: create, delete, list, describe; and what a group has committed. Methods of [`Client`]; each retries what may be retried until `default.api.timeout.ms`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use callboard_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use callboard_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use callboard_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use callboard_protocol::{ErrorCode, Uuid};
use tokio::time::Instant;

use crate::TopicPartition;
use crate::client::{ANY_VERSION, Client, Target};
use crate::core::backoff::Backoff;
use crate::core::cluster::TopicMetadata;
use crate::error::ClientError;
use crate::offsets::FoundOffset;

/// OffsetFetch and OffsetCommit v10 name topics by id only; up to 9 they name them.
pub const OFFSETS_BY_NAME_VERSION: i16 = 9;

/// A topic to create.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 takes the broker's default.
    pub partitions: i32,
    /// How many replicas; -1 takes the broker's default.
    pub replication_factor: i16,
    /// Topic configuration by Kafka's keys.
    pub configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic of so many partitions, all else by the broker's defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self {
            name: name.into(),
            partitions,
            replication_factor: -1,
            configs: Vec::new(),
        }
    }
}

/// A topic as [`Client::describe_topic`] and [`Client::list_topics`] tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; all zero from brokers that do not say.
    pub id: Uuid,
    /// Whether Kafka uses it itself.
    pub internal: bool,
    /// Leader and leader epoch of each partition.
    pub partitions: Vec<(Option<i32>, i32)>,
}

impl TopicDescription {
    fn new(name: Arc<str>, topic: &TopicMetadata) -> Self {
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| (partition.leader, partition.leader_epoch))
            .collect();
        Self {
            name,
            id: topic.id,
            internal: topic.internal,
            partitions,
        }
    }
}

/// What a group has committed of a partition, if anything, or why its coordinator does not say.
pub type CommittedOffset = Result<Option<FoundOffset>, ErrorCode>;

impl Client {
    /// Creates a topic and waits until its leaders are known.
    ///
    /// # Errors
    /// [`ClientError::Kafka`], 36 (TOPIC_ALREADY_EXISTS) among others.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<(), ClientError> {
        let timeout_ms = millis(self.config().request_timeout);
        self.retrying(|| async {
            let node = self.controller().await?;
            let answer = self
                .request::<CreateTopicsRequest>(self.data(node), ANY_VERSION, |_| {
                    CreateTopicsRequest {
                        topics: vec![CreatableTopic {
                            name: topic.name.clone().into(),
                            num_partitions: topic.partitions,
                            replication_factor: topic.replication_factor,
                            configs: topic
                                .configs
                                .iter()
                                .map(|(name, value)| CreatableTopicConfig {
                                    name: name.clone().into(),
                                    value: Some(value.clone().into()),
                                    ..CreatableTopicConfig::default()
                                })
                                .collect(),
                            ..CreatableTopic::default()
                        }],
                        timeout_ms,
                        ..CreateTopicsRequest::default()
                    }
                })
                .await?;
            let response = answer.read()?;
            match response.topics.first() {
                Some(result) => check(result.error_code, result.error_message.as_deref()),
                None => Err(ClientError::Protocol("no result for the topic".to_owned())),
            }
        })
        .await?;
        self.track([topic.name.clone()]).await?;
        self.retrying(|| async {
            let cluster = self.refresh().await?;
            let settled = cluster
                .topics
                .get(topic.name.as_str())
                .is_some_and(|found| found.partitions.iter().all(|one| one.leader.is_some()));
            if settled {
                Ok(())
            } else {
                Err(ClientError::kafka(ErrorCode::LEADER_NOT_AVAILABLE))
            }
        })
        .await
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// [`ClientError::UnknownTopic`]; [`ClientError::Kafka`].
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let timeout_ms = millis(self.config().request_timeout);
        self.retrying(|| async {
            let node = self.controller().await?;
            let answer = self
                .request::<DeleteTopicsRequest>(self.data(node), ANY_VERSION, |version| {
                    let mut request = DeleteTopicsRequest {
                        timeout_ms,
                        ..DeleteTopicsRequest::default()
                    };
                    if version >= 6 {
                        request.topics = vec![DeleteTopicState {
                            name: Some(name.to_owned().into()),
                            ..DeleteTopicState::default()
                        }];
                    } else {
                        request.topic_names = vec![name.to_owned().into()];
                    }
                    request
                })
                .await?;
            let response = answer.read()?;
            match response.responses.first() {
                // Retriable elsewhere, where a topic may be about to appear. Here its absence is the answer.
                Some(result)
                    if ErrorCode(result.error_code) == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION =>
                {
                    Err(ClientError::UnknownTopic(name.to_owned()))
                }
                Some(result) => check(result.error_code, result.error_message.as_deref()),
                None => Err(ClientError::Protocol("no result for the topic".to_owned())),
            }
        })
        .await?;
        self.forget(&BTreeSet::from([name.to_owned()]));
        Ok(())
    }

    /// Every topic of the cluster, by name.
    ///
    /// # Errors
    /// [`ClientError`] when no broker could be asked.
    pub async fn list_topics(&self) -> Result<Vec<TopicDescription>, ClientError> {
        let cluster = self.retrying(|| self.all_topics()).await?;
        Ok(cluster
            .topics
            .iter()
            .map(|(name, topic)| TopicDescription::new(Arc::clone(name), topic))
            .collect())
    }

    /// One topic.
    ///
    /// # Errors
    /// [`ClientError::UnknownTopic`]; [`ClientError::Kafka`] with the broker's code for it.
    pub async fn describe_topic(&self, name: &str) -> Result<TopicDescription, ClientError> {
        self.track([name.to_owned()]).await?;
        self.retrying(|| async {
            let cluster = self.refresh().await?;
            match cluster.topics.get_key_value(name) {
                Some((name, topic)) => Ok(TopicDescription::new(Arc::clone(name), topic)),
                None => match cluster.refused.get(name) {
                    Some(code) if *code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                        Err(ClientError::kafka(*code))
                    }
                    _ => Err(ClientError::UnknownTopic(name.to_owned())),
                },
            }
        })
        .await
    }

    /// What `group` has committed of these partitions; those without a committed offset are left out.
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the coordinator's code that retries did not cure.
    pub async fn committed(
        &self,
        group: &str,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, FoundOffset>, ClientError> {
        self.retrying(|| async {
            let node = self.find_coordinator(group).await?;
            let mut found = BTreeMap::new();
            for (partition, offset) in self
                .committed_at(self.coordination(node), group, partitions)
                .await?
            {
                if let Some(offset) = offset.map_err(ClientError::kafka)? {
                    found.insert(partition, offset);
                }
            }
            Ok(found)
        })
        .await
    }

    /// What `group` has committed, asked once of this coordinator, on whichever connection: of each partition that it answers for the offset,
    /// none, or why it does not say.
    ///
    /// # Errors
    /// [`ClientError::Kafka`] with the coordinator's code for the group.
    pub async fn committed_at(
        &self,
        coordinator: Target,
        group: &str,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, ClientError> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for one in partitions {
            topics.entry(&one.topic).or_default().push(one.partition);
        }
        let answer = self
            .request::<OffsetFetchRequest>(coordinator, OFFSETS_BY_NAME_VERSION, |version| {
                offset_fetch(version, group, &topics)
            })
            .await?;
        let response = answer.read()?;
        let mut found = BTreeMap::new();
        let mut take = |topic: &str, partition: i32, code: i16, offset: i64, leader_epoch: i32| {
            let committed = match ErrorCode(code) {
                ErrorCode::NONE if offset >= 0 => Ok(Some(FoundOffset {
                    offset,
                    leader_epoch,
                })),
                ErrorCode::NONE => Ok(None),
                code => Err(code),
            };
            found.insert(TopicPartition::new(topic, partition), committed);
        };
        check(response.error_code, None)?;
        for topic in &response.topics {
            for one in &topic.partitions {
                take(
                    &topic.name,
                    one.partition_index,
                    one.error_code,
                    one.committed_offset,
                    one.committed_leader_epoch,
                );
            }
        }
        for group in &response.groups {
            check(group.error_code, None)?;
            for topic in &group.topics {
                for one in &topic.partitions {
                    take(
                        &topic.name,
                        one.partition_index,
                        one.error_code,
                        one.committed_offset,
                        one.committed_leader_epoch,
                    );
                }
            }
        }
        Ok(found)
    }

    /// The backoff of `retry.backoff.ms`.
    #[must_use]
    pub fn retry_backoff(&self) -> Backoff {
        Backoff::new(
            self.config().retry_backoff,
            self.config().retry_backoff_max,
            rand::random(),
        )
    }

    /// Tries until it succeeds, fails for good, or `default.api.timeout.ms` is over.
    pub(crate) async fn retrying<T, F, Fut>(&self, attempt: F) -> Result<T, ClientError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let deadline = Instant::now() + self.config().default_api_timeout;
        let mut backoff = self.retry_backoff();
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) if error.is_retriable() => error,
                Err(error) => return Err(error),
            };
            let wait = backoff.next_wait();
            if Instant::now() + wait >= deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
        }
    }

    pub(crate) async fn controller(&self) -> Result<i32, ClientError> {
        let cluster = match self.cluster() {
            known if known.controller.is_some() => known,
            _ => self.refresh().await?,
        };
        cluster
            .controller
            .or_else(|| cluster.brokers.keys().next().copied())
            .ok_or(ClientError::kafka(ErrorCode::NOT_CONTROLLER))
    }
}

fn offset_fetch(
    version: i16,
    group: &str,
    topics: &BTreeMap<&str, Vec<i32>>,
) -> OffsetFetchRequest<'static> {
    let mut request = OffsetFetchRequest {
        // A transaction's pending offsets are waited for (UNSTABLE_OFFSET_COMMIT), not read behind.
        require_stable: version >= 7,
        ..OffsetFetchRequest::default()
    };
    if version >= 8 {
        request.groups = vec![OffsetFetchRequestGroup {
            group_id: group.to_owned().into(),
            topics: Some(
                topics
                    .iter()
                    .map(|(topic, partitions)| OffsetFetchRequestTopics {
                        name: (*topic).to_owned().into(),
                        partition_indexes: partitions.clone(),
                        ..OffsetFetchRequestTopics::default()
                    })
                    .collect(),
            ),
            ..OffsetFetchRequestGroup::default()
        }];
    } else {
        request.group_id = group.to_owned().into();
        request.topics = Some(
            topics
                .iter()
                .map(|(topic, partitions)| OffsetFetchRequestTopic {
                    name: (*topic).to_owned().into(),
                    partition_indexes: partitions.clone(),
                    ..OffsetFetchRequestTopic::default()
                })
                .collect(),
        );
    }
    request
}

pub(crate) fn check(code: i16, message: Option<&str>) -> Result<(), ClientError> {
    if code == ErrorCode::NONE.0 {
        return Ok(());
    }
    Err(ClientError::Kafka {
        code: ErrorCode(code),
        message: message.map(ToOwned::to_owned),
    })
}

pub(crate) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
