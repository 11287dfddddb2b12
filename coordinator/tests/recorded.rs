//! The recorded stories, played over the public interface: actors, writers and the in-memory engine under virtual time.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod stories;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callboard_coordinator::{Call, CoordinatorConfig, Coordinators, TopicLookup};
use callboard_offsets::memory::MemoryLog;
use callboard_protocol::Uuid;
use callboard_supervision::testing::Limit;
use callboard_supervision::{Supervisor, SupervisorMsg};
use tokio::runtime::{Builder, Runtime};

use stories::player::{Allowance, Stage, play};
use stories::script::played_here;

/// How often answers are looked for, at most.
const TICK_MS: u64 = 10;
/// A tick more than the core alone.
const ALLOWANCE: Allowance = Allowance {
    early_ms: 70,
    early_percent: 2,
    late_ms: 70,
    late_percent: 2,
};
/// Turns that let every message there is, and what it causes, be handled. A commit takes about five.
const TURNS: usize = 50;
const TIMEOUT: Duration = Duration::from_secs(60);

/// The topics of a story.
#[derive(Default)]
struct Topics(Mutex<BTreeMap<Arc<str>, (Uuid, i32)>>);

impl TopicLookup for Topics {
    fn partitions(&self, name: &str) -> Option<i32> {
        self.0.lock().unwrap().get(name).map(|(_, count)| *count)
    }

    fn id_of(&self, name: &str) -> Option<Uuid> {
        self.0.lock().unwrap().get(name).map(|(id, _)| *id)
    }

    fn name_of(&self, id: Uuid) -> Option<Arc<str>> {
        let topics = self.0.lock().unwrap();
        let found = topics.iter().find(|(_, (of, _))| *of == id);
        found.map(|(name, _)| Arc::clone(name))
    }
}

/// A node's coordinators in a runtime of their own, whose clock moves only while it is told to.
struct House {
    runtime: Runtime,
    coordinators: Coordinators,
    topics: Arc<Topics>,
    _limit: Limit,
}

impl House {
    fn new(config: CoordinatorConfig) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let topics = Arc::new(Topics::default());
        let log = Arc::new(MemoryLog::new(config.offsets_topic_num_partitions));
        let coordinators = Coordinators::new(config, log, Arc::clone(&topics) as _);
        let child = coordinators.child();
        runtime.block_on(async {
            let (root, _) = Supervisor::spawn("root").await.unwrap();
            root.call(|reply| SupervisorMsg::Start(child, reply), TIMEOUT)
                .await
                .unwrap()
                .unwrap();
            while !coordinators.ready() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Self {
            runtime,
            coordinators,
            topics,
            _limit: Limit::start(),
        }
    }
}

async fn turns() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

impl Stage for House {
    fn create_topic(&mut self, name: &str, partitions: i32) -> String {
        let id = uuid::Uuid::new_v4();
        let topic = (Uuid(id.into_bytes()), partitions);
        self.topics.0.lock().unwrap().insert(name.into(), topic);
        id.to_string()
    }

    fn submit(&mut self, calls: Vec<Call>) {
        self.coordinators.submit(calls);
        self.runtime.block_on(turns());
    }

    fn advance(&mut self, ms: u64) {
        self.runtime.block_on(async {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            turns().await;
        });
    }
}

fn play_suite(suite: &str, group_max_size: usize) {
    let config = CoordinatorConfig {
        group_initial_rebalance_delay: Duration::from_millis(500),
        group_min_session_timeout: Duration::from_millis(1000),
        group_max_size,
        // Enough for requests about several groups to go several ways.
        offsets_topic_num_partitions: 8,
        ..CoordinatorConfig::default()
    };
    let stories = played_here(suite);
    let play = |story| play(story, &mut House::new(config.clone()), TICK_MS, ALLOWANCE).err();
    let failures: Vec<String> = stories.iter().filter_map(play).collect();
    let played = stories.len();
    assert!(
        failures.is_empty(),
        "{} of {played} stories went differently:\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[test]
fn the_default_suite() {
    play_suite("default", usize::MAX);
}

#[test]
fn the_suite_of_full_groups() {
    play_suite("max-size", 2);
}

#[test]
fn our_own_default_suite() {
    play_suite("own/default", usize::MAX);
}

#[test]
fn our_own_suite_of_full_groups() {
    play_suite("own/max-size", 2);
}
