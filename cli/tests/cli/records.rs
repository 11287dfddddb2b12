//! What becomes of records between `produce` and `consume`: nothing is lost, nothing looks like something else.

use crate::support::{House, run, run_with};

/// Everything of a topic as JSON, by a group that nobody else is.
fn all(house: &House, topic: &str, group: &str) -> Vec<serde_json::Value> {
    let consume = ["consume", topic, "--group", group, "--from", "earliest"];
    let output = ["--exit-at-end", "--output", "json"];
    let lines = house.succeed(&[&consume[..], &output].concat());
    let parse = |line: String| serde_json::from_str(&line).unwrap();
    lines.into_iter().map(parse).collect()
}

fn produce(house: &House, arguments: &[&str], input: &str) {
    let ended = run_with(&house.with(arguments), input);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.lines.is_empty(), "{:?}", ended.lines);
}

#[test]
fn what_consume_prints_as_json_produce_stores_again() {
    let house = House::open("one", 2);
    house.succeed(&["topic", "create", "two", "--partitions", "2"]);
    let input = r#"{"partition":0,"timestamp":1700000000123,"key":null,"value":"no key"}
{"partition":0,"key":"","value":""}

{"partition":0,"key":"gone","value":null}
{"partition":0,"key":"-","value":"null"}
{"partition":1,"key":{"base64":"/wA="},"value":{"base64":"wyg="},"headers":[{"key":"a","value":{"base64":"gA=="}},{"key":"a","value":null},{"key":"","value":""}]}
{"partition":1,"key":"{\"base64\":\"AA==\"}","value":"ä\n\r\t\\ \u0000\u001b"}
"#;
    produce(&house, &["produce", "one", "--input", "json"], input);
    let stored = all(&house, "one", "g");
    assert_eq!(stored.len(), 6, "{stored:?}");
    let of = |partition: u64| {
        stored
            .iter()
            .filter(move |one| one["partition"] == partition)
    };
    let first = of(0).next().unwrap();
    assert_eq!(
        first.to_string(),
        serde_json::json!({
            "topic": "one", "partition": 0, "offset": 0, "timestamp": 1_700_000_000_123_i64,
            "key": null, "value": "no key", "headers": []
        })
        .to_string()
    );
    let values: Vec<_> = of(0).map(|one| one["value"].clone()).collect();
    assert_eq!(
        values,
        [
            "no key".into(),
            "".into(),
            serde_json::Value::Null,
            "null".into()
        ]
    );
    let bytes = of(1).next().unwrap();
    assert_eq!(bytes["key"]["base64"], "/wA=");
    assert_eq!(bytes["headers"][0]["value"]["base64"], "gA==");
    assert!(bytes["headers"][1]["value"].is_null());

    // Again, into another topic and into its own.
    let lines: String = stored.iter().map(|one| format!("{one}\n")).collect();
    produce(&house, &["produce", "two", "--input", "json"], &lines);
    let copied = all(&house, "two", "g");
    let renamed = |mut one: serde_json::Value| {
        one["topic"] = "one".into();
        one
    };
    let mut copied: Vec<String> = copied
        .into_iter()
        .map(|one| renamed(one).to_string())
        .collect();
    let mut expected: Vec<String> = stored.iter().map(ToString::to_string).collect();
    copied.sort();
    expected.sort();
    assert_eq!(copied, expected);
    produce(&house, &["produce", "--input", "json"], &lines);
    assert_eq!(all(&house, "one", "again").len(), 12);
}

#[test]
fn a_bad_line_of_json_is_named_and_what_was_before_it_is_stored() {
    let house = House::open("t", 1);
    for (line, part) in [
        ("{\"value\":", "EOF"),
        ("{\"valu\":\"a\"}", "unknown field `valu`"),
        ("{\"key\":\"a\"}", "missing field `value`"),
        ("{\"value\":{\"base64\":\"?\"}}", "at column"),
        ("{\"partition\":7,\"value\":\"a\"}", "no partition 7"),
        ("plain text", "at column"),
    ] {
        let input = format!("{{\"value\":\"before\"}}\n{line}\n{{\"value\":\"behind\"}}\n");
        let ended = run_with(&house.with(&["produce", "t", "--input", "json"]), &input);
        assert_eq!(ended.code, Some(1), "{line}");
        assert_eq!(ended.errors.lines().count(), 1, "{}", ended.errors);
        for part in ["line 2: ", part, "stored before it: 1"] {
            assert!(
                ended.errors.contains(part),
                "{part} is not in {}",
                ended.errors
            );
        }
    }
    let stored = all(&house, "t", "g");
    assert!(
        stored.iter().all(|one| one["value"] == "before"),
        "{stored:?}"
    );
    assert_eq!(stored.len(), 6);
}

