//! What is known of the cluster: brokers, topics, leaders. Owned by the client, replaced as a whole by every metadata
//! answer that changes it, so a reader holds one consistent picture.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callboard_protocol::{ErrorCode, Uuid};

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// The leader's node, if there is one.
    pub leader: Option<i32>,
    /// The leader's epoch, -1 if the broker does not say.
    pub leader_epoch: i32,
    /// The nodes that have a replica of it.
    pub replicas: Vec<i32>,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its id; all zero from brokers that do not say (Metadata before v10).
    pub id: Uuid,
    /// Whether Kafka uses it itself.
    pub internal: bool,
    /// Its partitions by number, without gaps.
    pub partitions: Vec<PartitionMetadata>,
}

/// The cluster as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's id, if the broker says.
    pub id: Option<String>,
    /// The broker that takes topic changes.
    pub controller: Option<i32>,
    /// Brokers by node.
    pub brokers: BTreeMap<i32, BrokerAddress>,
    /// Topics that exist.
    pub topics: BTreeMap<Arc<str>, TopicMetadata>,
    /// Topics that were asked for and had an error.
    pub refused: BTreeMap<Arc<str>, ErrorCode>,
}

/// A metadata answer.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// As in [`Cluster`].
    pub id: Option<String>,
    /// As in [`Cluster`].
    pub controller: Option<i32>,
    /// As in [`Cluster`].
    pub brokers: BTreeMap<i32, BrokerAddress>,
    /// Every topic of the answer.
    pub topics: Vec<(Arc<str>, Result<TopicMetadata, ErrorCode>)>,
    /// Whether all topics were asked for: what the answer leaves out does not exist.
    pub complete: bool,
}

impl Cluster {
    /// The leader of a partition, if it is known and alive.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<(i32, i32)> {
        let partition = self
            .topics
            .get(topic)?
            .partitions
            .get(usize::try_from(partition).ok()?)?;
        Some((partition.leader?, partition.leader_epoch))
    }

    /// How many partitions a topic has, if it is known.
    #[must_use]
    pub fn partition_count(&self, topic: &str) -> Option<i32> {
        let topic = self.topics.get(topic)?;
        i32::try_from(topic.partitions.len()).ok()
    }

    /// The racks of the replicas of each of a topic's partitions, as far as brokers say theirs.
    #[must_use]
    pub fn racks(&self, topic: &str) -> Vec<Vec<String>> {
        let rack_of = |node| self.brokers.get(node)?.rack.clone();
        let partitions = self.topics.get(topic).map(|topic| &topic.partitions);
        partitions
            .into_iter()
            .flatten()
            .map(|partition| partition.replicas.iter().filter_map(rack_of).collect())
            .collect()
    }

    /// A topic's name by its id.
    #[must_use]
    pub fn topic_name(&self, id: Uuid) -> Option<&Arc<str>> {
        self.topics
            .iter()
            .find(|(_, topic)| topic.id == id)
            .map(|(name, _)| name)
    }

    /// The cluster after an answer. A leader of an older epoch than the one known is not believed, unless the topic is
    /// another one now (its id changed): brokers hear of changes at different times.
    #[must_use]
    pub fn updated(&self, update: Update) -> Self {
        let mut topics = if update.complete {
            BTreeMap::new()
        } else {
            self.topics.clone()
        };
        let mut refused = if update.complete {
            BTreeMap::new()
        } else {
            self.refused.clone()
        };
        for (name, answer) in update.topics {
            match answer {
                Ok(mut topic) => {
                    if let Some(known) = self.topics.get(&name) {
                        keep_newer_leaders(known, &mut topic);
                    }
                    refused.remove(&name);
                    topics.insert(name, topic);
                }
                Err(code) => {
                    if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                        topics.remove(&name);
                    }
                    refused.insert(name, code);
                }
            }
        }
        Self {
            id: update.id.or_else(|| self.id.clone()),
            controller: update.controller,
            brokers: update.brokers,
            topics,
            refused,
        }
    }

    /// The cluster without some of its topics: a change to them is under way.
    #[must_use]
    pub fn without(&self, topics: &BTreeSet<String>) -> Self {
        let mut cluster = self.clone();
        cluster.topics.retain(|name, _| !topics.contains(&**name));
        cluster.refused.retain(|name, _| !topics.contains(&**name));
        cluster
    }
}

fn keep_newer_leaders(known: &TopicMetadata, answer: &mut TopicMetadata) {
    if known.id != answer.id {
        return;
    }
    for (old, new) in known.partitions.iter().zip(&mut answer.partitions) {
        if new.leader_epoch >= 0 && new.leader_epoch < old.leader_epoch {
            new.clone_from(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(id: u8, leaders: &[(i32, i32)]) -> TopicMetadata {
        TopicMetadata {
            id: Uuid([id; 16]),
            internal: false,
            partitions: leaders
                .iter()
                .map(|(leader, leader_epoch)| PartitionMetadata {
                    leader: Some(*leader),
                    leader_epoch: *leader_epoch,
                    replicas: vec![*leader],
                })
                .collect(),
        }
    }

    fn answer(topics: Vec<(&str, Result<TopicMetadata, ErrorCode>)>) -> Update {
        Update {
            topics: topics
                .into_iter()
                .map(|(name, answer)| (Arc::from(name), answer))
                .collect(),
            ..Update::default()
        }
    }

    #[test]
    fn an_older_leader_epoch_is_not_believed() {
        let cluster = Cluster::default().updated(answer(vec![("a", Ok(topic(1, &[(1, 5)])))]));
        let cluster = cluster.updated(answer(vec![("a", Ok(topic(1, &[(2, 4)])))]));
        assert_eq!(cluster.leader("a", 0), Some((1, 5)));
        let cluster = cluster.updated(answer(vec![("a", Ok(topic(1, &[(2, 5)])))]));
        assert_eq!(cluster.leader("a", 0), Some((2, 5)));
    }

    #[test]
    fn racks_are_those_of_the_brokers_with_a_replica() {
        let mut update = answer(vec![("a", Ok(topic(1, &[(1, 5), (2, 5)])))]);
        let broker = |rack: Option<&str>| BrokerAddress {
            host: "localhost".to_owned(),
            port: 9092,
            rack: rack.map(str::to_owned),
        };
        update.brokers = BTreeMap::from([(1, broker(Some("east"))), (2, broker(None))]);
        let cluster = Cluster::default().updated(update);
        assert_eq!(cluster.racks("a"), [vec!["east".to_owned()], vec![]]);
        assert!(cluster.racks("b").is_empty());
    }

    #[test]
    fn a_topic_made_anew_begins_its_epochs_anew() {
        let cluster = Cluster::default().updated(answer(vec![("a", Ok(topic(1, &[(1, 5)])))]));
        let cluster = cluster.updated(answer(vec![("a", Ok(topic(2, &[(2, 0)])))]));
        assert_eq!(cluster.leader("a", 0), Some((2, 0)));
    }

    #[test]
    fn a_topic_that_does_not_exist_is_forgotten_and_a_leaderless_one_kept() {
        let cluster = Cluster::default().updated(answer(vec![
            ("a", Ok(topic(1, &[(1, 5)]))),
            ("b", Ok(topic(2, &[(1, 5)]))),
        ]));
        let cluster = cluster.updated(answer(vec![
            ("a", Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
            ("b", Err(ErrorCode::LEADER_NOT_AVAILABLE)),
        ]));
        assert_eq!(cluster.partition_count("a"), None);
        assert_eq!(cluster.partition_count("b"), Some(1));
        assert_eq!(cluster.refused.len(), 2);
    }
}
