//! Who installs a recorder, and that one that is kept up does not grow. Alone in its program: both are of the process.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::alloc::System;
use std::time::Duration;

use callboard_broker::metrics::{BROKER_REQUEST_DURATION_SECONDS, install};
use callboard_broker::testing::TestBroker;
use callboard_supervision::testing::Limit;
use metrics::histogram;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SAMPLES: u32 = 100_000;
const ROUNDS: u32 = 20;

#[tokio::test(start_paused = true)]
async fn a_recorder_is_installed_by_whoever_asks_and_does_not_grow_while_it_is_kept_up() {
    let _limit = Limit::start();
    let broker = TestBroker::builder().start_in_memory().await.unwrap();
    drop(broker);
    let recorder = install(&[]).expect("no broker has installed one");
    assert!(install(&[]).is_none(), "there is one");

    let samples = histogram!(BROKER_REQUEST_DURATION_SECONDS, "api" => "Heartbeat");
    let round = || (0..SAMPLES).for_each(|_| samples.record(0.001));
    let grown = |region: &Region<'_, System>| {
        let change = region.change();
        change
            .bytes_allocated
            .saturating_sub(change.bytes_deallocated)
    };
    // Nobody keeps it up: every sample stays.
    let region = Region::new(ALLOCATOR);
    round();
    let kept = grown(&region);
    assert!(kept > SAMPLES as usize * 8, "{kept} bytes");

    let upkeep = tokio::spawn(recorder.clone().upkeep());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let region = Region::new(ALLOCATOR);
    for _ in 0..ROUNDS {
        round();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let left = grown(&region);
    assert!(
        left < 2 * kept,
        "{left} bytes after {ROUNDS} rounds of {kept}"
    );
    upkeep.abort();
    let count = format!(
        "{BROKER_REQUEST_DURATION_SECONDS}_count{{api=\"Heartbeat\"}} {}",
        SAMPLES * (ROUNDS + 1)
    );
    assert!(recorder.render().contains(&count));
}
