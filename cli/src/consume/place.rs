//! Which partitions are read without a group, and from where.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use callboard_client::{Client, OffsetSpec, TopicPartition};
use callboard_consumer::StartAt;

use crate::args::{ConsumeArgs, Offset};
use crate::failure::{Failure, say};
use crate::when::From;

/// What the command line says, with the cluster's answers where it does not say it all.
///
/// # Errors
/// A topic or partition that is not there.
pub(super) async fn places(
    args: &ConsumeArgs,
    client: &Client,
) -> Result<BTreeMap<TopicPartition, StartAt>, Failure> {
    let partitions = partitions(args, client).await?;
    let start = match (args.offset, args.from) {
        (Some(Offset::At(offset)), _) => {
            return within(partitions, client, |_start, _end| offset).await;
        }
        (Some(Offset::BeforeEnd(distance)), _) => {
            return within(partitions, client, |start, end| {
                // So many are not there: from the first on, and nothing to say about it.
                end.saturating_sub(distance).max(start)
            })
            .await;
        }
        (Some(Offset::Earliest), _) | (None, Some(From::Earliest)) => StartAt::Earliest,
        (Some(Offset::Latest), _) | (None, Some(From::Latest) | None) => StartAt::Latest,
        (None, Some(From::Time(millis))) => StartAt::Timestamp(millis),
        (None, Some(From::Ago(ago))) => {
            let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
            StartAt::Timestamp(now_ms().saturating_sub(ago))
        }
    };
    let each = partitions.into_iter().map(|partition| (partition, start));
    Ok(each.collect())
}

async fn partitions(
    args: &ConsumeArgs,
    client: &Client,
) -> Result<BTreeSet<TopicPartition>, Failure> {
    let mut partitions = BTreeSet::new();
    for topic in &args.topics {
        let cannot = || format!("cannot consume {topic}");
        let described = client.describe_topic(topic).await;
        let described = described.map_err(|error| Failure::client(cannot(), &error))?;
        let count = i32::try_from(described.partitions.len()).unwrap_or(i32::MAX);
        if let Some(absent) = args.partitions.iter().find(|wanted| **wanted >= count) {
            return Err(Failure::usage(
                cannot(),
                format_args!("it has no partition {absent}"),
                format_args!("give --partition from 0 to {}", count - 1),
            ));
        }
        let wanted: Vec<i32> = if args.partitions.is_empty() {
            (0..count).collect()
        } else {
            args.partitions.clone()
        };
        let of_topic = wanted.into_iter();
        partitions.extend(of_topic.map(|number| TopicPartition::new(topic.as_str(), number)));
    }
    Ok(partitions)
}

/// Offsets between the ends of each partition; says where one that is wanted is not.
async fn within(
    partitions: BTreeSet<TopicPartition>,
    client: &Client,
    wanted: impl Fn(i64, i64) -> i64,
) -> Result<BTreeMap<TopicPartition, StartAt>, Failure> {
    let failed = |error| Failure::client("cannot find the ends of partitions", &error);
    let starts = client
        .list_all_offsets(&partitions, OffsetSpec::Earliest)
        .await;
    let starts = starts.map_err(failed)?;
    let ends = client
        .list_all_offsets(&partitions, OffsetSpec::Latest)
        .await;
    let ends = ends.map_err(failed)?;
    let place = |partition: TopicPartition| {
        let start = starts.get(&partition).map_or(0, |found| found.offset);
        let end = ends.get(&partition).map_or(start, |found| found.offset);
        let wanted = wanted(start, end);
        let offset = wanted.clamp(start, end.max(start));
        if offset != wanted {
            say(format_args!(
                "{partition} has no offset {wanted}, only {start} to {end}: it begins at {offset}"
            ));
        }
        (partition, StartAt::Offset(offset))
    };
    Ok(partitions.into_iter().map(place).collect())
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long ago is a person's word: this is the shell that has the clock"
)]
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
