//! Topics, records and groups through the commands, over a broker's restart and the reader's departure.

use std::time::Duration;

use crate::support::{House, Process, run, run_with};

#[test]
fn topics_are_created_listed_described_and_deleted() {
    let house = House::open("orders", 3);
    assert!(
        house
            .succeed(&["topic", "list"])
            .contains(&"orders".to_owned())
    );
    house.produce("orders", "a=1\nb=2\nc=3\n");
    let described = house.succeed(&["topic", "describe", "orders"]);
    assert!(
        described[0].starts_with("topic orders  partitions 3"),
        "{described:?}"
    );
    assert_eq!(described.len(), 2 + 3, "{described:?}");
    let ends = described[2..].iter().map(|line| {
        line.split_whitespace()
            .last()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    });
    assert_eq!(ends.sum::<u64>(), 3);

    let twice = run(&house.with(&["topic", "create", "orders", "--partitions", "3"]));
    assert_eq!(twice.code, Some(1));
    assert!(
        twice.errors.contains("TOPIC_ALREADY_EXISTS"),
        "{}",
        twice.errors
    );

    assert_eq!(
        house.succeed(&["topic", "delete", "orders"]),
        ["deleted orders"]
    );
    for gone in [
        ["topic", "describe", "orders"],
        ["topic", "delete", "orders"],
    ] {
        let ended = run(&house.with(&gone));
        assert_eq!(ended.code, Some(1), "{gone:?}");
        assert!(ended.errors.contains("orders"), "{}", ended.errors);
    }
    assert!(
        !house
            .succeed(&["topic", "list"])
            .contains(&"orders".to_owned())
    );
}

#[test]
fn what_is_produced_is_consumed_once_over_restarts_in_order_and_not() {
    let mut house = House::open("t", 1);
    house.produce("t", "alice=1 coffee\nno key\nbob=\n");
    assert_eq!(
        house.rest("t"),
        ["t/0@0 alice 1 coffee", "t/0@1 - no key", "t/0@2 bob "]
    );
    for (signal, offset) in [("TERM", 3), ("KILL", 4)] {
        house = house.restart(signal);
        assert!(
            house.rest("t").is_empty(),
            "the committed offset is kept after {signal}"
        );
        house.produce("t", "again=x\n");
        assert_eq!(house.rest("t"), [format!("t/0@{offset} again x")]);
    }
    assert_eq!(house.broker.process.terminate().code, Some(0));
}

#[test]
fn a_file_of_many_lines_goes_through_many_partitions() {
    let house = House::open("t", 7);
    let lines: Vec<String> = (0..20_000)
        .map(|number| format!("key-{number}\tvalue {number}"))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lines");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let produce = [
        "produce",
        "t",
        "--key-separator",
        "\\t",
        "--set",
        "compression.type=lz4",
        "--file",
    ];
    let produced = run(&house.with(&[&produce[..], &[file.to_str().unwrap()]].concat()));
    assert_eq!(produced.errors, "produced 20000 records to t\n");
    let printed = house.rest("t");
    let mut values: Vec<String> = printed
        .iter()
        .map(|line| line.split_once(' ').unwrap().1.replacen(' ', "\t", 1))
        .collect();
    let mut expected = lines;
    values.sort();
    expected.sort();
    assert!(values == expected, "{} lines came back", values.len());
    assert!(house.rest("t").is_empty());
}

