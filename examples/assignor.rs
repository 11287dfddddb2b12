//! An assignor of one's own: members say how much they can carry, and get partitions in proportion. The leader of the
//! group runs it, and its plan is checked before it travels. A crate that publishes one needs `callboard-assignor` alone.
//!
//! `cargo run -p callboard-examples --bin assignor -- [BOOTSTRAP] [TOPIC] [GROUP] [CAPACITY]`, several times with
//! different capacities, then Ctrl-C.

use std::collections::BTreeSet;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;

use callboard_assignor::{AssignError, Assignment, Assignor, Group, Member, Plan};
use callboard_client::{Client, ClientConfig};
use callboard_consumer::{ConsumerGroup, Event, PartitionContext, Record, ShutdownOptions};

/// Gives each partition to the member that is least loaded for its capacity.
#[derive(Debug)]
struct ByCapacity {
    /// What this member says of itself, 1 or more.
    capacity: u8,
}

impl Assignor for ByCapacity {
    fn name(&self) -> &str {
        "by-capacity"
    }

    /// Travels with this member's JoinGroup to whoever leads.
    fn user_data(&self, _topics: &BTreeSet<String>, _last: Option<&Assignment>) -> Option<Vec<u8>> {
        Some(vec![self.capacity])
    }

    /// Pure, and the same in every process: ties go to the lower member id, in which order members come.
    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let mut plan = Plan::new(group);
        for topic in group.topic_indices() {
            for partition in group.partitions(topic) {
                let load_with_one_more = |index| {
                    let partitions = plan.of(index).len() as u64 + 1;
                    // In integers: a fraction that two machines round differently would be two plans.
                    partitions * 1_000_000 / capacity_of(group.member(index))
                };
                let subscribers = group.subscribers(topic).iter().copied();
                if let Some(next) = subscribers.min_by_key(|index| load_with_one_more(*index)) {
                    plan.give(next, partition);
                }
            }
        }
        Ok(plan)
    }
}

/// The bytes come from another process: what cannot be read counts as absent.
fn capacity_of(member: &Member) -> u64 {
    let said = member.user_data().and_then(|bytes| bytes.first());
    said.map_or(1, |capacity| u64::from(*capacity).max(1))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: &str| arguments.next().unwrap_or_else(|| default.to_owned());
    let (bootstrap, topic, group) = (
        argument("127.0.0.1:9092"),
        argument("orders"),
        argument("kitchens"),
    );
    let capacity = argument("1").parse()?;

    let client = Client::connect(ClientConfig::bootstrap(&bootstrap)?).await?;
    let assignor: Arc<dyn Assignor> = Arc::new(ByCapacity { capacity });
    let consumer = ConsumerGroup::builder(&client)
        .group_id(group)
        .topics([topic])
        .assignors([assignor])
        .handle(|record: Record, _context: PartitionContext| async move {
            println!("{}@{}", record.topic_partition, record.offset);
            Ok::<_, std::io::Error>(())
        })
        .start()
        .await?;
    let mut events = consumer.events();
    // Made once: a Ctrl-C that comes while an event is handled is not lost.
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            signal = &mut interrupted => break signal?,
            ended = consumer.ended() => break ended?,
            Some(event) = events.recv() => if let Event::Assigned { owned, .. } = event {
                println!("capacity {capacity}: {} partitions", owned.len());
            },
        }
    }
    consumer.shutdown(ShutdownOptions::default()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    callboard_assignor::conformance!(
        super::ByCapacity { capacity: 3 },
        .groups(200).without(Check::Movement, "it knows nothing of what members own")
    );
}
