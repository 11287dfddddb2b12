//! The watch on metadata: tells membership of every change of topics, asks for those that are missing, and tells the
//! application when one goes or comes. A task of the membership shell; it ends with it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use callboard_client::Cluster;
use callboard_protocol::{ErrorCode, Uuid};
use callboard_supervision::Addr;
use metrics::counter;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::MembershipMsg;
use crate::core::membership::{Input, TopicView, Topics};
use crate::core::topic_watch::{TopicNews, TopicWatch};
use crate::event::Event;
use crate::metrics::CONSUMER_TOPICS_MISSED_TOTAL;
use crate::shared::Shared;

/// Runs until nobody is there to be told.
pub(crate) async fn watch_metadata(shared: Arc<Shared>, membership: Addr<MembershipMsg>) {
    let origin = Instant::now();
    let mut cluster = shared.client.watch_cluster();
    let mut topics = TopicWatch::new(
        shared.settings.topics.clone(),
        shared.client.retry_backoff(),
    );
    // The refresh under way.
    let mut refresh = JoinSet::new();
    let mut is_news = true;
    loop {
        if is_news {
            let told = hear(&shared, &mut cluster, &membership, |heard, refused| {
                let mut news = Vec::new();
                topics.heard(origin.elapsed(), heard, refused, &mut news);
                news
            });
            if !told {
                return;
            }
        }
        is_news = false;
        let due = topics.next_deadline();
        let waits = due.is_some() && refresh.is_empty();
        tokio::select! {
            changed = cluster.changed() => match changed {
                Ok(()) => is_news = true,
                Err(_closed) => return,
            },
            Some(_ended) = refresh.join_next() => {}
            () = tokio::time::sleep_until(origin + due.unwrap_or_default()), if waits => {
                if topics.asks(origin.elapsed()) {
                    let client = shared.client.clone();
                    refresh.spawn(async move {
                        if let Err(error) = client.refresh().await {
                            debug!(%error, "cannot ask for topics that are missing");
                        }
                    });
                }
            }
        }
    }
}

type Refused = BTreeMap<Arc<str>, ErrorCode>;

/// Reads the cluster as it is now and passes on what is new. False once membership is gone.
fn hear(
    shared: &Shared,
    cluster: &mut watch::Receiver<Arc<Cluster>>,
    membership: &Addr<MembershipMsg>,
    look: impl FnOnce(&Topics, &Refused) -> Vec<TopicNews>,
) -> bool {
    let cluster = Arc::clone(&cluster.borrow_and_update());
    let heard = views(shared, &cluster);
    for news in look(&heard, &cluster.refused) {
        tell(shared, news);
    }
    let changed = MembershipMsg::Step(Input::MetadataChanged(heard));
    membership.cast(changed).is_ok()
}

/// The topics as the core sees them.
fn views(shared: &Shared, cluster: &Cluster) -> Topics {
    let names = cluster.topics.keys();
    names
        .map(|name| (name.to_string(), view(shared, cluster, name)))
        .collect()
}

/// One of them; without partitions if it is not there.
pub(super) fn view(shared: &Shared, cluster: &Cluster, name: &str) -> TopicView {
    let Some(topic) = cluster.topics.get(name) else {
        return TopicView {
            id: Uuid::ZERO,
            partitions: 0,
            racks: 0,
        };
    };
    TopicView {
        id: topic.id,
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        racks: match shared.client.config().client_rack {
            Some(_) => racks(cluster.racks(name)),
            None => 0,
        },
    }
}

/// The order in which replicas are listed says nothing.
fn racks(mut racks: Vec<Vec<String>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for of_partition in &mut racks {
        of_partition.sort_unstable();
        of_partition.dedup();
    }
    racks.hash(&mut hasher);
    hasher.finish()
}

fn tell(shared: &Shared, news: TopicNews) {
    match news {
        TopicNews::Missing {
            topic,
            was_there,
            code,
        } => {
            let group = shared.group_id.to_string();
            warn!(
                group_id = group,
                topic,
                was_there,
                error = code.name(),
                "a topic is not there"
            );
            counter!(CONSUMER_TOPICS_MISSED_TOTAL, "group" => group).increment(1);
            let error = code.name();
            shared.events.send(Event::TopicMissing {
                topic,
                was_there,
                error,
            });
        }
        TopicNews::Back { topic } => {
            info!(group_id = %shared.group_id, topic, "a topic that was not there has come");
            shared.events.send(Event::TopicBack { topic });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_rack_tells_and_another_order_of_replicas_does_not() {
        let placed = |replicas: &[&[&str]]| {
            let named = |one: &&[&str]| one.iter().map(|&rack| rack.to_owned()).collect();
            racks(replicas.iter().map(named).collect())
        };
        assert_eq!(placed(&[&["a", "b"]]), placed(&[&["b", "a", "b"]]));
        assert_ne!(placed(&[&["a", "b"]]), placed(&[&["a", "c"]]));
        assert_ne!(placed(&[&["a"], &["b"]]), placed(&[&["a", "b"]]));
    }
}
