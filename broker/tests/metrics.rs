//! What `/metrics` shows of a broker that nobody has used yet: every counter is there, at 0, with every value of its
//! labels. Alone in its program, for the recorder is the process's.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::BTreeMap;
use std::path::Path;

use callboard_broker::metrics::{self, BROKER_REQUESTS_TOTAL};
use callboard_broker::testing::TestBroker;
use callboard_protocol::ApiKey;
use callboard_supervision::metrics::{
    ACTOR_CALL_TIMEOUTS_TOTAL, ACTOR_ESCALATIONS_TOTAL, ACTOR_EXITS_TOTAL, ACTOR_RESTARTS_TOTAL,
    CounterFamily, EXIT_REASONS,
};
use callboard_supervision::testing::Limit;

/// Written when a broker makes its journal.
const NOT_AT_0: &[&str] = &["callboard_offsets_appended_bytes_total"];

fn families() -> impl Iterator<Item = &'static CounterFamily> {
    let crates = [
        metrics::COUNTERS,
        callboard_coordinator::metrics::COUNTERS,
        callboard_offsets::metrics::COUNTERS,
    ];
    crates.into_iter().flatten()
}

/// Names of constants that end in `_total` in the sources of a crate's metrics.
fn constants(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let source = std::fs::read_to_string(&path).unwrap();
    let words = source.split('"').skip(1).step_by(2);
    let names = words.filter(|word| word.starts_with("callboard_") && word.ends_with("_total"));
    names.map(str::to_owned).collect()
}

fn series(name: &str, labels: &[(&str, &str)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}=\"{value}\""))
        .collect();
    match labels.is_empty() {
        true => name.to_owned(),
        false => format!("{name}{{{}}}", labels.join(",")),
    }
}

#[tokio::test]
async fn every_counter_is_there_before_its_first_event() {
    let _limit = Limit::start();
    let recorder = metrics::install(&[]).unwrap();
    let upkeep = tokio::spawn(recorder.clone().upkeep());
    let broker = TestBroker::builder().start().await.unwrap();
    let scrape = recorder.render();
    upkeep.abort();
    let values: BTreeMap<&str, &str> = scrape
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .collect();

    let mut expected = Vec::new();
    for family in families() {
        for of in family.series() {
            let keys = family.labels.iter().map(|(key, _)| *key);
            let labels: Vec<_> = keys.zip(of).collect();
            expected.push(series(family.name, &labels));
        }
    }
    for kind in metrics::kinds() {
        let by_kind = [
            ACTOR_RESTARTS_TOTAL,
            ACTOR_ESCALATIONS_TOTAL,
            ACTOR_CALL_TIMEOUTS_TOTAL,
        ];
        expected.extend(by_kind.map(|name| series(name, &[("actor", kind)])));
        let exits = EXIT_REASONS.iter().map(|reason| {
            let labels = [("actor", kind), ("reason", *reason)];
            series(ACTOR_EXITS_TOTAL, &labels)
        });
        expected.extend(exits);
    }
    for api in [ApiKey::PRODUCE, ApiKey::JOIN_GROUP, ApiKey::OFFSET_DELETE] {
        expected.push(series(BROKER_REQUESTS_TOTAL, &[("api", api.name())]));
    }
    for series in &expected {
        let value = values.get(series.as_str());
        let used = NOT_AT_0.iter().any(|name| series.starts_with(name));
        assert!(
            value == Some(&"0") || value.is_some() && used,
            "{series} is {value:?}"
        );
    }

    // And none is made by its first event alone.
    for file in [
        "broker/src/metrics/mod.rs",
        "broker/src/compute/metrics.rs",
        "coordinator/src/metrics.rs",
        "offsets/src/metrics.rs",
        "supervision/src/metrics/mod.rs",
    ] {
        let names = constants(file);
        assert!(!names.is_empty(), "{file}");
        for name in names {
            assert!(
                values.keys().any(|series| series.starts_with(&name)),
                "{name} of {file} is not there"
            );
        }
    }
    let unknown: Vec<_> = values
        .keys()
        .filter(|series| series.contains("actor=\""))
        .filter(|series| {
            let known = metrics::kinds().any(|kind| series.contains(&format!("\"{kind}\"")));
            !known
        })
        .collect();
    assert!(
        unknown.is_empty(),
        "kinds that are not declared: {unknown:?}"
    );
    drop(broker);
}

/// Words in the sources below a folder that follow one of these.
fn words_after(folder: &Path, marks: &[&str], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            words_after(&path, marks, found);
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        for mark in marks {
            let words = source.split(mark).skip(1);
            found.extend(words.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
}

#[test]
fn whatever_closes_a_connection_is_a_declared_kind() {
    let family = families()
        .find(|family| family.name == metrics::BROKER_PROTOCOL_ERRORS_TOTAL)
        .unwrap();
    let mut kinds = Vec::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let marks = ["lose(\"", "\"kind\" => \""];
    words_after(&source, &marks, &mut kinds);
    assert!(kinds.len() > 8, "{kinds:?}");
    for kind in kinds {
        // Faults are a test's.
        assert!(
            kind == "fault" || family.labels[0].1.contains(&kind.as_str()),
            "{kind} is not declared"
        );
    }
}
