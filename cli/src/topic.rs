//! `callboard topic`: create, list, describe, change and delete topics of any Kafka.

use std::collections::BTreeSet;
use std::io::Write;

use callboard_client::{
    Client, ClientError, ConfigSource, NewTopic, OffsetSpec, Role, TopicConfig, TopicPartition,
};

use crate::advice;
use crate::args::{AlterArgs, TopicAction, TopicArgs};
use crate::cluster::{self, key_value};
use crate::failure::{Failure, say};

/// Does what the command line says.
pub(crate) async fn run(args: TopicArgs) -> Result<(), Failure> {
    match args.action {
        TopicAction::Create {
            name,
            partitions,
            replication_factor,
            configs,
            cluster,
        } => {
            let mut topic = NewTopic {
                replication_factor,
                ..NewTopic::new(&name, partitions)
            };
            for setting in &configs {
                let (key, value) = key_value("--config", setting)?;
                topic.configs.push((key.to_owned(), value.to_owned()));
            }
            let client = cluster::connect(cluster::config(&cluster, Role::Client)?).await?;
            client
                .create_topic(&topic)
                .await
                .map_err(|error| cannot("create", &name, &error))?;
            print(format_args!("created {name} with {partitions} partitions"))
        }
        TopicAction::List { cluster } => {
            let client = cluster::connect(cluster::config(&cluster, Role::Client)?).await?;
            let topics = client
                .list_topics()
                .await
                .map_err(|error| Failure::client("cannot list topics", &error))?;
            let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
            if names.is_empty() {
                return Ok(());
            }
            print(names.join("\n"))
        }
        TopicAction::Describe {
            name,
            all_configs,
            cluster,
        } => {
            let client = cluster::connect(cluster::config(&cluster, Role::Client)?).await?;
            let mut text = describe(&client, &name)
                .await
                .map_err(|error| cannot("describe", &name, &error))?;
            match client.topic_configs(&name).await {
                Ok(settings) => text += &shown(settings, all_configs),
                // An old broker, or one that does not tell everybody: what it said so far is worth having.
                Err(error) => say(format_args!(
                    "the settings of {name} are not shown: {error}; {}",
                    advice::remedy(&error)
                )),
            }
            print(text.trim_end())
        }
        TopicAction::Alter(args) => alter(args).await,
        TopicAction::Delete { name, cluster } => {
            let client = cluster::connect(cluster::config(&cluster, Role::Client)?).await?;
            client
                .delete_topic(&name)
                .await
                .map_err(|error| cannot("delete", &name, &error))?;
            print(format_args!("deleted {name}"))
        }
    }
}

/// Settings first: where one of them is refused, nothing is changed.
async fn alter(args: AlterArgs) -> Result<(), Failure> {
    let mut changes = Vec::new();
    for setting in &args.configs {
        let (key, value) = key_value("--config", setting)?;
        // An empty value takes it back.
        changes.push((
            key.to_owned(),
            (!value.is_empty()).then(|| value.to_owned()),
        ));
    }
    changes.extend(args.deleted.iter().map(|key| (key.trim().to_owned(), None)));
    let name = &args.name;
    let client = cluster::connect(cluster::config(&args.cluster, Role::Client)?).await?;
    if !changes.is_empty() {
        client
            .alter_topic_configs(name, &changes)
            .await
            .map_err(|error| cannot("alter", name, &error))?;
        for (key, value) in changes {
            match value {
                Some(value) => print(format_args!("{name} has {key}={value}"))?,
                None => print(format_args!("{name} has the default of {key}"))?,
            }
        }
    }
    if let Some(partitions) = args.partitions {
        client
            .create_partitions(name, partitions)
            .await
            .map_err(|error| cannot("alter", name, &error))?;
        print(format_args!("{name} has {partitions} partitions"))?;
    }
    Ok(())
}

/// A line for a topic, a line for each partition. `-` where a partition has no leader that could be asked.
async fn describe(client: &Client, name: &str) -> Result<String, ClientError> {
    let topic = client.describe_topic(name).await?;
    let partitions = (0..).zip(&topic.partitions);
    let led: BTreeSet<TopicPartition> = partitions
        .clone()
        .filter(|(_, (leader, _))| leader.is_some())
        .map(|(partition, _)| TopicPartition::new(name, partition))
        .collect();
    let starts = client.list_all_offsets(&led, OffsetSpec::Earliest).await?;
    let ends = client.list_all_offsets(&led, OffsetSpec::Latest).await?;
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
    Ok(text)
}

/// A line for each setting and where it is from; those that are the default last, and only if all are wanted.
fn shown(mut settings: Vec<TopicConfig>, all: bool) -> String {
    settings.retain(|setting| all || setting.source != ConfigSource::Default);
    settings.sort_by_key(|setting| setting.source == ConfigSource::Default);
    let line = |setting: TopicConfig| {
        let value = setting.value.as_deref().unwrap_or("-");
        format!("config {}={value}  ({})\n", setting.name, setting.source)
    };
    settings.into_iter().map(line).collect()
}

fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .map_err(Failure::stdout)
}

fn cannot(act: &str, name: &str, error: &ClientError) -> Failure {
    Failure::client(format_args!("cannot {act} topic {name}"), error)
}
