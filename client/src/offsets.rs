//! Offsets of partitions, asked of their leaders: ListOffsets, all leaders side by side. Methods of [`Client`]; what is
//! found does not wait for what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callboard_protocol::ErrorCode;
use callboard_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::TopicPartition;
use crate::admin::millis;
use crate::client::{ANY_VERSION, Client};
use crate::core::cluster::Cluster;
use crate::error::ClientError;

/// How often a partition without an offset is asked for again by [`Client::list_offsets`]: long enough to learn of a new
/// leader, about 2.5 s at the defaults of `retry.backoff.ms`.
const TRIES_AGAIN: u32 = 5;

/// Partitions and their leader epochs by topic.
type LeaderEpochs = BTreeMap<Arc<str>, Vec<(i32, i32)>>;

/// What each of some partitions came to.
type Asked = Vec<(TopicPartition, Result<FoundOffset, ClientError>)>;

/// Which offset of a partition to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start offset.
    Earliest,
    /// The offset after the last record.
    Latest,
    /// The first record at or after this time, milliseconds since 1970.
    AtTime(i64),
}

impl OffsetSpec {
    fn timestamp(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest => -1,
            Self::AtTime(millis) => millis,
        }
    }
}

/// An offset and the leader epoch of the record there, -1 if unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; -1 if there is none (no record at or after the time).
    pub offset: i64,
    /// The leader epoch.
    pub leader_epoch: i32,
}

/// What [`Client::list_offsets`] came to: every partition that was asked for is in one of the two.
#[derive(Clone, Debug, Default)]
pub struct ListedOffsets {
    /// The offsets there are.
    pub found: BTreeMap<TopicPartition, FoundOffset>,
    /// The other partitions, each with why: one without a leader, or without a topic, one whose leader cannot be reached
    /// or refuses. Whether it may be found later, the error [says](ClientError::is_retriable).
    pub missing: BTreeMap<TopicPartition, ClientError>,
}

/// How long a lookup goes on for partitions that may be found later.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// A few times.
    Tries,
    /// Until `default.api.timeout.ms` is over.
    ApiTimeout,
}

impl Client {
    /// Offsets of partitions, asked of their leaders. What may be found later is asked for again a few times, and named
    /// with the last reason then: nobody waits for a partition without a leader. One request takes at most
    /// `request.timeout.ms`.
    ///
    /// # Errors
    /// [`ClientError`] when no broker could be asked where the partitions are.
    pub async fn list_offsets(
        &self,
        partitions: &BTreeSet<TopicPartition>,
        spec: OffsetSpec,
    ) -> Result<ListedOffsets, ClientError> {
        self.look_up(partitions, spec, Patience::Tries).await
    }

