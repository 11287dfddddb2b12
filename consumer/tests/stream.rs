//! The raw stream against a scripted broker: explicit acknowledgement, cancel safety, revocation, endings.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::time::Duration;

use callboard_consumer::{Event, ShutdownOptions};
use callboard_protocol::{ApiKey, ErrorCode};
use common::{TOPIC, World, event};
use futures_util::StreamExt;

#[tokio::test(start_paused = true)]
async fn acknowledged_out_of_order_only_the_prefix_is_committed() {
    let world = World::new(1, 5).await;
    let (consumer, mut stream) = world.consumer().start_stream().await.unwrap();
    let mut records = Vec::new();
    for _ in 0..5 {
        records.push(stream.next().await.unwrap());
    }
    let fourth = records.remove(4);
    assert_eq!(fourth.offset, 4);
    assert!(fourth.ack());
    for record in records.drain(..2) {
        assert!(record.ack());
    }
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(2))
        .await;
    for record in records {
        assert!(record.ack());
    }
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    assert_eq!(world.broker.committed(TOPIC, 0), Some(5));
    assert!(stream.next().await.is_none());
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_next_that_is_dropped_loses_nothing() {
    let world = World::new(1, 3).await;
    let (consumer, mut stream) = world.consumer().start_stream().await.unwrap();
    let mut offsets = Vec::new();
    while offsets.len() < 3 {
        if let Ok(Some(record)) =
            tokio::time::timeout(Duration::from_micros(1), stream.next()).await
        {
            offsets.push(record.offset);
            record.ack();
        }
    }
    assert_eq!(offsets, [0, 1, 2]);
    consumer.shutdown(ShutdownOptions::default()).await;
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_revocation_no_old_record_surfaces_and_a_late_acknowledgement_does_not_count() {
    let world = World::with(1, 5, &[("auto.commit.interval.ms", "3600000")]).await;
    let (consumer, mut stream) = world
        .consumer()
        .drain_timeout(Duration::from_secs(5))
        .start_stream()
        .await
        .unwrap();
    let mut events = consumer.events();
    assert!(stream.next().await.unwrap().ack());
    let kept = stream.next().await.unwrap();
    world
        .broker
        .fail(ApiKey::HEARTBEAT, ErrorCode::REBALANCE_IN_PROGRESS, 1);
    event(&mut events, |event| matches!(event, Event::Revoked { .. })).await;
    assert_eq!(world.broker.committed(TOPIC, 0), Some(1));
    assert!(!kept.is_owner());
    assert!(!kept.ack());
    // The same partition, assigned anew, from its committed offset.
    let mut offsets = Vec::new();
    for _ in 0..4 {
        let record = stream.next().await.unwrap();
        offsets.push(record.offset);
        record.ack();
    }
    assert_eq!(offsets, [1, 2, 3, 4]);
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_stream_keeps_its_member_and_can_be_shut_down() {
    let world = World::new(2, 1000).await;
    let (consumer, stream) = world.consumer().start_stream().await.unwrap();
    drop(stream);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(world.broker.count(ApiKey::HEARTBEAT) > 10);
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    assert_eq!(world.broker.count(ApiKey::OFFSET_COMMIT), 0);
    world.stage.finish().await;
}
