//! Topics that are made with settings, changed, and described with them.

use crate::support::{House, run};

/// The settings of a topic as `describe` prints them.
fn settings(house: &House, topic: &str, more: &[&str]) -> Vec<String> {
    let describe = [&["topic", "describe", topic], more].concat();
    let described = house.succeed(&describe);
    let settings = described
        .iter()
        .filter_map(|line| line.strip_prefix("config "));
    settings.map(ToOwned::to_owned).collect()
}

#[test]
fn settings_are_given_shown_changed_and_taken_back() {
    let house = House::start(&[]);
    let create = [
        "topic",
        "create",
        "t",
        "--partitions",
        "2",
        "--config",
        "retention.ms=60000",
    ];
    house.succeed(&[&create[..], &["--config", "cleanup.policy=compact,delete"]].concat());
    assert_eq!(
        settings(&house, "t", &[]),
        [
            "cleanup.policy=compact,delete  (set for the topic)",
            "retention.ms=60000  (set for the topic)"
        ]
    );
    let all = settings(&house, "t", &["--all-configs"]);
    assert!(all.len() > 10, "{all:?}");
    assert!(
        all[0].ends_with("(set for the topic)") && all[2].ends_with("(default)"),
        "{all:?}"
    );

    let alter = ["topic", "alter", "t", "--config", "retention.ms=70000"];
    let altered = house.succeed(&[&alter[..], &["--delete-config", "cleanup.policy"]].concat());
    assert_eq!(
        altered,
        [
            "t has retention.ms=70000",
            "t has the default of cleanup.policy"
        ]
    );
    assert_eq!(
        settings(&house, "t", &[]),
        ["retention.ms=70000  (set for the topic)"]
    );
    house.succeed(&["topic", "alter", "t", "--config", "retention.ms="]);
    assert!(settings(&house, "t", &[]).is_empty());
}

#[test]
fn a_topic_grows_and_does_not_shrink() {
    let house = House::open("t", 2);
    let grown = house.succeed(&["topic", "alter", "t", "--partitions", "5"]);
    assert_eq!(grown, ["t has 5 partitions"]);
    let described = house.succeed(&["topic", "describe", "t"]);
    assert_eq!(described.len(), 2 + 5, "{described:?}");
    for fewer in ["5", "3"] {
        let ended = run(&house.with(&["topic", "alter", "t", "--partitions", fewer]));
        assert_eq!(ended.code, Some(2), "{}", ended.errors);
        assert!(
            ended.errors.contains("INVALID_PARTITIONS"),
            "{}",
            ended.errors
        );
    }
}

#[test]
fn what_a_topic_cannot_have_is_refused_and_changes_nothing() {
    let house = House::open("t", 1);
    for (arguments, code, part) in [
        (
            &["topic", "alter", "t", "--config", "retention.ms=soon"][..],
            2,
            "retention.ms",
        ),
        (
            &[
                "topic",
                "alter",
                "t",
                "--config",
                "no.such.key=1",
                "--partitions",
                "2",
            ],
            2,
            "no.such.key",
        ),
        (
            &["topic", "alter", "t", "--config", "retention.ms"],
            2,
            "KEY=VALUE",
        ),
        (&["topic", "alter", "t"], 2, "--partitions"),
        (
            &["topic", "alter", "ghost", "--partitions", "2"],
            1,
            "topic ghost does not exist",
        ),
        (
            &["topic", "alter", "ghost", "--config", "retention.ms=1"],
            1,
            "topic ghost does not exist",
        ),
        (
            &[
                "topic",
                "create",
                "u",
                "--partitions",
                "1",
                "--config",
                "retention.ms=soon",
            ],
            2,
            "retention.ms",
        ),
        (
            &["topic", "create", "a b", "--partitions", "1"],
            2,
            "INVALID_TOPIC_EXCEPTION",
        ),
    ] {
        let ended = run(&house.with(arguments));
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.errors);
        assert!(
            ended.errors.contains(part),
            "{arguments:?}: {}",
            ended.errors
        );
        assert!(ended.lines.is_empty(), "{arguments:?}: {:?}", ended.lines);
    }
    let described = house.succeed(&["topic", "describe", "t"]);
    assert_eq!(described.len(), 2 + 1, "{described:?}");
    let names = house.succeed(&["topic", "list"]);
    assert!(!names.contains(&"u".to_owned()), "{names:?}");
}