#[test]
fn tombstones_are_produced_and_told_apart() {
    let house = House::open("t", 1);
    let lines = "a:NULL\nb:null\nc:-\nd:\nNULL:e\n";
    produce(
        &house,
        &[
            "produce",
            "t",
            "--key-separator",
            ":",
            "--null-value",
            "NULL",
        ],
        lines,
    );
    let keys_and_values: Vec<String> = all(&house, "t", "json")
        .iter()
        .map(|one| format!("{} {}", one["key"], one["value"]))
        .collect();
    assert_eq!(
        keys_and_values,
        [
            "\"a\" null",
            "\"b\" \"null\"",
            "\"c\" \"-\"",
            "\"d\" \"\"",
            "null \"e\""
        ]
    );
    let plain = [
        "consume",
        "t",
        "--group",
        "plain",
        "--from",
        "earliest",
        "--exit-at-end",
    ];
    assert_eq!(house.succeed(&plain)[0], "t/0@0 a -");
    let told = [
        "consume",
        "t",
        "--group",
        "told",
        "--from",
        "earliest",
        "--exit-at-end",
        "--null-value",
        "\u{2205}",
    ];
    assert_eq!(
        house.succeed(&told),
        [
            "t/0@0 a \u{2205}",
            "t/0@1 b null",
            "t/0@2 c -",
            "t/0@3 d ",
            "t/0@4 \u{2205} e"
        ]
    );
}

#[test]
fn plain_output_has_what_is_asked_for() {
    let house = House::open("t", 1);
    let record =
        r#"{"timestamp":1700000000123,"key":"k","value":"v","headers":[{"key":"h","value":"1"}]}"#;
    produce(&house, &["produce", "t", "--input", "json"], record);
    for (number, (options, line)) in [
        (&[][..], "t/0@0 k v"),
        (&["--print-key"], "t/0@0 k v"),
        (&["--print-key=false"], "t/0@0 v"),
        (&["--print-timestamp"], "t/0@0 1700000000123 k v"),
        (&["--print-headers"], "t/0@0 h=1 k v"),
        (
            &["--print-headers", "--print-timestamp", "--print-key"],
            "t/0@0 1700000000123 h=1 k v",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let group = format!("g{number}");
        let consume = [
            "consume",
            "t",
            "--group",
            &group,
            "--from",
            "earliest",
            "--exit-at-end",
        ];
        assert_eq!(house.succeed(&[&consume[..], options].concat()), [line]);
    }
    let both = run(&house.with(&[
        "consume",
        "t",
        "--group",
        "g",
        "--output",
        "json",
        "--print-key",
    ]));
    assert_eq!(both.code, Some(2), "{}", both.errors);
}

#[test]
fn a_newline_and_the_letters_for_it_print_different_lines() {
    let house = House::open("t", 1);
    let values = ["\n", "\\n", "\u{0}", "\\x00", "\u{1b}", "\\x1b", "\\"];
    let lines: String = values
        .iter()
        .map(|value| format!("{}\n", serde_json::json!({ "value": value })))
        .collect();
    produce(&house, &["produce", "t", "--input", "json"], &lines);
    let printed = house.rest("t");
    let values: Vec<&str> = printed
        .iter()
        .map(|line| line.rsplit_once(' ').unwrap().1)
        .collect();
    assert_eq!(
        values,
        [
            "\\n", "\\\\n", "\\x00", "\\\\x00", "\\x1b", "\\\\x1b", "\\\\"
        ]
    );
}

#[test]
fn the_ends_of_crlf_files_are_not_part_of_values_unless_asked_for() {
    let house = House::open("t", 1);
    produce(&house, &["produce", "t"], "one\r\ntwo\n\r\n");
    produce(&house, &["produce", "t", "--keep-cr"], "three\r\n");
    let values: Vec<String> = all(&house, "t", "g")
        .iter()
        .map(|one| one["value"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(values, ["one", "two", "", "three\r"]);
}

#[test]
fn the_summary_of_produce_is_on_stderr() {
    let house = House::open("t", 1);
    let ended = run_with(&house.with(&["produce", "t"]), "a\nb\n");
    assert_eq!(ended.code, Some(0));
    assert!(ended.lines.is_empty(), "{:?}", ended.lines);
    assert_eq!(ended.errors, "produced 2 records to t\n");
}
