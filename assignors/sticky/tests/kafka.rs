//! Equal to Kafka's own classes on every golden case and story.

#[path = "../../tests/kafka_cases/mod.rs"]
mod kafka_cases;

use callboard_assignor_sticky::{CooperativeStickyAssignor, StickyAssignor};

#[test]
fn plans_are_those_of_kafka() {
    assert_eq!(kafka_cases::run(&StickyAssignor), (190, 110));
}

#[test]
fn cooperative_plans_are_those_of_kafka() {
    assert_eq!(kafka_cases::run(&CooperativeStickyAssignor), (190, 164));
}
