//! Equal to Kafka's own class on every golden case, and sound on random groups.

#[path = "../../tests/kafka_cases/mod.rs"]
mod kafka_cases;

use callboard_assignor::conformance::Kit;
use callboard_assignor_round_robin::RoundRobinAssignor;

#[test]
fn plans_are_those_of_kafka() {
    assert_eq!(kafka_cases::run(&RoundRobinAssignor), (88, 0));
}

#[test]
fn random_groups_get_sound_plans() {
    let seed = std::env::var("CALLBOARD_SEED").map_or(20_260, |seed| seed.parse().unwrap());
    println!("CALLBOARD_SEED={seed}");
    if let Err(failure) = Kit::new(seed)
        .groups(3_000)
        .expect_balance()
        .run(&RoundRobinAssignor)
    {
        panic!("{failure}");
    }
}
