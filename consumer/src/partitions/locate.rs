//! Where an assigned partition begins: at the group's committed offset, or where the reset policy says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callboard_client::{ClientError, FoundOffset, OffsetReset, OffsetSpec, TopicPartition};
use callboard_protocol::ErrorCode;
use futures_util::future::join_all;
use tracing::debug;

use super::PartitionsMsg;
use crate::core::membership::Refusal;
use crate::membership::MembershipMsg;
use crate::shared::Shared;

/// Where a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) offset: i64,
    /// What the group has committed.
    pub(crate) committed: Option<i64>,
    /// Set where the reset policy chose: the offset that would not do, -1 if there was none.
    pub(crate) reset_from: Option<i64>,
}

/// Looks up where `partitions` begin, as long as it takes, and tells the supervisor as it finds out. Ends with it.
pub(super) async fn locate(
    shared: Arc<Shared>,
    generation: i32,
    partitions: BTreeSet<TopicPartition>,
) {
    let tell = |found: Vec<Located>| {
        let located = PartitionsMsg::Located { generation, found };
        shared.slots.partitions.cast(located);
    };
    let committed = match committed(&shared, &partitions).await {
        Ok(committed) => committed,
        Err(reason) => {
            let refused = |partition| (partition, Err(reason.clone()));
            tell(partitions.into_iter().map(refused).collect());
            return;
        }
    };
    let start = |(partition, at): (&TopicPartition, &FoundOffset)| {
        let start = Start {
            offset: at.offset,
            committed: Some(at.offset),
            reset_from: None,
        };
        (partition.clone(), Ok(start))
    };
    tell(committed.iter().map(start).collect());
    // Topic by topic: one that is just being made, or unmade, holds up no other.
    let mut without: BTreeMap<Arc<str>, BTreeSet<TopicPartition>> = BTreeMap::new();
    for partition in partitions {
        if !committed.contains_key(&partition) {
            let topic = Arc::clone(&partition.topic);
            without.entry(topic).or_default().insert(partition);
        }
    }
    let lookups = without
        .into_values()
        .map(|partitions| by_policy(&shared, partitions, &tell));
    join_all(lookups).await;
}

/// Where a partition begins, or why it cannot be known.
type Located = (TopicPartition, Result<Start, String>);

type Committed = BTreeMap<TopicPartition, FoundOffset>;

/// OffsetFetch until the coordinator answers. An error is for good.
async fn committed(
    shared: &Shared,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<Committed, String> {
    let mut backoff = shared.client.retry_backoff();
    loop {
        let identity = shared.identity();
        if let Some(node) = identity.coordinator {
            let asked = shared
                .client
                .committed_at(node, &shared.group_id, partitions)
                .await;
            let error = match asked {
                Ok(committed) => return Ok(committed),
                Err(error) => error,
            };
            debug!(%error, "cannot fetch committed offsets");
            let refusal = match error.code() {
                Some(
                    code @ (ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE),
                ) => Some(Refusal::Code(code)),
                None if error.is_retriable() => Some(Refusal::Disconnected),
                Some(
                    ErrorCode::COORDINATOR_LOAD_IN_PROGRESS | ErrorCode::UNSTABLE_OFFSET_COMMIT,
                ) => None,
                Some(code) if code.is_retriable() => None,
                _ => return Err(format!("its committed offset cannot be read: {error}")),
            };
            if let Some(code) = refusal {
                shared.slots.membership.cast(MembershipMsg::CommitRefused {
                    request: "OffsetFetch",
                    generation: identity.generation.id,
                    code,
                });
            }
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// Tells of each partition where the reset policy has it begin, as soon as that is known.
async fn by_policy(
    shared: &Shared,
    mut partitions: BTreeSet<TopicPartition>,
    mut tell: impl FnMut(Vec<Located>),
) {
    let Some(spec) = spec(shared) else {
        let none = "it has no committed offset and auto.offset.reset=none";
        let refused = |partition| (partition, Err(none.to_owned()));
        tell(partitions.into_iter().map(refused).collect());
        return;
    };
    let mut backoff = shared.client.retry_backoff();
    while !partitions.is_empty() {
        match shared.client.list_offsets(&partitions, spec).await {
            Ok(listed) => {
                let found = listed.found.into_iter().map(|(partition, found)| {
                    let start = Start {
                        offset: found.offset.max(0),
                        committed: None,
                        reset_from: Some(-1),
                    };
                    (partition, Ok(start))
                });
                let refused = listed
                    .missing
                    .into_iter()
                    .filter(|(_, error)| is_for_good(error))
                    .map(|(partition, error)| (partition, Err(not_found(&error))));
                let located: Vec<Located> = found.chain(refused).collect();
                for (partition, _) in &located {
                    partitions.remove(partition);
                }
                tell(located);
            }
            Err(error) if is_for_good(&error) => {
                let refused = |partition| (partition, Err(not_found(&error)));
                tell(partitions.into_iter().map(refused).collect());
                return;
            }
            Err(error) => debug!(%error, "cannot look up offsets"),
        }
        if !partitions.is_empty() {
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}

fn not_found(error: &ClientError) -> String {
    format!("its first offset cannot be looked up: {error}")
}

/// Where to go on when the log has no record at the position.
pub(super) async fn reset_offset(
    shared: &Shared,
    partition: &TopicPartition,
) -> Result<i64, String> {
    let mut located = Vec::new();
    let only = BTreeSet::from([partition.clone()]);
    by_policy(shared, only, |found| located.extend(found)).await;
    match located.pop() {
        Some((_, Ok(start))) => Ok(start.offset),
        Some((_, Err(_))) | None => {
            Err("its position is not in the log and auto.offset.reset=none".to_owned())
        }
    }
}

fn spec(shared: &Shared) -> Option<OffsetSpec> {
    match shared.client.config().auto_offset_reset {
        OffsetReset::Earliest => Some(OffsetSpec::Earliest),
        OffsetReset::Latest => Some(OffsetSpec::Latest),
        OffsetReset::None => None,
    }
}

fn is_for_good(error: &ClientError) -> bool {
    // A topic that is just being made, or unmade, may be back in a moment.
    !error.is_retriable() && !matches!(error, ClientError::UnknownTopic(_))
}
