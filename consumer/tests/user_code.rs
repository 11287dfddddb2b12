//! User code that takes its time, or fails, where a handler comes to be and where it ceases.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod common;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use callboard_consumer::{
    HandlerError, Outcome, PartitionContext, PartitionHandler, Record, ShutdownOptions,
};
use callboard_supervision::testing::Limit;
use common::{TOPIC, World};

/// The application's part of a test.
struct Done;

#[async_trait]
impl PartitionHandler for Done {
    async fn handle(
        &mut self,
        _record: &Record,
        _context: &PartitionContext,
    ) -> Result<Outcome, HandlerError> {
        Ok(Outcome::Done)
    }
}

/// The supervisor of handlers stood still as long, with all revocations.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_is_long_in_the_making_holds_up_its_partition_alone() {
    let _limit = Limit::start();
    let world = World::with(2, 1, &[("auto.commit.interval.ms", "20")]).await;
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let consumer = world
        .consumer()
        .handler(move |partition| {
            if partition.partition == 0 {
                // Goes on when the sender is dropped at the latest.
                let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(60));
            }
            Done
        })
        .start()
        .await
        .unwrap();
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 1) == Some(1))
        .await;
    assert_eq!(world.broker.committed(TOPIC, 0), Some(0));
    go_on.send(()).unwrap();
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(1))
        .await;
    assert!(consumer.shutdown(ShutdownOptions::default()).await.drained);
    world.stage.finish().await;
}

struct Spiteful;

#[async_trait]
impl PartitionHandler for Spiteful {
    async fn handle(
        &mut self,
        _record: &Record,
        _context: &PartitionContext,
    ) -> Result<Outcome, HandlerError> {
        Ok(Outcome::Done)
    }
}

impl Drop for Spiteful {
    fn drop(&mut self) {
        panic!("not like this");
    }
}

/// It went with its state to the supervisor of handlers, and took that with it.
#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_when_it_is_dropped_takes_nobody_with_it() {
    let world = World::new(1, 1).await;
    world.stage.expect_failure("partition_handler");
    let consumer = world.consumer().handler(|_partition| Spiteful).start();
    let consumer = consumer.await.unwrap();
    world
        .broker
        .until(|broker| broker.committed(TOPIC, 0) == Some(1))
        .await;
    let report = consumer.shutdown(ShutdownOptions::default()).await;
    assert!(report.drained, "{report:?}");
    world.stage.finish().await;
}
