//! How far the group is behind, for assignors that plan by it ([`Need::Lag`](callboard_assignor::Need::Lag)): committed and
//! end offsets, asked before the assignor runs and as long as the plan has time for it. What is not known by then is not
//! known; a plan comes out without it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callboard_client::{OffsetSpec, TopicPartition};
use metrics::counter;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::core::membership::Topics;
use crate::metrics::ASSIGNOR_LAG_UNKNOWN_TOTAL;
use crate::shared::Shared;

/// The lag of each partition of these topics, by topic and partition number.
pub(super) async fn of_topics(
    shared: &Shared,
    topics: &Topics,
    deadline: Instant,
) -> BTreeMap<String, Vec<Option<u64>>> {
    let partitions: BTreeSet<TopicPartition> = topics
        .iter()
        .flat_map(|(topic, view)| {
            let topic: Arc<str> = topic.as_str().into();
            (0..view.partitions).map(move |one| TopicPartition::new(Arc::clone(&topic), one))
        })
        .collect();
    let (committed, ends) = tokio::join!(
        timeout_at(deadline, committed(shared, &partitions)),
        timeout_at(deadline, ends(shared, &partitions)),
    );
    let late = |_| Err("it took too long".to_owned());
    let told = |what, found: Result<Offsets, String>| {
        found.unwrap_or_else(|error| {
            warn!(group_id = %shared.group_id, what, error, "no lag for the assignor");
            Offsets::new()
        })
    };
    let committed = told("committed offsets", committed.unwrap_or_else(late));
    let ends = told("end offsets", ends.unwrap_or_else(late));
    let mut unknown = 0;
    let mut lags = BTreeMap::new();
    for (topic, view) in topics {
        let name: Arc<str> = topic.as_str().into();
        let lag = (0..view.partitions).map(|number| {
            let partition = TopicPartition::new(Arc::clone(&name), number);
            let lag = behind(*committed.get(&partition)?, *ends.get(&partition)?);
            Some(lag)
        });
        let lag: Vec<_> = lag.collect();
        unknown += lag.iter().filter(|one| one.is_none()).count();
        lags.insert(topic.clone(), lag);
    }
    if unknown > 0 {
        let group = shared.group_id.to_string();
        counter!(ASSIGNOR_LAG_UNKNOWN_TOTAL, "group" => group).increment(unknown as u64);
    }
    lags
}

type Offsets = BTreeMap<TopicPartition, i64>;

/// A log may have been cut below what was committed.
fn behind(committed: i64, end: i64) -> u64 {
    u64::try_from(end.saturating_sub(committed)).unwrap_or(0)
}

/// What the group has committed; nothing of partitions that it has committed nothing of. Not on the connection of
/// heartbeats, for it may be a long answer.
async fn committed(
    shared: &Shared,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<Offsets, String> {
    let coordinator = shared.identity().coordinator;
    let node = coordinator.ok_or("the coordinator is not known")?;
    let asked = shared
        .client
        .committed_at(shared.client.data(node), &shared.group_id, partitions)
        .await;
    let found = asked.map_err(|error| error.to_string())?.into_iter();
    let known = found.filter_map(|(partition, found)| Some((partition, found.ok()??.offset)));
    Ok(known.collect())
}

async fn ends(shared: &Shared, partitions: &BTreeSet<TopicPartition>) -> Result<Offsets, String> {
    let asked = shared
        .client
        .list_offsets(partitions, OffsetSpec::Latest)
        .await;
    let found = asked.map_err(|error| error.to_string())?.found;
    let ends = found
        .into_iter()
        .map(|(partition, end)| (partition, end.offset));
    Ok(ends.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_cut_has_no_negative_lag() {
        assert_eq!(behind(3, 10), 7);
        assert_eq!(behind(10, 3), 0);
        assert_eq!(behind(i64::MIN, i64::MAX), i64::MAX.unsigned_abs());
    }
}
