//! Equal to Kafka's own class on every golden case, and sound on random groups.

#[path = "../../tests/kafka_cases/mod.rs"]
mod kafka_cases;

use callboard_assignor_round_robin::RoundRobinAssignor;

#[test]
fn plans_are_those_of_kafka() {
    assert_eq!(kafka_cases::run(&RoundRobinAssignor), (88, 0));
}

callboard_assignor::conformance!(
    RoundRobinAssignor,
    .groups(3_000).without(Check::Movement, "it forgets who had what")
);
