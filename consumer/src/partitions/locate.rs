//! Where an assigned partition begins: at the group's committed offset, or where the reset policy says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use callboard_client::{ClientError, FoundOffset, OffsetReset, OffsetSpec, TopicPartition};
use callboard_supervision::seldom;
use futures_util::future::join_all;

use super::PartitionsMsg;
use crate::assigned::Starts;
use crate::committer::refusal;
use crate::core::locate::Verdict;
use crate::core::membership::Refusal;
use crate::core::partition::Start;
use crate::membership::MembershipMsg;
use crate::partition::Cell;
use crate::shared::Shared;

/// What ListOffsets answers where no record is at or after a time.
const NO_OFFSET: i64 = -1;

type Cells = BTreeMap<TopicPartition, Arc<Cell>>;

/// Looks up where partitions begin, as long as it takes, and tells the supervisor as it finds out. Ends with it.
pub(super) async fn locate(shared: Arc<Shared>, cells: Cells) {
    if let Some(starts) = &shared.settings.assigned {
        as_assigned(&shared, starts, cells).await;
        return;
    }
    let (reborn, cells) = cells
        .into_iter()
        .partition(|(partition, _)| shared.is_reborn(partition));
    tokio::join!(
        from_the_first(&shared, reborn),
        as_committed(&shared, cells)
    );
}

/// Tells of partitions of a topic that took the place of one that this member saw go. Nobody has consumed anything of
/// them, and what is committed of them may be a position in the topic before.
async fn from_the_first(shared: &Shared, cells: Cells) {
    ask(shared, &cells, OffsetSpec::Earliest, |found| {
        tell_reset(shared, &cells, found);
    })
    .await;
}

async fn as_committed(shared: &Shared, cells: Cells) {
    let without = committed(shared, cells).await;
    // Topic by topic: one that is just being made, or unmade, holds up no other.
    let mut topics: BTreeMap<Arc<str>, Cells> = BTreeMap::new();
    for (partition, cell) in without {
        let topic = Arc::clone(&partition.topic);
        topics.entry(topic).or_default().insert(partition, cell);
    }
    let lookups = topics.into_values().map(|cells| by_policy(shared, cells));
    join_all(lookups).await;
}

fn tell(shared: &Shared, found: Vec<(Arc<Cell>, Result<Start, String>)>) {
    if !found.is_empty() {
        let located = PartitionsMsg::Located(found);
        shared.slots.partitions.cast(located);
    }
}

/// Tells where the application has partitions begin.
async fn as_assigned(shared: &Shared, starts: &Starts, cells: Cells) {
    let mut lookups: Vec<(OffsetSpec, Cells)> = Vec::new();
    for (partition, cell) in cells {
        match starts.get(&partition).map(|start| start.lookup()) {
            Some(Err(spec)) => match lookups.iter_mut().find(|(of, _)| *of == spec) {
                Some((_, cells)) => {
                    cells.insert(partition, cell);
                }
                None => lookups.push((spec, Cells::from([(partition, cell)]))),
            },
            Some(Ok(offset)) => tell(shared, vec![(cell, Ok(Start::Assigned(offset)))]),
            None => {}
        }
    }
    let lookups = lookups.into_iter().map(|(spec, cells)| async move {
        let without = locate_at(shared, cells, spec).await;
        // No record is of that time or later: it begins with the next to come.
        locate_at(shared, without, OffsetSpec::Latest).await;
    });
    join_all(lookups).await;
}

/// Tells where partitions begin that have such an offset, and returns those that have none.
async fn locate_at(shared: &Shared, mut cells: Cells, spec: OffsetSpec) -> Cells {
    let asked = cells.clone();
    ask(shared, &asked, spec, |found| {
        let mut located = Vec::new();
        for (partition, offset) in found {
            if offset != Ok(NO_OFFSET)
                && let Some(cell) = cells.remove(&partition)
            {
                located.push((cell, offset.map(Start::Assigned)));
            }
        }
        tell(shared, located);
    })
    .await;
    cells
}

