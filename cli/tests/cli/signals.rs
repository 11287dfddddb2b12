//! Signals and closed pipes: what a shell sends ends every command in order.

use std::io::Read;
use std::process::Stdio;

use crate::support::{Broker, House, Process, command, run_with, succeed};

#[test]
fn every_signal_of_a_shell_commits_and_leaves_the_group() {
    let house = House::open("t", 1);
    for (signal, value, code) in [
        ("TERM", "1", 0),
        ("INT", "2", 0),
        ("QUIT", "3", 0),
        ("HUP", "4", 129),
    ] {
        house.produce("t", &format!("a={value}\n"));
        let consumer =
            Process::start(&house.with(&["consume", "t", "--group", "g", "--from", "earliest"]));
        assert!(consumer.line().ends_with(&format!("a {value}")));
        consumer.signal(signal);
        let ended = consumer.end();
        assert_eq!(ended.code, Some(code), "{signal}: {}", ended.errors);
        assert!(ended.errors.is_empty(), "{signal}: {}", ended.errors);
        // A member that had not left would keep the partition for 45 s more.
        assert!(
            house.rest("t").is_empty(),
            "{signal}: what was printed is committed"
        );
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly_without_a_further_record() {
    let house = House::open("t", 1);
    house.produce("t", "a=1\n");
    let consume = house.with(&["consume", "t", "--group", "g", "--from", "earliest"]);
    let (line, consumer) = Process::start_and_read_one_line(&consume);
    assert_eq!(line, "t/0@0 a 1\n");
    let ended = consumer.end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.errors.is_empty(), "{}", ended.errors);
    assert!(house.rest("t").is_empty(), "it has committed and left");
}

#[test]
fn signals_of_one_moment_are_one_request_to_end() {
    let house = House::open("t", 1);
    let consume = house.with(&["consume", "t", "--group", "g", "--from", "earliest"]);
    for round in 0..8 {
        house.produce("t", &format!("a={round}\n"));
        let consumer = Process::start(&consume);
        assert!(consumer.line().ends_with(&format!("a {round}")));
        // As coreutils' timeout does: its child, then its group, which the child is in.
        consumer.signals("TERM", 2);
        let ended = consumer.end();
        assert_eq!(ended.code, Some(0), "{round}: {}", ended.errors);
        assert!(ended.errors.is_empty(), "{round}: {}", ended.errors);
        assert!(
            house.rest("t").is_empty(),
            "{round}: it has committed and left"
        );
    }
}

#[test]
fn timeout_of_coreutils_ends_it_in_order() {
    let house = House::open("t", 1);
    house.produce("t", "a=1\n");
    let consume = house.with(&["consume", "t", "--group", "g", "--from", "earliest"]);
    // Asked to end it passes that on as it does when time is up: to its child, and to the group which the child is in.
    let consumer = Process::start_under(&["timeout", "600"], &consume);
    assert!(consumer.line().ends_with("a 1"));
    let ended = consumer.terminate();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.errors.is_empty(), "{}", ended.errors);
    assert!(house.rest("t").is_empty(), "it has committed and left");
}

#[test]
fn who_asks_again_does_not_wait_for_the_farewell() {
    let house = House::open("t", 1);
    house.produce("t", "a=1\n");
    let consume = house.with(&["consume", "t", "--group", "g", "--from", "earliest"]);
    let mut consumer = Process::start(&consume);
    assert!(consumer.line().ends_with("a 1"));
    // A broker that does not answer: the farewell would take its ten seconds.
    house.broker.process.signal("STOP");
    while !consumer.has_ended() {
        consumer.signal("INT");
    }
    let ended = consumer.end();
    house.broker.process.signal("CONT");
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("a second SIGINT"), "{}", ended.errors);
}

