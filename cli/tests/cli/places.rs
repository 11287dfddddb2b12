//! `consume` without a group: from a given partition, offset or time, and nothing is committed.

use crate::support::{House, get, run, run_with};

/// Two partitions with five records each, a second apart from 2023-11-14T22:13:20Z on.
fn house() -> House {
    let house = House::open("t", 2);
    let mut lines = String::new();
    for partition in 0..2 {
        for number in 0..5 {
            let timestamp = 1_700_000_000_000_i64 + number * 1_000;
            let record = serde_json::json!({
                "partition": partition, "timestamp": timestamp, "value": format!("{partition}-{number}")
            });
            lines += &format!("{record}\n");
        }
    }
    let ended = run_with(&house.with(&["produce", "t", "--input", "json"]), &lines);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    house
}

fn values(house: &House, options: &[&str]) -> Vec<String> {
    let consume = ["consume", "t", "--exit-at-end"];
    let lines = house.succeed(&[&consume[..], options].concat());
    let value = |line: &String| line.rsplit_once(' ').unwrap().1.to_owned();
    let mut values: Vec<String> = lines.iter().map(value).collect();
    values.sort();
    values
}

#[test]
fn records_are_read_from_any_place_and_no_group_appears() {
    let house = house();
    let all = [
        "0-0", "0-1", "0-2", "0-3", "0-4", "1-0", "1-1", "1-2", "1-3", "1-4",
    ];
    for (options, expected) in [
        (&["--from", "earliest"][..], &all[..]),
        (&["--offset", "earliest"], &all),
        (&[], &[]),
        (&["--from", "latest"], &[]),
        (&["--offset", "latest"], &[]),
        (&["--partition", "1", "--from", "earliest"], &all[5..]),
        (
            &["--partition", "0", "--partition", "1", "--offset", "4"],
            &["0-4", "1-4"],
        ),
        (&["--partition", "0,1", "--offset", "-1"], &["0-4", "1-4"]),
        (&["--partition", "1", "--offset", "3"], &["1-3", "1-4"]),
        (&["--partition", "1", "--offset=-2"], &["1-3", "1-4"]),
        (&["--partition", "1", "--offset", "-100"], &all[5..]),
        (&["--partition", "1", "--offset", "-0"], &[]),
        (
            &["--partition", "1", "--from", "@1700000003"],
            &["1-3", "1-4"],
        ),
        (
            &["--partition", "1", "--from", "2023-11-14T22:13:23Z"],
            &["1-3", "1-4"],
        ),
        (
            &["--partition", "1", "--from", "2023-11-14T23:13:22.5+01:00"],
            &["1-3", "1-4"],
        ),
        (&["--partition", "1", "--from", "@0"], &all[5..]),
        (&["--partition", "1", "--from", "2h"], &[]),
        (&["--partition", "1", "--from", "36500d"], &all[5..]),
    ] {
        assert_eq!(values(&house, options), expected, "{options:?}");
    }
    let metrics = get(&house.broker.admin, "/metrics");
    let groups = metrics
        .lines()
        .filter(|line| line.starts_with("callboard_coordinator_groups{"));
    for line in groups {
        assert!(line.ends_with(" 0"), "{line}");
    }
}

#[test]
fn an_offset_that_is_not_there_is_said() {
    let house = house();
    let consume = [
        "consume",
        "t",
        "--partition",
        "0",
        "--exit-at-end",
        "--offset",
        "9",
    ];
    let ended = run(&house.with(&consume));
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.lines.is_empty());
    assert!(
        ended.errors.contains("t/0 has no offset 9, only 0 to 5"),
        "{}",
        ended.errors
    );
}

#[test]
fn what_a_group_cannot_do_is_refused() {
    let house = house();
    for (options, part) in [
        (&["--group", "g", "--partition", "0"][..], "--partition"),
        (&["--group", "g", "--offset", "3"], "--offset"),
        (&["--group", "g", "--from", "2h"], "leave --group out"),
        (&["--from", "earliest", "--offset", "3"], "--offset"),
        (&["--partition", "2"], "no partition 2"),
        (&["--partition=-1"], "--partition"),
        (&["--from", "yesterday"], "expected earliest, latest"),
        (&["--offset", "first"], "expected earliest, latest"),
    ] {
        let ended = run(&house.with(&[&["consume", "t"][..], options].concat()));
        assert_eq!(ended.code, Some(2), "{options:?}: {}", ended.errors);
        assert!(ended.errors.contains(part), "{options:?}: {}", ended.errors);
        assert!(ended.lines.is_empty(), "{options:?}");
    }
    let ghost = run(&house.with(&["consume", "ghost"]));
    assert_eq!(ghost.code, Some(1));
    assert!(
        ghost.errors.contains("topic ghost does not exist"),
        "{}",
        ghost.errors
    );
}

#[test]
fn new_records_are_followed_and_a_signal_ends_it() {
    let house = house();
    let consume = house.with(&["consume", "t", "--partition", "0", "--offset", "-1"]);
    let consumer = crate::support::Process::start(&consume);
    assert_eq!(consumer.line(), "t/0@4 - 0-4");
    let more = run_with(
        &house.with(&["produce", "t", "--input", "json"]),
        "{\"partition\":0,\"value\":\"more\"}\n",
    );
    assert_eq!(more.code, Some(0), "{}", more.errors);
    assert_eq!(consumer.line(), "t/0@5 - more");
    let ended = consumer.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.errors.is_empty(), "{}", ended.errors);
}
