//! The raw stream against a scripted broker: explicit acknowledgement, cancel safety, revocation, endings.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use callboard_consumer::{Event, HandlerPolicy, ShutdownOptions};
use callboard_protocol::{ApiKey, ErrorCode};
use common::{TOPIC, World, event, tp};
use futures_util::StreamExt;

/// Written by Apache Kafka 4.2.0's own classes: three records; one bit of the last value is wrong.
const CORRUPT: &[u8] = include_bytes!("../../testdata/kafka-4.2.0/record_batches/bad-crc.bin");

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
    let committed = [0, 1].map(|partition| world.broker.committed(TOPIC, partition));
    assert_eq!(committed, [Some(0), Some(0)], "what the reset chose");
    world.stage.finish().await;
}

/// It stood still without a word.
#[tokio::test(start_paused = true)]
async fn a_stream_whose_records_are_not_acknowledged_says_so_at_its_bound_and_goes_on_when_they_are()
 {
    const MAX: usize = 50;
    let world = World::new(1, 200).await;
    let policy = HandlerPolicy {
        unacknowledged_max: MAX,
        ..HandlerPolicy::default()
    };
    let (consumer, mut stream) = world
        .consumer()
        .policy(policy)
        .start_stream()
        .await
        .unwrap();
    let mut events = consumer.events();
    let mut records = Vec::new();
    while records.len() < MAX {
        records.push(stream.next().await.unwrap());
    }
    let said = event(&mut events, |event| {
        matches!(event, Event::Unacknowledged { .. })
    })
    .await;
    let expected = Event::Unacknowledged {
        partition: tp(0),
        first: 0,
        count: MAX,
        setting: "unacknowledged_max",
    };
    assert_eq!(said, expected);
    let more = tokio::time::timeout(Duration::from_secs(60), stream.next()).await;
    assert!(more.is_err(), "{more:?}");
    for record in records {
        assert!(record.ack());
    }
    for _ in MAX..200 {
        assert!(stream.next().await.unwrap().ack());
    }
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    assert_eq!(world.broker.committed(TOPIC, 0), Some(200));
    world.stage.finish().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_before_a_batch_that_cannot_be_read_is_given_out() {
    let world = World::new(1, 3).await;
    let mut corrupt = CORRUPT.to_vec();
    corrupt[..8].copy_from_slice(&3_i64.to_be_bytes());
    world
        .broker
        .append_raw(TOPIC, 0, (3, 6), Bytes::from(corrupt));
    let (consumer, mut stream) = world.consumer().start_stream().await.unwrap();
    let mut events = consumer.events();
    event(&mut events, |event| matches!(event, Event::Paused { .. })).await;
    for offset in 0..3 {
        let next = tokio::time::timeout(Duration::from_secs(5), stream.next()).await;
        let record = next.expect("it is withheld").unwrap();
        assert_eq!(record.offset, offset);
        assert!(record.ack());
    }
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(3))
        .await;
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

/// One event a record pushed everything else out of the ring of events.
#[tokio::test(start_paused = true)]
async fn a_range_that_is_delivered_again_is_told_once() {
    let world = World::new(1, 50).await;
    let (consumer, mut stream) = world.consumer().start_stream().await.unwrap();
    let mut events = consumer.events();
    for _ in 0..50 {
        drop(stream.next().await.unwrap());
    }
    consumer.enforce_rebalance("once more");
    for _ in 0..50 {
        assert!(stream.next().await.unwrap().ack());
    }
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert_eq!(report.redelivered, 50);
    let mut told = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Redelivered {
            offset,
            until,
            attempt,
            ..
        } = event
        {
            told.push((offset, until, attempt));
        }
    }
    assert_eq!(told, [(0, 50, 1)]);
    world.stage.finish().await;
}
