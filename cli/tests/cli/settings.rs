//! What a person sets, and what a topic's or a broker's setting does to it.

use std::time::Duration;

use callboard_broker::testing::{Fault, TestBroker};
use callboard_protocol::{ApiKey, ErrorCode};

use crate::support::{House, Process, run, run_with, succeed};

#[test]
fn defaults_yield_to_what_is_set_and_a_producers_rule_binds_the_producer() {
    let house = House::open("t", 1);
    for set in [
        &["acks=1"][..],
        &["request.timeout.ms=305000"],
        &["delivery.timeout.ms=20000"],
        &[
            "linger.ms=1",
            "delivery.timeout.ms=25000",
            "request.timeout.ms=20000",
        ],
    ] {
        let settings: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        let arguments = [&["produce", "t"][..], &settings].concat();
        let produced = run_with(&house.with(&arguments), "a\n");
        assert_eq!(produced.code, Some(0), "{set:?}: {}", produced.errors);
    }
    let of_producers = [
        "--set",
        "acks=1",
        "--set",
        "enable.idempotence=true",
        "--set",
        "delivery.timeout.ms=1",
    ];
    house.succeed(&[&["topic", "list"][..], &of_producers].concat());
    let consume = [
        "consume",
        "t",
        "--group",
        "g",
        "--from",
        "earliest",
        "--exit-at-end",
    ];
    let printed = house.succeed(
        &[
            &consume[..],
            &of_producers,
            &["--set", "session.timeout.ms=6000"],
        ]
        .concat(),
    );
    assert_eq!(printed.len(), 4);
}

#[test]
fn servers_are_taken_as_people_write_them() {
    let house = House::open("t", 1);
    let written = format!("PLAINTEXT://{}", house.broker.listen);
    let listed = run(&["topic", "list", "--bootstrap", &written]);
    assert_eq!(listed.code, Some(0), "{}", listed.errors);
}

#[test]
fn a_batch_that_is_too_large_is_split_and_a_line_that_is_too_long_is_named() {
    let house = House::start(&[]);
    let small = ["--partitions", "1", "--config", "max.message.bytes=5000"];
    house.succeed(&[&["topic", "create", "t"][..], &small].concat());
    let lines: Vec<String> = (0..1_000).map(|number| format!("{number:0105}")).collect();
    let produced = run_with(&house.with(&["produce", "t"]), &lines.join("\n"));
    assert_eq!(produced.errors, "produced 1000 records to t\n");
    let printed = house.rest("t");
    assert_eq!(printed.len(), lines.len());
    assert!(
        printed
            .iter()
            .zip(&lines)
            .all(|(printed, line)| printed.ends_with(line.as_str()))
    );

    let long = format!("short\n{}\nshort\n", "x".repeat(6_000));
    let ended = run_with(&house.with(&["produce", "t"]), &long);
    assert_eq!(ended.code, Some(1));
    for said in ["line 2", "MESSAGE_TOO_LARGE", "max.message.bytes"] {
        assert!(ended.errors.contains(said), "{}", ended.errors);
    }
}

#[test]
fn a_record_larger_than_may_be_received_is_told_with_the_key() {
    let house = House::open("t", 1);
    house.produce("t", &format!("{}\n", "x".repeat(900_000)));
    let set = ["--set", "receive.message.max.bytes=100000"];
    let consume = ["consume", "t", "--group", "g", "--from", "earliest"];
    let consumer = Process::start(&house.with(&[&consume[..], &set].concat()));
    let said = loop {
        let line = consumer.error_line();
        if line.contains("receive.message.max.bytes=100000") {
            break line;
        }
    };
    assert!(said.contains("is larger than"), "{said}");
    assert_eq!(consumer.line_within(Duration::from_millis(1)), None);
    assert_eq!(consumer.terminate().code, Some(0));
}

#[test]
fn a_topic_written_as_a_pattern_is_refused_as_one() {
    let house = House::open("orders", 1);
    for group in [&["--group", "g"][..], &[]] {
        let ended = run(&house.with(&[&["consume", "^orders.*"][..], group].concat()));
        assert_eq!(ended.code, Some(2));
        assert!(
            ended.errors.contains("^orders.* reads as a pattern"),
            "{}",
            ended.errors
        );
    }
}

#[test]
fn refusals_are_told_when_they_begin_and_a_timeout_says_the_last_answer() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = runtime.block_on(TestBroker::builder().start()).unwrap();
    let address = broker.bootstrap();
    let at = ["--bootstrap", address.as_str()];
    succeed(&[&["topic", "create", "t", "--partitions", "1"][..], &at].concat());
    let broken = Fault::Error(ErrorCode::KAFKA_STORAGE_ERROR);
    broker.inject(ApiKey::PRODUCE, broken, u32::MAX).unwrap();
    let short = [
        "--set",
        "delivery.timeout.ms=2000",
        "--set",
        "request.timeout.ms=1000",
    ];
    let produced = run_with(&[&["produce", "t"][..], &at, &short].concat(), "a\n");
    assert_eq!(produced.code, Some(1));
    let lines: Vec<&str> = produced.errors.lines().collect();
    let [began, ended] = lines[..] else {
        panic!("{}", produced.errors);
    };
    assert!(
        began.contains("records are not stored") && began.contains("KAFKA_STORAGE_ERROR"),
        "{began}"
    );
    assert!(
        ended.contains("line 1: it is not stored: delivery.timeout.ms=2000 is over")
            && ended.contains("the last try: KAFKA_STORAGE_ERROR"),
        "{ended}"
    );
    runtime.block_on(broker.stop()).unwrap();
}

#[test]
fn a_group_that_will_not_have_it_says_what_to_change() {
    let house = House::open("t", 1);
    let consume = ["consume", "t", "--group", "g", "--from", "earliest"];
    let short = house.with(&[&consume[..], &["--set", "session.timeout.ms=100"]].concat());
    let ended = run(&short);
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    for part in [
        "group.min.session.timeout.ms",
        "group.max.session.timeout.ms",
    ] {
        assert!(ended.errors.contains(part), "{}", ended.errors);
    }
    assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
    house.produce("t", "a=1\n");
    let member = Process::start(&house.with(&consume));
    assert_eq!(member.line(), "t/0@0 a 1");
    let other = ["--set", "partition.assignment.strategy=roundrobin"];
    let ended = run(&house.with(&[&consume[..], &other].concat()));
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(
        ended.errors.contains("partition.assignment.strategy"),
        "{}",
        ended.errors
    );
    assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
    assert_eq!(member.terminate().code, Some(0));
}
