//! DescribeConfigs and IncrementalAlterConfigs: what is changed is what is told. Codes and sentences are those of a running
//! Apache Kafka 4.2.0 where nothing else is said.

use callboard_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource,
};
use callboard_protocol::messages::incremental_alter_configs::AlterableConfig;

use super::*;
use crate::testing::{Bench, Wire};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

type Change = (&'static str, i8, Option<&'static str>);

fn resource(kind: i8, name: &'static str, changes: &[Change]) -> AlterConfigsResource<'static> {
    let change = |(name, operation, value): &Change| AlterableConfig {
        name: (*name).into(),
        config_operation: *operation,
        value: value.map(Into::into),
        ..Default::default()
    };
    AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: changes.iter().map(change).collect(),
        ..Default::default()
    }
}

async fn alter(
    wire: &mut Wire,
    resources: Vec<AlterConfigsResource<'static>>,
    validate_only: bool,
    version: i16,
) -> Vec<(i16, Option<String>)> {
    let asked = IncrementalAlterConfigsRequest {
        resources,
        validate_only,
        ..Default::default()
    };
    let answer = wire.ask(&asked, version).await;
    let read = answer.read();
    let responses = read.responses.iter();
    responses
        .map(|one| {
            (
                one.error_code,
                one.error_message.as_deref().map(str::to_owned),
            )
        })
        .collect()
}

/// A key as it is told: value, source, kind, and its synonyms with theirs.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    value: Option<String>,
    source: i8,
    read_only: bool,
    kind: i8,
    synonyms: Vec<(String, String, i8)>,
    documented: bool,
}

async fn describe(wire: &mut Wire, kind: i8, name: &'static str, key: &'static str) -> Told {
    let asked = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: Some(vec![key.into(), "no.such.key".into()]),
            ..Default::default()
        }],
        include_synonyms: true,
        include_documentation: true,
        ..Default::default()
    };
    let answer = wire.ask(&asked, 4).await;
    let read = answer.read();
    assert_eq!(
        (read.results[0].error_code, read.results[0].configs.len()),
        (0, 1),
        "{key}"
    );
    let config = &read.results[0].configs[0];
    assert_eq!(config.name, key);
    let synonyms = config.synonyms.iter().map(|one| {
        let value = one.value.as_deref().unwrap().to_owned();
        (one.name.to_string(), value, one.source)
    });
    Told {
        value: config.value.as_deref().map(str::to_owned),
        source: config.config_source,
        read_only: config.read_only,
        kind: config.config_type,
        synonyms: synonyms.collect(),
        documented: config
            .documentation
            .as_deref()
            .is_some_and(|doc| !doc.is_empty()),
    }
}

fn synonyms(expected: &[(&str, &str, i8)]) -> Vec<(String, String, i8)> {
    let owned = |(name, value, source): &(&str, &str, i8)| {
        ((*name).to_owned(), (*value).to_owned(), *source)
    };
    expected.iter().map(owned).collect()
}

#[tokio::test]
async fn a_topics_settings_change_and_are_told() {
    let mut bench = Bench::start_with(|config| {
        config.set("log.retention.minutes", "5").unwrap();
    })
    .await;
    bench.create("g", 1).await;
    let mut wire = bench.connect();
    let plain = describe(&mut wire, TOPIC, "g", "retention.ms").await;
    let of_broker = [
        ("log.retention.minutes", "5", 4),
        ("log.retention.hours", "168", 5),
    ];
    assert_eq!(plain.value.as_deref(), Some("300000"));
    assert_eq!((plain.source, plain.kind, plain.read_only), (4, 5, false));
    assert_eq!(plain.synonyms, synonyms(&of_broker));
    assert!(plain.documented);
    for version in 0..=1 {
        let changes = [
            ("retention.ms", SET, Some("5000")),
            ("cleanup.policy", APPEND, Some("compact")),
        ];
        let told = alter(
            &mut wire,
            vec![resource(TOPIC, "g", &changes)],
            false,
            version,
        )
        .await;
        assert_eq!(told, [(0, None)]);
    }
    let own = describe(&mut wire, TOPIC, "g", "retention.ms").await;
    assert_eq!((own.value.as_deref(), own.source), (Some("5000"), 1));
    let all = [&[("retention.ms", "5000", 1)][..], &of_broker].concat();
    assert_eq!(own.synonyms, synonyms(&all));
    let policy = describe(&mut wire, TOPIC, "g", "cleanup.policy").await;
    assert_eq!(policy.value.as_deref(), Some("delete,compact"));
    assert_eq!(
        policy.synonyms,
        synonyms(&[
            ("cleanup.policy", "delete,compact", 1),
            ("log.cleanup.policy", "delete", 5)
        ])
    );
    // Only looked at.
    let changes = [("retention.ms", DELETE, None)];
    let told = alter(&mut wire, vec![resource(TOPIC, "g", &changes)], true, 1).await;
    assert_eq!(told, [(0, None)]);
    let same = describe(&mut wire, TOPIC, "g", "retention.ms").await;
    assert_eq!(same, own);
    alter(&mut wire, vec![resource(TOPIC, "g", &changes)], false, 1).await;
    let gone = describe(&mut wire, TOPIC, "g", "retention.ms").await;
    assert_eq!(gone, plain);
    bench.stop().await;
}

