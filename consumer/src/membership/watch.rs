//! The watch on metadata: tells membership of every change of topics, asks for those that are missing, and tells the
//! application when one goes or comes. A task of the membership shell; it ends with it.

use std::sync::Arc;

use callboard_client::Cluster;
use callboard_client::core::cluster::TopicMetadata;
use callboard_protocol::ErrorCode;
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
pub(super) async fn watch_metadata(shared: Arc<Shared>, membership: Addr<MembershipMsg>) {
    let origin = Instant::now();
    let mut cluster = shared.client.watch_cluster();
    let mut topics = TopicWatch::new(
        shared.settings.topics.clone(),
        shared.client.retry_backoff(),
    );
    // The refresh under way.
    let mut refresh = JoinSet::new();
    loop {
        let told = hear(&shared, &mut cluster, &membership, |heard, refused| {
            let mut news = Vec::new();
            topics.heard(origin.elapsed(), heard, refused, &mut news);
            news
        });
        if !told {
            return;
        }
        let due = topics.next_deadline();
        let waits = due.is_some() && refresh.is_empty();
        tokio::select! {
            changed = cluster.changed() => if changed.is_err() {
                return;
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

type Refused = std::collections::BTreeMap<Arc<str>, ErrorCode>;

/// Reads the cluster as it is now and passes on what is new. False once membership is gone.
fn hear(
    shared: &Shared,
    cluster: &mut watch::Receiver<Arc<Cluster>>,
    membership: &Addr<MembershipMsg>,
    look: impl FnOnce(&Topics, &Refused) -> Vec<TopicNews>,
) -> bool {
    let cluster = Arc::clone(&cluster.borrow_and_update());
    let heard = views(&cluster);
    for news in look(&heard, &cluster.refused) {
        tell(shared, news);
    }
    let changed = MembershipMsg::Step(Input::MetadataChanged(heard));
    membership.cast(changed).is_ok()
}

fn views(cluster: &Cluster) -> Topics {
    let view = |(name, topic): (&Arc<str>, &TopicMetadata)| {
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let id = topic.id;
        (name.to_string(), TopicView { id, partitions })
    };
    cluster.topics.iter().map(view).collect()
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
