//! What changes while `consume` runs: a line on stderr each, and records go on.

use std::path::Path;

use crate::support::{Broker, House, Process};

/// A member that begins at the first record.
fn consume(house: &House, topic: &str) -> Process {
    Process::start(&house.with(&["consume", topic, "--group", "g", "--from", "earliest"]))
}

#[track_caller]
fn says(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
}

#[test]
fn a_topic_that_comes_later_is_found_soon() {
    let house = House::start(&[]);
    let consumer = consume(&house, "slow1");
    says(&consumer.error_line(), &["topic slow1 is not there yet"]);
    house.succeed(&["topic", "create", "slow1", "--partitions", "1"]);
    house.produce("slow1", "a=1\n");
    // The default metadata.max.age.ms is five minutes: ten times as long as this waits.
    assert_eq!(consumer.line(), "slow1/0@0 a 1");
    let ended = consumer.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    says(&ended.errors, &["topic slow1 is there"]);
    assert_eq!(ended.errors.lines().count(), 2, "{}", ended.errors);
}

#[test]
fn a_topic_that_is_deleted_is_one_line_and_no_failure() {
    let house = House::open("gone2", 1);
    house.produce("gone2", "a=1\n");
    let consumer = consume(&house, "gone2");
    assert_eq!(consumer.line(), "gone2/0@0 a 1");
    house.succeed(&["topic", "delete", "gone2"]);
    says(&consumer.error_line(), &["topic gone2 has gone"]);
    consumer.signal("INT");
    let ended = consumer.end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
}

#[test]
fn a_topic_that_is_made_again_is_read_from_its_beginning() {
    let house = House::open("again", 1);
    house.produce("again", "a=1\na=2\n");
    let consumer = consume(&house, "again");
    assert_eq!(consumer.line(), "again/0@0 a 1");
    assert_eq!(consumer.line(), "again/0@1 a 2");
    house.succeed(&["topic", "delete", "again"]);
    says(&consumer.error_line(), &["topic again has gone"]);
    house.succeed(&["topic", "create", "again", "--partitions", "1"]);
    house.produce(
        "again",
        &(0..8).map(|n| format!("b={n}\n")).collect::<String>(),
    );
    for number in 0..8 {
        assert_eq!(consumer.line(), format!("again/0@{number} b {number}"));
    }
    let ended = consumer.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    says(&ended.errors, &["topic again is there"]);
}

#[test]
fn a_broker_that_goes_and_comes_is_a_line_each() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start(directory.path());
    let listen = broker.listen.clone();
    let with = |arguments: &[&str]| -> Vec<String> {
        let all = [arguments, &["--bootstrap", &listen]].concat();
        all.into_iter().map(ToOwned::to_owned).collect()
    };
    let run = |arguments: &[&str], input: &str| {
        let arguments = with(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = crate::support::run_with(&arguments, input);
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
    };
    run(&["topic", "create", "t", "--partitions", "1"], "");
    run(&["produce", "t"], "before\n");
    let arguments = with(&["consume", "t", "--group", "g", "--from", "earliest"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let consumer = Process::start(&arguments);
    assert_eq!(consumer.line(), "t/0@0 - before");
    assert_eq!(broker.process.terminate().code, Some(0));
    says(&consumer.error_line(), &["coordinator", "is away"]);
    let _broker = Broker::start_at(Path::new(directory.path()), &listen, "127.0.0.1:0", &[]);
    says(&consumer.error_line(), &["coordinator is back"]);
    run(&["produce", "t"], "after\n");
    assert_eq!(consumer.line(), "t/0@1 - after");
    let ended = consumer.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert_eq!(ended.errors.lines().count(), 2, "{}", ended.errors);
}
