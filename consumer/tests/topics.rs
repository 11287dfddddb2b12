//! Topics that come late, go, and come again, under a consumer.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::time::Duration;

use callboard_client::{Client, ClientConfig};
use callboard_consumer::{ConsumerGroup, Event, HandlerError, Record, ShutdownOptions};
use callboard_protocol::{ApiKey, ErrorCode};
use common::{Seen, TOPIC, World, event, tp};
use tokio::time::Instant;

fn assigned(event: &Event) -> bool {
    matches!(event, Event::Assigned { .. })
}

/// It was found after `metadata.max.age.ms`, five minutes.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_created_after_the_start_is_found_within_two_seconds() {
    let world = World::new(1, 0).await;
    let consumer = ConsumerGroup::builder(&world.client)
        .supervisor(world.stage.cell())
        .group_id("late")
        .topics(["later"])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    let missing = event(&mut events, |event| {
        matches!(event, Event::TopicMissing { .. })
    });
    assert_eq!(
        missing.await,
        Event::TopicMissing {
            topic: "later".to_owned(),
            was_there: false,
            error: "UNKNOWN_TOPIC_OR_PARTITION"
        }
    );
    event(&mut events, assigned).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    // Asked for once a second, not more often.
    assert!(world.broker.count(ApiKey::METADATA) < 80);
    world.broker.create_topic("later", 1);
    let begun = Instant::now();
    let Event::Assigned { added, reason, .. } = event(&mut events, assigned).await else {
        unreachable!()
    };
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(added.len(), 1);
    assert_eq!(reason, "cached metadata has changed");
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn one_of_two_topics_that_is_missing_is_found_too() {
    let world = World::new(1, 0).await;
    let consumer = world
        .consumer()
        .topics(["later"])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    event(&mut events, assigned).await;
    world.broker.create_topic("later", 3);
    event(&mut events, |event| {
        *event
            == Event::TopicBack {
                topic: "later".to_owned(),
            }
    })
    .await;
    let Event::Assigned { owned, .. } = event(&mut events, assigned).await else {
        unreachable!()
    };
    assert_eq!(owned.len(), 4);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// It said nothing, and its last commit came to lie in the new topic, whose records were then out of its sight.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_deleted_and_created_again_is_consumed_from_its_first_record() {
    let world = World::with(1, 5, &resetting_to("earliest")).await;
    deleted_and_created_again(world).await;
}

/// Whoever consumes a topic misses nothing of the one that takes its place. The policy says where to begin in a log that
/// was there before.
#[tokio::test(start_paused = true)]
async fn it_is_too_from_latest() {
    let world = World::with(1, 5, &resetting_to("latest")).await;
    deleted_and_created_again(world).await;
}

/// Nothing is committed but what has to be.
fn resetting_to(policy: &str) -> [(&str, &str); 2] {
    [
        ("auto.commit.interval.ms", "3600000"),
        ("auto.offset.reset", policy),
    ]
}

async fn deleted_and_created_again(world: World) {
    // Where the policy is not asked.
    world.broker.commit(TOPIC, 0, 0);
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    // Handled and not committed.
    while seen.offsets(0).len() < 5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.broker.delete_topic(TOPIC);
    let gone = event(&mut events, |event| {
        matches!(event, Event::TopicMissing { .. })
    });
    assert_eq!(
        gone.await,
        Event::TopicMissing {
            topic: TOPIC.to_owned(),
            was_there: true,
            error: "UNKNOWN_TOPIC_OR_PARTITION"
        }
    );
    let Event::Lost { partitions, cause } =
        event(&mut events, |event| matches!(event, Event::Lost { .. })).await
    else {
        unreachable!()
    };
    assert_eq!(
        (partitions, &*cause),
        (vec![tp(0)], "the topic was deleted")
    );
    tokio::time::sleep(Duration::from_millis(1500)).await;

    world.broker.create_topic(TOPIC, 1);
    world
        .broker
        .append(TOPIC, 0, ["a", "b", "c", "d", "e", "f", "g", "h"]);
    // A commit of the topic before that came late.
    world.broker.commit(TOPIC, 0, 5);
    let begun = Instant::now();
    while seen.offsets(0).len() < 5 + 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            seen.offsets(0)
        );
    }
    assert_eq!(seen.offsets(0)[5..], [0, 1, 2, 3, 4, 5, 6, 7]);
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    assert_eq!(world.broker.committed(TOPIC, 0), Some(8));
    // The position in the topic before gives way to the first of the new one.
    assert_eq!(world.broker.rewinds(), ["orders/0: 5 -> 0"]);
    world.stage.finish().await;
}

