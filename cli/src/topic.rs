//! `callboard topic`: create, list, describe and delete topics of any Kafka.

use std::collections::BTreeSet;
use std::io::Write;

use callboard_client::{Client, ClientError, NewTopic, OffsetSpec, TopicPartition};

use crate::args::{TopicAction, TopicArgs};
use crate::cluster;
use crate::failure::Failure;

/// Does what the command line says.
pub(crate) async fn run(args: TopicArgs) -> Result<(), Failure> {
    match args.action {
        TopicAction::Create {
            name,
            partitions,
            replication_factor,
            cluster,
        } => {
            let client = cluster::connect(cluster::config(&cluster)?).await?;
            let topic = NewTopic {
                replication_factor,
                ..NewTopic::new(&name, partitions)
            };
            client
                .create_topic(&topic)
                .await
                .map_err(|error| about(&name, &error))?;
            say(format_args!("created {name} with {partitions} partitions"))
        }
        TopicAction::List { cluster } => {
            let client = cluster::connect(cluster::config(&cluster)?).await?;
            let mut stdout = std::io::stdout().lock();
            for topic in client.list_topics().await.map_err(Failure::failed)? {
                writeln!(stdout, "{}", topic.name)?;
            }
            Ok(stdout.flush()?)
        }
        TopicAction::Describe { name, cluster } => {
            let client = cluster::connect(cluster::config(&cluster)?).await?;
            describe(&client, &name)
                .await
                .map_err(|error| about(&name, &error))?
        }
        TopicAction::Delete { name, cluster } => {
            let client = cluster::connect(cluster::config(&cluster)?).await?;
            client
                .delete_topic(&name)
                .await
                .map_err(|error| about(&name, &error))?;
            say(format_args!("deleted {name}"))
        }
    }
}

/// A line for a topic, a line for each partition. `-` where a partition has no leader that could be asked.
async fn describe(client: &Client, name: &str) -> Result<Result<(), Failure>, ClientError> {
    let topic = client.describe_topic(name).await?;
    let partitions = (0..).zip(&topic.partitions);
    let led: BTreeSet<TopicPartition> = partitions
        .clone()
        .filter(|(_, (leader, _))| leader.is_some())
        .map(|(partition, _)| TopicPartition::new(name, partition))
        .collect();
    let starts = client.list_offsets(&led, OffsetSpec::Earliest).await?;
    let ends = client.list_offsets(&led, OffsetSpec::Latest).await?;
    let mut text = format!(
        "topic {name}  partitions {}  id {}\n",
        topic.partitions.len(),
        topic.id
    );
    text += &format!(
        "{:>9} {:>6} {:>6} {:>12} {:>12}\n",
        "partition", "leader", "epoch", "start", "end"
    );
    for (partition, (leader, epoch)) in partitions {
        let at = TopicPartition::new(name, partition);
        let known = |number: Option<i64>| {
            number.map_or_else(|| "-".to_owned(), |number| number.to_string())
        };
        text += &format!(
            "{partition:>9} {:>6} {:>6} {:>12} {:>12}\n",
            known(leader.map(i64::from)),
            known((*epoch >= 0).then_some(i64::from(*epoch))),
            known(starts.get(&at).map(|found| found.offset)),
            known(ends.get(&at).map(|found| found.offset)),
        );
    }
    Ok(say(text.trim_end()))
}

fn say(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// The topic's name in front, unless the error names it.
fn about(name: &str, error: &ClientError) -> Failure {
    match error {
        ClientError::UnknownTopic(_) => Failure::failed(error),
        error => Failure::failed(format_args!("topic {name}: {error}")),
    }
}
