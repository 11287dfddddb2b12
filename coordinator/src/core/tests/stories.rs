//! The recorded stories, played against the core alone.

use std::time::Duration;

use callboard_protocol::Uuid;

use super::house::House;
use crate::{Call, CoordinatorConfig};

#[path = "../../../tests/stories/mod.rs"]
mod told;

use told::player::{Allowance, Stage, play};
use told::script::played_here;

/// Where the real broker's answers came late by a scheduler and a disk, ours come at the moment.
const ALLOWANCE: Allowance = Allowance {
    early_ms: 60,
    early_percent: 2,
    late_ms: 60,
    late_percent: 2,
};

impl Stage for House {
    fn create_topic(&mut self, name: &str, partitions: i32) -> String {
        let Uuid(id) = self.create(name, partitions);
        uuid::Uuid::from_bytes(id).to_string()
    }

    fn submit(&mut self, calls: Vec<Call>) {
        for call in calls {
            self.call(call);
        }
    }

    fn advance(&mut self, ms: u64) {
        House::advance(self, ms);
    }
}

fn play_suite(suite: &str, group_max_size: usize) {
    let config = CoordinatorConfig {
        group_initial_rebalance_delay: Duration::from_millis(500),
        group_min_session_timeout: Duration::from_millis(1000),
        group_max_size,
        ..CoordinatorConfig::default()
    };
    let stories = played_here(suite);
    let play = |story| play(story, &mut House::new(config.clone()), 1, ALLOWANCE).err();
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
