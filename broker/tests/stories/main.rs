//! Every recorded story of Apache Kafka 4.2.0, over real sockets against a broker in this process. What a story is, and
//! what of an answer is compared, is told beside the recordings (`testdata/kafka-4.2.0/stories`). The messages are
//! encoded and decoded here by rules of their own; `interop/oracle/waiting.txt` names the stories that are not played,
//! and why.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

mod schema;
mod story;
mod wire;

use std::path::Path;

use callboard_broker::{Broker, BrokerConfig};
use callboard_supervision::testing::Limit;
use futures_util::{StreamExt, stream};
use serde_json::Value;

use schema::Schemas;
use story::Story;

/// Stories played at a time: they mostly wait.
const AT_A_TIME: usize = 24;
/// A story is about time, and so is a busy machine: one that differs is played again, alone.
const TRIES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_of_the_default_suite() {
    let _limit = Limit::start();
    play_all("default", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_of_full_groups() {
    let _limit = Limit::start();
    play_all("max-size", &[("group.max.size", "2")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_of_our_own() {
    let _limit = Limit::start();
    play_all("own/default", &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_story_of_our_own_of_full_groups() {
    let _limit = Limit::start();
    play_all("own/max-size", &[("group.max.size", "2")]).await;
}

async fn play_all(suite: &str, settings: &[(&str, &str)]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let waiting = std::fs::read_to_string(root.join("interop/oracle/waiting.txt")).unwrap();
    let is_waiting = |name: &str| {
        waiting
            .lines()
            .any(|line| line.split_whitespace().next() == Some(name))
    };
    let mut stories = Vec::new();
    for entry in std::fs::read_dir(root.join("testdata/kafka-4.2.0/stories").join(suite)).unwrap() {
        let path = entry.unwrap().path();
        // Our own have their transcripts for people beside them.
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let story: Value = serde_json::from_str(&text).unwrap();
        if !is_waiting(story["name"].as_str().unwrap()) {
            stories.push(story);
        }
    }
    assert!(!stories.is_empty());
    // Where somebody looks for one that fails.
    if let Ok(only) = std::env::var("CALLBOARD_STORY") {
        stories.retain(|story| story["name"].as_str().unwrap().contains(&only));
    }

    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path(), settings).await;
    let schemas = Schemas::read();
    let address = broker.address();
    Story::ready(&schemas, address).await;
    let played = stream::iter(&stories).map(|story| {
        let schemas = &schemas;
        async move { (story, Story::play(schemas, address, story).await) }
    });
    let played: Vec<_> = played.buffer_unordered(AT_A_TIME).collect().await;
    let mut failed = Vec::new();
    for (story, mut outcome) in played {
        for _ in 1..TRIES {
            if outcome.is_err() {
                outcome = Story::play(&schemas, address, story).await;
            }
        }
        if let Err(reason) = outcome {
            failed.push(format!("{}: {reason}", story["name"]));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} stories differ:\n{}",
        failed.len(),
        stories.len(),
        failed.join("\n")
    );
    broker.shutdown().await.unwrap();
}

/// A broker with the settings of the recordings.
async fn start(dir: &Path, settings: &[(&str, &str)]) -> Broker {
    let mut config = BrokerConfig::default();
    config.data_dir = dir.join("data");
    config.admin_listener = None;
    let recorded = [
        ("listeners", "127.0.0.1:0"),
        ("group.initial.rebalance.delay.ms", "500"),
        ("group.min.session.timeout.ms", "1000"),
        ("offsets.retention.check.interval.ms", "86400000"),
    ];
    for (key, value) in recorded.iter().chain(settings) {
        config.set(key, value).unwrap();
    }
    Broker::start(config).await.unwrap()
}
