//! Keys, kinds, bounds, TOML, and the sentences of the errors.

use super::*;

#[test]
fn every_default_is_valid_and_every_key_is_named_once() {
    BrokerConfig::default().validate().unwrap();
    let mut names: Vec<_> = KEYS
        .iter()
        .flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()))
        .collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(KEYS.iter().all(|key| key.doc.ends_with('.')));
}

#[test]
fn every_bound_is_taken_and_what_lies_beyond_is_refused() {
    for key in KEYS {
        let Kind::Number { min, max } = key.kind else {
            continue;
        };
        let mut config = BrokerConfig::default();
        for value in [min, max] {
            config
                .set(key.name, &value.to_string())
                .unwrap_or_else(|error| panic!("{error}"));
        }
        if let Some(below) = min.checked_sub(1) {
            config.set(key.name, &below.to_string()).unwrap_err();
        }
        if let Some(above) = max.checked_add(1) {
            config.set(key.name, &above.to_string()).unwrap_err();
        }
    }
}

/// They share the threads of the runtime that may wait, of which tokio has 512. What else waits there, an append among it,
/// must find one whatever is set here.
#[test]
fn what_may_wait_for_the_disk_or_for_room_leaves_threads_for_others() {
    const THREADS: i64 = 512;
    let keys = [
        "callboard.compute.threads",
        "callboard.fetch.reads.max",
        "callboard.large.group.requests.max",
        "callboard.large.responses.max",
    ];
    let most = keys.map(|name| match Key::find(name).unwrap().kind {
        Kind::Number { max, .. } => max,
        kind => panic!("{name} is {kind}"),
    });
    assert!(most.iter().sum::<i64>() <= THREADS * 3 / 4, "{most:?}");
}

#[test]
fn a_fraction_is_from_0_to_1() {
    let key = "log.cleaner.min.cleanable.ratio";
    let mut config = BrokerConfig::default();
    assert_eq!(Key::find(key).unwrap().value(&config), "0.5");
    for (text, value) in [("0", 0.0), ("0.25", 0.25), ("1", 1.0)] {
        config.set(key, text).unwrap();
        assert_eq!(config.log_cleaner_min_cleanable_ratio, value);
        assert_eq!(Key::find(key).unwrap().value(&config), text);
    }
    for text in ["-0.1", "1.1", "NaN", "inf", "half", ""] {
        let error = config.set(key, text).unwrap_err().to_string();
        assert!(
            error.ends_with("it must be a number from 0 to 1"),
            "{error}"
        );
    }
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let mut config = BrokerConfig::default();
    let error = config
        .set("group.initial.rebalance.delay", "1")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown configuration key \"group.initial.rebalance.delay\", did you mean \"group.initial.rebalance.delay.ms\"?"
    );
    assert_eq!(
        config.set("xyz", "1").unwrap_err().to_string(),
        "unknown configuration key \"xyz\""
    );
}

#[test]
fn a_bad_value_says_what_it_must_be() {
    let mut config = BrokerConfig::default();
    for (key, value, sentence) in [
        (
            "num.partitions",
            "many",
            "num.partitions = \"many\" is not valid: it must be a whole number from 1 to 10000",
        ),
        (
            "auto.create.topics.enable",
            "yes",
            "auto.create.topics.enable = \"yes\" is not valid: it must be true or false",
        ),
        (
            "listeners",
            "SSL://:9093",
            "listeners = \"SSL://:9093\" is not valid: it must be HOST:PORT or PLAINTEXT://HOST:PORT",
        ),
        (
            "listeners",
            "",
            "listeners = \"\" is not valid: it must be HOST:PORT or PLAINTEXT://HOST:PORT",
        ),
        (
            "offsets.topic.replication.factor",
            "3",
            "offsets.topic.replication.factor = \"3\" is not valid: it must be 1",
        ),
    ] {
        assert_eq!(config.set(key, value).unwrap_err().to_string(), sentence);
    }
}

#[test]
fn toml_tables_dots_and_quotes_are_the_same() {
    for text in [
        "group.max.size = 5\nlisteners = \"localhost:1\"",
        "\"group.max.size\" = 5\nlisteners = [\"PLAINTEXT://localhost:1\"]",
        "listeners = \"localhost:1\"\n[group.max]\nsize = 5",
    ] {
        let mut config = BrokerConfig::default();
        config.set_toml(text).unwrap();
        assert_eq!(
            (config.group_max_size, config.listeners.to_string()),
            (5, "localhost:1".to_owned())
        );
    }
}

#[test]
fn a_toml_conflict_is_one_sentence_that_names_the_way_out() {
    let error = BrokerConfig::default()
        .set_toml("broker.id = 1\nbroker.id.generation.enable = true")
        .unwrap_err();
    let sentence = error.to_string();
    assert!(
        sentence.contains("needs quotes") && !sentence.contains('\n'),
        "{sentence}"
    );
}

