//! What every member does around a join, leader or not: says what it subscribes to, and reads what it is assigned. Runs
//! assignors' code through [`Assignors`] only.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use callboard_client::TopicPartition;
use callboard_protocol::consumer_protocol::{Assignment, Subscription};
use futures_util::future::join_all;
use tracing::warn;

use super::assignor_failed;
use crate::assignment::Assignors;
use crate::core::membership::{Generation, JoinQuestion};
use crate::shared::Shared;

/// The subscription for each assignor, in order of preference.
pub(super) async fn subscriptions(
    shared: &Shared,
    assignors: &Assignors,
    question: &JoinQuestion,
) -> Vec<(String, Bytes)> {
    let topics = &shared.settings.topics;
    let mut owned: Vec<(String, Vec<i32>)> = Vec::new();
    for partition in &question.owned {
        match owned.last_mut() {
            Some((topic, numbers)) if **topic == *partition.topic => {
                numbers.push(partition.partition);
            }
            _ => owned.push((partition.topic.to_string(), vec![partition.partition])),
        }
    }
    // All at once: together they may take as long as one.
    let made = join_all(
        assignors
            .all()
            .iter()
            .map(|listed| assignors.user_data(listed, topics)),
    )
    .await;
    let mut subscriptions = Vec::with_capacity(made.len());
    for (listed, (user_data, said)) in assignors.all().iter().zip(made) {
        if let Err(error) = said {
            let (assignor, member_id) = (listed.name.clone(), question.member_id.clone());
            assignor_failed(shared, assignor, member_id, "user_data", error.to_string());
        }
        let subscription = Subscription {
            topics: topics.iter().cloned().collect(),
            user_data: user_data.map(Bytes::from),
            owned_partitions: owned.clone(),
            generation_id: question.generation,
            rack_id: shared.client.config().client_rack.clone(),
        };
        subscriptions.push((listed.name.clone(), subscription.encode()));
    }
    subscriptions
}

/// Reads an assignment and tells the assignor of it; `None` if these bytes are none.
pub(super) async fn assigned(
    shared: &Shared,
    assignors: &Assignors,
    generation: &Generation,
    bytes: &[u8],
) -> Option<BTreeSet<TopicPartition>> {
    let assignment = match Assignment::decode(bytes) {
        Ok(assignment) => assignment,
        Err(error) => {
            warn!(%error, "the assignment cannot be read");
            return None;
        }
    };
    let mut assigned = BTreeSet::new();
    let mut told = callboard_assignor::Assignment {
        generation: generation.id,
        user_data: assignment.user_data.map(|bytes| bytes.to_vec()),
        ..callboard_assignor::Assignment::default()
    };
    for (topic, numbers) in assignment.partitions {
        let name: Arc<str> = topic.as_str().into();
        assigned.extend(
            numbers
                .iter()
                .map(|number| TopicPartition::new(Arc::clone(&name), *number)),
        );
        told.partitions.entry(topic).or_default().extend(numbers);
    }
    for numbers in told.partitions.values_mut() {
        numbers.sort_unstable();
    }
    let assignor = &generation.protocol;
    if let Err(error) = assignors.assigned(assignor, told).await {
        let (assignor, member_id) = (assignor.clone(), generation.member_id.clone());
        assignor_failed(
            shared,
            assignor,
            member_id,
            "on_assignment",
            error.to_string(),
        );
    }
    Some(assigned)
}