#[test]
fn every_signal_of_a_shell_ends_the_broker_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let epoch = |broker: &Broker| {
        let described = succeed(&["topic", "describe", "t", "--bootstrap", &broker.listen]);
        described[2].split_whitespace().nth(2).unwrap().to_owned()
    };
    let mut broker = Broker::start(directory.path());
    succeed(&[
        "topic",
        "create",
        "t",
        "--partitions",
        "1",
        "--bootstrap",
        &broker.listen,
    ]);
    let stored = run_with(&["produce", "t", "--bootstrap", &broker.listen], "x\n");
    assert_eq!(stored.code, Some(0), "{}", stored.errors);
    let before = epoch(&broker);
    for (signal, code) in [("HUP", 129), ("QUIT", 0), ("INT", 0), ("TERM", 0)] {
        broker.process.signal(signal);
        let ended = broker.process.end();
        assert_eq!(ended.code, Some(code), "{signal}: {}", ended.errors);
        assert!(
            ended.errors.contains(&format!("SIG{signal}")),
            "{}",
            ended.errors
        );
        broker = Broker::start(directory.path());
        // A log that was not closed in order begins another epoch.
        assert_eq!(epoch(&broker), before, "{signal}");
    }
}

#[test]
fn produce_stores_what_it_has_read_when_it_is_asked_to_end() {
    let house = House::open("t", 1);
    for (signal, code) in [("HUP", 129), ("INT", 0)] {
        let mut child = command(&house.with(&["produce", "t"])).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, b"one\n").unwrap();
        // It is read once it can be consumed; the input stays open.
        let group = format!("g-{signal}");
        let first = house.succeed(&[
            "consume", "t", "--group", &group, "--from", "earliest", "--max", "1",
        ]);
        assert!(first[0].ends_with("one"), "{first:?}");
        let pid = child.id().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &pid])
            .status();
        assert!(kill.unwrap().success());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(code));
        assert_eq!(
            String::from_utf8(ended.stderr).unwrap(),
            "produced 1 records to t\n"
        );
        drop(stdin);
    }
}

/// What `count` lines of `t` look like from the first on.
fn lines(count: usize) -> String {
    (0..count)
        .map(|number| format!("{number:0>100}\n"))
        .collect()
}

#[test]
fn a_pipe_that_closes_in_the_middle_commits_what_was_printed_and_no_more() {
    /// More than a pipe holds.
    const COUNT: usize = 5_000;
    /// What a pipe holds on Linux.
    const PIPE: usize = 64 * 1024;
    let house = House::open("t", 1);
    let stored = run_with(&house.with(&["produce", "t"]), &lines(COUNT));
    assert_eq!(stored.code, Some(0), "{}", stored.errors);
    let consume = house.with(&["consume", "t", "--group", "g", "--from", "earliest"]);
    let mut child = command(&consume).spawn().unwrap();
    let mut read = vec![0; 150_000];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut read).unwrap();
    drop(stdout);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
    let whole = read.iter().filter(|byte| **byte == b'\n').count();
    let rest = house.rest("t");
    let committed = COUNT - rest.len();
    assert!(
        rest[0].starts_with(&format!("t/0@{committed} ")),
        "{}",
        rest[0]
    );
    assert!(committed >= whole, "{committed} of {whole} that were read");
    assert!(
        committed <= whole + 1 + PIPE / 100,
        "{committed}, but only {whole} were read"
    );
}

#[test]
fn a_reader_that_does_not_read_on_does_not_keep_it_from_ending() {
    let house = House::open("t", 1);
    let stored = run_with(&house.with(&["produce", "t"]), &lines(5_000));
    assert_eq!(stored.code, Some(0), "{}", stored.errors);
    let consume = house.with(&["consume", "t", "--group", "g", "--from", "earliest"]);
    let mut child = command(&consume).spawn().unwrap();
    // Kept open, and no more than a byte of it read.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    let pid = child.id().to_string();
    let kill = std::process::Command::new("kill")
        .args(["-s", "TERM", &pid])
        .status();
    assert!(kill.unwrap().success());
    let ended = child.wait().unwrap();
    drop(stdout);
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn a_stderr_that_has_gone_changes_no_exit_code() {
    for arguments in [
        &["topic", "list", "--set", "nonsense"][..],
        // This one logs as well.
        &[
            "broker",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            "/proc/none",
            "--set",
            "log.dirs=/proc/none",
        ],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(arguments);
        let status = command
            .stdin(Stdio::null())
            .stderr(writer)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}
