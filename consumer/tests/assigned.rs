//! Partitions that the application assigns, without a group, against a scripted broker.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::collections::BTreeMap;

use callboard_consumer::{
    ConsumerError, ConsumerGroup, ConsumerGroupBuilder, Event, ShutdownOptions, StartAt,
};
use callboard_protocol::ApiKey;
use common::{TOPIC, World, event, tp};
use futures_util::StreamExt;

fn assigned(world: &World, starts: &[(i32, StartAt)]) -> ConsumerGroupBuilder {
    let starts = starts
        .iter()
        .map(|(partition, start)| (tp(*partition), *start));
    ConsumerGroup::builder(&world.client)
        .supervisor(world.stage.cell())
        .assign(starts)
}

#[tokio::test(start_paused = true)]
async fn each_partition_begins_where_it_is_told_and_no_group_is_asked() {
    let world = World::new(4, 5).await;
    let starts = [
        (0, StartAt::Earliest),
        (1, StartAt::Latest),
        (2, StartAt::Offset(3)),
    ];
    let (consumer, mut stream) = assigned(&world, &starts).start_stream().await.unwrap();
    let mut events = consumer.events();
    let mut begun = BTreeMap::new();
    while begun.len() < 3 {
        let started = event(&mut events, |event| {
            matches!(event, Event::HandlerStarted { .. })
        });
        if let Event::HandlerStarted { partition, offset } = started.await {
            begun.insert(partition, offset);
        }
    }
    assert_eq!(begun, BTreeMap::from([(tp(0), 0), (tp(1), 5), (tp(2), 3)]));
    world.broker.append(TOPIC, 1, ["new"]);
    let mut seen = Vec::new();
    while seen.len() < 5 + 1 + 2 {
        let record = stream.next().await.unwrap();
        seen.push((record.partition(), record.offset));
        assert!(record.ack());
    }
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            (0, 0),
            (0, 1),
            (0, 2),
            (0, 3),
            (0, 4),
            (1, 5),
            (2, 3),
            (2, 4)
        ]
    );
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    assert!(
        report.uncommitted.is_empty() && report.committed.is_empty(),
        "{report:?}"
    );
    for api in [
        ApiKey::FIND_COORDINATOR,
        ApiKey::JOIN_GROUP,
        ApiKey::OFFSET_FETCH,
        ApiKey::OFFSET_COMMIT,
        ApiKey::LEAVE_GROUP,
    ] {
        assert_eq!(world.broker.count(api), 0, "{}", api.name());
    }
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_not_in_the_log_goes_where_the_policy_says() {
    let world = World::new(1, 5).await;
    world.broker.append(TOPIC, 0, ["later"]);
    world.broker.truncate_before(TOPIC, 0, 5);
    let (consumer, mut stream) = assigned(&world, &[(0, StartAt::Offset(1))])
        .start_stream()
        .await
        .unwrap();
    assert_eq!(stream.next().await.unwrap().offset, 5);
    assert_eq!(world.broker.count(ApiKey::OFFSET_COMMIT), 0);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn partitions_or_a_group_not_both_and_not_none() {
    let world = World::new(1, 0).await;
    let one = [(0, StartAt::Earliest)];
    for builder in [
        assigned(&world, &[]),
        assigned(&world, &one).group_id("billing"),
        assigned(&world, &one).topics([TOPIC]),
    ] {
        let refused = builder.start_stream().await.unwrap_err();
        assert!(matches!(refused, ConsumerError::Config(_)), "{refused}");
    }
    world.stage.finish().await;
}