#[tokio::test]
async fn a_setting_holds_at_once() {
    use crate::log::{AppendReply, test_batch};
    let mut bench = Bench::start().await;
    bench.create("g", 1).await;
    let mut wire = bench.connect();
    let changes = [("max.message.bytes", SET, Some("10"))];
    alter(&mut wire, vec![resource(TOPIC, "g", &changes)], false, 1).await;
    let log = bench
        .services
        .topics
        .snapshot()
        .by_name("g")
        .unwrap()
        .logs()[0]
        .clone();
    let (done, appended) = tokio::sync::oneshot::channel();
    let reply = AppendReply::new(|outcome| drop(done.send(outcome)));
    log.append(test_batch(1), reply);
    let refused = appended.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), ErrorCode::MESSAGE_TOO_LARGE);
    bench.stop().await;
}

/// Difference: `unknown-broker-configs`.
#[tokio::test]
async fn what_may_not_change_says_why() {
    let mut bench = Bench::start().await;
    bench.create("g", 1).await;
    let mut wire = bench.connect();
    for (asked, code, message) in [
        (
            resource(TOPIC, "g", &[("nope", SET, Some("1"))]),
            40,
            "Unknown topic config name: nope",
        ),
        (
            resource(TOPIC, "g", &[("retention.ms", SET, None)]),
            42,
            "Null value not supported for : retention.ms",
        ),
        (
            resource(TOPIC, "g", &[("retention.ms", APPEND, Some("5"))]),
            40,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            resource(
                TOPIC,
                "g",
                &[
                    ("retention.ms", SET, Some("5")),
                    ("retention.ms", SET, Some("6")),
                ],
            ),
            42,
            "Error due to duplicate config keys",
        ),
        (
            resource(TOPIC, "none", &[("retention.ms", SET, Some("5"))]),
            3,
            "The topic 'none' does not exist.",
        ),
        (
            resource(TOPIC, "", &[("retention.ms", SET, Some("5"))]),
            42,
            "Default topic resources are not allowed.",
        ),
        (
            resource(BROKER, "1", &[("group.max.size", SET, Some("5"))]),
            42,
            "Cannot update these configs dynamically: Set(group.max.size)",
        ),
        (
            resource(BROKER, "", &[("offsets.retention.minutes", SET, Some("5"))]),
            42,
            "Cannot update these configs dynamically: Set(offsets.retention.minutes)",
        ),
        (
            resource(BROKER, "2", &[("log.retention.ms", SET, Some("5"))]),
            42,
            "Unexpected broker id, expected 1, but received 2",
        ),
        (
            resource(BROKER, "x", &[("log.retention.ms", SET, Some("5"))]),
            42,
            "Node id must be an integer, but it is: x",
        ),
        (
            resource(GROUP, "grp", &[("nope", SET, Some("5"))]),
            40,
            "Unknown group config name: nope",
        ),
        (resource(3, "a", &[]), 42, "Unknown resource type 3"),
        // Kafka says -1 here.
        (
            resource(TOPIC, "g", &[("retention.ms", 9, Some("5"))]),
            42,
            "Unknown operation on a configuration key.",
        ),
    ] {
        let told = alter(&mut wire, vec![asked], false, 1).await;
        assert_eq!(told, [(code, Some(message.to_owned()))]);
    }
    let change = resource(TOPIC, "g", &[("flush.messages", SET, Some("5"))]);
    let other = resource(BROKER, "1", &[]);
    let told = alter(&mut wire, vec![change.clone(), other, change], false, 1).await;
    assert_eq!(
        told.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
        [42, 0, 42]
    );
    bench.stop().await;
}

