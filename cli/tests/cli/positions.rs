//! Positions that a reset chose are the group's from then on: what comes between two lives is printed by the next.

use std::time::Duration;

use crate::support::{House, Process, get, run_with};

/// Waits until the broker has answered so many commits of groups; no longer than its limit.
fn until_commits(house: &House, count: f64) {
    loop {
        let metrics = get(&house.broker.admin, "/metrics");
        let commits: f64 = metrics
            .lines()
            .filter(|line| line.starts_with("callboard_group_commits_total{"))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum();
        if commits >= count {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn produce(house: &House, topic: &str, lines: &str) {
    let ended = run_with(&house.with(&["produce", topic, "--input", "json"]), lines);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
}

#[test]
fn an_idle_group_skips_nothing_between_two_lives() {
    let house = House::open("idl", 1);
    house.produce("idl", "a=before\n");
    let consume = house.with(&["consume", "idl", "--group", "g", "--from", "latest"]);
    let idle = Process::start(&consume);
    until_commits(&house, 1.0);
    let ended = idle.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.lines.is_empty(), "{:?}", ended.lines);
    house.produce("idl", "a=between\n");
    let next = Process::start(&consume);
    assert_eq!(next.line(), "idl/0@1 a between");
    assert_eq!(next.terminate().code, Some(0));
}

#[test]
fn what_comes_while_a_member_is_dead_is_printed_by_the_one_that_lives() {
    let house = House::open("t", 2);
    let consume = house.with(&[
        "consume",
        "t",
        "--group",
        "g",
        "--from",
        "latest",
        "--set",
        "session.timeout.ms=6000",
        "--set",
        "heartbeat.interval.ms=100",
    ]);
    let one = Process::start(&consume);
    until_commits(&house, 1.0);
    let dies = Process::start(&consume);
    // Until it has a partition of its own.
    let both = "{\"partition\":0,\"value\":\"shared\"}\n{\"partition\":1,\"value\":\"shared\"}\n";
    while dies.line_within(Duration::from_millis(100)).is_none() {
        produce(&house, "t", both);
    }
    produce(&house, "t", &both.replace("shared", "last"));
    while !one.line().ends_with(" last") {}
    while !dies.line().ends_with(" last") {}
    dies.signal("KILL");
    let lines: String = (0..5)
        .map(|number| both.replace("shared", &format!("dead-{number}")))
        .collect();
    produce(&house, "t", &lines);
    let mut printed = std::collections::BTreeSet::new();
    while printed.len() < 10 {
        let line = one.line();
        let (place, value) = line.split_once(" - ").unwrap();
        if value.starts_with("dead-") {
            printed.insert((place[..3].to_owned(), value.to_owned()));
        }
    }
    assert_eq!(one.terminate().code, Some(0));
}

#[test]
fn a_committed_offset_moves_with_a_reset_that_is_said() {
    let house = House::start(&["--set", "log.retention.check.interval.ms=100"]);
    let create = ["topic", "create", "t", "--partitions", "1"];
    let short = [
        "--config",
        "segment.bytes=1048576",
        "--config",
        "retention.bytes=1",
    ];
    house.succeed(&[&create[..], &short].concat());
    house.produce("t", "a=0\na=1\na=2\na=3\na=4\n");
    let five = [
        "consume", "t", "--group", "g", "--from", "earliest", "--max", "5",
    ];
    assert_eq!(house.succeed(&five).len(), 5);
    // Whole segments go, never the last.
    let start = || -> i64 {
        let described = house.succeed(&["topic", "describe", "t"]);
        described[2]
            .split_whitespace()
            .nth(3)
            .unwrap()
            .parse()
            .unwrap()
    };
    while start() <= 5 {
        let line = format!("a={}\n", "x".repeat(1_000));
        house.produce("t", &line.repeat(1_000));
    }
    let consume = ["consume", "t", "--group", "g", "--from", "latest"];
    let consumer = Process::start(&house.with(&consume));
    let line = consumer.error_line();
    assert!(
        line.contains("t/0 has no offset 5 any more: it goes on at "),
        "{line}"
    );
    let ended = consumer.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.lines.is_empty(), "{:?}", ended.lines);
    house.produce("t", "a=after\n");
    let next = Process::start(&house.with(&consume));
    assert!(next.line().ends_with(" a after"));
    let ended = next.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.errors.is_empty(), "{}", ended.errors);
}
