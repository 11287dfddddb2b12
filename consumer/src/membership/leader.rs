//! The leader's duty: read what the members subscribe to, get metadata of all those topics, bring the lag of their
//! partitions where the chosen assignor needs it, have it make a plan, withhold what moves between cooperative members,
//! check it, and encode it for SyncGroup; all but metadata and lag on threads that may be left behind. Keeps nothing
//! between rebalances.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use callboard_assignor::{Group, MemberInfo, Plan, RebalanceProtocol, TopicInfo};
use callboard_client::{ClientError, Cluster};
use callboard_protocol::consumer_protocol::{Assignment, Subscription};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::lag;
use super::watch::view;
use crate::assignment::{Assignors, Listed, RunError};
use crate::core::membership::{EncodedPlan, JoinMember, PlanFailure, TopicView, Topics};
use crate::shared::Shared;

/// Makes the plan for `members` with the assignor that the group chose. With `skip` the assignment stands (KIP-814):
/// nothing is assigned, only the metadata it is watched against is noted.
pub(super) async fn plan(
    shared: &Shared,
    assignors: &Assignors,
    name: &str,
    members: Vec<JoinMember>,
    skip: bool,
) -> Result<EncodedPlan, PlanFailure> {
    let failed = |error: RunError| PlanFailure::Assignor(error.to_string());
    let Some(listed) = assignors.get(name) else {
        return Err(PlanFailure::Assignor(format!(
            "the group chose the assignor {name}, which this member did not offer"
        )));
    };
    let style = listed.style;
    let members = Arc::new(members);
    let said = Arc::clone(&members);
    // All that is made of what members say, or by an assignor, has its limit: a group may be as large as it likes.
    let read = assignors.run(name, move || subscriptions(&said, style));
    let infos = read.await.map_err(failed)?;
    let topics: BTreeSet<String> = infos
        .iter()
        .flat_map(|info| info.topics.iter().cloned())
        .collect();
    let cluster = metadata(shared, &topics).await?;
    // A topic that is not there yet is noted too: when it comes that is a change.
    let over: Topics = topics
        .into_iter()
        .map(|topic| {
            let view = view(shared, &cluster, &topic);
            (topic, view)
        })
        .collect();
    if skip {
        return Ok(EncodedPlan {
            assignments: Vec::new(),
            over,
        });
    }
    let started = Instant::now();
    let mut limit = assignors.plan_limit();
    let mut lags = BTreeMap::new();
    if listed.needs_lag {
        lags = lag::of_topics(shared, &over, started + limit / 2).await;
        limit = limit.saturating_sub(started.elapsed());
    }
    let (listed, said) = (listed.clone(), Arc::clone(&members));
    let topics = topic_infos(&over, &cluster, lags);
    let made = assignors.run_within(limit, name, move || {
        let group = Group::for_assignor(&*listed.assignor, topics, infos);
        let plan = assign(listed, &group)?;
        Ok((encode(&group, &plan, &said), plan.left_out().len()))
    });
    let (assignments, withheld) = made.await.map_err(failed)?;
    info!(assignor = name, members = members.len(), topics = over.len(), withheld, took = ?started.elapsed(), "group assigned");
    Ok(EncodedPlan { assignments, over })
}

/// What each member told of itself. Newer versions of the format, and what their writers add at its end, are read as far
/// as they are known.
///
/// A member whose bytes cannot be read is assigned nothing and the others go on; except where the assignor can be
/// cooperative, for then it may still own what would be given to them.
fn subscriptions(
    members: &[JoinMember],
    style: RebalanceProtocol,
) -> Result<Vec<MemberInfo>, RunError> {
    let mut infos = Vec::with_capacity(members.len());
    for member in members {
        match Subscription::decode(&member.metadata) {
            Ok(subscription) => infos.push(MemberInfo {
                id: member.member_id.clone(),
                instance_id: member.instance_id.clone(),
                rack: subscription.rack_id,
                topics: subscription.topics,
                owned: subscription.owned_partitions,
                generation: subscription.generation_id,
                user_data: subscription.user_data.map(|bytes| bytes.to_vec()),
            }),
            Err(error) if style == RebalanceProtocol::Eager => {
                warn!(member_id = member.member_id, %error, "subscription cannot be read, assigning nothing to its member");
            }
            Err(error) => {
                return Err(RunError::Subscription {
                    member_id: member.member_id.clone(),
                    error: error.to_string(),
                });
            }
        }
    }
    Ok(infos)
}

/// The cluster as of now, every topic of the group included. The followers wait for us in SyncGroup, so this gives up
/// while there is time left for the plan.
async fn metadata(shared: &Shared, topics: &BTreeSet<String>) -> Result<Arc<Cluster>, PlanFailure> {
    let deadline = Instant::now() + shared.client.config().max_poll_interval / 4;
    let mut backoff = shared.client.retry_backoff();
    loop {
        let error = match fresh(shared, topics).await {
            Ok(cluster) => return Ok(cluster),
            Err(error) => error,
        };
        let again = Instant::now() + backoff.next_wait();
        if !error.is_retriable() || again >= deadline {
            return Err(PlanFailure::Metadata(format!("no metadata: {error}")));
        }
        debug!(%error, "no metadata for the assignor yet");
        tokio::time::sleep_until(again).await;
    }
}

async fn fresh(shared: &Shared, topics: &BTreeSet<String>) -> Result<Arc<Cluster>, ClientError> {
    shared.client.track(topics.iter().cloned()).await?;
    shared.client.refresh().await
}

fn topic_infos(
    over: &Topics,
    cluster: &Cluster,
    mut lags: BTreeMap<String, Vec<Option<u64>>>,
) -> Vec<TopicInfo> {
    let info = |(name, view): (&String, &TopicView)| TopicInfo {
        name: name.clone(),
        partitions: view.partitions,
        racks: cluster.racks(name),
        lag: lags.remove(name).unwrap_or_default(),
    };
    over.iter().map(info).collect()
}

/// A plan that holds what a plan has to, without what its owners have to give up first.
fn assign(listed: Listed, group: &Group) -> Result<Plan, RunError> {
    let Listed {
        name,
        style,
        assignor,
        ..
    } = listed;
    let mut plan = match assignor.assign(group) {
        Ok(plan) => plan,
        Err(error) => {
            return Err(RunError::Refused {
                assignor: name,
                error,
            });
        }
    };
    if style == RebalanceProtocol::Cooperative {
        plan.withhold(group);
    }
    match plan.check(group, style) {
        Ok(()) => Ok(plan),
        Err(error) => Err(RunError::Invalid {
            assignor: name,
            error,
        }),
    }
}

/// An assignment for every member, empty where it gets nothing.
fn encode(group: &Group, plan: &Plan, members: &[JoinMember]) -> Vec<(String, Bytes)> {
    members
        .iter()
        .map(|member| {
            let mut assignment = Assignment::default();
            if let Some(index) = group.member_index(&member.member_id) {
                let name = |(topic, numbers)| (group.topic(topic).name().to_owned(), numbers);
                assignment.partitions = plan.by_topic(index).into_iter().map(name).collect();
                assignment.user_data = plan.user_data(index).map(Bytes::copy_from_slice);
            }
            (member.member_id.clone(), assignment.encode())
        })
        .collect()
}
