//! Keeps `RULES.md` true: what it names exists, every rule names something, and no transcript shows nothing.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Crates whose tests show rules.
const CRATES: [&str; 5] = ["broker", "consumer", "coordinator", "offsets", "protocol"];
const TRANSCRIPTS: &str = "coordinator/src/core/tests/rules";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// Names of the test functions below a folder.
fn tests_below(folder: &str) -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&workspace().join(folder), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[") {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                continue;
            }
            let line = line.strip_prefix("async ").unwrap_or(line);
            if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
                let (name, _) = rest.split_once('(').unwrap();
                names.insert(name.to_owned());
            }
            is_test = false;
        }
    }
    names
}

/// What shows each rule.
fn rules() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(workspace().join("coordinator/tests/RULES.md")).unwrap();
    let mut rules = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let columns: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [rule, what, shown] = columns[..] else {
            panic!("not three columns: {line}");
        };
        if rule == "Rule" {
            continue;
        }
        assert!(!what.is_empty(), "{rule} says nothing");
        let shown = shown
            .split(", ")
            .map(|name| name.trim_matches('`').to_owned());
        let before = rules.insert(rule.to_owned(), shown.collect());
        assert!(before.is_none(), "{rule} stands there twice");
    }
    rules
}

fn is_there(name: &str, tests: &BTreeSet<String>) -> bool {
    if name.starts_with("interop/") {
        return workspace().join(name).is_file();
    }
    match name.contains('/') {
        true => workspace()
            .join("testdata/kafka-4.2.0/stories")
            .join(format!("{name}.json"))
            .is_file(),
        false => tests.contains(name),
    }
}

#[test]
fn every_rule_is_shown_by_something_that_exists() {
    let tests: BTreeSet<String> = CRATES.into_iter().flat_map(tests_below).collect();
    let rules = rules();
    assert!(rules.len() > 200, "{} rules", rules.len());
    let mut missing = Vec::new();
    for (rule, shown) in &rules {
        assert!(!shown.is_empty(), "{rule}");
        let absent = shown.iter().filter(|name| !is_there(name, &tests));
        missing.extend(absent.map(|name| format!("{rule}: {name}")));
    }
    assert!(missing.is_empty(), "not there:\n{}", missing.join("\n"));
}

#[test]
fn every_transcript_shows_a_rule() {
    let shown: BTreeSet<String> = rules().into_values().flatten().collect();
    let transcripts = tests_below(TRANSCRIPTS);
    assert!(transcripts.len() > 150, "{} transcripts", transcripts.len());
    let idle: Vec<_> = transcripts.difference(&shown).collect();
    assert!(idle.is_empty(), "of no rule: {idle:?}");
}