#[tokio::test]
async fn the_brokers_keys_are_told() {
    let mut bench = Bench::start_with(|config| {
        config.set("group.max.size", "9").unwrap();
    })
    .await;
    let mut wire = bench.connect();
    let size = describe(&mut wire, BROKER, "1", "group.max.size").await;
    assert_eq!(
        size,
        Told {
            value: Some("9".to_owned()),
            source: 4,
            read_only: true,
            kind: 3,
            synonyms: synonyms(&[
                ("group.max.size", "9", 4),
                ("group.max.size", "2147483647", 5)
            ]),
            documented: true,
        }
    );
    let minutes = describe(&mut wire, BROKER, "1", "offsets.retention.minutes").await;
    assert_eq!(
        (minutes.value.as_deref(), minutes.source),
        (Some("10080"), 5)
    );
    let cluster = describe(&mut wire, BROKER, "1", "cluster.id").await;
    assert_eq!((cluster.value, cluster.synonyms), (None, vec![]));
    bench.stop().await;
}

#[tokio::test]
async fn every_version_tells_all_of_a_resource_or_why_not() {
    let mut bench = Bench::start().await;
    bench.create("g", 1).await;
    let mut wire = bench.connect();
    let resource = |kind, name: &'static str| DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: None,
        ..Default::default()
    };
    for version in 1..=4 {
        let asked = DescribeConfigsRequest {
            resources: vec![
                resource(TOPIC, "g"),
                resource(TOPIC, "__consumer_offsets"),
                resource(TOPIC, "none"),
                resource(TOPIC, "a b"),
                resource(BROKER, "1"),
                resource(BROKER, ""),
                resource(BROKER, "2"),
                resource(BROKER, "x"),
                resource(GROUP, "grp"),
                resource(3, "1"),
            ],
            ..Default::default()
        };
        let answer = wire.ask(&asked, version).await;
        let read = answer.read();
        let told: Vec<_> = read
            .results
            .iter()
            .map(|one| (one.error_code, one.configs.is_empty()))
            .collect();
        let (all, none) = ((0, false), (0, true));
        assert_eq!(
            told,
            [
                all,
                all,
                (3, true),
                (17, true),
                all,
                none,
                (42, true),
                (42, true),
                none,
                (42, true)
            ]
        );
        let undocumented = |config: &_| {
            let config: &callboard_protocol::messages::describe_configs::DescribeConfigsResourceResult<'_> = config;
            config.synonyms.is_empty()
                && config
                    .documentation
                    .as_deref()
                    .unwrap_or_default()
                    .is_empty()
        };
        assert!(read.results[0].configs.iter().all(undocumented));
    }
    let compact = describe(&mut wire, TOPIC, "__consumer_offsets", "cleanup.policy").await;
    assert_eq!(compact.value.as_deref(), Some("compact"));
    assert!(compact.read_only);
    // The bench's journal has small segments: a batch is no larger.
    let largest = describe(&mut wire, TOPIC, "__consumer_offsets", "max.message.bytes").await;
    let holds = bench.services.config.offsets_batch_bytes().to_string();
    assert_eq!(largest.value.as_deref(), Some(holds.as_str()));
    bench.stop().await;
}

#[tokio::test]
async fn retention_follows_a_topics_settings_while_the_broker_runs() {
    use crate::log::{AppendReply, test_batch};
    let mut bench = Bench::start_with(|config| {
        config.set("log.retention.ms", "-1").unwrap();
        config.set("log.retention.check.interval.ms", "5").unwrap();
    })
    .await;
    bench.create("kept", 1).await;
    bench.create("dropped", 1).await;
    let snapshot = bench.services.topics.snapshot();
    let log = |name| snapshot.by_name(name).unwrap().logs()[0].clone();
    for name in ["kept", "dropped"] {
        let (done, appended) = tokio::sync::oneshot::channel();
        let reply = AppendReply::new(|outcome| drop(done.send(outcome)));
        log(name).append(test_batch(1), reply);
        appended.await.unwrap().unwrap();
    }
    assert_eq!(log("dropped").offsets().unwrap().log_start, 0);
    let mut wire = bench.connect();
    let changes = [("retention.ms", SET, Some("1"))];
    alter(
        &mut wire,
        vec![resource(TOPIC, "dropped", &changes)],
        false,
        1,
    )
    .await;
    let gone = async {
        while log("dropped").offsets().unwrap().log_start == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, gone).await.unwrap();
    assert_eq!(log("kept").offsets().unwrap().log_start, 0);
    bench.stop().await;
}