    /// The same for who needs all of them: asks until each is found, fails for good, or `default.api.timeout.ms` is over.
    ///
    /// # Errors
    /// As [`list_offsets`](Self::list_offsets); then the error of the first partition that is not found.
    pub async fn list_all_offsets(
        &self,
        partitions: &BTreeSet<TopicPartition>,
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, FoundOffset>, ClientError> {
        let listed = self.look_up(partitions, spec, Patience::ApiTimeout).await?;
        match listed.missing.into_iter().next() {
            None => Ok(listed.found),
            Some((partition, error)) => Err(error.about(&partition)),
        }
    }

    async fn look_up(
        &self,
        partitions: &BTreeSet<TopicPartition>,
        spec: OffsetSpec,
        patience: Patience,
    ) -> Result<ListedOffsets, ClientError> {
        let deadline = Instant::now() + self.config().default_api_timeout;
        self.track(partitions.iter().map(|one| one.topic.to_string()))
            .await?;
        let mut listed = ListedOffsets::default();
        let mut open = partitions.clone();
        let mut backoff = self.retry_backoff();
        loop {
            for (partition, answer) in self.ask_leaders(&open, spec).await {
                match answer {
                    Ok(offset) => {
                        open.remove(&partition);
                        listed.missing.remove(&partition);
                        listed.found.insert(partition, offset);
                    }
                    Err(error) => {
                        if !error.is_retriable() {
                            open.remove(&partition);
                        }
                        listed.missing.insert(partition, error);
                    }
                }
            }
            let wait = backoff.next_wait();
            let tired = patience == Patience::Tries && backoff.attempts() > TRIES_AGAIN;
            if open.is_empty() || tired || Instant::now() + wait >= deadline {
                return Ok(listed);
            }
            tokio::time::sleep(wait).await;
            // Its failure shows again in the next round.
            let _ = self.refresh().await;
        }
    }

    /// Asks each leader once, all side by side: one that is slow or down holds up its own partitions and no others.
    async fn ask_leaders(&self, partitions: &BTreeSet<TopicPartition>, spec: OffsetSpec) -> Asked {
        let cluster = self.cluster();
        let mut asked = Asked::new();
        let mut by_leader: BTreeMap<i32, LeaderEpochs> = BTreeMap::new();
        for one in partitions {
            match cluster.leader(&one.topic, one.partition) {
                Some((leader, epoch)) => {
                    let topics = by_leader.entry(leader).or_default();
                    let partitions = topics.entry(Arc::clone(&one.topic)).or_default();
                    partitions.push((one.partition, epoch));
                }
                None => asked.push((one.clone(), Err(leaderless(&cluster, one)))),
            }
        }
        let mut requests = JoinSet::new();
        for (leader, topics) in by_leader {
            let client = self.clone();
            requests.spawn(async move { client.ask_leader(leader, &topics, spec).await });
        }
        // Each task gives an answer; one that panics says so itself.
        asked.extend(requests.join_all().await.into_iter().flatten());
        asked
    }

    async fn ask_leader(&self, leader: i32, topics: &LeaderEpochs, spec: OffsetSpec) -> Asked {
        let mut answer = self.ask_offsets(leader, topics, spec).await;
        let mut asked = Asked::new();
        for (topic, partitions) in topics {
            for (number, _epoch) in partitions {
                let partition = TopicPartition::new(Arc::clone(topic), *number);
                let offset = match &mut answer {
                    Ok(answered) => answered.remove(&partition).unwrap_or_else(|| {
                        let left_out = format!("{partition} is not in the answer");
                        Err(ClientError::Protocol(left_out))
                    }),
                    Err(error) => Err(error.clone()),
                };
                asked.push((partition, offset));
            }
        }
        asked
    }

    async fn ask_offsets(
        &self,
        leader: i32,
        topics: &LeaderEpochs,
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Result<FoundOffset, ClientError>>, ClientError> {
        let partition = |(partition, epoch): &(i32, i32)| ListOffsetsPartition {
            partition_index: *partition,
            current_leader_epoch: *epoch,
            timestamp: spec.timestamp(),
            ..ListOffsetsPartition::default()
        };
        let topic = |(topic, partitions): (&Arc<str>, &Vec<(i32, i32)>)| ListOffsetsTopic {
            name: topic.to_string().into(),
            partitions: partitions.iter().map(partition).collect(),
            ..ListOffsetsTopic::default()
        };
        let answer = self
            .request::<ListOffsetsRequest>(self.data(leader), ANY_VERSION, |version| {
                ListOffsetsRequest {
                    replica_id: -1,
                    topics: topics.iter().map(topic).collect(),
                    timeout_ms: if version >= 10 {
                        millis(self.config().request_timeout)
                    } else {
                        0
                    },
                    ..ListOffsetsRequest::default()
                }
            })
            .await?;
        let response = answer.read()?;
        let mut answered = BTreeMap::new();
        for topic in &response.topics {
            let name: Arc<str> = Arc::from(&*topic.name);
            for partition in &topic.partitions {
                let offset = match ErrorCode(partition.error_code) {
                    ErrorCode::NONE => Ok(FoundOffset {
                        offset: partition.offset,
                        leader_epoch: partition.leader_epoch,
                    }),
                    code => Err(ClientError::kafka(code)),
                };
                let partition = TopicPartition::new(Arc::clone(&name), partition.partition_index);
                answered.insert(partition, offset);
            }
        }
        Ok(answered)
    }
}

/// Why a partition has no leader to ask.
fn leaderless(cluster: &Cluster, one: &TopicPartition) -> ClientError {
    match cluster.partition_count(&one.topic) {
        Some(count) if (0..count).contains(&one.partition) => {
            ClientError::kafka(ErrorCode::LEADER_NOT_AVAILABLE)
        }
        // Its topic may be about to have more of them.
        Some(_) => ClientError::kafka(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        None => match cluster.refused.get(&one.topic) {
            Some(code) if *code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                ClientError::kafka(*code)
            }
            _ => ClientError::UnknownTopic(one.topic.to_string()),
        },
    }
}
