//! What can be asked, and how what cannot be is refused: one sentence, exit 2; what failed is exit 1.

use crate::support::{run, run_with, succeed};

/// One line on stderr that has all of these in it.
#[track_caller]
fn refused(arguments: &[&str], code: i32, parts: &[&str]) {
    let ended = run(arguments);
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
    for part in parts {
        assert!(
            ended.errors.contains(part),
            "{part} is not in: {}",
            ended.errors
        );
    }
    assert!(ended.lines.is_empty(), "{:?}", ended.lines);
}

#[test]
fn help_names_the_commands_and_not_the_hidden_one() {
    let help = succeed(&["--help"]).join("\n");
    for command in ["broker", "topic", "produce", "consume", "demo"] {
        assert!(help.contains(command), "{command}");
    }
    assert!(!help.contains("demo-member"));
}

#[test]
fn help_names_the_keys_of_clients() {
    for command in ["consume", "produce"] {
        let help = succeed(&[command, "--help"]).join("\n");
        for key in [
            "session.timeout.ms=45000",
            "partition.assignment.strategy=range",
            "group.instance.id",
            "acks=all",
        ] {
            assert!(help.contains(key), "{command}: {key}");
        }
    }
}

#[test]
fn help_names_the_keys_of_the_broker() {
    let help = succeed(&["broker", "--help"]).join("\n");
    for key in [
        "group.initial.rebalance.delay.ms=3000",
        "offsets.topic.num.partitions=50",
        "Also broker.id",
    ] {
        assert!(help.contains(key), "{key}");
    }
}

#[test]
fn an_unknown_client_key_names_the_nearest() {
    let set = "sesion.timeout.ms=1";
    refused(
        &["consume", "t", "--group", "g", "--set", set],
        2,
        &["sesion.timeout.ms", "did you mean session.timeout.ms"],
    );
    refused(
        &["produce", "t", "--set", "ack=all"],
        2,
        &["did you mean acks"],
    );
}

#[test]
fn a_key_that_is_none_here_says_what_takes_its_place() {
    for (set, instead) in [
        ("group.id=g", "--group"),
        ("enable.auto.commit=false", "auto.commit.interval.ms"),
        ("max.poll.records=1", "queued.max.messages.kbytes"),
        ("isolation.level=read_committed", "read_uncommitted"),
    ] {
        let key = set.split('=').next().unwrap_or_default();
        refused(
            &["consume", "t", "--group", "g", "--set", set],
            2,
            &[key, instead],
        );
    }
}

#[test]
fn an_unknown_broker_key_names_the_nearest() {
    refused(
        &["broker", "--set", "group.max.sizes=1"],
        2,
        &["group.max.sizes", "did you mean \"group.max.size\""],
    );
}

#[test]
fn values_and_pairs_that_cannot_be_are_refused() {
    refused(
        &[
            "consume",
            "t",
            "--group",
            "g",
            "--set",
            "session.timeout.ms=soon",
        ],
        2,
        &["session.timeout.ms=soon"],
    );
    refused(
        &[
            "consume",
            "t",
            "--group",
            "g",
            "--set",
            "session.timeout.ms",
        ],
        2,
        &["KEY=VALUE"],
    );
    refused(
        &[
            "consume",
            "t",
            "--group",
            "g",
            "--set",
            "heartbeat.interval.ms=45000",
            "--set",
            "session.timeout.ms=45000",
        ],
        2,
        &["heartbeat.interval.ms=45000 must be below session.timeout.ms=45000"],
    );
    refused(
        &["topic", "list", "--bootstrap", "nowhere:"],
        2,
        &["host:port"],
    );
    refused(
        &["topic", "list", "--bootstrap", "SASL_SSL://nowhere:1"],
        2,
        &["SASL_SSL needs TLS and SASL"],
    );
    let acks = ["--set", "acks=1", "--set", "enable.idempotence=true"];
    refused(
        &[&["produce", "t"][..], &acks].concat(),
        2,
        &["enable.idempotence=true needs acks=all, and acks=1 was set"],
    );
    refused(
        &["broker", "--listen", "nowhere"],
        2,
        &["nowhere", "HOST:PORT"],
    );
    refused(
        &["broker", "--set", "num.partitions=0"],
        2,
        &["num.partitions", "from 1"],
    );
    refused(
        &["broker", "--set", "group.min.session.timeout.ms=1800001"],
        2,
        &["must not exceed"],
    );
    refused(
        &["produce", "t", "--key-separator", ""],
        2,
        &["--key-separator"],
    );
    refused(
        &["produce", "t", "--file", "/no/such/file"],
        2,
        &["/no/such/file"],
    );
}

#[test]
fn a_configuration_file_is_checked_like_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("broker.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "[group.max]\nsizes = 1\n").unwrap();
    refused(
        &["broker", "--config", path],
        2,
        &["group.max.sizes", "group.max.size"],
    );
    std::fs::write(&file, "broker.id = 1\nbroker.id.generation.enable = true\n").unwrap();
    refused(
        &["broker", "--config", path],
        2,
        &["not valid TOML", "quotes"],
    );
    refused(
        &["broker", "--config", "/no/such/file"],
        2,
        &["/no/such/file"],
    );
}

#[test]
fn commands_that_do_not_exist_are_exit_2() {
    assert_eq!(run(&["dance"]).code, Some(2));
    assert_eq!(run(&["consume"]).code, Some(2), "a topic is required");
    assert_eq!(
        run(&["topic", "create", "t", "--partitions", "0"]).code,
        Some(2)
    );
}

#[test]
fn no_broker_is_exit_1_and_says_how_to_start_one() {
    // Nobody may listen on port 1.
    refused(
        &["topic", "list", "--bootstrap", "127.0.0.1:1"],
        1,
        &["127.0.0.1:1", "callboard broker"],
    );
    let ended = run_with(&["produce", "t", "--bootstrap", "127.0.0.1:1"], "line\n");
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