#[test]
fn addresses_of_every_spelling() {
    for (text, host, port) in [
        ("localhost:9092", "localhost", 9092),
        ("PLAINTEXT://:9092", "", 9092),
        ("plaintext://[::1]:0", "::1", 0),
    ] {
        assert_eq!(
            ListenAddress::parse(text),
            Some(ListenAddress {
                host: host.to_owned(),
                port
            })
        );
    }
    for text in [
        "localhost",
        "::1:9092",
        "a:1,b:2",
        "SASL_SSL://a:1",
        "a:99999",
        "a b:1",
    ] {
        assert_eq!(ListenAddress::parse(text), None, "{text}");
    }
    assert_eq!(
        ListenAddress::parse("[::1]:5").unwrap().to_string(),
        "[::1]:5"
    );
}

#[test]
fn contradictions_between_keys_are_found() {
    let mut config = BrokerConfig::default();
    config.set("group.max.session.timeout.ms", "5").unwrap();
    assert!(
        config
            .validate()
            .unwrap_err()
            .to_string()
            .contains("group.max.session.timeout.ms")
    );
}

#[test]
fn minus_one_is_no_retention() {
    let mut config = BrokerConfig::default();
    config.set("log.retention.hours", "-1").unwrap();
    assert_eq!(
        (config.log_retention, config.log_retention_bytes),
        (None, None)
    );
}

#[test]
fn every_default_is_shown_as_it_is_spelled() {
    let config = BrokerConfig::default();
    for key in KEYS {
        assert_eq!(key.value(&config), key.default, "{}", key.name);
        assert!(!key.is_given(&config), "{}", key.name);
    }
}

#[test]
fn what_was_set_is_shown_and_known_as_given() {
    let mut config = BrokerConfig::default();
    let value = |config: &BrokerConfig, name: &str| {
        let key = Key::find(name).unwrap();
        (key.value(config), key.is_given(config))
    };
    for (name, text) in [
        ("listeners", "[::1]:7"),
        ("advertised.listeners", "host:8"),
        ("broker.id", "4"),
        ("cluster.id", "abc"),
        ("auto.create.topics.enable", "false"),
        ("log.message.timestamp.type", "LogAppendTime"),
        ("log.retention.bytes", "9"),
        ("log.roll.hours", "3"),
        ("offsets.retention.minutes", "77"),
        // Given, though it is the default.
        ("group.max.size", "2147483647"),
    ] {
        config.set(name, text).unwrap();
        assert_eq!(value(&config, name), (text.to_owned(), true), "{name}");
    }
    assert_eq!(
        value(&config, "log.roll.ms"),
        ("10800000".to_owned(), false)
    );
    config.set("log.retention.minutes", "-1").unwrap();
    assert_eq!(
        value(&config, "log.retention.minutes"),
        ("-1".to_owned(), true)
    );
    assert_eq!(value(&config, "log.retention.ms").0, "-1");
    // A field that was set without its key.
    config.num_partitions = 5;
    assert_eq!(value(&config, "num.partitions"), ("5".to_owned(), true));
}

#[test]
fn a_batch_of_the_offsets_topic_fits_into_its_segments() {
    let mut config = BrokerConfig::default();
    assert_eq!(config.offsets_batch_bytes(), 8 * 1024 * 1024);
    config
        .set("offsets.topic.segment.bytes", "1048576")
        .unwrap();
    config.validate().unwrap();
    let holds = config.offsets_batch_bytes();
    assert!((1_000_000..1_048_576).contains(&holds), "{holds}");
    let key = "callboard.offsets.batch.max.bytes";
    config.set(key, &holds.to_string()).unwrap();
    config.validate().unwrap();
    for too_much in [holds + 1, 8 * 1024 * 1024] {
        config.set(key, &too_much.to_string()).unwrap();
        let refused = config.validate().unwrap_err().to_string();
        assert!(refused.contains(key), "{refused}");
        assert!(
            refused.contains("offsets.topic.segment.bytes = 1048576"),
            "{refused}"
        );
    }
}

#[test]
fn nobody_is_told_to_connect_to_every_interface() {
    let mut config = BrokerConfig::default();
    for wildcard in [
        "0.0.0.0:9092",
        "[::]:9092",
        "PLAINTEXT://[::ffff:0.0.0.0]:1",
    ] {
        config.set("advertised.listeners", wildcard).unwrap();
        let refused = config.validate().unwrap_err().to_string();
        assert!(refused.contains("advertised.listeners"), "{refused}");
    }
    for fine in ["", ":9092", "localhost:0", "[::1]:9092"] {
        config.set("advertised.listeners", fine).unwrap();
        config.validate().unwrap();
    }
    // To listen there is another matter.
    config.set("listeners", "0.0.0.0:9092").unwrap();
    config.validate().unwrap();
}