/// OffsetFetch until every partition has an answer, or the member ends. Tells where those begin that have a committed
/// offset, and returns those that have none.
async fn committed(shared: &Shared, mut cells: Cells) -> Cells {
    let mut backoff = shared.client.retry_backoff();
    let mut without = Cells::new();
    loop {
        retain_owned(&mut cells);
        if cells.is_empty() {
            return without;
        }
        let identity = shared.identity();
        if let Some(node) = identity.coordinator {
            let asked = cells.keys().cloned().collect();
            // Cooperative members join again as soon as they are assigned something: it would wait behind that.
            let target = if identity.is_joining {
                shared.client.data(node)
            } else {
                shared.client.coordination(node)
            };
            let answer = shared
                .client
                .committed_at(target, &shared.group_id, &asked)
                .await;
            let mut found = Vec::new();
            let mut refusals = Vec::new();
            match answer {
                Ok(partitions) => {
                    for (partition, offset) in partitions {
                        let Some(cell) = cells.remove(&partition) else {
                            continue;
                        };
                        match offset {
                            Ok(Some(at)) => found.push((
                                cell,
                                Ok(Start::Committed {
                                    offset: at.offset,
                                    leader_epoch: Some(at.leader_epoch).filter(|epoch| *epoch >= 0),
                                }),
                            )),
                            Ok(None) => {
                                without.insert(partition, cell);
                            }
                            Err(code) => {
                                let error = code.name();
                                seldom!(warn, %partition, error, "a committed offset cannot be fetched");
                                cells.insert(partition.clone(), cell);
                                refusals.push((Refusal::Code(code), vec![partition]));
                            }
                        }
                    }
                }
                Err(error) => {
                    seldom!(warn, %error, "committed offsets cannot be fetched");
                    refusals.push((refusal(&error), cells.keys().cloned().collect()));
                }
            }
            for (refusal, concerned) in refusals {
                let verdict = Verdict::of(&refusal);
                let ends = verdict == Verdict::End;
                match verdict {
                    Verdict::Retry => {}
                    Verdict::RetryAndTell | Verdict::End => {
                        shared.slots.membership.cast(MembershipMsg::CommitRefused {
                            request: "OffsetFetch",
                            node: Some(node),
                            generation: identity.generation.id,
                            code: refusal,
                        });
                    }
                    Verdict::Pause(reason) => {
                        let cells = concerned.iter().filter_map(|one| cells.remove(one));
                        found.extend(cells.map(|cell| (cell, Err(reason.clone()))));
                    }
                }
                if ends {
                    return Cells::new();
                }
            }
            tell(shared, found);
        }
        if cells.is_empty() {
            return without;
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// Tells of each partition where the reset policy has it begin, as soon as that is known.
async fn by_policy(shared: &Shared, cells: Cells) {
    let none = "it has no committed offset and auto.offset.reset=none";
    ask_policy(shared, &cells, none, |found| {
        tell_reset(shared, &cells, found);
    })
    .await;
}

fn tell_reset(shared: &Shared, cells: &Cells, found: Found) {
    let found = found.into_iter().filter_map(|(partition, offset)| {
        let cell = cells.get(&partition)?;
        Some((Arc::clone(cell), offset.map(|to| Start::Reset(to.max(0)))))
    });
    tell(shared, found.collect());
}

/// Where to go on when the log has no record at the position.
pub(super) async fn reset_offset(shared: &Shared, cell: &Arc<Cell>) -> Result<i64, String> {
    let only = Cells::from([(cell.partition.clone(), Arc::clone(cell))]);
    let none = "its position is not in the log and auto.offset.reset=none";
    let mut to = Err(none.to_owned());
    ask_policy(shared, &only, none, |found| {
        for (_, offset) in found {
            to = offset.map(|to| to.max(0));
        }
    })
    .await;
    to
}

type Found = Vec<(TopicPartition, Result<i64, String>)>;

/// Asks as the policy says; without a policy the answer is `none`.
async fn ask_policy(shared: &Shared, cells: &Cells, none: &str, mut tell: impl FnMut(Found)) {
    match spec(shared) {
        Some(spec) => ask(shared, cells, spec, tell).await,
        None => tell(refuse(cells.keys().cloned().collect(), none)),
    }
}

/// Nobody waits for where a partition begins that is not ours any more, and it may be that nobody can say.
fn retain_owned(cells: &mut Cells) {
    cells.retain(|_, cell| cell.is_owner());
}

fn refuse(partitions: BTreeSet<TopicPartition>, reason: &str) -> Found {
    let refused = |partition| (partition, Err(reason.to_owned()));
    partitions.into_iter().map(refused).collect()
}

/// Asks until there is an answer for each that is still ours, and tells as answers come.
async fn ask(shared: &Shared, cells: &Cells, spec: OffsetSpec, mut tell: impl FnMut(Found)) {
    let mut backoff = shared.client.retry_backoff();
    let mut open = cells.clone();
    loop {
        retain_owned(&mut open);
        let partitions: BTreeSet<_> = open.keys().cloned().collect();
        if partitions.is_empty() {
            return;
        }
        match shared.client.list_offsets(&partitions, spec).await {
            Ok(listed) => {
                let offset = |(partition, found): (_, FoundOffset)| (partition, Ok(found.offset));
                let mut found: Found = listed.found.into_iter().map(offset).collect();
                for (partition, error) in listed.missing {
                    if is_for_good(&error) {
                        found.push((partition, Err(not_found(&error))));
                    } else {
                        seldom!(warn, %partition, %error, "it is not known yet where a partition begins");
                    }
                }
                for (partition, _) in &found {
                    open.remove(partition);
                }
                tell(found);
            }
            Err(error) if is_for_good(&error) => {
                tell(refuse(partitions, &not_found(&error)));
                return;
            }
            Err(error) => seldom!(warn, %error, "it is not known yet where partitions begin"),
        }
        if open.is_empty() {
            return;
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

fn not_found(error: &ClientError) -> String {
    format!("its first offset cannot be looked up: {error}")
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