/// Between two looks of the client: the name never was away.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_another_one_all_at_once_is_noticed_by_its_id() {
    let world = World::with(1, 5, &[("auto.commit.interval.ms", "100")]).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(5))
        .await;
    world.broker.delete_topic(TOPIC);
    world.broker.create_topic(TOPIC, 1);
    world.broker.append(TOPIC, 0, ["a", "b"]);
    event(&mut events, |event| {
        matches!(event, Event::TopicBack { .. })
    })
    .await;
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(2))
        .await;
    assert_eq!(seen.offsets(0), [0, 1, 2, 3, 4, 0, 1]);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_gone_does_not_hold_up_the_end() {
    let world = World::with(1, 5, &[("auto.commit.interval.ms", "3600000")]).await;
    let seen = Seen::default();
    let consumer = world.noting(&seen).await;
    let mut events = consumer.events();
    while seen.offsets(0).len() < 5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.broker.delete_topic(TOPIC);
    event(&mut events, |event| {
        matches!(event, Event::TopicMissing { .. })
    })
    .await;
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    assert!(report.took < Duration::from_secs(1), "{report:?}");
    world.stage.finish().await;
}

/// Told of twice, whatever the number of tries.
#[tokio::test(start_paused = true)]
async fn a_coordinator_that_is_away_for_a_while_is_told_of_when_it_goes_and_when_it_is_back() {
    let world = World::new(1, 1).await;
    let consumer = world.noting(&Seen::default()).await;
    let mut events = consumer.events();
    event(&mut events, assigned).await;
    let not_available = ErrorCode::COORDINATOR_NOT_AVAILABLE;
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::NOT_COORDINATOR, 1);
    world
        .broker
        .fail(ApiKey::FIND_COORDINATOR, not_available, 12);
    let is_news = |event: &Event| {
        matches!(
            event,
            Event::CoordinatorLost { .. } | Event::CoordinatorFound { .. }
        )
    };
    let error = "NOT_COORDINATOR".to_owned();
    let node = Some(callboard_client::testing::NODE);
    assert_eq!(
        event(&mut events, is_news).await,
        Event::CoordinatorLost { node, error }
    );
    let node = callboard_client::testing::NODE;
    assert_eq!(
        event(&mut events, is_news).await,
        Event::CoordinatorFound { node }
    );
    assert!(world.broker.count(ApiKey::FIND_COORDINATOR) > 12);
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_static_member_that_is_fenced_says_so_and_ends() {
    let world = World::new(1, 0).await;
    let mut config: ClientConfig = world.client.config().clone();
    config.set("group.instance.id", "one").unwrap();
    let client: Client = world.client.clone();
    let consumer = ConsumerGroup::builder(&client)
        .supervisor(world.stage.cell())
        .config(config)
        .group_id("billing")
        .topics([TOPIC])
        .handle(|_record: Record, _context| async { Ok::<_, HandlerError>(()) })
        .start()
        .await
        .unwrap();
    let mut events = consumer.events();
    event(&mut events, assigned).await;
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::FENCED_INSTANCE_ID, 1);
    let Event::Fatal { error } =
        event(&mut events, |event| matches!(event, Event::Fatal { .. })).await
    else {
        unreachable!()
    };
    assert_eq!(
        error.to_string(),
        "another member took over group.instance.id=one"
    );
    assert_eq!(
        consumer.ended().await.unwrap_err().to_string(),
        error.to_string()
    );
    world.stage.finish().await;
}