#[test]
fn what_cannot_be_stored_is_exit_1_and_says_which_line() {
    let house = House::open("t", 1);
    let absent = run_with(&house.with(&["produce", "nope"]), "x\n");
    assert_eq!(absent.code, Some(1));
    assert!(
        absent.errors.contains("line 1: topic nope"),
        "{}",
        absent.errors
    );
    let small = ["produce", "t", "--set", "max.request.size=1024"];
    let long = format!("short\n{}\nnever read\n", "x".repeat(2000));
    let ended = run_with(&house.with(&small), &long);
    assert_eq!(ended.code, Some(1));
    assert!(ended.errors.contains("line 2: "), "{}", ended.errors);
    assert!(
        ended.errors.contains("max.request.size=1024"),
        "{}",
        ended.errors
    );
    assert!(ended.lines.is_empty(), "{:?}", ended.lines);
    assert!(
        !ended.errors.contains("produced"),
        "no summary beside an error"
    );
    assert!(
        ended.errors.contains("stored before it: 1"),
        "{}",
        ended.errors
    );
    assert_eq!(house.rest("t"), ["t/0@0 - short"]);
}

#[test]
fn max_ends_after_so_many_and_commits_no_more_than_was_printed() {
    let house = House::open("t", 1);
    house.produce("t", "a=1\na=2\na=3\na=4\na=5\n");
    let first = house.succeed(&[
        "consume", "t", "--group", "g", "--from", "earliest", "--max", "2",
    ]);
    assert_eq!(first, ["t/0@0 a 1", "t/0@1 a 2"]);
    assert_eq!(house.rest("t"), ["t/0@2 a 3", "t/0@3 a 4", "t/0@4 a 5"]);
}

#[test]
fn latest_begins_where_the_topic_ends() {
    let house = House::open("t", 1);
    house.produce("t", "a=1\n");
    let consumed = house.succeed(&[
        "consume",
        "t",
        "--group",
        "g",
        "--from",
        "latest",
        "--exit-at-end",
    ]);
    assert!(consumed.is_empty(), "{consumed:?}");
    let by_key = [
        "consume",
        "t",
        "--group",
        "h",
        "--set",
        "auto.offset.reset=earliest",
        "--exit-at-end",
    ];
    assert_eq!(house.succeed(&by_key), ["t/0@0 a 1"]);
}

#[test]
fn a_topic_that_is_not_there_is_waited_for_or_refused() {
    let house = House::open("t", 1);
    let refused = run(&house.with(&["consume", "ghost", "--group", "g", "--exit-at-end"]));
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.errors.contains("topic ghost does not exist"),
        "{}",
        refused.errors
    );
    let patient = [
        "consume", "ghost", "--group", "g", "--from", "earliest", "--max", "1",
    ];
    let refresh = ["--set", "metadata.max.age.ms=100"];
    let consumer = Process::start(&house.with(&[&patient[..], &refresh].concat()));
    house.succeed(&["topic", "create", "ghost", "--partitions", "1"]);
    house.produce("ghost", "boo=!\n");
    assert_eq!(consumer.line(), "ghost/0@0 boo !");
    assert_eq!(consumer.end().code, Some(0));
}

#[test]
fn two_members_share_and_the_one_that_stays_takes_over() {
    /// Enough keys for both partitions to have some.
    const KEYS: usize = 32;
    let house = House::open("t", 2);
    let round = |value: &str| {
        house.produce(
            "t",
            &(0..KEYS)
                .map(|key| format!("{key}={value}\n"))
                .collect::<String>(),
        )
    };
    let consume = [
        "consume",
        "t",
        "--group",
        "g",
        "--from",
        "earliest",
        "--set",
        "heartbeat.interval.ms=100",
    ];
    let one = Process::start(&house.with(&consume));
    round("first");
    for _ in 0..KEYS {
        assert!(one.line().ends_with(" first"));
    }
    let two = Process::start(&house.with(&consume));
    // Until the second has a partition: what is produced before goes to the first.
    while two.line_within(Duration::from_millis(100)).is_none() {
        round("shared");
    }
    round("last");
    while !one.line().ends_with(" last") {}
    while !two.line().ends_with(" last") {}
    assert_eq!(one.terminate().code, Some(0));
    round("alone");
    let mut alone = 0;
    while alone < KEYS {
        alone += usize::from(two.line().ends_with(" alone"));
    }
    assert_eq!(two.terminate().code, Some(0));
}
